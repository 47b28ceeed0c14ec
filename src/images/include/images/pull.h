/* SPDX-License-Identifier: Apache-2.0 */
/* Pulling from a registry (distribution-spec 1.1.1) into the store. */
#ifndef IMAGES_PULL_H
#define IMAGES_PULL_H

#include "images/store.h"

struct pull_options {
	struct platform platform;        /* platform_host() usually */
	const char *username, *password; /* NULL: from the credential files */
	bool insecure; /* plain HTTP or unverified TLS for this registry; loopback is tried with HTTP anyway */
	const char *ca_file;             /* extra CA bundle; NULL: the system's */
	const char *signature_policy;    /* policy.json; NULL: the usual one (images/trust.h) */
	const char *cert_dir;            /* certificates of this registry; NULL: none but the system's */
	const char *auth_file;           /* the only credential file; NULL: the usual ones */
	unsigned parallel;               /* layers at a time; 0: default */
	const struct progress *progress; /* may be NULL */
};
/* The signature policy is asked before any content is fetched, also about an image that is here already. ERR_PERMISSION: it says no.
 * On success the name is recorded and *ret describes the image; *ret_changed says whether anything was new ("Image is up to date"). */
_must_check_ struct err *image_pull(struct store *s, const struct reference *ref,
				    const struct pull_options *o, struct image **ret, bool *ret_changed);

#endif
