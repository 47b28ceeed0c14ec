/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor.h"

#include <errno.h>
#include <link.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/timestamp.h"
#include "event_log.h"
#include "external.h"
#include "network/undo.h"
#include "oci_runtime.h"
#include "record.h"
#include "resolver.h"
#include "restart_policy.h"
#include "runtime/rootless.h"

void monitor_watch(struct monitor *m, struct source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (s->fd < 0 || s->events == events)
		return;
	int op = s->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
	if (epoll_ctl(m->epoll_fd, op, s->fd, &ev) == 0)
		s->events = events;
}

/* -- configuration --- */

static struct err *get_string(const struct json_cursor *root, const char *key, enum json_need need,
			      char **ret)
{
	const char *s = NULL;

	TRY(json_get_string(root, key, need, &s));
	*ret = xstrdup_null(s);
	return NULL;
}

static struct err *configure_log(struct monitor *m, const struct json_cursor *root)
{
	struct json_cursor log;
	_cleanup_free_ char *path = NULL;
	uint64_t max_size = 0, max_file = 1;

	TRY(json_get_object(root, "log", JSON_OPTIONAL, &log));
	if (!log.value)
		return NULL;
	const char *format = NULL;
	TRY(get_string(&log, "path", JSON_REQUIRED, &path));
	TRY(json_get_u64(&log, "max_size", JSON_OPTIONAL, INT64_MAX, &max_size));
	TRY(json_get_u64(&log, "max_file", JSON_OPTIONAL, 1000, &max_file));
	TRY(json_get_string(&log, "format", JSON_OPTIONAL, &format));
	if (str_eq(format, "journal")) {
		m->log.path = TAKE_PTR(path);
		m->log.format = LOG_JOURNAL;
		TRY(log_journal_open(&m->log));
	} else {
		TRY(log_file_open(&m->log, path, max_size, (unsigned)max_file));
		m->log.format = str_eq(format, "k8s") ? LOG_K8S : LOG_JSON;
	}
	return get_string(&log, "extra", JSON_OPTIONAL, &m->log.extra);
}

static struct err *configure_life(struct monitor *m, const struct json_cursor *root)
{
	struct json_cursor health;
	const char *policy = NULL;
	int64_t restarts = 0, delay = 0;

	TRY(json_get_string(root, "restart", JSON_OPTIONAL, &policy));
	m->policy = xnew(struct restart_policy);
	TRY(restart_policy_parse(policy, m->policy));
	TRY(json_get_i64(root, "restarts", JSON_OPTIONAL, 0, INT32_MAX, &restarts));
	TRY(json_get_i64(root, "delay_ms", JSON_OPTIONAL, 0, INT32_MAX, &delay));
	TRY(json_get_strv(root, "revive", JSON_OPTIONAL, &m->revive));
	m->restarts = (unsigned)restarts;
	m->delay_ms = (unsigned)delay;
	TRY(json_get_object(root, "health", JSON_OPTIONAL, &health));
	if (!health.value)
		return NULL;
	TRY(json_get_strv(&health, "probe", JSON_REQUIRED, &m->health.probe));
	TRY(json_get_i64(&health, "interval_ms", JSON_REQUIRED, 1, INT64_MAX / 4, &m->health.interval_ms));
	TRY(json_get_i64(&health, "start_period_ms", JSON_REQUIRED, 0, INT64_MAX / 4,
			 &m->health.start_period_ms));
	return json_get_i64(&health, "start_interval_ms", JSON_REQUIRED, 1, INT64_MAX / 4,
			    &m->health.start_interval_ms);
}

static struct err *configure(struct monitor *m, struct json *doc, unsigned *ret_want,
			     struct json_cursor *ret_process)
{
	struct json_cursor root = json_root(doc);
	const char *mode = NULL, *rootless_dir = NULL, *path, *run;
	struct json_cursor runtime;
	uint64_t want = 0, fds = 0;

