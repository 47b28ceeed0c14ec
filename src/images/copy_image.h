/* SPDX-License-Identifier: Apache-2.0 */
/* Private: one image (no index) from a source to a destination. */
#ifndef IMAGES_COPY_IMAGE_H
#define IMAGES_COPY_IMAGE_H

#include "transport.h"
#include "workers.h"

struct copy {
	const struct copy_options *options;
	struct source *source;
	struct destination *destination;
	struct shared_progress shared;
	struct trust_policy *policy;
};

/* "Copying blob …" and the like. */
void copy_say(struct copy *c, const char *fmt, ...) _printf_(2, 3);

/* Copies config and layers and makes the manifest that the destination gets, which is `m` itself when nothing has to change; putting it is
 * left to the caller. */
_must_check_ struct err *copy_image_content(struct copy *c, const struct raw_manifest *m,
					    struct raw_manifest *ret);

/* The kind of manifest that the destination shall have: OCI or Docker's. */
bool copy_wants_oci(const struct copy *c, bool is_oci);

#endif
