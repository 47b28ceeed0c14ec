/* SPDX-License-Identifier: Apache-2.0 */
/* Private: one large blob over several connections. The thread that was given the blob fetches it chunk by chunk from its beginning;
 * threads that have nothing else to do join it. Bytes are written where they belong; those that are there without a gap are hashed, and told to
 * whoever reads the blob meanwhile.
 *
 *  P1 A chunk is fetched by one thread at a time; who fails gives it back, and only the blob's own thread reports errors.
 *  P2 Behind the writer's offset the file has holes: an interrupted attempt is continued where the first one is (content.c).
 */
#ifndef IMAGES_PULL_SPLIT_H
#define IMAGES_PULL_SPLIT_H

#include "blob_feed.h"
#include "content.h"
#include "pull_blob.h"

struct pull_split {
	void (*helpable)(void *user); /* there is work for others now; called without any lock of ours */
	void *user;

	pthread_mutex_t mutex; /* guards the rest */
	pthread_cond_t changed;
	const struct pull_blob *blobs;
	const struct descriptor *d;
	struct blob_writer *writer;
	struct blob_feed *feed;
	struct chunk {
		enum chunk_state { CHUNK_FREE, CHUNK_TAKEN, CHUNK_DONE } state;
		uint64_t offset, end; /* what is missing of it */
	} * chunks;
	size_t n_chunks;
	uint64_t begin; /* of the first chunk */
	uint64_t received;
	int64_t reported_ns;
	bool open;         /* others may join: the registry has shown that it sends parts */
	bool hashing;      /* a thread is advancing the writer */
	struct err *error; /* of advancing the writer */
};
void pull_split_init(struct pull_split *s, void (*helpable)(void *user), void *user);
void pull_split_release(struct pull_split *s);

/* Whether a blob of which `left` bytes are missing is worth it. */
bool pull_split_is_worth(uint64_t left);
/* The blob's own thread: returns when the writer has all, or with less when the registry sends no parts. */
_must_check_ struct err *pull_split_run(struct pull_split *s, const struct pull_blob *blobs,
					struct http_client *client, const struct descriptor *d,
					struct blob_writer *writer, struct blob_feed *feed);
bool pull_split_wants_help(struct pull_split *s);
/* Another thread: fetches chunks until there are none left, or one fails. */
void pull_split_help(struct pull_split *s, struct http_client *client);

#endif
