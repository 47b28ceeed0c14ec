/* SPDX-License-Identifier: Apache-2.0 */
/* Private: content that is in the store as blobs becomes an image. */
#ifndef IMAGES_STORE_ADD_H
#define IMAGES_STORE_ADD_H

#include "content.h"

/* `target` is a manifest or an index: the host's image is taken from it. Applies its layers and records it under `name` (NULL: none). The
 * caller holds the store's shared lock (C1). *ret (may be NULL). ERR_UNSUPPORTED: it is an artifact. */
_must_check_ struct err *store_add_image(struct store *s, const struct digest *target,
					 const struct reference *name, const struct progress *progress,
					 struct image **ret);

#endif
