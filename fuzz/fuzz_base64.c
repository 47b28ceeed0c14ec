/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 in both directions: credentials of registries, signatures, and the annotation run.oci.seccomp_bpf_data. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/memory.h"
#include "base/str.h"

static void must_decode_to(const char *text, const char *data, size_t size)
{
	_cleanup_free_ char *decoded = NULL;
	size_t n = 0;
	struct err *e = base64_decode(text, &decoded, &n);

	if (e || n != size || memcmp(decoded, data, size) != 0 || decoded[n] != '\0')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Whatever the bytes are, they come back; with the padding and without. */
	_cleanup_free_ char *encoded = base64_encode((const char *)data, size);
	_cleanup_free_ char *decoded = NULL;
	size_t n = 0;

	must_decode_to(encoded, (const char *)data, size);
	encoded[strcspn(encoded, "=")] = '\0';
	must_decode_to(encoded, (const char *)data, size);

	/* As text: what is taken means the same when it is written again. */
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	struct err *e = base64_decode(text, &decoded, &n);
	if (!e) {
		_cleanup_free_ char *again = base64_encode(decoded, n);
		must_decode_to(again, decoded, n);
	}
	err_free(e);
	return 0;
}
