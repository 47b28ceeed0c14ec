/* SPDX-License-Identifier: Apache-2.0 */
/* Private: a few threads that share a pull's or push's work, each with its own connection to the registry. */
#ifndef IMAGES_WORKERS_H
#define IMAGES_WORKERS_H

#include <pthread.h>

#include "registry.h"

#define WORKERS_MAX 16

struct workers {
	struct registry *registry;  /* NULL: the threads need none */
	struct http_client *client; /* the first thread's; lent by whoever made the first request */
	/* Each thread runs this once. `client` is NULL when there was none to be had: `failed` says why and is owned by it. */
	void (*run)(void *user, struct http_client *client, struct err *failed);
	void *user;
	struct worker {
		struct workers *all;
		pthread_t thread;
		struct http_client *client;
	} v[WORKERS_MAX];
	size_t n;
};

/* Starts at most `wanted` threads; w is filled in by the caller but for v and n, and stays in place until workers_join. ERR_SYSTEM:
 * not even one. */
_must_check_ struct err *workers_start(struct workers *w, size_t wanted);
void workers_join(struct workers *w);

/* Progress from several threads: the caller's functions are called one at a time, and `stop` cancels everybody. */
struct shared_progress {
	const struct progress *out; /* the caller's; may be NULL */
	pthread_mutex_t mutex;
	bool stop; /* atomic */
	struct progress progress;
};
void shared_progress_init(struct shared_progress *p, const struct progress *out);
void shared_progress_stop(struct shared_progress *p);
void shared_progress_release(struct shared_progress *p);

#endif
