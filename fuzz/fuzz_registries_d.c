/* SPDX-License-Identifier: Apache-2.0 */
/* registries.d: every setting is whole and known. */
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "trust_registries.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err *check(void *user, const struct registries_d_setting *s)
{
	if (!s->key || !*s->key || !s->value)
		abort();
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmemdup(data, size);

	err_free(registries_d_parse(text, size, "fuzz", check, NULL));
	free(text);
	return 0;
}
