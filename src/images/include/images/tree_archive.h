/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a living tree as a tar, and a tar into a living tree: what `cp` does between a container and this machine, and what docker's
 * archive requests carry. Whoever lives in the tree may change it at any moment and for any purpose: every step is a path resolved inside
 * the root (base/inroot.h) or a directory fd and one name that is not followed, nothing but regular files is opened, and the kernel's own
 * file systems (/proc, /sys, control groups) are neither read nor written.
 *
 * The tar is what docker cp writes: names below the name of the thing itself, times in whole seconds, no sockets. */
#ifndef IMAGES_TREE_ARCHIVE_H
#define IMAGES_TREE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/inroot.h"

/* Writes the thing behind `thing` (O_PATH, a symbolic link is itself) under `name`, with what is below it, and the end of the archive.
 * "." as the name: what is in a directory, for another one. *ret_bytes (may be NULL): of the archive. */
_must_check_ struct err *tree_archive_write(int thing, const char *name, int fd, uint64_t *ret_bytes);

enum tree_archive_owner {
	TREE_OWNER_ARCHIVE, /* as the archive says */
	/* Nothing of the archive's rights is taken over: files are ours, without set-user-id bits and extended attributes; devices are refused. */
	TREE_OWNER_OURS,
	TREE_OWNER_GIVEN, /* uid and gid below */
};
struct tree_archive_extract_options {
	enum tree_archive_owner owner;
	uid_t uid;
	gid_t gid;
	bool replace; /* a file may take the place of a directory with all that is in it, and the other way round */
};
/* Puts what comes from `fd`, a tar (also one compressed by gzip or zstd where libraries can be loaded), below the directory `base` inside
 * `root`, which must be there. A directory merges with one that is there, anything else replaces what has its name. Symbolic links of the
 * tree are followed in the middle of a path. ERR_CORRUPT: no tar. *ret_bytes (may be NULL): read from fd. */
_must_check_ struct err *tree_archive_extract(const struct inroot *root, const char *base, int fd,
					      const struct tree_archive_extract_options *o,
					      uint64_t *ret_bytes);

#endif