	TRY(json_get_string(&root, "mode", JSON_REQUIRED, &mode));
	m->exec = str_eq(mode, "exec");
	TRY(get_string(&root, "id", JSON_REQUIRED, &m->id));
	TRY(get_string(&root, "state_root", JSON_REQUIRED, &m->state_root));
	TRY(get_string(&root, "bundle", JSON_OPTIONAL, &m->bundle));
	TRY(get_string(&root, "container_dir", JSON_OPTIONAL, &m->container_dir));
	TRY(get_string(&root, "run_dir", JSON_OPTIONAL, &m->run_dir));
	TRY(json_get_bool(&root, "tty", JSON_OPTIONAL, &m->tty));
	TRY(json_get_bool(&root, "stdin", JSON_OPTIONAL, &m->has_stdin));
	TRY(json_get_bool(&root, "stdin_once", JSON_OPTIONAL, &m->stdin_once));
	TRY(json_get_bool(&root, "memory_limit", JSON_OPTIONAL, &m->memory_limit));
	TRY(json_get_bool(&root, "systemd_cgroup", JSON_OPTIONAL, &m->systemd_cgroup));
	TRY(json_get_u64(&root, "want", JSON_OPTIONAL, 7, &want));
	TRY(json_get_u64(&root, "fds", JSON_OPTIONAL, MONITOR_FDS_MAX, &fds));
	m->n_fds = (unsigned)fds;
	TRY(json_get_bool(&root, "network", JSON_OPTIONAL, &m->network));
	TRY(json_get_bool(&root, "resolver", JSON_OPTIONAL, &m->resolver_sockets));
	TRY(json_get_strv(&root, "cleanup", JSON_OPTIONAL, &m->cleanup));
	TRY(get_string(&root, "events", JSON_OPTIONAL, &m->events));
	TRY(get_string(&root, "exec_event", JSON_OPTIONAL, &m->exec_event));
	TRY(json_get_string(&root, "rootless_dir", JSON_OPTIONAL, &rootless_dir));
	TRY(json_get_object(&root, "runtime", JSON_OPTIONAL, &runtime));
	if (runtime.value) {
		TRY(json_get_string(&runtime, "path", JSON_REQUIRED, &path));
		TRY(json_get_string(&runtime, "run", JSON_REQUIRED, &run));
		m->runtime = xnew(struct oci_runtime);
		oci_runtime_of(path, run, m->run_dir, m->runtime);
	}
	if (rootless_dir)
		TRY(rt_rootless_hold(rootless_dir));
	TRY(configure_life(m, &root));
	*ret_want = (unsigned)want;
	if (m->exec)
		return json_get_object(&root, "process", JSON_REQUIRED, ret_process);
	if (!m->bundle || !m->container_dir || !m->run_dir)
		return err_new(ERR_INTERNAL, "the monitor's configuration lacks a directory");
	return configure_log(m, &root);
}

/* -- starting --- */

static struct err *write_record(struct monitor *m, bool finished, const char *error)
{
	struct record r = {
		.started = true,
		.finished = finished,
		.pid = finished ? 0 : m->pid,
		.start_ticks = finished ? 0 : m->start_ticks,
		.started_ns = m->started_ns,
		.finished_ns = finished ? timestamp_now_ns() : 0,
		.exit_code = m->exit_code,
		.oom_killed = m->oom_killed,
		.error = (char *)(uintptr_t)error,
		.restarting = m->restarting,
		.restarts = m->restarts,
		.delay_ms = m->delay_ms,
	};

	if (m->restarting) { /* who waits, so that it can be told not to */
		r.pid = getpid();
		err_free(process_start_time(r.pid, &r.start_ticks));
	}

	/* A container that removes itself leaves nothing behind that would have to survive a power loss. */
	return record_write(m->container_dir, &r, m->cleanup ? FILE_VOLATILE : FILE_DURABLE);
}

