/* SPDX-License-Identifier: Apache-2.0 */
/* The client's end of a monitor's socket, and the pump between it and our own stdio. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/process.h"
#include "base/timestamp.h"
#include "detach_keys.h"
#include "engine/session.h"
#include "event.h"
#include "private.h"

struct attach {
	int fd;
	struct stream_parser parser;
	bool has_stdin, exited, lost;
	int exit_code;
	pid_t monitor; /* our child, or 0 */
	size_t window; /* how many bytes of input the monitor still takes */
	pid_t pid;
	struct detach_keys keys;   /* of a session (engine/session.h) */
	pthread_mutex_t send_lock; /* frames of several threads stay whole; window is under it, too */
};

/* Monitors that go on without us. A command ends soon and leaves them to init; a service collects them. */
static struct {
	pthread_mutex_t lock;
	pid_t *pids;
	size_t n, cap;
} left = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void leave_monitor(pid_t pid)
{
	pthread_mutex_lock(&left.lock);
	GROW(left.pids, left.n, left.cap);
	left.pids[left.n++] = pid;
	pthread_mutex_unlock(&left.lock);
}

void attach_reap(void)
{
	size_t kept = 0;

	pthread_mutex_lock(&left.lock);
	for (size_t i = 0; i < left.n; i++)
		if (waitpid(left.pids[i], NULL, WNOHANG) == 0)
			left.pids[kept++] = left.pids[i];
	left.n = kept;
	if (kept == 0) {
		free(left.pids);
		left.pids = NULL;
		left.cap = 0;
	}
	pthread_mutex_unlock(&left.lock);
}

struct attach *attach_new(int fd, bool has_stdin, pid_t monitor)
{
	struct attach *a = xnew(struct attach);

	a->monitor = monitor;
	a->fd = fd;
	a->has_stdin = has_stdin;
	a->window = STREAM_WINDOW;
	pthread_mutex_init(&a->send_lock, NULL);
	return a;
}

void attach_free(struct attach *a)
{
	if (!a)
		return;
	fd_close(a->fd);
	/* After the exit the monitor only cleans up and ends: then the cgroup is gone, too, and no zombie is left to an init that may
	 * not reap. Before, it goes on without us. */
	if (a->exited && a->monitor > 0)
		while (waitpid(a->monitor, NULL, 0) < 0 && errno == EINTR)
			;
	else if (a->monitor > 0)
		leave_monitor(a->monitor);
	pthread_mutex_destroy(&a->send_lock);
	stream_parser_release(&a->parser);
	free(a);
}

int attach_fd(struct attach *a)
{
	return a->fd;
}

bool attach_exited(const struct attach *a)
{
	return a->exited;
}

struct err *attach_wait_started(struct attach *a)
{
	struct stream_frame f;

	TRY(stream_receive(a->fd, &a->parser, "the container's monitor", &f));
	if (f.type == STREAM_STARTED) {
		a->pid = (pid_t)stream_u32(&f);
		return NULL;
	}
	if (f.type == STREAM_ERROR)
		return err_decode(f.data, f.size);
	return err_new(ERR_INTERNAL, "the monitor answered with frame %d", (int)f.type);
}

struct err *attach_connect(struct container *c, unsigned want, struct attach **ret)
{
	_cleanup_free_ char *path = xasprintf("%s/attach.sock", c->run_dir);
	unsigned char hello = (unsigned char)want;
	int fd;

	TRY(fd_unix_connect(path, SOCK_STREAM, &fd));
	struct attach *a = attach_new(fd, want & STREAM_WANT_STDIN, 0);
	struct err *e = stream_send(fd, STREAM_HELLO, &hello, 1);
	if (!e)
		e = attach_wait_started(a);
	if (e)
		attach_free(a);
	else
		*ret = a;
	return e;
}

struct err *container_attach(struct engine *e, struct container *c, const struct attach_options *o,
			     struct attach **ret)
{
	unsigned want = (o->stdin_ && c->spec->open_stdin ? STREAM_WANT_STDIN : 0u) |
			(o->stdout_ ? STREAM_WANT_STDOUT : 0u) | (o->stderr_ ? STREAM_WANT_STDERR : 0u);

