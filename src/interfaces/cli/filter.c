// SPDX-License-Identifier: Apache-2.0
/* --filter key=value. */
#include "base/memory.h"
#include "cli.h"

static bool is_known(const char *known, const char *key)
{
	size_t len = strlen(key);

	for (const char *w = known; *w;) {
		size_t n = strcspn(w, " ");
		if (n == len && strncmp(w, key, n) == 0)
			return true;
		w += n + strspn(w + n, " ");
	}
	return false;
}

struct err *filters_parse(char *const *list, const char *known, struct filters *ret)
{
	_cleanup_filters_ struct filters f = {0};

	f.text = strv_dup(list);
	f.items = xnew_array(struct filter, strv_len(list) + 1);
	STRV_FOREACH (s, f.text) {
		char *value = strchr(*s, '=');
		if (!value)
			return err_new(ERR_INVALID, "filter \"%s\": the form is key=value; the keys are: %s",
				       *s, known);
		*value++ = '\0';
		if (!is_known(known, *s))
			return err_new(ERR_INVALID, "filter \"%s\" is unknown; the keys are: %s", *s, known);
		f.items[f.n++] = (struct filter){*s, value};
	}
	*ret = f;
	f = (struct filters){0};
	return NULL;
}

void filters_release(struct filters *f)
{
	free(f->items);
	/* The keys were cut in place; freeing whole strings is unaffected. */
	strv_free(f->text);
	*f = (struct filters){0};
}

bool filters_have(const struct filters *f, const char *key)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_eq(f->items[i].key, key))
			return true;
	return false;
}

bool filters_match(const struct filters *f, const char *key,
		   bool (*match)(const void *object, const char *value), const void *object)
{
	bool any = false;

	for (size_t i = 0; i < f->n; i++) {
		if (!str_eq(f->items[i].key, key))
			continue;
		any = true;
		if (match(object, f->items[i].value))
			return true;
	}
	return !any;
}

bool filters_labels(const struct filters *f, char *const *labels)
{
	for (size_t i = 0; i < f->n; i++) {
		bool wanted = str_eq(f->items[i].key, "label");
		if ((wanted || str_eq(f->items[i].key, "label!")) &&
		    label_matches(labels, f->items[i].value) != wanted)
			return false;
	}
	return true;
}
