/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression as a read(2): gzip (all members) by ISA-L, zstd (all frames, windows of at most 128 MiB), anything else as it is. The
 * format is recognised by its first bytes, never by a media type or a name. xz and bzip2 are ERR_UNSUPPORTED. */
#ifndef IMAGES_DECOMPRESS_H
#define IMAGES_DECOMPRESS_H

#include <stdint.h>

#include "base/error.h"

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD };

struct decompress;
/* `fd` is borrowed and read from where it stands; `what` names it in errors and is copied. */
_must_check_ struct err *decompress_new(int fd, const char *what, struct decompress **ret);
/* The same from a function that behaves as read(2): fewer bytes than asked for are no end, 0 is. */
typedef struct err *(*decompress_reader)(void *user, void *buf, size_t size, size_t *ret_n);
_must_check_ struct err *decompress_new_reader(decompress_reader read, void *user, const char *what,
					       struct decompress **ret);
/* The same from memory (borrowed); `step` limits the bytes seen at once (0: all), for tests. */
_must_check_ struct err *decompress_new_memory(const void *data, size_t size, size_t step, const char *what,
					       struct decompress **ret);
enum compression decompress_format(const struct decompress *d);
/* As many bytes as fit, fewer only at the end; *ret_n 0 is the end, verified: a stream that breaks off is ERR_CORRUPT. */
_must_check_ struct err *decompress_read(struct decompress *d, void *buf, size_t size, size_t *ret_n);
uint64_t decompress_consumed(const struct decompress *d); /* compressed bytes so far */
void decompress_free(struct decompress *d);
DEFINE_CLEANUP(struct decompress *, decompress_free)
#define _cleanup_decompress_ _cleanup_(decompress_freep)

#endif
