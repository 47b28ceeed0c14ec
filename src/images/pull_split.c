/* SPDX-License-Identifier: Apache-2.0 */
#include "pull_split.h"

#include "base/memory.h"
#include "base/timestamp.h"

#define CHUNK_SIZE ((uint64_t)8 << 20)
#define WORTH_MIN (4 * CHUNK_SIZE)
#define REPORT_INTERVAL_NS (50 * 1000000LL)

void pull_split_init(struct pull_split *s, void (*helpable)(void *user), void *user)
{
	*s = (struct pull_split){.helpable = helpable, .user = user};
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->changed, NULL);
}

void pull_split_release(struct pull_split *s)
{
	err_free(s->error);
	free(s->chunks);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mutex);
}

bool pull_split_is_worth(uint64_t left)
{
	return left >= WORTH_MIN;
}

/* With the mutex held; it is given up while hashing. What is there without a gap becomes the writer's. */
static void advance(struct pull_split *s)
{
	if (s->hashing)
		return;
	s->hashing = true;
	while (!s->error) {
		uint64_t at = blob_writer_offset(s->writer);
		size_t i = (size_t)((at - s->begin) / CHUNK_SIZE);
		if (at == s->d->size || s->chunks[i].offset == at)
			break;
		uint64_t to = s->chunks[i].offset;
		pthread_mutex_unlock(&s->mutex);
		struct err *e = blob_writer_advance(s->writer, to);
		if (!e && s->feed)
			blob_feed_set_available(s->feed, to);
		pthread_mutex_lock(&s->mutex);
		s->error = e;
	}
	s->hashing = false;
	pthread_cond_broadcast(&s->changed);
}

/* -- one chunk ------------------------------------------------------------------------------------------------ */

struct fetch {
	struct pull_split *split;
	struct chunk *chunk;
};

static uint64_t chunk_offset(void *user)
{
	return ((struct fetch *)user)->chunk->offset;
}

static struct err *chunk_restart(void *user)
{
	(void)user;
	return err_new(ERR_UNREACHABLE, "the registry sends another part than was asked for");
}

static void report(struct pull_split *s)
{
	const struct progress *p = s->blobs->progress;
	int64_t now = timestamp_monotonic_ns();
	bool due = now - s->reported_ns >= REPORT_INTERVAL_NS;
	uint64_t received = s->received;

	if (!p || !p->update || !due)
		return;
	s->reported_ns = now;
	p->update(p->user, blob_short_id(&s->d->digest).s, PROGRESS_DOWNLOADING, received, s->d->size);
}

static struct err *chunk_write(void *user, const void *data, size_t size)
{
	struct fetch *f = user;
	struct pull_split *s = f->split;

	TRY(blob_writer_write_at(s->writer, data, size, f->chunk->offset));
	pthread_mutex_lock(&s->mutex);
	bool first = !s->open && s->received == s->begin;
	s->open |= first;
	f->chunk->offset += size;
	s->received += size;
	report(s);
	if ((f->chunk->offset - s->begin) / CHUNK_SIZE ==
		    (blob_writer_offset(s->writer) - s->begin) / CHUNK_SIZE ||
	    f->chunk->offset == f->chunk->end)
		advance(s);
	pthread_mutex_unlock(&s->mutex);
	if (first)
		s->helpable(s->user);
	return NULL;
}

static struct chunk *take(struct pull_split *s)
{
	for (size_t i = 0; i < s->n_chunks; i++)
		if (s->chunks[i].state == CHUNK_FREE) {
			s->chunks[i].state = CHUNK_TAKEN;
			return &s->chunks[i];
		}
	return NULL;
}

/* With the mutex held, which is given up meanwhile. */
static struct err *fetch(struct pull_split *s, struct http_client *client, struct chunk *chunk,
			 bool *ret_no_parts)
{
	struct fetch f = {s, chunk};
	const struct blob_sink sink = {chunk_offset, chunk_restart, chunk_write, &f};

	pthread_mutex_unlock(&s->mutex);
	struct err *e =
		registry_blob_get_part(s->blobs->registry, client, s->d, chunk->end, &sink, ret_no_parts);
	pthread_mutex_lock(&s->mutex);
	chunk->state = e ? CHUNK_FREE : CHUNK_DONE;
	pthread_cond_broadcast(&s->changed);
	return e;
}

/* -- the threads ---------------------------------------------------------------------------------------------- */

static bool is_any(const struct pull_split *s, enum chunk_state state)
{
	for (size_t i = 0; i < s->n_chunks; i++)
		if (s->chunks[i].state == state)
			return true;
	return false;
}

/* With the mutex held. */
static struct err *run(struct pull_split *s, struct http_client *client)
{
	struct err *e = NULL;
	bool no_parts = false;

	while (!e && !no_parts && !s->error && blob_writer_offset(s->writer) < s->d->size) {
		struct chunk *chunk = take(s);
		if (chunk)
			e = fetch(s, client, chunk, &no_parts);
		else
			pthread_cond_wait(&s->changed, &s->mutex);
	}
	s->open = false;
	while (is_any(s, CHUNK_TAKEN) || s->hashing)
		pthread_cond_wait(&s->changed, &s->mutex);
	if (no_parts) {
		err_free(e);
		e = NULL;
	}
	if (s->error) {
		err_free(e);
		e = TAKE_PTR(s->error);
	}
	return e;
}

struct err *pull_split_run(struct pull_split *s, const struct pull_blob *blobs, struct http_client *client,
			   const struct descriptor *d, struct blob_writer *writer, struct blob_feed *feed)
{
	pthread_mutex_lock(&s->mutex);
	s->blobs = blobs;
	s->d = d;
	s->writer = writer;
	s->feed = feed;
	s->begin = s->received = blob_writer_offset(writer);
	s->n_chunks = (size_t)((d->size - s->begin + CHUNK_SIZE - 1) / CHUNK_SIZE);
	free(s->chunks);
	s->chunks = xnew_array(struct chunk, s->n_chunks);
	for (size_t i = 0; i < s->n_chunks; i++) {
		s->chunks[i].offset = s->begin + i * CHUNK_SIZE;
		s->chunks[i].end = MIN(s->chunks[i].offset + CHUNK_SIZE, d->size);
	}
	struct err *e = run(s, client);
	pthread_mutex_unlock(&s->mutex);
	return e;
}

bool pull_split_wants_help(struct pull_split *s)
{
	pthread_mutex_lock(&s->mutex);
	bool wants = s->open && is_any(s, CHUNK_FREE);
	pthread_mutex_unlock(&s->mutex);
	return wants;
}

void pull_split_help(struct pull_split *s, struct http_client *client)
{
	bool no_parts = false;
	struct err *e = NULL;
	struct chunk *chunk;

	pthread_mutex_lock(&s->mutex);
	while (!e && s->open && (chunk = take(s)))
		e = fetch(s, client, chunk, &no_parts);
	if (e)
		s->open = false; /* who could not be helped once is left alone */
	pthread_mutex_unlock(&s->mutex);
	err_free(e);
}
