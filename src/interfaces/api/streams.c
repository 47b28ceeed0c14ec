/* SPDX-License-Identifier: Apache-2.0 */
#include "streams.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"

struct err *stream_frame_send(int fd, int type, const void *data, size_t size)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	const unsigned char head[8] = {(unsigned char)type,
				       0,
				       0,
				       0,
				       (unsigned char)(size >> 24),
				       (unsigned char)(size >> 16),
				       (unsigned char)(size >> 8),
				       (unsigned char)size};

	strbuf_reserve(&b, sizeof(head) + size);
	strbuf_append(&b, head, sizeof(head));
	strbuf_append(&b, data, size);
	return fd_write_full(fd, b.data, b.len, "the client's connection");
}

struct pump {
	struct exchange *x;
	struct attach *a;
	const struct stream_choice *s;
	bool input_open, client_open, detached, gone;
};

static struct err *give(struct pump *p, int type, const struct stream_frame *f)
{
	if (!(type == 1 ? p->s->stdout_ : p->s->stderr_) || p->gone)
		return NULL;
	struct err *e = p->s->tty ? fd_write_full(p->x->fd, f->data, f->size, "the client's connection")
				  : stream_frame_send(p->x->fd, type, f->data, f->size);
	p->gone = e != NULL; /* a client that has gone is its own affair */
	err_free(e);
	return NULL;
}

static struct err *take_frames(struct pump *p)
{
	while (true) {
		struct stream_frame f;
		bool have;
		int code;
		TRY(attach_next(p->a, &f, &have));
		if (!have || attach_ended(p->a, &code))
			return NULL;
		if (f.type == STREAM_STDOUT)
			TRY(give(p, 1, &f));
		else if (f.type == STREAM_STDERR)
			TRY(give(p, 2, &f));
		else if (f.type == STREAM_LOST)
			p->gone = true; /* it did not read fast enough */
	}
}

static struct err *take_input(struct pump *p)
{
	char data[8192];
	size_t room = p->input_open ? MIN(attach_room(p->a), sizeof(data)) : sizeof(data);
	ssize_t n;

	if (p->x->in->len) { /* came with the request */
		n = (ssize_t)MIN(room, p->x->in->len);
		memcpy(data, p->x->in->data, (size_t)n);
		memmove(p->x->in->data, p->x->in->data + n, p->x->in->len - (size_t)n);
		p->x->in->len -= (size_t)n;
	} else {
		n = recv(p->x->fd, data, room, MSG_DONTWAIT);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return NULL;
	if (n < 0) {
		p->gone = true;
		return NULL;
	}
	if (n == 0) {
		p->client_open = false;
		if (!p->input_open)
			return NULL;
		p->input_open = false;
		return attach_input_end(p->a);
	}
	if (!p->input_open)
		return NULL;
	return attach_input(p->a, data, (size_t)n, &p->detached);
}

static struct err *pump(struct pump *p)
{
	bool eof = false;
	int code;

