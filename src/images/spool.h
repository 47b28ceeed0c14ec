/* SPDX-License-Identifier: Apache-2.0 */
/* Private: one blob on its way from a place to another, in a file without a name: killed or not, nothing of it stays. Where the file
 * system has no such files it has a name for a moment. */
#ifndef IMAGES_SPOOL_H
#define IMAGES_SPOOL_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/error.h"
#include "images/store.h"

struct spool {
	int fd; /* readable and writable */
	char *where;
	struct digest expected; /* unset: found by writing (sha256) */
	uint64_t size;
	struct digest_stream *hash;
};

/* Only the file; the caller closes it. */
_must_check_ struct err *spool_nameless(const char *dir, int *ret_fd);
/* In the directory `dir`. */
_must_check_ struct err *spool_new(const char *dir, const struct digest *expected /* NULL */,
				   struct spool **ret);
void spool_free(struct spool *s);
DEFINE_CLEANUP(struct spool *, spool_free)
#define _cleanup_spool_ _cleanup_(spool_freep)
_must_check_ struct err *spool_write(struct spool *s, const void *data, size_t size);
_must_check_ struct err *spool_restart(struct spool *s);
/* Takes `size` bytes of `fd` from `offset` on. ERR_CORRUPT that names `what` when it ends before. */
_must_check_ struct err *spool_take(struct spool *s, int fd, uint64_t offset, uint64_t size, const char *what,
				    const struct progress *progress);
/* All has been written: ERR_CORRUPT when it is not `size` bytes (UINT64_MAX: any) of the expected digest. Leaves fd at its start. */
_must_check_ struct err *spool_finish(struct spool *s, uint64_t size, struct digest *ret_digest /* NULL */);

/* The file becomes `name` below dirfd, complete or not at all; one that is there stays when `keep`, and is replaced otherwise. */
_must_check_ struct err *spool_place(struct spool *s, int dirfd, const char *name, bool keep);

#endif
