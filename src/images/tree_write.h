/* SPDX-License-Identifier: Apache-2.0 */
/* Private: directory trees written to the disk: copies of other trees, and layer trees with their contents. */
#ifndef IMAGES_TREE_WRITE_H
#define IMAGES_TREE_WRITE_H

#include "erofs.h"
#include "tree_walk.h"

struct tree_write_options {
	bool (*cancelled)(void *user); /* asked now and then; may be NULL */
	void *user;
};

/* Copies what is in `from` into `to`, an empty directory that nobody else uses, and gives it the attributes of `from`: types, modes, owners,
 * times, extended attributes, holes and hard links. Blocks are shared where the file system can (reflinks). Sockets are left out. */
_must_check_ struct err *tree_write_copy(int from, int to, const struct tree_write_options *o);

/* The same with a chain of layers that are plain tar files. */
_must_check_ struct err *tree_write_layers(struct layer_tree *t, const struct erofs_device *devices, int to,
					   const struct tree_write_options *o);

#endif
