/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression. ISA-L inflates gzip at twice zlib's speed; it is loaded on first use, so that only programs that meet a
 * compressed layer pay for it. The input buffer belongs to us and is refilled whole: neither library sees less than what is there. */
#include "decompress.h"

#include <isa-l/igzip_lib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/library.h"
#include "base/memory.h"

#define INPUT_SIZE ((size_t)128 << 10)
#define MAGIC_SIZE 6
#define ZSTD_WINDOW_LOG_MAX 27

struct decompress {
	enum compression format;
	char *what;
	int fd; /* -1: memory, or a function */
	decompress_reader read;
	void *user;
	const uint8_t *memory;
	size_t memory_size, step;

	uint8_t *buffer;
	const uint8_t *in; /* what is left of the buffer */
	size_t in_size;
	bool at_eof;
	uint64_t taken; /* from the source into the buffer */

	struct inflate_state *gzip;
	ZSTD_DCtx *zstd;
	bool between; /* gzip members or zstd frames: the stream may end here */
};

/* -- ISA-L ---------------------------------------------------------------------------------------------------- */

static struct {
	__typeof__(&isal_inflate_init) init;
	__typeof__(&isal_inflate_reset) reset;
	__typeof__(&isal_inflate) inflate;
	struct err *failed; /* why there is none */
} isal;

static void isal_load(void)
{
	static const char *const names[] = {"libisal.so.2", NULL};
	static const struct library_symbol symbols[] = {
		{"isal_inflate_init", &isal.init},
		{"isal_inflate_reset", &isal.reset},
		{"isal_inflate", &isal.inflate},
	};

	isal.failed = library_load(names, symbols, ARRAY_SIZE(symbols));
}

static struct err *start_gzip(struct decompress *d)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, isal_load);
	if (isal.failed)
		return err_new(isal.failed->kind,
			       "%s is compressed with gzip, which needs ISA-L (Debian: libisal2): %s",
			       d->what, isal.failed->message);
	d->gzip = xcalloc(1, sizeof(*d->gzip));
	isal.init(d->gzip);
	d->gzip->crc_flag = ISAL_GZIP;
	return NULL;
}

static struct err *start_zstd(struct decompress *d)
{
	d->zstd = ZSTD_createDCtx();
	if (!d->zstd)
		return err_new(ERR_INTERNAL, "cannot set up zstd");
	ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	return NULL;
}

/* -- input ---------------------------------------------------------------------------------------------------- */

/* One read behind what is in the buffer. */
static struct err *read_more(struct decompress *d, size_t have)
{
	if (d->read) {
		size_t n;
		TRY(d->read(d->user, d->buffer + have, INPUT_SIZE - have, &n));
		d->at_eof = n == 0;
		d->in_size = have + n;
		d->taken += n;
		return NULL;
	}
	if (d->fd < 0) {
		size_t n = MIN(d->memory_size, INPUT_SIZE - have);
		if (d->step)
			n = MIN(n, d->step);
		memcpy(d->buffer + have, d->memory, n);
		d->memory += n;
		d->memory_size -= n;
		d->at_eof = n == 0;
		d->in_size = have + n;
		d->taken += n;
		return NULL;
	}
	ssize_t n;
	do
		n = read(d->fd, d->buffer + have, INPUT_SIZE - have);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(errno, "cannot read %s", d->what);
	d->at_eof = n == 0;
	d->in_size = have + (size_t)n;
	d->taken += (uint64_t)n;
	return NULL;
}

static struct err *refill(struct decompress *d)
{
	if (d->in_size > 0 || d->at_eof)
		return NULL;
	d->in = d->buffer;
	return read_more(d, 0);
}

