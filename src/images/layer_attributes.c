/* SPDX-License-Identifier: Apache-2.0 */
/* Owner, mode, xattrs and times of what was unpacked; copying files up from the layers below. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "layer_apply.h"

#define DIR_BYTES_MAX ((uint64_t)256 << 20)
#define DEFAULT_ACL "system.posix_acl_default"
#define XATTRS_SIZE ((size_t)64 << 10)

/* Times that no file system of ours holds are brought to the nearest that ext4 does (with 256-byte inodes). */
#define MTIME_MIN (-((int64_t)1 << 31))
#define MTIME_MAX (((int64_t)1 << 34) - ((int64_t)1 << 31) - 1)

struct timespec attributes_mtime(const struct tar_entry *e)
{
	if (e->mtime_s < MTIME_MIN)
		return (struct timespec){.tv_sec = MTIME_MIN};
	if (e->mtime_s > MTIME_MAX)
		return (struct timespec){.tv_sec = MTIME_MAX};
	return (struct timespec){.tv_sec = e->mtime_s, .tv_nsec = e->mtime_ns};
}

/* A6 */
bool attributes_xattr_is_kept(const char *name)
{
	if (str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay."))
		return false;
	if (str_starts(name, "security."))
		return str_eq(name, "security.capability");
	return str_starts(name, "user.") || str_starts(name, "trusted.") ||
	       str_eq(name, "system.posix_acl_access") || str_eq(name, "system.posix_acl_default");
}

/* What the file system or the kind of file has no place for is left out, as every unpacker does, but for capabilities: without
 * them a program behaves differently. */
static bool xattr_may_be_missing(const char *name, int errnum)
{
	if (str_eq(name, "security.capability"))
		return false;
	return errnum == EOPNOTSUPP || (errnum == EPERM && str_starts(name, "user."));
}

/* `path` is a magic link or NULL for fd */
static struct err *set_xattrs(int fd, const char *path, const struct tar_entry *e)
{
	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		if (!attributes_xattr_is_kept(x->name) ||
		    (e->type == TAR_DIRECTORY && str_eq(x->name, DEFAULT_ACL)))
			continue;
		int r = path ? setxattr(path, x->name, x->value, x->size, 0)
			     : fsetxattr(fd, x->name, x->value, x->size, 0);
		if (r < 0 && !xattr_may_be_missing(x->name, errno))
			return err_errno(errno, "cannot set its extended attribute %.255s", x->name);
	}
	return NULL;
}

struct err *attributes_set_fd(int fd, const struct tar_entry *e)
{
	struct timespec times[2] = {[0] = attributes_mtime(e), [1] = attributes_mtime(e)};

	if (fchown(fd, e->uid, e->gid) < 0)
		return err_errno(errno, "cannot set its owner to %u:%u", e->uid, e->gid);
	if (fchmod(fd, e->mode) < 0)
		return err_errno(errno, "cannot set its mode to %04o", e->mode);
	TRY(set_xattrs(fd, NULL, e));
	if (e->type != TAR_DIRECTORY && futimens(fd, times) < 0)
		return err_errno(errno, "cannot set its times");
	return NULL;
}

struct err *attributes_set_at(int dirfd, const char *name, const struct tar_entry *e)
{
	struct timespec times[2] = {[0] = attributes_mtime(e), [1] = attributes_mtime(e)};

