/* SPDX-License-Identifier: Apache-2.0 */
/* Attached clients: their frames, their queues, and dropping those that do not read (M3, M4). */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/process.h"
#include "monitor.h"

static size_t queued(const struct client *c)
{
	return c->out.len - c->out_offset;
}

static void client_update(struct monitor *m, struct client *c)
{
	if (!c->dead)
		monitor_watch(m, &c->source, EPOLLIN | (queued(c) > 0 ? EPOLLOUT : 0));
}

/* Only marks: frames of a client may still be on the stack. clients_reap frees. */
static void client_kill(struct monitor *m, struct client *c)
{
	if (c->dead)
		return;
	monitor_watch(m, &c->source, 0);
	fd_close(c->source.fd);
	fd_close(c->passed_fd);
	c->dead = true;
	strbuf_release(&c->out);
	c->out_offset = 0;
	if ((c->want & STREAM_WANT_STDIN) && (m->stdin_once || m->exec))
		m->input_closing = true;
}

void client_dismiss(struct monitor *m, struct client *c)
{
	c->lost = true; /* takes nothing more */
	if (queued(c) == 0)
		client_kill(m, c);
}

void clients_reap(struct monitor *m)
{
	for (struct client **at = &m->clients; *at;) {
		struct client *c = *at;
		/* Input that was already sent still goes to the container. */
		if (!c->dead || (c->in.len > c->in_offset && m->input.fd >= 0)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		m->n_clients--;
		stream_parser_release(&c->parser);
		strbuf_release(&c->out);
		strbuf_release(&c->in);
		free(c);
	}
}

static void client_flush(struct monitor *m, struct client *c)
{
	while (queued(c) > 0) {
		ssize_t n = send(c->source.fd, c->out.data + c->out_offset, queued(c),
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			client_kill(m, c);
			return;
		}
		c->out_offset += (size_t)n;
	}
	if (queued(c) == 0) {
		strbuf_release(&c->out);
		c->out_offset = 0;
		if (c->lost) {
			client_kill(m, c);
			return;
		}
	}
	client_update(m, c);
}

static void enqueue(struct client *c, const void *data, size_t size)
{
	if (c->out_offset > 0 && c->out_offset >= c->out.len / 2) {
		memmove(c->out.data, c->out.data + c->out_offset, queued(c));
		c->out.len -= c->out_offset;
		c->out_offset = 0;
	}
	strbuf_append(&c->out, data, size);
}

void client_send(struct monitor *m, struct client *c, enum stream_frame_type type, const void *data,
		 size_t size)
{
	unsigned char header[STREAM_HEADER_SIZE];
	size_t sent = 0;

	if (c->dead || c->lost)
		return;
	stream_header(header, type, size);
	if (!c->starter && queued(c) + size > CLIENT_QUEUE_MAX) {
		/* M3: this is the last it gets. */
		c->lost = true;
		c->want = 0;
		stream_header(header, STREAM_LOST, 0);
		enqueue(c, header, sizeof(header));
		return;
	}
	if (queued(c) == 0) {
		struct iovec iov[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)data, size}};
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
		ssize_t n = sendmsg(c->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			client_kill(m, c);
			return;
		}
		sent = n > 0 ? (size_t)n : 0;
	}
	if (sent < sizeof(header))
		enqueue(c, header + sent, sizeof(header) - sent);
	sent = sent > sizeof(header) ? sent - sizeof(header) : 0;
	if (sent < size)
		enqueue(c, (const char *)data + sent, size - sent);
	client_update(m, c);
}

void clients_broadcast(struct monitor *m, enum stream_frame_type type, unsigned want, const void *data,
		       size_t size)
{
	for (struct client *c = m->clients; c; c = c->next)
		if (c->greeted && (want == 0 || (c->want & want)))
			client_send(m, c, type, data, size);
}

bool clients_congested(const struct monitor *m)
{
	for (const struct client *c = m->clients; c; c = c->next)
		if (c->starter && !c->dead && queued(c) > STARTER_QUEUE_HIGH)
			return true;
	return false;
}

bool clients_flushed(const struct monitor *m)
{
	for (const struct client *c = m->clients; c; c = c->next)
		if (!c->dead && queued(c) > 0)
			return false;
	return true;
}

