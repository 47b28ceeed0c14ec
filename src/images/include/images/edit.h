/* SPDX-License-Identifier: Apache-2.0 */
/* Images changed without running them: unpacked to a directory and packed again, files put in, configuration changed. A changed image is a
 * new one; what it was made of stays. Times are bounded by SOURCE_DATE_EPOCH (snapshot.h). */
#ifndef IMAGES_EDIT_H
#define IMAGES_EDIT_H

#include "images/store.h"

/* What the new image is called, and the step in its history. */
struct image_edit {
	const struct reference *name;              /* may be NULL */
	const char *author, *comment, *created_by; /* of the step; may be NULL */
	int64_t created_ns;                        /* INT64_MIN: now, or SOURCE_DATE_EPOCH */
	bool no_history;                           /* no step */
	const struct progress *progress;           /* may be NULL */
};

/* The image's tree in `rootfs` of the directory, which is empty, and `havre.json`, by which image_repack knows what it was. */
_must_check_ struct err *image_unpack(struct store *s, const struct image *image, int dirfd,
				      const struct progress *progress);
/* A layer of what was changed in DIR/rootfs since. Without a change no layer is added. Paths in `masked` ("var/cache") are left out. `refresh`:
 * the directory stands for the new image afterwards. */
_must_check_ struct err *image_repack(struct store *s, int dirfd, char *const *masked, bool refresh,
				      const struct image_edit *edit, struct digest *ret_id);
/* The image that the directory was unpacked from, or last refreshed to. */
_must_check_ struct err *image_unpacked_from(int dirfd, struct digest *ret_id);

/* A layer with one file or tree: the host's `source` (NULL: the target is removed) as `target`. opaque: what the image has below the
 * directory goes. */
struct image_insertion {
	const char *source, *target;
	bool opaque;
};
_must_check_ struct err *image_insert(struct store *s, const struct image *image,
				      const struct image_insertion *i, const struct image_edit *edit,
				      struct digest *ret_id);

/* Configuration. */
struct image_config_edit {
	char *const *changes; /* Dockerfile instructions, after the rest */
	const char *author, *architecture, *os, *created;
	char *const *cmd, *const *entrypoint, *const *annotations; /* KEY=value for the manifest */
	bool clear_annotations;
	char *const *clear; /* members of the configuration: "Env", "Labels" … */
};
_must_check_ struct err *image_configure(struct store *s, const struct image *image,
					 const struct image_config_edit *c, const struct image_edit *edit,
					 struct digest *ret_id);

#endif
