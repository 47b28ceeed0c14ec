/* SPDX-License-Identifier: Apache-2.0 */
#include "gvariant.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/dbus.h"
#include "base/memory.h"

#define TEXT_MAX 65536
#define ELEMENTS_MAX 4096

static const struct {
	const char *keyword;
	char code;
} keywords[] = {
	{"boolean", 'b'}, {"byte", 'y'},       {"int16", 'n'},     {"uint16", 'q'},
	{"int32", 'i'},   {"uint32", 'u'},     {"int64", 'x'},     {"uint64", 't'},
	{"double", 'd'},  {"objectpath", 'o'}, {"signature", 'g'}, {"string", 's'},
};

struct parser {
	const char *text, *at;
};

static struct err *wrong(const struct parser *p, const char *what)
{
	return err_new(ERR_INVALID, "%s at character %zu of \"%.64s\"", what, (size_t)(p->at - p->text) + 1,
		       p->text);
}

static void skip_blanks(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

static bool take_word(struct parser *p, const char *word)
{
	size_t n = strlen(word);
	if (!str_starts(p->at, word) || isalnum((unsigned char)p->at[n]))
		return false;
	p->at += n;
	return true;
}

/* "uint64 5" or "@t 5"; *ret is '\0' when no type is given. "@as" asks for an array. */
static struct err *parse_type(struct parser *p, char *ret, bool *ret_array)
{
	*ret = '\0';
	*ret_array = false;
	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		if (take_word(p, keywords[i].keyword)) {
			*ret = keywords[i].code;
			skip_blanks(p);
			return NULL;
		}
	if (*p->at != '@')
		return NULL;
	p->at++;
	if (*p->at == 'a') {
		*ret_array = true;
		p->at++;
	}
	if (!*p->at || !strchr("bynqiuxtdogs", *p->at) || !isspace((unsigned char)p->at[1]))
		return wrong(p, "unknown type");
	*ret = *p->at++;
	skip_blanks(p);
	return NULL;
}

static int hex_digits(const char *s, size_t n, uint32_t *ret)
{
	uint32_t v = 0;
	for (size_t i = 0; i < n; i++) {
		if (!isxdigit((unsigned char)s[i]))
			return -1;
		v = v * 16 + (uint32_t)(isdigit((unsigned char)s[i]) ? s[i] - '0' : (s[i] | 32) - 'a' + 10);
	}
	*ret = v;
	return 0;
}

static void put_utf8(struct strbuf *b, uint32_t c)
{
	if (c < 0x80) {
		strbuf_putc(b, (char)c);
	} else if (c < 0x800) {
		strbuf_putc(b, (char)(0xc0 | c >> 6));
		strbuf_putc(b, (char)(0x80 | (c & 0x3f)));
	} else {
		strbuf_putc(b, (char)(0xe0 | c >> 12));
		strbuf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
		strbuf_putc(b, (char)(0x80 | (c & 0x3f)));
	}
}

static struct err *parse_escape(struct parser *p, struct strbuf *out)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	uint32_t c;
	char kind = *++p->at;
	if (!kind)
		return wrong(p, "the string does not end");
	const char *known = strchr(from, kind);
	if (kind == 'u') {
		if (hex_digits(p->at + 1, 4, &c) < 0 || c == 0 || (c >= 0xd800 && c < 0xe000))
			return wrong(p, "\\u wants four hexadecimal digits of a character");
		put_utf8(out, c);
		p->at += 4;
	} else {
		strbuf_putc(out, known ? to[known - from] : kind);
	}
	p->at++;
	return NULL;
}

static struct err *parse_string(struct parser *p, struct strbuf *out)
{
	char quote = *p->at++;
	while (*p->at != quote) {
		if (!*p->at)
			return wrong(p, "the string does not end");
		if (*p->at == '\\')
			TRY(parse_escape(p, out));
		else
			strbuf_putc(out, *p->at++);
	}
	p->at++;
	return NULL;
}

static struct err *put_text(const struct parser *p, char type, const char *s, struct strbuf *b)
{
	bool path = type == 'o', signature = type == 'g';
	if ((path && s[0] != '/') || (signature && strlen(s) > 255))
		return wrong(p, "not a value of this type");
	if (signature)
		dbus_put_signature(b, s);
	else
		dbus_put_string(b, s);
	return NULL;
}

static const struct int_range {
	char type;
	int64_t min;
	uint64_t max;
} int_ranges[] = {
	{'y', 0, UINT8_MAX},  {'n', INT16_MIN, INT16_MAX}, {'q', 0, UINT16_MAX}, {'i', INT32_MIN, INT32_MAX},
	{'u', 0, UINT32_MAX}, {'x', INT64_MIN, INT64_MAX}, {'t', 0, UINT64_MAX},
};

