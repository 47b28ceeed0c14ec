/* SPDX-License-Identifier: Apache-2.0 */
/* Private: which storage driver takes new layers, and which snapshots are copies. */
#ifndef IMAGES_STORAGE_DRIVER_H
#define IMAGES_STORAGE_DRIVER_H

#include "content.h"

/* The driver of a lowest layer that is being added: chosen, configured, or found by probing once. ERR_UNSUPPORTED when the one that was chosen
 * cannot be used here. */
_must_check_ struct err *storage_driver(struct store *s, enum store_driver *ret);
/* Whether a container of the image gets a whole copy of its tree rather than an overlay. */
_must_check_ struct err *storage_copies(struct store *s, const struct image *image, bool *ret);

#endif
