/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the attach protocol: the first byte chooses how the rest is cut into reads. */
#include <stdint.h>

#include "engine/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream_parser p = {0};
	size_t step = size > 0 ? (size_t)data[0] + 1 : 1;

	for (size_t at = 1; at < size; at += step) {
		struct stream_frame f;
		bool have = true;

		stream_parser_feed(&p, data + at, MIN(step, size - at));
		while (have) {
			struct err *e = stream_parser_next(&p, &f, &have);
			if (e) {
				err_free(e);
				goto out;
			}
			if (have && f.size > 0) /* the payload is really there */
				*(volatile unsigned char *)(uintptr_t)&f.data[f.size - 1];
		}
	}
out:
	stream_parser_release(&p);
	return 0;
}
