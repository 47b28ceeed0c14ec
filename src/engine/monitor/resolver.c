/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "network/dns.h"
#include "network/undo.h"

#define QUERY_MAX 4096u /* of a datagram */
#define SERVERS_MAX 8u
#define SERVER_TIMEOUT_MS 2500
#define STREAM_IDLE_MS 10000
#define WARM_MS 5000 /* questions come in bursts: so long the pages they touched are kept */
#define RESOLV_MAX (64u << 10)

struct server {
	struct sockaddr_storage address;
	socklen_t size;
};

/* A connection of the container, one query at a time. */
struct stream {
	struct source source; /* must be first */
	struct stream *next;
	struct strbuf in;
	int64_t until_ms;
	bool dead, waiting;
};

/* A question that a server was asked. */
struct pending {
	struct source source; /* must be first */
	struct pending *next;
	struct sockaddr_storage from; /* who asked by datagram */
	socklen_t from_size;
	struct stream *stream; /* who asked by connection, or NULL */
	unsigned char *query;
	size_t size, sent;
	struct strbuf in; /* by connection: what has come of the answer */
	struct server servers[SERVERS_MAX];
	size_t n_servers, server;
	int64_t until_ms;
	bool dead;
};

struct resolver {
	struct source udp, tcp;
	struct pending *pending;
	struct stream *streams;
	unsigned n_pending, n_streams;
	int64_t warm_until_ms; /* 0: nothing was asked since memory was given back */
	unsigned turn;         /* several addresses of a name come in turns */
};

static int64_t now_ms(void)
{
	return timestamp_monotonic_ns() / 1000000;
}

/* -- what is known --- */

struct view {
	char **lines; /* of network.conf */
	bool internal;
};

struct found {
	bool known;
	struct strbuf addresses; /* of 4 or 16 bytes each */
};

static void view_read(struct monitor *m, struct view *v)
{
	_cleanup_free_ char *path = xasprintf("%s/" NETWORK_CONF, m->run_dir), *text = NULL;
	size_t size;
	struct err *e = file_read(path, NETWORK_FILE_MAX, &text, &size);

	v->internal = e != NULL; /* not knowing, nothing leaks */
	err_free(e);
	v->lines = text ? strv_split(text, "\n") : NULL;
	STRV_FOREACH (l, v->lines)
		v->internal |= str_eq(*l, "internal");
}

static bool same_name(const char *word, size_t len, const char *name, const char *network)
{
	size_t n = strlen(name), suffix = strlen(network);

	if (n == len && strncasecmp(word, name, len) == 0)
		return true;
	return n == len + 1 + suffix && strncasecmp(word, name, len) == 0 && name[len] == '.' &&
	       strcasecmp(name + len + 1, network) == 0;
}

