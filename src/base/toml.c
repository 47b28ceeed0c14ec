/* SPDX-License-Identifier: Apache-2.0 */
#include "base/toml.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"

#define DEPTH_MAX 8
#define NAME_MAX_BYTES ((size_t)1024) /* of a table's or key's joined name */
#define STRING_MAX ((size_t)64 << 10)
#define LIST_MAX ((size_t)4096)

struct parser {
	const char *p, *end;
	const char *what;
	unsigned line, depth;
	struct err *(*event)(void *user, const struct toml_event *e);
	void *user;
};

static struct err *parse_value(struct parser *t, const char *table, const char *key);

static struct err *bad(const struct parser *t, const char *text)
{
	return err_new(ERR_INVALID, "%s line %u: %s", t->what, t->line, text);
}

static struct err *emit(struct parser *t, const struct toml_event *e)
{
	struct err *failed = t->event(t->user, e);
	return failed ? err_wrap(failed, "%s line %u", t->what, t->line) : NULL;
}

static int peek(const struct parser *t, size_t ahead)
{
	return ahead < (size_t)(t->end - t->p) ? (unsigned char)t->p[ahead] : -1;
}

static void skip_blanks(struct parser *t)
{
	while (peek(t, 0) == ' ' || peek(t, 0) == '\t')
		t->p++;
}

/* Blanks, comments and line ends. */
static void skip_space(struct parser *t)
{
	while (true) {
		skip_blanks(t);
		if (peek(t, 0) == '#')
			while (t->p < t->end && *t->p != '\n')
				t->p++;
		if (peek(t, 0) == '\r' && peek(t, 1) == '\n')
			t->p++;
		if (peek(t, 0) != '\n')
			return;
		t->p++;
		t->line++;
	}
}

static struct err *end_of_line(struct parser *t)
{
	unsigned line = t->line;

	skip_space(t);
	return t->p == t->end || t->line > line ? NULL : bad(t, "there is more behind the value");
}

/* -- strings ---------------------------------------------------------------------------------------------------- */

static void put_utf8(struct strbuf *b, uint32_t c)
{
	if (c < 0x80) {
		strbuf_putc(b, (char)c);
	} else if (c < 0x800) {
		strbuf_putc(b, (char)(0xc0 | c >> 6));
		strbuf_putc(b, (char)(0x80 | (c & 63)));
	} else if (c < 0x10000) {
		strbuf_putc(b, (char)(0xe0 | c >> 12));
		strbuf_putc(b, (char)(0x80 | (c >> 6 & 63)));
		strbuf_putc(b, (char)(0x80 | (c & 63)));
	} else {
		strbuf_putc(b, (char)(0xf0 | c >> 18));
		strbuf_putc(b, (char)(0x80 | (c >> 12 & 63)));
		strbuf_putc(b, (char)(0x80 | (c >> 6 & 63)));
		strbuf_putc(b, (char)(0x80 | (c & 63)));
	}
}

static struct err *unicode_escape(struct parser *t, size_t digits, struct strbuf *b)
{
	uint32_t c = 0;

	for (size_t i = 0; i < digits; i++) {
		int d = peek(t, 0);
		int v = d >= '0' && d <= '9'   ? d - '0'
			: d >= 'a' && d <= 'f' ? d - 'a' + 10
			: d >= 'A' && d <= 'F' ? d - 'A' + 10
					       : -1;
		if (v < 0)
			return bad(t, "malformed \\u escape");
		c = c << 4 | (uint32_t)v;
		t->p++;
	}
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return bad(t, "\\u escape of something that is no character");
	put_utf8(b, c);
	return NULL;
}

