/* SPDX-License-Identifier: Apache-2.0 */
/* Private: snapshots of the vfs driver, which are whole copies of an image's tree in KEY/upper. The file KEY/whole says so; it is made when the
 * copy is complete, and what was changed afterwards has no older ctime. */
#ifndef IMAGES_SNAPSHOT_WHOLE_H
#define IMAGES_SNAPSHOT_WHOLE_H

#include <time.h>

#include "images/snapshot.h"

/* since may be NULL. */
bool snapshot_is_whole(struct store *s, const char *key, struct timespec *ret_since);
/* dirfd is KEY's directory, which has `upper`. */
_must_check_ struct err *snapshot_fill(struct store *s, const struct image *image, int dirfd);
_must_check_ struct err *snapshot_mount_whole(struct store *s, const char *key, unsigned flags, int *ret_fd);

/* The tree of a chain of layers (top unset: an empty one) in a directory of `to`, an empty one, by copying. */
_must_check_ struct err *layers_unpack(struct store *s, const struct digest *top, int to,
				       const struct progress *progress);
/* The same tree to look at: a mount where there can be one, else a copy in ingest/, whose name is *ret_temporary: to be removed with
 * file_remove_tree_at(s->root_fd) and freed. *ret_fd -1: an image without layers. */
_must_check_ struct err *layers_open(struct store *s, const struct digest *top, int *ret_fd,
				     char **ret_temporary);

#endif
