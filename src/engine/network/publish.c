/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports: what -p says, binding them (N4), and their row. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "network_private.h"

#define PORTS_MAX 65536u
#define FDS_A_MESSAGE 250u /* SCM_MAX_FD is 253 */
#define PICK_ATTEMPTS 64

const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_UDP ? "udp" : protocol == IPPROTO_SCTP ? "sctp" : "tcp";
}

static struct err *protocol_parse(const char *s, const char *what, uint8_t *ret)
{
	static const uint8_t known[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcasecmp(s, protocol_name(known[i])) == 0) {
			*ret = known[i];
			return NULL;
		}
	return err_new(ERR_INVALID, "%s: invalid proto: %.32s (tcp, udp or sctp)", what, s);
}

static struct err *range_parse(const char *s, const char *what, uint16_t *ret_first, uint16_t *ret_last)
{
	_cleanup_free_ char *text = xstrdup(s);
	char *dash = strchr(text, '-');
	uint64_t first, last;

	if (dash)
		*dash = '\0';
	TRY_WRAP(parse_u64(text, "port", 1, 65535, &first), "%s", what);
	last = first;
	if (dash)
		TRY_WRAP(parse_u64(dash + 1, "port", 1, 65535, &last), "%s", what);
	if (last < first)
		return err_new(ERR_INVALID, "%s: invalid range %s: it ends before it begins", what, s);
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
	return NULL;
}

static struct err *add(struct ports *to, const struct port *p, const char *what)
{
	if (to->n >= PORTS_MAX)
		return err_new(ERR_LIMIT, "%s: more than %u published ports", what, PORTS_MAX);
	for (size_t i = 0; i < to->n; i++) {
		const struct port *o = &to->items[i];
		if (o->protocol == p->protocol && o->port == p->port && o->host_port == p->host_port &&
		    ip_equal(&o->host, &p->host))
			return NULL; /* said twice */
	}
	GROW(to->items, to->n, to->cap);
	to->items[to->n++] = *p;
	return NULL;
}

/* [ADDRESS:][PORT[-PORT]:]PORT[-PORT][/PROTOCOL] */
static struct err *parse_one(const char *s, const char *what, struct ports *to)
{
	_cleanup_free_ char *text = xstrdup(s);
	char *rest = text, *slash = strrchr(text, '/'), *host = NULL;
	struct port p = {.protocol = IPPROTO_TCP};
	uint16_t first, last, host_first = 0, host_last = 0;

	if (slash) {
		*slash = '\0';
		TRY(protocol_parse(slash + 1, what, &p.protocol));
	}
	char *colon = strrchr(rest, ':'), *container = colon ? colon + 1 : rest;
	if (colon) {
		*colon = '\0';
		char *second = strrchr(rest, ':');
		char *port = second ? second + 1 : rest;
		if (rest[0] == '[') { /* [v6]:port */
			char *close = strchr(rest, ']');
			if (!close || (close[1] && close[1] != ':'))
				return err_new(ERR_INVALID,
					       "%s \"%.128s\": the brackets of the address do not close",
					       what, s);
			port = close[1] ? close + 2 : close + 1;
			*close = '\0';
			host = rest + 1;
		} else if (second) {
			*second = '\0';
			host = rest;
		}
		if (*port)
			TRY_WRAP(range_parse(port, "host port", &host_first, &host_last), "%s \"%.128s\"",
				 what, s);
	}
	if (!*container)
		return err_new(ERR_INVALID, "%s \"%.128s\": no port specified", what, s);
	TRY_WRAP(range_parse(container, "container port", &first, &last), "%s \"%.128s\"", what, s);
	if (host && *host)
		TRY(ip_parse(host, what, &p.host));
	if (host_first && host_last - host_first != last - first && first != last)
		return err_new(ERR_INVALID,
			       "%s \"%.128s\": the ranges of host and container have different lengths", what,
			       s);
	for (unsigned port = first; port <= last; port++) {
		p.port = (uint16_t)port;
		p.host_port = host_first ? (uint16_t)(host_first + (port - first)) : 0;
		p.host_port_last = first == last ? host_last : p.host_port;
		TRY(add(to, &p, what));
	}
	return NULL;
}

char *publish_text(const struct port *p)
{
	struct strbuf b = {0};
	char host[IP_TEXT_MAX];

	ip_text(&p->host, host);
	if (*host)
		strbuf_printf(&b, p->host.family == AF_INET6 ? "[%s]:" : "%s:", host);
	if (p->host_port_last > p->host_port)
		strbuf_printf(&b, "%u-%u:", p->host_port, p->host_port_last);
	else if (p->host_port)
		strbuf_printf(&b, "%u:", p->host_port);
	else if (*host)
		strbuf_putc(&b, ':');
	strbuf_printf(&b, "%u/%s", p->port, protocol_name(p->protocol));
	return strbuf_take(&b);
}

struct err *publish_parse(char *const *list, const char *what, struct ports *ret)
{
	struct ports p = {0};
	struct err *error = NULL;

