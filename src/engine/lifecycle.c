/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on running containers: stop, kill, pause, restart, rename, wait. Signals go to the exact process of the record (pid and
 * start time), never to a bare pid. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/process.h"
#include "base/timestamp.h"
#include "engine/events.h"
#include "engine/session.h"
#include "event.h"
#include "network/join.h"
#include "oci_runtime.h"
#include "private.h"
#include "runtime/container.h"

#define STOP_TIMEOUT_DEFAULT_S 10
#define KILL_TIMEOUT_MS 10000
#define KILL_AGAIN_MS 500

static bool is_up(const struct container *c)
{
	return c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED;
}

static struct err *not_running(const struct container *c)
{
	return err_new(ERR_STATE, "container %s is not running", c->name);
}

/* A pidfd of init. ERR_STATE when it has ended. */
static struct err *open_init(struct container *c, int *ret_pidfd)
{
	_cleanup_record_ struct record r = {0};

	TRY(record_read(c->root_dir, &r));
	if (!r.started || r.finished)
		return not_running(c);
	struct err *e = process_open_exact(r.pid, r.start_ticks, ret_pidfd);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return not_running(c);
	}
	return e;
}

static struct err *load_runtime(struct engine *e, struct container *c, struct rt_container **ret)
{
	_cleanup_free_ char *state_root = engine_state_root(e);
	struct err *error = rt_container_load(state_root, c->id, ret);

	if (error && error->kind == ERR_NOT_FOUND) {
		err_free(error);
		return not_running(c);
	}
	return error;
}

/* A frozen process dies when it is thawed. Asked of the marker now, since a pause may have come after `c` was derived. */
static struct err *kill_frozen(struct engine *e, struct container *c)
{
	_cleanup_(rt_container_freep) struct rt_container *rt = NULL;
	_cleanup_free_ char *marker = xasprintf("%s/paused", c->run_dir);

	if (access(marker, F_OK) < 0 || c->spec->runtime)
		return NULL;
	TRY(load_runtime(e, c, &rt));
	return rt_container_kill(rt, SIGKILL, true);
}

/* Asks another OCI runtime; the last argument is the container's id. */
static struct err *ask_runtime(struct engine *e, const struct container *c, const char *verb,
			       const char *after)
{
	_cleanup_oci_runtime_ struct oci_runtime r = {0};
	char *args[] = {(char *)(uintptr_t)verb, (char *)(uintptr_t)c->id, (char *)(uintptr_t)after, NULL};

	oci_runtime_of(c->spec->runtime, e->run, c->run_dir, &r);
	return oci_runtime_call(&r, args, NULL);
}

static struct err *send_signal(struct engine *e, struct container *c, int signum)
{
	_cleanup_fd_ int pidfd = -1;

	TRY(open_init(c, &pidfd));
	/* Its init may be a machine of its own (gVisor's sandbox), and the signal is for the program in it. */
	if (c->spec->runtime) {
		char number[16];
		snprintf(number, sizeof(number), "%d", signum);
		struct err *failed = ask_runtime(e, c, "kill", number);
		if (failed && !process_alive(pidfd)) {
			err_free(failed);
			return not_running(c);
		}
		return failed;
	}
	struct err *error = process_signal(pidfd, signum);
	if (error && error->errnum == ESRCH) {
		err_free(error);
		return not_running(c);
	}
	TRY(error);
	return signum == SIGKILL ? kill_frozen(e, c) : NULL;
}

static int own_signal(const struct container *c)
{
	int signum = SIGTERM;

	if (c->spec->stop_signal)
		err_free(signal_parse(c->spec->stop_signal, &signum));
	return signum;
}

struct err *container_kill(struct engine *e, struct container *c, int signum)
{
	char number[16];

	if (signum == SIGKILL || signum == SIGTERM || signum == own_signal(c))
		TRY(restart_mark_stopped(c, true));
	TRY(send_signal(e, c, signum));
	snprintf(number, sizeof(number), "%d", signum);
	event_container(e, c, "kill", "signal", number, NULL);
	return NULL;
}

