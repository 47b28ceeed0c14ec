/* SPDX-License-Identifier: Apache-2.0 */
/* /dev of a container: default devices, linux.devices, symlinks. config-linux.md "Devices", "Default Devices". */
#ifndef RUNTIME_DEVICES_H
#define RUNTIME_DEVICES_H

#include <stdbool.h>

#include "base/error.h"
#include "base/inroot.h"
#include "spec.h"

/* In the parent, for a container with a new user namespace: linux.devices as nodes of a detached tmpfs, each named by its index, owned as
 * the configuration says. *ret_tree stays as it is where none are wanted, or we may not make any either. */
_must_check_ struct err *devices_prepare(const struct spec *s, int *ret_tree);
/* `tree`: of devices_prepare, or -1. `new_dev`: the tmpfs that was mounted on /dev, or -1. The calling process still sees the host's /dev, which is bound where nodes cannot be made (user namespaces). */
_must_check_ struct err *devices_make(const struct spec *s, const struct inroot *root, int new_dev, int tree);
/* A detached mount of the host's /dev/null, verified to be the null device (CVE-2025-31133). */
_must_check_ struct err *device_null_clone(int *ret_fd);
/* The host's /dev/null itself, verified as well; an O_PATH fd. */
_must_check_ struct err *device_null_open(int *ret_fd);

#endif
