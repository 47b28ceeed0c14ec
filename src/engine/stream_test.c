/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/stream.h"

#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "unit.h"

static void put(struct strbuf *b, enum stream_frame_type type, const void *data, size_t size)
{
	unsigned char header[STREAM_HEADER_SIZE];

	stream_header(header, type, size);
	strbuf_append(b, header, sizeof(header));
	strbuf_append(b, data, size);
}

TEST(frames_survive_any_split)
{
	_cleanup_strbuf_ struct strbuf all = {0};
	unsigned char size[4] = {0, 24, 0, 80}, exit_code[5] = {0, 0, 0, 137, 1};

	put(&all, STREAM_STDIN, "hello", 5);
	put(&all, STREAM_STDIN_CLOSE, "", 0);
	put(&all, STREAM_RESIZE, size, 4);
	put(&all, STREAM_EXIT, exit_code, 5);
	for (size_t step = 1; step <= all.len; step++) {
		struct stream_parser p = {0};
		enum stream_frame_type seen[4];
		size_t n = 0;

		for (size_t at = 0; at < all.len; at += step) {
			struct stream_frame f;
			bool have = true;

			stream_parser_feed(&p, all.data + at, MIN(step, all.len - at));
			while (have) {
				CHECK_OK(stream_parser_next(&p, &f, &have));
				if (!have)
					break;
				CHECK(n < 4);
				seen[n++] = f.type;
				if (f.type == STREAM_STDIN)
					CHECK(f.size == 5 && memcmp(f.data, "hello", 5) == 0);
				if (f.type == STREAM_EXIT)
					CHECK(stream_u32(&f) == 137 && f.data[4] == 1);
				if (f.type == STREAM_RESIZE) {
					unsigned rows, cols;
					stream_resize(&f, &rows, &cols);
					CHECK(rows == 24 && cols == 80);
				}
			}
		}
		CHECK(n == 4 && seen[0] == STREAM_STDIN && seen[3] == STREAM_EXIT);
		CHECK(p.buf.data == NULL); /* nothing is held while idle */
		stream_parser_release(&p);
	}
}

static struct err *parse_one(const unsigned char header[static STREAM_HEADER_SIZE])
{
	struct stream_parser p = {0};
	struct stream_frame f;
	bool have;

	stream_parser_feed(&p, header, STREAM_HEADER_SIZE);
	struct err *e = stream_parser_next(&p, &f, &have);
	stream_parser_release(&p);
	return e;
}

TEST(bad_headers_are_refused_before_their_payload_is_awaited)
{
	unsigned char unknown[] = {200, 0, 0, 0, 0, 0, 0, 0},
		      padding[] = {STREAM_SIGNAL, 1, 0, 0, 0, 0, 0, 1};
	unsigned char large[] = {STREAM_STDIN, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		      empty[] = {STREAM_SIGNAL, 0, 0, 0, 0, 0, 0, 0};

	CHECK_ERR(parse_one(unknown), ERR_INVALID);
	CHECK_ERR(parse_one(padding), ERR_INVALID);
	CHECK_ERR(parse_one(large), ERR_INVALID);
	CHECK_ERR(parse_one(empty), ERR_INVALID);
}

TEST(send_and_receive_over_a_socket)
{
	int fds[2];
	struct stream_parser p = {0};
	struct stream_frame f;

	CHECK_OK(fd_socketpair(SOCK_STREAM, fds));
	CHECK_OK(stream_send(fds[0], STREAM_STDOUT, "abc", 3));
	CHECK_OK(stream_send(fds[0], STREAM_LOST, NULL, 0));
	CHECK_OK(stream_receive(fds[1], &p, "the peer", &f));
	CHECK(f.type == STREAM_STDOUT && f.size == 3);
	CHECK_OK(stream_receive(fds[1], &p, "the peer", &f));
	CHECK(f.type == STREAM_LOST);
	fd_close(fds[0]);
	CHECK_ERR(stream_receive(fds[1], &p, "the peer", &f), ERR_UNREACHABLE);
	fd_close(fds[1]);
	stream_parser_release(&p);
}

UNIT_MAIN
