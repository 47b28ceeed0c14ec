/* SPDX-License-Identifier: Apache-2.0 */
/* Private: one blob from the registry into the store. */
#ifndef IMAGES_PULL_BLOB_H
#define IMAGES_PULL_BLOB_H

#include "blob_feed.h"
#include "content.h"
#include "manifest.h"
#include "registry.h"

struct pull_split;

struct pull_blob {
	struct store *store;
	struct registry *registry;
	const struct progress *progress; /* serialised; its cancelled ends the work */
	const bool *
		discard; /* true: what was received is thrown away (the disk is full) rather than kept for a later run */
};

/* Downloads `d` unless the store has it. The bytes are hashed while they are written; a broken connection is continued where it broke, and so
 * is what an earlier run left. ERR_CORRUPT names digest and registry. */
_must_check_ struct err *pull_blob(const struct pull_blob *p, struct http_client *client,
				   const struct descriptor *d,
				   struct blob_feed *feed /* told what comes; NULL: nobody */,
				   struct pull_split *split /* lets others help; NULL: nobody */);

/* Where a download goes. What is there already is continued behind. */
struct blob_sink {
	uint64_t (*offset)(void *user);
	struct err *(*restart)(void *user);
	struct err *(*write)(void *user, const void *data, size_t size);
	void *user;
};
/* The same into anything; the caller looks at the digest. `progress` may be NULL. */
_must_check_ struct err *registry_blob_get(struct registry *r, struct http_client *client,
					   const struct descriptor *d, const struct blob_sink *sink,
					   const struct progress *progress);

/* Only to `end`, and only as the part that it is. *ret_no_parts: an error because the registry sends whole blobs. */
_must_check_ struct err *registry_blob_get_part(struct registry *r, struct http_client *client,
						const struct descriptor *d, uint64_t end,
						const struct blob_sink *sink, bool *ret_no_parts);

/* What progress calls a blob: twelve digits of its digest. */
struct blob_short_id {
	char s[13];
};
struct blob_short_id blob_short_id(const struct digest *d);

#endif
