/* SPDX-License-Identifier: Apache-2.0 */
/* Private: who we are for a registry, from the files that docker, podman and skopeo write (containers-auth.json(5), docker's
 * config.json), and from credential helpers. credentials.c reads, credentials_store.c writes, credentials_helper.c runs the helpers. */
#ifndef IMAGES_CREDENTIALS_H
#define IMAGES_CREDENTIALS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

#define CREDENTIAL_FILE_MAX ((size_t)1 << 20)
#define CREDENTIALS_HUB_KEY "https://index.docker.io/v1/" /* how docker login names docker.io */
#define CREDENTIALS_TOKEN_USER "<token>" /* a helper's user name when the secret is an identity token */

struct credentials {
	char *username, *password; /* NULL: none */
	char *identity_token;      /* an OAuth2 refresh token, instead of a password */
	char *source;              /* the file or helper they come from, for messages */
	char *helper_failure;      /* what a credential helper said that had none or failed; for messages */
};
void credentials_release(struct credentials *c);
#define _cleanup_credentials_ _cleanup_(credentials_release)

/* For "domain/path": the most specific entry of the first file that has one. Nothing found is success with an empty *ret. A file that
 * cannot be parsed is an error; a helper that fails is remembered. */
_must_check_ struct err *credentials_find(const char *domain, const char *path, struct credentials *ret);

/* The same from one file (NULL: from all). */
_must_check_ struct err *credentials_find_in(const char *auth_file, const char *domain, const char *path,
					     struct credentials *ret);
/* Where they are looked for, first one first: auth_file, or $REGISTRY_AUTH_FILE, or podman's places and then docker's. */
char **credentials_files(const char *auth_file);
/* "https://host/v1/" and "host": the same registry. Keys with a path keep it. Caller frees. */
char *credentials_normal_key(const char *key);

/* `server` is a normal key. Keeps them in the file that names it already or that has a helper for it, else in the last of the files; what
 * else is in the file stays. *ret_place: the file or helper; *ret_plain: it is a file, where they can be read. */
_must_check_ struct err *credentials_store(const char *server, const struct credentials *c,
					   const char *auth_file, char **ret_place, bool *ret_plain);
/* From every file and helper that has them. */
_must_check_ struct err *credentials_erase(const char *server, const char *auth_file, bool *ret_found);
_must_check_ struct err *credentials_list(const char *auth_file, char ***ret);

/* docker-credential-HELPER. get: not installed, or a failure, is success without credentials. */
_must_check_ struct err *credentials_helper_get(const char *helper, const char *server,
						struct credentials *c);
_must_check_ struct err *credentials_helper_store(const char *helper, const char *server,
						  const struct credentials *c);
_must_check_ struct err *credentials_helper_erase(const char *helper, const char *server, bool *ret_erased);
_must_check_ struct err *credentials_helper_list(const char *helper, char ***servers); /* appended */

#endif
