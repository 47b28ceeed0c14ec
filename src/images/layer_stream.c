/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants
 *  L1 Slots are filled in order by the worker and handed out in order: `filled` and `emptied` only grow, and
 *     emptied <= filled <= emptied + N_SLOTS. The slot handed out last belongs to the reader until it asks for the next.
 *  L2 Once the worker has set `done` it touches nothing any more but what it needs to exit.
 *  L3 Without a worker (no thread to be had) the reader does its work itself.
 */
#include "layer_stream.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>

#include "base/memory.h"

#define N_SLOTS 6
#define SLOT_SIZE ((size_t)256 << 10)

struct layer_stream {
	struct byte_source source;
	struct decompress *in;
	struct digest_stream *hash;
	char *what;
	uint64_t max_bytes, bytes;

	pthread_t thread;
	bool threaded;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint64_t filled, emptied;
	bool holding; /* the reader uses slot `emptied` */
	bool done, stop;
	struct err *error; /* the worker's; handed to the reader once */
	struct {
		uint8_t *data;
		size_t size;
	} slots[N_SLOTS];
};

/* Fills a slot; size 0 is the end. */
static struct err *produce(struct layer_stream *s, size_t slot)
{
	size_t n;

	TRY(decompress_read(s->in, s->slots[slot].data, SLOT_SIZE, &n));
	digest_stream_update(s->hash, s->slots[slot].data, n);
	s->bytes += n;
	if (s->bytes > s->max_bytes)
		return err_new(ERR_LIMIT, "%s is larger than %" PRIu64 " bytes when decompressed", s->what,
			       s->max_bytes);
	s->slots[slot].size = n;
	return NULL;
}

static void *work(void *user)
{
	struct layer_stream *s = user;
	bool ended = false;

	while (!ended) {
		pthread_mutex_lock(&s->mutex);
		while (s->filled == s->emptied + N_SLOTS && !s->stop)
			pthread_cond_wait(&s->changed, &s->mutex);
		bool stop = s->stop;
		size_t slot = (size_t)(s->filled % N_SLOTS);
		pthread_mutex_unlock(&s->mutex);
		if (stop)
			return NULL;
		struct err *e = produce(s, slot);
		pthread_mutex_lock(&s->mutex);
		s->error = e;
		ended = s->done = e || s->slots[slot].size == 0;
		if (!ended)
			s->filled++;
		pthread_cond_signal(&s->changed);
		pthread_mutex_unlock(&s->mutex);
	}
	return NULL;
}

static struct err *next_threaded(struct layer_stream *s, const uint8_t **ret_data, size_t *ret_size)
{
	struct err *e = NULL;

	pthread_mutex_lock(&s->mutex);
	if (s->holding) {
		s->emptied++;
		s->holding = false;
		pthread_cond_signal(&s->changed);
	}
	while (s->filled == s->emptied && !s->done)
		pthread_cond_wait(&s->changed, &s->mutex);
	*ret_size = 0;
	if (s->filled != s->emptied) {
		size_t slot = (size_t)(s->emptied % N_SLOTS);
		*ret_data = s->slots[slot].data;
		*ret_size = s->slots[slot].size;
		s->holding = true;
	} else {
		e = TAKE_PTR(s->error);
	}
	pthread_mutex_unlock(&s->mutex);
	return e;
}

static struct err *stream_next(struct byte_source *source, const uint8_t **ret_data, size_t *ret_size)
{
	struct layer_stream *s = (struct layer_stream *)source;

	if (s->threaded)
		return next_threaded(s, ret_data, ret_size);
	if (!s->done)
		TRY(produce(s, 0));
	*ret_data = s->slots[0].data;
	*ret_size = s->slots[0].size;
	s->done = *ret_size == 0;
	return NULL;
}

struct layer_stream *layer_stream_new_from(struct decompress *in, const char *what, uint64_t max_bytes)
{
	struct layer_stream *s = xnew(struct layer_stream);
	s->source.next = stream_next;
	s->in = in;
	s->hash = digest_stream_new_sha256();
	s->what = xstrdup(what);
	s->max_bytes = max_bytes;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->changed, NULL);
	for (size_t i = 0; i < N_SLOTS; i++)
		s->slots[i].data = xmalloc(SLOT_SIZE);
	/* Signals are the program's, not the worker's. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	s->threaded = pthread_create(&s->thread, NULL, work, s) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return s;
}

struct err *layer_stream_new(int fd, const char *what, uint64_t max_bytes, struct layer_stream **ret)
{
	struct decompress *in;

	TRY(decompress_new(fd, what, &in));
	*ret = layer_stream_new_from(in, what, max_bytes);
	return NULL;
}

struct byte_source *layer_stream_source(struct layer_stream *s)
{
	return &s->source;
}

uint64_t layer_stream_consumed(struct layer_stream *s)
{
	return decompress_consumed(s->in);
}

void layer_stream_digest(struct layer_stream *s, struct digest *ret_diff_id, uint64_t *ret_size)
{
	digest_stream_final(s->hash, ret_diff_id);
	*ret_size = s->bytes;
}

void layer_stream_free(struct layer_stream *s)
{
	if (!s)
		return;
	if (s->threaded) {
		pthread_mutex_lock(&s->mutex);
		s->stop = true;
		pthread_cond_signal(&s->changed);
		pthread_mutex_unlock(&s->mutex);
		pthread_join(s->thread, NULL);
	}
	err_free(s->error);
	for (size_t i = 0; i < N_SLOTS; i++)
		free(s->slots[i].data);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mutex);
	decompress_free(s->in);
	digest_stream_free(s->hash);
	free(s->what);
	free(s);
}
