/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_json.h"

#include <stdlib.h>

#include "base/memory.h"

/* The parser below keeps the last of equal keys, so they are looked for in the text, which is known to be JSON by then. */
struct key {
	const char *start;
	size_t size;
};

struct level {
	bool object, key_next;
	struct key *keys;
	size_t n, cap;
};

static int compare(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int order = memcmp(x->start, y->start, MIN(x->size, y->size));

	return order ? order : (x->size > y->size) - (x->size < y->size);
}

static struct err *level_close(struct level *l)
{
	struct err *e = NULL;

	if (l->n > 1)
		qsort(l->keys, l->n, sizeof(*l->keys), compare);
	for (size_t i = 1; !e && i < l->n; i++)
		if (compare(&l->keys[i - 1], &l->keys[i]) == 0)
			e = err_new(ERR_INVALID, "the key \"%.*s\" is there twice",
				    (int)MIN(l->keys[i].size, (size_t)100), l->keys[i].start);
	free(l->keys);
	*l = (struct level){0};
	return e;
}

static struct err *level_add(struct level *l, const char *start, size_t size)
{
	if (memchr(start, '\\', size))
		return err_new(ERR_INVALID, "the key \"%.*s\" is written with escapes",
			       (int)MIN(size, (size_t)100), start);
	if (l->n == TRUST_JSON_MEMBERS_MAX)
		return err_new(ERR_LIMIT, "an object has more than %d members", TRUST_JSON_MEMBERS_MAX);
	GROW(l->keys, l->n, l->cap);
	l->keys[l->n++] = (struct key){start, size};
	return NULL;
}

/* Behind the closing quote. */
static const char *string_end(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : end;
}

static struct err *find_twice(const char *text, size_t size, struct level *levels)
{
	size_t depth = 0; /* levels[0] is outside */

	for (const char *p = text, *end = text + size; p < end;) {
		struct level *l = &levels[depth];
		if (*p == '"') {
			const char *after = string_end(p, end);
			if (l->object && l->key_next)
				TRY(level_add(l, p + 1, (size_t)(after - p) - 2));
			l->key_next = false;
			p = after;
			continue;
		}
		if (*p == '{' || *p == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return err_new(ERR_LIMIT, "nested deeper than %d", JSON_DEPTH_MAX);
			levels[depth] = (struct level){.object = *p == '{', .key_next = true};
		} else if ((*p == '}' || *p == ']') && depth > 0) {
			TRY(level_close(&levels[depth--]));
		} else if (*p == ',') {
			l->key_next = true;
		}
		p++;
	}
	return NULL;
}

struct err *trust_json_parse(const char *text, size_t size, const char *what, struct json **ret)
{
	_cleanup_json_ struct json *doc = NULL;
	struct level levels[JSON_DEPTH_MAX + 1] = {0};

	TRY(json_parse(text, size, what, &doc));
	struct json_cursor root = json_root(doc);
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "%s: not an object", what);
	struct err *e = find_twice(text, size, levels);
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		free(levels[i].keys);
	TRY_WRAP(e, "%s", what);
	*ret = TAKE_PTR(doc);
	return NULL;
}

struct err *trust_json_only(const struct json_cursor *object, const char *known)
{
	_cleanup_strv_ char **words = strv_split(known, " ");
	struct json_iter it = json_iter(object);
	struct json_cursor member;

	while (json_next(&it, &member))
		if (!strv_contains(words, member.key))
			return json_error(&member, "unknown; what is known here: %s", known);
	return NULL;
}
