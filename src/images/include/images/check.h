/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for damage in an image store, and repairing it.
 *
 * What is looked at: the database itself; every blob that a row names (its bytes against its digest); layers (directories that are
 * missing, tars that do not have their diff id, indexes); index.json; snapshots and their containers; leftovers of killed commands.
 * An unpacked layer directory has no digest, so only that it is there can be said of it.
 *
 * Repair holds the store lock exclusively (ERR_BUSY while an image is being added); looking holds it when it is free, else shared, and then
 * says nothing of leftovers, which may be somebody's work. Killed at any point, the next one goes on. */
#ifndef IMAGES_CHECK_H
#define IMAGES_CHECK_H

#include "images/store.h"

enum check_outcome {
	CHECK_FOUND,    /* can be repaired, and was not asked to be */
	CHECK_REPAIRED, /* is as it was */
	CHECK_LOST,     /* cannot be repaired here: `remedy` says what to do */
};
const char *check_outcome_name(enum check_outcome o); /* "found", "repaired", "lost" */

struct check_problem {
	enum check_outcome outcome;
	char *object;  /* "blob sha256:…", "layer sha256:…", "snapshot KEY" */
	char *problem; /* what is wrong with it */
	char *remedy;  /* what was or can be done */
};
/* Zeroed is empty. */
struct check_report {
	struct check_problem *problems;
	size_t n, cap;
	size_t blobs, layers, images, snapshots; /* looked at */
	uint64_t bytes_read, bytes_freed;
	bool leftovers_skipped; /* an image was being added */
};
void check_report_release(struct check_report *r);
#define _cleanup_check_report_ _cleanup_(check_report_release)

struct check_options {
	bool quick; /* sizes instead of digests */
	bool repair;
	/* The owner of a snapshot: whether there is one, and the id of the image that it was made from. NULL: snapshots are not judged.
	 * *ret_image stays unset when that is not known: such a snapshot cannot be recorded again. */
	struct err *(*find_owner)(void *user, const char *key, bool *ret_exists, struct digest *ret_image);
	bool (*cancelled)(void *user); /* may be NULL */
	void *user;
};
/* `root` as store_open. Fails when it could not look; damage is no failure but in the report. */
_must_check_ struct err *store_check(const char *root, const struct check_options *o,
				     struct check_report *ret);

#endif
