/* SPDX-License-Identifier: Apache-2.0 */
/* Copying a directory into an empty one, on fds: what tmpcopyup does. */
#ifndef RUNTIME_TREE_COPY_H
#define RUNTIME_TREE_COPY_H

#include "base/error.h"

/* Contents of `from` into `to`, and from's own mode and owner: files, directories, symlinks, devices, FIFOs, with owners, modes, times.
 * Symlinks are never followed; other mounts are not entered. */
_must_check_ struct err *tree_copy(int from, int to);

#endif
