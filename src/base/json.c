/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: cursors over json-c's tree. `struct json` is json-c's object under another name; nobody else sees
 * that. */
#include "base/json.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "json_plain.h"

static struct json_object *jc(const struct json *v)
{
	return (struct json_object *)(uintptr_t)v;
}

/* json-c takes some of what is not JSON even when strict: 'single quotes', NaN, Infinity. All of it shows by
 * a character that cannot stand outside of a string. Returns its position, or -1. *ret_long says that some number has
 * so many digits that it may not fit 64 bits. */
static ssize_t foreign_character(const char *text, size_t size, bool *ret_long)
{
	bool in_string = false;
	size_t digits = 0;

	*ret_long = false;
	for (size_t i = 0; i < size; i++) {
		digits = text[i] >= '0' && text[i] <= '9' ? digits + 1 : 0;
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && digits >= 19)
			*ret_long = true;
		else if (!in_string && strchr("'NI/", text[i]))
			return (ssize_t)i;
	}
	return -1;
}

static bool fits_64_bits(const char *digits, size_t n, bool negative)
{
	const char *limit = negative ? "9223372036854775808" : "18446744073709551615";
	size_t most = strlen(limit);

	return n < most || (n == most && memcmp(digits, limit, n) <= 0);
}

/* json-c takes a whole number beyond 64 bits for the largest that it has. Written as what it is, a floating-point number
 * (123…78 as 123…e2), it is refused where a whole one is wanted, and by the name of its place. Returns a copy. */
static char *mark_large_numbers(const char *text, size_t size)
{
	char *copy = xstrndup(text, size);
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		size_t n = in_string ? 0 : strspn(copy + i, "0123456789");
		char before = i ? copy[i - 1] : ' ';

		if (in_string && copy[i] == '\\')
			i++;
		else if (copy[i] == '"')
			in_string = !in_string;
		else if (n > 2 && !strchr(".eE", copy[i + n]) && !strchr(".eE+", before) &&
			 !fits_64_bits(copy + i, n, before == '-'))
			memcpy(copy + i + n - 2, "e2", 2);
		i += n ? n - 1 : 0;
	}
	return copy;
}

struct err *json_parse(const char *text, size_t size, const char *what, struct json **ret)
{
	if (size > JSON_SIZE_MAX)
		return err_new(ERR_LIMIT, "%s is larger than %u bytes", what, JSON_SIZE_MAX);
	struct json_object *o = NULL;
	if (json_plain_parse(text, size, &o)) {
		*ret = (struct json *)o;
		return NULL;
	}
	if (memchr(text, '\0', size))
		return err_new(ERR_INVALID, "%s is not valid JSON: it contains a NUL byte", what);

	bool has_long;
	ssize_t foreign = foreign_character(text, size, &has_long);
	if (foreign >= 0)
		return err_new(ERR_INVALID, "%s is not valid JSON: unexpected character at byte %zd", what,
			       foreign);

	_cleanup_free_ char *marked = has_long ? mark_large_numbers(text, size) : NULL;
	if (marked)
		text = marked;
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH_MAX);
	if (!tok)
		abort();
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, text, (int)size);
	enum json_tokener_error status = json_tokener_get_error(tok);
	/* A number at the very end is complete only with a byte behind it. */
	size_t end = json_tokener_get_parse_end(tok);
	if (status == json_tokener_continue) {
		end = size;
		o = json_tokener_parse_ex(tok, "\n", 1);
		status = json_tokener_get_error(tok);
		if (status == json_tokener_success && !o &&
		    !str_starts(text + strspn(text, " \t\r\n"), "null"))
			status = json_tokener_continue;
	}
	json_tokener_free(tok);
	if (status == json_tokener_continue)
		return err_new(ERR_INVALID, "%s is not valid JSON: it ends too early", what);
	if (status != json_tokener_success) {
		size_t line = 1;
		for (size_t i = 0; i < end; i++)
			line += text[i] == '\n';
		return err_new(ERR_INVALID, "%s is not valid JSON: line %zu, byte %zu: %s", what, line, end,
			       json_tokener_error_desc(status));
	}
	for (size_t i = end; i < size; i++) {
		if (!strchr(" \t\r\n", text[i])) {
			json_object_put(o);
			return err_new(ERR_INVALID,
				       "%s is not valid JSON: something follows the value at byte %zu", what,
				       i);
		}
	}
	*ret = (struct json *)o;
	return NULL;
}

struct err *json_parse_file_at(int dirfd, const char *name, struct json **ret)
{
	_cleanup_free_ char *text = NULL;

	return json_parse_file_text_at(dirfd, name, &text, ret);
}

