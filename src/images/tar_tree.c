/* SPDX-License-Identifier: Apache-2.0 */
/* A directory tree as a tar, deterministic (tar.h). Everything is reached through directory fds and names without a slash. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/inroot.h"
#include "base/memory.h"
#include "base/str.h"
#include "tar.h"
#include "tree_diff.h"

#define COPY_SIZE ((size_t)256 << 10)

struct tree {
	struct tar_writer *w;
	const struct tar_tree_options *o;
	struct tree_links links;
	uint8_t *buffer;
	unsigned depth;
};

/* -- entries -------------------------------------------------------------------------------------------------- */

static struct err *write_contents(struct tree *t, int fd, uint64_t size)
{
	while (size > 0) {
		size_t n;
		TRY(fd_read_full(fd, t->buffer, (size_t)MIN(size, (uint64_t)COPY_SIZE), "the file", &n));
		if (n == 0)
			return err_new(ERR_BUSY, "the file became shorter while it was read");
		TRY(tar_writer_data(t->w, t->buffer, n));
		size -= n;
	}
	return NULL;
}

static struct err *write_empty(struct tree *t, const char *path)
{
	return tar_writer_file(t->w, path, NULL, 0);
}

/* `fd` is an O_PATH fd of the thing itself. */
static struct err *write_entry(struct tree *t, int fd, const struct stat *st, const char *path)
{
	_cleanup_tree_xattrs_ struct tree_xattrs xattrs = {0};
	char link[4096];
	struct tar_entry e = {.path = path, .link = ""};

	if (!tree_entry_from_stat(st, &e))
		return NULL;
	if (t->o->living && e.type == TAR_FILE && tree_is_kernels(fd))
		return NULL;
	e.mtime_ns = 0;
	e.mtime_s = MIN(e.mtime_s, t->o->clamp_s);
	const char *first = !S_ISDIR(st->st_mode) && st->st_nlink > 1
				    ? tree_links_first(&t->links, st->st_dev, st->st_ino, path)
				    : NULL;
	if (first) {
		e.type = TAR_HARDLINK;
		e.link = first;
		e.size = 0;
		e.dev_major = e.dev_minor = 0;
		return tar_writer_entry(t->w, &e);
	}
	TRY(tree_xattrs_read(fd, &xattrs));
	e.xattrs = xattrs.list;
	e.n_xattrs = xattrs.n;
	if (e.type == TAR_SYMLINK) {
		TRY(tree_read_link(fd, link));
		e.link = link;
		e.mode = 0777;
	}
	if (e.type != TAR_FILE)
		return tar_writer_entry(t->w, &e);
	_cleanup_fd_ int file = open(fd_path(fd).s, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return err_errno(errno, "cannot open the file");
	TRY(tar_writer_entry(t->w, &e));
	return write_contents(t, file, e.size);
}

static struct err *write_directory(struct tree *t, int fd, const char *path);

static struct err *write_child(struct tree *t, int dirfd, const char *parent, const char *name)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	TRY(tree_open(dirfd, name, &fd, &st));
	if (fd < 0)
		return NULL; /* deleted meanwhile */
	if (t->o->overlay && tree_is_whiteout(&st)) {
		_cleanup_free_ char *whiteout = xasprintf("%s.wh.%s", parent, name);
		return write_empty(t, whiteout);
	}
	_cleanup_free_ char *path = xasprintf("%s%s", parent, name);
	if (strv_contains(t->o->skip, path))
		return NULL;
	if (S_ISDIR(st.st_mode)) {
		char *longer = xasprintf("%s/", path);
		free(path);
		path = longer;
	}
	if (t->o->overlay && str_starts(name, ".wh."))
		return err_new(ERR_UNSUPPORTED,
			       "the name cannot be in a layer, where .wh. marks what was deleted; rename it");
	TRY(write_entry(t, fd, &st, path));
	if (!S_ISDIR(st.st_mode))
		return NULL;
	if (t->o->overlay && tree_is_opaque(fd, t->o->userxattr)) {
		_cleanup_free_ char *opaque = xasprintf("%s.wh..wh..opq", path);
		TRY(write_empty(t, opaque));
	}
	return write_directory(t, fd, path);
}