/* The reason of a failed start, on top of what is known about an earlier one. */
static void record_failure(struct monitor *m, const struct err *why)
{
	_cleanup_record_ struct record r = {0};

	if (record_read(m->container_dir, &r)) /* unreadable: replaced below */
		r = (struct record){0};
	free(r.error);
	r.error = err_text(why);
	r.exit_code = why->kind == ERR_EXEC ? (why->errnum == ENOENT ? 127 : 126) : 128;
	r.finished = r.started;
	err_free(record_write(m->container_dir, &r, FILE_VOLATILE));
}

/* By our own runtime, in this process. */
static struct err *create_own(struct monitor *m, const int stdio[3], int *ret_console)
{
	struct rt_create create = {
		.state_root = m->state_root,
		.id = m->id,
		.bundle = m->bundle,
		.rootfs_fd = MONITOR_FD_ROOTFS,
		.own_start = true,
		.systemd_cgroup = m->systemd_cgroup,
		.console_socket = -1,
		.return_console = m->tty,
	};

	memcpy(create.stdio, stdio, sizeof(create.stdio));
	TRY(rt_container_create(&create, &m->container));
	m->pid = m->container->pid;
	m->start_ticks = m->container->start_ticks;
	m->pidfd = m->container->pidfd;
	if (m->tty)
		*ret_console = TAKE_FD(m->container->console);
	return NULL;
}

static struct err *delete_container(struct monitor *m)
{
	return m->runtime ? external_delete(m) : rt_container_delete(m->container, true);
}

static struct err *start_container(struct monitor *m)
{
	int console = -1;
	int child[3] = {-1, -1, -1};
	struct err *e = stdio_prepare(m, child);

	if (!e)
		e = m->runtime ? external_create(m, child, &console) : create_own(m, child, &console);
	for (int i = 0; i < 3; i++)
		fd_close(child[i]);
	close(MONITOR_FD_ROOTFS);
	if (m->network && !m->runtime) /* another runtime may look at it again */
		close(MONITOR_FD_NETNS);
	/* Namespaces and mounts that the container has now. */
	if (!m->runtime && m->n_fds > MONITOR_FD_JOINED - MONITOR_FD_LOCK)
		(void)close_range(MONITOR_FD_JOINED, MONITOR_FD_LOCK + m->n_fds - 1, 0);
	if (e && m->runtime)
		err_free(external_delete(m));
	TRY(e);
	if (m->tty)
		stdio_set_console(m, console);
	_cleanup_free_ char *socket_path = xasprintf("%s/attach.sock", m->run_dir);
	e = fd_unix_listen(socket_path, SOCK_STREAM, &m->listener.fd);
	if (!e)
		e = m->runtime ? external_start(m) : rt_container_start(m->container);
	if (!e) {
		m->started_ns = timestamp_now_ns();
		e = write_record(m, false, NULL);
	}
	if (!e && m->events)
		event_run_tell(m->events, m->run_dir, "start", NULL, false);
	if (e)
		err_free(delete_container(m));
	return e;
}

static struct err *start_exec(struct monitor *m, struct json *process)
{
	int child[3] = {-1, -1, -1};
	struct rt_exec exec = {.process = process, .console_socket = -1, .return_console = m->tty};
	struct rt_process p = {.pidfd = -1, .console = -1};
	struct err *e;

	if (!m->runtime)
		TRY(rt_container_load(m->state_root, m->id, &m->container));
	e = stdio_prepare(m, child);
	memcpy(exec.stdio, child, sizeof(child));
	if (!e && m->runtime)
		e = external_exec(m, process, child, &p.console);
	else if (!e)
		e = rt_container_exec(m->container, &exec, &p);
	for (int i = 0; i < 3; i++)
		fd_close(child[i]);
	TRY(e);
	if (!m->runtime) {
		rt_container_free(TAKE_PTR(m->container));
		m->pid = p.pid;
		m->pidfd = p.pidfd;
	}
	if (m->tty)
		stdio_set_console(m, p.console);
	return NULL;
}

