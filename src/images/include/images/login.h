/* SPDX-License-Identifier: Apache-2.0 */
/* Logging in to a registry and out again: credentials are proved to the registry, then kept where docker, podman and skopeo find them too
 * (containers-auth.json(5), docker's config.json and credential helpers). */
#ifndef IMAGES_LOGIN_H
#define IMAGES_LOGIN_H

#include "images/store.h"

struct login_options {
	const char *username, *password;
	bool insecure;
	const char *ca_file;
	const char *auth_file;           /* NULL: where an entry is already, else docker's config.json */
	const struct progress *progress; /* cancelled is asked while waiting; may be NULL */
};

/* What the user typed ("https://host/v1/", "host:5000", NULL) as "host:5000", or "host/namespace"; NULL is docker.io. ERR_INVALID. */
_must_check_ struct err *login_server_parse(const char *s, char **ret);
/* Asks the registry whether it knows the user; ERR_UNAUTHORIZED when not. Nothing is kept. */
_must_check_ struct err *login_check(const char *server, const struct login_options *o);
/* The same, and keeps them. *ret_place: the file, or the program that keeps the secret; *ret_plain: the secret is readable there. */
_must_check_ struct err *login(const char *server, const struct login_options *o, char **ret_place,
			       bool *ret_plain);
/* Who is logged in already. Nobody is success with *ret_username NULL. *ret_password may be "" (a token). */
_must_check_ struct err *login_current(const char *server, const char *auth_file, char **ret_username,
				       char **ret_password);
/* Removes the credentials from every file and helper that has them. *ret_found: any. */
_must_check_ struct err *logout(const char *server, const char *auth_file, bool *ret_found);
/* All registries. *ret_servers: whose credentials went. */
_must_check_ struct err *logout_all(const char *auth_file, char ***ret_servers);

#endif
