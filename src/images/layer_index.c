/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_index.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "erofs.h"
#include "layer_add.h"
#include "layer_apply.h"
#include "tree_write.h"

bool layer_row_is_tar(const struct layer_row *row)
{
	return str_ends(row->dir, ".tar");
}

/* -- writing a layer's tar -------------------------------------------------------------------------------------- */

/* What the reader sees is written on its way. */
struct tee_source {
	struct byte_source source;
	struct byte_source *from;
	int fd;
};

static struct err *tee_next(struct byte_source *source, const uint8_t **ret_data, size_t *ret_size)
{
	struct tee_source *t = (struct tee_source *)source;

	TRY(t->from->next(t->from, ret_data, ret_size));
	return fd_write_full(t->fd, *ret_data, *ret_size, "the layer");
}

struct err *layer_tar_write(struct byte_source *source, const char *what, int dirfd,
			    bool (*cancelled)(void *), void (*progressed)(void *), void *user,
			    struct tar_layer *ret)
{
	_cleanup_fd_ int fd = openat(dirfd, "tar", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct tee_source tee = {.source.next = tee_next, .from = source, .fd = fd};
	struct tar_layer r = {0};
	uint64_t entries = 0;

	if (fd < 0)
		return err_errno(errno, "cannot make the layer's file");
	_cleanup_tar_reader_ struct tar_reader *tar = tar_reader_new(&tee.source, what);
	while (true) {
		const struct tar_entry *e;
		TRY(tar_reader_next(tar, &e));
		if (!e)
			break;
		if (++entries > LAYER_ENTRIES_MAX)
			return err_new(ERR_LIMIT, "the layer has more than %" PRIu64 " entries",
				       LAYER_ENTRIES_MAX);
		if (e->type == TAR_FILE) {
			r.bytes += e->size;
			r.newest_s = MAX(r.newest_s, e->mtime_s);
		}
		progressed(user);
		if (cancelled(user))
			return err_new(ERR_CANCELLED, "interrupted");
	}
	TRY(tar_reader_drain(tar));
	if (fdatasync(fd) < 0 || fsync(dirfd) < 0)
		return err_errno(errno, "cannot write the layer to the disk");
	*ret = r;
	return NULL;
}

/* -- indexes ----------------------------------------------------------------------------------------------------- */

/* The files of a chain, the lowest layer first. */
struct chain {
	struct layer_row *rows; /* the top first */
	size_t n;
	struct erofs_device *devices;
};

static void chain_release(struct chain *c)
{
	for (size_t i = 0; c->devices && i < c->n; i++)
		fd_close(c->devices[i].fd);
	free(c->devices);
	free(c->rows);
}

static struct err *open_in_layer(struct store *s, const struct layer_row *row, const char *name, int *ret_fd)
{
	_cleanup_free_ char *path = xasprintf("layers/%s/%s", row->dir, name);

	*ret_fd = openat(s->root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*ret_fd < 0 && errno == ENOENT)
		return layer_damaged(row, "is missing");
	return *ret_fd < 0 ? err_errno(errno, "cannot open %s/%s", s->root, path) : NULL;
}

static struct err *chain_open(struct store *s, const struct digest *top, struct chain *c)
{
	TRY(layer_row_chain(s, top, &c->rows, &c->n));
	if (c->n == 0 || c->n > EROFS_DEVICES_MAX)
		return err_new(ERR_LIMIT, "the image has %zu layers, an EROFS index takes 1 to %d", c->n,
			       EROFS_DEVICES_MAX);
	c->devices = xnew_array(struct erofs_device, c->n);
	for (size_t i = 0; i < c->n; i++)
		c->devices[i].fd = -1;
	for (size_t i = 0; i < c->n; i++) {
		struct erofs_device *d = &c->devices[i];
		struct stat st;
		TRY(open_in_layer(s, &c->rows[c->n - 1 - i], "tar", &d->fd));
		if (fstat(d->fd, &st) < 0)
			return err_errno(errno, "cannot stat the layer");
		d->size = (uint64_t)st.st_size;
	}
	return NULL;
}

static struct err *read_chain(const struct chain *c, struct layer_tree *tree)
{
	_cleanup_free_ struct file_source *source = xnew(struct file_source);
	struct layer_tree_result result;

	for (size_t i = 0; i < c->n; i++) {
		const char *diff = c->rows[c->n - 1 - i].diff.s;
		TRY(file_source_init(source, c->devices[i].fd, 0));
		_cleanup_tar_reader_ struct tar_reader *tar = tar_reader_new(&source->source, diff);
		TRY_WRAP(layer_tree_apply(tree, tar, &result), "cannot apply layer %s", diff);
	}
	return NULL;
}

static struct err *make_root_directory(int dirfd, const struct tree_inode *root)
{
	struct timespec times[2] = {[0 ... 1] = {.tv_sec = root->mtime_s, .tv_nsec = root->mtime_ns}};

