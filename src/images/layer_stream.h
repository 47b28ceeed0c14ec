/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's bytes on their way from the file to the tar reader: a thread of its own decompresses and hashes while the
 * caller unpacks. */
#ifndef IMAGES_LAYER_STREAM_H
#define IMAGES_LAYER_STREAM_H

#include "base/digest.h"
#include "decompress.h"
#include "tar.h"

struct layer_stream;
/* `fd` is borrowed and read from where it stands. More than max_bytes uncompressed is ERR_LIMIT. */
_must_check_ struct err *layer_stream_new(int fd, const char *what, uint64_t max_bytes,
					  struct layer_stream **ret);
/* The same of what is open already; `in` is the stream's from now on. */
struct layer_stream *layer_stream_new_from(struct decompress *in, const char *what, uint64_t max_bytes);
struct byte_source *layer_stream_source(struct layer_stream *s);
uint64_t layer_stream_consumed(struct layer_stream *s); /* compressed bytes so far */
/* After the source was read to its end: the digest of the uncompressed bytes, and their number. */
void layer_stream_digest(struct layer_stream *s, struct digest *ret_diff_id, uint64_t *ret_size);
void layer_stream_free(struct layer_stream *s); /* stops the thread wherever it is */
DEFINE_CLEANUP(struct layer_stream *, layer_stream_free)
#define _cleanup_layer_stream_ _cleanup_(layer_stream_freep)

#endif
