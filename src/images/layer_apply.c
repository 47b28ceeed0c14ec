/* SPDX-License-Identifier: Apache-2.0 */
/* Applying a layer (image-spec 1.1.1 layer.md "Applying Changesets").
 *
 * Where it goes. Each layer has a directory of its own that overlayfs later stacks on those below: a whiteout becomes a
 * character device 0/0, an opaque directory the xattr trusted.overlay.opaque (or user.overlay.opaque: overlay.h). Only what depends on the layers below makes us look there.
 *
 * Rules
 *  A1 Entries apply in order; a later one wins. A directory over a directory merges: attributes are the new ones. Anything else is
 *     removed and made anew, so that other names of an old file keep its contents.
 *  A2 A whiteout (.wh.NAME) and an opaque marker (.wh..wh..opq) hide what the layers below have, never what this layer
 *     brings, whatever the order in the archive. Where nothing is below there is nothing to hide and no marker is made: in a directory
 *     that exists in one layer only, overlayfs lists what is there.
 *  A3 Parents that the archive does not mention are those of the layers below (attributes copied; symlinks followed), or root's 0755 at
 *     the epoch. A symlink in the middle of a path is followed inside the root.
 *  A4 Hard link targets are paths from the root, absolute or not. A target in a layer below is copied up first.
 *  A5 Owner, then mode, then xattrs, then times; directory times at the very end.
 *  A6 xattrs of overlayfs itself (trusted.overlay.*, user.overlay.*) in an archive are dropped: they would let an image steer how its
 *     layers are merged. Of security.* only security.capability is kept: labels belong to the host's policy.
 *
 * Containment: every step is a system call on a directory fd and one name without a slash, following no symlink, or an openat2
 * inside the root (base/inroot.h). The directory is private to us (mode 0700, below a 0700 store) while we work.
 */
#include "layer_apply.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/user.h"
#include "layer_path.h"

/* Takes away whatever has the name. *ret_hid: it was something that hid the layers below (anything but a directory that merged). */
static struct err *remove_existing(struct apply *a, int dirfd, const char *name, const struct stat *st)
{
	if (S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode))
		place_forget(a);
	if (S_ISDIR(st->st_mode))
		return file_remove_tree_at(dirfd, name);
	if (unlinkat(dirfd, name, 0) < 0)
		return err_errno(errno, "cannot replace it");
	return NULL;
}

/* For anything but directories: makes room when the name is taken. True in *ret_again: try once more. Forgetting the cached place
 * closes `parent`, so the caller looks it up again. */