	STRV_FOREACH (s, list)
		if (!error)
			error = parse_one(*s, what, &p);
	if (error) {
		free(p.items);
		return error;
	}
	*ret = p;
	return NULL;
}

/* -- binding --- */

static int try_bind(int fd, const struct port *p, uint16_t port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memcpy(&a4.sin_addr, p->host.b, 4);
	memcpy(&a6.sin6_addr, p->host.b, 16);
	return p->host.family == AF_INET ? bind(fd, (struct sockaddr *)&a4, sizeof(a4))
					 : bind(fd, (struct sockaddr *)&a6, sizeof(a6));
}

/* Bound, not listening: whoever else wants the port is refused, and what the rules do not carry to the container is refused, too. */
static int bind_port(int fd, const struct port *p, uint16_t port)
{
	int on = 1, off = 0;

	if (try_bind(fd, p, port) == 0)
		return 0;
	if (errno != EADDRINUSE || p->protocol != IPPROTO_TCP)
		return -1;
	/* Connections of a program that used the port until now may still be in TIME_WAIT: they do not count. Listening shows whether
	 * somebody else is there in earnest. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (try_bind(fd, p, port) < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off));
	if (listen(fd, 0) < 0 || shutdown(fd, SHUT_RD) < 0)
		return -1;
	return 0;
}

static struct err *open_socket(const struct port *p, int *ret_fd)
{
	int one = 1, type = p->protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
	_cleanup_fd_ int fd = socket(p->host.family, type | SOCK_CLOEXEC, p->protocol);

	if (fd < 0)
		return err_errno(errno, "cannot open a socket for a published port");
	if (p->host.family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage a;
	socklen_t size = sizeof(a);
	struct sockaddr_in v4;

	if (getsockname(fd, (struct sockaddr *)&a, &size) < 0)
		return 0;
	memcpy(&v4, &a, sizeof(v4)); /* the port is at the same place in both families */
	return ntohs(v4.sin_port);
}

static struct err *refused(const struct port *p, int errnum)
{
	char host[IP_TEXT_MAX];
	const char *open = p->host.family == AF_INET6 ? "[" : "", *close = *open ? "]" : "";

	ip_text(&p->host, host);
	if (errnum == EADDRINUSE && p->host_port_last > p->host_port)
		return err_errno(errnum, "cannot publish port %u/%s: all host ports from %u to %u are in use",
				 p->port, protocol_name(p->protocol), p->host_port, p->host_port_last);
	if (errnum == EADDRINUSE)
		return err_errno(errnum,
				 "cannot publish port %u/%s: %s%s%s:%u is already allocated, by another "
				 "container or program; choose "
				 "another host port",
				 p->port, protocol_name(p->protocol), open, host, close, p->host_port);
	if (errnum == EADDRNOTAVAIL)
		return err_errno(errnum,
				 "cannot publish port %u/%s on %s: this machine does not have that address",
				 p->port, protocol_name(p->protocol), host);
	return err_errno(errnum, "cannot publish port %u/%s on %s%s%s:%u", p->port,
			 protocol_name(p->protocol), open, host, close, p->host_port);
}

/* Binds one port of the range, or any. `same`: the entry before is the same publication in the other family and wants the same port. */
static struct err *bind_one(struct port *p, const struct port *same, int *ret_fd)
{
	_cleanup_fd_ int fd = -1;
	unsigned first = same ? same->host_port : p->host_port, last = same ? first : p->host_port_last;

	for (unsigned port = first; port <= MAX(first, last); port++) {
		fd_close(fd);
		TRY(open_socket(p, &fd));
		if (bind_port(fd, p, (uint16_t)port) == 0) {
			p->host_port = p->host_port_last = bound_port(fd);
			*ret_fd = TAKE_FD(fd);
			return NULL;
		}
		if (errno != EADDRINUSE)
			break;
	}
	if (p->protocol == IPPROTO_SCTP &&
	    errno != EADDRINUSE) /* a kernel without SCTP sockets can still forward it */
		return NULL;
	return refused(p, errno);
}

