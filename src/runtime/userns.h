/* SPDX-License-Identifier: Apache-2.0 */
/* Id mappings of user namespaces. user_namespaces(7). */
#ifndef RUNTIME_USERNS_H
#define RUNTIME_USERNS_H

#include <sys/types.h>

#include "base/error.h"
#include "spec.h"

/* Writes the maps of a process's new user namespace: directly, or as an ordinary user by newuidmap and newgidmap, which
 * know /etc/subuid. With `shrink` (a process; NULL: never) the maps become one line, the id of that process for the caller's
 * own, where the tools fail; why goes to warnings. */
_must_check_ struct err *userns_write_maps(int proc_fd, pid_t pid, const struct spec_id_maps *maps,
					   const struct spec_process *shrink, char ***warnings);
/* NULL when newuidmap and newgidmap are in PATH, else which is missing. */
const char *userns_mappers_missing(void);
/* A user namespace that has these maps and nothing else, for idmapped mounts. */
_must_check_ struct err *userns_make(int proc_fd, const struct spec_id_maps *maps, int *ret_fd);
/* In the child, once its maps are there: becomes root inside; or, where nobody is, the process's user. */
_must_check_ struct err *userns_become_root(const struct spec_process *p);

#endif
