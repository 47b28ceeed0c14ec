/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its answer, in the thread that serves it: what handlers are given. All calls block. */
#ifndef API_EXCHANGE_H
#define API_EXCHANGE_H

#include "base/json.h"
#include "engine/engine.h"
#include "http.h"

#define API_VERSION_MIN 24 /* 1.24 */
#define API_VERSION_MAX 51
#define API_CAPTURES 2

struct exchange {
	int fd;
	struct engine *engine; /* this request's own */
	struct http_request request;
	unsigned version;             /* minor: 43 for 1.43 */
	char *captures[API_CAPTURES]; /* what * and ** of the route stood for, decoded */
	struct strbuf *in;            /* the connection's: received, not yet consumed */
	struct http_chunks chunks;
	uint64_t body_left;
	bool continued, body_done;
	bool answered, streaming, close, hijacked;
};

/* -- the request -------------------------------------------------------------------------------------------- */

/* Some of the body; *ret_n 0: its end. */
_must_check_ struct err *exchange_read(struct exchange *x, void *data, size_t size, size_t *ret_n);
/* The body as JSON. An empty one: *ret is NULL when `optional`. */
_must_check_ struct err *exchange_json(struct exchange *x, bool optional, struct json **ret);
/* The body into a file without a name, rewound. */
_must_check_ struct err *exchange_spool(struct exchange *x, int *ret_fd);
/* Consumes what is left of the body, so that the connection can be used again; gives up on large ones. */
void exchange_drain(struct exchange *x);
/* docker's booleans: "", 0, no, false, none are false. */
bool exchange_flag(const struct exchange *x, const char *name, bool absent);
_must_check_ struct err *exchange_number(const struct exchange *x, const char *name, int64_t absent,
					 int64_t *ret);
/* The parameter "filters": {"label": ["a", "b"]} or {"label": {"a": true}}, as KEY=VALUE. Names that are not in `known` (words separated by
 * blanks) are ERR_INVALID. */
_must_check_ struct err *exchange_filters(const struct exchange *x, const char *known, char ***ret);

/* -- the answer --------------------------------------------------------------------------------------------- */

_must_check_ struct err *answer_json(struct exchange *x, int status, struct json *body /* owned */);
_must_check_ struct err *answer_empty(struct exchange *x, int status);
_must_check_ struct err *answer_text(struct exchange *x, int status, const char *type, const char *extra,
				     const char *text);
/* {"message": …} with the kind's status; takes the error. After the beginning of a stream it only ends the connection. */
void answer_error(struct exchange *x, struct err *e);
_must_check_ struct err *answer_refusal(struct exchange *x, int status, const char *message);

/* 200, chunked; the head goes out at once. extra: more header lines, each with its CRLF, or NULL. */
_must_check_ struct err *stream_begin(struct exchange *x, const char *type, const char *extra);
_must_check_ struct err *stream_write(struct exchange *x, const void *data, size_t size);
_must_check_ struct err *stream_json(struct exchange *x, const struct json *o); /* a line */
_must_check_ struct err *stream_end(struct exchange *x);

/* The connection becomes a stream of bytes both ways: 101 when the client asked for an upgrade, else 200. */
_must_check_ struct err *exchange_hijack(struct exchange *x, bool tty);

#endif
