/* SPDX-License-Identifier: Apache-2.0 */
/* The root of a container: its mount, making it "/", and what is hidden or read-only in it. */
#ifndef RUNTIME_ROOTFS_H
#define RUNTIME_ROOTFS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/inroot.h"
#include "mounts.h"
#include "spec.h"

/* In the child. `tree` is a detached mount: attached over our own "/", so that no path of the host is needed, nor the right
 * to walk it. After this `tree` is the directory to look things up in. */
_must_check_ struct err *rootfs_attach(const struct spec *s, int tree);
_must_check_ struct err *rootfs_mask(const struct spec *s, const struct inroot *root,
				     const struct mounts_kernel *kernel);
/* Makes it "/" and the old root unreachable; root.readonly and linux.rootfsPropagation take effect. */
_must_check_ struct err *rootfs_pivot(const struct spec *s, const struct inroot *root, bool no_pivot);

#endif