static struct err *handle_stdin(struct monitor *m, struct client *c, const struct stream_frame *f)
{
	if (!(c->want & STREAM_WANT_STDIN) || c->stdin_done)
		return err_new(ERR_INVALID, "input from a client without stdin");
	if (c->in.len - c->in_offset + f->size > STREAM_WINDOW)
		return err_new(ERR_INVALID, "more input than the window allows");
	if (m->input.fd < 0) { /* the container closed it, or has none: as if it had been read */
		unsigned char ack[4];
		stream_put_u32(ack, (uint32_t)f->size);
		client_send(m, c, STREAM_STDIN_ACK, ack, sizeof(ack));
		return NULL;
	}
	if (c->in_offset > 0) {
		memmove(c->in.data, c->in.data + c->in_offset, c->in.len - c->in_offset);
		c->in.len -= c->in_offset;
		c->in_offset = 0;
	}
	strbuf_append(&c->in, f->data, f->size);
	return NULL;
}

/* The ports that are no longer held are free at once. */
static struct err *handle_ports(struct monitor *m, struct client *c)
{
	if (c->passed_fd < 0 || !m->network)
		return err_new(ERR_INVALID, "published ports without a holder or a network");
	if (dup3(c->passed_fd, MONITOR_FD_PORTS, O_CLOEXEC) < 0)
		return err_errno(errno, "cannot take the published ports");
	fd_close(c->passed_fd);
	client_send(m, c, STREAM_PORTS_HELD, NULL, 0);
	return NULL;
}

static struct err *handle_frame(struct monitor *m, struct client *c, const struct stream_frame *f)
{
	unsigned rows, cols;
	unsigned char pid[4];

	if (!c->greeted && f->type != STREAM_HELLO)
		return err_new(ERR_INVALID, "the first frame is not a greeting");
	switch (f->type) {
	case STREAM_HELLO:
		if (c->greeted)
			return err_new(ERR_INVALID, "a second greeting");
		c->greeted = true;
		c->want = f->data[0];
		stream_put_u32(pid, (uint32_t)m->pid);
		client_send(m, c, STREAM_STARTED, pid, sizeof(pid));
		return NULL;
	case STREAM_STDIN:
		return handle_stdin(m, c, f);
	case STREAM_STDIN_CLOSE:
		c->stdin_done = true;
		if ((c->want & STREAM_WANT_STDIN) && (m->stdin_once || m->exec) && !m->tty)
			m->input_closing = true;
		return NULL;
	case STREAM_RESIZE:
		stream_resize(f, &rows, &cols);
		stdio_resize(m, rows, cols);
		return NULL;
	case STREAM_SIGNAL:
		if (!m->exited && f->data[0] > 0 && f->data[0] <= 64)
			err_free(process_signal(m->pidfd, f->data[0])); /* it may just have ended */
		return NULL;
	case STREAM_REMOVED:
		if (c->starter)
			m->starter_removed = true;
		return NULL;
	case STREAM_PORTS:
		return handle_ports(m, c);
	default:
		return err_new(ERR_INVALID, "a frame of type %d from a client", (int)f->type);
	}
}

static ssize_t client_receive(struct client *c, void *data, size_t size)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(c->source.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
		fd_close(c->passed_fd);
		memcpy(&c->passed_fd, CMSG_DATA(h), sizeof(int));
	}
	return n;
}

static void client_ready(struct monitor *m, struct source *s, uint32_t events)
{
	struct client *c = (struct client *)s;
	static char chunk[8192];

	if (events & EPOLLOUT)
		client_flush(m, c);
	if (c->dead || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = client_receive(c, chunk, sizeof(chunk));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_kill(m, c);
		return;
	}
	stream_parser_feed(&c->parser, chunk, (size_t)n);
	while (!c->dead) {
		struct stream_frame f;
		bool have = false;
		struct err *e = stream_parser_next(&c->parser, &f, &have);

		if (!e && have)
			e = handle_frame(m, c, &f);
		if (e) { /* it does not speak the protocol: nothing to tell it */
			err_free(e);
			client_kill(m, c);
		}
		if (!have)
			break;
	}
}

struct client *client_add(struct monitor *m, int fd, bool starter)
{
	struct client *c = xnew(struct client);

	c->source = (struct source){.fd = fd, .ready = client_ready};
	c->starter = starter;
	c->passed_fd = -1;
	c->greeted = starter;
	c->next = m->clients;
	m->clients = c;
	m->n_clients++;
	client_update(m, c);
	return c;
}

void client_listen_ready(struct monitor *m, struct source *s, uint32_t events)
{
	_cleanup_fd_ int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0 && m->n_clients < CLIENTS_MAX)
		client_add(m, TAKE_FD(fd), false);
}
