/* SPDX-License-Identifier: Apache-2.0 */
/* Private: a blob that is read while it is still being received. The receiver tells how much of the file there is; a reader that has seen all
 * of it waits for more. What is read is not verified yet: whoever reads has to check what comes of it (a layer's diff id).
 *
 *  F1 The file only grows, but for a restart, after which the reader waits until the writer is past it again.
 *  F2 After `blob_feed_end` nothing waits any more.
 */
#ifndef IMAGES_BLOB_FEED_H
#define IMAGES_BLOB_FEED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct blob_feed {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int fd;         /* owned; -1: not opened yet, or the blob was there already */
	uint64_t total; /* how long the blob will be: its end is seen before it is safe on the disk */
	uint64_t available, offset;
	enum { FEED_OPEN, FEED_COMPLETE, FEED_ABANDONED } state;
};
void blob_feed_init(struct blob_feed *f, uint64_t total);
void blob_feed_release(struct blob_feed *f);

/* The receiver. An fd that cannot be duplicated, or a second file for the blob, abandons the feed. */
void blob_feed_open(struct blob_feed *f, int fd);
void blob_feed_set_available(struct blob_feed *f, uint64_t bytes);
void blob_feed_end(struct blob_feed *f, bool complete);

/* The reader: waits until there is a file to read, or none will come (false). */
bool blob_feed_wait(struct blob_feed *f);
/* As read(2), at the feed's own offset; *ret_n 0 is the end. ERR_UNREACHABLE: there will be no more. */
_must_check_ struct err *blob_feed_read(void *feed, void *buf, size_t size, size_t *ret_n);

#endif
