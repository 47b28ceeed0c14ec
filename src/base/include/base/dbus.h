/* SPDX-License-Identifier: Apache-2.0 */
/* D-Bus, as much of it as a client of systemd needs (D-Bus specification 0.43): messages to and from bytes without any
 * input or output, and a blocking connection over a unix socket in which every step has a deadline.
 *
 * Whatever arrives is bounded (DBUS_MESSAGE_MAX) and checked before it is used. Deadlines are points of timestamp_monotonic_ns().
 */
#ifndef BASE_DBUS_H
#define BASE_DBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define DBUS_MESSAGE_MAX \
	(1u << 20) /* the protocol's own limit is 128 MiB; nothing that we ask for comes near this one */

/* -- writing: values are appended with the padding that their type wants, counted from the start of `b` -------- */

void dbus_put_byte(struct strbuf *b, uint8_t v);
void dbus_put_bool(struct strbuf *b, bool v);
void dbus_put_u16(struct strbuf *b, uint16_t v);
void dbus_put_u32(struct strbuf *b, uint32_t v);
void dbus_put_u64(struct strbuf *b, uint64_t v);
void dbus_put_double(struct strbuf *b, double v);
void dbus_put_string(struct strbuf *b, const char *s); /* object paths too */
void dbus_put_signature(struct strbuf *b,
			const char *s);              /* also what a variant starts with; at most 255 bytes */
void dbus_align(struct strbuf *b, size_t alignment); /* 8: a struct or a dict entry begins */
size_t dbus_alignment(char type);                    /* of a type code; 0 for what is none */
/* An array's elements come between open and close. */
struct dbus_array {
	size_t length_at, start;
};
struct dbus_array dbus_array_open(struct strbuf *b, size_t alignment);
void dbus_array_close(struct strbuf *b, struct dbus_array a);

struct dbus_call {
	const char *destination; /* NULL: the peer itself, on a connection without a bus */
	const char *path, *interface, *member;
	const char *signature; /* of the body; "" for none */
};
void dbus_call_encode(const struct dbus_call *call, uint32_t serial, const struct strbuf *body,
		      struct strbuf *ret);

/* -- reading ------------------------------------------------------------------------------------------------- */

enum dbus_type { DBUS_CALL = 1, DBUS_RETURN, DBUS_ERROR, DBUS_SIGNAL };
struct dbus_reader {
	const uint8_t *data;
	size_t size, at;
	bool big_endian;
};
struct dbus_message { /* borrows from the bytes it was parsed from */
	uint8_t type;
	uint32_t serial, reply_serial;                                  /* 0: none */
	const char *path, *interface, *member, *error_name, *signature; /* "" when absent */
	struct dbus_reader body;
};
#define DBUS_HEADER_SIZE 16
/* The size of the whole message that begins with these DBUS_HEADER_SIZE bytes. ERR_CORRUPT, ERR_LIMIT. */
_must_check_ struct err *dbus_message_size(const uint8_t *header, size_t *ret);
_must_check_ struct err *dbus_message_parse(const uint8_t *data, size_t size, struct dbus_message *ret);
_must_check_ struct err *dbus_get_u32(struct dbus_reader *r, uint32_t *ret);
_must_check_ struct err *dbus_get_string(struct dbus_reader *r,
					 const char **ret); /* object paths too; borrowed */
_must_check_ struct err *dbus_get_signature(struct dbus_reader *r, const char **ret);
/* Reads over the values of a signature. */
_must_check_ struct err *dbus_skip(struct dbus_reader *r, const char *signature);

/* -- a connection --------------------------------------------------------------------------------------------- */

struct dbus_connection {
	int fd;
	uint32_t serial;
	struct strbuf
		in; /* the message that was received last; what borrows from it lives until the next call */
};
/* Connects and authenticates as ourselves; on a bus (not a peer-to-peer socket) says hello too. ERR_TIMEOUT at the deadline. */
_must_check_ struct err *dbus_connect(const char *socket_path, bool bus, int64_t deadline_ns,
				      struct dbus_connection *ret);
void dbus_disconnect(struct dbus_connection *c);
/* Sends the call and waits for its answer, of type DBUS_RETURN or DBUS_ERROR. Signals that come before it are dropped. */
_must_check_ struct err *dbus_ask(struct dbus_connection *c, const struct dbus_call *call,
				  const struct strbuf *body, int64_t deadline_ns, struct dbus_message *ret);
_must_check_ struct err *dbus_receive(struct dbus_connection *c, int64_t deadline_ns,
				      struct dbus_message *ret);

#endif