	if (c->status == CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is paused; unpause it before attaching", c->name);
	if (c->status != CONTAINER_RUNNING)
		return err_new(ERR_STATE, "container %s is not running", c->name);
	TRY_WRAP(attach_connect(c, want, ret), "cannot attach to container %s", c->name);
	event_container(e, c, "attach", NULL);
	return NULL;
}

static void note_exit(struct attach *a, const struct stream_frame *f)
{
	a->exited = true;
	a->exit_code = (int)stream_u32(f);
}

/* Reads what is there. *ret_eof: the monitor is gone. */
static struct err *receive_some(struct attach *a, bool *ret_eof)
{
	char chunk[16384];
	ssize_t n = recv(a->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return NULL;
	if (n < 0 && errno != ECONNRESET)
		return err_errno(errno, "cannot read from the container's monitor");
	if (n <= 0)
		*ret_eof = true;
	else
		stream_parser_feed(&a->parser, chunk, (size_t)n);
	return NULL;
}

static struct err *wait_output(struct attach *a, int timeout_ms, int stop, struct strbuf *output, size_t max,
			       int *ret_code)
{
	int64_t until = timestamp_monotonic_ns() + (int64_t)timeout_ms * 1000000;
	bool eof = false;

	while (true) {
		struct stream_frame f;
		bool have;

		TRY(stream_parser_next(&a->parser, &f, &have));
		if (have && f.type == STREAM_EXIT) {
			note_exit(a, &f);
			*ret_code = a->exit_code;
			return NULL;
		}
		if (have && output && (f.type == STREAM_STDOUT || f.type == STREAM_STDERR) &&
		    output->len < max)
			strbuf_append(output, f.data, MIN(f.size, max - output->len));
		if (have)
			continue;
		if (eof)
			return err_new(ERR_UNREACHABLE, "the container's monitor has died");
		struct pollfd p[2] = {{.fd = a->fd, .events = POLLIN}, {.fd = stop, .events = POLLRDHUP}};
		int64_t remaining =
			timeout_ms < 0 ? -1 : (until - timestamp_monotonic_ns() + 999999) / 1000000;
		if (timeout_ms >= 0 && remaining < 0)
			remaining = 0;
		int n = poll(p, 2, (int)remaining);
		if (n == 0)
			return err_new(ERR_TIMEOUT, "the container did not end within %d ms", timeout_ms);
		if (n > 0 && p[1].revents)
			return err_new(ERR_CANCELLED, "nobody waits any more");
		if (n > 0)
			TRY(receive_some(a, &eof));
	}
}

struct err *attach_wait_output(struct attach *a, int timeout_ms, struct strbuf *output, size_t max,
			       int *ret_code)
{
	return wait_output(a, timeout_ms, -1, output, max, ret_code);
}

struct err *attach_wait_exit(struct attach *a, int timeout_ms, int *ret_code)
{
	return attach_wait_exit_or(a, timeout_ms, -1, ret_code);
}

struct err *attach_wait_exit_or(struct attach *a, int timeout_ms, int stop, int *ret_code)
{
	return wait_output(a, timeout_ms, stop, NULL, 0, ret_code);
}

void attach_removed(struct attach *a)
{
	char sink[256];

	err_free(stream_send(a->fd, STREAM_REMOVED, NULL, 0));
	/* Its end is the moment after which nothing of the run is left. */
	while (true) {
		ssize_t n = read(a->fd, sink, sizeof(sink));
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
	}
}

/* -- a session, for whoever has a pump of their own --- */

int attach_socket(const struct attach *a)
{
	return a->fd;
}

pid_t attach_pid(const struct attach *a)
{
	return a->pid;
}

struct err *attach_fill(struct attach *a, bool *ret_eof)
{
	return receive_some(a, ret_eof);
}

static void take_ack(struct attach *a, const struct stream_frame *f)
{
	pthread_mutex_lock(&a->send_lock);
	a->window = MIN((size_t)STREAM_WINDOW, a->window + stream_u32(f));
	pthread_mutex_unlock(&a->send_lock);
}

struct err *attach_next(struct attach *a, struct stream_frame *ret, bool *ret_have)
{
	TRY(stream_parser_next(&a->parser, ret, ret_have));
	if (*ret_have && ret->type == STREAM_STDIN_ACK)
		take_ack(a, ret);
	else if (*ret_have && ret->type == STREAM_EXIT)
		note_exit(a, ret);
	return NULL;
}

bool attach_ended(const struct attach *a, int *ret_exit_code)
{
	if (a->exited)
		*ret_exit_code = a->exit_code;
	return a->exited;
}

size_t attach_room(struct attach *a)
{
	if (!a->has_stdin)
		return 0;
	pthread_mutex_lock(&a->send_lock);
	size_t room = a->window > DETACH_KEYS_MAX ? a->window - DETACH_KEYS_MAX : 0;
	pthread_mutex_unlock(&a->send_lock);
	return room;
}

struct err *attach_detach_keys(struct attach *a, const char *keys)
{
	return detach_keys_parse(keys, &a->keys);
}

static struct err *send_frame(struct attach *a, enum stream_frame_type type, const void *data, size_t size)
{
	pthread_mutex_lock(&a->send_lock);
	struct err *e = stream_send(a->fd, type, data, size);
	if (!e && type == STREAM_STDIN)
		a->window -= MIN(size, a->window);
	pthread_mutex_unlock(&a->send_lock);
	return e;
}

struct err *attach_input(struct attach *a, const char *data, size_t size, bool *ret_detached)
{
	char out[8192 + DETACH_KEYS_MAX];

