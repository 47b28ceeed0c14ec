/* SPDX-License-Identifier: Apache-2.0 */
/* Everything is made under its name with no rights for others, filled, and then given its attributes; a directory gets its own when what is
 * below it is done. */
#include "tree_write.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "layer_apply.h"

#define CHUNK ((size_t)1 << 20)
#define DEFAULT_ACL "system.posix_acl_default"

struct writing {
	const struct tree_write_options *o;
	struct tree_links links;
	int to; /* the root */
	unsigned depth;
	/* tree_write_layers */
	const struct erofs_device *devices;
};

static struct err *check_cancelled(const struct writing *w)
{
	if (w->o && w->o->cancelled && w->o->cancelled(w->o->user))
		return err_new(ERR_CANCELLED, "interrupted");
	return NULL;
}

/* -- one thing ---------------------------------------------------------------------------------------------------- */

/* An existing directory is success: the root's. */
static struct err *make(int dirfd, const char *name, const struct tar_entry *e)
{
	static const mode_t types[] = {[TAR_CHAR] = S_IFCHR,
				       [TAR_BLOCK_DEVICE] = S_IFBLK,
				       [TAR_FIFO] = S_IFIFO,
				       [TAR_FILE] = S_IFREG};
	int r;

	if (e->type == TAR_DIRECTORY)
		r = mkdirat(dirfd, name, 0700);
	else if (e->type == TAR_SYMLINK)
		r = symlinkat(e->link, dirfd, name);
	else
		r = mknodat(dirfd, name, types[e->type] | 0600, makedev(e->dev_major, e->dev_minor));
	return r < 0 ? err_errno(errno, "cannot make it") : NULL;
}

static struct err *set_attributes(int dirfd, const char *name, const struct tar_entry *e)
{
	TRY(attributes_set_at(dirfd, name, e));
	for (size_t i = 0; e->type == TAR_DIRECTORY && i < e->n_xattrs; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		if (!str_eq(x->name, DEFAULT_ACL))
			continue;
		_cleanup_fd_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 ||
		    (setxattr(fd_path(fd).s, x->name, x->value, x->size, 0) < 0 && errno != EOPNOTSUPP))
			return err_errno(errno, "cannot set its default ACL");
	}
	return NULL;
}

/* A further name of a file that was written. False: there is none yet, and `path` is remembered. */
static struct err *try_link(struct writing *w, dev_t dev, ino_t ino, const char *path, int dirfd,
			    const char *name, bool *ret)
{
	const char *first = tree_links_first(&w->links, dev, ino, path);

	*ret = first != NULL;
	if (first && linkat(w->to, first, dirfd, name, 0) < 0)
		return err_errno(errno, "cannot link it to %s", first);
	return NULL;
}

static struct err *open_new(int dirfd, const char *name, int *ret_fd)
{
	*ret_fd = openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno(errno, "cannot open it for writing") : NULL;
}

/* -- contents ------------------------------------------------------------------------------------------------------ */

static bool cannot_copy_ranges(int errnum)
{
	return errnum == EXDEV || errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP ||
	       errnum == EPERM;
}

/* Bytes [from_at, from_at + n) of one file to `to_at` of the other. */
static struct err *copy_range(const struct writing *w, int from, off_t from_at, int to, off_t to_at,
			      uint64_t n)
{
	_cleanup_free_ char *buffer = NULL;

	while (n > 0) {
		size_t part = (size_t)MIN(n, (uint64_t)64 << 20), got;
		TRY(check_cancelled(w));
		ssize_t copied = buffer ? -1 : copy_file_range(from, &from_at, to, &to_at, part, 0);
		if (copied > 0) {
			n -= (uint64_t)copied;
			continue;
		}
		if (!buffer && copied < 0 && !cannot_copy_ranges(errno))
			return err_errno(errno, "cannot copy its contents");
		if (!buffer)
			buffer = xmalloc(CHUNK);
		TRY(fd_pread_full(from, buffer, MIN(part, CHUNK), from_at, "its contents", &got));
		if (got == 0)
			return err_new(ERR_CORRUPT, "its contents are shorter than they should be");
		TRY(fd_pwrite_full(to, buffer, got, to_at, "its copy"));
		from_at += (off_t)got;
		to_at += (off_t)got;
		n -= got;
	}
	return NULL;
}

