/* SPDX-License-Identifier: Apache-2.0 */
/* Connections and threads. One thread waits for everything that is idle: listeners, connections between two requests and those whose
 * request's head is not whole yet. A whole head gets a thread, which serves that request, and the connection comes back. Idle, nothing
 * wakes us. */
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/user.h"
#include "engine/session.h"
#include "engines.h"
#include "exchange.h"
#include "routes.h"

#define LISTENERS_MAX 16
#define CONNECTIONS_MAX 16384u
#define THREADS_MAX 2048u
#define LISTEN_FDS_START 3
#define DRAIN_SECONDS 10
#if defined(__SANITIZE_ADDRESS__)
#define STACK_SIZE (1u << 20)
#else
#define STACK_SIZE (256u << 10)
#endif

struct connection {
	int fd;
	struct strbuf in;
};

static struct server {
	int epoll, signals;
	int listeners[LISTENERS_MAX];
	size_t n_listeners;
	pthread_attr_t attr;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t less;
	unsigned connections, threads;
} server = {.epoll = -1, .signals = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .less = PTHREAD_COND_INITIALIZER};

static void connection_free(struct connection *c)
{
	fd_close(c->fd);
	strbuf_release(&c->in);
	free(c);
	pthread_mutex_lock(&server.lock);
	server.connections--;
	pthread_mutex_unlock(&server.lock);
}

/* Tells of its next bytes once. */
static void watch(struct connection *c, int operation)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c};

	if (epoll_ctl(server.epoll, operation, c->fd, &event) < 0)
		connection_free(c);
}

/* -- serving --- */

/* The head that is in c->in. False: the connection is over. */
static bool serve_one(struct connection *c, size_t head)
{
	struct exchange x = {.fd = c->fd, .in = &c->in, .version = API_VERSION_MAX};
	struct err *e = http_request_parse(c->in.data, head, &x.request);

	if (e) {
		x.request.method = "GET";
		x.close = x.body_done = true;
		answer_error(&x, e);
		return false;
	}
	memmove(c->in.data, c->in.data + head, c->in.len - head);
	c->in.len -= head;
	x.body_left = x.request.body_length;
	e = engines_take(&x.engine);
	if (e) {
		answer_error(&x, e);
	} else {
		route(&x);
		engines_give(x.engine);
	}
	bool again = x.request.keep_alive && !x.close && x.answered && !x.streaming && x.body_done;
	http_request_release(&x.request);
	return again;
}

/* *ret_head 0: more has to come. */
static bool find_head(struct connection *c, size_t *ret_head)
{
	struct err *e = http_head_size(strbuf_str(&c->in), c->in.len, ret_head);

	if (!e)
		return true;
	struct exchange x = {.fd = c->fd, .in = &c->in, .close = true, .body_done = true};
	x.request.method = "GET";
	answer_error(&x, e);
	return false;
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	size_t head;
	bool good;

	/* A working directory and a mask of our own: what some of the engine's functions change for a moment is then ours alone. */
	(void)unshare(CLONE_FS);
	while ((good = find_head(c, &head)) && head && (good = serve_one(c, head)))
		;
	if (good) {
		if (c->in.len == 0)
			strbuf_release(&c->in); /* idle connections keep nothing */
		watch(c, EPOLL_CTL_MOD);
	} else {
		shutdown(c->fd, SHUT_WR);
		connection_free(c);
	}
	pthread_mutex_lock(&server.lock);
	server.threads--;
	pthread_cond_signal(&server.less);
	pthread_mutex_unlock(&server.lock);
	return NULL;
}

static void refuse(struct connection *c)
{
	struct exchange x = {.fd = c->fd, .in = &c->in, .close = true, .body_done = true};

	x.request.method = "GET";
	err_free(answer_refusal(&x, 503, "too many requests are being served"));
	connection_free(c);
}

static void start_thread(struct connection *c)
{
	pthread_t thread;

	pthread_mutex_lock(&server.lock);
	bool room = server.threads < THREADS_MAX;
	server.threads += room;
	pthread_mutex_unlock(&server.lock);
	if (room && pthread_create(&thread, &server.attr, serve, c) == 0)
		return;
	if (room) {
		pthread_mutex_lock(&server.lock);
		server.threads--;
		pthread_mutex_unlock(&server.lock);
	}
	refuse(c);
}

/* Never waits: a client that sends its head byte by byte costs its bytes and no thread. */
static void receive(struct connection *c)
{
	char data[4096];
	size_t head = 0;
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		watch(c, EPOLL_CTL_MOD);
		return;
	}
	if (n <= 0) {
		connection_free(c);
		return;
	}
	strbuf_append(&c->in, data, (size_t)n);
	if (!find_head(c, &head))
		connection_free(c);
	else if (head)
		start_thread(c);
	else
		watch(c, EPOLL_CTL_MOD);
}

static void accept_from(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	pthread_mutex_lock(&server.lock);
	bool room = server.connections < CONNECTIONS_MAX;
	server.connections += room;
	pthread_mutex_unlock(&server.lock);
	if (!room) {
		close(fd);
		return;
	}
	struct connection *c = xnew(struct connection);
	c->fd = fd;
	watch(c, EPOLL_CTL_ADD);
}

/* -- listening --- */

char *api_default_host(void)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (user_is_root() || str_empty(xdg))
		return xstrdup("unix:///run/havre/havred.sock");
	return xasprintf("unix://%s/havre/havred.sock", xdg);
}