	while (size > 0 && !*ret_detached) {
		size_t n = MIN(size, (size_t)8192);
		size_t pass = detach_keys_filter(&a->keys, data, n, out, ret_detached);
		if (pass)
			TRY(send_frame(a, STREAM_STDIN, out, pass));
		data += n;
		size -= n;
	}
	return NULL;
}

struct err *attach_input_end(struct attach *a)
{
	return send_frame(a, STREAM_STDIN_CLOSE, NULL, 0);
}

struct err *attach_resize(struct attach *a, unsigned rows, unsigned cols)
{
	const unsigned char payload[4] = {(unsigned char)(rows >> 8), (unsigned char)rows,
					  (unsigned char)(cols >> 8), (unsigned char)cols};

	return send_frame(a, STREAM_RESIZE, payload, sizeof(payload));
}

struct err *container_resize(struct engine *e, struct container *c, unsigned rows, unsigned cols)
{
	_cleanup_(attach_freep) struct attach *a = NULL;
	char width[16], height[16];

	if (c->status != CONTAINER_RUNNING && c->status != CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is not running", c->name);
	TRY_WRAP(attach_connect(c, 0, &a), "cannot resize the terminal of container %s", c->name);
	TRY(attach_resize(a, rows, cols));
	snprintf(height, sizeof(height), "%u", rows);
	snprintf(width, sizeof(width), "%u", cols);
	event_container(e, c, "resize", "height", height, "width", width, NULL);
	return NULL;
}

/* -- the pump --- */

struct pump {
	struct attach *a;
	const struct attach_pump *p;
	struct detach_keys keys;
	int signal_fd;
	sigset_t old_mask;
	bool raw, stdin_open, detached;
	struct termios saved;
};

static void send_size(struct pump *u)
{
	struct winsize w;
	unsigned char payload[4];

	if (!u->p->tty || (ioctl(u->p->out, TIOCGWINSZ, &w) < 0 && ioctl(u->p->in, TIOCGWINSZ, &w) < 0))
		return;
	payload[0] = (unsigned char)(w.ws_row >> 8);
	payload[1] = (unsigned char)w.ws_row;
	payload[2] = (unsigned char)(w.ws_col >> 8);
	payload[3] = (unsigned char)w.ws_col;
	err_free(stream_send(u->a->fd, STREAM_RESIZE, payload,
			     sizeof(payload))); /* a lost monitor is noticed by reading */
}

static void set_raw(struct pump *u)
{
	struct termios t;

	if (!u->p->tty || u->p->in < 0 || !u->stdin_open || tcgetattr(u->p->in, &u->saved) < 0)
		return;
	t = u->saved;
	cfmakeraw(&t);
	u->raw = tcsetattr(u->p->in, TCSANOW, &t) == 0;
}

static struct err *set_up(struct pump *u)
{
	static const int proxied[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};
	const char *keys = u->p->detach_keys ? u->p->detach_keys : "ctrl-p,ctrl-q";
	sigset_t set;

	if (u->p->tty)
		TRY(detach_keys_parse(keys, &u->keys));
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	/* With a raw terminal every signal is ours: nobody may die and leave it raw. */
	for (size_t i = 0; i < ARRAY_SIZE(proxied); i++)
		if (u->p->sig_proxy || u->p->tty)
			sigaddset(&set, proxied[i]);
	sigprocmask(SIG_BLOCK, &set, &u->old_mask);
	u->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (u->signal_fd < 0)
		return err_errno(errno, "cannot make a signalfd");
	u->stdin_open = u->a->has_stdin && u->p->in >= 0;
	set_raw(u);
	send_size(u);
	return NULL;
}

static void tear_down(struct pump *u)
{
	if (u->raw)
		(void)tcsetattr(u->p->in, TCSADRAIN, &u->saved);
	if (u->signal_fd >= 0) {
		fd_close(u->signal_fd);
		sigprocmask(SIG_SETMASK, &u->old_mask, NULL);
	}
}

static struct err *handle_signals(struct pump *u)
{
	struct signalfd_siginfo info;