/* -- wait --- */

/* Waits until the container changes its record or disappears. The watch was set before the state was looked at. */
static struct err *wait_for_change(int inotify, int timeout_ms, int stop)
{
	char events[4096];
	struct pollfd p[2] = {{.fd = inotify, .events = POLLIN}, {.fd = stop, .events = POLLRDHUP}};

	if (poll(p, 2, timeout_ms) < 0 && errno != EINTR)
		return err_errno(errno, "cannot wait for the container");
	if (p[1].revents)
		return err_new(ERR_CANCELLED, "nobody waits any more");
	(void)!read(inotify, events, sizeof(events));
	return NULL;
}

static struct err *open_watch(struct container *c, int *ret_inotify)
{
	_cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return err_errno(errno, "cannot make an inotify instance");
	if (inotify_add_watch(fd, c->root_dir, IN_MOVED_TO | IN_DELETE_SELF) < 0 && errno != ENOENT)
		return err_errno(errno, "cannot watch %s", c->root_dir);
	*ret_inotify = TAKE_FD(fd);
	return NULL;
}

/* The state now; *ret_gone: it does not exist any more. Recovers what lost its monitor. */
static struct err *look_again(struct engine *e, struct container *c, bool *ret_gone)
{
	struct container *now = NULL;
	struct err *error = container_find(e, c->id, &now);

	*ret_gone = false;
	if (error && error->kind == ERR_NOT_FOUND) {
		err_free(error);
		*ret_gone = true;
		return NULL;
	}
	TRY(error);
	c->status = now->status;
	c->exit_code = now->exit_code;
	c->started_ns = now->started_ns;
	c->finished_ns = now->finished_ns;
	c->pid = now->pid;
	container_free(now);
	return NULL;
}

/* Until the end of the current run. ERR_TIMEOUT; anything else that breaks the connection means that it ended, one way or the
 * other: *ret_known then says whether the monitor told the code. */
static struct err *wait_exit(struct container *c, int timeout_ms, int stop, bool *ret_known, int *ret_code)
{
	struct attach *a = NULL;
	struct err *error = attach_connect(c, 0, &a);

	if (!error)
		error = attach_wait_exit_or(a, timeout_ms, stop, ret_code);
	attach_free(a);
	*ret_known = !error;
	if (error && error->kind != ERR_TIMEOUT && error->kind != ERR_CANCELLED) {
		err_free(error);
		error = NULL;
	}
	return error;
}

static bool may_restart(const struct container *c)
{
	return c->spec->restart && !str_eq(c->spec->restart, "no");
}

struct err *container_wait(struct engine *e, struct container *c, enum wait_condition cond, int *ret_code)
{
	return container_wait_or(e, c, cond, -1, ret_code);
}

static struct err *note_exit_code(void *user, struct json *event)
{
	struct json_cursor root = json_root(event), actor, attributes;
	const char *text = NULL;
	int64_t code;

	TRY(json_get_object(&root, "Actor", JSON_REQUIRED, &actor));
	TRY(json_get_object(&actor, "Attributes", JSON_REQUIRED, &attributes));
	TRY(json_get_string(&attributes, "exitCode", JSON_OPTIONAL, &text));
	if (text) {
		TRY(parse_i64(text, "exitCode", 0, 255, &code));
		*(int *)user = (int)code;
	}
	return NULL;
}

/* It ran and was removed between two looks of ours: its record has gone with it, but not the event of its end. */
static struct err *exit_code_of_removed(struct engine *e, const struct container *c, int *ret_code)
{
	_cleanup_free_ char *which = xasprintf("container=%s", c->id);
	char *const filters[] = {which, (char *)"event=die", NULL};
	struct event_query q = {
		.since_ns = c->created_ns, .until_ns = timestamp_now_ns(), .filters = filters};

	return events_read(e, &q, -1, note_exit_code, ret_code);
}