/* -- running --- */

static void reap(struct monitor *m)
{
	int status;
	pid_t pid;

	/* Also processes that the container orphaned into our care. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->pid) {
			m->exited = true;
			m->exit_code = process_exit_code(status);
		} else {
			health_reaped(m, pid, status);
		}
	}
}

static void signals_ready(struct monitor *m, struct source *s, uint32_t events)
{
	struct signalfd_siginfo info;

	while (read(s->fd, &info, sizeof(info)) == sizeof(info)) {
		/* The machine is going down, or somebody means the container: it ends, then we do. */
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
			m->terminating = true;
			err_free(process_signal(m->pidfd, SIGTERM));
		}
	}
	reap(m);
}

/* Only now: the container must not inherit blocked signals, and the runtime waits for children of its own. */
static struct err *watch_signals(struct monitor *m)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGPIPE);
	m->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signals.fd < 0)
		return err_errno(errno, "cannot make a signalfd");
	m->signals.ready = signals_ready;
	monitor_watch(m, &m->signals, EPOLLIN);
	reap(m); /* what ended before */
	return NULL;
}

void monitor_step(struct monitor *m, int timeout_ms)
{
	struct epoll_event events[16];
	int n = epoll_wait(m->epoll_fd, events, ARRAY_SIZE(events), timeout_ms);

	for (int i = 0; i < n; i++) {
		struct source *s = events[i].data.ptr;
		if (s->fd >= 0 && s->events != 0) /* not closed by an earlier event of this round */
			s->ready(m, s, events[i].events);
	}
}

/* -- the end --- */

static void tell_end(struct monitor *m)
{
	char code[16], duration[24];
	char *const pairs[] = {(char *)"exitCode", code, m->exec ? NULL : (char *)"execDuration", duration,
			       NULL};

	snprintf(code, sizeof(code), "%d", m->exit_code);
	snprintf(duration, sizeof(duration), "%lld",
		 (long long)((timestamp_now_ns() - m->started_ns) / 1000000000));
	if (!m->events)
		return;
	if (m->exec) {
		event_tell(m->events, m->exec_event, pairs);
		return;
	}
	if (m->oom_killed)
		event_run_tell(m->events, m->run_dir, "oom", NULL, false);
	event_run_tell(m->events, m->run_dir, "die", pairs, true);
}

/* Asked before the group goes. */
static void look_for_oom(struct monitor *m)
{
	_cleanup_(rt_cgroup_freep) struct rt_cgroup *planned = NULL;
	struct rt_cgroup_stats stats;
	struct err *e = NULL;

	if (!m->memory_limit)
		return;
	if (m->runtime)
		e = oci_runtime_cgroup(m->run_dir, m->id, &planned);
	struct rt_cgroup *group = m->runtime ? planned : m->container->cgroup;
	if (!e && group)
		e = rt_cgroup_stats(group, &stats);
	m->oom_killed = !e && group && stats.oom_kills != UINT64_MAX && stats.oom_kills > 0;
	err_free(e);
}

static void finish_container(struct monitor *m)
{
	_cleanup_free_ char *error = NULL;

	/* With a shared pid namespace init's children outlive it, and hold its pipes. */
	if (m->runtime)
		look_for_oom(m);
	if (m->runtime) /* which kills what is left; its own state is of no use any more */
		err_free(external_delete(m));
	else
		err_free(rt_container_kill(m->container, SIGKILL, true));
	stdio_drain(m);
	if (!m->runtime)
		look_for_oom(m);
	if (m->log.failed)
		error = xasprintf("log incomplete: %s", strerror(m->log.failed));
	restart_decide(m);
	/* M2. When it cannot be written (a full disk), the next command takes our death for the end: 137 instead of a wrong 0. */
	err_free(write_record(m, true, error));
	tell_end(m);
}