static void add_address(struct found *f, const char *text, size_t len, uint16_t type)
{
	char address[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	int family = type == DNS_TYPE_A ? AF_INET : AF_INET6;

	if ((type != DNS_TYPE_A && type != DNS_TYPE_AAAA) || len >= sizeof(address))
		return;
	snprintf(address, sizeof(address), "%.*s", (int)len, text);
	if (inet_pton(family, address, bytes) == 1)
		strbuf_append(&f->addresses, bytes, family == AF_INET ? 4 : 16);
}

/* A line of a table: CONTAINER IPV4 IPV6 NAME… */
static void match_line(const char *line, size_t len, const char *name, const char *network, uint16_t type,
		       struct found *f)
{
	const char *words[3] = {0};
	size_t lengths[3] = {0}, n = 0;

	for (size_t at = 0; at < len; n++) {
		size_t word = 0;
		while (at + word < len && line[at + word] != ' ')
			word++;
		if (n < 3) {
			words[n] = line + at;
			lengths[n] = word;
		} else if (same_name(line + at, word, name, network)) {
			f->known = true;
			add_address(f, words[type == DNS_TYPE_A ? 1 : 2], lengths[type == DNS_TYPE_A ? 1 : 2],
				    type);
			return;
		}
		at += word + 1;
	}
}

static bool match_address(const char *line, size_t len, const char *address, struct found *f,
			  const char *network)
{
	_cleanup_free_ char *text = xstrndup(line, len);
	_cleanup_strv_ char **words = strv_split(text, " ");

	if (strv_len(words) < 4 || (!str_eq(words[1], address) && !str_eq(words[2], address)))
		return false;
	f->known = true;
	strbuf_printf(&f->addresses, "%s.%s", words[3], network);
	return true;
}

/* Each line of each table. `address` not NULL: a reverse question. */
static void search_tables(const struct view *v, const char *name, const char *address, uint16_t type,
			  struct found *f)
{
	STRV_FOREACH (l, v->lines) {
		const char *path = str_starts(*l, "names ") ? strchr(*l + 6, ' ') : NULL;
		_cleanup_free_ char *text = NULL;
		size_t size;
		if (!path)
			continue;
		_cleanup_free_ char *network = xstrndup(*l + 6, (size_t)(path - *l) - 6);
		err_free(file_read(path + 1, NETWORK_FILE_MAX, &text, &size));
		for (const char *line = text; line && *line;) {
			size_t len = strcspn(line, "\n");
			if (address ? match_address(line, len, address, f, network) : false)
				return;
			if (!address)
				match_line(line, len, name, network, type, f);
			line += len + (line[len] == '\n');
		}
	}
}

/* --link NAME:ALIAS: a name that this container alone knows. */
static const char *linked(const struct view *v, const char *name, char target[static 256])
{
	STRV_FOREACH (l, v->lines) {
		const char *colon = str_starts(*l, "link ") ? strchr(*l, ':') : NULL;
		if (!colon || strcasecmp(colon + 1, name) != 0)
			continue;
		snprintf(target, 256, "%.*s", (int)(colon - *l) - 5, *l + 5);
		return target;
	}
	return name;
}

static void look_up(const struct view *v, const struct dns_question *q, struct found *f)
{
	unsigned char bytes[16];
	char address[INET6_ADDRSTRLEN], target[256];
	int family;

	if (!q->name[0] || q->class != 1)
		return;
	if (q->type == DNS_TYPE_PTR) {
		if (dns_reverse_parse(q->name, &family, bytes) &&
		    inet_ntop(family, bytes, address, sizeof(address)))
			search_tables(v, NULL, address, q->type, f);
		return;
	}
	search_tables(v, linked(v, q->name, target), NULL, q->type, f);
	/* A service of a known name (_http._tcp.db, RFC 2782) is not for others to hear of either: there is none. */
	const char *host = q->name;
	while (*host == '_' && strchr(host, '.'))
		host = strchr(host, '.') + 1;
	if (!f->known && host != q->name)
		search_tables(v, linked(v, host, target), NULL, 0, f);
}

static void build_answer(struct resolver *r, const struct dns_question *q, struct found *f,
			 struct strbuf *out)
{
	size_t each = q->type == DNS_TYPE_A ? 4 : 16, n = f->addresses.len / each;

	dns_answer_begin(out, q, 0);
	if (q->type == DNS_TYPE_PTR) {
		if (f->addresses.len)
			dns_answer_name(out, DNS_TYPE_PTR, f->addresses.data);
		return;
	}
	unsigned first = r->turn++;
	for (size_t i = 0; i < n; i++)
		dns_answer_record(out, q->type, f->addresses.data + (first + i) % n * each, each);
}

/* -- answering --- */

static void send_stream(struct stream *s, const void *data, size_t size)
{
	unsigned char header[2] = {(unsigned char)(size >> 8), (unsigned char)size};
	struct iovec io[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)data, size}};
	struct msghdr msg = {.msg_iov = io, .msg_iovlen = 2};

	/* An answer fits the socket's buffer unless the container does not read: then it has hung up. */
	if (sendmsg(s->source.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(size + sizeof(header)))
		s->dead = true;
	s->waiting = false;
}

static void reply(struct resolver *r, const struct sockaddr_storage *to, socklen_t to_size, struct stream *s,
		  const void *data, size_t size)
{
	if (s)
		send_stream(s, data, size);
	else
		(void)!sendto(r->udp.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)to,
			      to_size);
}

static void reply_code(struct resolver *r, const struct dns_question *q, unsigned rcode,
		       const struct sockaddr_storage *to, socklen_t to_size, struct stream *s)
{
	_cleanup_strbuf_ struct strbuf out = {0};

	dns_answer_begin(&out, q, rcode);
	reply(r, to, to_size, s, out.data, out.len);
}

