/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink (RFC 3549; linux/netlink.h): messages are built into one buffer and sent together, answers are walked with checked sizes. It
 * knows nothing of routes or rules: rtnetlink and nfnetlink are spoken by whoever needs them.
 *
 * The kernel does what a request asks within sendmsg(2) and queues its answers before that returns: nothing here ever waits.
 */
#ifndef BASE_NETLINK_H
#define BASE_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* Requests of one send. Zero-initialised is empty. A value or a message that does not fit its 16 or 32 bit length makes the batch
 * invalid (CVE-2021-43784: such a length wraps round), and sending it fails. */
struct netlink_batch {
	struct strbuf b;
	size_t message; /* where the message being built begins */
	size_t last;    /* where the last finished one begins */
	uint32_t n;     /* messages so far; their sequence numbers are 1 … n */
	bool too_long;
};
void netlink_batch_release(struct netlink_batch *b);
#define _cleanup_netlink_batch_ _cleanup_(netlink_batch_release)

/* `header` is the family's own fixed header (struct ifinfomsg, struct nfgenmsg). NLM_F_REQUEST is added. */
void netlink_begin(struct netlink_batch *b, uint16_t type, uint16_t flags, const void *header, size_t size);
void netlink_end(struct netlink_batch *b);
void netlink_put(struct netlink_batch *b, uint16_t type, const void *data, size_t size);
void netlink_put_string(struct netlink_batch *b, uint16_t type, const char *s); /* with its NUL */
void netlink_put_u8(struct netlink_batch *b, uint16_t type, uint8_t v);
void netlink_put_u16(struct netlink_batch *b, uint16_t type, uint16_t v);
void netlink_put_u32(struct netlink_batch *b, uint16_t type, uint32_t v);
void netlink_put_be32(struct netlink_batch *b, uint16_t type,
		      uint32_t v);                           /* in network order, as nfnetlink wants */
size_t netlink_nest(struct netlink_batch *b, uint16_t type); /* answers what netlink_nest_end takes */
void netlink_nest_end(struct netlink_batch *b, size_t nest);
/* Appends raw bytes to the message being built (a header inside an attribute). */
void netlink_raw(struct netlink_batch *b, const void *data, size_t size);

/* -- walking over answers --- */

struct netlink_message {
	uint16_t type, flags;
	uint32_t seq;
	const unsigned char *data; /* behind struct nlmsghdr */
	size_t size;
};
/* The next message at *data, which moves on. False at the end, or where a length does not fit what is there. */
bool netlink_next(const unsigned char **data, size_t *size, struct netlink_message *ret);

struct netlink_attribute {
	uint16_t type; /* without NLA_F_* */
	const unsigned char *data;
	size_t size;
};
/* The same for attributes; begin behind the family's header. */
bool netlink_attribute_next(const unsigned char **data, size_t *size, struct netlink_attribute *ret);
/* The attributes of a message whose own header has `header` bytes; empty when the message is shorter. */
void netlink_attributes(const struct netlink_message *m, size_t header, const unsigned char **ret_data,
			size_t *ret_size);
bool netlink_attribute_u32(const struct netlink_attribute *a, uint32_t *ret); /* host order */

/* -- talking --- */

_must_check_ struct err *netlink_open(int protocol, int *ret_fd); /* in the network namespace of now */
/* What the kernel refused: the number of the request (from 0), and its own words, if any. */
struct netlink_refusal {
	uint32_t request;
	int errnum;
	char text[128];
};
/* Sends all and takes the answers; messages that are no acknowledgement go to `each` (may be NULL). With an error of the kernel, the first
 * one is returned as "WHAT: its words: strerror" and *ret_refusal (may be NULL) says which request it was. The last request is made to be
 * acknowledged unless it dumps. */
_must_check_ struct err *netlink_talk(int fd, struct netlink_batch *b, const char *what,
				      void (*each)(const struct netlink_message *m, void *user), void *user,
				      struct netlink_refusal *ret_refusal);
/* Takes what one answer says: *ret_done when it ends the exchange of `last_seq`. For netlink_talk, and the fuzz target. */
void netlink_answer(const struct netlink_message *m, uint32_t last_seq, struct netlink_refusal *refusal,
		    bool *ret_done);

#endif
