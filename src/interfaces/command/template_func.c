// SPDX-License-Identifier: Apache-2.0
/* Values and functions of format templates. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/str.h"
#include "template_tree.h"

#define PAD_MAX 4096

struct value value_string(const char *s)
{
	return (struct value){.type = VALUE_STRING, .s = s};
}

struct value value_bool(bool b)
{
	return (struct value){.type = VALUE_BOOL, .b = b};
}

struct value value_of_json(struct json *j)
{
	struct value v = {.type = VALUE_NIL};
	struct json_cursor c = json_root(j);

	if (!j)
		return v;
	switch (json_kind(&c)) {
	case JSON_NULL:
		break;
	case JSON_BOOL:
		v.type = VALUE_BOOL;
		err_free(json_as_bool(&c, &v.b));
		break;
	case JSON_NUMBER: {
		struct err *e = json_as_i64(&c, INT64_MIN, INT64_MAX, &v.i);
		v.type = e ? VALUE_FLOAT : VALUE_INT;
		if (e)
			err_free(json_as_double(&c, &v.d));
		err_free(e);
		break;
	}
	case JSON_STRING: {
		struct err *e = json_as_string(&c, &v.s);
		v.type = VALUE_STRING;
		if (e)
			v.s = "";
		err_free(e);
		break;
	}
	case JSON_ARRAY:
	case JSON_OBJECT:
		v.type = VALUE_JSON;
		v.json = j;
		break;
	}
	return v;
}

bool value_true(const struct value *v)
{
	switch (v->type) {
	case VALUE_MISSING:
	case VALUE_NIL:
		return false;
	case VALUE_BOOL:
		return v->b;
	case VALUE_INT:
		return v->i != 0;
	case VALUE_FLOAT:
		return v->d != 0;
	case VALUE_STRING:
		return v->s[0] != '\0';
	case VALUE_JSON: {
		struct json_cursor c = json_root(v->json), m;
		if (json_kind(&c) == JSON_ARRAY)
			return json_array_len(&c) > 0;
		struct json_iter it = json_iter(&c);
		return json_next(&it, &m);
	}
	}
	return false;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(((const struct json_cursor *)a)->key, ((const struct json_cursor *)b)->key);
}

static void print_object(const struct json_cursor *object, struct strbuf *out)
{
	struct json_cursor *members = NULL, m;
	size_t n = 0, cap = 0;
	struct json_iter it = json_iter(object);

	while (json_next(&it, &m)) {
		GROW(members, n, cap);
		members[n++] = m;
	}
	if (n)
		qsort(members, n, sizeof(*members), compare_keys);
	strbuf_puts(out, "map[");
	for (size_t i = 0; i < n; i++) {
		struct value v = value_of_json(members[i].value);
		strbuf_printf(out, "%s%s:", i ? " " : "", members[i].key);
		if (v.type == VALUE_NIL)
			strbuf_puts(out, "<nil>");
		else
			value_print(&v, out);
	}
	strbuf_putc(out, ']');
	free(members);
}

static void print_array(const struct json_cursor *array, struct strbuf *out)
{
	size_t n = json_array_len(array);

	strbuf_putc(out, '[');
	for (size_t i = 0; i < n && out->len <= TEMPLATE_OUTPUT_MAX; i++) {
		struct json_cursor e = json_at(array, i);
		struct value v = value_of_json(e.value);
		if (i)
			strbuf_putc(out, ' ');
		if (v.type == VALUE_NIL)
			strbuf_puts(out, "<nil>");
		else
			value_print(&v, out);
	}
	strbuf_putc(out, ']');
}

void value_print(const struct value *v, struct strbuf *out)
{
	switch (v->type) {
	case VALUE_MISSING:
	case VALUE_NIL:
		strbuf_puts(out, "<no value>");
		break;
	case VALUE_BOOL:
		strbuf_puts(out, v->b ? "true" : "false");
		break;
	case VALUE_INT:
		strbuf_printf(out, "%" PRId64, v->i);
		break;
	case VALUE_FLOAT:
		strbuf_printf(out, "%.17g", v->d);
		break;
	case VALUE_STRING:
		strbuf_puts(out, v->s);
		break;
	case VALUE_JSON: {
		struct json_cursor c = json_root(v->json);
		if (json_kind(&c) == JSON_ARRAY)
			print_array(&c, out);
		else
			print_object(&c, out);
		break;
	}
	}
}

/* Hands a buffer's text to the scratch memory as a string value. */
static struct err *return_text(struct blocks *scratch, struct strbuf *b, struct value *ret)
{
	if (b->len > TEMPLATE_OUTPUT_MAX) {
		strbuf_release(b);
		return err_new(ERR_LIMIT, "format template: too much output");
	}
	*ret = value_string(blocks_take(scratch, strbuf_take(b)));
	return NULL;
}

