/* SPDX-License-Identifier: Apache-2.0 */
/* Recognising and decompressing any bytes, whole and in pieces: the same bytes come out, or an error both times. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "decompress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX ((size_t)1 << 20)

static bool expand(const uint8_t *data, size_t size, size_t step, size_t read_size, uint8_t *out,
		   size_t *ret_size)
{
	struct decompress *d;
	size_t have = 0, n = 0;
	struct err *e = decompress_new_memory(data, size, step, "fuzz", &d);

	if (!e) {
		do {
			e = decompress_read(d, out + have, MIN(read_size, OUT_MAX - have), &n);
			have += e ? 0 : n;
		} while (!e && n > 0 && have < OUT_MAX);
		decompress_free(d);
	}
	bool ok = !e;
	err_free(e);
	*ret_size = have;
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *a = xmalloc(OUT_MAX), *b = xmalloc(OUT_MAX);
	size_t a_size, b_size;
	bool a_ok = expand(data, size, 0, OUT_MAX, a, &a_size),
	     b_ok = expand(data, size, 5, 1000, b, &b_size);

	if (a_size < OUT_MAX && b_size < OUT_MAX &&
	    (a_ok != b_ok || (a_ok && (a_size != b_size || memcmp(a, b, a_size) != 0))))
		abort();
	free(a);
	free(b);
	return 0;
}
