/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a log file. */
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "log_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_entry e = {0};
	char *copy =
		xmemdup(data, size); /* of the exact size, so that the sanitizer sees a read past the end */

	if (log_entry_parse(copy, size, &e) && e.stream != 0 && e.stream != 1)
		abort();
	strbuf_release(&e.text);
	strbuf_release(&e.attributes);
	free(copy);
	return 0;
}