struct err *json_parse_file_text_at(int dirfd, const char *name, char **ret_text, struct json **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;

	TRY(file_read_at(dirfd, name, JSON_SIZE_MAX, &text, &size));
	/* json-c's objects are large: measured with configurations of 1 to 100 kB. Programs that end soon have expected the small ones. */
	if (memory_left() && size > 2048)
		memory_expect(size * 16);
	TRY(json_parse(text, size, name, ret));
	*ret_text = TAKE_PTR(text);
	return NULL;
}

void json_unref(struct json *v)
{
	if (!memory_left())
		json_object_put(jc(v));
}

struct json *json_ref(struct json *v)
{
	return (struct json *)json_object_get(jc(v));
}

struct json_cursor json_root(struct json *doc)
{
	return (struct json_cursor){.value = doc};
}

enum json_kind json_kind(const struct json_cursor *c)
{
	switch (json_object_get_type(jc(c->value))) {
	case json_type_boolean:
		return JSON_BOOL;
	case json_type_int:
	case json_type_double:
		return JSON_NUMBER;
	case json_type_string:
		return JSON_STRING;
	case json_type_array:
		return JSON_ARRAY;
	case json_type_object:
		return JSON_OBJECT;
	case json_type_null:
	default:
		return JSON_NULL;
	}
}

static void path_append(struct strbuf *out, const struct json_cursor *c)
{
	if (!c->parent)
		return;
	path_append(out, c->parent);
	if (c->key)
		strbuf_printf(out, "%s%.100s", out->len ? "." : "", c->key);
	else
		strbuf_printf(out, "[%zu]", c->index);
}

char *json_path(const struct json_cursor *c)
{
	struct strbuf out = {0};

	path_append(&out, c);
	return strbuf_take(&out);
}

static _printf_(2, 0) struct err *error_v(const struct json_cursor *c, const char *fmt, va_list ap)
{
	_cleanup_free_ char *path = json_path(c);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);

	if (!*path)
		return err_new(ERR_INVALID, "%s", text);
	return err_new(ERR_INVALID, "%s: %s", path, text);
}

struct err *json_error(const struct json_cursor *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	struct err *e = error_v(c, fmt, ap);
	va_end(ap);
	return e;
}

struct err *json_error_at(const struct json_cursor *obj, const char *key, const char *fmt, ...)
{
	const struct json_cursor member = {.parent = obj, .key = key};
	va_list ap;

	va_start(ap, fmt);
	struct err *e = error_v(&member, fmt, ap);
	va_end(ap);
	return e;
}

static struct err *type_error(const struct json_cursor *c, const char *wanted)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",       [JSON_BOOL] = "true or false", [JSON_NUMBER] = "a number",
		[JSON_STRING] = "a string", [JSON_ARRAY] = "an array",     [JSON_OBJECT] = "an object",
	};

	return json_error(c, "is %s, must be %s", names[json_kind(c)], wanted);
}

struct err *json_get(const struct json_cursor *obj, const char *key, enum json_need need,
		     struct json_cursor *ret)
{
	struct json_object *value = NULL;

	if (obj->value) {
		if (json_kind(obj) != JSON_OBJECT)
			return type_error(obj, "an object");
		json_object_object_get_ex(jc(obj->value), key, &value);
	}
	struct json_cursor c = {.value = (struct json *)value, .parent = obj, .key = key};
	if (!value && need == JSON_REQUIRED)
		return json_error(&c, "is missing");
	*ret = c;
	return NULL;
}

static struct err *get_typed(const struct json_cursor *obj, const char *key, enum json_need need,
			     enum json_kind type, const char *wanted, struct json_cursor *ret)
{
	struct json_cursor c;

	TRY(json_get(obj, key, need, &c));
	if (c.value && json_kind(&c) != type)
		return type_error(&c, wanted);
	*ret = c;
	return NULL;
}

struct err *json_get_object(const struct json_cursor *obj, const char *key, enum json_need need,
			    struct json_cursor *ret)
{
	return get_typed(obj, key, need, JSON_OBJECT, "an object", ret);
}

struct err *json_get_array(const struct json_cursor *obj, const char *key, enum json_need need,
			   struct json_cursor *ret)
{
	return get_typed(obj, key, need, JSON_ARRAY, "an array", ret);
}

struct err *json_as_string(const struct json_cursor *c, const char **ret)
{
	if (json_kind(c) != JSON_STRING)
		return type_error(c, "a string");
	const char *s = json_object_get_string(jc(c->value));
	if (strlen(s) != (size_t)json_object_get_string_len(jc(c->value)))
		return json_error(c, "contains a NUL character");
	*ret = s;
	return NULL;
}

struct err *json_as_bool(const struct json_cursor *c, bool *ret)
{
	if (json_kind(c) != JSON_BOOL)
		return type_error(c, "true or false");
	*ret = json_object_get_boolean(jc(c->value));
	return NULL;
}

/* json-c keeps integers as 64 bits, signed or unsigned, saturated; a fraction or exponent makes a double. */
static bool is_whole(const struct json_cursor *c)
{
	return json_object_is_type(jc(c->value), json_type_int);
}

