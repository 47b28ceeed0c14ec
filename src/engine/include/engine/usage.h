/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept and who uses it: the facts behind system df and the prunes. */
#ifndef ENGINE_USAGE_H
#define ENGINE_USAGE_H

#include "engine/engine.h"
#include "images/usage.h"

enum { USAGE_IMAGES = 1, USAGE_CONTAINERS = 2, USAGE_VOLUMES = 4 };

struct usage {
	struct image **images; /* newest first */
	size_t n_images;
	size_t *containers_of_image; /* parallel to images */
	struct image_usage *image_usage;
	uint64_t images_total, images_reclaimable;

	struct container **containers;
	size_t n_containers;

	struct volume *volumes;
	size_t n_volumes;
};
void usage_release(struct usage *u);
#define _cleanup_usage_ _cleanup_(usage_release)

/* `what`: USAGE_… or-ed. Sizes of images are filled; those of containers and volumes are found by walking their files: snapshot_usage,
 * volume_bytes. */
_must_check_ struct err *usage_read(struct engine *e, unsigned what, struct usage *ret);

#endif
