/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts as docker's users write them: -v SOURCE:TARGET[:OPTIONS] (the API's Binds, too), --mount type=…,…, --tmpfs TARGET[:OPTIONS]. On
 * failure (ERR_INVALID, ERR_LIMIT) *ret is not touched. */
#ifndef ENGINE_MOUNT_SPEC_H
#define ENGINE_MOUNT_SPEC_H

#include "engine/engine.h"

_must_check_ struct err *volume_spec_parse(const char *s, struct container_mount *ret);
_must_check_ struct err *mount_spec_parse(const char *s, struct container_mount *ret);
_must_check_ struct err *tmpfs_spec_parse(const char *s, struct container_mount *ret);

#endif
