/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets: small pieces of data that containers are given and images never contain. One file each, ROOT/secrets/NAME.json, readable by its
 * owner alone; it is whole or not there. A container reads the secret when it starts.
 */
#ifndef ENGINE_SECRET_H
#define ENGINE_SECRET_H

#include "engine/engine.h"

#define SECRET_MAX 512000 /* bytes, podman's limit */

struct secret {
	char *name, id[26]; /* 25 hex digits */
	int64_t created_ns, updated_ns;
	char **labels; /* KEY=value */
	char *data;    /* only from secret_read */
	size_t size;
};
void secret_release(struct secret *s);
#define _cleanup_secret_ _cleanup_(secret_release)

/* ERR_EXISTS unless `replace`. Data of 1 to SECRET_MAX bytes. */
_must_check_ struct err *secret_create(struct engine *e, const char *name, const void *data, size_t size,
				       char *const *labels, bool replace, char **ret_id);
/* By name, id or unique beginning of an id. ERR_NOT_FOUND "no such secret". */
_must_check_ struct err *secret_read(struct engine *e, const char *what, struct secret *ret);
_must_check_ struct err *secret_list(struct engine *e, struct secret **ret,
				     size_t *ret_n); /* by name; without data */
void secrets_free(struct secret *list, size_t n);
/* Running containers keep what they were given. */
_must_check_ struct err *secret_remove(struct engine *e, const char *what);

#endif
