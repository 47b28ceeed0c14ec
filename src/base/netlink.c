/* SPDX-License-Identifier: Apache-2.0 */
#include "base/netlink.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/memory.h"

#define ANSWER_SIZE (64u << 10)
#define SEND_BUFFER (8 << 20)

void netlink_batch_release(struct netlink_batch *b)
{
	strbuf_release(&b->b);
	*b = (struct netlink_batch){0};
}

/* -- building ----------------------------------------------------------------------------------------------- */

static void pad(struct netlink_batch *b)
{
	static const char zeros[NLMSG_ALIGNTO];

	strbuf_append(&b->b, zeros, NLMSG_ALIGN(b->b.len) - b->b.len);
}

void netlink_raw(struct netlink_batch *b, const void *data, size_t size)
{
	strbuf_append(&b->b, data, size);
	pad(b);
}

void netlink_begin(struct netlink_batch *b, uint16_t type, uint16_t flags, const void *header, size_t size)
{
	struct nlmsghdr h = {.nlmsg_type = type, .nlmsg_flags = flags | NLM_F_REQUEST, .nlmsg_seq = ++b->n};

	b->message = b->b.len;
	netlink_raw(b, &h, sizeof(h));
	netlink_raw(b, header, size);
}

void netlink_end(struct netlink_batch *b)
{
	uint32_t size = (uint32_t)(b->b.len - b->message);

	if (b->b.len > UINT32_MAX / 2)
		b->too_long = true;
	memcpy(b->b.data + b->message, &size, sizeof(size)); /* nlmsg_len is the first member */
	b->last = b->message;
}

static void put_header(struct netlink_batch *b, uint16_t type, size_t size)
{
	struct nlattr a = {.nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + size)};

	if (size > UINT16_MAX - NLA_HDRLEN)
		b->too_long = true;
	strbuf_append(&b->b, &a, sizeof(a));
}

void netlink_put(struct netlink_batch *b, uint16_t type, const void *data, size_t size)
{
	put_header(b, type, size);
	strbuf_append(&b->b, data, size);
	pad(b);
}

void netlink_put_string(struct netlink_batch *b, uint16_t type, const char *s)
{
	netlink_put(b, type, s, strlen(s) + 1);
}

void netlink_put_u8(struct netlink_batch *b, uint16_t type, uint8_t v)
{
	netlink_put(b, type, &v, sizeof(v));
}

void netlink_put_u16(struct netlink_batch *b, uint16_t type, uint16_t v)
{
	netlink_put(b, type, &v, sizeof(v));
}

void netlink_put_u32(struct netlink_batch *b, uint16_t type, uint32_t v)
{
	netlink_put(b, type, &v, sizeof(v));
}

void netlink_put_be32(struct netlink_batch *b, uint16_t type, uint32_t v)
{
	unsigned char be[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16), (unsigned char)(v >> 8),
			       (unsigned char)v};

	netlink_put(b, type, be, sizeof(be));
}

size_t netlink_nest(struct netlink_batch *b, uint16_t type)
{
	size_t at = b->b.len;

	put_header(b, type | NLA_F_NESTED, 0);
	return at;
}

void netlink_nest_end(struct netlink_batch *b, size_t nest)
{
	size_t size = b->b.len - nest;
	uint16_t len = (uint16_t)size;

	if (size > UINT16_MAX)
		b->too_long = true;
	memcpy(b->b.data + nest, &len, sizeof(len)); /* nla_len is the first member */
}

/* -- walking ------------------------------------------------------------------------------------------------ */

bool netlink_next(const unsigned char **data, size_t *size, struct netlink_message *ret)
{
	struct nlmsghdr h;

	if (*size < sizeof(h))
		return false;
	memcpy(&h, *data, sizeof(h));
	if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > *size)
		return false;
	*ret = (struct netlink_message){.type = h.nlmsg_type,
					.flags = h.nlmsg_flags,
					.seq = h.nlmsg_seq,
					.data = *data + sizeof(h),
					.size = h.nlmsg_len - sizeof(h)};
	size_t step = MIN((size_t)NLMSG_ALIGN((size_t)h.nlmsg_len), *size);
	*data += step;
	*size -= step;
	return true;
}

bool netlink_attribute_next(const unsigned char **data, size_t *size, struct netlink_attribute *ret)
{
	struct nlattr a;

	if (*size < sizeof(a))
		return false;
	memcpy(&a, *data, sizeof(a));
	if (a.nla_len < sizeof(a) || a.nla_len > *size)
		return false;
	*ret = (struct netlink_attribute){
		.type = a.nla_type & NLA_TYPE_MASK, .data = *data + sizeof(a), .size = a.nla_len - sizeof(a)};
	size_t step = MIN((size_t)NLA_ALIGN((size_t)a.nla_len), *size);
	*data += step;
	*size -= step;
	return true;
}

