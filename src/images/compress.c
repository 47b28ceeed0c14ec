/* SPDX-License-Identifier: Apache-2.0 */
/* ISA-L compresses gzip several times as fast as zlib's level 1 at about its ratio; its four levels stand for gzip's nine. It is loaded on
 * first use, as for decompression. */
#include "compress.h"

#include <isa-l/igzip_lib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/library.h"
#include "base/memory.h"

#define CHUNK ((size_t)256 << 10)

struct compressor {
	struct spool *out;
	uint8_t *buffer;
	struct isal_zstream *gzip;
	uint8_t *level_buffer;
	ZSTD_CCtx *zstd;
};

static struct {
	__typeof__(&isal_deflate_init) init;
	__typeof__(&isal_deflate) deflate;
	struct err *failed;
} isal;

static void isal_load(void)
{
	static const char *const names[] = {"libisal.so.2", NULL};
	static const struct library_symbol symbols[] = {
		{"isal_deflate_init", &isal.init},
		{"isal_deflate", &isal.deflate},
	};

	isal.failed = library_load(names, symbols, ARRAY_SIZE(symbols));
}

static struct err *start_gzip(struct compressor *c, int level)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static const struct {
		uint32_t level;
		size_t buffer;
	} levels[] = {{1, ISAL_DEF_LVL1_DEFAULT}, {2, ISAL_DEF_LVL2_DEFAULT}, {3, ISAL_DEF_LVL3_DEFAULT}};
	/* 1 to 3, 4 to 6 and the default, 7 to 9. */
	size_t i = level == 0 ? 1 : MIN((size_t)(level - 1) / 3, (size_t)2);

	pthread_once(&once, isal_load);
	if (isal.failed)
		return err_new(
			isal.failed->kind,
			"compressing with gzip needs ISA-L (Debian: libisal2): %s; or compress with zstd",
			isal.failed->message);
	c->gzip = xcalloc(1, sizeof(*c->gzip));
	isal.init(c->gzip);
	c->level_buffer = xmalloc(levels[i].buffer);
	c->gzip->level = levels[i].level;
	c->gzip->level_buf = c->level_buffer;
	c->gzip->level_buf_size = (uint32_t)levels[i].buffer;
	c->gzip->gzip_flag = IGZIP_GZIP;
	return NULL;
}

static struct err *start_zstd(struct compressor *c, int level)
{
	c->zstd = ZSTD_createCCtx();
	if (!c->zstd)
		return err_new(ERR_INTERNAL, "cannot set up zstd");
	ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level ? level : ZSTD_CLEVEL_DEFAULT);
	ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1);
	return NULL;
}

static struct err *feed_gzip(struct compressor *c, void *data, size_t size, bool last)
{
	struct isal_zstream *z = c->gzip;

	z->next_in = data;
	z->avail_in = (uint32_t)size;
	z->end_of_stream = last;
	do {
		z->next_out = c->buffer;
		z->avail_out = CHUNK;
		if (isal.deflate(z) != COMP_OK)
			return err_new(ERR_INTERNAL, "ISA-L cannot compress");
		TRY(spool_write(c->out, c->buffer, CHUNK - z->avail_out));
	} while (z->avail_out == 0);
	return NULL;
}

static struct err *feed_zstd(struct compressor *c, void *data, size_t size, bool last)
{
	ZSTD_inBuffer in = {data, size, 0};
	size_t left;

	do {
		ZSTD_outBuffer out = {c->buffer, CHUNK, 0};
		left = ZSTD_compressStream2(c->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return err_new(ERR_INTERNAL, "zstd cannot compress: %s", ZSTD_getErrorName(left));
		TRY(spool_write(c->out, c->buffer, out.pos));
	} while (last ? left != 0 : in.pos < in.size);
	return NULL;
}

static struct err *feed(struct compressor *c, void *data, size_t size, bool last)
{
	if (c->gzip)
		return feed_gzip(c, data, size, last);
	if (c->zstd)
		return feed_zstd(c, data, size, last);
	return spool_write(c->out, data, size);
}

static struct err *run(struct compressor *c, struct spool *in, const struct progress *progress)
{
	_cleanup_decompress_ struct decompress *d = NULL;
	_cleanup_free_ uint8_t *buf = xmalloc(CHUNK);
	size_t n;

	if (lseek(in->fd, 0, SEEK_SET) < 0)
		return err_errno(errno, "cannot read a temporary file");
	TRY(decompress_new(in->fd, "a layer", &d));
	do {
		if (progress && progress->cancelled && progress->cancelled(progress->user))
			return err_new(ERR_CANCELLED, "interrupted");
		TRY(decompress_read(d, buf, CHUNK, &n));
		TRY(feed(c, buf, n, n == 0));
	} while (n);
	return NULL;
}

struct err *recompress(struct spool *in, enum compression to, int level, const char *dir,
		       const struct progress *progress, struct spool **ret, struct digest *ret_digest)
{
	_cleanup_spool_ struct spool *out = NULL;
	struct compressor c = {0};

	TRY(spool_new(dir, NULL, &out));
	c.out = out;
	c.buffer = xmalloc(CHUNK);
	struct err *e = to == COMPRESSION_GZIP   ? start_gzip(&c, level)
			: to == COMPRESSION_ZSTD ? start_zstd(&c, level)
						 : NULL;
	if (!e)
		e = run(&c, in, progress);
	free(c.buffer);
	free(c.gzip);
	free(c.level_buffer);
	ZSTD_freeCCtx(c.zstd);
	TRY(e);
	TRY(spool_finish(out, UINT64_MAX, ret_digest));
	*ret = TAKE_PTR(out);
	return NULL;
}
