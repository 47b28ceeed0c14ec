/* SPDX-License-Identifier: Apache-2.0 */
#include "images/tree_archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "decompress.h"
#include "layer_apply.h"
#include "layer_path.h"
#include "tar.h"
#include "tree_walk.h"

#define READ_SIZE ((size_t)64 << 10)

struct err *tree_archive_write(int thing, const char *name, int fd, uint64_t *ret_bytes)
{
	_cleanup_(fd_sink_release) struct fd_sink sink;
	const struct tar_tree_options o = {.clamp_s = INT64_MAX, .living = true};
	struct tar_writer w = {.sink = &sink.sink};
	struct stat st;

	fd_sink_init(&sink, fd, "the archive");
	if (fstat(thing, &st) < 0)
		return err_errno(errno, "cannot look at it");
	if (S_ISSOCK(st.st_mode) || (S_ISREG(st.st_mode) && tree_is_kernels(thing)))
		return err_new(ERR_UNSUPPORTED, "%s is %s, which cannot be copied", name,
			       S_ISSOCK(st.st_mode) ? "a socket" : "a file of the kernel's");
	TRY(tar_writer_path(&w, thing, name, false, &o));
	TRY(tar_writer_end(&w));
	TRY(fd_sink_flush(&sink));
	if (ret_bytes)
		*ret_bytes = sink.written;
	return NULL;
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

struct stream_source {
	struct byte_source source;
	struct decompress *d;
	uint8_t buffer[READ_SIZE];
};

static struct err *stream_next(struct byte_source *source, const uint8_t **ret_data, size_t *ret_size)
{
	struct stream_source *s = (struct stream_source *)source;

	*ret_data = s->buffer;
	return decompress_read(s->d, s->buffer, sizeof(s->buffer), ret_size);
}

/* -- extracting --------------------------------------------------------------------------------------------------- */

struct made_dir {
	char *path; /* below base */
	struct timespec mtime;
};

struct extract {
	const struct inroot *root;
	const char *base;
	const struct tree_archive_extract_options *o;
	struct tar_reader *tar;
	int parent; /* O_PATH, of parent_path; -1: none yet */
	char *parent_path;
	struct made_dir *dirs;
	size_t n_dirs, cap_dirs;
	uint64_t entries;
};

static struct err *is_directory(struct extract *x, const char *path, int *ret_fd)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", x->base, path);

	return inroot_open_at(x->root, full, O_PATH | O_DIRECTORY, 0, ret_fd);
}

/* The directory `path` below the base, made when it is missing; borrowed until the next call. */
static struct err *open_parent(struct extract *x, const char *path, int *ret_fd)
{
	if (!x->parent_path || !str_eq(x->parent_path, path)) {
		_cleanup_fd_ int fd = -1;
		struct err *e = is_directory(x, path, &fd);
		if (e && e->kind == ERR_NOT_FOUND && *path) {
			_cleanup_free_ char *full = xasprintf("%s/%s", x->base, path);
			err_free(e);
			e = inroot_mkdir_p(x->root, full, 0755, &fd);
		}
		TRY(e);
		if (tree_is_kernels(fd))
			return err_new(
				ERR_UNSUPPORTED,
				"%s/%s is on a file system of the kernel's, into which nothing is copied",
				x->base, path);
		fd_close(x->parent);
		x->parent = TAKE_FD(fd);
		free(x->parent_path);
		x->parent_path = xstrdup(path);
	}
	*ret_fd = x->parent;
	return NULL;
}

static void forget_parent(struct extract *x)
{
	fd_close(x->parent);
	free(x->parent_path);
	x->parent_path = NULL;
}

/* Takes away what has the name, unless directories merge. *ret_merge: a directory is there and stays. */
static struct err *make_room(struct extract *x, int dirfd, const char *name, const struct tar_entry *e,
			     bool *ret_merge)
{
	bool directory = e->type == TAR_DIRECTORY;
	struct stat st;

	*ret_merge = false;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? NULL : err_errno(errno, "cannot look at what is there");
	if (S_ISDIR(st.st_mode) && directory) {
		*ret_merge = true;
		return NULL;
	}
	if (!x->o->replace && S_ISDIR(st.st_mode))
		return err_new(ERR_EXISTS, "cannot overwrite directory \"%s/%s\" with non-directory", x->base,
			       e->path);
	if (!x->o->replace && directory)
		return err_new(ERR_EXISTS, "cannot overwrite non-directory \"%s/%s\" with directory", x->base,
			       e->path);
	if (S_ISDIR(st.st_mode))
		return file_remove_tree_at(dirfd, name);
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return NULL;
	return errno == EBUSY ? err_errno(errno, "cannot replace it: something is mounted on it")
			      : err_errno(errno, "cannot replace it");
}

static struct err *write_file(struct extract *x, int dirfd, const char *name, const struct tar_entry *e)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	const uint8_t *data;
	uint64_t offset;
	size_t size;

	if (fd < 0)
		return err_errno(errno, "cannot make the file");
	while (true) {
		TRY(tar_reader_data(x->tar, &data, &size, &offset));
		if (size == 0)
			break;
		TRY(fd_pwrite_full(fd, data, size, (off_t)offset, "the file"));
	}
	if (e->sparse && ftruncate(fd, (off_t)e->size) < 0)
		return err_errno(errno, "cannot set its size");
	return attributes_set_fd(fd, e);
}