static struct err *add_listener(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (server.n_listeners == LISTENERS_MAX)
		return err_new(ERR_LIMIT, "more than %d sockets to listen on", LISTENERS_MAX);
	event.data.ptr = &server.listeners[server.n_listeners];
	server.listeners[server.n_listeners++] = fd;
	if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return err_errno(errno, "cannot wait for connections");
	return NULL;
}

static struct err *listen_unix(const char *path, const char *group)
{
	_cleanup_free_ char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	struct group *g;
	int fd;

	if (!slash)
		return err_new(ERR_INVALID, "the socket's path %s is not absolute", path);
	*slash = '\0';
	if (*dir)
		TRY(file_mkdir_p(dir, 0711));
	int probe;
	struct err *nobody = fd_unix_connect(path, SOCK_STREAM, &probe);
	if (!nobody) {
		close(probe);
		return err_new(ERR_BUSY, "another service listens on %s already", path);
	}
	err_free(nobody);
	(void)unlink(path);
	TRY(fd_unix_listen(path, SOCK_STREAM, &fd));
	/* The right to connect is root's right, as docker's. */
	g = getgrnam(group ? group : "docker");
	if (g && (chown(path, (uid_t)-1, g->gr_gid) < 0 || chmod(path, 0660) < 0))
		return err_errno(errno, "cannot give %s to the group %s", path, g->gr_name);
	if (!g && group)
		return err_new(ERR_NOT_FOUND, "there is no group %s for the socket", group);
	return add_listener(fd);
}

/* sd_listen_fds(3). */
static struct err *listen_passed(void)
{
	const char *pid = getenv("LISTEN_PID"), *n_text = getenv("LISTEN_FDS");
	uint64_t n = 0, whose = 0;

	if (pid && n_text) {
		TRY(parse_u64(pid, "LISTEN_PID", 1, INT32_MAX, &whose));
		TRY(parse_u64(n_text, "LISTEN_FDS", 0, LISTENERS_MAX, &n));
	}
	if (!n || whose != (uint64_t)getpid())
		return err_new(ERR_INVALID, "fd://: no sockets were passed to this program (LISTEN_FDS)");
	for (int i = 0; i < (int)n; i++) {
		TRY(fd_set_cloexec(LISTEN_FDS_START + i, true));
		TRY(add_listener(LISTEN_FDS_START + i));
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return NULL;
}

static struct err *listen_on(const char *host, const char *group)
{
	if (str_starts(host, "unix://"))
		return listen_unix(host + strlen("unix://"), group);
	if (str_eq(host, "fd://"))
		return listen_passed();
	if (str_starts(host, "tcp://"))
		return err_new(ERR_UNSUPPORTED,
			       "%s: TCP is not served, because it needs TLS with certificates of both sides; "
			       "use a unix socket, over ssh from elsewhere (docker -H ssh://…)",
			       host);
	return err_new(ERR_INVALID, "%s is neither unix:///PATH nor fd://", host);
}

static bool is_listener(const void *p)
{
	return p >= (const void *)server.listeners && p < (const void *)(server.listeners + LISTENERS_MAX);
}

/* *ret_stop: asked to end. */
static void handle_signal(bool *ret_stop)
{
	struct signalfd_siginfo info;

	while (read(server.signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			attach_reap();
		else
			*ret_stop = true;
	}
}

static struct err *loop(void)
{
	bool stop = false;

	while (!stop) {
		struct epoll_event events[64];
		int n = epoll_wait(server.epoll, events, ARRAY_SIZE(events), -1);
		if (n < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for connections");
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &server.signals)
				handle_signal(&stop);
			else if (is_listener(events[i].data.ptr))
				accept_from(*(int *)events[i].data.ptr);
			else
				receive(events[i].data.ptr);
		}
	}
	return NULL;
}

static struct err *set_up(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &server.signals};
	struct rlimit files;
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	server.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server.signals < 0 || server.epoll < 0 ||
	    epoll_ctl(server.epoll, EPOLL_CTL_ADD, server.signals, &event) < 0)
		return err_errno(errno, "cannot wait for connections");
	pthread_attr_init(&server.attr);
	pthread_attr_setdetachstate(&server.attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&server.attr, STACK_SIZE);
	return NULL;
}

/* Requests that are being served may end; streams, whose end nobody knows, are cut off then. */
static void drain(void)
{
	struct timespec until;

	for (size_t i = 0; i < server.n_listeners; i++)
		fd_close(server.listeners[i]);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DRAIN_SECONDS;
	pthread_mutex_lock(&server.lock);
	while (server.threads && pthread_cond_timedwait(&server.less, &server.lock, &until) == 0)
		;
	pthread_mutex_unlock(&server.lock);
}

struct err *api_serve(const struct api_options *o)
{
	_cleanup_strv_ char **hosts = strv_dup(o->hosts);

	engines_init(&o->engine);
	if (!hosts)
		strv_push_take(&hosts, api_default_host());
	TRY(set_up());
	STRV_FOREACH (h, hosts)
		TRY_WRAP(listen_on(*h, o->group), "cannot listen");
	if (o->ready)
		o->ready(o->user, hosts);
	struct err *e = loop();
	drain();
	STRV_FOREACH (h, hosts)
		if (str_starts(*h, "unix://"))
			(void)unlink(*h + strlen("unix://"));
	return e;
}