static void send_exit(struct monitor *m)
{
	unsigned char payload[5];

	stream_put_u32(payload, (uint32_t)m->exit_code);
	payload[4] = m->oom_killed;
	clients_broadcast(m, STREAM_EXIT, 0, payload, sizeof(payload));
}

/* Gives clients time to take what is queued; the starter as long as it is there, since it may owe the removal. */
static bool somebody_is_waited_for(const struct monitor *m, bool overdue)
{
	for (const struct client *c = m->clients; c; c = c->next) {
		if (c->dead)
			continue;
		if (c->starter && !m->starter_removed && m->cleanup)
			return true;
		if (c->out.len > c->out_offset && (c->starter || !overdue))
			return true;
	}
	return false;
}

static void linger(struct monitor *m)
{
	int64_t until = timestamp_monotonic_ns() + LINGER_MS * 1000000LL;

	while (true) {
		int64_t left_ms = (until - timestamp_monotonic_ns()) / 1000000;
		clients_reap(m);
		if (!somebody_is_waited_for(m, left_ms <= 0))
			break;
		monitor_step(m, left_ms > 0 ? (int)left_ms : -1);
	}
}

static void run_cleanup(struct monitor *m)
{
	struct process_spawn p = {
		.path = m->cleanup[0], .argv = m->cleanup, .stdio = {-1, -1, -1}, .new_session = true};

	/* Not waited for: it waits for our lock, which is free, and for nothing else. */
	err_free(process_spawn(&p, NULL, NULL));
}

static void shrink(struct monitor *m);

static void end(struct monitor *m)
{
	m->input_closing = true;
	if (m->exec) {
		stdio_drain(m);
		tell_end(m);
		send_exit(m);
		linger(m);
		return;
	}
	resolver_close(m);
	finish_container(m);
	send_exit(m);
	if (m->container)
		err_free(rt_container_delete(m->container,
					     true)); /* what fails here is recovered by the next command */
	_cleanup_free_ char *socket_path = xasprintf("%s/attach.sock", m->run_dir);
	(void)unlink(socket_path);
	monitor_watch(m, &m->listener, 0);
	fd_close(m->listener.fd);
	network_undo(m->run_dir, m->id);
	if (m->network)
		close(MONITOR_FD_PORTS);
	if (m->restarting) { /* the lock goes to whom starts it anew */
		linger(m);
		shrink(m);
		if (restart_wait(m))
			restart_revive(m);
		return;
	}
	fd_close(m->lock_fd); /* M1: the container may be started again while a slow client still reads */
	linger(m);
	if (m->cleanup && !m->starter_removed)
		run_cleanup(m);
}

/* Gives back the pages of our own program that starting has touched: they are clean, and the few that waiting needs come back by
 * themselves. Only segments that are never written: the others hold our data. */
static int drop_segments(struct dl_phdr_info *info, size_t size, void *user)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t start = (info->dlpi_addr + p->p_vaddr) & ~(page - 1),
			  end = info->dlpi_addr + p->p_vaddr + p->p_memsz;
		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
			(void)madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 1; /* static: there is only us */
}

/* Small and still: nothing of the start is kept. */
static void shrink(struct monitor *m)
{
	if (m->container)
		rt_container_drop_config(m->container);
	malloc_trim(0);
	dl_iterate_phdr(drop_segments, NULL);
}

static void run_loop(struct monitor *m)
{
	while (!m->exited) {
		bool busy = m->n_clients > 0 || resolver_timeout_ms(m) >= 0 || m->health.pid > 0;
		int resolver_ms = resolver_timeout_ms(m), health_ms = health_timeout_ms(m);
		monitor_step(m, resolver_ms < 0 ? health_ms
				: health_ms < 0 ? resolver_ms
						: MIN(resolver_ms, health_ms));
		clients_reap(m);
		stdio_update(m);
		resolver_expire(m);
		if (health_act(m))
			continue;
		if (busy && m->n_clients == 0 && resolver_timeout_ms(m) < 0 && m->health.pid == 0 &&
		    !m->exited)
			shrink(m);
	}
}