/* Behind the backslash. */
static struct err *escape(struct parser *t, bool multi_line, struct strbuf *b)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	int c = peek(t, 0);
	const char *at = c > 0 ? strchr(from, c) : NULL;

	if (at) {
		strbuf_putc(b, to[at - from]);
		t->p++;
		return NULL;
	}
	if (c == 'u' || c == 'U') {
		t->p++;
		return unicode_escape(t, c == 'u' ? 4 : 8, b);
	}
	if (!multi_line)
		return bad(t, "unknown escape in a string");
	skip_blanks(t); /* a line that goes on: what begins the next one does not count */
	if (peek(t, 0) != '\n' && !(peek(t, 0) == '\r' && peek(t, 1) == '\n'))
		return bad(t, "unknown escape in a string");
	while (t->p < t->end && strchr(" \t\r\n", *t->p) && *t->p)
		t->line += *t->p++ == '\n';
	return NULL;
}

/* At the quote. */
static struct err *parse_string(struct parser *t, char **ret)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	int quote = peek(t, 0);
	bool multi_line = peek(t, 1) == quote && peek(t, 2) == quote;

	t->p += multi_line ? 3 : 1;
	if (multi_line && peek(t, 0) == '\r')
		t->p++;
	if (multi_line && peek(t, 0) == '\n') {
		t->p++;
		t->line++;
	}
	while (true) {
		int c = peek(t, 0);
		if (c < 0 || (c == '\n' && !multi_line))
			return bad(t, "a string does not end");
		if (c == quote && (!multi_line || (peek(t, 1) == quote && peek(t, 2) == quote))) {
			t->p += multi_line ? 3 : 1;
			*ret = strbuf_take(&b);
			return NULL;
		}
		if ((c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 127)
			return bad(t, "control character in a string");
		if (b.len >= STRING_MAX)
			return bad(t, "a string is too long");
		t->p++;
		t->line += c == '\n';
		if (c == '\\' && quote == '"')
			TRY(escape(t, multi_line, &b));
		else
			strbuf_putc(&b, (char)c);
	}
}

/* -- keys and values -------------------------------------------------------------------------------------------- */

static bool is_bare(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-';
}

/* a."b c".d */
static struct err *parse_key(struct parser *t, char **ret)
{
	_cleanup_strbuf_ struct strbuf b = {0};

	while (true) {
		skip_blanks(t);
		if (peek(t, 0) == '"' || peek(t, 0) == '\'') {
			_cleanup_free_ char *part = NULL;
			TRY(parse_string(t, &part));
			strbuf_puts(&b, part);
		} else {
			if (!is_bare(peek(t, 0)))
				return bad(t, "a key is missing");
			while (is_bare(peek(t, 0)) && b.len <= NAME_MAX_BYTES)
				strbuf_putc(&b, *t->p++);
		}
		if (b.len > NAME_MAX_BYTES)
			return bad(t, "a key is too long");
		skip_blanks(t);
		if (peek(t, 0) != '.')
			break;
		strbuf_putc(&b, *t->p++);
	}
	*ret = strbuf_take(&b);
	return NULL;
}

static struct err *parse_pair(struct parser *t, const char *table)
{
	_cleanup_free_ char *key = NULL;

	TRY(parse_key(t, &key));
	if (peek(t, 0) != '=')
		return bad(t, "\"=\" is missing");
	t->p++;
	skip_blanks(t);
	return parse_value(t, table, key);
}

/* { key = value, … }: a table of its own below `table`. */
static struct err *parse_inline_table(struct parser *t, const char *table, const char *key)
{
	_cleanup_free_ char *name = xasprintf("%s%s%s", table, *table ? "." : "", key);
	bool first = true;

	if (strlen(name) > NAME_MAX_BYTES)
		return bad(t, "a key is too long");
	TRY(emit(t, &(struct toml_event){.kind = TOML_TABLE, .table = name, .key = ""}));
	t->p++;
	while (true) {
		skip_space(t);
		if (peek(t, 0) == '}')
			break;
		if (!first) {
			if (peek(t, 0) != ',')
				return bad(t, "\",\" or \"}\" is missing");
			t->p++;
			skip_space(t);
		}
		first = false;
		TRY(parse_pair(t, name));
	}
	t->p++;
	return NULL;
}

static struct err *ignore(void *user, const struct toml_event *e)
{
	return NULL;
}

static struct err *parse_element(struct parser *t, const char *table, const char *key, char ***list)
{
	char *s;

