/* SPDX-License-Identifier: Apache-2.0 */
/* A directory that is a root for somebody else: a container's root file system, a layer being applied, a
 * build context.
 *
 * Paths inside it are never strings joined to a host path. They are resolved by the kernel (openat2 with
 * RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS): absolute symlinks and `..` stay inside, /proc magic links are
 * refused. A race by somebody who changes the tree while we walk ends in an error or at another place inside,
 * never outside.
 *
 * Invariant: no function of havre takes a "rootfs path + path inside" pair of strings.
 */
#ifndef BASE_INROOT_H
#define BASE_INROOT_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"

struct inroot {
	int fd; /* O_PATH or O_RDONLY directory fd; owned by whoever made the inroot */
};

/* Opens the host directory `path` as a root. The host path itself is trusted. */
_must_check_ struct err *inroot_open(const char *path, struct inroot *ret);
void inroot_close(struct inroot *root);
#define _cleanup_inroot_ _cleanup_(inroot_close)
#define INROOT_NONE      \
	(struct inroot)  \
	{                \
		.fd = -1 \
	}

/* open(2) inside. O_CLOEXEC is added. EAGAIN from racing renames is retried a bounded number of times. */
_must_check_ struct err *inroot_open_at(const struct inroot *root, const char *path, int flags, mode_t mode,
					int *ret_fd);

/* The same, and the last component must not be a symlink. */
_must_check_ struct err *inroot_open_nofollow(const struct inroot *root, const char *path, int flags,
					      mode_t mode, int *ret_fd);

/* Makes the directories of `path` that are missing, each with `mode`, and returns an O_PATH|O_DIRECTORY fd of
 * the last. Made through directory fds: a dangling symlink on the way is followed inside the root, nothing is
 * made outside. */
_must_check_ struct err *inroot_mkdir_p(const struct inroot *root, const char *path, mode_t mode,
					int *ret_fd);

/* Opens the parent directory of `path` inside (O_PATH) and points *ret_name into `path`'s last component
 * (copied, caller frees). The name is never "", "." or "..": such paths are ERR_INVALID. */
_must_check_ struct err *inroot_open_parent(const struct inroot *root, const char *path, int *ret_fd,
					    char **ret_name);

/* Reads a regular file of at most `max` bytes that belongs to the container (etc/passwd …): not a FIFO, not a
 * device. Caller frees; NUL-terminated. */
_must_check_ struct err *inroot_read_file(const struct inroot *root, const char *path, size_t max,
					  char **ret_data, size_t *ret_size);

#endif
