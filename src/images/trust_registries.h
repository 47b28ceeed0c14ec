/* SPDX-License-Identifier: Apache-2.0 */
/* Private: where the signatures of a registry's images are kept, containers-registries.d(5). */
#ifndef IMAGES_TRUST_REGISTRIES_H
#define IMAGES_TRUST_REGISTRIES_H

#include "images/reference.h"

#define REGISTRIES_D_SIZE_MAX ((size_t)1 << 20)

struct trust_place {
	char *lookaside;  /* URL of the storage to read from; never NULL */
	char *staging;    /* to write to; never NULL */
	bool attachments; /* sigstore's are in the registry, beside the image */
};
void trust_place_release(struct trust_place *p);
#define _cleanup_trust_place_ _cleanup_(trust_place_release)

/* directory NULL: ~/.config/containers/registries.d, or else /etc/containers/registries.d. */
_must_check_ struct err *trust_place_find(const char *directory, const struct reference *r,
					  struct trust_place *ret);
/* One file, as a series of settings: scope NULL is default-docker. */
struct registries_d_setting {
	const char *scope, *key, *value;
};
_must_check_ struct err *
registries_d_parse(const char *text, size_t size, const char *what,
		   struct err *(*set)(void *user, const struct registries_d_setting *s), void *user);

#endif
