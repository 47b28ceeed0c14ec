/* SPDX-License-Identifier: Apache-2.0 */
/* The tar reader over any bytes, whole and in small pieces: both must see the same. Then once more with all checksums put right, so
 * that damage behind the checksum is reached. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t mix(uint64_t h, const void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
	return h;
}

static struct err *read_data(struct tar_reader *r, const struct tar_entry *e, uint64_t *h)
{
	uint64_t end = 0;

	while (true) {
		const uint8_t *data;
		size_t size;
		uint64_t offset;
		struct err *error = tar_reader_data(r, &data, &size, &offset);
		if (error || size == 0)
			return error;
		if (offset < end || offset > e->size || size > e->size - offset)
			abort(); /* data outside the file */
		end = offset + size;
		*h = mix(*h, data, size);
	}
}

static uint64_t read_archive(const uint8_t *data, size_t size, size_t step)
{
	struct memory_source source;
	const struct tar_entry *e;
	uint64_t h = 0xcbf29ce484222325u;

	memory_source_init(&source, data, size, step);
	struct tar_reader *r = tar_reader_new(&source.source, "fuzz");
	struct err *error = NULL;
	for (size_t n = 0; !error; n++) {
		error = tar_reader_next(r, &e);
		if (error || !e)
			break;
		h = mix(h, e->path, strlen(e->path) + 1);
		h = mix(h, e->link, strlen(e->link) + 1);
		h = mix(h, &e->size, sizeof(e->size));
		h = mix(h, &e->mtime_s, sizeof(e->mtime_s));
		for (size_t i = 0; i < e->n_xattrs; i++) {
			h = mix(h, e->xattrs[i].name, strlen(e->xattrs[i].name));
			h = mix(h, e->xattrs[i].value, e->xattrs[i].size);
		}
		if (n % 3 != 2) /* every third is passed over */
			error = read_data(r, e, &h);
	}
	if (!error)
		error = tar_reader_drain(r);
	int kind = error ? (int)error->kind : 0;
	err_free(error);
	tar_reader_free(r);
	return mix(h, &kind, sizeof(kind));
}

static void put_checksums_right(uint8_t *data, size_t size)
{
	for (size_t at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
		uint8_t *h = data + at;
		unsigned sum = 0;
		if (memcmp(h + 257, "ustar", 5) != 0)
			continue;
		memset(h + 148, ' ', 8);
		for (size_t i = 0; i < TAR_BLOCK; i++)
			sum += h[i];
		for (size_t i = 6; i-- > 0; sum >>= 3)
			h[148 + i] = (uint8_t)('0' + (sum & 7));
		h[154] = '\0';
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 1 << 18)
		return 0;
	if (read_archive(data, size, 0) != read_archive(data, size, 7))
		abort();
	uint8_t *copy = xmemdup(data, size ? size : 1);
	put_checksums_right(copy, size);
	if (read_archive(copy, size, 0) != read_archive(copy, size, 513))
		abort();
	free(copy);
	return 0;
}
