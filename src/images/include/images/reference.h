/* SPDX-License-Identifier: Apache-2.0 */
/* Image references with docker's normalisation: "debian" is docker.io/library/debian:latest. */
#ifndef IMAGES_REFERENCE_H
#define IMAGES_REFERENCE_H

#include "base/digest.h"
#include "base/error.h"

struct reference {
	char *domain;         /* "docker.io", "localhost:5000" */
	char *path;           /* "library/debian" */
	char *tag;            /* NULL when only a digest was given */
	struct digest digest; /* may be unset */
};
#define REFERENCE_NONE ((struct reference){0})

/* Grammar of distribution's reference package: lower-case path components, tag of at most 128, path of at most 255 characters.
 * "latest" is filled in when there is neither tag nor digest. A 64-digit hex string is refused (it is an image id). */
_must_check_ struct err *reference_parse(const char *s, struct reference *ret);
void reference_release(struct reference *r);
#define _cleanup_reference_ _cleanup_(reference_release)
char *reference_string(const struct reference *r);   /* canonical: domain/path[:tag][@digest]; caller frees */
char *reference_familiar(const struct reference *r); /* as docker shows it: "debian:latest"; caller frees */
char *reference_familiar_name(
	const struct reference *r); /* without tag and digest: the REPOSITORY column; caller frees */

#endif