struct err *json_as_i64(const struct json_cursor *c, int64_t min, int64_t max, int64_t *ret)
{
	if (!is_whole(c))
		return json_kind(c) == JSON_NUMBER ? json_error(c, "must be a whole number of 64 bits")
						   : type_error(c, "a number");
	int64_t v = json_object_get_int64(jc(c->value));
	bool too_large = v == INT64_MAX && json_object_get_uint64(jc(c->value)) > INT64_MAX;
	if (v < min || v > max || too_large) {
		_cleanup_free_ char *text = xstrdup(json_object_to_json_string(jc(c->value)));
		return json_error(c, "%s is out of range, it must be from %" PRId64 " to %" PRId64, text, min,
				  max);
	}
	*ret = v;
	return NULL;
}

struct err *json_as_u64(const struct json_cursor *c, uint64_t max, uint64_t *ret)
{
	if (!is_whole(c))
		return json_kind(c) == JSON_NUMBER ? json_error(c, "must be a whole number of 64 bits")
						   : type_error(c, "a number");
	uint64_t v = json_object_get_uint64(jc(c->value));
	if (json_object_get_int64(jc(c->value)) < 0)
		return json_error(c, "must not be negative");
	if (v > max)
		return json_error(c, "%" PRIu64 " is out of range, it must be at most %" PRIu64, v, max);
	*ret = v;
	return NULL;
}

struct err *json_as_double(const struct json_cursor *c, double *ret)
{
	if (json_kind(c) != JSON_NUMBER)
		return type_error(c, "a number");
	*ret = json_object_get_double(jc(c->value));
	return NULL;
}

struct err *json_get_string(const struct json_cursor *obj, const char *key, enum json_need need,
			    const char **ret)
{
	struct json_cursor c;

	TRY(json_get(obj, key, need, &c));
	return c.value ? json_as_string(&c, ret) : NULL;
}

struct err *json_get_bool(const struct json_cursor *obj, const char *key, enum json_need need, bool *ret)
{
	struct json_cursor c;

	TRY(json_get(obj, key, need, &c));
	return c.value ? json_as_bool(&c, ret) : NULL;
}

struct err *json_get_i64(const struct json_cursor *obj, const char *key, enum json_need need, int64_t min,
			 int64_t max, int64_t *ret)
{
	struct json_cursor c;

	TRY(json_get(obj, key, need, &c));
	return c.value ? json_as_i64(&c, min, max, ret) : NULL;
}

struct err *json_get_u64(const struct json_cursor *obj, const char *key, enum json_need need, uint64_t max,
			 uint64_t *ret)
{
	struct json_cursor c;

	TRY(json_get(obj, key, need, &c));
	return c.value ? json_as_u64(&c, max, ret) : NULL;
}

struct err *json_get_u32(const struct json_cursor *obj, const char *key, enum json_need need, uint32_t *ret)
{
	uint64_t v = *ret;

	TRY(json_get_u64(obj, key, need, UINT32_MAX, &v));
	*ret = (uint32_t)v;
	return NULL;
}

struct err *json_get_strv(const struct json_cursor *obj, const char *key, enum json_need need, char ***ret)
{
	struct json_cursor array;
	size_t n;

	TRY(json_get_array(obj, key, need, &array));
	if (!array.value)
		return NULL;
	n = json_array_len(&array);
	/* By strv_push, which derives the capacity from the length: an exact allocation would be overrun later. */
	_cleanup_strv_ char **v = n ? NULL : xnew_array(char *, 1);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor e = json_at(&array, i);
		const char *s;

		TRY(json_as_string(&e, &s));
		strv_push(&v, s);
	}
	strv_free(*ret);
	*ret = TAKE_PTR(v);
	return NULL;
}

size_t json_array_len(const struct json_cursor *array)
{
	return array->value ? json_object_array_length(jc(array->value)) : 0;
}

struct json_cursor json_at(const struct json_cursor *array, size_t index)
{
	return (struct json_cursor){
		.value = (struct json *)json_object_array_get_idx(jc(array->value), index),
		.parent = array,
		.index = index,
	};
}

struct json_iter json_iter(const struct json_cursor *object)
{
	bool usable = object->value && json_kind(object) == JSON_OBJECT;

	return (struct json_iter){.object = object,
				  .next = usable ? lh_table_head(json_object_get_object(jc(object->value)))
						 : NULL};
}

bool json_next(struct json_iter *it, struct json_cursor *ret_member)
{
	struct lh_entry *entry = it->next;

	if (!entry)
		return false;
	*ret_member = (struct json_cursor){.value = (struct json *)(uintptr_t)lh_entry_v(entry),
					   .parent = it->object,
					   .key = lh_entry_k(entry)};
	it->next = lh_entry_next(entry);
	return true;
}
