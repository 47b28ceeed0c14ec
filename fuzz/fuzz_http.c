/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of docker's clients: what parses is bounded, and a body in chunks gives the same bytes whatever pieces it comes in. */
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http.h"

static void decode(const char *data, size_t size, size_t step, struct strbuf *out, bool *ret_good)
{
	struct http_chunks c = {0};
	size_t at = 0;

	*ret_good = true;
	while (at < size && c.state != CHUNK_DONE) {
		const char *piece;
		size_t used = 0, n = 0;
		struct err *e = http_chunks_feed(&c, data + at, MIN(step, size - at), &used, &piece, &n);
		if (e) {
			err_free(e);
			*ret_good = false;
			return;
		}
		if (used == 0)
			abort();
		strbuf_append(out, piece, n);
		at += used;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct http_request r;
	size_t head = 0;

	struct err *e = http_head_size(text, size, &head);
	if (!e && head)
		e = http_request_parse(text, head, &r);
	if (e || !head) {
		err_free(e);
		return 0;
	}
	if (r.n_headers > HTTP_HEADERS_MAX || r.path[0] != '/')
		abort();
	char **all = http_query_all(&r, "filters");
	char *path = http_decode(r.path, strlen(r.path), false);
	strv_free(all);
	free(path);
	if (r.body == HTTP_BODY_CHUNKED) {
		_cleanup_strbuf_ struct strbuf whole = {0}, bytes = {0};
		bool good, same;
		decode(text + head, size - head, size, &whole, &good);
		decode(text + head, size - head, 1, &bytes, &same);
		if (good != same || (good && (whole.len != bytes.len ||
					      (whole.len && memcmp(whole.data, bytes.data, whole.len) != 0))))
			abort();
	}
	http_request_release(&r);
	return 0;
}
