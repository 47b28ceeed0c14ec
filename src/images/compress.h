/* SPDX-License-Identifier: Apache-2.0 */
/* Private: a layer in another compression. The same bytes and level give the same result. */
#ifndef IMAGES_COMPRESS_H
#define IMAGES_COMPRESS_H

#include "decompress.h"
#include "spool.h"

/* `in` is complete; it is read from its start, decompressed by what it is, and comes out as `to`. level 0: the default; gzip 1 to 9, zstd 1
 * to 22. *ret is complete, in `dir`. gzip needs ISA-L (ERR_UNSUPPORTED when it cannot be loaded). */
_must_check_ struct err *recompress(struct spool *in, enum compression to, int level, const char *dir,
				    const struct progress *progress, struct spool **ret,
				    struct digest *ret_digest);

#endif
