/* SPDX-License-Identifier: Apache-2.0 */
/* Freezing a group: cgroup.freeze of v2, or v1's freezer controller. In hybrid mode the v1 freezer is used, as the processes of
 * sub-groups that a container makes in it are held too and other tools look there. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "cgroup_private.h"

#define FREEZE_TIMEOUT_MS 10000

static struct err *read_v1_state(const char *dir, char *buf, size_t size)
{
	int rc = cg_read(dir, "freezer.state", buf, size);

	return rc ? err_errno(rc, "cannot read %s/freezer.state", dir) : NULL;
}

static struct err *write_v1_state(const char *dir, const char *state)
{
	int rc = cg_write(dir, "freezer.state", state);

	return rc ? err_errno(rc, "cannot write %s to %s/freezer.state", state, dir) : NULL;
}

/* A group can hang in FREEZING when a task forks while its parent waits in vfork: thawing it for a moment and freezing it
 * again gets it through. */
static struct err *freeze_v1(const char *dir)
{
	int64_t deadline = timestamp_monotonic_ns() + (int64_t)FREEZE_TIMEOUT_MS * 1000000;
	struct timespec pause = {.tv_nsec = 20000};

	for (unsigned round = 1;; round++) {
		char state[32];

		TRY(write_v1_state(dir, "FROZEN"));
		TRY(read_v1_state(dir, state, sizeof(state)));
		if (strcmp(state, "FROZEN") == 0)
			return NULL;
		if (timestamp_monotonic_ns() > deadline)
			break;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 5000000)
			pause.tv_nsec *= 2;
		if (round % 50 == 0) {
			TRY(write_v1_state(dir, "THAWED"));
			nanosleep(&pause, NULL);
		}
	}
	TRY(write_v1_state(dir, "THAWED"));
	return err_new(ERR_TIMEOUT,
		       "cgroup %s could not be frozen within %d s: a process in it cannot be interrupted",
		       dir, FREEZE_TIMEOUT_MS / 1000);
}

/* Sub-groups that the container froze itself stay frozen when their parent is thawed. */
static struct err *thaw_one(const char *dir, void *v2)
{
	int rc = *(bool *)v2 ? cg_write(dir, "cgroup.freeze", "0") : cg_write(dir, "freezer.state", "THAWED");

	return rc && rc != ENOENT && rc != ENODEV ? err_errno(rc, "cannot thaw cgroup %s", dir) : NULL;
}

struct err *rt_cgroup_thaw_all(struct rt_cgroup *cg)
{
	int v1 = cg_find_v1(cg, CG_FREEZER), v2 = cg_find_v2(cg);
	bool is_v2 = v1 < 0;
	int i = is_v2 ? v2 : v1;

	return i < 0 ? NULL : cg_walk(cg->g[i].dir, thaw_one, &is_v2);
}

void rt_cgroup_reclaim(struct rt_cgroup *cg, pid_t pid)
{
	int i = cg_find_v1(cg, CG_FREEZER);
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	if (i >= 0)
		(void)cg_write(cg->g[i].dir, "cgroup.procs", text);
}

char *rt_cgroup_frozen_ancestor(const struct rt_cgroup *cg)
{
	int i = cg_find_v1(cg, CG_FREEZER);
	char state[32];

	if (i < 0)
		return NULL; /* what v2 has frozen still dies */
	_cleanup_free_ char *dir = xstrdup(cg->g[i].dir);
	size_t mount = strlen(cg->h[i].mountpoint);
	for (char *slash = strrchr(dir, '/'); slash && (size_t)(slash - dir) > mount;
	     slash = strrchr(dir, '/')) {
		*slash = '\0';
		if (cg_read(dir, "freezer.self_freezing", state, sizeof(state)) == 0 && state[0] == '1')
			return TAKE_PTR(dir);
	}
	return NULL;
}

struct err *rt_cgroup_freeze(struct rt_cgroup *cg, bool frozen)
{
	int v1 = cg_find_v1(cg, CG_FREEZER), v2 = cg_find_v2(cg);

	if (v1 >= 0)
		return frozen ? freeze_v1(cg->g[v1].dir) : write_v1_state(cg->g[v1].dir, "THAWED");
	if (v2 < 0)
		return err_new(
			ERR_UNSUPPORTED,
			"cannot freeze: this machine has neither cgroup v2 nor the freezer controller");
	const char *dir = cg->g[v2].dir;
	int rc = cg_write(dir, "cgroup.freeze", frozen ? "1" : "0");
	if (rc)
		return err_errno(rc, "cannot write to %s/cgroup.freeze", dir);
	struct err *e = cg_v2_wait_event(dir, "frozen", frozen, FREEZE_TIMEOUT_MS);
	if (e && frozen)
		(void)cg_write(dir, "cgroup.freeze", "0");
	return e;
}

struct err *rt_cgroup_is_frozen(struct rt_cgroup *cg, bool *ret)
{
	int v1 = cg_find_v1(cg, CG_FREEZER), v2 = cg_find_v2(cg);
	char text[256];

	if (v1 >= 0) {
		int rc = cg_read(cg->g[v1].dir, "freezer.state", text, sizeof(text));
		if (rc && rc != ENOENT)
			return err_errno(rc, "cannot read %s/freezer.state", cg->g[v1].dir);
		*ret = rc == 0 && strcmp(text, "THAWED") != 0;
		return NULL;
	}
	*ret = false;
	if (v2 < 0)
		return NULL;
	int rc = cg_read(cg->g[v2].dir, "cgroup.freeze", text, sizeof(text));
	if (rc && rc != ENOENT)
		return err_errno(rc, "cannot read %s/cgroup.freeze", cg->g[v2].dir);
	*ret = rc == 0 && text[0] == '1';
	return NULL;
}