static struct err *wrong_type(const char *function, const char *wants)
{
	return err_new(ERR_INVALID, "format template: %s wants %s", function, wants);
}

static const char *text_of(struct blocks *scratch, const struct value *v)
{
	if (v->type == VALUE_STRING)
		return v->s;
	struct strbuf b = {0};
	value_print(v, &b);
	return blocks_take(scratch, strbuf_take(&b));
}

static struct json *json_of(const struct value *v)
{
	switch (v->type) {
	case VALUE_MISSING:
	case VALUE_NIL:
		return NULL;
	case VALUE_BOOL:
		return json_new_bool(v->b);
	case VALUE_INT:
		return json_new_i64(v->i);
	case VALUE_FLOAT:
		return json_new_double(v->d);
	case VALUE_STRING:
		return json_new_string(v->s);
	case VALUE_JSON:
		return json_ref(v->json);
	}
	return NULL;
}

static struct err *fn_json(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	_cleanup_json_ struct json *j = json_of(&args[0]);
	struct strbuf b = {0};

	if (j) {
		_cleanup_free_ char *text = json_print(j, JSON_COMPACT);
		strbuf_puts(&b, text);
	} else {
		strbuf_puts(&b, "null");
	}
	return return_text(scratch, &b, ret);
}

static struct err *fn_join(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	struct strbuf b = {0};

	if (args[0].type == VALUE_NIL || args[0].type == VALUE_MISSING)
		return return_text(scratch, &b, ret);
	struct json_cursor c = json_root(args[0].json);
	if (args[0].type != VALUE_JSON || json_kind(&c) != JSON_ARRAY || args[1].type != VALUE_STRING)
		return wrong_type("join", "a list and a separator");
	for (size_t i = 0, count = json_array_len(&c); i < count && b.len <= TEMPLATE_OUTPUT_MAX; i++) {
		struct json_cursor e = json_at(&c, i);
		struct value v = value_of_json(e.value);
		if (i)
			strbuf_puts(&b, args[1].s);
		value_print(&v, &b);
	}
	return return_text(scratch, &b, ret);
}

static struct err *fn_split(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	if (args[0].type != VALUE_STRING || args[1].type != VALUE_STRING)
		return wrong_type("split", "a text and a separator");
	struct json *list = json_new_array();
	const char *s = args[0].s, *separator = args[1].s, *end;
	size_t len = strlen(separator);

	while (len && (end = strstr(s, separator))) {
		_cleanup_free_ char *part = xstrndup(s, (size_t)(end - s));
		json_append(list, json_new_string(part));
		s = end + len;
	}
	json_append(list, json_new_string(s));
	*ret = (struct value){.type = VALUE_JSON, .json = list};
	blocks_hold(scratch, list);
	return NULL;
}

static struct err *map_text(struct blocks *scratch, const struct value *v, int (*first)(int),
			    int (*rest)(int), struct value *ret)
{
	char *s = xstrdup(text_of(scratch, v));
	bool begin = true;

	for (char *c = s; *c; c++) {
		int (*f)(int) = begin ? first : rest;
		begin = *c == ' ' || *c == '\t' || *c == '\n';
		if (f && !(*c & 0x80))
			*c = (char)f(*c);
	}
	*ret = value_string(blocks_take(scratch, s));
	return NULL;
}