	if (mkdirat(dirfd, "root", 0700) < 0 && errno != EEXIST)
		return err_errno(errno, "cannot make a directory");
	_cleanup_fd_ int fd = openat(dirfd, "root", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, root->uid, root->gid) < 0 || fchmod(fd, root->mode & 07777) < 0)
		return err_errno(errno, "cannot set owner and mode of the root directory");
	for (const struct tree_xattr *x = root->xattrs; x; x = x->next)
		if (fsetxattr(fd, x->name, x->value, x->size, 0) < 0 && errno != EOPNOTSUPP)
			return err_errno(errno, "cannot set the extended attribute %s of the root directory",
					 x->name);
	if (futimens(fd, times) < 0 || fsync(fd) < 0)
		return err_errno(errno, "cannot set the times of the root directory");
	return NULL;
}

/* I2. Two makers at once write the same; the second link finds the first. */
static struct err *write_index(struct store *s, const struct chain *c, struct layer_tree *tree)
{
	const struct layer_row *top = &c->rows[0];
	_cleanup_free_ char *path = xasprintf("layers/%s", top->dir);
	_cleanup_fd_ int dirfd = openat(s->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
			 fd = -1;
	uint64_t size;

	if (dirfd < 0)
		return err_errno(errno, "cannot open %s/%s", s->root, path);
	TRY(make_root_directory(dirfd, layer_tree_root(tree)));
	fd = openat(dirfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(errno, "cannot make a file in %s/%s", s->root, path);
	TRY(erofs_write(tree, c->devices, &top->chain, fd, &size));
	if (fdatasync(fd) < 0)
		return err_errno(errno, "cannot write the index of layer %s to the disk", top->chain.s);
	if (linkat(AT_FDCWD, fd_path(fd).s, dirfd, "index", AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST)
		return err_errno(errno, "cannot name the index of layer %s", top->chain.s);
	return file_sync_dir(dirfd, ".");
}

static struct err *make_index(struct store *s, const struct chain *c)
{
	_cleanup_(layer_tree_freep) struct layer_tree *tree = layer_tree_new();

	TRY(read_chain(c, tree));
	return write_index(s, c, tree);
}

static bool has_index(struct store *s, const struct layer_row *top)
{
	_cleanup_free_ char *path = xasprintf("layers/%s/index", top->dir);

	return faccessat(s->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

struct err *layer_index_make(struct store *s, const struct digest *top)
{
	_cleanup_(chain_release) struct chain c = {0};
	struct layer_row row;

	TRY(layer_row_find(s, top, &row));
	if (!layer_row_is_tar(&row) || has_index(s, &row))
		return NULL;
	TRY(store_check_writable(s));
	TRY(chain_open(s, top, &c));
	return make_index(s, &c);
}

struct err *layer_index_mount(struct store *s, const struct digest *top, int *ret_fd)
{
	_cleanup_(chain_release) struct chain c = {0};
	_cleanup_fd_ int index = -1;
	int fds[EROFS_DEVICES_MAX];

	TRY(chain_open(s, top, &c));
	if (!has_index(s, &c.rows[0]))
		TRY(make_index(s, &c));
	TRY(open_in_layer(s, &c.rows[0], "index", &index));
	for (size_t i = 0; i < c.n; i++)
		fds[i] = c.devices[i].fd;
	return erofs_mount_fd(index, fds, c.n, ret_fd);
}

struct err *layer_index_unpack(struct store *s, const struct digest *top, int to,
			       const struct tree_write_options *o)
{
	_cleanup_(layer_tree_freep) struct layer_tree *tree = layer_tree_new();
	_cleanup_(chain_release) struct chain c = {0};

	TRY(chain_open(s, top, &c));
	TRY(read_chain(&c, tree));
	return tree_write_layers(tree, c.devices, to, o);
}

struct err *layer_index_probe(struct store *s)
{
	_cleanup_(layer_tree_freep) struct layer_tree *tree = layer_tree_new();
	_cleanup_fd_ int fd = openat(s->root_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600), mount = -1,
			 readable = -1;
	struct digest identity = {0};
	uint64_t size;

	if (fd < 0)
		return err_errno(errno, "cannot make a file in %s", s->root);
	TRY(erofs_write(tree, NULL, &identity, fd, &size));
	/* The kernel wants a file that nobody writes to. */
	readable = open(fd_path(fd).s, O_RDONLY | O_CLOEXEC);
	if (readable < 0)
		return err_errno(errno, "cannot open a file in %s", s->root);
	return erofs_mount_fd(readable, NULL, 0, &mount);
}