	while (read(u->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		unsigned char signum = (unsigned char)info.ssi_signo;
		if (signum == SIGWINCH)
			send_size(u);
		else if (u->p->sig_proxy)
			err_free(stream_send(u->a->fd, STREAM_SIGNAL, &signum, 1));
		else
			return err_new(ERR_CANCELLED, "interrupted by %s", signal_name(signum));
	}
	return NULL;
}

static struct err *handle_input(struct pump *u)
{
	char in[8192], out[sizeof(in) + DETACH_KEYS_MAX];
	ssize_t n =
		read(u->p->in, in,
		     MIN(sizeof(in), u->a->window > DETACH_KEYS_MAX ? u->a->window - DETACH_KEYS_MAX : 1));
	size_t size;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return NULL;
	if (n <= 0) { /* end of file; EIO is a terminal that has hung up */
		u->stdin_open = false;
		return stream_send(u->a->fd, STREAM_STDIN_CLOSE, NULL, 0);
	}
	size = detach_keys_filter(&u->keys, in, (size_t)n, out, &u->detached);
	if (size == 0)
		return NULL;
	u->a->window -= MIN(size, u->a->window);
	return stream_send(u->a->fd, STREAM_STDIN, out, size);
}

static struct err *handle_frame(struct pump *u, const struct stream_frame *f)
{
	switch (f->type) {
	case STREAM_STDOUT:
		return u->p->out < 0 ? NULL : fd_write_full(u->p->out, f->data, f->size, "standard output");
	case STREAM_STDERR:
		return u->p->err < 0 ? NULL : fd_write_full(u->p->err, f->data, f->size, "standard error");
	case STREAM_STDIN_ACK:
		u->a->window = MIN((size_t)STREAM_WINDOW, u->a->window + stream_u32(f));
		return NULL;
	case STREAM_EXIT:
		note_exit(u->a, f);
		return NULL;
	case STREAM_LOST:
		u->a->lost = true;
		return err_new(ERR_LIMIT, "dropped by the container's monitor: its output was not read fast "
					  "enough; it goes on running");
	default:
		return NULL;
	}
}

static struct err *handle_frames(struct pump *u)
{
	while (!u->a->exited) {
		struct stream_frame f;
		bool have;

		TRY(stream_parser_next(&u->a->parser, &f, &have));
		if (!have)
			break;
		TRY(handle_frame(u, &f));
	}
	return NULL;
}

static struct err *pump_loop(struct pump *u, enum attach_end *ret_end)
{
	bool eof = false;

	while (true) {
		TRY(handle_frames(u));
		if (u->a->exited || u->detached || eof) {
			*ret_end = u->a->exited ? ATTACH_EXITED : u->detached ? ATTACH_DETACHED : ATTACH_LOST;
			return NULL;
		}
		bool read_input = u->stdin_open && u->a->window > DETACH_KEYS_MAX;
		struct pollfd fds[3] = {
			{.fd = u->a->fd, .events = POLLIN},
			{.fd = u->signal_fd, .events = POLLIN},
			{.fd = read_input ? u->p->in : -1, .events = POLLIN},
		};
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for the container");
		if (fds[1].revents)
			TRY(handle_signals(u));
		if (fds[0].revents)
			TRY(receive_some(u->a, &eof));
		if (fds[2].revents && !eof) {
			struct err *e = handle_input(u);
			/* The container may just have ended; what the monitor has sent is still to be read. */
			if (e && e->errnum != EPIPE && e->errnum != ECONNRESET)
				return e;
			err_free(e);
		}
	}
}

struct err *attach_run(struct attach *a, const struct attach_pump *p, enum attach_end *ret_end,
		       int *ret_exit_code)
{
	struct pump u = {.a = a, .p = p, .signal_fd = -1};
	enum attach_end end = ATTACH_LOST;
	struct err *e = set_up(&u);

	if (!e)
		e = pump_loop(&u, &end);
	tear_down(&u);
	if (e)
		return e;
	*ret_end = end;
	*ret_exit_code = a->exit_code;
	return NULL;
}
