/* SPDX-License-Identifier: Apache-2.0 */
/* The root that CRIU restores into. It mounts everything anew but makes no mount points, and wants the root to be a mount whose parent
 * is not covered. */
#ifndef RUNTIME_RESTORE_MOUNTS_H
#define RUNTIME_RESTORE_MOUNTS_H

#include "base/error.h"
#include "spec.h"

/* Makes the mount points that are missing, in a process with a mount namespace of its own: nothing stays mounted, however it ends. */
_must_check_ struct err *restore_make_targets(const struct spec *s, int bundle_fd, int proc_fd,
					      int root_tree);
/* In the process that becomes CRIU: its own mount namespace, with the root at `path`. It ends with CRIU. */
_must_check_ struct err *restore_enter_root(int root_tree, const char *path);

#endif
