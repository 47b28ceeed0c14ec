/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol between a monitor and whoever is attached to its container or exec: one unix stream socket, framed both
 * ways. No input or output here: bytes in, frames out (and the other way round), so that it is tested and fuzzed alone.
 *
 * A frame is a header of 8 bytes (type, three zero bytes, payload length as big-endian u32) and a payload. The sizes are
 * capped by type; anything else is ERR_INVALID and ends the connection.
 *
 * Conversation of a starter (over a socketpair): CONFIG -> STARTED or ERROR. Of an attacher: HELLO -> STARTED. Then:
 * STDIN (at most STREAM_WINDOW bytes not yet acknowledged by STDIN_ACK, so that signals and sizes never queue behind input
 * that the container does not read), STDIN_CLOSE, RESIZE, SIGNAL up; STDOUT, STDERR down; EXIT as the last frame. End of file
 * without EXIT: the monitor is gone. LOST before the end of file: the client read too slowly and was dropped.
 */
#ifndef ENGINE_STREAM_H
#define ENGINE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum stream_frame_type {
	/* client to monitor */
	STREAM_CONFIG = 1,  /* JSON, see monitor/monitor.h; the starter's first frame */
	STREAM_HELLO,       /* u8: STREAM_WANT_* */
	STREAM_STDIN,       /* bytes */
	STREAM_STDIN_CLOSE, /* nothing */
	STREAM_RESIZE,      /* u16 rows, u16 columns, big-endian */
	STREAM_SIGNAL,      /* u8 signal number, to the container's init or the exec's process */
	STREAM_REMOVED,     /* nothing: the starter did the auto-removal */
	STREAM_PORTS, /* nothing, with an fd: what holds the published ports from now on (network.h, N4) */
	/* monitor to client */
	STREAM_STARTED = 64, /* u32 process id */
	STREAM_ERROR,        /* err_encode: why it could not start */
	STREAM_STDIN_ACK,    /* u32: so many bytes went to the container */
	STREAM_STDOUT,       /* bytes */
	STREAM_STDERR,       /* bytes */
	STREAM_EXIT,         /* u32 exit code, u8 one if a process was killed for lack of memory */
	STREAM_LOST,         /* nothing */
	STREAM_PORTS_HELD,   /* nothing: the answer to PORTS */
};

#define STREAM_WANT_STDIN 1u
#define STREAM_WANT_STDOUT 2u
#define STREAM_WANT_STDERR 4u

#define STREAM_HEADER_SIZE 8u
#define STREAM_DATA_MAX (32u << 10)   /* payload of STDIN, STDOUT, STDERR */
#define STREAM_ERROR_MAX (256u << 10) /* payload of ERROR */
#define STREAM_CONFIG_MAX (8u << 20)  /* payload of CONFIG: an exec's environment may be large */
#define STREAM_WINDOW (64u << 10)

struct stream_frame {
	enum stream_frame_type type;
	const unsigned char *data; /* borrowed from the parser until the next call */
	size_t size;
};

/* Writes a header. `size` must be within the type's cap. */
void stream_header(unsigned char out[static STREAM_HEADER_SIZE], enum stream_frame_type type, size_t size);

/* Zero-initialised is a fresh parser. */
struct stream_parser {
	struct strbuf buf;
	size_t offset; /* of the first byte not yet consumed */
};
void stream_parser_feed(struct stream_parser *p, const void *data, size_t size);
/* The next whole frame; *ret_have false: feed more. Checks type, length and the fixed sizes of fixed payloads. */
_must_check_ struct err *stream_parser_next(struct stream_parser *p, struct stream_frame *ret,
					    bool *ret_have);
void stream_parser_release(struct stream_parser *p);

/* Payload helpers for frames that stream_parser_next has checked. */
uint32_t stream_u32(const struct stream_frame *f);
void stream_put_u32(unsigned char out[static 4], uint32_t v);
void stream_resize(const struct stream_frame *f, unsigned *ret_rows, unsigned *ret_cols);

/* Blocking helpers for programs that talk in turns. */
_must_check_ struct err *stream_send(int fd, enum stream_frame_type type, const void *data, size_t size);
/* Waits for a frame. End of file is ERR_UNREACHABLE "PEER has died". */
_must_check_ struct err *stream_receive(int fd, struct stream_parser *p, const char *peer,
					struct stream_frame *ret);

#endif
