/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups for those who may not make them: with delegated ones (v2: a subtree that belongs to the user; v1: directories that do)
 * they are used, else the container runs without. A limit that was asked for is never silently left out: cg_check_available
 * says which, and why. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "cgroup_private.h"
#include "procfs.h"
#include "rootless.h"

bool cg_may_go_without(enum rt_rootless rootless)
{
	_cleanup_fd_ int proc_fd = -1;

	if (rootless != RT_ROOTLESS_AUTO)
		return rootless == RT_ROOTLESS_TRUE;
	struct err *e = procfs_open(&proc_fd);
	bool confined = !e && rootless_confined(proc_fd);
	err_free(e);
	return confined;
}

void cg_leave_out(struct rt_cgroup *cg, size_t i, struct err *why)
{
	if (!cg->denied)
		cg->denied = err_text(why);
	err_free(why);
	free(cg->h[i].name);
	free(cg->h[i].mountpoint);
	free(cg->h[i].path);
	free(cg->g[i].dir);
	cg->n--;
	memmove(&cg->h[i], &cg->h[i + 1], (cg->n - i) * sizeof(cg->h[0]));
	memmove(&cg->g[i], &cg->g[i + 1], (cg->n - i) * sizeof(cg->g[0]));
}

struct err *cg_v2_of(pid_t pid, char **ret)
{
	_cleanup_free_ char *text = NULL;
	char file[32] = "/proc/self/cgroup";
	size_t size;

	if (pid)
		snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	TRY(file_read(file, 1u << 20, &text, &size));
	const char *line = str_starts(text, "0::/") ? text : strstr(text, "\n0::/");
	line = line ? strchr(line, '/') : "/";
	*ret = xstrndup(line, strcspn(line, "\n"));
	return NULL;
}

/* The kernel wants write permission on cgroup.procs of the nearest common ancestor of where the process is and where it goes. */
struct err *cg_v2_may_enter(const struct rt_cgroup_hierarchy *h)
{
	_cleanup_free_ char *own = NULL;
	size_t common = 0;

	TRY(cg_v2_of(0, &own));
	if (str_starts(own, "/..")) /* outside of our cgroup namespace: only trying will tell */
		return NULL;
	for (size_t i = 0;; i++) {
		bool a = !own[i] || own[i] == '/', b = !h->path[i] || h->path[i] == '/';
		if (a && b)
			common = i;
		if (!own[i] || own[i] != h->path[i])
			break;
	}
	_cleanup_free_ char *ancestor = xasprintf("%s%.*s", h->mountpoint, (int)common, h->path);
	_cleanup_free_ char *file = xasprintf("%s/cgroup.procs", ancestor);
	if (faccessat(AT_FDCWD, file, W_OK, AT_EACCESS) == 0)
		return NULL;
	return err_errno(
		errno,
		"cannot move a process from cgroup %s to %s: both lie below %s, which is not delegated to "
		"this user (its cgroup.procs must be writable)",
		own, h->path, ancestor);
}
