/* SPDX-License-Identifier: Apache-2.0 */
/* Private: what everybody needs who walks a directory tree on the disk in a fixed order: tars of trees, comparisons of trees. */
#ifndef IMAGES_TREE_WALK_H
#define IMAGES_TREE_WALK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "tar.h"

#define TREE_DEPTH_MAX 1000

/* Names in the directory (O_PATH is enough), sorted bytewise; NULL for none. Caller frees with strv_free. */
_must_check_ struct err *tree_names(int dirfd, char ***ret);
/* O_PATH, not followed. *ret_fd -1: there is no such name (any more). */
_must_check_ struct err *tree_open(int dirfd, const char *name, int *ret_fd, struct stat *ret);
/* The same for what has to be a directory. */
_must_check_ struct err *tree_open_directory(int dirfd, const char *name, int *ret_fd);
/* overlayfs' marks in an upper directory: 0/0 devices, and the attribute of a directory that hides the one below. */
bool tree_is_whiteout(const struct stat *st);
bool tree_is_opaque(int fd, bool userxattr);
/* Is it on a file system that shows the kernel's own state (proc, sysfs, control groups, …)? */
bool tree_is_kernels(int fd);

/* The extended attributes that belong into a layer, sorted by name: not overlayfs' own, not the host's labels. */
struct tree_xattrs {
	struct tar_xattr *list;
	size_t n, cap;
};
_must_check_ struct err *tree_xattrs_read(int fd, struct tree_xattrs *ret);
bool tree_xattrs_equal(const struct tree_xattrs *a, const struct tree_xattrs *b);
/* Mode, owner and extended attributes of two directories. */
_must_check_ struct err *tree_same_attributes(int a, int b, bool *ret);
void tree_xattrs_release(struct tree_xattrs *x);
#define _cleanup_tree_xattrs_ _cleanup_(tree_xattrs_release)

/* Type, mode, owner, device, size and time; path, link and xattrs stay as they are. False: a tar has no such thing (a socket). */
bool tree_entry_from_stat(const struct stat *st, struct tar_entry *ret);
_must_check_ struct err *tree_read_link(int fd /* O_PATH */, char ret[static 4096]);

/* Files with several names: the first path under which one was met. */
struct tree_links {
	struct tree_link *table; /* open addressing */
	size_t n, cap;
};
/* NULL: `path` is the first one, and is remembered (copied). */
const char *tree_links_first(struct tree_links *l, dev_t dev, ino_t ino, const char *path);
void tree_links_release(struct tree_links *l);

#endif
