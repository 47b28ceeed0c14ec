/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots over layer directories: ROOT/snapshots/KEY/{upper,work}, plus {empty} for an image without layers; {whole} for a copy (snapshot_whole.h).
 *
 * Invariants
 *  N1 The row comes first and goes last but for the files' removal: a directory without a row does not exist in snapshots/, and a row
 *     without a directory is a snapshot whose making or removing was interrupted; snapshot_remove finishes it.
 *  N2 The layers of a row are there: the transaction that adds the row saw theirs.
 *  N3 Files are deleted only under ingest/, after a rename.
 */
#include "images/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "content.h"
#include "layer_add.h"
#include "layer_index.h"
#include "overlay.h"
#include "snapshot_view.h"
#include "snapshot_whole.h"
#include "storage_driver.h"

#define KEY_LEN_MAX 128

static struct err *check_key(const char *key)
{
	size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	if (n == 0 || key[n] || n > KEY_LEN_MAX || key[0] == '.')
		return err_new(ERR_INVALID, "\"%.128s\" is not a valid snapshot name", key);
	return NULL;
}

static char *snapshot_path(const struct store *s, const char *key, const char *part)
{
	return xasprintf("%s/snapshots/%s/%s", s->root, key, part);
}

/* The root directory that a container sees is the upper one: it takes over what the image's has. */
static struct err *copy_root_attributes(const char *from, int to)
{
	char names[4096], value[4096];
	struct stat st;
	_cleanup_fd_ int fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(errno, "cannot open the layer directory %s", from);
	if (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
		return err_errno(errno, "cannot set owner and mode of the snapshot's root");
	ssize_t n = flistxattr(fd, names, sizeof(names));
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t size = str_starts(p, "trusted.overlay.") || str_starts(p, "user.overlay.")
				       ? -1
				       : fgetxattr(fd, p, value, sizeof(value));
		if (size >= 0 && fsetxattr(to, p, value, (size_t)size, 0) < 0 && errno != EOPNOTSUPP)
			return err_errno(errno, "cannot set the extended attribute %s of the snapshot's root",
					 p);
	}
	struct timespec times[2] = {st.st_mtim, st.st_mtim};
	if (futimens(to, times) < 0)
		return err_errno(errno, "cannot set the times of the snapshot's root");
	return NULL;
}

/* The kernel says only "no such file or directory": which layer is it? NULL: none is missing. */
static struct err *missing_layer(struct store *s, const struct digest *top)
{
	_cleanup_free_ struct layer_row *rows = NULL;
	size_t n = 0;

