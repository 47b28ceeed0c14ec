/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of a container that runs already.
 *
 * Theory of operation: sources of bind mounts are cloned here, where their paths mean the host's; a process that joins all the
 * container's namespaces then makes and attaches the mounts exactly as the container's maker does (mounts.h, M1-M4 hold: the container's
 * processes may swap directories and symlinks meanwhile, and only reach another place inside). It is not dumpable, since it appears among
 * them. Either all mounts of a call are made or none.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "container_private.h"
#include "mounts.h"
#include "namespaces.h"
#include "procfs.h"
#include "userns.h"

struct change {
	struct rt_container *c;
	struct spec *spec; /* its mounts are those to add */
	char **removed;    /* destinations to unmount; NULL: add */
	int *sources;
	int proc_fd, bundle_fd, sync[2];
};

static void change_release(struct change *x)
{
	for (size_t i = 0; x->sources && i < x->spec->n_mounts; i++)
		fd_close(x->sources[i]);
	free(x->sources);
	spec_free(x->spec);
	strv_free(x->removed);
	fd_close(x->proc_fd);
	fd_close(x->bundle_fd);
	fd_close(x->sync[0]);
	fd_close(x->sync[1]);
}

/* -- inside the container ----------------------------------------------------------------------------------- */

static struct err *open_mounted(const struct inroot *root, const char *path, int *ret_fd)
{
	_cleanup_fd_ int parent = -1, fd = -1;
	_cleanup_free_ char *name = NULL;
	struct statx st;
	TRY(inroot_open_parent(root, path, &parent, &name));
	/* What is mounted there hides parts of them: masks, which are not for this command. */
	if (fd_is_fs(parent, PROC_SUPER_MAGIC) || fd_is_fs(parent, SYSFS_MAGIC))
		return err_new(ERR_INVALID,
			       "it is inside a proc or sysfs: what is mounted there confines the container");
	fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, 0, &st) < 0)
		return err_errno(errno, "cannot open it inside the container");
	if (!(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return err_new(ERR_STATE, "it is not a mount point");
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

/* umount2 takes only a path; the verified procfs makes one of the fd, so that the container cannot change what is meant. */
static struct err *detach(const struct change *x, const struct inroot *root, const char *path)
{
	_cleanup_fd_ int fd = -1;
	char link[32];
	TRY(open_mounted(root, path, &fd));
	snprintf(link, sizeof(link), "self/fd/%d", fd);
	if (fchdir(x->proc_fd) < 0 || umount2(link, MNT_DETACH) < 0)
		return err_errno(errno, "cannot unmount it");
	return NULL;
}

static struct err *remove_all(const struct change *x, const struct inroot *root)
{
	STRV_FOREACH (path, x->removed)
		TRY_WRAP(detach(x, root, *path), "cannot remove the mount on %s", *path);
	return NULL;
}

static struct err *add_all(const struct change *x, const struct inroot *root)
{
	struct mounts mounts = {
		.spec = x->spec,
		.root = root,
		.sources = x->sources,
		.bundle_fd = x->bundle_fd,
		.cgroup = x->c->cgroup,
		/* The sources' paths are the host's: only its clones will do, whatever user namespace this is. */
		.new_userns = false,
	};
	for (size_t i = 0; i < x->spec->n_mounts; i++) {
		struct err *e = mounts_make_one(&mounts, i);
		if (!e)
			continue;
		while (i-- > 0)
			err_free(detach(x, root, x->spec->mounts[i].destination));
		return e;
	}
	return NULL;
}

static struct err *change_run(const struct change *x)
{
	_cleanup_inroot_ struct inroot root = INROOT_NONE;
	if (x->spec->ns[SPEC_NS_USER].present)
		TRY(userns_become_root(&x->spec->process));
	umask(0);
	TRY(inroot_open("/", &root));
	TRY(x->removed ? remove_all(x, &root) : add_all(x, &root));
	return sync_send(x->sync[1], SYNC_CREATED);
}

static int change_main(void *argument)
{
	const struct change *x = argument;
	close(x->sync[0]);
	struct err *e = change_run(x);
	if (e)
		sync_send_error(x->sync[1], e);
	err_free(e);
	return e ? 1 : 0;
}

/* ----------------------------------------------------------------------------------------------------------- */

static struct err *attend(struct change *x, int pidfd)
{
	enum sync_tag tag;
	int status;
	struct err *e = sync_receive(x->sync[0], &tag, NULL);
	if (!e && tag != SYNC_CREATED)
		e = err_new(ERR_SYSTEM, "the process that changes the mounts was killed");
	struct err *waited = process_wait(pidfd, 10000, &status);
	if (!e)
		return waited;
	err_free(waited);
	return e;
}

static struct err *join_and_change(struct change *x)
{
	struct namespace_join join = NAMESPACE_JOIN_NONE;
	_cleanup_fd_ int pidfd = -1;
	pid_t pid;
	join.pidfd = x->c->pidfd;
	for (size_t i = 0; i < SPEC_NS_COUNT; i++)
		if (x->spec->ns[i].present)
			join.pidfd_flags |= namespace_kinds[i].flag;
	TRY(fd_socketpair(SOCK_STREAM, x->sync));
	struct namespace_clone clone = {
		.join = &join,
		.cgroup_fd = -1,
		.child = change_main,
		.argument = x,
	};
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(errno, "cannot become undumpable");
	TRY(namespace_clone(&clone, &pid, &pidfd));
	fd_close(x->sync[1]);
	return attend(x, pidfd);
}

/* The container's configuration with other mounts: their options are read under its labels, id maps and propagation. */
static struct err *read_mounts(struct change *x, struct json *mounts)
{
	struct json *document = json_deep_copy(x->c->config);
	json_set(document, "mounts", json_ref(mounts));
	struct err *e = spec_parse(document, &x->spec);
	json_unref(document);
	if (e)
		return err_wrap(e, "mounts");
	for (size_t i = 0; i < x->spec->n_mounts; i++) {
		const struct spec_mount *m = &x->spec->mounts[i];
		if (m->remount || m->copy_symlink)
			return err_new(ERR_INVALID, "mounts[%zu] (%s): %s does not make a mount", i,
				       m->destination, m->remount ? "remount" : "copy-symlink");
	}
	return NULL;
}

static struct err *read_destinations(struct change *x, struct json *mounts)
{
	struct json_cursor list = json_root(mounts);
	_cleanup_strv_ char **removed = xnew_array(char *, 1);
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor mount = json_at(&list, i);
		const char *destination;
		if (json_kind(&mount) != JSON_OBJECT)
			return json_error(&mount, "must be an object");
		TRY(json_get_string(&mount, "destination", JSON_REQUIRED, &destination));
		strv_push(&removed, destination);
	}
	TRY(spec_parse(x->c->config, &x->spec));
	x->removed = TAKE_PTR(removed);
	return NULL;
}

static struct err *prepare(struct change *x, struct json *mounts, bool remove)
{
	struct rt_container *c = x->c;
	struct json_cursor list = json_root(mounts);
	if (json_kind(&list) != JSON_ARRAY)
		return err_new(ERR_INVALID, "the mounts must be an array");
	if (c->status == RT_STOPPED || c->status == RT_CREATING)
		return err_new(ERR_STATE, "container not running");
	TRY(rt_container_config(c));
	if (remove)
		TRY_WRAP(read_destinations(x, mounts), "mounts");
	else
		TRY(read_mounts(x, mounts));
	TRY(procfs_open(&x->proc_fd));
	x->bundle_fd = open(str_empty(c->bundle) ? "/" : c->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (x->bundle_fd < 0)
		return err_errno(errno, "cannot open bundle %s", c->bundle);
	if (remove)
		return NULL;
	if (x->spec->n_mounts)
		x->sources = xnew_array(int, x->spec->n_mounts);
	return mounts_open_sources(x->spec, x->bundle_fd, x->proc_fd, x->sources);
}

struct err *rt_container_change_mounts(struct rt_container *c, struct json *mounts, bool remove)
{
	_cleanup_(change_release) struct change x = {
		.c = c,
		.proc_fd = -1,
		.bundle_fd = -1,
		.sync = {-1, -1},
	};
	_cleanup_fd_ int lock = -1;
	TRY(rt_container_lock(c, &lock));
	TRY(rt_container_refresh(c));
	TRY(prepare(&x, mounts, remove));
	return join_and_change(&x);
}
