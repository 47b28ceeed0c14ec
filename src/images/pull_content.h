/* SPDX-License-Identifier: Apache-2.0 */
/* Private: the content of one manifest, its config and layers, from a registry into the store. */
#ifndef IMAGES_PULL_CONTENT_H
#define IMAGES_PULL_CONTENT_H

#include "manifest.h"
#include "registry.h"
#include "workers.h"

struct pull_content {
	struct store *store;
	struct registry *registry;
	struct http_client *client; /* lent to the first of the threads that download */
	const struct manifest *manifest;
	const struct digest *manifest_digest;
	const struct platform *platform;
	const char *shown; /* the image, in the user's words */
	bool from_index;   /* the platform was chosen already */
	bool incomplete; /* the image is here, but not all of its content: nothing that is missing is needless */
	unsigned parallel;               /* blobs at a time; 0: default */
	struct shared_progress *shared;  /* its stop ends all work */
	const struct progress *progress; /* serialised */
};
/* ERR_INVALID: the documents do not fit together. On a full disk nothing is kept for a later run. */
_must_check_ struct err *pull_content(const struct pull_content *o);

#endif
