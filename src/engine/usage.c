// SPDX-License-Identifier: Apache-2.0
#include "engine/usage.h"

#include <stdlib.h>

#include "base/memory.h"

void usage_release(struct usage *u)
{
	for (size_t i = 0; i < u->n_images; i++)
		image_free(u->images[i]);
	free(u->images);
	free(u->containers_of_image);
	free(u->image_usage);
	for (size_t i = 0; i < u->n_containers; i++)
		container_free(u->containers[i]);
	free(u->containers);
	volumes_free(u->volumes, u->n_volumes);
	*u = (struct usage){0};
}

static void count_containers(struct usage *u)
{
	u->containers_of_image = xnew_array(size_t, u->n_images + 1);
	for (size_t c = 0; c < u->n_containers; c++)
		for (size_t i = 0; i < u->n_images; i++)
			if (digest_equal(&u->containers[c]->image, &u->images[i]->id)) {
				u->containers_of_image[i]++;
				break;
			}
}

static struct err *read_images(struct store *s, struct usage *u)
{
	_cleanup_free_ bool *active = NULL;

	TRY(store_list(s, &u->images, &u->n_images));
	count_containers(u);
	active = xnew_array(bool, u->n_images + 1);
	for (size_t i = 0; i < u->n_images; i++)
		active[i] = u->containers_of_image[i] > 0;
	u->image_usage = xnew_array(struct image_usage, u->n_images + 1);
	return store_usage(s, u->images, u->n_images, active, u->image_usage, &u->images_total,
			   &u->images_reclaimable);
}

struct err *usage_read(struct engine *e, unsigned what, struct usage *ret)
{
	struct store *s;

	if (what & (USAGE_IMAGES | USAGE_CONTAINERS))
		TRY(container_list(e, true, &ret->containers, &ret->n_containers));
	if (what & USAGE_IMAGES) {
		TRY(engine_store(e, &s));
		TRY(read_images(s, ret));
	}
	if (what & USAGE_VOLUMES)
		TRY(volume_list(e, &ret->volumes, &ret->n_volumes));
	return NULL;
}
