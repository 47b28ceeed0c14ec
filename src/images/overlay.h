/* SPDX-License-Identifier: Apache-2.0 */
/* Detached overlayfs mounts. */
#ifndef IMAGES_OVERLAY_H
#define IMAGES_OVERLAY_H

#include <stdbool.h>

#include "base/error.h"

#define OVERLAY_LAYERS_MAX 500 /* the kernel's OVL_MAX_STACK */

struct overlay {
	char *const *lower; /* absolute host paths of ours, the uppermost first */
	size_t n_lower;
	const char *upper, *work; /* NULL: none, the mount is read-only */
	bool read_only, is_volatile;
	const char *target; /* an existing directory, used by kernels before 6.5 only */
};
/* overlayfs's own attributes: trusted.overlay.*, which only root of the machine can have, or user.overlay.* for everybody else. */
bool overlay_userxattr(void);
/* A mount that is attached nowhere and disappears with its last fd. Without `upper` and with one lower there is nothing for overlayfs to
 * do: that is ERR_INVALID (open the directory instead). */
_must_check_ struct err *overlay_mount_fd(const struct overlay *o, int *ret_fd);

#endif
