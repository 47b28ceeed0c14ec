/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a container: those of its control group; without one, those of its PID namespace and what descends from
 * them (a PID namespace made inside), or only what descends from the first process when it shares its caller's namespace. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "container_private.h"
#include "procfs.h"

struct process {
	pid_t pid, parent;
	bool ours;
};
struct process_table {
	struct process *list;
	size_t n, cap;
};

static void process_table_release(struct process_table *t)
{
	free(t->list);
}

static bool read_namespace(int proc_fd, const char *name, char *buf, size_t size)
{
	_cleanup_free_ char *path = xasprintf("%s/ns/pid", name);
	ssize_t n = readlinkat(proc_fd, path, buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool read_parent(int proc_fd, const char *name, pid_t *ret)
{
	char text[512];
	int parent;
	_cleanup_free_ char *path = xasprintf("%s/stat", name);
	_cleanup_fd_ int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	/* The name is in parentheses and may have some itself. */
	const char *end = strrchr(text, ')');
	if (!end || sscanf(end, ") %*c %d", &parent) != 1)
		return false;
	*ret = parent;
	return true;
}

static struct err *scan(const struct rt_container *c, int proc_fd, struct process_table *t)
{
	char mine[64], first[64], theirs[64], init[16];
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return err_errno(errno, "cannot list /proc");
	snprintf(init, sizeof(init), "%d", c->pid);
	bool own_namespace = read_namespace(proc_fd, init, first, sizeof(first)) &&
			     read_namespace(proc_fd, "self", mine, sizeof(mine)) && !str_eq(first, mine);
	for (struct dirent *e; (e = readdir(d));) {
		struct process p = {.pid = (pid_t)strtol(e->d_name, NULL, 10)};
		if (p.pid <= 0 || !read_parent(proc_fd, e->d_name, &p.parent))
			continue;
		p.ours = p.pid == c->pid ||
			 (own_namespace && read_namespace(proc_fd, e->d_name, theirs, sizeof(theirs)) &&
			  str_eq(theirs, first));
		GROW(t->list, t->n, t->cap);
		t->list[t->n++] = p;
	}
	closedir(d);
	return NULL;
}

static bool is_ours(const struct process_table *t, pid_t pid)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->list[i].pid == pid)
			return t->list[i].ours;
	return false;
}

static void add_descendants(struct process_table *t)
{
	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < t->n; i++)
			if (!t->list[i].ours && is_ours(t, t->list[i].parent))
				more = t->list[i].ours = true;
	}
}

struct err *rt_container_pids(struct rt_container *c, pid_t **ret_pids, size_t *ret_n)
{
	_cleanup_(process_table_release) struct process_table t = {0};
	_cleanup_fd_ int proc_fd = -1;
	size_t n = 0;
	if (c->cgroup)
		return rt_cgroup_pids(c->cgroup, ret_pids, ret_n);
	if (c->pidfd >= 0) {
		TRY(procfs_open(&proc_fd));
		TRY(scan(c, proc_fd, &t));
		add_descendants(&t);
	}
	pid_t *pids = xnew_array(pid_t, t.n + 1);
	for (size_t i = 0; i < t.n; i++)
		if (t.list[i].ours)
			pids[n++] = t.list[i].pid;
	*ret_pids = pids;
	*ret_n = n;
	return NULL;
}

struct err *rt_container_signal_all(struct rt_container *c, int signum)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	if (c->cgroup)
		return rt_cgroup_signal_all(c->cgroup, signum);
	if (c->pidfd < 0)
		return err_new(ERR_STATE, "container not running");
	TRY(rt_container_pids(c, &pids, &n));
	for (size_t i = 0; i < n; i++)
		if (kill(pids[i], signum) < 0 && errno != ESRCH)
			return err_errno(errno, "cannot send signal %d to process %d of the container",
					 signum, pids[i]);
	return NULL;
}
