/* SPDX-License-Identifier: Apache-2.0 */
/* Digests (image-spec 1.1.1, descriptor.md "Digests"). The type is the validation: whoever holds a struct
 * digest holds algorithm and lower-case hex of the right length, safe in a path. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define DIGEST_STRING_MAX (sizeof("sha512:") + 128)

struct digest {
	char s[DIGEST_STRING_MAX]; /* "sha256:…"; empty string: none */
};

/* sha256 and sha512 only; anything else, upper case, a wrong length is ERR_INVALID that quotes the
 * (shortened) text. */
_must_check_ struct err *digest_parse(const char *s, struct digest *ret);
const char *digest_algorithm(const struct digest *d); /* "sha256" or "sha512" */
const char *digest_hex(const struct digest *d);       /* points behind the colon */
bool digest_equal(const struct digest *a, const struct digest *b);
static inline bool digest_is_set(const struct digest *d)
{
	return d->s[0] != '\0';
}

/* Streaming hash by OpenSSL's SHA-2 (SHA-NI where the CPU has it). */
struct digest_stream;
struct digest_stream *digest_stream_new_sha256(void);
struct digest_stream *digest_stream_new_like(const struct digest *expected); /* algorithm of `expected` */
void digest_stream_update(struct digest_stream *s, const void *data, size_t size);
void digest_stream_final(struct digest_stream *s, struct digest *ret); /* once; then only free */
void digest_stream_free(struct digest_stream *s);
DEFINE_CLEANUP(struct digest_stream *, digest_stream_free)
void digest_of(const void *data, size_t size, struct digest *ret); /* sha256 of a buffer */

#endif
