/* SPDX-License-Identifier: Apache-2.0 */
/* An fd that only a process elsewhere can make: in another mount namespace, whose entering changes root and working directory. */
#ifndef ENGINE_FD_FROM_CHILD_H
#define ENGINE_FD_FROM_CHILD_H

#include "base/error.h"

/* Runs `make` in a child of ours, which ends with it; its error comes back whole. */
_must_check_ struct err *fd_from_child(struct err *(*make)(void *user, int *ret_fd), void *user, int *ret_fd);

#endif
