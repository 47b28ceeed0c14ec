/* SPDX-License-Identifier: Apache-2.0 */
/* GET /containers/{id}/logs, and the log before an attach. */
#include <stdlib.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "objects.h"
#include "routes.h"
#include "streams.h"

struct writer {
	struct exchange *x;
	bool tty, timestamps;
	const char *details; /* "key=value,… " before each line, or "" */
};

static struct err *write_line(void *user, int stream, int64_t time_ns, const char *data, size_t size)
{
	const struct writer *w = user;
	_cleanup_strbuf_ struct strbuf b = {0}, frame = {0};
	char time[TIMESTAMP_STRING_MAX];

	if (w->timestamps) {
		timestamp_format(time_ns, time);
		strbuf_printf(&b, "%s ", time);
	}
	strbuf_puts(&b, w->details);
	strbuf_append(&b, data, size);
	if (!w->tty) {
		const unsigned char head[8] = {(unsigned char)stream,
					       0,
					       0,
					       0,
					       (unsigned char)(b.len >> 24),
					       (unsigned char)(b.len >> 16),
					       (unsigned char)(b.len >> 8),
					       (unsigned char)b.len};
		strbuf_append(&frame, head, sizeof(head));
	}
	strbuf_append(&frame, strbuf_str(&b), b.len);
	if (w->x->hijacked)
		return fd_write_full(w->x->fd, frame.data, frame.len, "the client's connection");
	return stream_write(w->x, frame.data, frame.len);
}

struct err *container_send_logs(struct exchange *x, struct container *c, const struct stream_choice *s)
{
	struct log_options o = {.stdout_ = s->stdout_, .stderr_ = s->stderr_, .tail = -1};
	struct writer w = {.x = x, .tty = s->tty, .details = ""};

	return container_logs(x->engine, c, &o, write_line, &w);
}

struct err *handle_container_logs(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *tail = http_query(&x->request, "tail"),
			    *since = http_query(&x->request, "since"),
			    *until = http_query(&x->request, "until"), *details = NULL;
	struct log_options o = {.tail = -1};
	struct writer w = {.x = x, .details = ""};

	TRY(find_container(x, &c));
	o.stdout_ = exchange_flag(x, "stdout", false);
	o.stderr_ = exchange_flag(x, "stderr", false);
	o.follow = exchange_flag(x, "follow", false);
	o.stop = x->fd;
	w.timestamps = exchange_flag(x, "timestamps", false);
	w.tty = c->spec->tty;
	if (!o.stdout_ && !o.stderr_)
		return err_new(ERR_INVALID, "Bad parameters: you must choose at least one stream");
	if (!str_empty(tail) && !str_eq(tail, "all")) {
		struct err *e = parse_i64(tail, "tail", 0, INT64_MAX, &o.tail);
		err_free(e); /* as docker: what is no number is all */
		if (e)
			o.tail = -1;
	}
	TRY(moment_ns(since, "since", &o.since_ns));
	TRY(moment_ns(until, "until", &o.until_ns));
	if (!c->log_path)
		return err_new(ERR_UNSUPPORTED,
			       "configured logging driver does not support reading: container %s has the log "
			       "driver none",
			       c->name);
	if (exchange_flag(x, "details", false)) {
		_cleanup_free_ char *pairs = strv_join(c->spec->log_opts, ",");
		details = str_empty(pairs) ? NULL : xasprintf("%s ", pairs);
		w.details = details ? details : "";
	}
	exchange_drain(x);
	TRY(stream_begin(x,
			 w.tty || x->version < 42 ? "application/vnd.docker.raw-stream"
						  : "application/vnd.docker.multiplexed-stream",
			 NULL));
	TRY(container_logs(x->engine, c, &o, write_line, &w));
	return stream_end(x);
}
