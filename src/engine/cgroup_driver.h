/* SPDX-License-Identifier: Apache-2.0 */
/* Who makes the containers' cgroups: we, in the file system, or systemd, as scopes.
 *
 *     [cgroup]
 *     driver = "systemd"      # in havre.toml; cgroupfs, or auto (the default)
 *
 * auto is systemd where cgroup v2 is all there is and the systemd that is meant can be reached: the machine's for root, the session's for an
 * ordinary user, who gets limits in no other way. */
#ifndef ENGINE_CGROUP_DRIVER_H
#define ENGINE_CGROUP_DRIVER_H

#include <stdbool.h>

#include "engine/engine.h"
#include "runtime/cgroup.h"

/* `needs_bus`: for another OCI runtime, which speaks to systemd over D-Bus alone. */
_must_check_ struct err *cgroup_driver_is_systemd(bool needs_bus, bool *ret);
/* The cgroup of a container that runs, whichever runtime made it. */
_must_check_ struct err *container_cgroup(struct engine *e, const struct container *c,
					  struct rt_cgroup **ret);
/* linux.cgroupsPath of a container. ERR_INVALID: its --cgroup-parent is not of the driver's kind. Caller frees. */
_must_check_ struct err *cgroup_driver_path(const struct container *c, bool systemd, char **ret);

#endif