/* -- asking others --- */

static bool server_parse(const char *text, size_t len, struct server *ret)
{
	char address[64];
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(53)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};

	if (len == 0 || len >= sizeof(address))
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)len, text);
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
		memcpy(&ret->address, &v4, sizeof(v4));
		ret->size = sizeof(v4);
		return true;
	}
	if (inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
		return false;
	memcpy(&ret->address, &v6, sizeof(v6));
	ret->size = sizeof(v6);
	return true;
}

static size_t servers_find(const struct view *v, struct server *servers)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ char **lines = NULL;
	size_t n = 0, size;

	STRV_FOREACH (l, v->lines)
		if (str_starts(*l, "dns ") && n < SERVERS_MAX)
			n += server_parse(*l + 4, strlen(*l + 4), &servers[n]);
	if (n)
		return n;
	err_free(file_read("/etc/resolv.conf", RESOLV_MAX, &text, &size));
	lines = text ? strv_split(text, "\n") : NULL;
	STRV_FOREACH (l, lines) {
		const char *address = *l + 10;
		if (!str_starts(*l, "nameserver") || n == SERVERS_MAX)
			continue;
		address += strspn(address, " \t");
		n += server_parse(address, strcspn(address, " \t#;%"), &servers[n]);
	}
	return n;
}

static void pending_ready(struct monitor *m, struct source *s, uint32_t events);

static void pending_end(struct monitor *m, struct pending *p)
{
	monitor_watch(m, &p->source, 0);
	fd_close(p->source.fd);
	p->dead = true;
}

static void pending_fail(struct monitor *m, struct pending *p)
{
	struct dns_question q;

	if (dns_question_parse(p->query, p->size, &q))
		reply_code(m->resolver, &q, DNS_RCODE_SERVFAIL, &p->from, p->from_size, p->stream);
	pending_end(m, p);
}