	struct err *e = layer_row_chain(s, top, &rows, &n);
	for (size_t i = 0; !e && i < n; i++) {
		_cleanup_free_ char *path = xasprintf("layers/%s", rows[i].dir);
		if (faccessat(s->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			e = layer_damaged(&rows[i], "is missing");
	}
	return e;
}

static struct err *make_directories(struct store *s, const char *key, const struct image *image)
{
	_cleanup_free_ char *dir = xasprintf("snapshots/%s", key);
	_cleanup_fd_ int fd = -1, upper = -1;

	if (mkdirat(s->root_fd, dir, 0700) < 0 && errno != EEXIST)
		return err_errno(errno, "cannot make directory %s/%s", s->root, dir);
	fd = openat(s->root_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno(errno, "cannot open directory %s/%s", s->root, dir);
	if (mkdirat(fd, "work", 0700) < 0 || mkdirat(fd, "upper", 0755) < 0)
		return err_errno(errno, "cannot make a directory in %s/%s", s->root, dir);
	bool whole;
	TRY(storage_copies(s, image, &whole));
	if (whole)
		return snapshot_fill(s, image, fd);
	if (image->n_layers == 0) {
		if (mkdirat(fd, "empty", 0755) < 0)
			return err_errno(errno, "cannot make a directory in %s/%s", s->root, dir);
		return NULL;
	}
	upper = openat(fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (upper < 0)
		return err_errno(errno, "cannot open directory %s/%s/upper", s->root, dir);
	struct layer_row top;
	TRY(layer_row_find(s, &image->layers[image->n_layers - 1], &top));
	TRY(layer_index_make(s, &top.chain));
	_cleanup_free_ char *path =
		xasprintf("%s/layers/%s%s", s->root, top.dir, layer_row_is_tar(&top) ? "/root" : "");
	struct err *e = copy_root_attributes(path, upper), *missing = e ? missing_layer(s, &top.chain) : NULL;
	if (missing)
		err_free(e);
	return missing ? missing : e;
}

/* Out of sight, then away; absent is success. */
static struct err *remove_directories(struct store *s, const char *key)
{
	_cleanup_free_ char *dir = xasprintf("snapshots/%s", key),
			    *gone = xasprintf("ingest/gone-snapshot-%s", key);

	if (renameat(s->root_fd, dir, s->root_fd, gone) < 0 && errno != ENOENT) {
		if (errno != ENOTEMPTY && errno != EEXIST)
			return err_errno(errno, "cannot remove %s/%s", s->root, dir);
		/* Left by an earlier removal that was killed. */
		TRY(file_remove_tree_at(s->root_fd, gone));
		if (renameat(s->root_fd, dir, s->root_fd, gone) < 0 && errno != ENOENT)
			return err_errno(errno, "cannot remove %s/%s", s->root, dir);
	}
	return NULL;
}

static struct err *delete_files(struct store *s, const char *key)
{
	_cleanup_free_ char *gone = xasprintf("ingest/gone-snapshot-%s", key);

	return file_remove_tree_at(s->root_fd, gone);
}

struct err *snapshot_prepare(struct store *s, const char *key, const struct image *image)
{
	const struct digest *top = image->n_layers ? &image->layers[image->n_layers - 1] : NULL;

	TRY(check_key(key));
	if (image->n_layers > OVERLAY_LAYERS_MAX)
		return err_new(ERR_LIMIT, "the image has %zu layers, overlayfs takes at most %d",
			       image->n_layers, OVERLAY_LAYERS_MAX);
	TRY(snapshot_row_add(s, key, &image->id, top));
	struct err *e = make_directories(s, key, image);
	if (e) {
		err_free(snapshot_remove(s, key));
		return err_wrap(e, "cannot prepare snapshot %s", key);
	}
	return NULL;
}

struct err *snapshot_remove(struct store *s, const char *key)
{
	TRY(check_key(key));
	TRY_WRAP(remove_directories(s, key), "cannot remove snapshot %s", key);
	TRY_WRAP(snapshot_row_remove(s, key), "cannot remove snapshot %s", key);
	return delete_files(s, key);
}

struct err *snapshot_lower_paths(struct store *s, const char *key, const struct digest *top, char ***ret,
				 int *ret_fd)
{
	struct layer_row row;

	if (!digest_is_set(top)) {
		strv_push_take(ret, snapshot_path(s, key, "empty"));
		return NULL;
	}
	TRY(layer_row_find(s, top, &row));
	if (!layer_row_is_tar(&row))
		return layer_paths(s, top, ret);
	TRY(layer_index_mount(s, top, ret_fd));
	strv_push(ret, fd_path(*ret_fd).s);
	return NULL;
}

struct err *snapshot_mount_fd(struct store *s, const char *key, unsigned flags, int *ret_fd)
{
	struct digest image, top;
	_cleanup_strv_ char **lower = NULL;
	_cleanup_fd_ int lower_fd = -1;

	TRY(check_key(key));
	TRY(snapshot_row_find(s, key, &image, &top));
	if (snapshot_is_whole(s, key, NULL))
		return snapshot_mount_whole(s, key, flags, ret_fd);
	TRY_WRAP(snapshot_lower_paths(s, key, &top, &lower, &lower_fd), "cannot mount snapshot %s", key);
	_cleanup_free_ char *upper = snapshot_path(s, key, "upper"), *work = snapshot_path(s, key, "work"),
			    *target = snapshot_path(s, key, "");
	/* A volatile mount leaves this mark in its work directory, and overlayfs refuses to mount over it a second time. */
	_cleanup_free_ char *mark = xasprintf("snapshots/%s/work/work/incompat", key);
	TRY(file_remove_tree_at(s->root_fd, mark));
	struct overlay o = {
		.lower = lower,
		.n_lower = strv_len(lower),
		.upper = upper,
		.work = work,
		.read_only = flags & SNAPSHOT_READ_ONLY,
		.is_volatile = flags & SNAPSHOT_VOLATILE,
		.target = target,
	};
	struct err *e = overlay_mount_fd(&o, ret_fd), *missing = e ? missing_layer(s, &top) : NULL;
	if (missing) {
		err_free(e);
		e = missing;
	}
	return e ? err_wrap(e, "cannot mount snapshot %s", key) : NULL;
}

/* -- usage ---------------------------------------------------------------------------------------------------- */

/* Depth-first with one directory open at a time per level; owns fd. */
static struct err *add_usage(int fd, unsigned depth, uint64_t *bytes)
{
	DIR *dir = fdopendir(fd);
	struct err *e = NULL;
	const struct dirent *d;

	if (!dir) {
		e = err_errno(errno, "cannot read a directory of the snapshot");
		close(fd);
		return e;
	}
	while (!e && (d = readdir(dir))) {
		struct stat st;
		if (str_eq(d->d_name, ".") || str_eq(d->d_name, "..") ||
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* the container may be deleting */
		/* A file with several names counts for each its share. */
		*bytes += (uint64_t)st.st_blocks * 512 /
			  (S_ISDIR(st.st_mode) || st.st_nlink == 0 ? 1 : st.st_nlink);
		if (!S_ISDIR(st.st_mode) || depth == 0)
			continue;
		int sub = openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			e = add_usage(sub, depth - 1, bytes);
	}
	closedir(dir);
	return e;
}

struct err *snapshot_usage(struct store *s, const char *key, uint64_t *ret_bytes)
{
	struct digest image, top;
	uint64_t bytes = 0;

	TRY(check_key(key));
	TRY(snapshot_row_find(s, key, &image, &top));
	_cleanup_free_ char *path = xasprintf("snapshots/%s/upper", key);
	int fd = openat(s->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open %s/%s", s->root, path);
	TRY(add_usage(fd, 200, &bytes));
	*ret_bytes = bytes;
	return NULL;
}

struct err *snapshot_list(struct store *s, char ***ret_keys)
{
	return snapshot_row_list(s, ret_keys);
}
