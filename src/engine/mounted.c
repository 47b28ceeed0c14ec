/* SPDX-License-Identifier: Apache-2.0 */
/* `mount`: a container's root file system at a path of this machine, RUN/mounts/ID, for as long as somebody wants it. It is the same mount
 * as the container's own: a writable overlay must not be mounted twice. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_from_child.h"
#include "images/snapshot.h"
#include "mounted.h"
#include "namespace_join.h"

char *mounted_path(const struct engine *e, const char *id)
{
	return xasprintf("%s/mounts/%s", e->run, id);
}

bool mounted_is(const char *path)
{
	struct statx x;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x) == 0 &&
	       (x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

struct err *mounted_attach(int fd, const char *path)
{
	TRY(file_mkdir_p(path, 0700));
	if (move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot mount on %s", path);
	return NULL;
}

bool container_mounted(struct engine *e, const struct container *c, char **ret_path)
{
	_cleanup_free_ char *path = mounted_path(e, c->id);

	if (!mounted_is(path))
		return false;
	if (ret_path)
		*ret_path = TAKE_PTR(path);
	return true;
}

/* The root of its processes, without what is mounted below. */
static struct err *clone_root(void *user, int *ret_fd)
{
	const int *mntns = user;
	int fd;

	if (setns(*mntns, CLONE_NEWNS) < 0)
		return err_errno(errno, "cannot enter the mount namespace");
	fd = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot clone the mount");
	*ret_fd = fd;
	return NULL;
}

static struct err *root_of(struct engine *e, struct container *c, int *ret_fd)
{
	struct store *store;
	_cleanup_fd_ int mntns = -1;

	if (c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED) {
		TRY(container_open_proc(c, "ns/mnt", &mntns));
		return fd_from_child(clone_root, &mntns, ret_fd);
	}
	TRY(engine_store(e, &store));
	return snapshot_mount_fd(store, c->id, 0, ret_fd);
}

struct err *container_mount(struct engine *e, struct container *c, char **ret_path)
{
	_cleanup_free_ char *path = mounted_path(e, c->id);
	_cleanup_fd_ int lock = -1, fd = -1;

	if (c->spec->rootfs) { /* it is there */
		*ret_path = xstrdup(c->spec->rootfs);
		return NULL;
	}
	TRY(container_lock(e, c, &lock));
	if (!mounted_is(path)) {
		TRY(root_of(e, c, &fd));
		TRY_WRAP(mounted_attach(fd, path), "cannot mount the root file system of container %s",
			 c->name);
	}
	*ret_path = TAKE_PTR(path);
	return NULL;
}

struct err *container_mount_clone(struct engine *e, const struct container *c, int *ret_fd)
{
	_cleanup_free_ char *path = mounted_path(e, c->id);
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot clone the mount %s", path);
	*ret_fd = fd;
	return NULL;
}

struct err *mounted_detach(const char *path, bool force)
{
	/* Nothing of it in the usual case: one system call. */
	if (rmdir(path) == 0 || errno == ENOENT)
		return NULL;
	if (errno != EBUSY)
		return err_errno(errno, "cannot remove %s", path);
	if (umount2(path, UMOUNT_NOFOLLOW | (force ? MNT_DETACH : 0)) < 0 && errno != EINVAL)
		return err_errno(errno, "cannot unmount %s%s", path,
				 errno == EBUSY ? " (--force detaches it)" : "");
	(void)rmdir(path);
	return NULL;
}

struct err *container_unmount(struct engine *e, const char *id, bool force)
{
	_cleanup_free_ char *path = mounted_path(e, id);

	return mounted_detach(path, force);
}
