/* SPDX-License-Identifier: Apache-2.0 */
/* Names without a registry, containers-registries.conf(5), "Short-Name Aliasing": an alias, or each of the unqualified-search-registries. Where
 * nothing is configured a short name is one of docker.io, as with docker. */
#ifndef IMAGES_SHORT_NAMES_H
#define IMAGES_SHORT_NAMES_H

#include <stdbool.h>

#include "base/error.h"
#include "images/reference.h"

/* "debian", "team/app:1", not "localhost/app" or an image's id. */
bool short_name_is(const char *s);

enum short_name_mode { SHORT_NAME_PERMISSIVE, SHORT_NAME_ENFORCING, SHORT_NAME_DISABLED };
struct short_name {
	char **names; /* canonical references, in the order in which they are tried; never empty */
	enum short_name_mode mode;
	bool alias; /* the one name comes from a table of aliases */
};
void short_name_release(struct short_name *s);
#define _cleanup_short_name_ _cleanup_(short_name_release)
/* A full name has one: itself. */
_must_check_ struct err *short_name_resolve(const char *s, struct short_name *ret);
/* The error for a choice that nobody can make: mode enforcing, several names and no terminal. */
_must_check_ struct err *short_name_ambiguous(const char *s, const struct short_name *names);
/* Records what was chosen, for podman too: ~/.cache/containers/short-name-aliases.conf, root's in /var/cache/containers. */
_must_check_ struct err *short_name_remember(const char *s, const struct reference *chosen);
/* Where names without a registry are searched. Caller frees with strv_free. */
_must_check_ struct err *short_name_registries(char ***ret);

#endif
