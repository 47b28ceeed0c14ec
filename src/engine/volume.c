/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes: ROOT/volumes/NAME/_data. A fresh one takes over what the image has at its place. */
#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "event.h"
#include "private.h"

#define COPY_DEPTH_MAX 256

struct err *volume_name_check(const char *name)
{
	struct err *e = name_check(name);

	if (!e)
		return NULL;
	err_free(e);
	return err_new(ERR_INVALID,
		       "invalid volume name \"%.64s\": it must be 2 to 128 characters of a-z, A-Z, 0-9, "
		       "\"_\", \".\" and \"-\"; a "
		       "host directory is given by its absolute path",
		       name);
}

struct err *volume_ensure(struct engine *e, const char *name, char **ret_path)
{
	_cleanup_free_ char *path = xasprintf("%s/volumes/%s/_data", e->root, name);

	if (access(path, F_OK) < 0) {
		_cleanup_free_ char *parent = xasprintf("%s/volumes/%s", e->root, name);
		TRY_WRAP(file_mkdir_p(parent, 0711), "cannot make volume %s", name);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_errno(errno, "cannot make volume %s", name);
		event_other(e, "volume", "create", name, "driver", "local", NULL);
	}
	*ret_path = TAKE_PTR(path);
	return NULL;
}

struct err *volume_remove(struct engine *e, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/volumes/%s", e->root, name);
	return file_remove_tree_at(AT_FDCWD, path);
}

/* -- copying --- */

static struct err *copy_attributes(int fd, const struct stat *st, bool link)
{
	struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchownat(fd, "", st->st_uid, st->st_gid, AT_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot set the owner");
	if (!link) {
		struct fd_path p = fd_path(fd);
		if (chmod(p.s, st->st_mode & 07777) < 0)
			return err_errno(errno, "cannot set the mode");
		if (utimensat(AT_FDCWD, p.s, times, 0) < 0)
			return err_errno(errno, "cannot set the times");
	}
	return NULL;
}

static struct err *copy_xattrs(int from, int to)
{
	char names[4096], value[8192];
	ssize_t n = flistxattr(from, names, sizeof(names));

	/* Lists and values beyond these sizes do not occur in images (a capability is 24 bytes); they stay behind. */
	for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t size = fgetxattr(from, p, value, sizeof(value));
		if (size >= 0 && !str_starts(p, "trusted.overlay.") && !str_starts(p, "user.overlay.") &&
		    fsetxattr(to, p, value, (size_t)size, 0) < 0 && errno != ENOTSUP && errno != EPERM)
			return err_errno(errno, "cannot set extended attribute %s", p);
	}
	return NULL;
}

static struct err *copy_file(int from_dir, int to_dir, const char *name)
{
	_cleanup_fd_ int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK),
			 to = -1;
	struct stat st;

	if (from < 0 || fstat(from, &st) < 0)
		return err_errno(errno, "cannot open %s", name);
	if (!S_ISREG(st.st_mode))
		return err_new(ERR_INVALID, "%s changed while it was copied", name);
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return err_errno(errno, "cannot make %s", name);
	while (true) {
		ssize_t n =
			sendfile(to, from, NULL, 1 << 30); /* copy_file_range refuses to cross file systems */
		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(errno, "cannot copy %s", name);
	}
	TRY(copy_attributes(to, &st, false)); /* a change of owner clears capabilities: attributes after it */
	return copy_xattrs(from, to);
}

static struct err *copy_directory(int from, int to, int depth);

