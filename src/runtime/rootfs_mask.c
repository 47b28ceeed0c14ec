/* SPDX-License-Identifier: Apache-2.0 */
/* linux.maskedPaths and linux.readonlyPaths.
 *
 * Most of them are below /proc. There they are named relative to the root of the container's procfs, whose fd its mount left to us:
 * nobody can make a symlink or another directory in it, so that a name is as good as an fd, and cheaper. Everything else is
 * resolved first, inside /sys or inside the root (M5 in mounts.h). */
#include <ctype.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "devices.h"
#include "mounts.h"
#include "rootfs.h"

struct masks {
	const struct inroot *root;
	const struct mounts_kernel *kernel;
	int null;   /* a mount of the null device, to be cloned; -1 until the first one is attached */
	int spare;  /* one that is not attached yet, or -1 */
	int empty;  /* the same for directories: an empty read-only tmpfs */
	int device; /* the null device itself, to be bound by name; or -1 */
};

static void masks_close(struct masks *m)
{
	int *fds[] = {&m->null, &m->spare, &m->empty, &m->device};
	fd_close_all(fds, ARRAY_SIZE(fds));
}

/* The name below the procfs, which is the working directory; or NULL. Not those of processes, which have links out of it. */
static const char *name_in_proc(const struct masks *m, const char *path)
{
	const char *name = path + strlen("/proc/");
	if (m->kernel->proc < 0 || !str_starts(path, "/proc/") || !*name || *name == '/' ||
	    strstr(name, "..") || isdigit((unsigned char)*name) || str_starts(name, "self") ||
	    str_starts(name, "thread-self"))
		return NULL;
	return name;
}

static bool is_missing(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR;
}

/* *ret is -1 when there is nothing. */
static struct err *open_target(const struct masks *m, const char *path, int *ret)
{
	struct inroot in = *m->root;
	if (m->kernel->proc >= 0 && str_starts(path, "/proc/")) {
		in.fd = m->kernel->proc;
		path += strlen("/proc/");
	} else if (m->kernel->sys >= 0 && str_starts(path, "/sys/")) {
		in.fd = m->kernel->sys;
		path += strlen("/sys/");
	}
	struct err *e = inroot_open_at(&in, path, O_PATH, 0, ret);
	if (!e || !is_missing(e->errnum))
		return e;
	err_free(e);
	*ret = -1;
	return NULL;
}

static struct err *readonly_one(const struct masks *m, const char *path)
{
	_cleanup_fd_ int target = -1, fd = -1;
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	const char *name = name_in_proc(m, path);
	if (name && mount(name, name, NULL, MS_BIND | MS_REC, NULL) == 0) {
		if (mount_setattr(AT_FDCWD, name, AT_RECURSIVE, &read_only, sizeof(read_only)) < 0)
			return err_errno(errno, "cannot set the attributes of the mount");
		return NULL;
	}
	if (name && is_missing(errno))
		return NULL;
	TRY(open_target(m, path, &target));
	if (target < 0)
		return NULL;
	TRY(mount_clone(target, "", AT_RECURSIVE, &fd));
	TRY(mount_change(fd, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0, path));
	return mount_attach(fd, target, path);
}

/* -- hiding ------------------------------------------------------------------------------------------------- */

static struct err *take_null(struct masks *m, int *ret)
{
	if (m->spare >= 0)
		*ret = TAKE_FD(m->spare);
	else if (m->null >= 0)
		return mount_clone(m->null, "", 0, ret);
	else
		return device_null_clone(ret);
	return NULL;
}

/* False with errno; then the null device is kept for the next one. */
static bool hide_by_null(struct masks *m, int null, int target)
{
	if (move_mount(null, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
		m->spare = null;
		return false;
	}
	if (m->null < 0)
		m->null = null;
	else
		close(null);
	return true;
}

static struct err *hide_directory(struct masks *m, const char *path, int target)
{
	_cleanup_fd_ int fd = -1;
	if (m->empty < 0) {
		char *data[] = {(char *)"mode=555", (char *)"nr_blocks=1", (char *)"nr_inodes=1", NULL};
		unsigned attributes =
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
		TRY(mount_new("tmpfs", "tmpfs", data, attributes, &m->empty));
		/* The first directory takes the mount itself; it is in our namespace then and can be cloned. */
		return mount_attach(m->empty, target, path);
	}
	TRY(mount_clone(m->empty, "", 0, &fd));
	return mount_attach(fd, target, path);
}

static struct err *mask_one(struct masks *m, const char *path)
{
	_cleanup_fd_ int target = -1;
	int null;
	const char *name = name_in_proc(m, path);
	if (name && m->device < 0)
		TRY(device_null_open(&m->device));
	if (name && mount(fd_path(m->device).s, name, NULL, MS_BIND, NULL) == 0)
		return NULL;
	/* A file cannot be mounted on a directory: that, or there is nothing. */
	TRY(open_target(m, path, &target));
	if (target < 0)
		return NULL;
	struct stat st;
	if (fstat(target, &st) < 0)
		return err_errno(errno, "cannot stat it");
	if (S_ISDIR(st.st_mode))
		return hide_directory(m, path, target);
	TRY(take_null(m, &null));
	if (!hide_by_null(m, null, target))
		return err_errno(errno, "cannot attach the null device");
	return NULL;
}

struct err *rootfs_mask(const struct spec *s, const struct inroot *root, const struct mounts_kernel *kernel)
{
	_cleanup_(masks_close) struct masks m = {
		.root = root, .kernel = kernel, .null = -1, .spare = -1, .empty = -1, .device = -1};
	if (kernel->proc >= 0 && fchdir(kernel->proc) < 0)
		return err_errno(errno, "cannot enter the container's /proc");
	STRV_FOREACH (p, s->readonly_paths)
		TRY_WRAP(readonly_one(&m, *p), "cannot make %s read-only (linux.readonlyPaths)", *p);
	STRV_FOREACH (p, s->masked_paths)
		TRY_WRAP(mask_one(&m, *p), "cannot hide %s (linux.maskedPaths)", *p);
	return NULL;
}
