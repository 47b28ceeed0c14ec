/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking one layer into a directory of its own, in the form in which overlayfs takes it as a lower directory. The
 * rules are in layer_apply.c. */
#ifndef IMAGES_LAYER_APPLY_H
#define IMAGES_LAYER_APPLY_H

#include "base/inroot.h"
#include "base/str.h"
#include "tar.h"

#define LAYER_BYTES_MAX ((uint64_t)64 << 30) /* uncompressed; decompression bombs end here */
#define LAYER_ENTRIES_MAX ((uint64_t)4 << 20)

struct layer_apply_options {
	/* The layers below, as one tree (a layer directory, or a read-only overlay of several). Called at most once, and only for
	 * layers that need to look: *ret_fd -1 when there is none. NULL: none. */
	struct err *(*open_lower)(void *user, int *ret_fd);
	bool (*cancelled)(void *user);  /* asked now and then; may be NULL */
	void (*progressed)(void *user); /* called now and then; may be NULL */
	void *user;
	uint64_t max_entries; /* 0: LAYER_ENTRIES_MAX */
};

struct layer_apply_result {
	uint64_t entries;
	uint64_t bytes;   /* of file contents, as stored */
	int64_t newest_s; /* latest mtime of a file; 0 without one */
};

/* `root` is an empty directory that nobody else uses. On failure it is left as it is: the caller removes it. Does not read
 * behind the archive's end (tar_reader_drain). */
_must_check_ struct err *layer_apply(struct tar_reader *tar, const struct inroot *root,
				     const struct layer_apply_options *options,
				     struct layer_apply_result *ret);

/* -- private to layer_apply.c, layer_place.c, layer_attributes.c ---------------------------------------------- */

struct dir_time {
	char *path; /* inside the layer */
	ino_t ino;
	struct timespec mtime;
	void *acl; /* system.posix_acl_default: entries made in the directory would inherit it */
	size_t acl_size;
};

/* A directory of the layer and, where it merges with one below, that one. */
struct place {
	int fd;    /* O_PATH; -1: not in this layer */
	int lower; /* O_PATH; -1: none; LOWER_UNKNOWN: not looked up */
};
#define LOWER_UNKNOWN (-2)
#define PLACE_NONE ((struct place){.fd = -1, .lower = -1})
void place_release(struct place *p);
#define _cleanup_place_ _cleanup_(place_release)

struct apply {
	struct tar_reader *tar;
	const struct inroot *root;
	const struct layer_apply_options *options;
	struct layer_apply_result result;

	int lower_root; /* -1: none; LOWER_UNKNOWN */
	/* The directory of the last entry. Dropped when a directory or a symlink goes away. */
	struct place cached;
	struct strbuf cached_path;
	uint64_t n_opaque, n_whiteouts, n_symlinks;

	struct dir_time *dirs;
	size_t n_dirs, cap_dirs;
	uint64_t dir_bytes;
	bool root_seen;
};

/* layer_place.c: where a path of the archive is. Paths here are clean: components joined by single slashes, no ".", no "..". */
_must_check_ struct err *place_open_lower(struct apply *a);
/* The directory `path` in the layer, made with what is missing of it; the result is borrowed until the next call. need_lower:
 * .lower is looked up too. */
_must_check_ struct err *place_parent(struct apply *a, const char *path, size_t path_len, bool need_lower,
				      const struct place **ret);
/* The same without making anything, the result is the caller's. With `below`, in the layer and in those below: .fd or .lower may be
 * -1, *ret_physical is its path without symlinks; without, in the layer alone. */
_must_check_ struct err *place_find(struct apply *a, const char *path, size_t path_len, bool below,
				    struct place *ret, char **ret_physical);
void place_forget(struct apply *a);
_must_check_ struct err *place_set_opaque(struct apply *a, int dirfd /* O_PATH */);
_must_check_ struct err *place_set_root_opaque(struct apply *a);
/* Hides what the layers below have under the name (A2). */
_must_check_ struct err *place_hide(struct apply *a, const struct place *parent, const char *name);
bool place_is_whiteout(const struct stat *st);

/* layer_attributes.c */
_must_check_ struct err *attributes_set_fd(int fd, const struct tar_entry *e);
_must_check_ struct err *attributes_set_at(int dirfd, const char *name, const struct tar_entry *e);
_must_check_ struct err *attributes_clear_xattrs(int fd);
struct timespec attributes_mtime(const struct tar_entry *e);
bool attributes_xattr_is_kept(const char *name); /* A6 */
/* A directory's times come last: writing into it changes them. */
_must_check_ struct err *attributes_remember_dir(struct apply *a, const char *path, size_t path_len, int fd,
						 struct timespec mtime, const void *acl, size_t acl_size);
_must_check_ struct err *attributes_finish_dirs(struct apply *a);
/* Owner, mode and xattrs of the directory lower onto fd (both O_RDONLY), its mtime for later. */
_must_check_ struct err *attributes_inherit_dir(struct apply *a, int lower_fd, int fd, const char *path,
						size_t path_len);
/* A file (anything but a directory) of a lower layer into this one. */
_must_check_ struct err *attributes_copy_up(struct apply *a, int lower_dirfd, const char *name, int dirfd);

#endif
