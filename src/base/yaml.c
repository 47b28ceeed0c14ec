/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/memory.h"
#include "base/str.h"

struct anchor {
	char *name;
	struct json *value;
	unsigned nodes; /* in it, for the budget of its copies */
};

struct reader {
	yaml_parser_t yaml;
	const char *what;
	unsigned nodes, depth;
	struct anchor *anchors;
	size_t n_anchors, cap_anchors;
};

static struct err *wrong(const struct reader *r, const yaml_event_t *event, const char *text)
{
	return err_new(ERR_INVALID, "%s line %zu: %s", r->what, event->start_mark.line + 1, text);
}

static struct err *spend(struct reader *r, unsigned n)
{
	r->nodes += n;
	if (r->nodes > YAML_NODES_MAX)
		return err_new(ERR_LIMIT, "%s: more than %u values", r->what, YAML_NODES_MAX);
	return NULL;
}

static struct err *next(struct reader *r, yaml_event_t *ret)
{
	if (yaml_parser_parse(&r->yaml, ret))
		return NULL;
	return err_new(ERR_INVALID, "%s line %zu: %s", r->what, r->yaml.problem_mark.line + 1,
		       r->yaml.problem ? r->yaml.problem : "not YAML");
}

/* -- scalars --- */

static bool is_one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (str_eq(s, *words))
			return true;
	return false;
}

static struct json *number(const char *s)
{
	char *end;
	const char *digits = s + (*s == '-' || *s == '+');

	if (!isdigit((unsigned char)*digits) && *digits != '.')
		return NULL;
	errno = 0;
	if (digits[0] == '0' && (digits[1] == 'o' || digits[1] == 'x')) {
		if (digits != s || !isxdigit((unsigned char)digits[2]))
			return NULL;
		unsigned long long v = strtoull(digits + 2, &end, digits[1] == 'o' ? 8 : 16);
		return *end || errno || v > INT64_MAX ? NULL : json_new_i64((int64_t)v);
	}
	/* "0644" is octal to readers of YAML 1.1, Go's among them, and modes are written so. */
	bool octal = digits[0] == '0' && digits[1] && strspn(digits, "01234567") == strlen(digits);
	long long v = strtoll(s, &end, octal ? 8 : 10);
	if (!*end && !errno)
		return json_new_i64(v);
	errno = 0;
	if (strspn(s, "+-.0123456789eE") != strlen(s))
		return NULL;
	double d = strtod(s, &end);
	return *end || end == s || !isfinite(d) ? NULL : json_new_double(d);
}

static struct json *scalar(const yaml_event_t *event)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL},
				 *const yes[] = {"true", "True", "TRUE", NULL},
				 *const no[] = {"false", "False", "FALSE", NULL};
	const char *s = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	struct json *v = NULL;

	if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
	    (tag && str_eq(tag, "tag:yaml.org,2002:str")))
		return json_new_string(s);
	if (is_one_of(s, nulls))
		return NULL;
	if (is_one_of(s, yes) || is_one_of(s, no))
		return json_new_bool(is_one_of(s, yes));
	v = number(s);
	return v ? v : json_new_string(s);
}

/* -- trees --- */

static struct err *value(struct reader *r, const yaml_event_t *event, struct json **ret);

static struct err *sequence(struct reader *r, struct json **ret)
{
	_cleanup_json_ struct json *list = json_new_array();

	while (true) {
		yaml_event_t event;
		struct json *item = NULL;
		TRY(next(r, &event));
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			break;
		}
		struct err *e = value(r, &event, &item);
		yaml_event_delete(&event);
		TRY(e);
		json_append(list, item);
	}
	*ret = TAKE_PTR(list);
	return NULL;
}

static struct err *take_key(const struct reader *r, const yaml_event_t *event, const struct json *into,
			    char **ret)
{
	if (event->type != YAML_SCALAR_EVENT)
		return wrong(r, event, "a key that is no text");
	const char *key = (const char *)event->data.scalar.value;
	if (strlen(key) != event->data.scalar.length)
		return wrong(r, event, "a key with a zero byte");
	struct json_cursor root = json_root((struct json *)(uintptr_t)into), have;
	char *copy = xstrdup(key);
	struct json_iter it = json_iter(&root);
	while (json_next(&it, &have))
		if (str_eq(have.key, copy)) {
			free(copy);
			return wrong(r, event, "a key is there twice");
		}
	*ret = copy;
	return NULL;
}

