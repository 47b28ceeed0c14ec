/* SPDX-License-Identifier: Apache-2.0 */
/* User namespaces of containers: --userns auto[:size=N], --uidmap, --gidmap, --subuidname. Ids of the container are others on this machine;
 * its image and its volumes keep the container's ids on the disk and are mounted with the same map (idmapped mounts, Linux 5.19 for
 * overlayfs). Maps are "CONTAINER:HOST:SIZE" in spec.uid_map and spec.gid_map.
 *
 * Invariant: the ranges of containers with --userns auto are disjoint; they are chosen in the transaction that inserts the container. */
#ifndef ENGINE_USERNS_H
#define ENGINE_USERNS_H

#include "private.h"

_must_check_ struct err *userns_check(struct container_spec *s, char ***warnings);
bool userns_wanted(const struct container_spec *s); /* one of its own */
/* In the transaction: an auto container gets its range. */
_must_check_ struct err *userns_allocate(struct engine *e, struct container *c);
/* uidMappings or gidMappings of the OCI configuration. */
_must_check_ struct err *userns_mappings(char *const *map, struct json **ret);
/* snapshot_mount_fd through the container's map. */
_must_check_ struct err *userns_mount_snapshot(struct engine *e, const struct container *c, unsigned flags,
					       int *ret_fd);

#endif
