/* SPDX-License-Identifier: Apache-2.0 */
/* A message from CRIU. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "criu_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct criu_response r = {0};
	/* Of the exact size, so that the sanitizer sees a read past the end. */
	void *copy = xmemdup(data, size);
	struct err *e = criu_response_parse(copy, size, &r);

	if (e && e->kind != ERR_CORRUPT)
		abort();
	/* Strings end inside their arrays and are one line: they go into messages. */
	if (!e && (!memchr(r.script, '\0', sizeof(r.script)) || !memchr(r.message, '\0', sizeof(r.message)) ||
		   strchr(r.script, '\n') || strchr(r.message, '\n')))
		abort();
	err_free(e);
	free(copy);
	return 0;
}