static struct err *link_file(struct extract *x, int dirfd, const char *name, const struct tar_entry *e)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	_cleanup_fd_ int from = -1;

	TRY(layer_path_clean(e->link, &path));
	if (path.len == 0)
		return err_new(ERR_CORRUPT, "it is a hard link to the directory itself");
	size_t parent_len = layer_path_parent_len(&path);
	_cleanup_free_ char *parent = xstrndup(path.data, parent_len);
	TRY(is_directory(x, parent, &from));
	if (linkat(from, layer_path_name(&path, parent_len), dirfd, name, 0) < 0)
		return err_errno(errno, "cannot make it a hard link to %s", e->link);
	return NULL;
}

static struct err *make_node(struct extract *x, int dirfd, const char *name, const struct tar_entry *e)
{
	mode_t type = e->type == TAR_CHAR ? S_IFCHR : e->type == TAR_BLOCK_DEVICE ? S_IFBLK : S_IFIFO;

	if (type != S_IFIFO && x->o->owner == TREE_OWNER_OURS)
		return err_new(ERR_UNSUPPORTED, "it is a device, which is copied only with its owner (-a)");
	if (mknodat(dirfd, name, type | 0600, makedev(e->dev_major, e->dev_minor)) < 0)
		return err_errno(errno, "cannot make the %s", type == S_IFIFO ? "pipe" : "device");
	return attributes_set_at(dirfd, name, e);
}

static struct err *make_directory(struct extract *x, int dirfd, const char *name, const struct tar_entry *e,
				  bool merge, const char *path)
{
	if (!merge && mkdirat(dirfd, name, 0700) < 0)
		return err_errno(errno, "cannot make the directory");
	_cleanup_fd_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open the directory");
	if (tree_is_kernels(fd))
		return NULL;
	TRY(attributes_set_fd(fd, e));
	GROW(x->dirs, x->n_dirs, x->cap_dirs);
	x->dirs[x->n_dirs++] = (struct made_dir){.path = xstrdup(path), .mtime = attributes_mtime(e)};
	return NULL;
}

/* What the options leave of the entry's attributes. */
static void adjust(const struct extract *x, struct tar_entry *e)
{
	if (x->o->owner == TREE_OWNER_GIVEN) {
		e->uid = x->o->uid;
		e->gid = x->o->gid;
	} else if (x->o->owner == TREE_OWNER_OURS) {
		e->uid = geteuid();
		e->gid = getegid();
		e->mode &= 01777;
		e->n_xattrs = 0;
	}
}

static struct err *place(struct extract *x, const struct tar_entry *from, struct strbuf *path)
{
	struct tar_entry e = *from;
	bool merge;
	int dirfd;

	TRY(layer_path_clean(e.path, path));
	if (path->len == 0)
		return e.type == TAR_DIRECTORY
			       ? NULL
			       : err_new(ERR_CORRUPT, "it would replace the directory itself");
	adjust(x, &e);
	size_t parent_len = layer_path_parent_len(path);
	_cleanup_free_ char *parent = xstrndup(path->data, parent_len);
	const char *name = layer_path_name(path, parent_len);
	TRY(open_parent(x, parent, &dirfd));
	TRY(make_room(x, dirfd, name, &e, &merge));
	switch (e.type) {
	case TAR_FILE:
		return write_file(x, dirfd, name, &e);
	case TAR_HARDLINK:
		return link_file(x, dirfd, name, &e);
	case TAR_SYMLINK:
		if (symlinkat(e.link, dirfd, name) < 0)
			return err_errno(errno, "cannot make the symbolic link");
		return attributes_set_at(dirfd, name, &e);
	case TAR_DIRECTORY:
		return make_directory(x, dirfd, name, &e, merge, path->data);
	default:
		return make_node(x, dirfd, name, &e);
	}
}

/* Last, since writing into a directory changes them. What was moved away meanwhile keeps its own. */
static void set_times(const struct extract *x)
{
	for (size_t i = x->n_dirs; i-- > 0;) {
		_cleanup_free_ char *full = xasprintf("%s/%s", x->base, x->dirs[i].path);
		const struct timespec times[2] = {x->dirs[i].mtime, x->dirs[i].mtime};
		_cleanup_fd_ int fd = -1;
		struct err *e = inroot_open_at(x->root, full, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
		err_free(e);
		if (!e)
			(void)futimens(fd, times);
	}
}

static struct err *place_all(struct extract *x)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	const struct tar_entry *e;

	while (true) {
		TRY(tar_reader_next(x->tar, &e));
		if (!e)
			break;
		if (++x->entries > LAYER_ENTRIES_MAX)
			return err_new(ERR_LIMIT, "the archive has more than %llu entries",
				       (unsigned long long)LAYER_ENTRIES_MAX);
		TRY_WRAP(place(x, e, &path), "%.256s", e->path);
		if (e->type != TAR_FILE && e->type != TAR_DIRECTORY)
			forget_parent(x); /* a link may have replaced what the path went through */
	}
	set_times(x);
	return tar_reader_drain(x->tar);
}

struct err *tree_archive_extract(const struct inroot *root, const char *base, int fd,
				 const struct tree_archive_extract_options *o, uint64_t *ret_bytes)
{
	_cleanup_decompress_ struct decompress *d = NULL;
	_cleanup_free_ struct stream_source *source = xnew(struct stream_source);
	_cleanup_tar_reader_ struct tar_reader *tar = NULL;
	struct extract x = {.root = root, .base = base, .o = o, .parent = -1};

	TRY(decompress_new(fd, "the archive", &d));
	*source = (struct stream_source){.source.next = stream_next, .d = d};
	x.tar = tar = tar_reader_new(&source->source, "the archive");
	struct err *e = place_all(&x);
	forget_parent(&x);
	for (size_t i = 0; i < x.n_dirs; i++)
		free(x.dirs[i].path);
	free(x.dirs);
	if (!e && ret_bytes)
		*ret_bytes = decompress_consumed(d);
	return e;
}