static void put_integer(struct strbuf *b, char type, uint64_t bits)
{
	if (type == 'y')
		dbus_put_byte(b, (uint8_t)bits);
	else if (type == 'n' || type == 'q')
		dbus_put_u16(b, (uint16_t)bits);
	else if (type == 'i' || type == 'u')
		dbus_put_u32(b, (uint32_t)bits);
	else
		dbus_put_u64(b, bits);
}

/* Decimal, 0x and 0 for octal, as the format has it. */
static struct err *parse_number(struct parser *p, char type, struct strbuf *b, double *ret)
{
	char *end;
	bool negative = *p->at == '-';
	size_t n = strspn(p->at, "+-0123456789abcdefABCDEFxX.");
	if (type == 'd') {
		errno = 0;
		*ret = strtod(p->at, &end);
		if (end == p->at || errno || end > p->at + n)
			return wrong(p, "not a number");
		dbus_put_double(b, *ret);
		p->at = end;
		return NULL;
	}
	const struct int_range *range = int_ranges;
	while (range->type != type)
		range++;
	errno = 0;
	const char *digits = p->at + (negative || *p->at == '+');
	if (!isdigit((unsigned char)*digits))
		return wrong(p, "not a number");
	uint64_t v = strtoull(digits, &end, 0);
	uint64_t below = range->min < 0 ? (uint64_t) - (range->min + 1) + 1 : 0;
	if (errno || v > (negative ? below : range->max))
		return wrong(p, "out of its type's range");
	*ret = negative ? -(double)v : (double)v;
	put_integer(b, type, negative ? -v : v);
	p->at = end;
	return NULL;
}

/* One value; *type is what it must be, or '\0': then it is found here. */
static struct err *parse_scalar(struct parser *p, char *type, struct strbuf *b, double *ret_number)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	bool boolean = take_word(p, "true");
	if (boolean || take_word(p, "false")) {
		if (*type && *type != 'b')
			return wrong(p, "not a value of this type");
		*type = 'b';
		dbus_put_bool(b, boolean);
		return NULL;
	}
	if (*p->at == '\'' || *p->at == '"') {
		if (*type && !strchr("sog", *type))
			return wrong(p, "not a value of this type");
		if (!*type)
			*type = 's';
		TRY(parse_string(p, &text));
		return put_text(p, *type, strbuf_str(&text), b);
	}
	if (*type && !strchr("ynqiuxtd", *type))
		return wrong(p, "not a value of this type");
	if (!*type)
		*type = p->at[strspn(p->at, "+-0123456789")] == '.' ? 'd' : 'i';
	return parse_number(p, *type, b, ret_number);
}

static struct err *parse_array(struct parser *p, char type, struct gvariant *v)
{
	double number;
	size_t n = 0;
	p->at++;
	for (skip_blanks(p); *p->at != ']'; n++) {
		if (n == ELEMENTS_MAX)
			return wrong(p, "too many elements");
		TRY(parse_scalar(p, &type, &v->value, &number));
		skip_blanks(p);
		if (*p->at == ',')
			p->at++;
		else if (*p->at != ']')
			return wrong(p, "expected , or ]");
		skip_blanks(p);
	}
	p->at++;
	if (!type)
		return wrong(p, "an empty array needs its type, such as @as []");
	v->type[0] = 'a';
	v->type[1] = type;
	return NULL;
}

static struct err *parse_value(struct parser *p, struct gvariant *v)
{
	char type;
	bool array;
	skip_blanks(p);
	TRY(parse_type(p, &type, &array));
	if (*p->at == '[' && (array || !type)) {
		TRY(parse_array(p, type, v));
	} else {
		if (array)
			return wrong(p, "expected [");
		TRY(parse_scalar(p, &type, &v->value, &v->number));
		v->type[0] = type;
		v->numeric = strchr("ynqiuxtd", type) != NULL;
	}
	skip_blanks(p);
	return *p->at ? wrong(p, "unexpected text") : NULL;
}

struct err *gvariant_parse(const char *text, struct gvariant *ret)
{
	struct parser p = {.text = text, .at = text};
	struct gvariant v = {0};
	if (strlen(text) > TEXT_MAX)
		return err_new(ERR_LIMIT, "longer than %d bytes", TEXT_MAX);
	struct err *e = parse_value(&p, &v);
	if (e) {
		gvariant_release(&v);
		return e;
	}
	*ret = v;
	return NULL;
}

void gvariant_put(const struct gvariant *v, struct strbuf *b)
{
	bool array = v->type[0] == 'a';
	struct dbus_array a = {0};
	if (array)
		a = dbus_array_open(b, dbus_alignment(v->type[1]));
	else
		dbus_align(b, dbus_alignment(v->type[0]));
	strbuf_append(b, v->value.data, v->value.len);
	if (array)
		dbus_array_close(b, a);
}

void gvariant_release(struct gvariant *v)
{
	strbuf_release(&v->value);
}
