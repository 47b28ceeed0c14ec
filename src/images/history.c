// SPDX-License-Identifier: Apache-2.0
#include "images/history.h"

#include "base/memory.h"
#include "images/usage.h"

#define STEPS_MAX 4096

static const char *text_of(const struct json_cursor *entry, const char *key)
{
	const char *s = "";

	err_free(json_get_string(entry, key, JSON_OPTIONAL, &s));
	return s;
}

static struct err *layer_size(struct store *s, const struct image *i, size_t layer, uint64_t *ret)
{
	*ret = 0;
	return layer < i->n_layers ? store_layer_size(s, &i->layers[layer], ret) : NULL;
}

struct err *image_history(struct store *s, const struct image *i, struct image_step **ret, size_t *ret_n)
{
	struct json_cursor root = json_root(i->config), history;

	TRY(json_get_array(&root, "history", JSON_OPTIONAL, &history));
	size_t n = history.value ? json_array_len(&history) : 0, layer = 0;
	bool none = n == 0;
	if (none)
		n = i->n_layers;
	if (n > STEPS_MAX)
		return err_new(ERR_LIMIT, "the image's history has %zu steps", n);
	_cleanup_free_ struct image_step *steps = xnew_array(struct image_step, n + 1);
	for (size_t k = 0; k < n; k++) {
		struct json_cursor entry = none ? (struct json_cursor){0} : json_at(&history, k);
		bool empty = false;
		steps[k] = (struct image_step){"", "", "", 0};
		if (!none && json_kind(&entry) == JSON_OBJECT) {
			steps[k] =
				(struct image_step){text_of(&entry, "created"), text_of(&entry, "created_by"),
						    text_of(&entry, "comment"), 0};
			TRY(json_get_bool(&entry, "empty_layer", JSON_OPTIONAL, &empty));
		}
		if (!empty)
			TRY(layer_size(s, i, layer++, &steps[k].size));
	}
	*ret = TAKE_PTR(steps);
	*ret_n = n;
	return NULL;
}