static struct err *fn_lower(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	return map_text(scratch, args, tolower, tolower, ret);
}

static struct err *fn_upper(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	return map_text(scratch, args, toupper, toupper, ret);
}

static struct err *fn_title(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	return map_text(scratch, args, toupper, NULL, ret);
}

static struct err *fn_pad(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	if (args[1].type != VALUE_INT || args[2].type != VALUE_INT || args[1].i < 0 || args[2].i < 0 ||
	    args[1].i > PAD_MAX || args[2].i > PAD_MAX)
		return wrong_type("pad", "a text and two small numbers");
	const char *s = text_of(scratch, &args[0]);
	struct strbuf b = {0};
	if (*s)
		strbuf_printf(&b, "%*s%s%*s", (int)args[1].i, "", s, (int)args[2].i, "");
	return return_text(scratch, &b, ret);
}

static struct err *fn_truncate(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	if (args[1].type != VALUE_INT || args[1].i < 0)
		return wrong_type("truncate", "a text and a length");
	const char *s = text_of(scratch, &args[0]);
	size_t len = strlen(s);
	*ret = value_string(blocks_take(scratch, xstrndup(s, MIN(len, (size_t)args[1].i))));
	return NULL;
}

static struct err *fn_not(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	*ret = value_bool(!value_true(&args[0]));
	return NULL;
}

/* Only reached for `and`/`or` without arguments of their own (a value piped in). */
static struct err *fn_last(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	*ret = args[n - 1];
	return NULL;
}

static struct err *fn_len(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	*ret = (struct value){.type = VALUE_INT};
	if (args[0].type == VALUE_STRING) {
		ret->i = (int64_t)strlen(args[0].s);
	} else if (args[0].type == VALUE_JSON) {
		struct json_cursor c = json_root(args[0].json), m;
		if (json_kind(&c) == JSON_ARRAY) {
			ret->i = (int64_t)json_array_len(&c);
		} else {
			for (struct json_iter it = json_iter(&c); json_next(&it, &m);)
				ret->i++;
		}
	} else if (args[0].type != VALUE_NIL && args[0].type != VALUE_MISSING) {
		return wrong_type("len", "a text, a list or an object");
	}
	return NULL;
}

static struct err *index_once(struct value *v, const struct value *key)
{
	if (v->type == VALUE_NIL || v->type == VALUE_MISSING) {
		*v = (struct value){.type = VALUE_NIL};
		return NULL;
	}
	if (v->type == VALUE_STRING && key->type == VALUE_INT) {
		if (key->i < 0 || (size_t)key->i >= strlen(v->s))
			return err_new(ERR_INVALID, "format template: index %" PRId64 " is out of range",
				       key->i);
		*v = (struct value){.type = VALUE_INT, .i = (unsigned char)v->s[key->i]};
		return NULL;
	}
	if (v->type != VALUE_JSON)
		return wrong_type("index", "a list or an object first");
	struct json_cursor c = json_root(v->json), m;
	if (json_kind(&c) == JSON_ARRAY) {
		if (key->type != VALUE_INT)
			return wrong_type("index", "a number for a list");
		if (key->i < 0 || (size_t)key->i >= json_array_len(&c))
			return err_new(ERR_INVALID,
				       "format template: index %" PRId64
				       " is out of range (the list has %zu)",
				       key->i, json_array_len(&c));
		m = json_at(&c, (size_t)key->i);
		*v = value_of_json(m.value);
		return NULL;
	}
	if (key->type != VALUE_STRING)
		return wrong_type("index", "a text for an object");
	struct json_iter it = json_iter(&c);
	while (json_next(&it, &m))
		if (str_eq(m.key, key->s)) {
			*v = value_of_json(m.value);
			return NULL;
		}
	/* Go answers the zero value of the map's type; for docker's maps, which hold texts, that is the empty
	 * one. */
	*v = value_string("");
	return NULL;
}

