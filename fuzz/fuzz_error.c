/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as they arrive over a socket from a child that may have been taken over. */
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err *e = err_decode(data, size);

	if (!e)
		abort(); /* an error is what arrives, whatever the bytes */
	free(err_text(e));
	err_free(e);
	return 0;
}
