/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/container_match.h"

#include <stdio.h>

#include "base/str.h"
#include "engine/engine.h"
#include "images/reference.h"

bool container_match_id(const void *object, const char *value)
{
	return str_starts(((const struct container *)object)->id, value);
}

bool container_match_name(const void *object, const char *value)
{
	const char *name = ((const struct container *)object)->name;
	/* docker matches anywhere, with ^ and $ (and a leading slash) as anchors. */
	bool begin = value[0] == '^';
	value += begin;
	value += value[0] == '/';
	size_t len = strlen(value);
	bool end = len && value[len - 1] == '$';
	len -= end;
	size_t name_len = strlen(name);
	for (size_t i = 0; i + len <= name_len; i++) {
		if (begin && i > 0)
			return false;
		if (strncmp(name + i, value, len) == 0 && (!end || i + len == name_len))
			return true;
	}
	return false;
}

bool container_match_status(const void *object, const char *value)
{
	return str_eq(container_status_name(((const struct container *)object)->status), value);
}

bool container_match_exited(const void *object, const char *value)
{
	const struct container *c = object;
	char code[16];
	snprintf(code, sizeof(code), "%d", c->exit_code);
	return c->status == CONTAINER_EXITED && str_eq(code, value);
}

bool container_match_ancestor(const void *object, const char *value)
{
	const struct container *c = object;
	const char *id = str_starts(value, "sha256:") ? value : NULL;

	if (digest_is_set(&c->image) && (str_starts(id ? c->image.s : digest_hex(&c->image), value)) &&
	    strlen(value) >= 6)
		return true;
	if (!c->image_name)
		return false;
	if (str_eq(c->image_name, value))
		return true;
	_cleanup_reference_ struct reference a = REFERENCE_NONE, b = REFERENCE_NONE;
	struct err *e = reference_parse(c->image_name, &a);
	if (!e)
		e = reference_parse(value, &b);
	if (e) {
		err_free(e);
		return false;
	}
	_cleanup_free_ char *x = reference_string(&a), *y = reference_string(&b);
	return str_eq(x, y);
}

bool container_match_volume(const void *object, const char *value)
{
	const struct container *c = object;

	for (size_t i = 0; c->spec && i < c->spec->n_mounts; i++)
		if (str_eq(c->spec->mounts[i].source, value) || str_eq(c->spec->mounts[i].target, value))
			return true;
	return false;
}