static struct err *fn_index(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	struct value v = args[0];

	for (size_t i = 1; i < n; i++)
		TRY(index_once(&v, &args[i]));
	*ret = v;
	return NULL;
}

static struct err *fn_slice(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	bool text = args[0].type == VALUE_STRING;
	struct json_cursor c = json_root(text ? NULL : args[0].json);

	if (!text && (args[0].type != VALUE_JSON || json_kind(&c) != JSON_ARRAY))
		return wrong_type("slice", "a text or a list first");
	int64_t len = text ? (int64_t)strlen(args[0].s) : (int64_t)json_array_len(&c), from = 0, to = len;
	for (size_t i = 1; i < n; i++)
		if (args[i].type != VALUE_INT)
			return wrong_type("slice", "numbers behind the first");
	if (n > 1)
		from = args[1].i;
	if (n > 2)
		to = args[2].i;
	if (from < 0 || to > len || from > to)
		return err_new(ERR_INVALID,
			       "format template: slice %" PRId64 ":%" PRId64
			       " is out of range (length %" PRId64 ")",
			       from, to, len);
	if (text) {
		*ret = value_string(blocks_take(scratch, xstrndup(args[0].s + from, (size_t)(to - from))));
		return NULL;
	}
	struct json *list = json_new_array();
	for (int64_t i = from; i < to; i++) {
		struct json_cursor e = json_at(&c, (size_t)i);
		json_append(list, json_ref(e.value));
	}
	blocks_hold(scratch, list);
	*ret = (struct value){.type = VALUE_JSON, .json = list};
	return NULL;
}

/* Go's Print puts blanks between operands that are both no strings; Println between all. */
static struct err *print_all(struct blocks *scratch, const struct value *args, size_t n, bool line,
			     struct value *ret)
{
	struct strbuf b = {0};

	for (size_t i = 0; i < n; i++) {
		if (i && (line || (args[i].type != VALUE_STRING && args[i - 1].type != VALUE_STRING)))
			strbuf_putc(&b, ' ');
		value_print(&args[i], &b);
	}
	if (line)
		strbuf_putc(&b, '\n');
	return return_text(scratch, &b, ret);
}

static struct err *fn_print(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	return print_all(scratch, args, n, false, ret);
}

static struct err *fn_println(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	return print_all(scratch, args, n, true, ret);
}

struct conversion {
	bool minus, zero, plus;
	int width, precision; /* -1: none */
	char verb;
};

static const char *parse_number(const char *s, int *ret)
{
	int v = 0;
	while (isdigit((unsigned char)*s)) {
		v = MIN(v * 10 + (*s - '0'), PAD_MAX);
		s++;
	}
	*ret = v;
	return s;
}

static const char *parse_conversion(const char *s, struct conversion *c)
{
	*c = (struct conversion){.width = 0, .precision = -1};
	for (;; s++) {
		if (*s == '-')
			c->minus = true;
		else if (*s == '0')
			c->zero = true;
		else if (*s == '+')
			c->plus = true;
		else
			break;
	}
	s = parse_number(s, &c->width);
	if (*s == '.')
		s = parse_number(s + 1, &c->precision);
	c->verb = *s;
	return *s ? s + 1 : s;
}

