/* SPDX-License-Identifier: Apache-2.0 */
/* The container's side: pipes or the terminal, to the log and to the clients, and the clients' input to it. */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "monitor.h"

static void input_ready(struct monitor *m, struct source *s, uint32_t events);
static void output_ready(struct monitor *m, struct source *s, uint32_t events);

static struct err *make_pipe(int fds[2], const char *what)
{
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(errno, "cannot make a pipe for %s", what);
	return NULL;
}

/* Makes the pipes; ret_child are the container's ends, owned by the caller. A terminal needs none. */
struct err *stdio_prepare(struct monitor *m, int ret_child[3])
{
	int fds[2];

	if (m->tty)
		return NULL;
	if (m->has_stdin) {
		TRY(make_pipe(fds, "stdin"));
		ret_child[0] = fds[0];
		m->input.fd = fds[1];
		TRY(fd_set_nonblock(fds[1], true));
	} else {
		ret_child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (ret_child[0] < 0)
			return err_errno(errno, "cannot open /dev/null");
	}
	for (int i = 0; i < 2; i++) {
		TRY(make_pipe(fds, i == 0 ? "stdout" : "stderr"));
		m->outputs[i].source.fd = fds[0];
		ret_child[1 + i] = fds[1];
		TRY(fd_set_nonblock(fds[0], true));
	}
	return NULL;
}

/* The terminal is one open file for both directions; input gets its own descriptor so that each is watched alone. */
void stdio_set_console(struct monitor *m, int console)
{
	m->outputs[0].source.fd = console;
	err_free(fd_set_nonblock(console, true));
	if (m->has_stdin)
		err_free(fd_dup(console, 3, &m->input.fd));
}

void stdio_watch(struct monitor *m)
{
	m->input.ready = input_ready;
	for (int i = 0; i < 2; i++) {
		m->outputs[i].source.ready = output_ready;
		m->outputs[i].stream = i;
	}
	stdio_update(m);
}

static bool input_pending(const struct monitor *m)
{
	for (const struct client *c = m->clients; c; c = c->next)
		if (c->in.len > c->in_offset)
			return true;
	return false;
}

static void close_source(struct monitor *m, struct source *s)
{
	if (s->fd < 0)
		return;
	monitor_watch(m, s, 0);
	fd_close(s->fd);
}

/* The container does not read any more: what clients sent counts as taken, so that they do not wait for it. */
static void discard_input(struct monitor *m)
{
	close_source(m, &m->input);
	for (struct client *c = m->clients; c; c = c->next) {
		unsigned char ack[4];
		size_t n = c->in.len - c->in_offset;
		if (n == 0)
			continue;
		stream_put_u32(ack, (uint32_t)n);
		strbuf_release(&c->in);
		c->in_offset = 0;
		client_send(m, c, STREAM_STDIN_ACK, ack, sizeof(ack));
	}
}

void stdio_update(struct monitor *m)
{
	bool congested = clients_congested(m);

	for (int i = 0; i < 2; i++)
		if (m->outputs[i].source.fd >= 0)
			monitor_watch(m, &m->outputs[i].source, congested ? 0 : EPOLLIN);
	if (m->input.fd < 0)
		return;
	bool pending = input_pending(m);
	if (!pending && m->input_closing && !m->tty)
		close_source(m, &m->input);
	else
		/* A pipe without a reader reports EPOLLERR whatever is asked for, hence nothing is watched while idle. */
		monitor_watch(m, &m->input, pending ? EPOLLOUT : 0);
}

static void input_ready(struct monitor *m, struct source *s, uint32_t events)
{
	for (struct client *c = m->clients; c; c = c->next) {
		size_t taken = 0;
		unsigned char ack[4];
		bool broken = false, full = false;

		while (c->in.len > c->in_offset && !broken && !full) {
			ssize_t n = write(s->fd, c->in.data + c->in_offset, c->in.len - c->in_offset);
			if (n >= 0) {
				c->in_offset += (size_t)n;
				taken += (size_t)n;
			} else if (errno == EAGAIN) {
				full = true;
			} else if (errno != EINTR) {
				broken = true;
			}
		}
		if (c->in.len == c->in_offset) {
			strbuf_release(&c->in);
			c->in_offset = 0;
		}
		if (taken > 0) {
			stream_put_u32(ack, (uint32_t)taken);
			client_send(m, c, STREAM_STDIN_ACK, ack, sizeof(ack));
		}
		if (broken) {
			discard_input(m);
			return;
		}
		if (full)
			return;
	}
}

/* One read's worth. False: nothing there now. */
static bool pump_output(struct monitor *m, struct output *o)
{
	static char
		buffer[STREAM_DATA_MAX]; /* untouched pages cost nothing: a quiet container uses the first */
	ssize_t n = read(o->source.fd, buffer, sizeof(buffer));

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) { /* end of file; EIO is a terminal nobody has open any more */
		if (!m->tty || m->exited)
			close_source(m, &o->source);
		return false;
	}
	log_file_write(&m->log, o->stream, buffer, (size_t)n);
	clients_broadcast(m, o->stream == 0 ? STREAM_STDOUT : STREAM_STDERR,
			  o->stream == 0 ? STREAM_WANT_STDOUT : STREAM_WANT_STDERR, buffer, (size_t)n);
	return true;
}

static void output_ready(struct monitor *m, struct source *s, uint32_t events)
{
	struct output *o = (struct output *)s;

	if (!pump_output(m, o) && o->source.fd >= 0 && (events & EPOLLHUP) && !(events & EPOLLIN)) {
		/* A terminal without a program on it reports EPOLLHUP for ever. Programs may open it again, which nobody
		 * would announce: but its session leader is init, which has it open or is gone. */
		close_source(m, &o->source);
	}
}

void stdio_drain(struct monitor *m)
{
	/* The writers are dead, so this ends: a pipe holds at most what /proc/sys/fs/pipe-max-size says. */
	for (int i = 0; i < 2; i++) {
		while (m->outputs[i].source.fd >= 0 && pump_output(m, &m->outputs[i]))
			;
		close_source(m, &m->outputs[i].source);
	}
	discard_input(m);
	log_file_flush_partial(&m->log);
}

void stdio_resize(struct monitor *m, unsigned rows, unsigned cols)
{
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};

	if (m->tty && m->outputs[0].source.fd >= 0 && rows > 0 && cols > 0)
		(void)ioctl(m->outputs[0].source.fd, TIOCSWINSZ, &size);
}
