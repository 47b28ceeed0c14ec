/* SPDX-License-Identifier: Apache-2.0 */
/* The file tree of a chain of layers in memory: names and attributes, and where in which layer's tar the contents are. No file is
 * written. The rules are A1 to A6 of layer_apply.c; whiteouts are resolved here, so the tree has none.
 *
 * Everything lives in one arena that goes with the tree; what a later layer replaces is only unlinked. */
#ifndef IMAGES_LAYER_TREE_H
#define IMAGES_LAYER_TREE_H

#include <sys/types.h>

#include "tar.h"

struct tree_xattr {
	struct tree_xattr *next; /* in the archive's order */
	const char *name;
	const void *value;
	size_t size;
};

struct tree_entry;
struct tree_inode {
	mode_t mode; /* with the file type */
	uint32_t uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	struct tree_xattr *xattrs;
	union {
		struct {                           /* directories */
			struct tree_inode *parent; /* the root's is itself */
			struct tree_entry *first;  /* in no order */
			size_t n;
		} dir;
		struct { /* regular files: stored bytes at `offset` of layer `layer`'s tar */
			uint64_t size, offset;
			const struct tar_extent *extents; /* NULL: not sparse */
			size_t n_extents;
			uint32_t layer; /* counted from 0, the lowest */
		} file;
		struct {
			const char *target;
		} symlink;
		struct {
			uint32_t major, minor;
		} device;
	};
	/* For whoever writes the tree. */
	uint64_t nid, data_block, n_blocks;
	uint32_t nlink, tail, chunk_bits;
	bool tail_inline;
};

struct tree_entry {
	const char *name;
	size_t name_len;
	struct tree_inode *inode, *dir;
	struct tree_entry *prev, *next, *hash_next;
	uint64_t hash;
	uint32_t layer; /* the last one that had it, be it as an implied parent */
};

struct layer_tree;
struct layer_tree *layer_tree_new(void);
void layer_tree_free(struct layer_tree *t);
DEFINE_CLEANUP(struct layer_tree *, layer_tree_free)

struct layer_tree_result {
	uint64_t entries;
	uint64_t bytes;   /* of file contents, as stored */
	int64_t newest_s; /* latest mtime of a file; 0 without one */
};
/* Lays the next layer over the tree, the lowest first. On failure the tree is only good for being freed. */
_must_check_ struct err *layer_tree_apply(struct layer_tree *t, struct tar_reader *tar,
					  struct layer_tree_result *ret);
struct tree_inode *layer_tree_root(const struct layer_tree *t);
uint32_t layer_tree_n_layers(const struct layer_tree *t);

#endif