void netlink_attributes(const struct netlink_message *m, size_t header, const unsigned char **ret_data,
			size_t *ret_size)
{
	size_t aligned = MIN((size_t)NLMSG_ALIGN(header), m->size);

	*ret_data = m->data + aligned;
	*ret_size = m->size - aligned;
}

bool netlink_attribute_u32(const struct netlink_attribute *a, uint32_t *ret)
{
	if (a->size != sizeof(*ret))
		return false;
	memcpy(ret, a->data, sizeof(*ret));
	return true;
}

/* -- talking ------------------------------------------------------------------------------------------------ */

struct err *netlink_open(int protocol, int *ret_fd)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	int one = 1, size = SEND_BUFFER;

	if (fd < 0)
		return err_errno(errno, "cannot talk to the kernel's network stack");
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	/* Many published ports are one message of some hundred kilobytes, and when that fails, as many refusals. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

/* The kernel's words, when it has some: behind the error and the header of the request, which NETLINK_CAP_ACK cuts short. */
static void take_words(const struct netlink_message *m, struct netlink_refusal *refusal)
{
	const unsigned char *data;
	size_t size;
	struct netlink_attribute a;

	if (!(m->flags & NLM_F_ACK_TLVS))
		return;
	netlink_attributes(m, sizeof(struct nlmsgerr), &data, &size);
	while (netlink_attribute_next(&data, &size, &a))
		if (a.type == NLMSGERR_ATTR_MSG)
			snprintf(refusal->text, sizeof(refusal->text), "%.*s",
				 (int)strnlen((const char *)a.data, a.size), (const char *)a.data);
}

void netlink_answer(const struct netlink_message *m, uint32_t last_seq, struct netlink_refusal *refusal,
		    bool *ret_done)
{
	int32_t error = 0;

	if (m->type != NLMSG_ERROR && m->type != NLMSG_DONE)
		return;
	if (m->size >= sizeof(error))
		memcpy(&error, m->data, sizeof(error));
	if (error < 0 && error >= -4095 && !refusal->errnum) {
		refusal->errnum = -error;
		refusal->request = m->seq > 0 ? m->seq - 1 : 0;
		take_words(m, refusal);
	}
	if (m->seq == last_seq)
		*ret_done = true;
}

static struct err *receive(int fd, uint32_t last, const char *what, struct netlink_refusal *refusal,
			   void (*each)(const struct netlink_message *m, void *user), void *user)
{
	_cleanup_free_ unsigned char *buffer = xmalloc(ANSWER_SIZE);
	bool done = false;

	while (!done) {
		ssize_t n = recv(fd, buffer, ANSWER_SIZE, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && refusal->errnum)
			return NULL; /* an nfnetlink batch as a whole is refused in the name of its first message */
		if (n < 0)
			return err_errno(errno, "%s: no answer from the kernel", what);
		const unsigned char *data = buffer;
		size_t size = (size_t)n;
		struct netlink_message m;
		while (netlink_next(&data, &size, &m)) {
			if (m.type == NLMSG_ERROR || m.type == NLMSG_DONE)
				netlink_answer(&m, last, refusal, &done);
			else if (each && m.type >= NLMSG_MIN_TYPE)
				each(&m, user);
		}
	}
	return NULL;
}

struct err *netlink_talk(int fd, struct netlink_batch *b, const char *what,
			 void (*each)(const struct netlink_message *m, void *user), void *user,
			 struct netlink_refusal *ret_refusal)
{
	struct netlink_refusal refusal = {0};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct nlmsghdr h;

	if (b->n == 0)
		return NULL;
	if (b->too_long)
		return err_new(ERR_LIMIT, "%s: a value is too long for the network stack", what);
	memcpy(&h, b->b.data + b->last, sizeof(h));
	if ((h.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		h.nlmsg_flags |= NLM_F_ACK;
	memcpy(b->b.data + b->last, &h, sizeof(h));
	if (sendto(fd, b->b.data, b->b.len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return err_errno(errno, "%s", what);
	TRY(receive(fd, h.nlmsg_seq, what, &refusal, each, user));
	if (!refusal.errnum)
		return NULL;
	if (ret_refusal)
		*ret_refusal = refusal;
	if (refusal.text[0])
		return err_errno(refusal.errnum, "%s: %s", what, refusal.text);
	return err_errno(refusal.errnum, "%s", what);
}
