/* SPDX-License-Identifier: Apache-2.0 */
/* The erofs storage driver's layers: ROOT/layers/HEX.tar/ holds `tar`, the layer uncompressed as it came, and for a chain that a container
 * was made of `index`, the EROFS image of the whole chain up to this layer, with `root`, a directory that has the attributes of the
 * image's root.
 *
 * Invariants
 *  I1 `tar` is complete and has the row's diff id: it got there by the rename of its directory.
 *  I2 `index` is complete, and `root` has its attributes: index is linked there last, and both are made of the tars alone, so that they can
 *     be removed and made again at any time.
 *  I3 All layers of a chain are of one driver: a layer takes after its parent.
 */
#ifndef IMAGES_LAYER_INDEX_H
#define IMAGES_LAYER_INDEX_H

#include "content.h"

bool layer_row_is_tar(const struct layer_row *row);

/* Copies the uncompressed bytes to DIRFD/tar and looks at every entry; the file is on the disk afterwards. */
struct tar_layer {
	uint64_t bytes;   /* of file contents */
	int64_t newest_s; /* latest mtime of a file */
};
struct byte_source;
_must_check_ struct err *layer_tar_write(struct byte_source *source, const char *what, int dirfd,
					 bool (*cancelled)(void *), void (*progressed)(void *), void *user,
					 struct tar_layer *ret);

/* A detached read-only mount of the chain; its index is made when it is missing. */
_must_check_ struct err *layer_index_mount(struct store *s, const struct digest *top, int *ret_fd);
/* Makes the index when it is missing; a chain of the other driver has none. */
_must_check_ struct err *layer_index_make(struct store *s, const struct digest *top);
/* Writes the chain's files into `to`, an empty directory; no index is needed. */
struct tree_write_options;
_must_check_ struct err *layer_index_unpack(struct store *s, const struct digest *top, int to,
					    const struct tree_write_options *o);
/* Whether this machine can mount such indexes: the kernel's own word, by mounting a small one. */
_must_check_ struct err *layer_index_probe(struct store *s);

#endif
