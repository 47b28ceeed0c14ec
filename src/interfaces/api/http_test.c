// SPDX-License-Identifier: Apache-2.0
#include "http.h"

#include <stdlib.h>

#include "base/memory.h"
#include "unit.h"

static struct err *parse(const char *text, struct http_request *ret)
{
	size_t n = 0;
	TRY(http_head_size(text, strlen(text), &n));
	if (n == 0)
		return err_new(ERR_NOT_FOUND, "not whole");
	return http_request_parse(text, n, ret);
}

TEST(requests)
{
	struct http_request r;
	CHECK_OK(parse("GET /v1.43/containers/json?all=1&filters=%7B%22a%22%3A+1%7D HTTP/1.1\r\nHost: "
		       "docker\r\nX-A:  b \r\n\r\n",
		       &r));
	CHECK_STR(r.method, "GET");
	CHECK_STR(r.path, "/v1.43/containers/json");
	CHECK_STR(http_header(&r, "x-a"), "b");
	CHECK(r.keep_alive && !r.upgrade && r.body == HTTP_BODY_NONE);
	_cleanup_free_ char *filters = http_query(&r, "filters"), *none = http_query(&r, "al");
	CHECK_STR(filters, "{\"a\": 1}");
	CHECK(!none);
	http_request_release(&r);
	CHECK_OK(parse("POST /x HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
		       "tcp\r\nContent-Length: 5\r\n\r\nabcde",
		       &r));
	CHECK(r.upgrade && r.body == HTTP_BODY_LENGTH && r.body_length == 5);
	http_request_release(&r);
}

TEST(wrong_requests)
{
	static const char *const wrong[] = {
		"GET /\r\n\r\n",
		"GET x HTTP/1.1\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"G T / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nA\r\n\r\n",
		"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct http_request r;
		struct err *e = parse(wrong[i], &r);
		CHECK(e != NULL);
		err_free(e);
	}
}

TEST(heads_are_bounded)
{
	size_t n;
	_cleanup_free_ char *large = xcalloc(1, HTTP_HEAD_MAX + 1);
	memset(large, 'a', HTTP_HEAD_MAX);
	CHECK_ERR(http_head_size(large, HTTP_HEAD_MAX, &n), ERR_LIMIT);
	CHECK_OK(http_head_size(large, 100, &n));
	CHECK(n == 0);
}

TEST(decoding)
{
	_cleanup_free_ char *a = http_decode("a%2Fb+", 6, false), *b = http_decode("a%2", 3, false),
			    *c = http_decode("%00", 3, false), *d = http_decode("%zz", 3, false);
	CHECK_STR(a, "a/b+");
	CHECK(!b && !c && !d);
}

/* The same body, whatever pieces it comes in. */
TEST(chunks)
{
	static const char body[] = "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\nrest";
	for (size_t step = 1; step < sizeof(body); step++) {
		struct http_chunks c = {0};
		_cleanup_strbuf_ struct strbuf b = {0};
		size_t at = 0;
		while (c.state != CHUNK_DONE && at < strlen(body)) {
			const char *data;
			size_t used, n;
			CHECK_OK(http_chunks_feed(&c, body + at, MIN(step, strlen(body) - at), &used, &data,
						  &n));
			strbuf_append(&b, data, n);
			at += used;
		}
		CHECK_STR(strbuf_str(&b), "hello world");
		CHECK_STR(body + at, "rest");
	}
	struct http_chunks c = {0};
	const char *data;
	size_t used, n;
	CHECK_ERR(http_chunks_feed(&c, "x\r\n", 3, &used, &data, &n), ERR_INVALID);
	c = (struct http_chunks){0};
	CHECK_ERR(http_chunks_feed(&c, "fffffffffffffffff\r\n", 19, &used, &data, &n), ERR_INVALID);
}

UNIT_MAIN
