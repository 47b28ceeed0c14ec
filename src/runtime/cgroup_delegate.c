/* SPDX-License-Identifier: Apache-2.0 */
/* What a container may do with its own v2 group: its owner (runtime-spec, config-linux.md "Cgroup ownership"), and the sub-group of
 * crun's annotation run.oci.delegate-cgroup. There is neither with v1, where the kernel has no safe delegation. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "cgroup_private.h"

/* -- the owner ------------------------------------------------------------------------------------------------------ */

/* The kernel's list of files that are safe to give away; it is there since Linux 4.15. */
static char **delegatable(void)
{
	char text[4096];

	if (cg_read("/sys/kernel/cgroup", "delegate", text, sizeof(text)) == 0)
		return strv_split(text, "\n");
	return strv_split("cgroup.procs cgroup.subtree_control cgroup.threads", " ");
}

struct err *rt_cgroup_chown(const struct rt_cgroup *cg, uid_t uid)
{
	int v2 = cg_find_v2(cg);

	if (cg->mode != RT_CGROUP_V2 || v2 < 0)
		return NULL;
	_cleanup_free_ char *dir = cg_entered(cg, v2);
	_cleanup_fd_ int fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(errno, "cannot open cgroup %s", dir);
	if (st.st_uid == uid)
		return NULL;
	_cleanup_strv_ char **files = delegatable();
	STRV_FOREACH (f, files) /* a file of a controller that the group has not is no error */
		if (fchownat(fd, *f, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
			return err_errno(errno, "cannot give %s/%s to user %u, the container's", dir, *f,
					 uid);
	/* Last: who owns the directory has all of it. */
	if (fchownat(fd, "", uid, (gid_t)-1, AT_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot give cgroup %s to user %u, the container's", dir, uid);
	return NULL;
}

/* -- run.oci.delegate-cgroup ---------------------------------------------------------------------------------------- */

struct err *rt_cgroup_set_delegate(struct rt_cgroup *cg, const char *subgroup)
{
	if (cg->mode != RT_CGROUP_V2)
		return err_new(ERR_UNSUPPORTED, "annotations: run.oci.delegate-cgroup: needs a machine whose "
						"control groups are all v2");
	TRY_WRAP(cg_clean_path(subgroup, &cg->delegate), "annotations: run.oci.delegate-cgroup");
	return NULL;
}

char *cg_entered(const struct rt_cgroup *cg, int i)
{
	return xasprintf("%s%s", cg->g[i].dir, cg->h[i].v2 && cg->delegate ? cg->delegate : "");
}

struct err *cg_delegate_make(const struct rt_cgroup *cg)
{
	int i = cg_find_v2(cg);

	if (!cg->delegate || i < 0)
		return NULL;
	_cleanup_free_ char *dir = cg_entered(cg, i);
	size_t base = strlen(cg->g[i].dir);
	for (char *end = dir + base; end;) {
		end = strchr(end + 1, '/');
		if (end)
			*end = '\0';
		if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
			struct err *e = err_errno(errno, "cannot make cgroup %s", dir);
			for (; strlen(dir) > base; *strrchr(dir, '/') = '\0')
				(void)!rmdir(dir); /* so that the group itself can go */
			return e;
		}
		if (end)
			*end = '/';
	}
	return NULL;
}

void cg_delegate_enable(const struct rt_cgroup *cg)
{
	int i = cg_find_v2(cg);

	if (!cg->delegate || i < 0)
		return;
	_cleanup_free_ char *dir = cg_entered(cg, i);
	for (char *end = dir + strlen(cg->g[i].dir); end; end = strchr(end + 1, '/')) {
		*end = '\0';
		(void)!cg_v2_enable_in(dir, ~0u);
		*end = '/';
	}
}

/* -- entering what the container rules ------------------------------------------------------------------------------ */

static struct err *open_like(struct rt_cgroup *cg, int i, pid_t pid)
{
	_cleanup_free_ char *path = NULL;

	TRY(cg_v2_of(pid, &path));
	size_t n = strlen(cg->h[i].path);
	if (!str_starts(path, cg->h[i].path) || (path[n] && path[n] != '/'))
		return NULL; /* somebody has moved it away: where it was made to be */
	_cleanup_free_ char *dir = xasprintf("%s%s", cg->h[i].mountpoint, path);
	return cg_open_v2_at(cg, dir);
}

struct err *rt_cgroup_prepare_enter_like(struct rt_cgroup *cg, pid_t pid)
{
	int i = cg_find_v2(cg);

	if (pid > 0)
		TRY(open_like(cg, i, pid));
	cg->g[i].enter_fd = openat(cg->v2_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return cg->g[i].enter_fd < 0 ? err_errno(errno, "cannot open %s/cgroup.procs", cg->g[i].dir) : NULL;
}
