/* SPDX-License-Identifier: Apache-2.0 */
/* The host's procfs, opened once and verified, before anything of a container is in sight. Everything that the runtime writes below
 * /proc goes through this fd, also from inside a container: a container's own /proc may be anything (CVE-2019-16884,
 * CVE-2019-19921, CVE-2025-52881). "self" works there too: procfs answers in the PID namespace of its own instance.
 */
#ifndef RUNTIME_PROCFS_H
#define RUNTIME_PROCFS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

_must_check_ struct err *procfs_open(int *ret_fd);
/* One write to a file below it. No mount, magic link or `..` is followed on the way. */
_must_check_ struct err *procfs_write(int proc_fd, const char *path, const char *value, size_t size);
/* For files below self/ that only their owner may write: a process that is not dumpable does not own them, so it is made dumpable for
 * the time of the write. Not for a process that a container's root may look at meanwhile (exec). */
_must_check_ struct err *procfs_write_self(int proc_fd, const char *path, const char *value);

bool fd_is_fs(int fd, unsigned long magic); /* fstatfs */

/* For messages about a process that does not end: ", in state D (uninterruptible) at request_wait_answer"; "" when it is gone. Caller
 * frees. */
char *procfs_describe(int pid);

#endif
