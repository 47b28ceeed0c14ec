/* SPDX-License-Identifier: Apache-2.0 */
/* What is happening with a container, from the monitor's lock, its record and the kernel (invariants E2 to E4).
 *
 *   record            monitor's lock   status
 *   none              any              created
 *   error, no start   any              created (the last start failed)
 *   started           held             running, or paused when the freezer says so
 *   started           free             exited 137: the monitor died (E3), recovery is due
 *   finished          held             restarting, when the record says that it waits for that
 *   finished          any              exited
 */
#include <sys/file.h>
#include <time.h>

#include "base/timestamp.h"
#include "event.h"
#include "network/undo.h"
#include "oci_runtime.h"
#include "private.h"
#include "runtime/container.h"

bool monitor_alive(const char *run_dir)
{
	_cleanup_free_ char *path = xasprintf("%s/monitor.lock", run_dir);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	/* The shared lock is gone with the fd at once; a starter that wants it exclusively waits that long. */
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

struct err *monitor_wait_gone(const char *run_dir, int timeout_ms)
{
	int64_t until = timestamp_monotonic_ns() + (int64_t)timeout_ms * 1000000;

	for (long wait_ns = 200000; monitor_alive(run_dir); wait_ns = MIN(wait_ns * 2, 20000000L)) {
		struct timespec ts = {0, wait_ns};
		if (timestamp_monotonic_ns() > until)
			return err_new(ERR_TIMEOUT, "the container's monitor does not end; see %s", run_dir);
		nanosleep(&ts, NULL);
	}
	return NULL;
}

/* Only pause makes this file, so that the freezer is read for few containers; the freezer is the truth. */
static bool is_paused(struct engine *e, struct container *c)
{
	_cleanup_free_ char *marker = xasprintf("%s/paused", c->run_dir), *state_root = NULL;
	_cleanup_(rt_container_freep) struct rt_container *rt = NULL;

	if (access(marker, F_OK) < 0)
		return false;
	if (c->spec->runtime)
		return true;
	state_root = engine_state_root(e);
	struct err *error = rt_container_load(state_root, c->id, &rt);
	if (error) {
		err_free(error); /* ended meanwhile */
		return false;
	}
	return rt->status == RT_PAUSED;
}

static bool runtime_state_left(struct engine *e, const struct container *c)
{
	_cleanup_oci_runtime_ struct oci_runtime r = {0};
	_cleanup_free_ char *path = NULL;

	if (c->spec->runtime)
		oci_runtime_of(c->spec->runtime, e->run, c->run_dir, &r);
	path = r.root ? xasprintf("%s/%s", r.root, c->id) : xasprintf("%s/runtime/%s", e->run, c->id);
	return access(path, F_OK) == 0;
}

/* What another OCI runtime has of a container whose monitor died. */
static struct err *delete_elsewhere(struct engine *e, const struct container *c)
{
	_cleanup_oci_runtime_ struct oci_runtime r = {0};
	char *args[] = {(char *)"delete", (char *)"--force", (char *)(uintptr_t)c->id, NULL};

	oci_runtime_of(c->spec->runtime, e->run, c->run_dir, &r);
	TRY(file_mkdir_p(c->run_dir, 0700)); /* its log is there */
	return oci_runtime_call(&r, args, NULL);
}

struct err *container_derive(struct engine *e, struct container *c, bool *ret_orphaned)
{
	_cleanup_record_ struct record r = {0};
	/* The lock is looked at before the record: a monitor writes its record before it lets go of the lock. */
	bool alive = monitor_alive(c->run_dir);

	TRY(record_read(c->root_dir, &r));
	*ret_orphaned = !alive &&
			((r.started && !r.finished) || runtime_state_left(e, c) || network_left(c->run_dir));
	c->started_ns = r.started_ns;
	c->finished_ns = r.finished_ns;
	c->exit_code = r.exit_code;
	c->oom_killed = r.oom_killed;
	c->restarts = r.restarts;
	free(c->error);
	c->error = TAKE_PTR(r.error);
	c->pid = 0;
	if (!r.started) {
		c->status = CONTAINER_CREATED;
	} else if (r.finished) {
		c->status = r.restarting && alive ? CONTAINER_RESTARTING : CONTAINER_EXITED;
	} else if (alive) {
		c->pid = r.pid;
		c->status = is_paused(e, c) ? CONTAINER_PAUSED : CONTAINER_RUNNING;
	} else {
		c->status = CONTAINER_EXITED;
		c->exit_code = 137;
		free(c->error);
		c->error = xstrdup("monitor died");
	}
	return NULL;
}

/* Under the lock. */
static struct err *recover_locked(struct engine *e, struct container *c)
{
	_cleanup_record_ struct record r = {0};
	_cleanup_(rt_container_freep) struct rt_container *rt = NULL;
	_cleanup_free_ char *state_root = engine_state_root(e);
	bool same_boot = access(c->run_dir, F_OK) == 0, orphaned;
	struct err *error;

	TRY(container_derive(e, c, &orphaned)); /* somebody may have been faster */
	if (!orphaned)
		return NULL;
	if (c->spec->runtime && runtime_state_left(e, c))
		TRY_WRAP(delete_elsewhere(e, c), "cannot clean up after container %s", c->id);
	error = rt_container_load(state_root, c->id, &rt);
	if (error && error->kind != ERR_NOT_FOUND)
		return err_wrap(error, "cannot clean up after container %s", c->id);
	err_free(error);
	if (rt)
		TRY_WRAP(rt_container_delete(rt, true), "cannot clean up after container %s", c->id);
	TRY(record_read(c->root_dir, &r));
	if (r.started && !r.finished) {
		r.finished = true;
		r.finished_ns = timestamp_now_ns();
		r.exit_code = 137;
		free(r.error);
		r.error = xstrdup(same_boot ? "monitor died" : "monitor died: the machine was restarted");
		TRY(record_write(c->root_dir, &r, FILE_DURABLE));
		event_run_ends(e, c, r.exit_code);
	}
	network_undo(c->run_dir, c->id);
	TRY(file_remove_tree_at(AT_FDCWD, c->run_dir));
	if (c->spec->auto_remove) {
		TRY(container_destroy(e, c, true));
		c->status = CONTAINER_REMOVING;
		return NULL;
	}
	return container_derive(e, c, &orphaned);
}

struct err *container_lock_dir(struct engine *e, const char *id, bool try_only, int *ret_lock_fd)
{
	_cleanup_free_ char *path = xasprintf("%s/containers/%s/lock", e->root, id);
	return file_lock_at(AT_FDCWD, path, try_only ? FILE_LOCK_TRY_EXCLUSIVE : FILE_LOCK_EXCLUSIVE,
			    ret_lock_fd);
}

struct err *container_recover(struct engine *e, struct container *c)
{
	_cleanup_fd_ int lock = -1;
	struct err *error = container_lock_dir(e, c->id, true, &lock);

	if (error && (error->kind == ERR_BUSY || error->errnum == EROFS)) {
		err_free(error);
		return NULL;
	}
	TRY(error);
	return recover_locked(e, c);
}

struct err *container_lock(struct engine *e, struct container *c, int *ret_lock_fd)
{
	_cleanup_fd_ int lock = -1;
	struct err *error = container_lock_dir(e, c->id, false, &lock);
	bool exists, orphaned;

	if (error && error->kind != ERR_NOT_FOUND)
		return error;
	exists = !error;
	err_free(error);
	/* Whoever waited for the lock of a removed container got the lock of an unlinked file. */
	if (exists) {
		exists = container_row_exists(e, c->id, &error);
		TRY(error);
	}
	if (!exists)
		return err_new(ERR_NOT_FOUND, "no such container: %s", c->name);
	TRY(container_derive(e, c, &orphaned));
	if (orphaned) {
		TRY(recover_locked(e, c));
		if (c->status == CONTAINER_REMOVING)
			return err_new(ERR_NOT_FOUND, "no such container: %s", c->name);
	}
	*ret_lock_fd = TAKE_FD(lock);
	return NULL;
}
