/* SPDX-License-Identifier: Apache-2.0 */
#include "log_entry.h"

#include "base/timestamp.h"

struct cursor {
	const char *p, *end;
};

static bool expect(struct cursor *c, char wanted)
{
	if (c->p == c->end || *c->p != wanted)
		return false;
	c->p++;
	return true;
}

static bool hex4(struct cursor *c, uint32_t *ret)
{
	uint32_t v = 0;

	if (c->end - c->p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char h = *c->p++;
		v <<= 4;
		if (h >= '0' && h <= '9')
			v |= (uint32_t)(h - '0');
		else if ((h | 0x20) >= 'a' && (h | 0x20) <= 'f')
			v |= (uint32_t)((h | 0x20) - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

static void put_utf8(struct strbuf *out, uint32_t v)
{
	if (v < 0x80) {
		strbuf_putc(out, (char)v);
		return;
	}
	if (v < 0x800) {
		strbuf_putc(out, (char)(0xC0 | v >> 6));
	} else {
		if (v < 0x10000) {
			strbuf_putc(out, (char)(0xE0 | v >> 12));
		} else {
			strbuf_putc(out, (char)(0xF0 | v >> 18));
			strbuf_putc(out, (char)(0x80 | (v >> 12 & 0x3F)));
		}
		strbuf_putc(out, (char)(0x80 | (v >> 6 & 0x3F)));
	}
	strbuf_putc(out, (char)(0x80 | (v & 0x3F)));
}

static bool unicode_escape(struct cursor *c, struct strbuf *out)
{
	uint32_t v, low;

	if (!hex4(c, &v))
		return false;
	if (v >= 0xD800 && v <= 0xDBFF) {
		struct cursor ahead = *c;
		if (expect(&ahead, '\\') && expect(&ahead, 'u') && hex4(&ahead, &low) && low >= 0xDC00 &&
		    low <= 0xDFFF) {
			*c = ahead;
			v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
		}
	}
	put_utf8(out, v >= 0xD800 && v <= 0xDFFF ? 0xFFFD : v);
	return true;
}

static bool escape(struct cursor *c, struct strbuf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

	if (c->p == c->end)
		return false;
	char kind = *c->p++;
	if (kind == 'u')
		return unicode_escape(c, out);
	const char *at = kind ? strchr(from, kind) : NULL;
	if (at)
		strbuf_putc(out, to[at - from]);
	return at;
}

static bool string(struct cursor *c, struct strbuf *out)
{
	if (!expect(c, '"'))
		return false;
	while (c->p < c->end && *c->p != '"') {
		const char *run = c->p;
		while (c->p < c->end && *c->p != '"' && *c->p != '\\')
			c->p++;
		strbuf_append(out, run, (size_t)(c->p - run));
		if (c->p < c->end && *c->p == '\\') {
			c->p++;
			if (!escape(c, out))
				return false;
		}
	}
	return expect(c, '"');
}

/* An object of strings. */
static bool attributes(struct cursor *c, struct strbuf *out)
{
	strbuf_reset(out);
	if (!expect(c, '{'))
		return false;
	if (expect(c, '}'))
		return true;
	do {
		if (out->len)
			strbuf_putc(out, ',');
		if (!string(c, out) || !expect(c, ':'))
			return false;
		strbuf_putc(out, '=');
		if (!string(c, out))
			return false;
	} while (expect(c, ','));
	return expect(c, '}');
}

static bool member(struct cursor *c, struct log_entry *e, unsigned *seen)
{
	_cleanup_strbuf_ struct strbuf key = {0}, value = {0};

	if (!string(c, &key) || !expect(c, ':'))
		return false;
	if (str_eq(strbuf_str(&key), "attrs"))
		return attributes(c, &e->attributes);
	if (str_eq(strbuf_str(&key), "log")) {
		strbuf_reset(&e->text);
		*seen |= 1;
		return string(c, &e->text);
	}
	if (!string(c, &value))
		return false;
	if (str_eq(strbuf_str(&key), "stream")) {
		e->stream = str_eq(strbuf_str(&value), "stderr");
		*seen |= 2;
	} else if (str_eq(strbuf_str(&key), "time")) {
		struct err *error = timestamp_parse(strbuf_str(&value), &e->time_ns);
		if (error) {
			err_free(error);
			return false;
		}
		*seen |= 4;
	}
	return true;
}

/* TIME STREAM TAGS TEXT, where the first of the tags is F or P. */
static bool parse_cri(const char *line, size_t size, struct log_entry *e)
{
	const char *end = line + size, *time_end = memchr(line, ' ', size);
	char time[TIMESTAMP_STRING_MAX];

	if (!time_end || (size_t)(time_end - line) >= sizeof(time) || end - time_end < 10)
		return false;
	memcpy(time, line, (size_t)(time_end - line));
	time[time_end - line] = '\0';
	struct err *error = timestamp_parse(time, &e->time_ns);
	err_free(error);
	const char *p = time_end + 1;
	if (error || (memcmp(p, "stdout ", 7) != 0 && memcmp(p, "stderr ", 7) != 0))
		return false;
	e->stream = memcmp(p, "stderr ", 7) == 0;
	p += 7;
	const char *tag_end = memchr(p, ' ', (size_t)(end - p));
	if (!tag_end || (*p != 'F' && *p != 'P'))
		return false;
	strbuf_reset(&e->text);
	strbuf_append(&e->text, tag_end + 1, (size_t)(end - tag_end - 1));
	if (*p == 'F')
		strbuf_putc(&e->text, '\n');
	return true;
}

bool log_entry_parse(const char *line, size_t size, struct log_entry *e)
{
	struct cursor c = {line, line + size};
	unsigned seen = 0;

	strbuf_reset(&e->attributes);
	if (size > 0 && line[0] != '{')
		return parse_cri(line, size, e);
	if (!expect(&c, '{'))
		return false;
	do {
		if (!member(&c, e, &seen))
			return false;
	} while (expect(&c, ','));
	return expect(&c, '}') && c.p == c.end && seen == 7;
}
