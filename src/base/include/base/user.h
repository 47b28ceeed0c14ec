/* SPDX-License-Identifier: Apache-2.0 */
/* Whom we work for. An ordinary user's commands run as root of a user namespace (runtime/rootless.h); that they are his is told by the
 * environment, which crosses execve: uids inside look like root's. */
#ifndef BASE_USER_H
#define BASE_USER_H

#include <stdbool.h>
#include <sys/types.h>

#define USER_ROOTLESS_VARIABLE "HAVRE_ROOTLESS_UID"

/* The machine's root, or one who may be taken for it; false also for root of an ordinary user's own namespace. */
bool user_is_root(void);
/* Root of a user namespace that is not the first, whoever made it: without rights over the machine, over trusted.* attributes for one. */
bool user_is_confined(void);
/* Whether the text of an uid_map is that of the first user namespace, or of a child that maps all ids to themselves and is as good. */
bool user_map_is_whole(const char *uid_map);
/* The user as the machine knows it. */
uid_t user_id(void);

#endif