#define KEYS_MAX 4096u /* looking for doubles takes the square of it */

static struct err *mapping(struct reader *r, struct json **ret)
{
	_cleanup_json_ struct json *object = json_new_object();

	for (unsigned n = 0;; n++) {
		yaml_event_t event;
		_cleanup_free_ char *key = NULL;
		struct json *item = NULL;
		TRY(next(r, &event));
		if (event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			break;
		}
		struct err *e = n < KEYS_MAX ? take_key(r, &event, object, &key)
					     : err_new(ERR_LIMIT, "%s: more than %u keys in one place",
						       r->what, KEYS_MAX);
		yaml_event_delete(&event);
		TRY(e);
		TRY(next(r, &event));
		e = value(r, &event, &item);
		yaml_event_delete(&event);
		TRY(e);
		json_set(object, key, item);
	}
	*ret = TAKE_PTR(object);
	return NULL;
}

static void remember(struct reader *r, const yaml_char_t *name, struct json *v, unsigned nodes)
{
	if (!name)
		return;
	GROW(r->anchors, r->n_anchors, r->cap_anchors);
	r->anchors[r->n_anchors++] =
		(struct anchor){xstrdup((const char *)name), v ? json_deep_copy(v) : NULL, nodes};
}

static struct err *alias(struct reader *r, const yaml_event_t *event, struct json **ret)
{
	const char *name = (const char *)event->data.alias.anchor;

	for (size_t i = r->n_anchors; i-- > 0;) {
		const struct anchor *a = &r->anchors[i];
		if (!str_eq(a->name, name))
			continue;
		TRY(spend(r, a->nodes));
		*ret = a->value ? json_deep_copy(a->value) : NULL;
		return NULL;
	}
	return wrong(r, event, "an alias of nothing");
}

static struct err *value(struct reader *r, const yaml_event_t *event, struct json **ret)
{
	unsigned before = r->nodes;

	TRY(spend(r, 1));
	if (event->type == YAML_ALIAS_EVENT)
		return alias(r, event, ret);
	if (event->type == YAML_SCALAR_EVENT) {
		if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
			return wrong(r, event, "a text with a zero byte");
		*ret = scalar(event);
		remember(r, event->data.scalar.anchor, *ret, 1);
		return NULL;
	}
	if (event->type != YAML_MAPPING_START_EVENT && event->type != YAML_SEQUENCE_START_EVENT)
		return wrong(r, event, "a value is missing");
	bool map = event->type == YAML_MAPPING_START_EVENT;
	if (++r->depth > JSON_DEPTH_MAX)
		return err_new(ERR_LIMIT, "%s: nested more than %d deep", r->what, JSON_DEPTH_MAX);
	TRY(map ? mapping(r, ret) : sequence(r, ret));
	r->depth--;
	remember(r, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor, *ret,
		 r->nodes - before);
	return NULL;
}

static struct err *documents(struct reader *r, struct json *list)
{
	while (true) {
		yaml_event_t event;
		struct json *one = NULL;
		TRY(next(r, &event));
		yaml_event_type_t type = event.type;
		bool boundary = type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT ||
				type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT;
		struct err *e = boundary ? NULL : value(r, &event, &one);
		yaml_event_delete(&event);
		TRY(e);
		if (one)
			json_append(list, one);
		if (type == YAML_STREAM_END_EVENT)
			return NULL;
	}
}

struct err *yaml_parse(const char *text, size_t size, const char *what, struct json **ret_documents)
{
	struct reader r = {.what = what};
	_cleanup_json_ struct json *list = json_new_array();

	if (size > YAML_SIZE_MAX)
		return err_new(ERR_LIMIT, "%s is larger than %u bytes", what, YAML_SIZE_MAX);
	if (!yaml_parser_initialize(&r.yaml))
		return err_new(ERR_INTERNAL, "libyaml cannot start");
	yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, size);
	struct err *e = documents(&r, list);
	yaml_parser_delete(&r.yaml);
	for (size_t i = 0; i < r.n_anchors; i++) {
		free(r.anchors[i].name);
		json_unref(r.anchors[i].value);
	}
	free(r.anchors);
	TRY(e);
	*ret_documents = TAKE_PTR(list);
	return NULL;
}