static struct err *copy_file(const struct writing *w, int from, int to, off_t size)
{
	if (ioctl(to, FICLONE, from) == 0)
		return NULL;
	if (ftruncate(to, size) < 0)
		return err_errno(errno, "cannot set its size");
	for (off_t data = 0, end = 0; data < size; data = end) {
		data = lseek(from, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break; /* a hole to the end */
		end = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (end < 0)
			return err_errno(errno, "cannot read its contents");
		TRY(copy_range(w, from, data, to, data, (uint64_t)(MIN(end, size) - data)));
	}
	return NULL;
}

/* -- a copy -------------------------------------------------------------------------------------------------------- */

static struct err *copy_directory(struct writing *w, int from, int to, const char *path);

static struct err *copy_entry(struct writing *w, int fd, const struct stat *st, int to, const char *name,
			      const char *path)
{
	_cleanup_tree_xattrs_ struct tree_xattrs xattrs = {0};
	char link[4096];
	struct tar_entry e = {.path = path, .link = link};
	bool linked = false;

	if (!tree_entry_from_stat(st, &e))
		return NULL;
	if (e.type != TAR_DIRECTORY && st->st_nlink > 1)
		TRY(try_link(w, st->st_dev, st->st_ino, path, to, name, &linked));
	if (linked)
		return NULL;
	if (e.type == TAR_SYMLINK)
		TRY(tree_read_link(fd, link));
	TRY(tree_xattrs_read(fd, &xattrs));
	e.xattrs = xattrs.list;
	e.n_xattrs = xattrs.n;
	TRY(make(to, name, &e));
	if (e.type == TAR_FILE && st->st_size > 0) {
		_cleanup_fd_ int in = open(fd_path(fd).s, O_RDONLY | O_CLOEXEC), out = -1;
		if (in < 0)
			return err_errno(errno, "cannot open it");
		TRY(open_new(to, name, &out));
		TRY(copy_file(w, in, out, st->st_size));
	} else if (e.type == TAR_DIRECTORY) {
		_cleanup_fd_ int sub = -1;
		TRY(tree_open_directory(to, name, &sub));
		TRY(copy_directory(w, fd, sub, path));
	}
	return set_attributes(to, name, &e);
}

static struct err *copy_name(struct writing *w, int from, int to, const char *dir, const char *name)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *path = xasprintf("%s%s%s", dir, *dir ? "/" : "", name);
	struct stat st;

	TRY(check_cancelled(w));
	TRY(tree_open(from, name, &fd, &st));
	return fd < 0 ? NULL : copy_entry(w, fd, &st, to, name, path);
}

static struct err *copy_directory(struct writing *w, int from, int to, const char *path)
{
	_cleanup_strv_ char **names = NULL;

	if (++w->depth > TREE_DEPTH_MAX)
		return err_new(ERR_LIMIT, "%.256s…: directories are nested too deeply", path);
	TRY(tree_names(from, &names));
	STRV_FOREACH (name, names)
		TRY_WRAP(copy_name(w, from, to, path, *name), "%s", *name);
	w->depth--;
	return NULL;
}

static struct err *copy_root(struct writing *w, int from)
{
	_cleanup_tree_xattrs_ struct tree_xattrs xattrs = {0};
	struct tar_entry e = {.path = "/", .link = ""};
	struct stat st;

	if (fstat(from, &st) < 0 || !tree_entry_from_stat(&st, &e))
		return err_errno(errno, "cannot look at the directory");
	TRY(tree_xattrs_read(from, &xattrs));
	e.xattrs = xattrs.list;
	e.n_xattrs = xattrs.n;
	TRY(copy_directory(w, from, w->to, ""));
	return set_attributes(w->to, ".", &e);
}

struct err *tree_write_copy(int from, int to, const struct tree_write_options *o)
{
	struct writing w = {.o = o, .to = to};
	struct err *e = copy_root(&w, from);

