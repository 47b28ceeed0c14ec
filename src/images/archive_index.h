/* SPDX-License-Identifier: Apache-2.0 */
/* An image archive as a read-only set of named files. The names are those of the archive and are compared as text only: none ever
 * reaches the host's file system. */
#ifndef IMAGES_ARCHIVE_INDEX_H
#define IMAGES_ARCHIVE_INDEX_H

#include "content.h"

#define ARCHIVE_BYTES_MAX ((uint64_t)256 << 30)
#define ARCHIVE_ENTRIES_MAX 100000

struct archive;
/* Reads the names. A plain tar in a seekable file is used where it is; anything else (a pipe, gzip, zstd) is first written,
 * decompressed, to a nameless file in the store's ingest directory (s NULL: where temporary files go). `fd` is borrowed for as long as the archive lives. */
_must_check_ struct err *archive_open(struct store *s, int fd, const struct progress *progress,
				      struct archive **ret);
void archive_close(struct archive *a);
DEFINE_CLEANUP(struct archive *, archive_close)
#define _cleanup_archive_ _cleanup_(archive_closep)

/* A regular file, through the archive's own links. */
struct archive_file {
	int fd; /* borrowed */
	uint64_t offset, size;
};
bool archive_has(const struct archive *a, const char *name);
_must_check_ struct err *archive_find(const struct archive *a, const char *name, struct archive_file *ret);
_must_check_ struct err *archive_read(const struct archive *a, const char *name, size_t max, char **ret_data,
				      size_t *ret_size);
/* Copies a file into the store's blobs. `expected` may be NULL. *ret_fd (may be NULL) is the blob, readable. */
_must_check_ struct err *archive_store_blob(const struct archive *a, struct store *s,
					    const struct archive_file *file, const struct digest *expected,
					    const struct progress *progress, struct digest *ret_digest,
					    int *ret_fd);
/* Takes everything from a file descriptor into a blob, as it is. */
_must_check_ struct err *archive_spool_blob(struct store *s, int fd, const struct progress *progress,
					    struct digest *ret_digest, uint64_t *ret_size, int *ret_fd);

#endif