static struct err *copy_entry(int from_dir, int to_dir, const char *name, int depth)
{
	_cleanup_fd_ int fd = -1, from = -1;
	char target[4096];
	struct stat st;

	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(errno, "cannot look at %s", name);
	if (S_ISREG(st.st_mode))
		return copy_file(from_dir, to_dir, name);
	if (S_ISDIR(st.st_mode)) {
		if (depth > COPY_DEPTH_MAX)
			return err_new(ERR_LIMIT, "directories are nested more than %d deep", COPY_DEPTH_MAX);
		from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (from < 0 || mkdirat(to_dir, name, 0700) < 0)
			return err_errno(errno, "cannot make directory %s", name);
		fd = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_errno(errno, "cannot open directory %s", name);
		TRY_WRAP(copy_directory(from, fd, depth + 1), "in %s", name);
		TRY(copy_attributes(fd, &st, false));
		return copy_xattrs(from, fd);
	}
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);
		if (n < 0)
			return err_errno(errno, "cannot read link %s", name);
		target[n] = '\0';
		if (symlinkat(target, to_dir, name) < 0)
			return err_errno(errno, "cannot make link %s", name);
	} else if (mknodat(to_dir, name, st.st_mode, st.st_rdev) < 0) {
		return err_errno(errno, "cannot make %s", name);
	}
	fd = openat(to_dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open %s", name);
	return copy_attributes(fd, &st, S_ISLNK(st.st_mode));
}

static struct err *copy_directory(int from, int to, int depth)
{
	_cleanup_fd_ int copy = -1;
	struct err *error = NULL;
	struct dirent *entry;

	TRY(fd_dup(from, 3, &copy));
	DIR *dir = fdopendir(copy);
	if (!dir)
		return err_errno(errno, "cannot list a directory");
	copy = -1;
	rewinddir(dir);
	while (!error && (entry = readdir(dir)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			error = copy_entry(from, to, entry->d_name, depth);
	closedir(dir);
	return error;
}

static bool is_empty(int fd)
{
	_cleanup_fd_ int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	bool empty = true;
	struct dirent *entry;

	if (!dir)
		return false;
	copy = -1;
	while ((entry = readdir(dir)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			empty = false;
	closedir(dir);
	return empty;
}

struct err *volume_copy_tree(int from, int parent, const char *name, const struct stat *st)
{
	_cleanup_fd_ int to = -1;

	if (mkdirat(parent, name, 0700) < 0)
		return err_errno(errno, "cannot make the volume's directory");
	to = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return err_errno(errno, "cannot open the volume's directory");
	TRY(copy_directory(from, to, 0));
	return copy_attributes(to, st, false);
}

/* A copy beside it, which then takes its place: whoever dies in between leaves the volume empty, to be filled again. */
static struct err *fill(int volume_dir, int from, const struct stat *st)
{
	TRY(file_remove_tree_at(volume_dir, "_data.new"));
	TRY(volume_copy_tree(from, volume_dir, "_data.new", st));
	if (renameat(volume_dir, "_data.new", volume_dir, "_data") < 0)
		return err_errno(errno, "cannot put the volume's directory in place");
	return NULL;
}

struct err *volume_copy_up(const char *volume_path, const struct inroot *rootfs, const char *target)
{
	_cleanup_free_ char *parent = xasprintf("%s/..", volume_path);
	_cleanup_fd_ int to = -1, dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC), from = -1;
	struct stat st;

	if (dir < 0 || flock(dir, LOCK_EX) < 0) /* two containers may start with one volume at once */
		return err_errno(errno, "cannot lock volume directory %s", volume_path);
	to = open(volume_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return err_errno(errno, "cannot open volume directory %s", volume_path);
	if (!is_empty(to))
		return NULL;
	struct err *e = inroot_open_at(rootfs, target, O_RDONLY | O_DIRECTORY, 0, &from);
	if (e && (e->kind == ERR_NOT_FOUND || e->errnum == ENOTDIR)) { /* the image has nothing there */
		err_free(e);
		return NULL;
	}
	TRY(e);
	if (fstat(from, &st) < 0)
		return err_errno(errno, "cannot look at %s", target);
	if (is_empty(from))
		return copy_attributes(to, &st, false);
	return fill(dir, from, &st);
}
