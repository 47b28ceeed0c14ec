/* SPDX-License-Identifier: Apache-2.0 */
/* Containers of ordinary users, and of root in somebody's user namespace: what such a caller may not do, and what takes its
 * place. user_namespaces(7), subuid(5).
 *
 * An ordinary user gets a user namespace whether the configuration has one or not: nothing else can be made without. Where the
 * configuration gives no id mappings, 0 inside is the caller and 1 and above are its subordinate ids (/etc/subuid, by newuidmap);
 * without those, the one id that the process runs as is the caller's.
 */
#ifndef RUNTIME_ROOTLESS_H
#define RUNTIME_ROOTLESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "spec.h"

#define SUBID_RANGES_MAX 64 /* the kernel takes 340 lines in a map, newuidmap fewer on its command line */

/* Not user 0: told by the kernel at execve, no system call. */
bool rootless_user(void);
/* Also true for root in a user namespace that is not the first: reads /proc/self/uid_map. */
bool rootless_confined(int proc_fd);

/* Where states are when the caller does not say: /run/havre-runtime, or below XDG_RUNTIME_DIR for those who cannot write there. Caller
 * frees. */
char *rootless_state_root(void);

/* Gives the configuration of an ordinary user the user namespace and the mappings that it lacks, and root's the mappings of a user
 * namespace that has none; *config is replaced by a changed
 * copy then. *ret_own_maps: the mappings are ours, so they may shrink to one id. Warnings are added. */
_must_check_ struct err *rootless_adapt(struct json **config, bool *ret_own_maps, char ***warnings);

struct rootless_maps {
	struct spec_id_map uid[SUBID_RANGES_MAX + 1], gid[SUBID_RANGES_MAX + 1];
	struct spec_id_maps maps; /* of these two */
};
/* 0 inside is the caller and 1 and above its subordinate ids; without those (a warning says why) the caller is `uid` and `gid`, alone. */
void rootless_maps_of_caller(struct rootless_maps *ret, uint32_t uid, uint32_t gid, char ***warnings);

struct subid_range {
	uint32_t first, count;
};
/* The ranges of a user, by name (may be NULL) or number, in the text of subuid(5); malformed lines are skipped, at most
 * `max` ranges are returned. */
size_t subid_parse(const char *text, const char *name, uid_t uid, struct subid_range *ret, size_t max);

#endif