static struct err *make_room(struct apply *a, const struct place *parent, const char *name, int errnum,
			     const char *what)
{
	struct stat st;

	if (errnum != EEXIST)
		return err_errno(errnum, "cannot make %s", what);
	if (fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(errno, "cannot stat what is there");
	_cleanup_fd_ int dirfd = -1;
	TRY(fd_dup(parent->fd, 3, &dirfd));
	return remove_existing(a, dirfd, name, &st);
}

/* -- files ---------------------------------------------------------------------------------------------------- */

static struct err *check_cancelled(struct apply *a)
{
	if (a->options->progressed)
		a->options->progressed(a->options->user);
	if (a->options->cancelled && a->options->cancelled(a->options->user))
		return err_new(ERR_CANCELLED, "interrupted");
	return NULL;
}

static struct err *write_contents(struct apply *a, int fd, const struct tar_entry *e)
{
	const uint8_t *data;
	size_t size;
	uint64_t offset;

	while (true) {
		TRY(tar_reader_data(a->tar, &data, &size, &offset));
		if (size == 0)
			break;
		if (e->sparse)
			TRY(fd_pwrite_full(fd, data, size, (off_t)offset, "the file"));
		else
			TRY(fd_write_full(fd, data, size, "the file"));
		a->result.bytes += size;
		if (size >= 128 << 10)
			TRY(check_cancelled(a));
	}
	if (e->sparse && ftruncate(fd, (off_t)e->size) < 0)
		return err_errno(errno, "cannot set its size to %" PRIu64, e->size);
	return NULL;
}

static struct err *make_file(struct apply *a, const struct place *parent, const char *name,
			     const struct tar_entry *e, int *ret_errnum)
{
	_cleanup_fd_ int fd =
		openat(parent->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	*ret_errnum = fd < 0 ? errno : 0;
	if (fd < 0)
		return NULL;
	TRY(write_contents(a, fd, e));
	TRY(attributes_set_fd(fd, e));
	if (e->mtime_s > a->result.newest_s)
		a->result.newest_s = e->mtime_s;
	return NULL;
}

static struct err *make_node(struct apply *a, const struct place *parent, const char *name,
			     const struct tar_entry *e, int *ret_errnum)
{
	mode_t type = e->type == TAR_CHAR ? S_IFCHR : e->type == TAR_BLOCK_DEVICE ? S_IFBLK : S_IFIFO;
	int r;

	if (e->type == TAR_SYMLINK) {
		if (!*e->link)
			return err_new(ERR_CORRUPT, "its target is empty");
		r = symlinkat(e->link, parent->fd, name);
		a->n_symlinks++;
	} else {
		r = mknodat(parent->fd, name, type | (e->mode & 0777), makedev(e->dev_major, e->dev_minor));
	}
	*ret_errnum = r < 0 ? errno : 0;
	if (r < 0 && errno == EPERM && e->type != TAR_SYMLINK && e->type != TAR_FIFO && !user_is_root()) {
		/* As podman does: nobody in a user namespace makes devices, and no container of it could open one. */
		log_debug("the device %s is left out: only root can make it", name);
		*ret_errnum = 0;
		return NULL;
	}
	if (r < 0)
		return NULL;
	return attributes_set_at(parent->fd, name, e);
}

/* -- hard links ----------------------------------------------------------------------------------------------- */

/* The target in this layer, copied up when it is below. *ret_dirfd and *ret_name are the caller's. */
static struct err *link_target(struct apply *a, const char *target, int *ret_dirfd, char **ret_name)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	_cleanup_place_ struct place where = PLACE_NONE;
	_cleanup_free_ char *physical = NULL;
	struct stat st;

	TRY(layer_path_clean(target, &path));
	if (path.len == 0)
		return err_new(ERR_CORRUPT, "it is a hard link to the root directory");
	size_t parent_len = layer_path_parent_len(&path);
	const char *name = layer_path_name(&path, parent_len);
	/* Nearly all targets are in the layer itself: the layers below are not even opened for those. */
	struct err *e = place_find(a, path.data, parent_len, false, &where, &physical);
	err_free(e);
	bool here = !e && fstatat(where.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!here) {
		place_release(&where);
		TRY(place_find(a, path.data, parent_len, true, &where, &physical));
		here = where.fd >= 0 && fstatat(where.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	}
	if (here && !place_is_whiteout(&st)) {
		if (S_ISDIR(st.st_mode))
			return err_new(ERR_CORRUPT, "it is a hard link to the directory %s", path.data);
	} else {
		if (here || where.lower < 0 || fstatat(where.lower, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_new(ERR_NOT_FOUND, "it is a hard link to %s, which does not exist",
				       path.data);
		if (S_ISDIR(st.st_mode))
			return err_new(ERR_CORRUPT, "it is a hard link to the directory %s", path.data);
		if (where.fd < 0) {
			const struct place *made;
			TRY(place_parent(a, physical, strlen(physical), false, &made));
			TRY(fd_dup(made->fd, 3, &where.fd));
		}
		TRY_WRAP(attributes_copy_up(a, where.lower, name, where.fd),
			 "cannot copy %s from the layer below", path.data);
	}
	*ret_name = xstrdup(name);
	*ret_dirfd = TAKE_FD(where.fd);
	return NULL;
}

static struct err *make_hardlink(struct apply *a, const struct strbuf *path, const struct tar_entry *e)
{
	_cleanup_fd_ int from = -1;
	_cleanup_free_ char *from_name = NULL;
	const struct place *parent;
	size_t parent_len = layer_path_parent_len(path);
	const char *name = layer_path_name(path, parent_len);
	struct stat old, target;

	TRY(link_target(a, e->link, &from, &from_name));
	for (int i = 0; i < 2; i++) {
		TRY(place_parent(a, path->data, parent_len, false, &parent));
		if (linkat(from, from_name, parent->fd, name, 0) == 0)
			return NULL;
		int errnum = errno;
		/* A link to itself: removing the old name would remove the file. */
		if (errnum == EEXIST && fstatat(parent->fd, name, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
		    fstatat(from, from_name, &target, AT_SYMLINK_NOFOLLOW) == 0 &&
		    old.st_ino == target.st_ino && old.st_dev == target.st_dev)
			return NULL;
		TRY(make_room(a, parent, name, errnum, "the hard link"));
	}
	return err_new(ERR_CORRUPT, "it cannot be a hard link to %s", e->link);
}

/* -- directories ---------------------------------------------------------------------------------------------- */

static struct err *set_directory(struct apply *a, int dirfd, const char *name, const struct tar_entry *e,
				 const char *path, size_t path_len, bool merged)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot open the directory");
	if (merged)
		TRY(attributes_clear_xattrs(fd));
	TRY(attributes_set_fd(fd, e));
	const struct tar_xattr *acl = NULL;
	for (size_t i = 0; i < e->n_xattrs; i++)
		if (str_eq(e->xattrs[i].name, "system.posix_acl_default"))
			acl = &e->xattrs[i];
	return attributes_remember_dir(a, path, path_len, fd, attributes_mtime(e), acl ? acl->value : NULL,
				       acl ? acl->size : 0);
}

static struct err *make_directory(struct apply *a, const struct strbuf *path, const struct tar_entry *e)
{
	const struct place *parent;
	size_t parent_len = layer_path_parent_len(path);
	const char *name = layer_path_name(path, parent_len);
	bool merged = false, opaque = false;
	struct stat st;

	TRY(place_parent(a, path->data, parent_len, false, &parent));
	if (mkdirat(parent->fd, name, 0700) < 0) {
		if (errno != EEXIST)
			return err_errno(errno, "cannot make the directory");
		if (fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(errno, "cannot stat what is there");
		merged = S_ISDIR(st.st_mode);
		if (!merged) {
			/* What stood here hid a directory below, and the new one must not merge with that. */
			TRY(place_parent(a, path->data, parent_len, true, &parent));
			struct stat below;
			opaque = parent->lower >= 0 &&
				 fstatat(parent->lower, name, &below, AT_SYMLINK_NOFOLLOW) == 0 &&
				 S_ISDIR(below.st_mode);
			TRY(make_room(a, parent, name, EEXIST, "the directory"));
			TRY(place_parent(a, path->data, parent_len, false, &parent));
			if (mkdirat(parent->fd, name, 0700) < 0)
				return err_errno(errno, "cannot make the directory");
		}
	}
	if (opaque) {
		_cleanup_fd_ int fd = openat(parent->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_errno(errno, "cannot open the directory");
		TRY(place_set_opaque(a, fd));
	}
	return set_directory(a, parent->fd, name, e, path->data, path->len, merged);
}

static struct err *set_root(struct apply *a, const struct tar_entry *e)
{
	if (e->type != TAR_DIRECTORY)
		return err_new(ERR_CORRUPT, "it replaces the root directory");
	a->root_seen = true;
	return set_directory(a, a->root->fd, ".", e, "", 0, true);
}

/* -- whiteouts ------------------------------------------------------------------------------------------------ */

/* A layer that puts a file in a directory's place may remove the directory's files too (umoci's do): those are gone already, and the file
 * stays. */
static bool is_below_a_file(struct apply *a, const struct strbuf *path, size_t parent_len)
{
	_cleanup_free_ char *parent = xstrndup(path->data, parent_len);
	int fd = -1;

	struct err *e = parent_len ? inroot_open_at(a->root, parent, O_PATH | O_DIRECTORY, 0, &fd) : NULL;
	bool below = e && e->errnum == ENOTDIR;
	err_free(e);
	if (fd >= 0)
		close(fd);
	return below;
}

static struct err *apply_opaque(struct apply *a, const struct strbuf *path, size_t parent_len)
{
	const struct place *parent;

	if (parent_len == 0)
		return place_set_root_opaque(a);
	if (is_below_a_file(a, path, parent_len))
		return NULL;
	TRY(place_parent(a, path->data, parent_len, true, &parent));
	if (parent->lower < 0)
		return NULL;
	TRY(place_set_opaque(a, parent->fd));
	place_forget(a); /* its .lower is no longer true */
	return NULL;
}

static struct err *apply_whiteout(struct apply *a, const struct strbuf *path, size_t parent_len,
				  const char *hidden)
{
	const struct place *parent;

	if (is_below_a_file(a, path, parent_len))
		return NULL;
	TRY(place_parent(a, path->data, parent_len, true, &parent));
	return place_hide(a, parent, hidden);
}

/* -- all together --------------------------------------------------------------------------------------------- */

static struct err *make_other(struct apply *a, const struct strbuf *path, size_t parent_len, const char *name,
			      const struct tar_entry *e)
{
	const struct place *parent;
	int errnum = 0;

	/* A device 0/0 is overlayfs' whiteout. It hides what is below and is nothing that could be used. */
	if (e->type == TAR_CHAR && e->dev_major == 0 && e->dev_minor == 0) {
		TRY(place_parent(a, path->data, parent_len, true, &parent));
		return place_hide(a, parent, name);
	}
	for (int i = 0; i < 2; i++) {
		TRY(place_parent(a, path->data, parent_len, false, &parent));
		TRY(e->type == TAR_FILE ? make_file(a, parent, name, e, &errnum)
					: make_node(a, parent, name, e, &errnum));
		if (errnum == 0)
			return NULL;
		TRY(make_room(a, parent, name, errnum, e->type == TAR_FILE ? "the file" : "it"));
	}
	return err_new(ERR_INTERNAL, "what was there cannot be replaced");
}

static struct err *apply_entry(struct apply *a, const struct tar_entry *e, struct strbuf *path)
{
	enum layer_name kind;
	const char *hidden = NULL;

	TRY(layer_path_clean(e->path, path));
	if (path->len == 0)
		return set_root(a, e);
	size_t parent_len = layer_path_parent_len(path);
	TRY(layer_path_kind(path, parent_len, &kind, &hidden));
	if (kind == LAYER_NAME_SKIPPED)
		return NULL;
	if (kind == LAYER_NAME_OPAQUE)
		return apply_opaque(a, path, parent_len);
	if (kind == LAYER_NAME_WHITEOUT)
		return apply_whiteout(a, path, parent_len, hidden);
	if (e->type == TAR_DIRECTORY)
		return make_directory(a, path, e);
	if (e->type == TAR_HARDLINK)
		return make_hardlink(a, path, e);
	return make_other(a, path, parent_len, layer_path_name(path, parent_len), e);
}

static struct err *apply_all(struct apply *a)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	uint64_t max = a->options->max_entries ? a->options->max_entries : LAYER_ENTRIES_MAX;

	while (true) {
		const struct tar_entry *e;
		TRY(tar_reader_next(a->tar, &e));
		if (!e)
			break;
		if (++a->result.entries > max)
			return err_new(ERR_LIMIT, "the layer has more than %" PRIu64 " entries", max);
		TRY_WRAP(apply_entry(a, e, &path), "%.256s", e->path);
		if (a->result.entries % 256 == 0)
			TRY(check_cancelled(a));
	}
	/* A root directory that the archive does not mention is an implied parent (A3). */
	if (!a->root_seen) {
		_cleanup_fd_ int fd = openat(a->root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_errno(errno, "cannot open the layer's directory");
		TRY(place_open_lower(a));
		TRY(attributes_inherit_dir(a, a->lower_root, fd, "", 0));
	}
	return attributes_finish_dirs(a);
}

struct err *layer_apply(struct tar_reader *tar, const struct inroot *root,
			const struct layer_apply_options *options, struct layer_apply_result *ret)
{
	struct apply a = {.tar = tar,
			  .root = root,
			  .options = options,
			  .lower_root = LOWER_UNKNOWN,
			  .cached = PLACE_NONE};
	struct err *e = apply_all(&a);

	place_release(&a.cached);
	strbuf_release(&a.cached_path);
	if (a.lower_root >= 0)
		close(a.lower_root);
	for (size_t i = 0; i < a.n_dirs; i++)
		free(a.dirs[i].path), free(a.dirs[i].acl);
	free(a.dirs);
	if (!e)
		*ret = a.result;
	return e;
}
