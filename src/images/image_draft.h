/* SPDX-License-Identifier: Apache-2.0 */
/* Private: an image that is being made from another one, or from nothing. The documents are changed in memory and written last; blobs of
 * its layers are in the store by then. It becomes an OCI image whatever the old one was. */
#ifndef IMAGES_IMAGE_DRAFT_H
#define IMAGES_IMAGE_DRAFT_H

#include "content.h"
#include "tar.h"

#define SOURCE_DATE_MAX \
	((int64_t)9223372036) /* seconds; nanoseconds of it fit into 64 bits, and years into four digits */
/* $SOURCE_DATE_EPOCH in seconds; when it is not set *ret_s stays as it is. */
_must_check_ struct err *source_date_epoch(int64_t *ret_s);

struct image_draft {
	struct json *config, *manifest;
};
void image_draft_release(struct image_draft *d);
#define _cleanup_image_draft_ _cleanup_(image_draft_release)

_must_check_ struct err *image_draft_from(struct store *s, const struct image *image,
					  struct image_draft *ret);
/* One more layer on top. */
struct image_draft_layer {
	const char *media_type;
	struct digest blob, diff_id;
	uint64_t size;
};
_must_check_ struct err *image_draft_add_layer(struct image_draft *d, const struct image_draft_layer *layer);
/* Writes a layer with what `write` puts into the tar (its end is written here), adds it to the store over `parent` (unset: the lowest) and to the
 * draft. */
_must_check_ struct err *image_draft_write_layer(struct store *s, struct image_draft *d,
						 const struct digest *parent,
						 struct err *(*write)(struct tar_writer *w, void *user),
						 void *user,
						 const struct progress *progress /* may be NULL */);
/* One more step of the history; texts may be NULL. The image is of that time and, when there is one, that author then. */
struct image_draft_step {
	const char *author, *comment, *created_by;
	int64_t created_ns;
	bool empty_layer;
};
_must_check_ struct err *image_draft_add_step(struct image_draft *d, const struct image_draft_step *step);
/* Writes the documents and records the image; the layers are applied. The caller holds the store lock shared. */
_must_check_ struct err *image_draft_record(struct store *s, struct image_draft *d,
					    const struct reference *name /* may be NULL */,
					    struct image **ret);

#endif
