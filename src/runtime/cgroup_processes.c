/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a group and its sub-groups: listing, signalling, and the end of the group. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "cgroup_private.h"
#include "procfs.h"

#define REMOVE_TIMEOUT_MS 5000
#define KILL_ROUNDS_MAX 200
#define DEPTH_MAX 256

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static struct err *walk(const char *dir, cg_walk_fn fn, void *data, unsigned depth)
{
	_cleanup_(close_dir) DIR *d = opendir(dir);

	if (!d && errno != ENOENT)
		return err_errno(errno, "cannot open cgroup %s", dir);
	if (depth == DEPTH_MAX)
		return err_new(ERR_LIMIT, "cgroup %s: more than %d levels", dir, DEPTH_MAX);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		_cleanup_free_ char *sub = xasprintf("%s/%s", dir, e->d_name);
		TRY(walk(sub, fn, data, depth + 1));
	}
	return d ? fn(dir, data) : NULL;
}

struct err *cg_walk(const char *dir, cg_walk_fn fn, void *data)
{
	return walk(dir, fn, data, 0);
}

struct pid_list {
	pid_t *pids;
	size_t n, cap;
};

static void add_pid(struct pid_list *list, pid_t pid)
{
	if (pid <= 0) /* 0 is a process of a pid namespace that we do not see, or one that has ended */
		return;
	GROW(list->pids, list->n, list->cap);
	list->pids[list->n++] = pid;
}

/* Adds what one file of a group lists; 0 or an errno. */
static int read_pids(const char *dir, const char *file, bool threads, struct pid_list *list)
{
	_cleanup_fd_ int fd = cg_open(dir, file, O_RDONLY);
	char text[4096];
	int pid = 0;

	if (fd < 0)
		return errno;
	for (;;) {
		ssize_t n = read(fd, text, sizeof(text));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : 0;
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			add_pid(list, threads ? cg_process_of_thread(pid) : pid);
			pid = 0;
		}
	}
}

static struct err *collect_pids(const char *dir, void *data)
{
	struct pid_list *list = data;
	int rc = read_pids(dir, "cgroup.procs", false, list);

	if (rc == EOPNOTSUPP)
		rc = read_pids(dir, "cgroup.threads", true, list);
	/* Just removed. */
	return rc == 0 || rc == ENOENT || rc == ENODEV
		       ? NULL
		       : err_errno(rc, "cannot read the processes of cgroup %s", dir);
}

/* The hierarchy that tells the processes: v2, else v1's pids, else any. */
static int process_hierarchy(const struct rt_cgroup *cg)
{
	int i = cg_find_v2(cg);

	if (i < 0)
		i = cg_find_v1(cg, CG_PIDS);
	if (i < 0)
		i = cg_find_v1(cg, CG_FREEZER);
	return i >= 0 ? i : cg->n > 0 ? 0 : -1;
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

struct err *rt_cgroup_pids(struct rt_cgroup *cg, pid_t **ret_pids, size_t *ret_n)
{
	struct pid_list list = {0};
	int i = process_hierarchy(cg);

	if (i >= 0) {
		struct err *e = cg_walk(cg->g[i].dir, collect_pids, &list);
		if (e) {
			free(list.pids);
			return e;
		}
	}
	if (list.n)
		qsort(list.pids, list.n, sizeof(*list.pids), compare_pids);
	/* A threaded group's processes are listed for each of their threads, and in its domain. */
	size_t n = 0;
	for (size_t k = 0; k < list.n; k++)
		if (n == 0 || list.pids[n - 1] != list.pids[k])
			list.pids[n++] = list.pids[k];
	list.n = n;
	*ret_pids = list.pids;
	*ret_n = list.n;
	return NULL;
}

static struct err *signal_each(struct rt_cgroup *cg, int signum, size_t *ret_n)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;

	TRY(rt_cgroup_pids(cg, &pids, &n));
	for (size_t i = 0; i < n; i++)
		if (kill(pids[i], signum) < 0 && errno != ESRCH)
			return err_errno(errno, "cannot send signal %d to process %d of the container",
					 signum, pids[i]);
	*ret_n = n;
	return NULL;
}

static struct err *thaw_if_frozen(struct rt_cgroup *cg)
{
	bool frozen = false;

	TRY(rt_cgroup_is_frozen(cg, &frozen));
	return frozen ? rt_cgroup_freeze(cg, false) : NULL;
}

/* Without cgroup.kill: again and again until nobody is left who could have forked in between. */
static struct err *kill_all_v1(struct rt_cgroup *cg)
{
	struct timespec pause = {.tv_nsec = 50000};
	size_t n = 1;

	for (unsigned round = 0; round < KILL_ROUNDS_MAX && n > 0; round++) {
		TRY(signal_each(cg, SIGKILL, &n));
		/* Groups below that the container froze itself are rare: they are looked for when killing does not help. */
		TRY(round == 0 ? thaw_if_frozen(cg) : rt_cgroup_thaw_all(cg));
		if (n > 0)
			nanosleep(&pause, NULL);
		if (pause.tv_nsec < 5000000)
			pause.tv_nsec *= 2;
	}
	return NULL;
}

