/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdlib.h>

#include "base/memory.h"

void http_request_release(struct http_request *r)
{
	free(r->text);
	*r = (struct http_request){0};
}

struct err *http_head_size(const char *data, size_t size, size_t *ret)
{
	size_t look = MIN(size, (size_t)HTTP_HEAD_MAX);
	const char *end = look ? memmem(data, look, "\r\n\r\n", 4) : NULL;

	if (!end && size >= HTTP_HEAD_MAX)
		return err_new(ERR_LIMIT, "the request's headers are larger than %u bytes", HTTP_HEAD_MAX);
	*ret = end ? (size_t)(end - data) + 4 : 0;
	return NULL;
}

static bool is_token(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 127 || strchr("\"(),/:;<=>?@[\\]{}", *s))
			return false;
	return true;
}

static struct err *parse_line(char *line, struct http_request *r)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return err_new(ERR_INVALID, "the request line is not METHOD PATH HTTP/1.1");
	*target++ = '\0';
	*version++ = '\0';
	if (!str_starts(version, "HTTP/1.") || (version[7] != '0' && version[7] != '1') || version[8])
		return err_new(ERR_INVALID, "not a version of HTTP/1");
	r->minor = (unsigned)(version[7] - '0');
	if (!is_token(line))
		return err_new(ERR_INVALID, "the request's method is not a word");
	/* http://host/path is the form for proxies. */
	if (str_starts(target, "http://"))
		target = strchr(target + 7, '/');
	if (!target || *target != '/')
		return err_new(ERR_INVALID, "the request's path does not begin with /");
	r->method = line;
	r->path = target;
	char *query = strchr(target, '?');
	if (query)
		*query++ = '\0';
	r->query = query ? query : "";
	return NULL;
}

static struct err *parse_header(char *line, struct http_request *r)
{
	char *colon = strchr(line, ':');

	if (!colon || *line == ' ' || *line == '\t')
		return err_new(ERR_INVALID, "a header is not NAME: VALUE");
	*colon = '\0';
	if (!is_token(line))
		return err_new(ERR_INVALID, "a header's name is not a word");
	char *value = colon + 1 + strspn(colon + 1, " \t");
	for (size_t n = strlen(value); n && (value[n - 1] == ' ' || value[n - 1] == '\t'); n--)
		value[n - 1] = '\0';
	if (r->n_headers == HTTP_HEADERS_MAX)
		return err_new(ERR_LIMIT, "more than %u headers", HTTP_HEADERS_MAX);
	r->headers[r->n_headers++] = (struct http_header){line, value};
	return NULL;
}

/* Is `word` in a comma-separated value? */
static bool has_word(const char *value, const char *word)
{
	size_t n = strlen(word);

	while (value && *value) {
		value += strspn(value, " \t,");
		size_t length = strcspn(value, ",");
		size_t bare = length;
		while (bare && (value[bare - 1] == ' ' || value[bare - 1] == '\t'))
			bare--;
		if (bare == n && strncasecmp(value, word, n) == 0)
			return true;
		value += length;
	}
	return false;
}

static size_t count(const struct http_request *r, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_headers; i++)
		n += strcasecmp(r->headers[i].name, name) == 0;
	return n;
}

/* Two lengths, or a length and chunks, are how requests are smuggled (RFC 9112, 6.3). */
static struct err *find_body(struct http_request *r)
{
	const char *length = http_header(r, "Content-Length"), *coding = http_header(r, "Transfer-Encoding");

	if (count(r, "Content-Length") + count(r, "Transfer-Encoding") > 1)
		return err_new(ERR_INVALID, "the body's length is given more than once");
	if (coding) {
		if (strcasecmp(coding, "chunked") != 0)
			return err_new(ERR_UNSUPPORTED, "Transfer-Encoding \"%.32s\"", coding);
		r->body = HTTP_BODY_CHUNKED;
	} else if (length) {
		TRY(parse_u64(length, "Content-Length", 0, INT64_MAX, &r->body_length));
		r->body = r->body_length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
	}
	return NULL;
}

static struct err *parse(struct http_request *r)
{
	char *line = r->text;
	bool first = true;

	while (true) {
		char *end = strstr(line, "\r\n");
		if (!end)
			return err_new(ERR_INVALID, "a header line does not end");
		*end = '\0';
		if (strpbrk(line, "\r\n"))
			return err_new(ERR_INVALID, "a line break inside a header");
		if (!*line && !first)
			break;
		TRY(first ? parse_line(line, r) : parse_header(line, r));
		first = false;
		line = end + 2;
	}
	TRY(find_body(r));
	const char *connection = http_header(r, "Connection"), *expect = http_header(r, "Expect");
	r->keep_alive = r->minor >= 1 ? !has_word(connection, "close") : has_word(connection, "keep-alive");
	r->upgrade = has_word(connection, "upgrade") && http_header(r, "Upgrade");
	r->expects_continue = expect && strcasecmp(expect, "100-continue") == 0;
	return NULL;
}