/* The fds stay in flight in a socket's queue: one fd of the monitor holds any number of ports, within any limit. */
static struct err *send_fds(int sock, const int *fds, size_t n)
{
	union {
		char buffer[CMSG_SPACE(FDS_A_MESSAGE * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec io = {.iov_base = (char[]){'p'}, .iov_len = 1};
	struct msghdr m = {.msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = control.buffer,
			   .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	if (sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return err_errno(errno, "cannot hand the published ports to the monitor");
	return NULL;
}

/* Fds on their way into a holder's queue. */
struct holder {
	int near, far, fds[FDS_A_MESSAGE];
	size_t n;
};

static struct err *holder_open(struct holder *h)
{
	int pair[2];

	TRY(fd_socketpair(SOCK_STREAM, pair));
	*h = (struct holder){.near = pair[0], .far = pair[1]};
	return NULL;
}

static struct err *holder_flush(struct holder *h)
{
	struct err *error = h->n ? send_fds(h->near, h->fds, h->n) : NULL;

	while (h->n > 0)
		close(h->fds[--h->n]);
	return error;
}

/* Takes the fd. */
static struct err *holder_add(struct holder *h, int fd)
{
	h->fds[h->n++] = fd;
	return h->n == FDS_A_MESSAGE ? holder_flush(h) : NULL;
}

static void holder_release(struct holder *h)
{
	while (h->n > 0)
		close(h->fds[--h->n]);
	fd_close(h->near);
	fd_close(h->far);
}

/* Whether a bound socket is that of one of the ports. */
static bool is_of(int fd, const struct ports *list)
{
	struct sockaddr_storage a;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	socklen_t size = sizeof(a), int_size = sizeof(int);
	int protocol = 0;

	if (getsockname(fd, (struct sockaddr *)&a, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &int_size) < 0)
		return false;
	memcpy(&v4, &a, sizeof(v4));
	memcpy(&v6, &a, sizeof(v6));
	for (size_t i = 0; i < list->n; i++) {
		const struct port *p = &list->items[i];
		const void *address = a.ss_family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr;
		if (p->host.family == a.ss_family && p->protocol == protocol &&
		    p->host_port == ntohs(v4.sin_port) && memcmp(p->host.b, address, ip_size(&p->host)) == 0)
			return true;
	}
	return false;
}

/* Copies of what another holder has. Its queue stays as it is: messages are only peeked at, one after the other. */
static struct err *holder_copy(struct holder *h, int from, const struct ports *keep)
{
	int peek_from = 0;
	union {
		char buffer[CMSG_SPACE(FDS_A_MESSAGE * sizeof(int))];
		struct cmsghdr align;
	} control;

	if (setsockopt(from, SOL_SOCKET, SO_PEEK_OFF, &peek_from, sizeof(peek_from)) < 0)
		return err_errno(errno, "cannot look at the ports that the monitor holds");
	while (true) {
		char byte;
		struct iovec io = {.iov_base = &byte, .iov_len = 1};
		struct msghdr m = {.msg_iov = &io,
				   .msg_iovlen = 1,
				   .msg_control = control.buffer,
				   .msg_controllen = sizeof(control.buffer)};
		ssize_t n = recvmsg(from, &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n == 0 || (n < 0 && errno == EAGAIN))
			return NULL;
		struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
		if (!c || c->cmsg_type != SCM_RIGHTS || (m.msg_flags & MSG_CTRUNC))
			return err_errno(n < 0 ? errno : EMFILE,
					 "cannot take the ports that the monitor holds");
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		struct err *error = NULL;
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (error || (keep && !is_of(fd, keep)))
				close(fd);
			else
				error = holder_add(h, fd);
		}
		TRY(error);
	}
}

struct err *publish_bind(struct ports *p, const struct ports_held *held, int *ret_holder)
{
	_cleanup_(holder_release) struct holder h = {.near = -1, .far = -1};

	TRY(holder_open(&h));
	if (held && held->holder >= 0)
		TRY(holder_copy(&h, held->holder, held->keep));
	for (size_t i = 0; i < p->n; i++) {
		struct port *o = &p->items[i];
		int fd = -1;
		if (held && held->already[i])
			continue;
		TRY(bind_one(o, i > 0 && o->twin ? &p->items[i - 1] : NULL, &fd));
		if (fd >= 0)
			TRY(holder_add(&h, fd));
	}
	TRY(holder_flush(&h));
	*ret_holder = TAKE_FD(h.far);
	return NULL;
}

/* -- the row --- */

char *ports_to_text(const struct ports *p)
{
	struct strbuf b = {0};

	for (size_t i = 0; i < p->n; i++) {
		char host[IP_TEXT_MAX], target[IP_TEXT_MAX];
		ip_text(&p->items[i].host, host);
		ip_text(&p->items[i].target, target);
		strbuf_printf(&b, "%s %s %u %u %s\n", protocol_name(p->items[i].protocol), host,
			      p->items[i].host_port, p->items[i].port, target);
	}
	return strbuf_take(&b);
}

static struct err *line_parse(const char *line, struct port *p)
{
	_cleanup_strv_ char **words = strv_split(line, " ");
	uint64_t host_port, port;

	if (strv_len(words) != 5)
		return err_new(ERR_CORRUPT, "a stored port has %zu parts", strv_len(words));
	TRY(protocol_parse(words[0], "stored port", &p->protocol));
	TRY(ip_parse(words[1], "stored port", &p->host));
	TRY(parse_u64(words[2], "stored port", 0, 65535, &host_port));
	TRY(parse_u64(words[3], "stored port", 1, 65535, &port));
	p->host_port = p->host_port_last = (uint16_t)host_port;
	p->port = (uint16_t)port;
	return ip_parse(words[4], "stored port", &p->target);
}

struct err *ports_from_text(const char *text, struct ports *ret)
{
	_cleanup_strv_ char **lines = strv_split(text, "\n");
	struct ports p = {.items = xnew_array(struct port, strv_len(lines) + 1)};

	STRV_FOREACH (l, lines) {
		struct err *error = line_parse(*l, &p.items[p.n]);
		if (error) {
			free(p.items);
			return error;
		}
		p.n++;
	}
	*ret = p;
	return NULL;
}
