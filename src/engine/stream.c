/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/stream.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"

/* The shortest and longest payload of each type; types that are not here do not exist. */
static bool frame_limits(unsigned type, size_t *ret_min, size_t *ret_max)
{
	static const struct {
		unsigned char type;
		unsigned char min;
		unsigned max;
	} limits[] = {
		{STREAM_CONFIG, 2, STREAM_CONFIG_MAX},
		{STREAM_HELLO, 1, 1},
		{STREAM_STDIN, 1, STREAM_DATA_MAX},
		{STREAM_STDIN_CLOSE, 0, 0},
		{STREAM_RESIZE, 4, 4},
		{STREAM_SIGNAL, 1, 1},
		{STREAM_REMOVED, 0, 0},
		{STREAM_PORTS, 0, 0},
		{STREAM_STARTED, 4, 4},
		{STREAM_ERROR, 1, STREAM_ERROR_MAX},
		{STREAM_STDIN_ACK, 4, 4},
		{STREAM_STDOUT, 1, STREAM_DATA_MAX},
		{STREAM_STDERR, 1, STREAM_DATA_MAX},
		{STREAM_EXIT, 5, 5},
		{STREAM_LOST, 0, 0},
		{STREAM_PORTS_HELD, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		if (limits[i].type == type) {
			*ret_min = limits[i].min;
			*ret_max = limits[i].max;
			return true;
		}
	}
	return false;
}

void stream_put_u32(unsigned char out[static 4], uint32_t v)
{
	out[0] = (unsigned char)(v >> 24);
	out[1] = (unsigned char)(v >> 16);
	out[2] = (unsigned char)(v >> 8);
	out[3] = (unsigned char)v;
}

static uint32_t get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void stream_header(unsigned char out[static STREAM_HEADER_SIZE], enum stream_frame_type type, size_t size)
{
	out[0] = (unsigned char)type;
	out[1] = out[2] = out[3] = 0;
	stream_put_u32(out + 4, (uint32_t)size);
}

void stream_parser_feed(struct stream_parser *p, const void *data, size_t size)
{
	if (p->offset > 0) {
		/* What is left is less than one frame; moving it down keeps the buffer at the size of the largest. */
		memmove(p->buf.data, p->buf.data + p->offset, p->buf.len - p->offset);
		p->buf.len -= p->offset;
		p->buf.data[p->buf.len] = '\0';
		p->offset = 0;
	}
	strbuf_append(&p->buf, data, size);
}

struct err *stream_parser_next(struct stream_parser *p, struct stream_frame *ret, bool *ret_have)
{
	const unsigned char *at = (const unsigned char *)p->buf.data + p->offset;
	size_t left = p->buf.len - p->offset, min, max;

	*ret_have = false;
	if (left == 0) {
		stream_parser_release(p); /* an idle connection holds no memory */
		return NULL;
	}
	if (left < STREAM_HEADER_SIZE)
		return NULL;
	uint32_t size = get_u32(at + 4);
	if (!frame_limits(at[0], &min, &max) || at[1] || at[2] || at[3])
		return err_new(ERR_INVALID, "stream: frame of unknown type %u", at[0]);
	if (size < min || size > max)
		return err_new(ERR_INVALID, "stream: frame of type %u has %u bytes, must have %zu to %zu",
			       at[0], size, min, max);
	if (left - STREAM_HEADER_SIZE < size)
		return NULL;
	*ret = (struct stream_frame){.type = at[0], .data = at + STREAM_HEADER_SIZE, .size = size};
	p->offset += STREAM_HEADER_SIZE + size;
	*ret_have = true;
	return NULL;
}

void stream_parser_release(struct stream_parser *p)
{
	strbuf_release(&p->buf);
	p->offset = 0;
}

uint32_t stream_u32(const struct stream_frame *f)
{
	return get_u32(f->data);
}

void stream_resize(const struct stream_frame *f, unsigned *ret_rows, unsigned *ret_cols)
{
	*ret_rows = (unsigned)f->data[0] << 8 | f->data[1];
	*ret_cols = (unsigned)f->data[2] << 8 | f->data[3];
}

struct err *stream_send(int fd, enum stream_frame_type type, const void *data, size_t size)
{
	unsigned char header[STREAM_HEADER_SIZE];
	struct iovec iov[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)data, size}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = size > 0 ? 2 : 1};

	stream_header(header, type, size);
	while (msg.msg_iovlen > 0) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(errno, "cannot write to the stream");
		while (msg.msg_iovlen > 0 && (size_t)n >= msg.msg_iov->iov_len) {
			n -= (ssize_t)msg.msg_iov->iov_len;
			msg.msg_iov++;
			msg.msg_iovlen--;
		}
		if (msg.msg_iovlen > 0) {
			msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + n;
			msg.msg_iov->iov_len -= (size_t)n;
		}
	}
	return NULL;
}

struct err *stream_receive(int fd, struct stream_parser *p, const char *peer, struct stream_frame *ret)
{
	while (true) {
		char chunk[4096];
		bool have;

		TRY(stream_parser_next(p, ret, &have));
		if (have)
			return NULL;
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ECONNRESET)
			return err_errno(errno, "cannot read from %s", peer);
		if (n <= 0)
			return err_new(ERR_UNREACHABLE, "%s has died", peer);
		stream_parser_feed(p, chunk, (size_t)n);
	}
}
