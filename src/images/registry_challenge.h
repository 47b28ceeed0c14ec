/* SPDX-License-Identifier: Apache-2.0 */
/* Private: WWW-Authenticate (RFC 9110 section 11.6.1, RFC 6750 section 3) as registries use it. Pure parsing, bounded. */
#ifndef IMAGES_REGISTRY_CHALLENGE_H
#define IMAGES_REGISTRY_CHALLENGE_H

#include "base/error.h"

#define CHALLENGE_SIZE_MAX 8192
#define CHALLENGES_PARSED_MAX 8

struct challenge {
	enum { CHALLENGE_OTHER, CHALLENGE_BASIC, CHALLENGE_BEARER } scheme;
	char *realm, *service, *scope, *error; /* NULL: absent */
};
struct challenges {
	struct challenge v[CHALLENGES_PARSED_MAX];
	size_t n;
};
void challenges_release(struct challenges *c);
#define _cleanup_challenges_ _cleanup_(challenges_release)

/* Adds the challenges of one header value; more than fit are ignored. ERR_INVALID for what is not a list of challenges. */
_must_check_ struct err *challenge_parse(const char *header, struct challenges *c);

#endif
