/* SPDX-License-Identifier: Apache-2.0 */
/* Copying many images, as skopeo sync does: the tags of a repository, the images of a directory (of dir: images), or what a YAML file lists, into a
 * registry or a directory. */
#ifndef IMAGES_SYNC_H
#define IMAGES_SYNC_H

#include "images/copy.h"

enum sync_place { SYNC_DOCKER, SYNC_DIR, SYNC_YAML };

struct sync_options {
	enum sync_place from, to; /* to: SYNC_DOCKER or SYNC_DIR; from and to are not both SYNC_DIR */
	bool scoped;              /* the copy keeps the whole name: REGISTRY/PATH, not the last part alone */
	bool dry_run, keep_going;
	const char *append_suffix; /* to each tag; NULL: nothing */
	const char *tag_regex;     /* of a repository: only tags in which this is found (POSIX extended) */
	const char *semver;        /* only tags that are versions and fit this constraint */
	const struct copy_options *copy;
};
struct sync_result {
	unsigned copied, failed;
};
/* What is done is told through the source's progress, message by message. With keep_going, failures are told and counted, and the last is returned
 * when all else is done. */
_must_check_ struct err *image_sync(const char *source, const char *destination, const struct sync_options *o,
				    struct sync_result *ret);

#endif
