/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON: building trees, printing them, quoting strings. */
#include <inttypes.h>
#include <json-c/json.h>

#include "base/json.h"
#include "base/memory.h"

static struct json_object *jc(const struct json *v)
{
	return (struct json_object *)(uintptr_t)v;
}

static struct json *made(struct json_object *o)
{
	if (!o)
		abort(); /* out of memory; json-c has no other reason */
	return (struct json *)o;
}

struct json *json_new_object(void)
{
	return made(json_object_new_object());
}

struct json *json_new_array(void)
{
	return made(json_object_new_array());
}

struct json *json_new_string(const char *s)
{
	return s ? made(json_object_new_string(s)) : NULL;
}

struct json *json_new_i64(int64_t v)
{
	return made(json_object_new_int64(v));
}

struct json *json_new_u64(uint64_t v)
{
	return made(json_object_new_uint64(v));
}

struct json *json_new_double(double v)
{
	return made(json_object_new_double(v));
}

struct json *json_new_bool(bool v)
{
	return made(json_object_new_boolean(v));
}

struct json *json_new_strv(char *const *v)
{
	struct json *array = json_new_array();

	STRV_FOREACH (s, v)
		json_append(array, json_new_string(*s));
	return array;
}

struct json *json_new_pairs(char *const *v)
{
	struct json *object = json_new_object();

	STRV_FOREACH (p, v) {
		size_t n = strcspn(*p, "=");
		_cleanup_free_ char *key = xstrndup(*p, n);
		json_set_string(object, key, (*p)[n] ? *p + n + 1 : "");
	}
	return object;
}

void json_set(struct json *obj, const char *key, struct json *value)
{
	if (json_object_object_add(jc(obj), key, jc(value)) != 0)
		abort();
}

void json_set_string(struct json *obj, const char *key, const char *s)
{
	json_set(obj, key, json_new_string(s));
}

void json_set_i64(struct json *obj, const char *key, int64_t v)
{
	json_set(obj, key, json_new_i64(v));
}

void json_set_u64(struct json *obj, const char *key, uint64_t v)
{
	json_set(obj, key, json_new_u64(v));
}

void json_set_bool(struct json *obj, const char *key, bool v)
{
	json_set(obj, key, json_new_bool(v));
}

void json_set_strv(struct json *obj, const char *key, char *const *v)
{
	json_set(obj, key, json_new_strv(v));
}

void json_remove(struct json *obj, const char *key)
{
	json_object_object_del(jc(obj), key);
}

void json_append(struct json *array, struct json *value)
{
	if (json_object_array_add(jc(array), jc(value)) != 0)
		abort();
}

struct json *json_deep_copy(const struct json *v)
{
	struct json_object *copy = NULL;

	if (v && json_object_deep_copy(jc(v), &copy, NULL) != 0)
		abort();
	return (struct json *)copy;
}

static void indent(struct strbuf *out, enum json_style style, int level)
{
	if (style != JSON_PRETTY)
		return;
	strbuf_putc(out, '\n');
	for (int i = 0; i < level; i++)
		strbuf_puts(out, "    ");
}

static void print(struct strbuf *out, struct json_object *o, enum json_style style, int level);

static void print_object(struct strbuf *out, struct json_object *o, enum json_style style, int level)
{
	bool first = true;

	strbuf_putc(out, '{');
	for (struct lh_entry *e = lh_table_head(json_object_get_object(o)); e; e = lh_entry_next(e)) {
		const char *key = lh_entry_k(e);

		if (!first)
			strbuf_putc(out, ',');
		first = false;
		indent(out, style, level + 1);
		json_quote(out, key, strlen(key));
		strbuf_puts(out, style == JSON_PRETTY ? ": " : ":");
		print(out, (struct json_object *)(uintptr_t)lh_entry_v(e), style, level + 1);
	}
	if (!first)
		indent(out, style, level);
	strbuf_putc(out, '}');
}

static void print(struct strbuf *out, struct json_object *o, enum json_style style, int level)
{
	switch (json_object_get_type(o)) {
	case json_type_object:
		print_object(out, o, style, level);
		break;
	case json_type_array:
		strbuf_putc(out, '[');
		for (size_t i = 0, n = json_object_array_length(o); i < n; i++) {
			if (i)
				strbuf_putc(out, ',');
			indent(out, style, level + 1);
			print(out, json_object_array_get_idx(o, i), style, level + 1);
		}
		if (json_object_array_length(o))
			indent(out, style, level);
		strbuf_putc(out, ']');
		break;
	case json_type_string:
		json_quote(out, json_object_get_string(o), (size_t)json_object_get_string_len(o));
		break;
	case json_type_null:
	case json_type_boolean:
	case json_type_double:
	case json_type_int:
	default:
		strbuf_puts(out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		break;
	}
}

char *json_print(const struct json *v, enum json_style style)
{
	struct strbuf out = {0};

	print(&out, jc(v), style, 0);
	return strbuf_take(&out);
}

/* Length of the valid UTF-8 sequence at p (RFC 3629), or 0. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80                   ? 1
		     : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		     : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		     : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						   : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static void quote_ascii(struct strbuf *out, unsigned char c)
{
	static const char *const short_forms[] = {
		['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\r'] = "\\r",
		['\t'] = "\\t", ['\b'] = "\\b",  ['\f'] = "\\f"};

	if (c < ARRAY_SIZE(short_forms) && short_forms[c])
		strbuf_puts(out, short_forms[c]);
	else if (c < 0x20 || c == 0x7f)
		strbuf_printf(out, "\\u%04x", c);
	else
		strbuf_putc(out, (char)c);
}

void json_quote(struct strbuf *out, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	strbuf_reserve(out, n + 2);
	strbuf_putc(out, '"');
	for (size_t i = 0; i < n;) {
		/* Long runs that need no escape go out in one piece. */
		size_t run = i;
		while (run < n && p[run] >= 0x20 && p[run] < 0x7f && p[run] != '"' && p[run] != '\\')
			run++;
		if (run > i) {
			strbuf_append(out, s + i, run - i);
			i = run;
			continue;
		}
		size_t len = utf8_sequence(p + i, n - i);
		if (len == 1)
			quote_ascii(out, p[i]);
		else if (len > 1)
			strbuf_append(out, s + i, len);
		else
			strbuf_puts(out, "\xef\xbf\xbd");
		i += len ? len : 1;
	}
	strbuf_putc(out, '"');
}
