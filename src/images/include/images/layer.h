/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: from bytes to a directory. image-spec 1.1.1 layer.md; the rules are listed in layer_apply.c. */
#ifndef IMAGES_LAYER_H
#define IMAGES_LAYER_H

#include "base/digest.h"
#include "base/inroot.h"
#include "images/store.h"

/* Takes layers of an image in order and applies those that the store does not have. Used by pull, load and import.
 *
 * Adds one layer: `fd` is a seekable file with the (compressed: gzip, zstd, or plain tar) layer, media_type may be NULL (recognised). The
 * uncompressed stream must have `diff_id`, else ERR_CORRUPT. `parent`: chain id of the layer below or NULL. *ret_chain is its chain id. An
 * already applied layer is not read at all. Safe against other processes adding the same layer at once. */
_must_check_ struct err *layer_add(struct store *s, int fd, const char *media_type,
				   const struct digest *diff_id, const struct digest *parent,
				   const struct progress *progress, struct digest *ret_chain);
bool layer_exists(struct store *s, const struct digest *chain);
/* image-spec "Layer ChainID". */
void layer_chain_id(const struct digest *parent /* NULL */, const struct digest *diff_id, struct digest *ret);

#endif
