/* SPDX-License-Identifier: Apache-2.0 */
/* Private: what the files of the check share. */
#ifndef IMAGES_STORE_CHECK_H
#define IMAGES_STORE_CHECK_H

#include "images/check.h"
#include "store_image.h"

struct check {
	struct store *store;
	const struct check_options *options;
	struct check_report *report;
	bool alone;        /* holds the exclusive lock */
	bool keep_garbage; /* an image could not be brought back: what is left of it may serve its next pull */
};

/* Owns object and problem; copies remedy. */
void check_add(struct check *c, enum check_outcome outcome, char *object, char *problem, const char *remedy);
/* What repair does, or what it did: CHECK_REPAIRED when `e` (consumed) is NULL. Without repair nothing was done: CHECK_FOUND. */
void check_add_repair(struct check *c, struct err *e, char *object, char *problem, const char *done);
_must_check_ struct err *check_cancelled(const struct check *c);
/* The first column of a query, as a vector. */
_must_check_ struct err *check_query(struct check *c, const char *sql, char ***ret);
/* Names of the entries of ROOT/DIR, sorted; an absent directory has none. */
_must_check_ struct err *check_list(struct check *c, const char *dir, char ***ret);
/* How the user knows the image with this manifest: a name, or an id. Caller frees. */
char *check_image_name(struct check *c, const char *manifest);

/* store_check_content.c */
_must_check_ struct err *check_blobs(struct check *c);
/* store_check_layers.c */
_must_check_ struct err *check_layers(struct check *c);
/* store_rebuild.c: the database from what is in the store. `salvaged`: repository digests that could still be read from the old one. */
_must_check_ struct err *store_rebuild(struct check *c, char *const *salvaged);
/* Moves a damaged database aside. */
_must_check_ struct err *store_set_database_aside(int root_fd, const char *root);
/* Whether index.json, or an interrupted rebuild, knows images while the database has none. */
_must_check_ struct err *store_rebuild_needed(struct check *c, bool *ret);
/* Makes the row of a snapshot again whose directory is there. */
_must_check_ struct err *store_rebuild_snapshot(struct store *s, const char *key, const struct digest *image);

#endif
