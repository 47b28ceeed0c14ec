/* SPDX-License-Identifier: Apache-2.0 */
/* WWW-Authenticate: bounded, and no control character gets through. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry_challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *s)
{
	for (; s && *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	_cleanup_challenges_ struct challenges c = {0};

	err_free(challenge_parse(text, &c));
	if (c.n > CHALLENGES_PARSED_MAX)
		abort();
	for (size_t i = 0; i < c.n; i++) {
		check(c.v[i].realm);
		check(c.v[i].service);
		check(c.v[i].scope);
		check(c.v[i].error);
	}
	return 0;
}
