/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

struct err *file_read_fd(int fd, const char *what, size_t max, char **ret_data, size_t *ret_size)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	struct stat st;

	/* Files of /proc and /sys say size 0: then it grows by chunks. One byte more than the cap tells
	 * "larger". */
	size_t chunk = 4096, expected = 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		expected = (size_t)st.st_size;
		chunk = MIN(expected, max) + 1;
	}
	while (true) {
		chunk = MIN(chunk, max + 1 - out.len);
		strbuf_reserve(&out, chunk);
		ssize_t n = read(fd, out.data + out.len, chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(errno, "cannot read %s", what);
		out.len += (size_t)n;
		out.data[out.len] = '\0';
		if (out.len > max)
			return err_new(ERR_LIMIT, "%s is larger than %zu bytes", what, max);
		/* The byte that was asked for beyond the end is not there: no need to ask again. */
		if (n == 0 || (out.len == expected && (size_t)n < chunk))
			break;
		chunk = MAX(out.len, (size_t)4096);
	}
	if (ret_size)
		*ret_size = out.len;
	*ret_data = strbuf_take(&out);
	return NULL;
}

struct err *file_read_at(int dirfd, const char *name, size_t max, char **ret_data, size_t *ret_size)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_errno(errno, "cannot open %s", name);
	return file_read_fd(fd, name, max, ret_data, ret_size);
}

struct err *file_read(const char *path, size_t max, char **ret_data, size_t *ret_size)
{
	return file_read_at(AT_FDCWD, path, max, ret_data, ret_size);
}

struct err *file_write_existing_at(int dirfd, const char *name, const void *data, size_t size)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_errno(errno, "cannot open %s", name);
	ssize_t n = write(fd, data, size);
	if (n < 0)
		return err_errno(errno, "cannot write \"%.*s\" to %s", (int)MIN(size, (size_t)100),
				 (const char *)data, name);
	if ((size_t)n != size)
		return err_new(ERR_SYSTEM, "short write to %s", name);
	return NULL;
}

struct err *file_sync_dir(int dirfd, const char *what)
{
	_cleanup_fd_ int fd = openat(dirfd, what, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot open directory %s", what);
	if (fsync(fd) < 0)
		return err_errno(errno, "cannot sync directory %s", what);
	return NULL;
}

static struct err *write_temporary(int dirfd, const char *temporary, const char *name, const void *data,
				   size_t size, mode_t mode, enum file_durability durability)
{
	_cleanup_fd_ int fd =
		openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0)
		return err_errno(errno, "cannot make a temporary file for %s", name);
	TRY(fd_write_full(fd, data, size, name));
	if (durability == FILE_DURABLE && fsync(fd) < 0)
		return err_errno(errno, "cannot sync %s", name);
	return NULL;
}

struct err *file_replace_at(int dirfd, const char *name, const void *data, size_t size, mode_t mode,
			    enum file_durability durability)
{
	uint64_t nonce = 0;

	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		return err_errno(errno, "cannot get random bytes");
	const char *slash = strrchr(name, '/');
	_cleanup_free_ char *dir = slash ? xstrndup(name, (size_t)(slash - name) + 1) : xstrdup("");
	_cleanup_free_ char *temporary =
		xasprintf("%s.%s.%016llx.tmp", dir, slash ? slash + 1 : name, (unsigned long long)nonce);

	struct err *e = write_temporary(dirfd, temporary, name, data, size, mode, durability);
	if (!e && renameat(dirfd, temporary, dirfd, name) < 0)
		e = err_errno(errno, "cannot replace %s", name);
	if (e) {
		unlinkat(dirfd, temporary, 0);
		return e;
	}
	if (durability == FILE_DURABLE)
		return file_sync_dir(dirfd, *dir ? dir : ".");
	return NULL;
}

struct err *file_mkdir_p(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0)
		return NULL;
	if (errno == EEXIST) {
		struct stat st;
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return NULL;
		return err_new(ERR_EXISTS, "cannot make directory %s: a file of that name is in the way",
			       path);
	}
	if (errno != ENOENT)
		return err_errno(errno, "cannot make directory %s", path);
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return err_errno(ENOENT, "cannot make directory %s", path);
	_cleanup_free_ char *parent = xstrndup(path, (size_t)(slash - path));
	TRY(file_mkdir_p(parent, mode));
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_errno(errno, "cannot make directory %s", path);
	return NULL;
}

/* -- removing trees
 * -------------------------------------------------------------------------------------------
 *
 * Trees written by containers are hostile: as deep as inodes last. So there is no recursion and only one
 * directory is open at a time; the way up is "..", checked to be the directory that we came from.
 */

struct level {
	char *name; /* of this directory in its parent */
	dev_t dev;
	ino_t ino;
};

/* For a directory of mode 000 when we are not root. Through an fd: by name the change would follow a symlink that came meanwhile. */
static bool allow_entering(int dirfd, const char *name)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && chmod(fd_path(fd).s, 0700) == 0;
}

