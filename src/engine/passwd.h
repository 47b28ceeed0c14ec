/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process of a container is: "user[:group]" resolved with the /etc/passwd and /etc/group of its own root file system.
 *
 * Those files are written by strangers. The rules (CVE-2024-40635, CVE-2026-46680, CVE-2024-9676):
 *  - text of digits only is a number, always; it is never looked up as a name, and one that does not fit is an error;
 *  - a line whose numbers are not plain decimal numbers in range does not exist;
 *  - the files are regular files of bounded size, opened inside the root.
 */
#ifndef ENGINE_PASSWD_H
#define ENGINE_PASSWD_H

#include <stdint.h>

#include "base/inroot.h"

#define USER_ID_MAX INT32_MAX /* as docker: above it is the kernel's "no change" value and overflow country */

struct user {
	uint32_t uid, gid;
	uint32_t *groups; /* additional ones, without gid, without duplicates */
	size_t n_groups;
	char *home; /* never NULL: "/" when unknown */
};
void user_release(struct user *u);
#define _cleanup_user_ _cleanup_(user_release)

/* The parser alone, over the files' contents (NULL: absent). `spec` NULL or "" is root; group_add: names or numbers. */
_must_check_ struct err *user_lookup(const char *spec, char *const *group_add, const char *passwd,
				     size_t passwd_size, const char *group, size_t group_size,
				     struct user *ret);
_must_check_ struct err *user_resolve(const struct inroot *root, const char *spec, char *const *group_add,
				      struct user *ret);

#endif
