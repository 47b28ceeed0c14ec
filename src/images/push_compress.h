/* SPDX-License-Identifier: Apache-2.0 */
/* Private: layers that are kept uncompressed (those of commit, import and load) are compressed on their way to a registry, as everybody does.
 * The same layer gives the same bytes each time, so that a second push finds them there. */
#ifndef IMAGES_PUSH_COMPRESS_H
#define IMAGES_PUSH_COMPRESS_H

#include "compress.h"
#include "content.h"
#include "manifest.h"

/* Whether this layer is plain and may be sent otherwise: what is no layer, or foreign, stays as it is. */
bool push_layer_is_plain(const struct descriptor *d);
/* *ret: the compressed layer, complete; *ret_to: what a manifest of the kind `oci` says of it. Its media type is borrowed, static text. */
_must_check_ struct err *push_compress_layer(struct store *s, const struct descriptor *from, bool oci,
					     enum compression format, int level,
					     const struct progress *progress, struct spool **ret,
					     struct descriptor *ret_to);
/* The document with these layers instead of its own. Caller frees *ret. */
_must_check_ struct err *push_compressed_manifest(const char *data, size_t size, const struct manifest *m,
						  const struct descriptor *layers, char **ret,
						  size_t *ret_size, struct digest *ret_digest);

#endif