static struct err *start(struct monitor *m, struct client **ret_starter)
{
	struct stream_parser parser = {0};
	struct stream_frame f;
	struct json_cursor process = {0};
	_cleanup_json_ struct json *doc = NULL;
	unsigned want = 0;
	struct err *e = stream_receive(MONITOR_FD_STARTER, &parser, "the starter", &f);

	if (!e && f.type != STREAM_CONFIG)
		e = err_new(ERR_INTERNAL, "the starter did not send a configuration");
	if (!e)
		e = json_parse((const char *)f.data, f.size, "monitor configuration", &doc);
	stream_parser_release(&parser);
	if (!e)
		e = configure(m, doc, &want, &process);
	if (!e)
		e = m->exec ? start_exec(m, process.value) : start_container(m);
	TRY(e);
	*ret_starter = client_add(m, MONITOR_FD_STARTER, true);
	(*ret_starter)->want = want;
	return NULL;
}

static void report_failure(struct monitor *m, struct err *e)
{
	unsigned char *data;
	size_t size;

	if (!m->exec && m->container_dir)
		record_failure(m, e);
	err_encode(e, &data, &size);
	if (size <= STREAM_ERROR_MAX)
		err_free(stream_send(MONITOR_FD_STARTER, STREAM_ERROR, data, size));
	free(data);
	err_free(e);
}

int monitor_main(int argc, char **argv)
{
	struct monitor m = {
		.epoll_fd = -1,
		.lock_fd = -1,
		.pidfd = -1,
		.signals.fd = -1,
		.listener.fd = -1,
		.input.fd = -1,
		.outputs = {{.source.fd = -1}, {.source.fd = -1}},
		.log.fd = -1,
	};
	struct client *starter = NULL;
	unsigned char pid[4];

	if (argc != 2 || (!str_eq(argv[1], "run") && !str_eq(argv[1], "exec"))) {
		fprintf(stderr, "usage: havre-monitor run|exec (started by havre, not by hand)\n");
		return 125;
	}
	struct err *e = rt_executable_protect(argv);
	if (e) {
		report_failure(&m, e);
		return 1;
	}
	(void)prctl(PR_SET_NAME, "havre-monitor"); /* executed through an fd, the name would be its number */
	/* One arena, nothing kept on top of it: an idle monitor is a few pages. */
	mallopt(M_TRIM_THRESHOLD, 16 << 10);
	mallopt(M_TOP_PAD, 4 << 10);
	if (str_eq(argv[1], "run"))
		m.lock_fd = MONITOR_FD_LOCK;
	(void)close_range(MONITOR_FD_STARTER, ~0u, CLOSE_RANGE_CLOEXEC);
	(void)!chdir("/");
	m.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	e = m.epoll_fd < 0 ? err_errno(errno, "cannot make an epoll instance") : start(&m, &starter);
	if (!e)
		e = watch_signals(&m);
	if (e) {
		report_failure(&m, e);
		return 1;
	}
	if (m.listener.fd >= 0) {
		m.listener.ready = client_listen_ready;
		monitor_watch(&m, &m.listener, EPOLLIN);
	}
	stream_put_u32(pid, (uint32_t)m.pid);
	client_send(&m, starter, STREAM_STARTED, pid, sizeof(pid));
	if (starter->want == 0)
		client_dismiss(&m, starter);
	stdio_watch(&m);
	if (m.network && m.resolver_sockets)
		resolver_watch(&m, MONITOR_FD_DNS_UDP, MONITOR_FD_DNS_TCP);
	health_begin(&m);
	shrink(&m);
	run_loop(&m);
	end(&m);
	return 0;
}
