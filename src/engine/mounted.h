/* SPDX-License-Identifier: Apache-2.0 */
/* Private: file systems that somebody wants at a path of this machine, RUN/mounts/NAME. */
#ifndef ENGINE_MOUNTED_H
#define ENGINE_MOUNTED_H

#include "private.h"

char *mounted_path(const struct engine *e, const char *name);
bool mounted_is(const char *path);
/* A detached mount gets the path, which is made. */
_must_check_ struct err *mounted_attach(int fd, const char *path);
/* What is not mounted is success; force: also when it is in use. */
_must_check_ struct err *mounted_detach(const char *path, bool force);
/* Whether a snapshot's key is one of `image mount`. */
bool image_mounted_key(const char *key);

#endif
