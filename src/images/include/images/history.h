/* SPDX-License-Identifier: Apache-2.0 */
/* How an image came about: the steps of its configuration's history (image-spec, config.md, "history"). */
#ifndef IMAGES_HISTORY_H
#define IMAGES_HISTORY_H

#include "images/store.h"

/* One step; the texts are the configuration's own (untrusted), borrowed from the image. */
struct image_step {
	const char *created, *created_by, *comment; /* "" when it does not say */
	uint64_t size;                              /* bytes of the layer that it made; 0 when it made none */
};

/* Lowest first; the array is the caller's. An image without history has a step for each layer. ERR_LIMIT: more steps than anybody's image
 * has. */
_must_check_ struct err *image_history(struct store *s, const struct image *i, struct image_step **ret,
				       size_t *ret_n);

#endif