static struct err *recognise(struct decompress *d)
{
	while (d->in_size < MAGIC_SIZE && !d->at_eof)
		TRY(read_more(d, d->in_size));
	/* An end that was met while looking is met again. */
	const uint8_t *p = d->in;
	size_t n = d->in_size;
	if (n >= 3 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8) {
		d->format = COMPRESSION_GZIP;
		return start_gzip(d);
	}
	/* A zstd frame, or a skippable frame (0x184D2A5?) in front of one. */
	if (n >= 4 && ((p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd) ||
		       ((p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18))) {
		d->format = COMPRESSION_ZSTD;
		return start_zstd(d);
	}
	if (n >= 6 && memcmp(p,
			     "\xfd"
			     "7zXZ",
			     6) == 0)
		return err_new(ERR_UNSUPPORTED, "%s is compressed with xz: decompress it first (xz -dc)",
			       d->what);
	if (n >= 4 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9')
		return err_new(ERR_UNSUPPORTED,
			       "%s is compressed with bzip2: decompress it first (bzip2 -dc)", d->what);
	return NULL;
}

static struct err *open_stream(struct decompress *d, const char *what, struct decompress **ret)
{
	d->what = xstrdup(what);
	d->buffer = xmalloc(INPUT_SIZE);
	d->in = d->buffer;
	d->between = true;
	struct err *e = recognise(d);
	if (e) {
		decompress_free(d);
		return e;
	}
	*ret = d;
	return NULL;
}

struct err *decompress_new(int fd, const char *what, struct decompress **ret)
{
	struct decompress *d = xnew(struct decompress);

	d->fd = fd;
	return open_stream(d, what, ret);
}

struct err *decompress_new_reader(decompress_reader read, void *user, const char *what,
				  struct decompress **ret)
{
	struct decompress *d = xnew(struct decompress);

	d->fd = -1;
	d->read = read;
	d->user = user;
	return open_stream(d, what, ret);
}

struct err *decompress_new_memory(const void *data, size_t size, size_t step, const char *what,
				  struct decompress **ret)
{
	struct decompress *d = xnew(struct decompress);

	d->fd = -1;
	d->memory = data;
	d->memory_size = size;
	d->step = step;
	return open_stream(d, what, ret);
}

void decompress_free(struct decompress *d)
{
	if (!d)
		return;
	if (d->zstd)
		ZSTD_freeDCtx(d->zstd);
	free(d->gzip);
	free(d->buffer);
	free(d->what);
	free(d);
}

enum compression decompress_format(const struct decompress *d)
{
	return d->format;
}

uint64_t decompress_consumed(const struct decompress *d)
{
	return __atomic_load_n(&d->taken, __ATOMIC_RELAXED);
}

/* -- output: each makes some bytes, or 0 at the verified end ---------------------------------------------------- */

static struct err *broken_off(const struct decompress *d)
{
	return err_new(ERR_CORRUPT, "%s ends in the middle of its compressed data", d->what);
}

static struct err *read_plain(struct decompress *d, uint8_t *buf, size_t size, size_t *ret_n)
{
	TRY(refill(d));
	size_t n = MIN(size, d->in_size);
	memcpy(buf, d->in, n);
	d->in += n;
	d->in_size -= n;
	*ret_n = n;
	return NULL;
}

/* Behind a member: another one, zero padding, or the end. */
static struct err *next_member(struct decompress *d, bool *ret_more)
{
	while (true) {
		TRY(refill(d));
		if (d->in_size == 0) {
			*ret_more = false;
			return NULL;
		}
		if (d->in[0] != 0)
			break;
		d->in++;
		d->in_size--;
	}
	if (d->in[0] != 0x1f)
		return err_new(ERR_CORRUPT, "%s has bytes behind its gzip data that are none", d->what);
	isal.reset(d->gzip);
	d->gzip->crc_flag = ISAL_GZIP;
	*ret_more = true;
	return NULL;
}

static struct err *read_gzip(struct decompress *d, uint8_t *buf, size_t size, size_t *ret_n)
{
	struct inflate_state *z = d->gzip;

	z->next_out = buf;
	z->avail_out = (uint32_t)size;
	while (z->avail_out == size) {
		if (z->block_state == ISAL_BLOCK_FINISH) {
			bool more = false;
			TRY(next_member(d, &more));
			if (!more)
				break;
		}
		TRY(refill(d));
		if (d->in_size == 0 && d->at_eof) {
			/* What the library holds back in its own buffers may still come. */
			uint32_t before = z->avail_out;
			z->avail_in = 0;
			z->next_in = d->buffer;
			if (isal.inflate(z) != ISAL_DECOMP_OK ||
			    (z->avail_out == before && z->block_state != ISAL_BLOCK_FINISH))
				return broken_off(d);
			continue;
		}
		z->next_in = (uint8_t *)d->in;
		z->avail_in = (uint32_t)d->in_size;
		int r = isal.inflate(z);
		d->in = z->next_in;
		d->in_size = z->avail_in;
		if (r == ISAL_INCORRECT_CHECKSUM)
			return err_new(ERR_CORRUPT, "%s is damaged: the checksum of its gzip data is wrong",
				       d->what);
		if (r != ISAL_DECOMP_OK && r != ISAL_END_INPUT)
			return err_new(ERR_CORRUPT,
				       "%s is damaged: its gzip data cannot be decompressed (ISA-L error %d)",
				       d->what, r);
	}
	*ret_n = size - z->avail_out;
	return NULL;
}

static struct err *read_zstd(struct decompress *d, uint8_t *buf, size_t size, size_t *ret_n)
{
	ZSTD_outBuffer out = {.dst = buf, .size = size};

	while (out.pos == 0) {
		TRY(refill(d));
		if (d->in_size == 0 && d->between)
			break;
		ZSTD_inBuffer in = {.src = d->in, .size = d->in_size};
		size_t r = ZSTD_decompressStream(d->zstd, &out, &in);
		if (ZSTD_isError(r))
			return err_new(ERR_CORRUPT, "%s is damaged: %s", d->what, ZSTD_getErrorName(r));
		if (d->in_size == 0 && out.pos == 0)
			return broken_off(d);
		d->in += in.pos;
		d->in_size -= in.pos;
		d->between = r == 0;
	}
	*ret_n = out.pos;
	return NULL;
}

struct err *decompress_read(struct decompress *d, void *buf, size_t size, size_t *ret_n)
{
	size_t have = 0, n = 0;

	do {
		uint8_t *to = (uint8_t *)buf + have;
		switch (d->format) {
		case COMPRESSION_NONE:
			TRY(read_plain(d, to, size - have, &n));
			break;
		case COMPRESSION_GZIP:
			TRY(read_gzip(d, to, size - have, &n));
			break;
		case COMPRESSION_ZSTD:
			TRY(read_zstd(d, to, size - have, &n));
			break;
		}
		have += n;
	} while (n > 0 && have < size);
	*ret_n = have;
	return NULL;
}