struct err *container_wait_or(struct engine *e, struct container *c, enum wait_condition cond, int stop,
			      int *ret_code)
{
	_cleanup_fd_ int inotify = -1;
	int code = c->exit_code;
	bool seen = false; /* the end whose code that is */
	int64_t first_finish;

	TRY(open_watch(c, &inotify));
	first_finish = c->finished_ns;
	while (true) {
		bool gone;

		TRY(look_again(e, c, &gone));
		if (!gone && !is_up(c)) {
			code = c->exit_code;
			seen = c->finished_ns != first_finish;
		}
		if (gone && !seen)
			TRY(exit_code_of_removed(e, c, &code));
		if (gone || (cond == WAIT_NOT_RUNNING && !is_up(c) && c->status != CONTAINER_RESTARTING) ||
		    (cond == WAIT_NEXT_EXIT && !is_up(c) && c->finished_ns != first_finish))
			break;
		if (is_up(c)) {
			bool known;
			TRY(wait_exit(c, -1, stop, &known, &code));
			seen |= known;
			/* The record was written before that; the container may be removed by now. */
			if (known && cond != WAIT_REMOVED && !(cond == WAIT_NOT_RUNNING && may_restart(c)))
				break;
			/* Nobody answers: the record changes, or the lock gets free, in a moment. */
			if (!known || may_restart(c))
				TRY(wait_for_change(inotify, 20, stop));
			continue;
		}
		TRY(wait_for_change(inotify, -1, stop));
	}
	*ret_code = code;
	return NULL;
}

/* -- stop --- */

static struct err *stop_signal(struct container *c, const char *given, int *ret)
{
	const char *name = given ? given : c->spec->stop_signal;

	*ret = SIGTERM;
	return name ? signal_parse(name, ret) : NULL;
}

static struct err *thaw(struct engine *e, struct container *c)
{
	_cleanup_(rt_container_freep) struct rt_container *rt = NULL;

	if (c->status != CONTAINER_PAUSED)
		return NULL;
	TRY(load_runtime(e, c, &rt));
	return rt_container_resume(rt);
}

/* State errors mean that it has just ended, which is what was wanted. */
static struct err *ignore_ended(struct err *e)
{
	if (e && e->kind == ERR_STATE) {
		err_free(e);
		return NULL;
	}
	return e;
}

struct err *container_kill_and_wait(struct engine *e, struct container *c)
{
	struct err *error = NULL;
	bool known;
	int code;

	/* More than once: a pause at the same moment may freeze what has just been killed. */
	for (int i = 0; i < KILL_TIMEOUT_MS / KILL_AGAIN_MS; i++) {
		err_free(error);
		TRY(ignore_ended(i == 0 ? container_kill(e, c, SIGKILL) : send_signal(e, c, SIGKILL)));
		error = wait_exit(c, KILL_AGAIN_MS, -1, &known, &code);
		if (!error)
			return monitor_wait_gone(c->run_dir, KILL_TIMEOUT_MS);
	}
	return err_wrap(error, "container %s does not end, even by SIGKILL", c->name);
}

struct err *container_end(struct engine *e, struct container *c)
{
	int seconds = c->spec->stop_timeout_s >= 0 ? c->spec->stop_timeout_s : STOP_TIMEOUT_DEFAULT_S, code;
	bool known;

	TRY(ignore_ended(send_signal(e, c, own_signal(c))));
	struct err *error = wait_exit(c, MIN(seconds, 1000000) * 1000, -1, &known, &code);
	if (!error)
		return NULL;
	err_free(error);
	return ignore_ended(send_signal(e, c, SIGKILL));
}

struct err *container_stop(struct engine *e, struct container *c, int timeout_s, const char *signal)
{
	int signum, code = 0, seconds = timeout_s >= 0 ? timeout_s : c->spec->stop_timeout_s;
	bool gone, known;

