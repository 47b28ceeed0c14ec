/* SPDX-License-Identifier: Apache-2.0 */
/* Host files of our own: bounded reads, durable replacement, locks, trees. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/error.h"

/* Reads at most `max` bytes; a larger file is ERR_LIMIT. NUL-terminated; caller frees. Works on /proc files
 * too. */
_must_check_ struct err *file_read(const char *path, size_t max, char **ret_data, size_t *ret_size);
_must_check_ struct err *file_read_at(int dirfd, const char *name, size_t max, char **ret_data,
				      size_t *ret_size);
_must_check_ struct err *file_read_fd(int fd, const char *what, size_t max, char **ret_data,
				      size_t *ret_size);

/* Writes to an existing file in one write(2): for /proc, /sys and cgroup files. */
_must_check_ struct err *file_write_existing_at(int dirfd, const char *name, const void *data, size_t size);

enum file_durability {
	FILE_VOLATILE, /* temporary name, rename: atomic for readers, not synced (run directories) */
	FILE_DURABLE,  /* temporary name, fsync, rename, fsync of the directory: survives power loss */
};
/* Replaces or makes `name` below dirfd (AT_FDCWD and a path work too). */
_must_check_ struct err *file_replace_at(int dirfd, const char *name, const void *data, size_t size,
					 mode_t mode, enum file_durability durability);

_must_check_ struct err *file_mkdir_p(const char *path, mode_t mode);
/* Removes a tree of ours through directory fds, never following a symlink and never crossing into a mount.
 * Absent is success. */
_must_check_ struct err *file_remove_tree_at(int dirfd, const char *name);
_must_check_ struct err *file_sync_dir(int dirfd, const char *what);

/* flock(2) on a file that is made when missing. FILE_LOCK_TRY answers ERR_BUSY. Released by closing the fd.
 */
enum file_lock { FILE_LOCK_SHARED, FILE_LOCK_EXCLUSIVE, FILE_LOCK_TRY_EXCLUSIVE };
_must_check_ struct err *file_lock_at(int dirfd, const char *name, enum file_lock how, int *ret_fd);

#endif
