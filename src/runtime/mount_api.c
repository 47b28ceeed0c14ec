/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces that mounts are made of, on the mount API that takes fds. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "mounts.h"

static unsigned fds_to_leave;

void mount_leave_fds(unsigned n)
{
	fds_to_leave = n;
}

void mount_fd_done(const int *fd)
{
	if (*fd < 0)
		return;
	if (fds_to_leave)
		fds_to_leave--;
	else
		close(*fd);
}

struct err *mount_attach(int mount_fd, int target_fd, const char *what)
{
	if (move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot attach the mount on %s", what);
	return NULL;
}

struct err *mount_clone(int dirfd, const char *path, unsigned flags, int *ret_fd)
{
	int fd = open_tree(dirfd, path,
			   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags |
				   (*path ? 0 : (unsigned)AT_EMPTY_PATH));
	/* A detached mount that our caller holds: on most kernels it cannot be cloned, and need not be. */
	if (fd < 0 && errno == EINVAL && str_starts(path, "/proc/self/fd/"))
		fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot bind %s", *path ? path : "a file");
	*ret_fd = fd;
	return NULL;
}

struct err *mount_change(int fd, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation,
			 const char *what)
{
	struct mount_attr attr = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
	if (mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr)) < 0)
		return err_errno(errno, "cannot set the attributes of the mount on %s", what);
	return NULL;
}

/* The kernel's own words about a failed fsconfig, when the file system has some: "e tmpfs: Bad value for 'size'". */
static struct err *fs_error(int fs, int errnum, const char *type, const char *option)
{
	char text[512];
	ssize_t n = read(fs, text, sizeof(text) - 1);
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '.'))
		n--;
	const char *on = option ? ": option " : "";
	if (n > 2) {
		text[n] = '\0';
		return err_errno(errnum, "cannot mount %s%s%s: %s", type, on, option ? option : "", text + 2);
	}
	return err_errno(errnum, "cannot mount %s%s%s", type, on, option ? option : "");
}

#define FSCONFIG_VALUE_MAX 255

#define SYMLINKS_MAX 40 /* as the kernel has it */

static bool fits_fsconfig(char *const *data)
{
	STRV_FOREACH (d, data) {
		const char *value = strchr(*d, '=');
		if (value && strlen(value + 1) > FSCONFIG_VALUE_MAX)
			return false;
	}
	return true;
}

static struct err *configure(int fs, const char *type, const char *source, char *const *data)
{
	if (!str_empty(source) && fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return fs_error(fs, errno, type, "source");
	STRV_FOREACH (d, data) {
		_cleanup_free_ char *key = xstrdup(*d);
		char *value = strchr(key, '=');
		int r;
		if (value) {
			*value++ = '\0';
			r = fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);
		} else {
			r = fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0);
		}
		if (r < 0)
			return fs_error(fs, errno, type, *d);
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fs_error(fs, errno, type, NULL);
	return NULL;
}

struct err *mount_new(const char *type, const char *source, char *const *data, unsigned attributes,
		      int *ret_fd)
{
	_cleanup_(mount_fd_done) int fs = fsopen(type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return errno == ENODEV
			       ? err_new(ERR_UNSUPPORTED, "the kernel has no file system \"%s\"", type)
			       : err_errno(errno, "cannot mount %s", type);
	if (!fits_fsconfig(data)) /* the caller falls back to mount(2) */
		return err_errno(E2BIG, "cannot mount %s: an option is longer than %d bytes", type,
				 FSCONFIG_VALUE_MAX);
	TRY(configure(fs, type, source, data));
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
	if (fd < 0)
		return fs_error(fs, errno, type, NULL);
	*ret_fd = fd;
	return NULL;
}

struct err *mount_make_parent(const struct inroot *root, const char *path, int *ret_fd, char **ret_name)
{
	_cleanup_free_ char *copy = xstrdup(path);
	char *end = copy + strlen(copy);
	while (end > copy && end[-1] == '/')
		*--end = '\0';
	char *slash = strrchr(copy, '/');
	if (slash) {
		*slash = '\0';
		_cleanup_fd_ int made = -1;
		TRY(inroot_mkdir_p(root, *copy ? copy : "/", 0755, &made));
		*slash = '/';
	}
	return inroot_open_parent(root, copy, ret_fd, ret_name);
}

/* Where the symlink `name` in the directory of `path` leads, as a path inside the root; NULL when it is none. Caller frees. */
static char *link_target(const char *path, int parent, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);
	if (n <= 0)
		return NULL;
	target[n] = '\0';
	const char *slash = strrchr(path, '/');
	return target[0] == '/' || !slash ? xstrdup(target)
					  : xasprintf("%.*s/%s", (int)(slash - path), path, target);
}

/* A symlink that leads nowhere yet is followed, and what it names is made: like every path here, inside the root. */
static struct err *make_file(const struct inroot *root, const char *path, int *ret_fd)
{
	_cleanup_free_ char *at = xstrdup(path);
	for (int links = 0; links < SYMLINKS_MAX; links++) {
		_cleanup_fd_ int parent = -1;
		_cleanup_free_ char *name = NULL;
		TRY(mount_make_parent(root, at, &parent, &name));
		_cleanup_fd_ int fd =
			openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0 && errno != EEXIST)
			return err_errno(errno, "cannot make %s inside the root", at);
		char *next = fd < 0 ? link_target(at, parent, name) : NULL;
		if (!next) /* made, or somebody was quicker */
			return inroot_open_at(root, at, O_PATH, 0, ret_fd);
		free(at);
		at = next;
	}
	return err_errno(ELOOP, "cannot make %s inside the root", path);
}

/* Mostly only the last component is missing, as /dev/pts is in a new /dev. */
static struct err *make_directory(const struct inroot *root, const char *path, int *ret_fd)
{
	_cleanup_fd_ int parent = -1;
	_cleanup_free_ char *name = NULL;
	struct err *e = inroot_open_parent(root, path, &parent, &name);
	if (!e && mkdirat(parent, name, 0755) == 0) {
		int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_errno(errno, "cannot open %s inside the root", path);
		*ret_fd = fd;
		return NULL;
	}
	err_free(e);
	return inroot_mkdir_p(root, path, 0755, ret_fd);
}

struct err *mount_target(const struct inroot *root, const char *path, bool directory, enum target_link link,
			 int *ret_fd)
{
	bool nofollow = link != TARGET_LINK_FOLLOWED;
	int fd;
	struct stat st;
	if (directory && nofollow) { /* mostly that is what it is, and a directory is no symlink */
		struct err *no = inroot_open_nofollow(root, path, O_PATH | O_DIRECTORY, 0, ret_fd);
		if (!no)
			return NULL;
		err_free(no);
	}
	struct err *e = nofollow ? inroot_open_nofollow(root, path, O_PATH, 0, &fd)
				 : inroot_open_at(root, path, O_PATH, 0, &fd);
	if (!e && link == TARGET_LINK_REFUSED && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode)) {
		close(fd);
		return err_new(ERR_INVALID,
			       "%s inside the root is a symlink, but must be mounted on ordinary directory",
			       path);
	}
	if (!e) {
		*ret_fd = fd;
		return NULL;
	}
	if (e->errnum != ENOENT)
		return e;
	err_free(e);
	return directory ? make_directory(root, path, ret_fd) : make_file(root, path, ret_fd);
}