static struct err *open_below(int dirfd, const char *name, int *ret_fd)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	if (dirfd == AT_FDCWD || strchr(name, '/')) /* the start, a trusted path of ours */
		how.resolve = 0;
	int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	if (fd < 0 && errno == EACCES && allow_entering(dirfd, name))
		fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	if (fd < 0)
		return err_errno(errno,
				 errno == EXDEV ? "cannot remove %s: something is mounted there"
						: "cannot open %s",
				 name);
	*ret_fd = fd;
	return NULL;
}

/* Removes everything removable in the directory; *ret_name is a non-empty sub-directory that is left, or
 * NULL. Owns fd. */
static struct err *empty_directory(int fd, const char *what, char **ret_name)
{
	DIR *dir = fdopendir(fd);
	struct err *e = NULL;
	char *left = NULL;

	if (!dir) {
		e = err_errno(errno, "cannot read directory %s", what);
		close(fd);
		return e;
	}
	while (!e) {
		errno = 0;
		struct dirent *d = readdir(dir);
		if (!d) {
			if (errno)
				e = err_errno(errno, "cannot read directory %s", what);
			break;
		}
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		bool is_dir = d->d_type == DT_DIR;
		if (!is_dir) {
			if (unlinkat(dirfd(dir), d->d_name, 0) == 0 || errno == ENOENT)
				continue;
			is_dir = errno == EISDIR;
		}
		/* No rmdir is tried here: it would walk all cached descendants, at each level again. */
		if (!is_dir)
			e = err_errno(errno, "cannot remove %s in %s", d->d_name, what);
		else if (!left)
			left = xstrdup(d->d_name);
	}
	closedir(dir);
	if (e) {
		free(left);
		return e;
	}
	*ret_name = left;
	return NULL;
}

static struct err *remove_levels(int *cur, struct level **levels, size_t *n, size_t *cap, const char *what)
{
	/* Invariant: *cur is the directory of levels[n-1]. Ends with *cur empty and n == 1. */
	while (true) {
		char *left = NULL;
		int again;

		TRY(fd_dup(*cur, 0, &again));
		if (lseek(again, 0, SEEK_SET) < 0) { /* dup shares the position */
			close(again);
			return err_errno(errno, "cannot rewind %s", what);
		}
		TRY(empty_directory(again, what, &left));
		struct stat st;
		if (left) {
			int next;
			struct err *e = open_below(*cur, left, &next);
			if (e) {
				free(left);
				return e;
			}
			if (fstat(next, &st) < 0) {
				free(left);
				close(next);
				return err_errno(errno, "cannot stat a directory of %s", what);
			}
			GROW(*levels, *n, *cap);
			(*levels)[(*n)++] = (struct level){.name = left, .dev = st.st_dev, .ino = st.st_ino};
			close(*cur);
			*cur = next;
			continue;
		}
		if (*n == 1)
			return NULL;
		int up = openat(*cur, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			return err_errno(errno, "cannot go up in %s", what);
		close(*cur);
		*cur = up;
		const struct level *parent = &(*levels)[*n - 2];
		if (fstat(up, &st) < 0 || st.st_dev != parent->dev || st.st_ino != parent->ino)
			return err_new(ERR_BUSY, "%s is being moved while it is removed", what);
		_cleanup_free_ char *name = (*levels)[--*n].name;
		if (unlinkat(*cur, name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY)
			return err_errno(errno, "cannot remove directory %s in %s", name, what);
	}
}

struct err *file_remove_tree_at(int dirfd, const char *name)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return NULL;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(errno, "cannot remove %s", name);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return NULL;

	_cleanup_fd_ int cur = -1;
	struct level *levels = NULL;
	size_t n = 0, cap = 0;
	struct stat st;

	TRY(open_below(dirfd, name, &cur));
	if (fstat(cur, &st) < 0)
		return err_errno(errno, "cannot stat %s", name);
	GROW(levels, n, cap);
	levels[n++] = (struct level){.dev = st.st_dev, .ino = st.st_ino};
	struct err *e = remove_levels(&cur, &levels, &n, &cap, name);
	for (size_t i = 0; i < n; i++)
		free(levels[i].name);
	free(levels);
	if (!e && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		e = err_errno(errno, "cannot remove directory %s", name);
	return e;
}

struct err *file_lock_at(int dirfd, const char *name, enum file_lock how, int *ret_fd)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && errno == EROFS) /* an existing lock of a read-only store can still be shared */
		fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno(errno, "cannot open lock file %s", name);
	int op = how == FILE_LOCK_SHARED ? LOCK_SH : how == FILE_LOCK_EXCLUSIVE ? LOCK_EX : LOCK_EX | LOCK_NB;
	while (flock(fd, op) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EWOULDBLOCK)
			return err_new(ERR_BUSY, "%s is locked by another process", name);
		return err_errno(errno, "cannot lock %s", name);
	}
	*ret_fd = TAKE_FD(fd);
	return NULL;
}
