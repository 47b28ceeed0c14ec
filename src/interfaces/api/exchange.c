/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"

#define DRAIN_MAX (1u << 20)
#define TAKEN_STEP_NS 100000
#define TAKEN_STEPS 500

/* -- the request --- */

static struct err *receive(struct exchange *x, void *data, size_t size, size_t *ret_n)
{
	ssize_t n;

	if (x->in->len) {
		*ret_n = MIN(size, x->in->len);
		memcpy(data, x->in->data, *ret_n);
		memmove(x->in->data, x->in->data + *ret_n, x->in->len - *ret_n);
		x->in->len -= *ret_n;
		return NULL;
	}
	do
		n = recv(x->fd, data, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(errno, "cannot read the request's body");
	if (n == 0)
		return err_new(ERR_UNREACHABLE, "the client has gone before the end of the request's body");
	*ret_n = (size_t)n;
	return NULL;
}

static void give_back(struct exchange *x, const char *data, size_t size)
{
	struct strbuf b = {0};

	strbuf_append(&b, data, size);
	strbuf_append(&b, strbuf_str(x->in), x->in->len);
	strbuf_release(x->in);
	*x->in = b;
}

static struct err *read_chunked(struct exchange *x, void *data, size_t size, size_t *ret_n)
{
	char in[16384];

	while (x->chunks.state != CHUNK_DONE) {
		const char *piece;
		size_t got, used, n;
		TRY(receive(x, in, MIN(size, sizeof(in)), &got));
		TRY(http_chunks_feed(&x->chunks, in, got, &used, &piece, &n));
		memcpy(data, piece, n);
		if (used < got)
			give_back(x, in + used, got - used);
		if (n) {
			*ret_n = n;
			return NULL;
		}
	}
	x->body_done = true;
	*ret_n = 0;
	return NULL;
}

struct err *exchange_read(struct exchange *x, void *data, size_t size, size_t *ret_n)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	*ret_n = 0;
	if (x->request.body == HTTP_BODY_NONE)
		x->body_done = true;
	if (x->body_done)
		return NULL;
	if (x->request.expects_continue && !x->continued)
		TRY(fd_write_full(x->fd, go_on, strlen(go_on), "the client's connection"));
	x->continued = true;
	if (x->request.body == HTTP_BODY_CHUNKED)
		return read_chunked(x, data, size, ret_n);
	if (x->body_left) {
		TRY(receive(x, data, (size_t)MIN((uint64_t)size, x->body_left), ret_n));
		x->body_left -= *ret_n;
	}
	x->body_done = !x->body_left;
	return NULL;
}

struct err *exchange_json(struct exchange *x, bool optional, struct json **ret)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	char piece[8192];

	while (true) {
		size_t n;
		TRY(exchange_read(x, piece, sizeof(piece), &n));
		if (!n)
			break;
		strbuf_append(&b, piece, n);
		if (b.len > JSON_SIZE_MAX / 4)
			return err_new(ERR_LIMIT, "the request's body is larger than %u bytes",
				       JSON_SIZE_MAX / 4);
	}
	if (strspn(strbuf_str(&b), " \t\r\n") == b.len) {
		if (!optional)
			return err_new(ERR_INVALID, "invalid JSON: got EOF while reading request body");
		*ret = NULL;
		return NULL;
	}
	TRY(json_parse(b.data, b.len, "the request's body", ret));
	struct json_cursor root = json_root(*ret);
	if (json_kind(&root) == JSON_OBJECT)
		return NULL;
	bool null = json_kind(&root) == JSON_NULL;
	json_unref(*ret);
	*ret = NULL;
	return null && optional ? NULL : err_new(ERR_INVALID, "the request's body is not a JSON object");
}

struct err *exchange_spool(struct exchange *x, int *ret_fd)
{
	_cleanup_fd_ int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char piece[32768];

