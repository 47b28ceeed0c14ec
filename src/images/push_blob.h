/* SPDX-License-Identifier: Apache-2.0 */
/* Private: one blob from the store into the registry. */
#ifndef IMAGES_PUSH_BLOB_H
#define IMAGES_PUSH_BLOB_H

#include "content.h"
#include "manifest.h"
#include "registry.h"

struct push_blob {
	struct store *store;
	struct registry *registry;
	const struct progress *progress; /* serialised; its cancelled ends the work */
};

/* Uploads `d` unless the registry's repository has it. `mount_from`: another repository of the same registry that probably has it; NULL:
 * none is known. An upload that breaks is continued where the registry says it stands. */
_must_check_ struct err *push_blob(const struct push_blob *p, struct http_client *client,
				   const struct descriptor *d, const char *mount_from);

/* The two halves, without a store. `fd` has d->size bytes. A blob that another repository has is there afterwards. */
_must_check_ struct err *push_blob_exists(const struct push_blob *p, struct http_client *client,
					  const struct descriptor *d, const char *mount_from, bool *ret);
_must_check_ struct err *push_blob_file(const struct push_blob *p, struct http_client *client,
					const struct descriptor *d, int fd);

#endif
