/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 requests (RFC 9112) without input or output: bytes in, a request out. Everything is bounded. */
#ifndef API_HTTP_H
#define API_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define HTTP_HEAD_MAX (64u << 10) /* request line and headers, bytes */
#define HTTP_HEADERS_MAX 100u
#define HTTP_CHUNK_LINE_MAX 256u

struct http_header {
	const char *name, *value;
};
struct http_request {
	char *text; /* owned; the rest points into it */
	const char *method, *path, *query;
	unsigned minor; /* HTTP/1.minor */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t n_headers;
	bool keep_alive, expects_continue, upgrade;
	enum { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED } body;
	uint64_t body_length; /* bytes */
};
void http_request_release(struct http_request *r);

/* Size of the head with its empty line, 0: not all of it is there yet. ERR_LIMIT. */
_must_check_ struct err *http_head_size(const char *data, size_t size, size_t *ret);
/* `size` as http_head_size said. ERR_INVALID, ERR_LIMIT, ERR_UNSUPPORTED. */
_must_check_ struct err *http_request_parse(const char *data, size_t size, struct http_request *ret);
const char *http_header(const struct http_request *r, const char *name); /* NULL: absent */
/* A decoded parameter of the query, NULL: absent. Caller frees. */
char *http_query(const struct http_request *r, const char *name);
/* All of that name. Caller frees with strv_free. */
char **http_query_all(const struct http_request *r, const char *name);
/* %XX. `plus`: '+' is a blank. NULL: not valid, or a NUL inside. Caller frees. */
char *http_decode(const char *s, size_t n, bool plus);

/* A chunked body. Zeroed is fresh. */
struct http_chunks {
	enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER, CHUNK_DONE } state;
	uint64_t left;
	char line[HTTP_CHUNK_LINE_MAX];
	size_t n;
};
/* Takes *ret_used bytes of `in`; a piece of the body is then in *ret_data (borrowed from `in`), of size 0 when there is none yet. */
_must_check_ struct err *http_chunks_feed(struct http_chunks *c, const char *in, size_t size,
					  size_t *ret_used, const char **ret_data, size_t *ret_size);

#endif