/* Asks the next server; after the last one the question has failed. */
static void pending_next(struct monitor *m, struct pending *p)
{
	for (; p->server < p->n_servers; p->server++) {
		const struct server *to = &p->servers[p->server];
		monitor_watch(m, &p->source, 0);
		fd_close(p->source.fd);
		p->source.fd =
			socket(to->address.ss_family,
			       (p->stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (p->source.fd < 0)
			continue;
		p->sent = 0;
		strbuf_reset(&p->in);
		p->until_ms = now_ms() + SERVER_TIMEOUT_MS;
		/* A connected socket takes answers from that server alone, at a port that the kernel has chosen. */
		int status = connect(p->source.fd, (const struct sockaddr *)&to->address, to->size);
		if (status < 0 && errno != EINPROGRESS)
			continue;
		if (!p->stream && send(p->source.fd, p->query, p->size, MSG_NOSIGNAL) < 0)
			continue;
		monitor_watch(m, &p->source, p->stream ? EPOLLOUT : EPOLLIN);
		p->server++;
		return;
	}
	pending_fail(m, p);
}

static void pending_take(struct monitor *m, struct pending *p, const unsigned char *data, size_t size)
{
	struct dns_question q;

	if (!dns_question_parse(p->query, p->size, &q) || !dns_is_answer(&q, data, size))
		return; /* somebody guesses; the true answer may still come */
	/* A server that cannot is not the last word while there are others. */
	if ((data[3] & 15) == DNS_RCODE_SERVFAIL && p->server < p->n_servers) {
		pending_next(m, p);
		return;
	}
	reply(m->resolver, &p->from, p->from_size, p->stream, data, size);
	pending_end(m, p);
}

/* The server's connection: length and question out, length and answer in. */
static void pending_stream(struct monitor *m, struct pending *p, uint32_t events)
{
	unsigned char out[2] = {(unsigned char)(p->size >> 8), (unsigned char)p->size}, chunk[2048];

	if (p->sent == 0) {
		struct iovec io[2] = {{out, sizeof(out)}, {p->query, p->size}};
		struct msghdr msg = {.msg_iov = io, .msg_iovlen = 2};
		if (sendmsg(p->source.fd, &msg, MSG_NOSIGNAL) != (ssize_t)(p->size + sizeof(out))) {
			pending_next(m, p);
			return;
		}
		p->sent = p->size;
		monitor_watch(m, &p->source, EPOLLIN);
		return;
	}
	ssize_t n = recv(p->source.fd, chunk, sizeof(chunk), 0);
	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return;
		pending_next(m, p);
		return;
	}
	strbuf_append(&p->in, chunk, (size_t)n);
	const unsigned char *in = (const unsigned char *)p->in.data;
	size_t wanted = p->in.len >= 2 ? (size_t)(in[0] << 8 | in[1]) + 2 : SIZE_MAX;
	if (p->in.len >= wanted)
		pending_take(m, p, in + 2, wanted - 2);
}

static void pending_ready(struct monitor *m, struct source *s, uint32_t events)
{
	struct pending *p = (struct pending *)s;

	if (p->stream) {
		pending_stream(m, p, events);
		return;
	}
	_cleanup_free_ unsigned char *buffer = xmalloc(DNS_MESSAGE_MAX);
	ssize_t n = recv(s->fd, buffer, DNS_MESSAGE_MAX, 0);
	if (n > 0)
		pending_take(m, p, buffer, (size_t)n);
	else if (n < 0 && errno != EAGAIN)
		pending_next(m, p); /* nobody listens there */
}

static void forward(struct monitor *m, const struct view *v, const struct dns_question *q, size_t size,
		    const struct sockaddr_storage *from, socklen_t from_size, struct stream *stream)
{
	struct resolver *r = m->resolver;

	if (r->n_pending >= RESOLVER_PENDING_MAX) {
		reply_code(r, q, DNS_RCODE_SERVFAIL, from, from_size, stream);
		return;
	}
	struct pending *p = xnew(struct pending);
	p->source = (struct source){.fd = -1, .ready = pending_ready};
	if (from)
		p->from = *from;
	p->from_size = from_size;
	p->stream = stream;
	p->query = xmemdup(q->message, size);
	p->size = size;
	p->n_servers = servers_find(v, p->servers);
	p->next = r->pending;
	r->pending = p;
	r->n_pending++;
	pending_next(m, p);
}

static void answer(struct monitor *m, const unsigned char *data, size_t size,
		   const struct sockaddr_storage *from, socklen_t from_size, struct stream *stream)
{
	struct dns_question q;
	struct view v = {0};
	struct found f = {0};
	_cleanup_strbuf_ struct strbuf out = {0};

	if (!dns_question_parse(data, size, &q)) {
		if (stream)
			stream->dead = true;
		return;
	}
	if (stream)
		stream->waiting = true;
	m->resolver->warm_until_ms = now_ms() + WARM_MS;
	view_read(m, &v);
	look_up(&v, &q, &f);
	if (f.known) {
		build_answer(m->resolver, &q, &f, &out);
		dns_answer_end(&out, &q, stream ? DNS_MESSAGE_MAX : q.udp_size);
		reply(m->resolver, from, from_size, stream, out.data, out.len);
	} else if (v.internal) {
		reply_code(m->resolver, &q, DNS_RCODE_NXDOMAIN, from, from_size, stream);
	} else {
		forward(m, &v, &q, size, from, from_size, stream);
	}
	strbuf_release(&f.addresses);
	strv_free(v.lines);
}

/* -- the container's side --- */

static void udp_ready(struct monitor *m, struct source *s, uint32_t events)
{
	unsigned char query[QUERY_MAX];
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	ssize_t n = recvfrom(s->fd, query, sizeof(query), MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from,
			     &size);

	if (n > 0 && (size_t)n <= sizeof(query))
		answer(m, query, (size_t)n, &from, size, NULL);
}

static void stream_take(struct monitor *m, struct stream *s)
{
	while (!s->dead && !s->waiting && s->in.len >= 2) {
		const unsigned char *in = (const unsigned char *)s->in.data;
		size_t size = (size_t)(in[0] << 8 | in[1]), rest;
		if (s->in.len < size + 2)
			return;
		answer(m, in + 2, size, NULL, 0, s);
		rest = s->in.len - size - 2;
		memmove(s->in.data, s->in.data + size + 2, rest);
		s->in.len = rest;
	}
}

static void stream_ready(struct monitor *m, struct source *source, uint32_t events)
{
	struct stream *s = (struct stream *)source;
	char chunk[2048];
	ssize_t n = recv(s->source.fd, chunk, sizeof(chunk), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN) || s->in.len > DNS_MESSAGE_MAX + 2) {
		s->dead = true;
	} else if (n > 0) {
		strbuf_append(&s->in, chunk, (size_t)n);
		s->until_ms = now_ms() + STREAM_IDLE_MS;
		stream_take(m, s);
	}
}

