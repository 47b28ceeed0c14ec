/* SPDX-License-Identifier: Apache-2.0 */
/* Private: what is different between two trees: an overlay's upper directory over its lower ones, or two whole trees. */
#ifndef IMAGES_TREE_DIFF_H
#define IMAGES_TREE_DIFF_H

#include "images/snapshot.h"
#include "tree_walk.h"

#define tree_change snapshot_change /* their public name */
#define tree_changes_free snapshot_changes_free

struct tree_diff_options {
	char *const *skip; /* paths like "etc/hosts" that are not looked at; may be NULL */
	bool whole;        /* `tree` is not an upper directory: what it lacks was deleted */
	bool userxattr;
	/* With `whole`: files whose status changed at that time or later are compared to the last byte when their attributes are the same. */
	struct timespec since;
};
/* `base` -1: everything was added. Sorted by path, depth first; free with snapshot_changes_free. */
_must_check_ struct err *tree_diff(int tree, int base, const struct tree_diff_options *o,
				   struct tree_change **ret, size_t *ret_n);

/* The changes as a layer; `dirfd` is the tree. o: clamp_s and omit_root. */
_must_check_ struct err *tar_writer_changes(struct tar_writer *w, int dirfd, const struct tree_change *list,
					    size_t n, const struct tar_tree_options *o);

#endif
