/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "mounts.h"
#include "procfs.h"

static const struct spec_device default_devices[] = {
	{"/dev/null", 'c', 1, 3, 0666, 0, 0},    {"/dev/zero", 'c', 1, 5, 0666, 0, 0},
	{"/dev/full", 'c', 1, 7, 0666, 0, 0},    {"/dev/random", 'c', 1, 8, 0666, 0, 0},
	{"/dev/urandom", 'c', 1, 9, 0666, 0, 0}, {"/dev/tty", 'c', 5, 0, 0666, 0, 0},
};

static const struct {
	const char *name, *target;
} links[] = {
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
};

static mode_t type_mode(char type)
{
	return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR;
}

/* The node at `path`, of the same numbers, bound on an empty file: the host's of that name, or one that our parent made. */
static struct err *bind_device(const struct spec_device *d, int dirfd, const char *path, int parent,
			       const char *name)
{
	_cleanup_fd_ int host = -1, target = -1;
	struct stat st;
	TRY(mount_clone(dirfd, path, 0, &host));
	if (fstat(host, &st) < 0 || (st.st_mode & S_IFMT) != type_mode(d->type) ||
	    st.st_rdev != makedev(d->major, d->minor))
		return err_new(ERR_PERMISSION, "%s: may not be made here, and the host's is another device",
			       d->path);
	/* What is there already is not opened: opening a device of the image's or a FIFO acts. */
	target = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0 && errno == ENOENT)
		target = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDONLY | O_CLOEXEC, 0644);
	if (target < 0)
		return err_errno(errno, "cannot make %s", d->path);
	if (fstat(target, &st) < 0 || S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode))
		return err_new(ERR_INVALID, "cannot make %s: something else is there", d->path);
	return mount_attach(host, target, d->path);
}

static bool is_device(const struct stat *st, const struct spec_device *d, dev_t rdev)
{
	return (st->st_mode & S_IFMT) == type_mode(d->type) && st->st_rdev == rdev;
}

