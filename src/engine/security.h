/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities and --security-opt: what a container may do. */
#ifndef ENGINE_SECURITY_H
#define ENGINE_SECURITY_H

#include "base/json.h"
#include "engine/engine.h"

/* Checks the names and options, and replaces seccomp=FILE by the file's content ("seccomp={…}"), so that a start does not
 * depend on the file. */
_must_check_ struct err *security_check(struct container_spec *s);
/* The granted capabilities, "CAP_…", in the kernel's order. Caller frees. */
char **security_capabilities(const struct container_spec *s);
bool security_no_new_privileges(const struct container_spec *s);
bool security_system_paths_unconfined(const struct container_spec *s);
/* linux.seccomp, or NULL when unconfined. */
_must_check_ struct err *security_seccomp(const struct container_spec *s, char *const *capabilities,
					  struct json **ret);

/* docker's profile format (archMap, includes, excludes) or the specification's own to a linux.seccomp object. */
_must_check_ struct err *seccomp_profile_resolve(struct json *profile, char *const *capabilities,
						 struct json **ret);

#endif
