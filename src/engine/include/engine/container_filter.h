/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of container lists, as docker has them and podman adds to them. Several values of one key: any of them; several keys, and
 * several labels: all of them. */
#ifndef ENGINE_CONTAINER_FILTER_H
#define ENGINE_CONTAINER_FILTER_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

struct engine;
struct container;

struct container_filter;
/* `pairs`: KEY=VALUE. ERR_INVALID for an unknown key or a value that cannot be one of its key's; ERR_NOT_FOUND for a container that
 * before= or since= names. The engine must outlive the filter. */
_must_check_ struct err *container_filter_new(struct engine *e, char *const *pairs,
					      struct container_filter **ret);
void container_filter_free(struct container_filter *f);
DEFINE_CLEANUP(struct container_filter *, container_filter_free)
#define _cleanup_container_filter_ _cleanup_(container_filter_freep)

/* Is a filter about how containers stand, so that those that do not run are looked at without being asked for? */
bool container_filter_about_status(const struct container_filter *f);
bool container_filter_matches(const struct container_filter *f, const struct container *c);

#endif