static void convert(const struct conversion *c, const struct value *v, struct strbuf *out)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	bool number = v->type == VALUE_INT || v->type == VALUE_FLOAT;

	if (c->verb == 'q' && v->type == VALUE_STRING)
		json_quote(&b, v->s, strlen(v->s));
	else if ((c->verb == 'x' || c->verb == 'X' || c->verb == 'o') && v->type == VALUE_INT)
		strbuf_printf(&b,
			      c->verb == 'x'   ? "%" PRIx64
			      : c->verb == 'X' ? "%" PRIX64
					       : "%" PRIo64,
			      v->i);
	else if (c->verb == 'f' && number)
		strbuf_printf(&b, "%.*f", c->precision < 0 ? 6 : MIN(c->precision, 40),
			      v->type == VALUE_INT ? (double)v->i : v->d);
	else if (c->verb == 'c' && v->type == VALUE_INT && v->i > 0 && v->i < 128)
		strbuf_putc(&b, (char)v->i);
	else if (strchr("vsdqtxXofgc", c->verb) && (c->verb != 'd' || number))
		value_print(v, &b);
	else {
		strbuf_printf(&b, "%%!%c(", c->verb);
		value_print(v, &b);
		strbuf_putc(&b, ')');
	}
	const char *s = strbuf_str(&b);
	int len = (int)MIN(b.len, (size_t)TEMPLATE_OUTPUT_MAX);
	if (c->precision >= 0 && c->verb == 's')
		len = MIN(len, c->precision);
	if (c->plus && number && s[0] != '-')
		strbuf_putc(out, '+');
	if (!c->minus)
		for (int i = len; i < c->width; i++)
			strbuf_putc(out, c->zero && number ? '0' : ' ');
	strbuf_append(out, s, (size_t)len);
	if (c->minus)
		for (int i = len; i < c->width; i++)
			strbuf_putc(out, ' ');
}

static struct err *fn_printf(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	struct strbuf b = {0};
	size_t next = 1;

	if (args[0].type != VALUE_STRING)
		return wrong_type("printf", "a format text first");
	for (const char *s = args[0].s; *s && b.len <= TEMPLATE_OUTPUT_MAX;) {
		struct conversion c;
		if (*s != '%') {
			strbuf_putc(&b, *s++);
			continue;
		}
		s = parse_conversion(s + 1, &c);
		if (c.verb == '%')
			strbuf_putc(&b, '%');
		else if (c.verb == '\0')
			strbuf_puts(&b, "%!(NOVERB)");
		else if (next == n)
			strbuf_printf(&b, "%%!%c(MISSING)", c.verb);
		else
			convert(&c, &args[next++], &b);
	}
	return return_text(scratch, &b, ret);
}

/* -1, 0, 1; an error when the two have nothing in common. */
static struct err *compare(const char *name, const struct value *a, const struct value *b, int *ret)
{
	if (a->type == VALUE_STRING && b->type == VALUE_STRING) {
		int c = strcmp(a->s, b->s);
		*ret = (c > 0) - (c < 0);
		return NULL;
	}
	if (a->type == VALUE_INT && b->type == VALUE_INT) {
		*ret = (a->i > b->i) - (a->i < b->i);
		return NULL;
	}
	bool a_number = a->type == VALUE_INT || a->type == VALUE_FLOAT,
	     b_number = b->type == VALUE_INT || b->type == VALUE_FLOAT;
	if (a_number && b_number) {
		double x = a->type == VALUE_INT ? (double)a->i : a->d,
		       y = b->type == VALUE_INT ? (double)b->i : b->d;
		*ret = (x > y) - (x < y);
		return NULL;
	}
	return err_new(ERR_INVALID, "format template: %s cannot compare values of different kinds", name);
}

static bool is_nothing(const struct value *v)
{
	return v->type == VALUE_NIL || v->type == VALUE_MISSING;
}

static struct err *equal(const char *name, const struct value *a, const struct value *b, bool *ret)
{
	int c;

	if (is_nothing(a) || is_nothing(b)) {
		*ret = is_nothing(a) && is_nothing(b);
		return NULL;
	}
	if (a->type == VALUE_BOOL && b->type == VALUE_BOOL) {
		*ret = a->b == b->b;
		return NULL;
	}
	TRY(compare(name, a, b, &c));
	*ret = c == 0;
	return NULL;
}

/* eq: true when the first equals any of the others. */
static struct err *fn_eq(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	bool same = false;

	for (size_t i = 1; i < n && !same; i++)
		TRY(equal("eq", &args[0], &args[i], &same));
	*ret = value_bool(same);
	return NULL;
}