	if (c->status == CONTAINER_RESTARTING) {
		_cleanup_fd_ int lock = -1;
		TRY(container_lock(e, c, &lock));
		if (c->status == CONTAINER_RESTARTING)
			return restart_cancel(e, c);
	}
	if (!is_up(c))
		return NULL; /* as docker: stopping what is stopped succeeds */
	if (seconds < 0)
		seconds = STOP_TIMEOUT_DEFAULT_S;
	seconds = MIN(seconds, 1000000);
	TRY(restart_mark_stopped(c, true));
	TRY(stop_signal(c, signal, &signum));
	TRY(ignore_ended(container_kill(e, c, signum)));
	TRY(ignore_ended(thaw(e, c)));
	struct err *error = wait_exit(c, seconds * 1000, -1, &known, &code);
	if (error) { /* the time is up */
		err_free(error);
		TRY(container_kill_and_wait(e, c));
	}
	TRY(monitor_wait_gone(c->run_dir, KILL_TIMEOUT_MS));
	TRY(look_again(e, c, &gone));
	if (gone)
		c->status = CONTAINER_REMOVING;
	event_container(e, c, "stop", NULL);
	return NULL;
}

struct err *container_restart(struct engine *e, struct container *c, int timeout_s, const char *signal)
{
	TRY(container_stop(e, c, timeout_s, signal));
	if (c->status == CONTAINER_REMOVING)
		return err_new(ERR_STATE,
			       "cannot restart container %s: it was made to be removed when it ends",
			       c->name);
	TRY(container_start(e, c, NULL, NULL));
	event_container(e, c, "restart", NULL);
	return NULL;
}

struct err *container_pause(struct engine *e, struct container *c, bool paused)
{
	_cleanup_(rt_container_freep) struct rt_container *rt = NULL;
	_cleanup_free_ char *marker = xasprintf("%s/paused", c->run_dir);
	_cleanup_fd_ int lock = -1, fd = -1;

	TRY(container_lock(e, c, &lock));
	if (!is_up(c))
		return not_running(c);
	if (paused && c->status == CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is already paused", c->name);
	if (!paused && c->status != CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is not paused", c->name);
	if (!c->spec->runtime)
		TRY(load_runtime(e, c, &rt));
	if (!paused) {
		TRY(rt ? rt_container_resume(rt) : ask_runtime(e, c, "resume", NULL));
		(void)unlink(marker);
		c->status = CONTAINER_RUNNING;
		event_container(e, c, "unpause", NULL);
		return NULL;
	}
	/* The marker first: with it, whoever looks asks the freezer. */
	fd = open(marker, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(errno, "cannot pause container %s", c->name);
	struct err *error = rt ? rt_container_pause(rt) : ask_runtime(e, c, "pause", NULL);
	if (error) {
		(void)unlink(marker);
		return error;
	}
	c->status = CONTAINER_PAUSED;
	event_container(e, c, "pause", NULL);
	return NULL;
}

struct err *container_rename(struct engine *e, struct container *c, const char *name)
{
	_cleanup_fd_ int lock = -1;
	struct db *db;
	const char *bare = *name == '/' ? name + 1 : name;

	TRY(name_check(bare));
	if (str_eq(bare, c->name))
		return err_new(ERR_INVALID, "the container's name is \"%s\" already", bare);
	TRY(container_lock(e, c, &lock));
	TRY(engine_db(e, &db));
	struct err *error = db_run(db, NULL, "UPDATE containers SET name=? WHERE id=?", "ss", bare, c->id);
	if (error && error->kind == ERR_EXISTS) {
		err_free(error);
		return err_new(ERR_EXISTS, "the container name \"%s\" is already in use", bare);
	}
	TRY(error);
	_cleanup_free_ char *old = xasprintf("/%s", c->name);
	free(c->name);
	c->name = xstrdup(bare);
	event_container(e, c, "rename", "oldName", old, NULL);
	if (is_up(c))
		event_run_changed(e, c);
	return network_renamed(e, c);
}
