/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of registries: bounded, and every event is whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err *check(void *user, const struct toml_event *e)
{
	if (!e->table || !e->key || (e->kind == TOML_STRING) != (e->text != NULL))
		abort();
	if (e->kind == TOML_TABLE && *e->key)
		abort();
	for (char *const *s = e->list; s && *s; s++)
		if (strlen(*s) > *(size_t *)user)
			abort();
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmemdup(data, size); /* exactly as long, so that reading past it is seen */

	err_free(toml_parse(text, size, "fuzz", check, &size));
	free(text);
	return 0;
}
