/* SPDX-License-Identifier: Apache-2.0 */
/* Private: the files of containers-registries.conf(5) in the order in which they count: $CONTAINERS_REGISTRIES_CONF alone; else the user's file, or
 * else the system's, and the drop-ins of both. What is read later replaces what was read before. */
#ifndef IMAGES_REGISTRY_CONF_H
#define IMAGES_REGISTRY_CONF_H

#include "base/toml.h"

/* `event` for everything in them, `end` (may be NULL) after each file. Errors name the file. */
_must_check_ struct err *registries_conf_read(struct err *(*event)(void *user, const struct toml_event *e),
					      struct err *(*end)(void *user), void *user);
/* One file; it may be missing. */
_must_check_ struct err *
registries_conf_read_file(const char *path, struct err *(*event)(void *user, const struct toml_event *e),
			  struct err *(*end)(void *user), void *user);

#endif