/* On an fd: by name they would go through a symlink that a container sharing the root put there after we looked (CVE-2025-31133). */
static struct err *set_mode_and_owner(const struct spec_device *d, int parent, const char *name, dev_t rdev)
{
	_cleanup_fd_ int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(errno, "cannot open %s", d->path);
	if (!is_device(&st, d, rdev))
		return err_new(ERR_BUSY, "%s is changed while it is made", d->path);
	/* The host's /proc: ours is not in sight yet. */
	if ((st.st_mode & 07777) != d->mode && chmod(fd_path(fd).s, d->mode) < 0)
		return err_errno(errno, "cannot set the mode of %s", d->path);
	if ((st.st_uid != d->uid || st.st_gid != d->gid) &&
	    fchownat(fd, "", d->uid, d->gid, AT_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot set the owner of %s", d->path);
	return NULL;
}

static struct err *make_in(const struct spec_device *d, int parent, const char *name, bool may_replace)
{
	dev_t rdev = d->type == 'p' ? 0 : makedev(d->major, d->minor);
	mode_t mode = type_mode(d->type) | d->mode;
	if (mknodat(parent, name, mode, rdev) < 0) {
		struct stat st;
		if (errno == EPERM && d->type != 'p')
			return bind_device(d, AT_FDCWD, d->path, parent, name);
		if (errno != EEXIST || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(errno, "cannot make %s", d->path);
		bool same = is_device(&st, d, rdev);
		if (!same && !may_replace)
			return err_new(ERR_EXISTS, "cannot make %s: something else is there", d->path);
		/* Another thing of that name belongs to the image: a regular file, or a symlink meant to lead somewhere. */
		if (!same && (unlinkat(parent, name, 0) < 0 || mknodat(parent, name, mode, rdev) < 0))
			return err_errno(errno, "cannot replace %s", d->path);
		if (same && (st.st_mode & 07777) != d->mode)
			return set_mode_and_owner(d, parent, name, rdev);
	}
	return d->uid || d->gid ? set_mode_and_owner(d, parent, name, rdev) : NULL;
}

static struct err *make_listed(const struct spec *s, size_t i, const struct inroot *root, int tree)
{
	const struct spec_device *d = &s->devices[i];
	_cleanup_fd_ int parent = -1;
	_cleanup_free_ char *name = NULL;
	char node[24];
	TRY(mount_make_parent(root, d->path, &parent, &name));
	snprintf(node, sizeof(node), "%zu", i);
	if (tree >= 0 && faccessat(tree, node, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return bind_device(d, tree, node, parent, name);
	return make_in(d, parent, name, false);
}

static bool is_listed(const struct spec *s, const char *path)
{
	for (size_t i = 0; i < s->n_devices; i++)
		if (str_eq(s->devices[i].path, path))
			return true;
	return false;
}

static struct err *make_links(int dev)
{
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0 && errno != EEXIST)
			return err_errno(errno, "cannot make /dev/%s", links[i].name);
	/* /dev/ptmx must be the container's own: whatever the image has there goes. */
	if (symlinkat("pts/ptmx", dev, "ptmx") == 0)
		return NULL;
	if (errno != EEXIST || unlinkat(dev, "ptmx", 0) < 0 || symlinkat("pts/ptmx", dev, "ptmx") < 0)
		return err_errno(errno, "cannot make /dev/ptmx");
	return NULL;
}

/* A bound /dev is the host's, or somebody else's: nothing is made in it. */
static bool dev_is_bound(const struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const char *d = s->mounts[i].destination;
		if (s->mounts[i].bind && (str_eq(d, "/dev") || str_eq(d, "/dev/") || str_eq(d, "dev")))
			return true;
	}
	return false;
}

/* -- nodes that only our parent may make -------------------------------------------------------------------- */

/* The id outside of the new user namespace; false: it is not mapped. */
static bool outside_id(const struct spec_id_map *maps, size_t n, uint32_t id, uint32_t *ret)
{
	for (size_t i = 0; i < n; i++)
		if (id >= maps[i].container_id && id - maps[i].container_id < maps[i].size) {
			*ret = maps[i].host_id + (id - maps[i].container_id);
			return true;
		}
	return false;
}

static struct err *prepare_one(const struct spec *s, size_t i, int tree)
{
	const struct spec_device *d = &s->devices[i];
	uint32_t uid = 0, gid = 0;
	char node[24];
	if (!outside_id(s->maps.uid, s->maps.n_uid, d->uid, &uid) ||
	    !outside_id(s->maps.gid, s->maps.n_gid, d->gid, &gid))
		return NULL; /* it cannot be owned so: then the host's node, as it is, is bound */
	snprintf(node, sizeof(node), "%zu", i);
	if (mknodat(tree, node, type_mode(d->type) | d->mode, makedev(d->major, d->minor)) < 0)
		return errno == EPERM ? NULL : err_errno(errno, "cannot make %s", d->path);
	/* Nobody but us sees the tree. The mode again: our caller's umask took from it. */
	if (fchownat(tree, node, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(tree, node, d->mode, 0) < 0)
		return err_errno(errno, "cannot set owner and mode of %s", d->path);
	return NULL;
}

struct err *devices_prepare(const struct spec *s, int *ret_tree)
{
	_cleanup_fd_ int tree = -1;
	char *options[] = {(char *)"mode=755", NULL}; /* the child is root of another user namespace */
	if (!s->n_devices || !s->maps.n_uid || dev_is_bound(s))
		return NULL;
	TRY(mount_new("tmpfs", "devices", options, 0, &tree));
	for (size_t i = 0; i < s->n_devices; i++)
		if (s->devices[i].type != 'p')
			TRY_WRAP(prepare_one(s, i, tree), "linux.devices[%zu]", i);
	*ret_tree = TAKE_FD(tree);
	return NULL;
}

/* Only mounts of our own namespace can be cloned: the tree is stacked over the root as long as it is needed. */
static struct err *leave_tree(int tree)
{
	if (fchdir(tree) < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_errno(errno, "cannot take the prepared devices off");
	return NULL;
}

static struct err *make_all_listed(const struct spec *s, const struct inroot *root, int tree)
{
	if (tree >= 0)
		TRY(mount_attach(tree, root->fd, "the prepared devices"));
	for (size_t i = 0; i < s->n_devices; i++)
		TRY_WRAP(make_listed(s, i, root, tree), "linux.devices[%zu]", i);
	return tree < 0 ? NULL : leave_tree(tree);
}

struct err *devices_make(const struct spec *s, const struct inroot *root, int new_dev, int tree)
{
	_cleanup_fd_ int opened = -1;
	if (dev_is_bound(s))
		return NULL;
	if (new_dev < 0)
		TRY(mount_target(root, "/dev", true, TARGET_LINK_REFUSED, &opened));
	int dev = new_dev < 0 ? opened : new_dev;
	for (size_t i = 0; i < ARRAY_SIZE(default_devices); i++)
		if (!is_listed(s, default_devices[i].path))
			TRY(make_in(&default_devices[i], dev, default_devices[i].path + strlen("/dev/"),
				    true));
	TRY(make_all_listed(s, root, tree));
	return make_links(dev);
}

static struct err *check_null(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_new(ERR_UNSUPPORTED, "/dev/null on this machine is not the null device");
	return NULL;
}

struct err *device_null_clone(int *ret_fd)
{
	_cleanup_fd_ int fd = -1;
	TRY(mount_clone(AT_FDCWD, "/dev/null", AT_SYMLINK_NOFOLLOW, &fd));
	TRY(check_null(fd));
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

struct err *device_null_open(int *ret_fd)
{
	_cleanup_fd_ int fd = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open /dev/null");
	TRY(check_null(fd));
	*ret_fd = TAKE_FD(fd);
	return NULL;
}