struct err *rt_cgroup_signal_all(struct rt_cgroup *cg, int signum)
{
	int v2 = cg_find_v2(cg);
	size_t n;

	if (signum != SIGKILL)
		return signal_each(cg, signum, &n);
	if (v2 >= 0) {
		int rc = cg_write(cg->g[v2].dir, "cgroup.kill", "1");
		if (rc == 0 || rc == ENODEV)
			return thaw_if_frozen(cg);
		if (rc != ENOENT && rc != EOPNOTSUPP)
			return err_errno(rc, "cannot write to %s/cgroup.kill", cg->g[v2].dir);
	}
	return kill_all_v1(cg);
}

static struct err *remove_one(const char *dir, void *data)
{
	int *busy = data;

	if (rmdir(dir) == 0 || errno == ENOENT)
		return NULL;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return err_errno(errno, "cannot remove cgroup %s", dir);
	*busy = 1;
	return NULL;
}

static struct err *remove_timed_out(const char *dir)
{
	struct pid_list list = {0};
	struct err *e = cg_walk(dir, collect_pids, &list);
	pid_t first = list.n ? list.pids[0] : 0;

	free(list.pids);
	err_free(e);
	if (first) {
		_cleanup_free_ char *state = procfs_describe(first);
		return err_new(ERR_BUSY, "cannot remove cgroup %s: it still has processes (pid %d%s)", dir,
			       (int)first, state);
	}
	return err_new(ERR_BUSY, "cannot remove cgroup %s: the kernel says that it is in use", dir);
}

/* A process leaves its group a moment after its parent has seen it exit, so EBUSY is retried: v2 tells when the group is
 * empty, in v1 short pauses have to do. */
static struct err *remove_group(struct rt_cgroup *cg, size_t index, int64_t deadline)
{
	struct timespec pause = {.tv_nsec = 20000};
	const char *dir = cg->g[index].dir;
	bool v2 = cg->h[index].v2;

	for (;;) {
		int busy = 0;

		if (rmdir(dir) == 0 || errno == ENOENT)
			return NULL;
		TRY(cg_walk(dir, remove_one, &busy));
		if (!busy)
			return NULL;
		int64_t left = deadline - timestamp_monotonic_ns();
		if (left <= 0)
			return remove_timed_out(dir);
		if (pause.tv_nsec == 80000)
			TRY(rt_cgroup_thaw_all(cg)); /* v1: a killed process that is frozen stays */
		if (v2 && pause.tv_nsec <= 80000) {
			int most = pause.tv_nsec == 80000 ? (int)(left / 1000000) + 1 : 20;
			struct err *e = cg_v2_wait_event(dir, "populated", false, most);
			if (e && e->kind != ERR_TIMEOUT && e->kind != ERR_NOT_FOUND)
				return e;
			err_free(e);
		} else {
			nanosleep(&pause, NULL);
		}
		if (pause.tv_nsec < 5000000)
			pause.tv_nsec *= 2;
	}
}

bool rt_cgroup_remove_empty(struct rt_cgroup *cg)
{
	int i = process_hierarchy(cg);

	if (i < 0 || rmdir(cg->g[i].dir) < 0)
		return false;
	cg->g[i].removed = true;
	return true;
}

static int64_t remove_deadline(void)
{
	return timestamp_monotonic_ns() + (int64_t)REMOVE_TIMEOUT_MS * 1000000;
}

static struct err *remove_with_ancestors(struct rt_cgroup *cg, size_t i, int64_t deadline)
{
	if (!cg->g[i].removed)
		TRY(remove_group(cg, i, deadline));
	/* Ancestors that we made, as long as they are empty. */
	_cleanup_free_ char *dir = xstrdup(cg->g[i].dir);
	for (char *slash = strrchr(dir, '/'); slash && (size_t)(slash - dir) > cg->g[i].kept;
	     slash = strrchr(dir, '/')) {
		*slash = '\0';
		if (rmdir(dir) < 0)
			break;
	}
	return NULL;
}

struct err *rt_cgroup_remove(struct rt_cgroup *cg)
{
	if (cg->unit)
		cg_unit_stop(cg->unit);
	int64_t deadline = remove_deadline();

	/* Last first: v2 is the last one that /proc/self/cgroup lists, and the one that can wait without polling. */
	for (size_t i = cg->n; i-- > 0;)
		TRY(remove_with_ancestors(cg, i, deadline));
	fd_close(cg->v2_fd);
	return NULL;
}

struct err *rt_cgroup_remove_v2(struct rt_cgroup *cg)
{
	int v2 = cg_find_v2(cg);

	fd_close(cg->v2_fd);
	if (v2 < 0 || !cg->g[v2].early_made)
		return NULL;
	return remove_with_ancestors(cg, (size_t)v2, remove_deadline());
}