static struct err *write_directory(struct tree *t, int fd, const char *path)
{
	_cleanup_strv_ char **names = NULL;

	if (t->o->living && tree_is_kernels(fd))
		return NULL;
	if (++t->depth > TREE_DEPTH_MAX)
		return err_new(ERR_LIMIT, "%.256s…: directories are nested too deeply", path);
	TRY(tree_names(fd, &names));
	STRV_FOREACH (name, names)
		TRY_WRAP(write_child(t, fd, path, *name), "%s", *name);
	t->depth--;
	return NULL;
}

struct err *tar_writer_tree(struct tar_writer *w, int dirfd, const struct tar_tree_options *o)
{
	struct tree t = {.w = w, .o = o, .buffer = xmalloc(COPY_SIZE)};
	_cleanup_fd_ int root = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	struct err *e = NULL;

	if (root < 0 || fstat(root, &st) < 0)
		e = err_errno(errno, "cannot open the directory");
	if (!e && !o->omit_root)
		e = write_entry(&t, root, &st, "./");
	if (!e)
		e = write_directory(&t, root, "");
	tree_links_release(&t.links);
	free(t.buffer);
	return e;
}

static struct err *write_path(struct tree *t, int fd, const char *path, bool opaque)
{
	_cleanup_free_ char *dir = xasprintf("%s/", path), *mark = xasprintf("%s/.wh..wh..opq", path);
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot look at it");
	if (!S_ISDIR(st.st_mode) && opaque)
		return err_new(ERR_INVALID, "only a directory can be opaque");
	if (!S_ISDIR(st.st_mode))
		return write_entry(t, fd, &st, path);
	TRY(write_entry(t, fd, &st, dir));
	if (opaque)
		TRY(write_empty(t, mark));
	return write_directory(t, fd, dir);
}

struct err *tar_writer_path(struct tar_writer *w, int fd, const char *path, bool opaque,
			    const struct tar_tree_options *o)
{
	struct tree t = {.w = w, .o = o, .buffer = xmalloc(COPY_SIZE)};
	struct err *e = write_path(&t, fd, path, opaque);

	tree_links_release(&t.links);
	free(t.buffer);
	return e;
}

/* -- a list of changes -------------------------------------------------------------------------------------------- */

static struct err *write_change(struct tree *t, int root, const struct tree_change *c)
{
	const char *path = c->path + 1, *name = strrchr(path, '/');
	_cleanup_fd_ int fd = -1;
	struct stat st;

	name = name ? name + 1 : path;
	if (str_starts(name, ".wh."))
		return err_new(ERR_UNSUPPORTED,
			       "the name cannot be in a layer, where .wh. marks what was deleted; rename it");
	if (c->kind == CHANGE_DELETED) {
		_cleanup_free_ char *whiteout = xasprintf("%.*s.wh.%s", (int)(name - path), path, name);
		return write_empty(t, whiteout);
	}
	const struct inroot in = {.fd = root};
	TRY(inroot_open_nofollow(&in, path, O_PATH, 0, &fd));
	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot look at it");
	_cleanup_free_ char *shown = xasprintf("%s%s", path, S_ISDIR(st.st_mode) ? "/" : "");
	return write_entry(t, fd, &st, shown);
}

struct err *tar_writer_changes(struct tar_writer *w, int dirfd, const struct tree_change *list, size_t n,
			       const struct tar_tree_options *o)
{
	struct tree t = {.w = w, .o = o, .buffer = xmalloc(COPY_SIZE)};
	struct err *e = NULL;
	struct stat st;

	if (!o->omit_root)
		e = fstat(dirfd, &st) < 0 ? err_errno(errno, "cannot look at the root directory")
					  : write_entry(&t, dirfd, &st, "./");
	for (size_t i = 0; !e && i < n; i++) {
		e = write_change(&t, dirfd, &list[i]);
		if (e)
			e = err_wrap(e, "%s", list[i].path);
	}
	tree_links_release(&t.links);
	free(t.buffer);
	return e;
}
