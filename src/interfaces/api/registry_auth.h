/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials for a registry that come with a request. */
#ifndef API_REGISTRY_AUTH_H
#define API_REGISTRY_AUTH_H

#include "exchange.h"

struct registry_auth { /* zeroed is none: the service's own credential files count then */
	char *username, *password;
};
void registry_auth_release(struct registry_auth *a);
/* Of the header X-Registry-Auth. */
_must_check_ struct err *registry_auth_of(const struct exchange *x, struct registry_auth *ret);

#endif
