/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "container_private.h"
#include "hooks.h"
#include "procfs.h"
#include "resctrl.h"
#include "state.h"

#include <poll.h>
#include <signal.h>

#define END_TIMEOUT_MS 10000
#define THAW_AFTER_MS 50 /* looking for frozen groups below costs a walk */

static bool ends_within(int pidfd, int timeout_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int n;
	while ((n = poll(&p, 1, timeout_ms)) < 0 && errno == EINTR)
		;
	return n != 0;
}

/* The first process of a PID namespace ends after all others: one of them is what it waits for. */
static pid_t last_process(struct rt_container *c)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	err_free(rt_container_pids(c, &pids, &n));
	for (size_t i = 0; i < n; i++)
		if (pids[i] != c->pid)
			return pids[i];
	return c->pid;
}

static struct err *wait_end(struct rt_container *c)
{
	if (ends_within(c->pidfd, THAW_AFTER_MS))
		return NULL;
	if (c->cgroup)
		TRY(rt_cgroup_thaw_all(c->cgroup));
	if (c->cgroup && !ends_within(c->pidfd, THAW_AFTER_MS))
		rt_cgroup_reclaim(c->cgroup, c->pid);
	if (ends_within(c->pidfd, END_TIMEOUT_MS))
		return NULL;
	_cleanup_free_ char *frozen = c->cgroup ? rt_cgroup_frozen_ancestor(c->cgroup) : NULL;
	if (frozen)
		return err_new(
			ERR_TIMEOUT,
			"process %d of container %s is killed but does not end: cgroup %s above its own is "
			"frozen; thaw that one, then delete again",
			c->pid, c->id, frozen);
	pid_t pid = last_process(c);
	_cleanup_free_ char *state = procfs_describe(pid);
	return err_new(
		ERR_TIMEOUT,
		"process %d of container %s is killed but does not end%s; delete again when the kernel is "
		"done with it (a file system that does not answer?)",
		pid, c->id, state);
}

struct err *rt_container_destroy(struct rt_container *c)
{
	bool ended = c->status == RT_STOPPED;
	/* The group first: without a PID namespace of its own the others do not die with the first process. With one they have: then it
	 * can simply be removed. */
	if (c->cgroup && !(ended && rt_cgroup_remove_empty(c->cgroup)))
		TRY(rt_cgroup_signal_all(c->cgroup, SIGKILL));
	else if (!c->cgroup && !ended)
		err_free(rt_container_signal_all(c, SIGKILL));
	if (c->pidfd >= 0 && !ended) {
		err_free(process_signal(c->pidfd, SIGKILL)); /* gone already: fine */
		TRY(wait_end(c));
	}
	return c->cgroup ? rt_cgroup_remove(c->cgroup) : NULL;
}

static struct err *leave_resctrl(const struct spec *s, const char *id)
{
	_cleanup_fd_ int proc_fd = -1, root = -1;
	if (!s->rdt.set)
		return NULL;
	TRY(procfs_open(&proc_fd));
	struct err *e = resctrl_open(proc_fd, &root);
	if (e && e->kind == ERR_UNSUPPORTED) { /* unmounted since, and all groups with it */
		err_free(e);
		return NULL;
	}
	return e ? e : resctrl_remove(root, &s->rdt, id);
}

void rt_container_poststop(struct rt_container *c, struct spec *s)
{
	if (!s->hooks.n[SPEC_HOOK_POSTSTOP])
		return;
	struct err *e = hooks_open_output(&s->hooks);
	if (e) {
		strv_push_take(&c->warnings, err_text(e));
		err_free(e);
	}
	_cleanup_free_ char *state = state_for_hooks(s, c->id, c->bundle, 0, "stopped");
	hooks_run_poststop(c->bundle, &s->hooks, state, &c->warnings);
}

/* What only the configuration knows of. A maker that died early may not have saved it: then there is nothing. */
static struct err *end_by_config(struct rt_container *c)
{
	struct spec *s = NULL;
	struct err *e = rt_container_spec(c, &s);
	if (e && (e->kind == ERR_NOT_FOUND || e->kind == ERR_INVALID)) {
		err_free(e);
		return NULL;
	}
	if (!e)
		TRY(leave_resctrl(s, c->id));
	if (!e)
		rt_container_poststop(c, s);
	else
		strv_push_take(&c->warnings, err_text(e));
	err_free(e);
	return NULL;
}

static void unlock(const struct rt_container **c)
{
	if (*c)
		rt_container_unlock_dir(*c);
}

struct err *rt_container_delete(struct rt_container *c, bool force)
{
	_cleanup_(unlock) const struct rt_container *locked = NULL;
	TRY(rt_container_lock_dir(c));
	locked = c;
	if (c->pid <= 0 && !c->cgroup)
		err_free(state_read(c)); /* it may have been half made when it was loaded */
	TRY(rt_container_refresh(c));
	if (!force && c->status != RT_STOPPED && c->status != RT_CREATED && c->pid > 0)
		return err_new(ERR_STATE, "cannot delete container %s that is not stopped: %s", c->id,
			       rt_status_name(c->status));
	TRY(rt_container_destroy(c));
	/* state.h, S1: the directory goes last. */
	TRY(end_by_config(c));
	TRY(state_remove(c));
	locked = NULL; /* it is gone */
	c->status = RT_STOPPED;
	return NULL;
}