static void tcp_ready(struct monitor *m, struct source *source, uint32_t events)
{
	struct resolver *r = m->resolver;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (r->n_streams >= RESOLVER_STREAMS_MAX) {
		close(fd);
		return;
	}
	struct stream *s = xnew(struct stream);
	s->source = (struct source){.fd = fd, .ready = stream_ready};
	s->until_ms = now_ms() + STREAM_IDLE_MS;
	s->next = r->streams;
	r->streams = s;
	r->n_streams++;
	monitor_watch(m, &s->source, EPOLLIN);
}

/* -- time and the end --- */

static void free_pending(struct resolver *r)
{
	for (struct pending **at = &r->pending; *at;) {
		struct pending *p = *at;
		if (!p->dead) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		free(p->query);
		strbuf_release(&p->in);
		free(p);
		r->n_pending--;
	}
}

static void free_streams(struct monitor *m)
{
	struct resolver *r = m->resolver;

	for (struct stream **at = &r->streams; *at;) {
		struct stream *s = *at;
		if (!s->dead) {
			at = &s->next;
			continue;
		}
		for (struct pending *p = r->pending; p; p = p->next)
			if (p->stream == s && !p->dead)
				pending_end(m, p);
		*at = s->next;
		monitor_watch(m, &s->source, 0);
		fd_close(s->source.fd);
		strbuf_release(&s->in);
		free(s);
		r->n_streams--;
	}
}

int resolver_timeout_ms(const struct monitor *m)
{
	const struct resolver *r = m->resolver;
	int64_t until = INT64_MAX;

	if (!r)
		return -1;
	if (r->warm_until_ms)
		until = r->warm_until_ms;
	for (const struct pending *p = r->pending; p; p = p->next)
		until = MIN(until, p->until_ms);
	for (const struct stream *s = r->streams; s; s = s->next)
		until = MIN(until, s->waiting ? INT64_MAX : s->until_ms);
	return until == INT64_MAX ? -1 : (int)MAX(until - now_ms(), (int64_t)0);
}

void resolver_expire(struct monitor *m)
{
	struct resolver *r = m->resolver;

	if (!r || (!r->pending && !r->streams && !r->warm_until_ms))
		return;
	int64_t now = now_ms();
	if (now >= r->warm_until_ms)
		r->warm_until_ms = 0; /* the loop gives memory back when nothing is left to wait for */
	for (struct pending *p = r->pending; p; p = p->next)
		if (!p->dead && p->until_ms <= now)
			pending_next(m, p);
	for (struct stream *s = r->streams; s; s = s->next) {
		s->dead |= !s->waiting && s->until_ms <= now;
		stream_take(m, s); /* what came while an answer was waited for */
	}
	free_streams(m);
	free_pending(r);
}

void resolver_watch(struct monitor *m, int udp, int tcp)
{
	struct resolver *r = xnew(struct resolver);

	r->udp = (struct source){.fd = udp, .ready = udp_ready};
	r->tcp = (struct source){.fd = tcp, .ready = tcp_ready};
	m->resolver = r;
	monitor_watch(m, &r->udp, EPOLLIN);
	monitor_watch(m, &r->tcp, EPOLLIN);
}

void resolver_close(struct monitor *m)
{
	struct resolver *r = m->resolver;

	if (!r)
		return;
	for (struct pending *p = r->pending; p; p = p->next)
		if (!p->dead)
			pending_end(m, p);
	for (struct stream *s = r->streams; s; s = s->next)
		s->dead = true;
	free_streams(m);
	free_pending(r);
	monitor_watch(m, &r->udp, 0);
	monitor_watch(m, &r->tcp, 0);
	fd_close(r->udp.fd);
	fd_close(r->tcp.fd);
	m->resolver = NULL;
	free(r);
}