	tree_links_release(&w.links);
	return e;
}

/* -- layers -------------------------------------------------------------------------------------------------------- */

/* xattrs is filled and must outlive ret. */
static void entry_of(const struct tree_inode *i, struct tree_xattrs *xattrs, struct tar_entry *ret)
{
	struct stat st = {.st_mode = i->mode, .st_uid = i->uid, .st_gid = i->gid};

	if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
		st.st_rdev = makedev(i->device.major, i->device.minor);
	*ret = (struct tar_entry){.path = "", .link = S_ISLNK(i->mode) ? i->symlink.target : ""};
	(void)tree_entry_from_stat(&st, ret);
	ret->mtime_s = i->mtime_s;
	ret->mtime_ns = i->mtime_ns;
	for (const struct tree_xattr *x = i->xattrs; x; x = x->next) {
		GROW(xattrs->list, xattrs->n, xattrs->cap);
		xattrs->list[xattrs->n++] =
			(struct tar_xattr){xstrdup(x->name), xmemdup(x->value, x->size), x->size};
	}
	ret->xattrs = xattrs->list;
	ret->n_xattrs = xattrs->n;
}

static struct err *write_contents(const struct writing *w, const struct tree_inode *i, int to)
{
	int tar = w->devices[i->file.layer].fd;
	off_t at = (off_t)i->file.offset;

	if (!i->file.extents)
		return copy_range(w, tar, at, to, 0, i->file.size);
	if (ftruncate(to, (off_t)i->file.size) < 0)
		return err_errno(errno, "cannot set its size");
	for (size_t k = 0; k < i->file.n_extents; k++) {
		const struct tar_extent *x = &i->file.extents[k];
		TRY(copy_range(w, tar, at, to, (off_t)x->offset, x->size));
		at += (off_t)x->size;
	}
	return NULL;
}

static struct err *write_directory(struct writing *w, const struct tree_inode *dir, int to, const char *path);

static struct err *write_inode(struct writing *w, const struct tree_inode *i, int to, const char *name,
			       const char *path)
{
	_cleanup_tree_xattrs_ struct tree_xattrs xattrs = {0};
	struct tar_entry e;
	bool linked = false;

	TRY(check_cancelled(w));
	if (!S_ISDIR(i->mode))
		TRY(try_link(w, 0, (ino_t)(uintptr_t)i, path, to, name, &linked));
	if (linked)
		return NULL;
	entry_of(i, &xattrs, &e);
	TRY(make(to, name, &e));
	if (S_ISREG(i->mode) && i->file.size > 0) {
		_cleanup_fd_ int out = -1;
		TRY(open_new(to, name, &out));
		TRY(write_contents(w, i, out));
	} else if (S_ISDIR(i->mode)) {
		_cleanup_fd_ int sub = -1;
		TRY(tree_open_directory(to, name, &sub));
		TRY(write_directory(w, i, sub, path));
	}
	return set_attributes(to, name, &e);
}

static struct err *write_directory(struct writing *w, const struct tree_inode *dir, int to, const char *path)
{
	if (++w->depth > TREE_DEPTH_MAX)
		return err_new(ERR_LIMIT, "%.256s…: directories are nested too deeply", path);
	for (const struct tree_entry *e = dir->dir.first; e; e = e->next) {
		_cleanup_free_ char *child = xasprintf("%s%s%s", path, *path ? "/" : "", e->name);
		TRY_WRAP(write_inode(w, e->inode, to, e->name, child), "%s", e->name);
	}
	w->depth--;
	return NULL;
}

struct err *tree_write_layers(struct layer_tree *t, const struct erofs_device *devices, int to,
			      const struct tree_write_options *o)
{
	struct writing w = {.o = o, .to = to, .devices = devices};
	const struct tree_inode *root = layer_tree_root(t);
	_cleanup_tree_xattrs_ struct tree_xattrs xattrs = {0};
	struct tar_entry e;

	entry_of(root, &xattrs, &e);
	struct err *error = write_directory(&w, root, to, "");
	tree_links_release(&w.links);
	return error ? error : set_attributes(to, ".", &e);
}
