/* SPDX-License-Identifier: Apache-2.0 */
#include "tree_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define DEPTH_MAX 256

static struct err *copy_dir(int from, int to, dev_t dev, int depth);

static struct err *copy_data(int in, int out, const char *name)
{
	ssize_t n;
	do
		n = sendfile(out, in, NULL, 1 << 20);
	while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? err_errno(errno, "cannot copy %s", name) : NULL;
}

static struct err *copy_file(int from, int to, const char *name, const struct stat *st)
{
	_cleanup_fd_ int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat opened;
	if (in < 0)
		return err_errno(errno, "cannot open %s", name);
	if (fstat(in, &opened) < 0 || !S_ISREG(opened.st_mode)) /* an endless device, say */
		return err_new(ERR_BUSY, "%s is changed while it is copied", name);
	_cleanup_fd_ int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return err_errno(errno, "cannot make %s", name);
	TRY(copy_data(in, out, name));
	if (fchown(out, st->st_uid, st->st_gid) < 0 || fchmod(out, st->st_mode & 07777) < 0)
		return err_errno(errno, "cannot set the owner of %s", name);
	struct timespec times[] = {st->st_atim, st->st_mtim};
	if (futimens(out, times) < 0)
		return err_errno(errno, "cannot set the times of %s", name);
	return NULL;
}

static struct err *copy_subdir(int from, int to, const char *name, const struct stat *st, int depth)
{
	_cleanup_fd_ int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return err_errno(errno, "cannot open %s", name);
	if (mkdirat(to, name, 0700) < 0)
		return err_errno(errno, "cannot make %s", name);
	_cleanup_fd_ int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0)
		return err_errno(errno, "cannot open the copy of %s", name);
	return copy_dir(in, out, st->st_dev, depth + 1);
}

static struct err *copy_special(int from, int to, const char *name, const struct stat *st)
{
	if (S_ISLNK(st->st_mode)) {
		char target[4096];
		ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);
		if (n < 0)
			return err_errno(errno, "cannot read the symlink %s", name);
		target[n] = '\0';
		if (symlinkat(target, to, name) < 0)
			return err_errno(errno, "cannot make the symlink %s", name);
	} else if (mknodat(to, name, st->st_mode, st->st_rdev) < 0) {
		return err_errno(errno, "cannot make %s", name);
	}
	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(errno, "cannot set the owner of %s", name);
	return NULL;
}

static struct err *copy_entry(int from, int to, const char *name, dev_t dev, int depth)
{
	struct stat st;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(errno, "cannot stat %s", name);
	if (S_ISDIR(st.st_mode))
		return st.st_dev == dev ? copy_subdir(from, to, name, &st, depth) : NULL;
	if (S_ISREG(st.st_mode))
		return copy_file(from, to, name, &st);
	return copy_special(from, to, name, &st);
}

static struct err *copy_dir(int from, int to, dev_t dev, int depth)
{
	struct stat st;
	if (depth > DEPTH_MAX)
		return err_new(ERR_LIMIT, "directories are nested deeper than %d", DEPTH_MAX);
	int list = fcntl(from, F_DUPFD_CLOEXEC, 3);
	DIR *d = list >= 0 ? fdopendir(list) : NULL;
	if (!d) {
		fd_close(list);
		return err_errno(errno, "cannot list a directory");
	}
	struct err *e = NULL;
	struct dirent *entry;
	while (!e && (entry = readdir(d))) {
		const char *n = entry->d_name;
		if (n[0] == '.' && (!n[1] || (n[1] == '.' && !n[2])))
			continue;
		e = copy_entry(from, to, n, dev, depth);
	}
	closedir(d);
	if (e)
		return e;
	if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 ||
	    fchmod(to, st.st_mode & 07777) < 0)
		return err_errno(errno, "cannot set the owner of a directory");
	return NULL;
}

struct err *tree_copy(int from, int to)
{
	struct stat st;
	if (fstat(from, &st) < 0)
		return err_errno(errno, "cannot stat a directory");
	return copy_dir(from, to, st.st_dev, 0);
}