	if (peek(t, 0) == '"' || peek(t, 0) == '\'') {
		TRY(parse_string(t, &s));
		strv_push_take(list, s);
		return NULL;
	}
	if (peek(t, 0) == '{')
		return parse_value(t, table, key);
	struct err *(*event)(void *user, const struct toml_event *e) = t->event;
	t->event = ignore; /* numbers, arrays of arrays */
	struct err *e = parse_value(t, table, key);
	t->event = event;
	return e;
}

static struct err *parse_array(struct parser *t, const char *table, const char *key)
{
	_cleanup_strv_ char **list = NULL;
	size_t n = 0;

	t->p++;
	while (true) {
		skip_space(t);
		if (peek(t, 0) == ']')
			break;
		if (n++ == LIST_MAX)
			return bad(t, "an array has too many elements");
		TRY(parse_element(t, table, key, &list));
		skip_space(t);
		if (peek(t, 0) == ',')
			t->p++;
		else if (peek(t, 0) != ']')
			return bad(t, "\",\" or \"]\" is missing");
	}
	t->p++;
	return emit(t, &(struct toml_event){.kind = TOML_STRINGS, .table = table, .key = key, .list = list});
}

static struct err *parse_word(struct parser *t, const char *table, const char *key)
{
	struct toml_event e = {.kind = TOML_OTHER, .table = table, .key = key};
	const char *begin = t->p;

	while (is_bare(peek(t, 0)) || peek(t, 0) == '+' || peek(t, 0) == '.' || peek(t, 0) == ':')
		t->p++;
	size_t n = (size_t)(t->p - begin);
	if (n == 0)
		return bad(t, "a value is missing");
	bool yes = n == 4 && memcmp(begin, "true", n) == 0;
	if (yes || (n == 5 && memcmp(begin, "false", n) == 0)) {
		e.kind = TOML_BOOL;
		e.boolean = yes;
	} else if (!strchr("+-0123456789in", *begin)) { /* inf and nan are numbers */
		return bad(t, "a value is neither a string, a number, true nor false");
	}
	return emit(t, &e);
}

static struct err *parse_value(struct parser *t, const char *table, const char *key)
{
	_cleanup_free_ char *s = NULL;
	int c = peek(t, 0);

	if (c == '"' || c == '\'') {
		TRY(parse_string(t, &s));
		return emit(t,
			    &(struct toml_event){.kind = TOML_STRING, .table = table, .key = key, .text = s});
	}
	if (c != '[' && c != '{')
		return parse_word(t, table, key);
	if (t->depth == DEPTH_MAX)
		return bad(t, "values are nested too deeply");
	t->depth++;
	TRY(c == '[' ? parse_array(t, table, key) : parse_inline_table(t, table, key));
	t->depth--;
	return NULL;
}

static struct err *parse_header(struct parser *t, char **table)
{
	bool element = peek(t, 1) == '[';
	char *name;

	t->p += element ? 2 : 1;
	TRY(parse_key(t, &name));
	free(*table);
	*table = name;
	if (peek(t, 0) != ']' || (element && peek(t, 1) != ']'))
		return bad(t, "\"]\" is missing");
	t->p += element ? 2 : 1;
	return emit(t, &(struct toml_event){.kind = TOML_TABLE, .table = name, .key = ""});
}

struct err *toml_parse(const char *text, size_t size, const char *what,
		       struct err *(*event)(void *user, const struct toml_event *e), void *user)
{
	struct parser t = {
		.p = text, .end = text + size, .what = what, .line = 1, .event = event, .user = user};
	_cleanup_free_ char *table = xstrdup("");

	if (size > TOML_SIZE_MAX)
		return err_new(ERR_LIMIT, "%s has more than %zu bytes", what, TOML_SIZE_MAX);
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		t.p += 3;
	while (true) {
		skip_space(&t);
		if (t.p == t.end)
			return NULL;
		if (*t.p == '[')
			TRY(parse_header(&t, &table));
		else
			TRY(parse_pair(&t, table));
		TRY(end_of_line(&t));
	}
}