	if (fchownat(dirfd, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(errno, "cannot set its owner to %u:%u", e->uid, e->gid);
	if (e->type != TAR_SYMLINK || e->n_xattrs) {
		/* Neither chmod nor setxattr has a form that takes a name without following it: a magic link does. */
		_cleanup_fd_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_errno(errno, "cannot open it");
		if (e->type != TAR_SYMLINK && chmod(fd_path(fd).s, e->mode) < 0)
			return err_errno(errno, "cannot set its mode to %04o", e->mode);
		TRY(set_xattrs(-1, fd_path(fd).s, e));
	}
	if (utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(errno, "cannot set its times");
	return NULL;
}

/* -- directories ---------------------------------------------------------------------------------------------- */

struct err *attributes_clear_xattrs(int fd)
{
	ssize_t n = flistxattr(fd, NULL, 0);

	if (n <= 0)
		return NULL;
	_cleanup_free_ char *names = xmalloc(XATTRS_SIZE);
	n = flistxattr(fd, names, XATTRS_SIZE);
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1)
		if (attributes_xattr_is_kept(p) && fremovexattr(fd, p) < 0)
			return err_errno(errno, "cannot remove the extended attribute %s", p);
	return NULL;
}

struct err *attributes_remember_dir(struct apply *a, const char *path, size_t path_len, int fd,
				    struct timespec mtime, const void *acl, size_t acl_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot stat the directory");
	a->dir_bytes += path_len + acl_size + sizeof(struct dir_time);
	if (a->dir_bytes > DIR_BYTES_MAX)
		return err_new(ERR_LIMIT, "the names of the layer's directories take more than %d MiB",
			       (int)(DIR_BYTES_MAX >> 20));
	GROW(a->dirs, a->n_dirs, a->cap_dirs);
	a->dirs[a->n_dirs++] = (struct dir_time){.path = xstrndup(path, path_len),
						 .ino = st.st_ino,
						 .mtime = mtime,
						 .acl = acl_size ? xmemdup(acl, acl_size) : NULL,
						 .acl_size = acl_size};
	return NULL;
}

struct err *attributes_finish_dirs(struct apply *a)
{
	for (size_t i = 0; i < a->n_dirs; i++) {
		const struct dir_time *d = &a->dirs[i];
		struct timespec times[2] = {d->mtime, d->mtime};
		struct stat st;
		_cleanup_fd_ int fd = -1;
		struct err *e = inroot_open_at(a->root, d->path, O_RDONLY | O_DIRECTORY, 0, &fd);
		if (e) {
			/* It was replaced by something else later. */
			err_free(e);
			continue;
		}
		if (fstat(fd, &st) < 0 || st.st_ino != d->ino)
			continue;
		if (d->acl && fsetxattr(fd, DEFAULT_ACL, d->acl, d->acl_size, 0) < 0 && errno != EOPNOTSUPP)
			return err_errno(errno, "cannot set the default ACL of %s", d->path);
		if (futimens(fd, times) < 0)
			return err_errno(errno, "cannot set the times of %s", d->path);
	}
	return NULL;
}

/* -- from the layers below ------------------------------------------------------------------------------------- */

/* From one magic link (or path) to another. */
static struct err *copy_xattrs(const char *from, const char *to)
{
	_cleanup_free_ char *names = xmalloc(XATTRS_SIZE), *value = xmalloc(XATTRS_SIZE);
	ssize_t n = listxattr(from, names, XATTRS_SIZE);

	if (n < 0 && errno == EOPNOTSUPP)
		return NULL;
	if (n < 0)
		return err_errno(errno, "cannot list extended attributes");
	for (const char *p = names; p < names + n; p += strlen(p) + 1) {
		if (!attributes_xattr_is_kept(p) || str_eq(p, DEFAULT_ACL))
			continue;
		ssize_t size = getxattr(from, p, value, XATTRS_SIZE);
		if (size < 0 || setxattr(to, p, value, (size_t)size, 0) < 0)
			return err_errno(errno, "cannot copy the extended attribute %s", p);
	}
	return NULL;
}

struct err *attributes_inherit_dir(struct apply *a, int lower_fd, int fd, const char *path, size_t path_len)
{
	struct stat st;
	char acl[4096];
	ssize_t acl_size = 0;

	if (fstat(lower_fd >= 0 ? lower_fd : fd, &st) < 0)
		return err_errno(errno, "cannot stat the directory");
	if (lower_fd < 0) {
		/* As mkdir made it: in a setgid directory group and bit are the parent's. */
		st.st_mode = 0755 | (st.st_mode & S_ISGID);
		st.st_mtim = (struct timespec){0};
	} else {
		TRY(copy_xattrs(fd_path(lower_fd).s, fd_path(fd).s));
		acl_size = fgetxattr(lower_fd, DEFAULT_ACL, acl, sizeof(acl));
	}
	if (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 07777) < 0)
		return err_errno(errno, "cannot set owner and mode of the directory");
	return attributes_remember_dir(a, path, path_len, fd, st.st_mtim, acl,
				       acl_size > 0 ? (size_t)acl_size : 0);
}

static struct err *copy_contents(struct apply *a, int from, int to, off_t size)
{
	const size_t chunk = 256 << 10;
	_cleanup_free_ char *buf = xmalloc(chunk);

	/* Holes stay holes. */
	for (off_t data = 0, end = 0; data < size; data = end) {
		data = lseek(from, data, SEEK_DATA);
		if (data < 0)
			break;
		end = lseek(from, data, SEEK_HOLE);
		if (end < 0)
			return err_errno(errno, "cannot read the file");
		for (off_t at = data; at < end;) {
			size_t n;
			TRY(fd_pread_full(from, buf, MIN(chunk, (size_t)(end - at)), at, "the file", &n));
			if (n == 0)
				return err_new(ERR_CORRUPT, "the file became shorter");
			TRY(fd_pwrite_full(to, buf, n, at, "its copy"));
			at += (off_t)n;
			a->result.bytes += n;
		}
	}
	if (ftruncate(to, size) < 0)
		return err_errno(errno, "cannot set the size");
	return NULL;
}

static struct err *copy_file(struct apply *a, int from_path, const char *name, int dirfd,
			     const struct stat *st)
{
	_cleanup_fd_ int from = open(fd_path(from_path).s, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return err_errno(errno, "cannot open it");
	_cleanup_fd_ int to = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return err_errno(errno, "cannot make it");
	return copy_contents(a, from, to, st->st_size);
}

static struct err *make_like(struct apply *a, int from_path, int lower_dirfd, const char *name, int dirfd,
			     const struct stat *st)
{
	char target[4096];

	if (S_ISREG(st->st_mode))
		return copy_file(a, from_path, name, dirfd, st);
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(lower_dirfd, name, target, sizeof(target) - 1);
		if (n < 0)
			return err_errno(errno, "cannot read the symbolic link");
		target[n] = '\0';
		if (symlinkat(target, dirfd, name) < 0)
			return err_errno(errno, "cannot make the symbolic link");
		a->n_symlinks++;
		return NULL;
	}
	if (mknodat(dirfd, name, st->st_mode & (S_IFMT | 0777), st->st_rdev) < 0)
		return err_errno(errno, "cannot make it");
	return NULL;
}

struct err *attributes_copy_up(struct apply *a, int lower_dirfd, const char *name, int dirfd)
{
	struct stat st;
	_cleanup_fd_ int from = openat(lower_dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), to = -1;

	if (from < 0 || fstat(from, &st) < 0)
		return err_errno(errno, "cannot open it");
	TRY(make_like(a, from, lower_dirfd, name, dirfd, &st));
	to = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return err_errno(errno, "cannot open its copy");
	struct timespec times[2] = {st.st_mtim, st.st_mtim};
	if (fchownat(dirfd, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (!S_ISLNK(st.st_mode) && chmod(fd_path(to).s, st.st_mode & 07777) < 0))
		return err_errno(errno, "cannot set owner and mode");
	TRY(copy_xattrs(fd_path(from).s, fd_path(to).s));
	if (utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(errno, "cannot set the times");
	return NULL;
}
