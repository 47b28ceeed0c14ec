/* SPDX-License-Identifier: Apache-2.0 */
/* Private: a snapshot taken apart, for those who look at what a container changed. */
#ifndef IMAGES_SNAPSHOT_VIEW_H
#define IMAGES_SNAPSHOT_VIEW_H

#include <time.h>

#include "images/snapshot.h"

struct snapshot_view {
	struct digest image, top; /* top unset: an image without layers */
	int upper;                /* the container's own directory, in overlayfs' form unless `whole` */
	bool whole;               /* upper is the whole tree (snapshot_whole.h) */
	struct timespec since;    /* when it was made */
	int base;                 /* the image's tree; -1: it has none */
	char **made;              /* as snapshot_made_paths */
	struct store *store;
	char *temporary; /* base is here below the store's root */
};
_must_check_ struct err *snapshot_view_open(struct store *s, const char *key, struct snapshot_view *ret);
void snapshot_view_release(struct snapshot_view *v);
#define _cleanup_snapshot_view_ _cleanup_(snapshot_view_release)
#define SNAPSHOT_VIEW_NONE ((struct snapshot_view){.upper = -1, .base = -1})

_must_check_ struct err *snapshot_view_diff(const struct snapshot_view *v, struct snapshot_change **ret,
					    size_t *ret_n);

/* Mount points that starting a container makes where the image has none: "dev", "etc/hosts" … Empty ones are no change of the container's.
 * Only what is in `upper` and not in `base` is listed, and directories that were made for nothing else. */
_must_check_ struct err *snapshot_made_paths(int upper, int base, char ***ret);

/* Host paths of the layers of an image (the empty directory of the snapshot's for one without), the topmost first. *ret_fd (-1: none)
 * holds the mount that one of them may name. */
_must_check_ struct err *snapshot_lower_paths(struct store *s, const char *key, const struct digest *top,
					      char ***ret, int *ret_fd);

/* Those paths as one tree, read-only. */
_must_check_ struct err *snapshot_mount_lower(struct store *s, char *const *paths, int *ret_fd);

/* The whole tree as the container sees it, read-only, without its mounts; also of a running one. */
_must_check_ struct err *snapshot_open_merged(struct store *s, const char *key, int *ret_fd);

#endif
