/* SPDX-License-Identifier: Apache-2.0 */
/* --pid, --ipc, --uts and --userns container:NAME: the namespaces of another container that runs. */
#ifndef ENGINE_NAMESPACE_JOIN_H
#define ENGINE_NAMESPACE_JOIN_H

#include "private.h"
#include "start_fds.h"

/* The NAME of container:NAME, borrowed; NULL: another mode. */
const char *mode_container(const char *mode);
/* At creation: those that are named exist, and let themselves be joined. */
_must_check_ struct err *namespaces_check(struct engine *e, const struct container_spec *s);
/* At the start: opens them, and with --ipc the shared memory that belongs to it (*ret_shm: its path in the monitor, or NULL). */
_must_check_ struct err *namespaces_join(struct engine *e, const struct container_spec *s,
					 struct start_fds *fds, char **ret_shm);
/* Opens /proc/PID/WHAT of its init, and of no other process. ERR_STATE when it has ended. */
_must_check_ struct err *container_open_proc(const struct container *c, const char *what, int *ret_fd);

#endif
