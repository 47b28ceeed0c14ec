/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: a container's writable view over an image's layers. Driver of this version: overlayfs over layer directories.
 *
 * A snapshot is a pair of directories (upper, work) under its key. Nothing is mounted on the host: snapshot_mount_fd makes a detached
 * overlay mount (fsopen, fsconfig, fsmount) that exists as long as the fd or the container's mount namespace, so that a crash
 * leaves no mount behind. */
#ifndef IMAGES_SNAPSHOT_H
#define IMAGES_SNAPSHOT_H

#include "images/store.h"

/* `key` is the container's id. ERR_EXISTS when taken. The image's layers stay pinned (store_remove refuses) while it exists. */
_must_check_ struct err *snapshot_prepare(struct store *s, const char *key, const struct image *image);
_must_check_ struct err *snapshot_remove(struct store *s, const char *key); /* absent is success */
enum snapshot_mount_flags {
	SNAPSHOT_READ_ONLY = 1,
	/* fsync in the container and unmounting do not wait for the disk: for containers that are removed when they end (--rm). A
	 * snapshot that was mounted so is not to be trusted after a power failure. */
	SNAPSHOT_VOLATILE = 2,
};
_must_check_ struct err *snapshot_mount_fd(struct store *s, const char *key, unsigned flags, int *ret_fd);
/* Bytes of the container's own changes. */
_must_check_ struct err *snapshot_usage(struct store *s, const char *key, uint64_t *ret_bytes);
_must_check_ struct err *snapshot_list(struct store *s, char ***ret_keys);

/* -- what a container wrote (snapshot_changes.c, snapshot_write.c) ---------------------------------------------- */

/* As docker diff has them, sorted by path. Mount points that were only made for starting the container are left out. */
enum change_kind { CHANGE_MODIFIED = 'C', CHANGE_ADDED = 'A', CHANGE_DELETED = 'D' };
struct snapshot_change {
	enum change_kind kind;
	char *path; /* absolute */
};
_must_check_ struct err *snapshot_changes(struct store *s, const char *key, struct snapshot_change **ret,
					  size_t *ret_n);
void snapshot_changes_free(struct snapshot_change *list, size_t n);

/* The whole tree, the image's and what the container changed, as a tar like docker export's: without mounts, root's own entry and sockets.
 * The same tree gives the same bytes. */
_must_check_ struct err *snapshot_export(struct store *s, const char *key, int fd);

/* A new image: the snapshot's image and one layer with the changes over it. */
struct snapshot_commit_options {
	const struct reference *name; /* may be NULL */
	/* For the configuration's history; may be NULL. */
	const char *author, *message, *created_by;
	/* The object that replaces the configuration's "config", borrowed; NULL: the image's. */
	struct json *config;
	char *const *changes;            /* Dockerfile instructions on top of it; may be NULL */
	const struct progress *progress; /* may be NULL */
};
/* No time of a file is later than SOURCE_DATE_EPOCH, when that is in the environment, and then it is the image's time too: the same changes and
 * options give the same image. */
_must_check_ struct err *snapshot_commit(struct store *s, const char *key,
					 const struct snapshot_commit_options *o, struct digest *ret_id);

#endif