	if (fd < 0)
		fd = memfd_create("body", MFD_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot make a file for the request's body");
	while (true) {
		size_t n;
		TRY(exchange_read(x, piece, sizeof(piece), &n));
		if (!n)
			break;
		TRY(fd_write_full(fd, piece, n, "the request's body"));
	}
	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_errno(errno, "cannot rewind the request's body");
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

void exchange_drain(struct exchange *x)
{
	char sink[8192];
	size_t all = 0, n;

	if (x->request.expects_continue && !x->continued && !x->body_done &&
	    x->request.body != HTTP_BODY_NONE) {
		x->close = true; /* whether it sends the body now is not known */
		return;
	}
	while (!x->body_done && !x->close) {
		struct err *e = exchange_read(x, sink, sizeof(sink), &n);
		all += e ? 0 : n;
		x->close = e || all > DRAIN_MAX;
		err_free(e);
	}
}

bool exchange_flag(const struct exchange *x, const char *name, bool absent)
{
	_cleanup_free_ char *s = http_query(&x->request, name);

	if (!s)
		return absent;
	return *s && !str_eq(s, "0") && strcasecmp(s, "no") != 0 && strcasecmp(s, "false") != 0 &&
	       strcasecmp(s, "none") != 0;
}

struct err *exchange_number(const struct exchange *x, const char *name, int64_t absent, int64_t *ret)
{
	_cleanup_free_ char *s = http_query(&x->request, name);

	*ret = absent;
	return str_empty(s) ? NULL : parse_i64(s, name, INT64_MIN, INT64_MAX, ret);
}

static bool is_known(const char *known, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = known; n && (p = strstr(p, word)) != NULL; p += n)
		if ((p == known || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

static struct err *add_filter(const struct json_cursor *m, char ***ret)
{
	if (json_kind(m) == JSON_OBJECT) {
		struct json_iter it = json_iter(m);
		struct json_cursor v;
		while (json_next(&it, &v)) {
			bool on = false;
			TRY(json_as_bool(&v, &on));
			if (on)
				strv_push_take(ret, xasprintf("%s=%s", m->key, v.key));
		}
		return NULL;
	}
	if (json_kind(m) != JSON_ARRAY)
		return err_new(ERR_INVALID, "invalid filter");
	for (size_t i = 0, n = json_array_len(m); i < n; i++) {
		struct json_cursor v = json_at(m, i);
		const char *s;
		TRY(json_as_string(&v, &s));
		strv_push_take(ret, xasprintf("%s=%s", m->key, s));
	}
	return NULL;
}

struct err *exchange_filters(const struct exchange *x, const char *known, char ***ret)
{
	_cleanup_free_ char *text = http_query(&x->request, "filters");
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_strv_ char **all = NULL;

	if (str_empty(text))
		return NULL;
	struct err *e = json_parse(text, strlen(text), "filters", &doc);
	if (e)
		return err_wrap_kind(e, ERR_INVALID, "invalid filter");
	struct json_cursor root = json_root(doc), m;
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "invalid filter");
	struct json_iter it = json_iter(&root);
	while (json_next(&it, &m)) {
		if (!is_known(known, m.key))
			return err_new(ERR_INVALID, "invalid filter '%.64s'", m.key);
		TRY(add_filter(&m, &all));
	}
	*ret = TAKE_PTR(all);
	return NULL;
}

/* -- the answer --- */

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} known[] = {{200, "OK"},
		     {201, "Created"},
		     {204, "No Content"},
		     {304, "Not Modified"},
		     {400, "Bad Request"},
		     {401, "Unauthorized"},
		     {403, "Forbidden"},
		     {404, "Not Found"},
		     {405, "Method Not Allowed"},
		     {409, "Conflict"},
		     {413, "Request Entity Too Large"},
		     {500, "Internal Server Error"},
		     {501, "Not Implemented"},
		     {503, "Service Unavailable"}};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].status == status)
			return known[i].text;
	return "Status";
}

static void head(struct exchange *x, struct strbuf *b, int status)
{
	strbuf_printf(b,
		      "HTTP/1.1 %d %s\r\nApi-Version: 1.%d\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
		      "Server: Docker/" HAVRE_VERSION " (linux)\r\n",
		      status, reason(status), API_VERSION_MAX);
	x->answered = true;
}

static struct err *send_all(struct exchange *x, const struct strbuf *b)
{
	struct err *e = fd_write_full(x->fd, b->data, b->len, "the client's connection");

	if (e)
		x->close = true;
	return e;
}

static struct err *answer(struct exchange *x, int status, const char *type, const char *extra,
			  const char *body)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	bool bodiless = status == 204 || status == 304;

	exchange_drain(x);
	head(x, &b, status);
	if (!bodiless)
		strbuf_printf(&b, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, strlen(body));
	if (extra)
		strbuf_puts(&b, extra);
	if (x->close || !x->request.keep_alive)
		strbuf_puts(&b, "Connection: close\r\n");
	strbuf_puts(&b, "\r\n");
	if (!bodiless && !str_eq(x->request.method, "HEAD"))
		strbuf_puts(&b, body);
	return send_all(x, &b);
}