	while (true) {
		TRY(take_frames(p));
		if (attach_ended(p->a, &code) || p->detached || p->gone || eof)
			return NULL;
		bool listen = p->client_open && (!p->input_open || attach_room(p->a) > 0);
		struct pollfd fds[2] = {{.fd = attach_socket(p->a), .events = POLLIN},
					{.fd = p->x->fd, .events = listen ? POLLIN : 0}};
		bool waiting = listen && p->x->in->len > 0;
		if (poll(fds, 2, waiting ? 0 : -1) < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for the container");
		if (fds[0].revents)
			TRY(attach_fill(p->a, &eof));
		if (!listen && (fds[1].revents & (POLLHUP | POLLERR))) {
			p->gone = true;
		} else if ((listen && fds[1].revents) || waiting) {
			struct err *e = take_input(p);
			/* It may just have ended; what it said last is still to come. */
			if (e && e->errnum != EPIPE && e->errnum != ECONNRESET)
				return e;
			err_free(e);
		}
	}
}

struct err *streams_pump(struct exchange *x, struct attach *a, const struct stream_choice *s,
			 bool *ret_exited, int *ret_code)
{
	struct pump p = {
		.x = x, .a = a, .s = s, .client_open = true, .input_open = s->stdin_ && attach_room(a) > 0};

	if (s->tty)
		TRY(attach_detach_keys(a, s->detach_keys ? s->detach_keys : "ctrl-p,ctrl-q"));
	TRY(pump(&p));
	*ret_exited = attach_ended(a, ret_code);
	return NULL;
}

/* -- waiting for a start --- */

struct waiter {
	struct waiter *next;
	char id[65];
	char *root_dir;
	struct attach_options options;
	int event; /* readable: claimed, and what follows is set */
	bool listed;
	struct attach *attach;
	bool failed;
};

static struct {
	pthread_mutex_t lock;
	struct waiter *first;
} waiters = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct waiter *waiter_new(const struct container *c, const struct attach_options *o)
{
	struct waiter *w = xnew(struct waiter), **at;

	memcpy(w->id, c->id, sizeof(w->id));
	w->root_dir = xstrdup(c->root_dir);
	w->options = *o;
	w->event = eventfd(0, EFD_CLOEXEC);
	w->listed = true;
	pthread_mutex_lock(&waiters.lock);
	for (at = &waiters.first; *at; at = &(*at)->next)
		;
	*at = w;
	pthread_mutex_unlock(&waiters.lock);
	return w;
}

/* False: somebody has claimed it and will write its event. */
static bool unlist(struct waiter *w)
{
	pthread_mutex_lock(&waiters.lock);
	bool mine = w->listed;
	for (struct waiter **at = &waiters.first; mine && *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	w->listed = false;
	pthread_mutex_unlock(&waiters.lock);
	return mine;
}

void waiter_free(struct waiter *w)
{
	uint64_t count;

	if (!w)
		return;
	if (!unlist(w))
		(void)!read(w->event, &count, sizeof(count));
	attach_free(w->attach);
	fd_close(w->event);
	free(w->root_dir);
	free(w);
}

static struct waiter *claim(const char *id)
{
	pthread_mutex_lock(&waiters.lock);
	struct waiter **at = &waiters.first;
	while (*at && !str_eq((*at)->id, id))
		at = &(*at)->next;
	struct waiter *w = *at;
	if (w) {
		*at = w->next;
		w->listed = false;
	}
	pthread_mutex_unlock(&waiters.lock);
	return w;
}

static void tell(struct waiter *w)
{
	const uint64_t one = 1;

	(void)!write(w->event, &one, sizeof(one));
}

struct err *waiters_start(struct engine *e, struct container *c)
{
	struct waiter *first = claim(c->id), *w;
	struct err *error =
		container_start(e, c, first ? &first->options : NULL, first ? &first->attach : NULL);
	bool running = error && error->kind == ERR_STATE;

	if (first) {
		first->failed = error && !running;
		tell(first);
	}
	while ((w = claim(c->id)) != NULL) {
		w->failed = error && !running;
		tell(w);
	}
	return error;
}

static bool is_running(struct engine *e, const char *id, bool *ret_gone)
{
	_cleanup_container_ struct container *c = NULL;
	struct err *error = container_find(e, id, &c);

	*ret_gone = error != NULL;
	err_free(error);
	return c && (c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED);
}

struct err *waiter_wait(struct waiter *w, struct engine *e, int client, struct attach **ret)
{
	_cleanup_fd_ int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char sink[4096];
	uint64_t count;

	/* Somebody else may start it, too: the command line. */
	if (inotify >= 0)
		(void)inotify_add_watch(inotify, w->root_dir, IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR);
	while (true) {
		struct pollfd fds[3] = {{.fd = w->event, .events = POLLIN},
					{.fd = client, .events = 0},
					{.fd = inotify, .events = POLLIN}};
		bool gone = false;
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for the container's start");
		if (fds[0].revents) {
			(void)!read(w->event, &count, sizeof(count));
			tell(w); /* for waiter_free, which waits for it */
			if (w->failed)
				return err_new(ERR_STATE, "the container could not be started");
			*ret = TAKE_PTR(w->attach);
			return NULL;
		}
		if (fds[1].revents)
			return err_new(ERR_CANCELLED, "the client has gone");
		if (fds[2].revents) {
			(void)!read(inotify, sink, sizeof(sink));
			if (is_running(e, w->id, &gone) && unlist(w)) {
				tell(w);
				return NULL;
			}
			if (gone)
				return err_new(ERR_NOT_FOUND, "the container was removed");
		}
	}
}
