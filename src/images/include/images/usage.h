/* SPDX-License-Identifier: Apache-2.0 */
/* What images take: layers that several share are counted once. */
#ifndef IMAGES_USAGE_H
#define IMAGES_USAGE_H

#include "images/store.h"

struct image_usage {
	uint64_t shared; /* bytes of layers that another of the images has too */
	uint64_t unique; /* bytes that go with it */
};
/* `images` as store_list gives them; `active` says of each whether somebody uses it. Fills `ret_each`, of n elements. *ret_total: bytes of all
 * their layers; *ret_reclaimable: of the layers of which no active image has. */
_must_check_ struct err *store_usage(struct store *s, struct image *const *images, size_t n,
				     const bool *active, struct image_usage *ret_each, uint64_t *ret_total,
				     uint64_t *ret_reclaimable);

/* Bytes of one layer's unpacked files. */
_must_check_ struct err *store_layer_size(struct store *s, const struct digest *chain, uint64_t *ret);

/* Removes the images with these ids, with all their names, and then what nobody needs any more. One that a snapshot stands on meanwhile, or that
 * is gone, is passed over. Lines as store_remove. *ret_collected false: an image is being added, and the files go with a later collection. */
_must_check_ struct err *store_remove_images(struct store *s, const struct digest *ids, size_t n,
					     char ***ret_lines, uint64_t *ret_freed_bytes,
					     bool *ret_collected);

#endif