static struct err *fn_ne(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	bool same = false;

	TRY(equal("ne", &args[0], &args[1], &same));
	*ret = value_bool(!same);
	return NULL;
}

#define ORDERING(id, condition)                                                                \
	static struct err *fn_##id(struct blocks *scratch, const struct value *args, size_t n, \
				   struct value *ret)                                          \
	{                                                                                      \
		int c;                                                                         \
		TRY(compare(#id, &args[0], &args[1], &c));                                     \
		*ret = value_bool(condition);                                                  \
		return NULL;                                                                   \
	}
ORDERING(lt, c < 0)
ORDERING(le, c <= 0)
ORDERING(gt, c > 0)
ORDERING(ge, c >= 0)

static struct err *fn_html(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	struct strbuf b = {0};

	for (const char *s = text_of(scratch, &args[0]); *s; s++) {
		const char *entity = *s == '<'    ? "&lt;"
				     : *s == '>'  ? "&gt;"
				     : *s == '&'  ? "&amp;"
				     : *s == '"'  ? "&#34;"
				     : *s == '\'' ? "&#39;"
						  : NULL;
		if (entity)
			strbuf_puts(&b, entity);
		else
			strbuf_putc(&b, *s);
	}
	return return_text(scratch, &b, ret);
}

static struct err *fn_js(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	struct strbuf b = {0};

	for (const char *s = text_of(scratch, &args[0]); *s; s++) {
		if (strchr("\\'\"", *s))
			strbuf_printf(&b, "\\%c", *s);
		else if ((unsigned char)*s < 0x20 || strchr("<>&=", *s))
			strbuf_printf(&b, "\\u%04X", (unsigned char)*s);
		else
			strbuf_putc(&b, *s);
	}
	return return_text(scratch, &b, ret);
}

static struct err *fn_urlquery(struct blocks *scratch, const struct value *args, size_t n, struct value *ret)
{
	struct strbuf b = {0};

	for (const char *s = text_of(scratch, &args[0]); *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-_.~", *s))
			strbuf_putc(&b, *s);
		else if (*s == ' ')
			strbuf_putc(&b, '+');
		else
			strbuf_printf(&b, "%%%02X", (unsigned char)*s);
	}
	return return_text(scratch, &b, ret);
}

const struct template_function *template_function_find(const char *name)
{
	static const struct template_function functions[] = {
		{"and", 1, TEMPLATE_ARGS_MAX, fn_last},
		{"eq", 2, TEMPLATE_ARGS_MAX, fn_eq},
		{"ge", 2, 2, fn_ge},
		{"gt", 2, 2, fn_gt},
		{"html", 1, 1, fn_html},
		{"index", 1, TEMPLATE_ARGS_MAX, fn_index},
		{"join", 2, 2, fn_join},
		{"js", 1, 1, fn_js},
		{"json", 1, 1, fn_json},
		{"le", 2, 2, fn_le},
		{"len", 1, 1, fn_len},
		{"lower", 1, 1, fn_lower},
		{"lt", 2, 2, fn_lt},
		{"ne", 2, 2, fn_ne},
		{"not", 1, 1, fn_not},
		{"or", 1, TEMPLATE_ARGS_MAX, fn_last},
		{"pad", 3, 3, fn_pad},
		{"print", 0, TEMPLATE_ARGS_MAX, fn_print},
		{"printf", 1, TEMPLATE_ARGS_MAX, fn_printf},
		{"println", 0, TEMPLATE_ARGS_MAX, fn_println},
		{"slice", 1, 3, fn_slice},
		{"split", 2, 2, fn_split},
		{"title", 1, 1, fn_title},
		{"truncate", 2, 2, fn_truncate},
		{"upper", 1, 1, fn_upper},
		{"urlquery", 1, 1, fn_urlquery},
	};
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (str_eq(functions[i].name, name))
			return &functions[i];
	return NULL;
}