struct err *answer_json(struct exchange *x, int status, struct json *body)
{
	_cleanup_json_ struct json *owned = body;
	_cleanup_free_ char *text = json_print(owned, JSON_COMPACT);
	_cleanup_free_ char *line = xasprintf("%s\n", text);

	return answer(x, status, "application/json", NULL, line);
}

struct err *answer_empty(struct exchange *x, int status)
{
	return answer(x, status, "text/plain", NULL, "");
}

struct err *answer_text(struct exchange *x, int status, const char *type, const char *extra, const char *text)
{
	return answer(x, status, type, extra, text);
}

struct err *answer_refusal(struct exchange *x, int status, const char *message)
{
	struct json *o = json_new_object();

	json_set_string(o, "message", message);
	return answer_json(x, status, o);
}

/* The one table of errors and statuses. */
static int status_of(const struct err *e)
{
	switch (e->kind) {
	case ERR_INVALID:
	case ERR_EXEC:
		return 400;
	case ERR_NOT_FOUND:
		return 404;
	case ERR_EXISTS:
	case ERR_STATE:
	case ERR_BUSY:
		return 409;
	case ERR_PERMISSION:
		return 403;
	case ERR_LIMIT:
		return 413;
	case ERR_UNSUPPORTED:
		return 501;
	case ERR_UNAUTHORIZED: /* of a registry: docker's clients take 401 for their own */
	default:
		return 500;
	}
}

void answer_error(struct exchange *x, struct err *e)
{
	_cleanup_err_ struct err *owned = e;
	_cleanup_free_ char *text = err_text(owned);

	if (x->answered) {
		x->close = true;
		return;
	}
	err_free(answer_refusal(x, status_of(e), text));
}

struct err *stream_begin(struct exchange *x, const char *type, const char *extra)
{
	_cleanup_strbuf_ struct strbuf b = {0};

	head(x, &b, 200);
	strbuf_printf(&b, "Content-Type: %s\r\n%s%s\r\n", type, extra ? extra : "",
		      x->request.minor ? "Transfer-Encoding: chunked\r\n" : "Connection: close\r\n");
	x->streaming = true;
	if (!x->request.minor)
		x->close = true;
	return send_all(x, &b);
}

struct err *stream_write(struct exchange *x, const void *data, size_t size)
{
	char line[24];
	struct strbuf b = {0};

	if (!size)
		return NULL;
	if (x->request.minor) {
		snprintf(line, sizeof(line), "%zx\r\n", size);
		strbuf_puts(&b, line);
	}
	strbuf_append(&b, data, size);
	if (x->request.minor)
		strbuf_puts(&b, "\r\n");
	struct err *e = send_all(x, &b);
	strbuf_release(&b);
	return e;
}

struct err *stream_json(struct exchange *x, const struct json *o)
{
	_cleanup_free_ char *text = json_print(o, JSON_COMPACT);
	_cleanup_free_ char *line = xasprintf("%s\r\n", text);

	return stream_write(x, line, strlen(line));
}

struct err *stream_end(struct exchange *x)
{
	x->streaming = false;
	return x->request.minor ? fd_write_full(x->fd, "0\r\n\r\n", 5, "the client's connection") : NULL;
}

/* Clients that read the head through a buffer of their own (python's) lose what comes in the same piece: what follows waits until the head
 * has been taken, for a moment only. SIOCOUTQ counts what the other side of a unix socket has not read. */
static void wait_until_taken(int fd)
{
	const struct timespec pause = {.tv_nsec = TAKEN_STEP_NS};
	int left = 0;

	for (int i = 0; i < TAKEN_STEPS && ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0; i++)
		nanosleep(&pause, NULL);
}

struct err *exchange_hijack(struct exchange *x, bool tty)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	const char *type = tty || x->version < 42 ? "application/vnd.docker.raw-stream"
						  : "application/vnd.docker.multiplexed-stream";

	if (x->request.upgrade)
		strbuf_printf(&b,
			      "HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: Upgrade\r\nUpgrade: "
			      "tcp\r\n\r\n",
			      type);
	else
		strbuf_printf(&b, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n", type);
	x->answered = x->hijacked = x->close = true;
	TRY(send_all(x, &b));
	wait_until_taken(x->fd);
	return NULL;
}