struct err *http_request_parse(const char *data, size_t size, struct http_request *ret)
{
	struct http_request r = {0};

	if (memchr(data, '\0', size))
		return err_new(ERR_INVALID, "a NUL in the request's head");
	r.text = xstrndup(data, size);
	struct err *e = parse(&r);
	if (e)
		http_request_release(&r);
	else
		*ret = r;
	return e;
}

const char *http_header(const struct http_request *r, const char *name)
{
	for (size_t i = 0; i < r->n_headers; i++)
		if (strcasecmp(r->headers[i].name, name) == 0)
			return r->headers[i].value;
	return NULL;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *http_decode(const char *s, size_t n, bool plus)
{
	_cleanup_strbuf_ struct strbuf b = {0};

	for (size_t i = 0; i < n; i++) {
		int high = 0, low = 0;
		if (s[i] == '%') {
			high = n - i > 2 ? hex(s[i + 1]) : -1;
			low = n - i > 2 ? hex(s[i + 2]) : -1;
			if (high < 0 || low < 0 || (high == 0 && low == 0))
				return NULL;
			strbuf_putc(&b, (char)(high << 4 | low));
			i += 2;
		} else {
			strbuf_putc(&b, plus && s[i] == '+' ? ' ' : s[i]);
		}
	}
	return strbuf_take(&b);
}

char **http_query_all(const struct http_request *r, const char *name)
{
	char **all = NULL;

	for (const char *p = r->query; p && *p;) {
		size_t n = strcspn(p, "&"), key = strcspn(p, "=&");
		_cleanup_free_ char *k = http_decode(p, key, true);
		if (str_eq(k, name)) {
			char *value = key < n ? http_decode(p + key + 1, n - key - 1, true) : xstrdup("");
			if (value)
				strv_push_take(&all, value);
		}
		p += n + (p[n] == '&');
	}
	return all;
}

char *http_query(const struct http_request *r, const char *name)
{
	_cleanup_strv_ char **all = http_query_all(r, name);

	return all ? xstrdup(all[0]) : NULL;
}

static struct err *chunk_size(struct http_chunks *c)
{
	size_t digits = 0;

	c->left = 0;
	while (hex(c->line[digits]) >= 0) {
		if (digits == 15)
			return err_new(ERR_INVALID, "a chunk of the body is too large");
		c->left = c->left << 4 | (uint64_t)hex(c->line[digits++]);
	}
	if (!digits || (c->line[digits] && !strchr(" \t;", c->line[digits])))
		return err_new(ERR_INVALID, "the size of a chunk of the body is not a number");
	c->state = c->left ? CHUNK_DATA : CHUNK_TRAILER;
	return NULL;
}

static struct err *chunk_line(struct http_chunks *c)
{
	if (c->n && c->line[c->n - 1] == '\r')
		c->n--;
	c->line[c->n] = '\0';
	size_t n = c->n;
	c->n = 0;
	if (c->state == CHUNK_SIZE)
		return chunk_size(c);
	if (c->state == CHUNK_END && n)
		return err_new(ERR_INVALID, "a chunk of the body is longer than it says");
	if (c->state == CHUNK_END)
		c->state = CHUNK_SIZE;
	else if (!n)
		c->state = CHUNK_DONE;
	return NULL;
}

struct err *http_chunks_feed(struct http_chunks *c, const char *in, size_t size, size_t *ret_used,
			     const char **ret_data, size_t *ret_size)
{
	size_t used = 0;

	*ret_size = 0;
	*ret_data = in;
	while (used < size && c->state != CHUNK_DONE) {
		if (c->state == CHUNK_DATA) {
			*ret_data = in + used;
			*ret_size = (size_t)MIN(c->left, (uint64_t)(size - used));
			c->left -= *ret_size;
			used += *ret_size;
			if (!c->left)
				c->state = CHUNK_END;
			break;
		}
		char byte = in[used++];
		if (byte == '\n') {
			TRY(chunk_line(c));
		} else if (c->n + 1 < sizeof(c->line) && byte) {
			c->line[c->n++] = byte;
		} else {
			return err_new(ERR_INVALID, "the body's chunks are damaged");
		}
	}
	*ret_used = used;
	return NULL;
}
