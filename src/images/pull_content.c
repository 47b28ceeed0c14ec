/* SPDX-License-Identifier: Apache-2.0 */
/* Three kinds of threads: a few download blobs, each with its own connection (and several together one that is large); a few unpack layers, beginning while the layer is still being
 * received; the caller reads the config, which says what the layers are, and waits. Only the commit of a layer waits for the one below.
 *
 * Both pools take layers in order, so that the lowest unfinished one is always being worked on: whoever waits for it waits for somebody
 * who does not wait. The same holds between processes, whose locks are on chains (layer.c).
 *
 * What is unpacked while it is received is not verified then; its diff id is before it is committed. When that fails for whatever
 * reason, the layer is unpacked once more from the blob, which the download has verified meanwhile.
 */
#include "pull_content.h"

#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "blob_feed.h"
#include "images/layer.h"
#include "layer_add.h"
#include "pull_blob.h"
#include "pull_split.h"

#define PARALLEL_DEFAULT 4
#define UNPACKERS_MIN 2
#define UNPACKERS_MAX 4

/* Task 0 is the config, task i + 1 layer i. */
struct task {
	struct content *content;
	const struct descriptor *d;
	bool downloaded, unpacked;
	bool needless; /* the layer is applied already, under another compression perhaps */
	struct blob_feed feed;
	struct pull_split split;
};

struct content {
	const struct pull_content *o;
	struct image_config config;
	struct digest *chains;

	pthread_mutex_t mutex; /* guards the rest */
	pthread_cond_t changed;
	struct task *tasks;
	size_t n_tasks, next_download, next_unpack, n_downloaded;
	bool config_known;
	bool discard;
	struct err *error; /* of the first thread that failed */
	struct pull_blob blobs;
};

static struct err *cancelled(void)
{
	return err_new(ERR_CANCELLED, "interrupted");
}

/* With the mutex held. The first error is the reason; all others come of it. */
static void fail(struct content *c, struct err *e)
{
	if (e->kind == ERR_NO_SPACE)
		__atomic_store_n(&c->discard, true, __ATOMIC_RELAXED);
	if (c->error)
		err_free(e);
	else
		c->error = e;
	shared_progress_stop(c->o->shared);
	for (size_t i = 0; i < c->n_tasks; i++)
		blob_feed_end(&c->tasks[i].feed, false);
	pthread_cond_broadcast(&c->changed);
}

/* Waits until *flag, which the mutex guards. */
static struct err *wait_for(struct content *c, const bool *flag)
{
	pthread_mutex_lock(&c->mutex);
	while (!*flag && !c->o->shared->stop)
		pthread_cond_wait(&c->changed, &c->mutex);
	bool done = *flag;
	pthread_mutex_unlock(&c->mutex);
	return done ? NULL : cancelled();
}

static void set(struct content *c, bool *flag)
{
	pthread_mutex_lock(&c->mutex);
	*flag = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mutex);
}

/* -- downloading ---------------------------------------------------------------------------------------------- */

/* Nobody needs a blob whose layer is applied; it is known only once the config is. */
static bool is_needless(struct content *c, size_t task)
{
	return task > 0 && !c->o->incomplete && c->config_known &&
	       layer_exists(c->o->store, &c->chains[task - 1]);
}

static struct task *find_needy(struct content *c)
{
	for (size_t i = 0; i < c->n_tasks; i++)
		if (pull_split_wants_help(&c->tasks[i].split))
			return &c->tasks[i];
	return NULL;
}

/* With the mutex held. Nothing is left to begin: whoever has a large blob gets help until all is there. */
static void help_others(struct content *c, struct http_client *client)
{
	while (!c->o->shared->stop && client && c->n_downloaded < c->n_tasks) {
		struct task *t = find_needy(c);
		if (!t) {
			pthread_cond_wait(&c->changed, &c->mutex);
			continue;
		}
		pthread_mutex_unlock(&c->mutex);
		pull_split_help(&t->split, client);
		pthread_mutex_lock(&c->mutex);
	}
}

static void on_helpable(void *user)
{
	struct content *c = user;

	pthread_mutex_lock(&c->mutex);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mutex);
}

static void download_all(void *user, struct http_client *client, struct err *failed)
{
	struct content *c = user;

	pthread_mutex_lock(&c->mutex);
	if (failed)
		fail(c, failed);
	while (!c->o->shared->stop && c->next_download < c->n_tasks) {
		size_t i = c->next_download++;
		struct task *t = &c->tasks[i];
		t->needless = is_needless(c, i);
		struct err *e = NULL;
		pthread_mutex_unlock(&c->mutex);
		if (!t->needless)
			e = pull_blob(&c->blobs, client, t->d, i > 0 ? &t->feed : NULL, &t->split);
		blob_feed_end(&t->feed, !e);
		pthread_mutex_lock(&c->mutex);
		if (e)
			fail(c, e);
		else
			t->downloaded = true;
		c->n_downloaded++;
		pthread_cond_broadcast(&c->changed);
	}
	help_others(c, client);
	pthread_mutex_unlock(&c->mutex);
}

/* A blob that was here already, and is damaged, is fetched after all. The threads have their connections; this takes one of its own.
 * Answers `found` (consumed) when that is not the reason. */
static struct err *fetch_again(struct content *c, struct err *found, const struct descriptor *d)
{
	_cleanup_(http_client_freep) struct http_client *client = NULL;
	const struct progress *p = c->o->progress;

	if (found->kind != ERR_CORRUPT)
		return found;
	struct err *damage = blob_verify(c->o->store, &d->digest, p->cancelled, p->user);
	if (!damage || damage->kind != ERR_CORRUPT) { /* the blob is what the registry has */
		err_free(damage);
		return found;
	}
	err_free(found);
	TRY(blob_discard_damaged(c->o->store, damage, &d->digest));
	TRY(registry_client_new(c->o->registry, &client));
	return pull_blob(&c->blobs, client, d, NULL, NULL);
}

/* -- the config ----------------------------------------------------------------------------------------------- */

static struct err *check_config(struct content *c)
{
	const struct pull_content *o = c->o;
	const struct image_config *config = &c->config;

	if (config->n_layers != o->manifest->n_entries)
		return err_new(ERR_INVALID, "manifest %s from registry %s lists %zu layers, its config %zu",
			       o->manifest_digest->s, registry_name(o->registry), o->manifest->n_entries,
			       config->n_layers);
	if (*config->platform.os && strcmp(config->platform.os, "linux") != 0)
		return err_new(ERR_UNSUPPORTED, "the image is made for %.32s; havre runs images for linux",
			       config->platform.os);
	if (!o->from_index && *config->platform.architecture && *o->platform->architecture &&
	    !platform_matches(o->platform, &config->platform)) {
		_cleanup_free_ char *has = platform_string(&config->platform);
		_cleanup_free_ char *want = platform_string(o->platform);
		_cleanup_free_ char *text = xasprintf("%s is made for %s, not for %s", o->shown, has, want);
		o->progress->message(o->progress->user, text);
	}
	return NULL;
}

static struct err *read_config(struct content *c)
{
	const struct descriptor *d = &c->o->manifest->config;
	_cleanup_free_ char *text = NULL;
	size_t size;

	TRY(wait_for(c, &c->tasks[0].downloaded));
	struct err *damaged = store_blob_read(c->o->store, &d->digest, CONFIG_SIZE_MAX, &text, &size);
	if (damaged) {
		TRY(fetch_again(c, damaged, d));
		TRY(store_blob_read(c->o->store, &d->digest, CONFIG_SIZE_MAX, &text, &size));
	}
	TRY_WRAP(image_config_parse(text, size, &c->config), "image config %s from registry %s", d->digest.s,
		 registry_name(c->o->registry));
	TRY(check_config(c));
	c->chains = xnew_array(struct digest, c->config.n_layers);
	for (size_t i = 0; i < c->config.n_layers; i++)
		layer_chain_id(i ? &c->chains[i - 1] : NULL, &c->config.diff_ids[i], &c->chains[i]);
	set(c, &c->config_known);
	return NULL;
}

/* -- unpacking ------------------------------------------------------------------------------------------------ */

/* Whoever adds a layer knows it by its diff id; whoever watches knows it by the blob. */
struct layer_progress {
	const struct progress *out;
	struct blob_short_id id;
};

static void layer_update(void *user, const char *id, enum progress_phase phase, uint64_t done, uint64_t total)
{
	struct layer_progress *l = user;

	if (phase == PROGRESS_APPLYING)
		l->out->update(l->out->user, l->id.s, phase, done, total);
}

static void layer_message(void *user, const char *text)
{
	struct layer_progress *l = user;
	l->out->message(l->out->user, text);
}

static bool layer_cancelled(void *user)
{
	struct layer_progress *l = user;
	return l->out->cancelled(l->out->user);
}

static struct err *wait_below(void *user)
{
	struct task *t = user;

	return t == &t->content->tasks[1] ? NULL : wait_for(t->content, &(t - 1)->unpacked);
}

/* `feed`: the layer is being received still. */
static struct err *add_layer(struct task *t, struct blob_feed *feed, const struct progress *progress)
{
	struct content *c = t->content;
	size_t i = (size_t)(t - c->tasks) - 1;
	_cleanup_free_ char *what = xasprintf("layer %.19s", c->config.diff_ids[i].s);
	_cleanup_fd_ int fd = -1;
	struct layer_source in = {.what = what,
				  .fd = -1,
				  .size = t->d->size,
				  .diff_id = &c->config.diff_ids[i],
				  .parent = i ? &c->chains[i - 1] : NULL,
				  .wait_below = wait_below,
				  .user = t,
				  .progress = progress};
	struct layer_added added;

	TRY(layer_check_media_type(t->d->media_type));
	if (feed) {
		in.read = blob_feed_read;
		in.read_user = feed;
	} else {
		TRY(store_blob_open(c->o->store, &t->d->digest, &fd));
		in.fd = fd;
	}
	return layer_add_source(c->o->store, &in, &added);
}

/* Other failures of a layer that was not there whole may be those of its reception: it gets another chance. */
static bool is_hopeless(const struct err *e)
{
	return e->kind == ERR_CANCELLED || e->kind == ERR_NO_SPACE || e->kind == ERR_UNSUPPORTED;
}

static struct err *unpack_received(struct task *t, const struct progress *progress)
{
	struct content *c = t->content;
	const struct digest *chain = &c->chains[t - c->tasks - 1];

	TRY(wait_for(c, &t->downloaded));
	if (t->needless && !blob_exists(c->o->store, &t->d->digest, NULL))
		return err_new(ERR_STATE, "layer %s was removed by somebody else just now: try again",
			       chain->s);
	struct err *e = add_layer(t, NULL, progress);
	if (e)
		e = fetch_again(c, e, t->d);
	if (!e && !layer_exists(c->o->store, chain))
		e = add_layer(t, NULL, progress);
	return e;
}

static struct err *unpack_layer(struct task *t)
{
	struct content *c = t->content;
	const struct progress *out = c->o->progress;
	const struct digest *chain = &c->chains[t - c->tasks - 1];
	struct layer_progress l = {.out = out, .id = blob_short_id(&t->d->digest)};
	struct progress progress = {
		.update = layer_update, .message = layer_message, .cancelled = layer_cancelled, .user = &l};
	struct err *e = NULL;

	bool received = !blob_feed_wait(&t->feed);
	if (layer_exists(c->o->store, chain)) {
		TRY(wait_for(c, &t->downloaded));
		out->update(out->user, l.id.s, PROGRESS_EXISTS, t->d->size, t->d->size);
		return NULL;
	}
	if (!received) {
		e = add_layer(t, &t->feed, &progress);
		received = e && !is_hopeless(e);
		if (received)
			err_free(TAKE_PTR(e));
	}
	if (received)
		e = unpack_received(t, &progress);
	else if (!e)
		e = wait_for(c, &t->downloaded);
	TRY_WRAP(e, "layer %s", t->d->digest.s);
	out->update(out->user, l.id.s, PROGRESS_DONE, t->d->size, t->d->size);
	return NULL;
}

static void unpack_all(void *user, struct http_client *client, struct err *failed)
{
	struct content *c = user;

	(void)client;
	pthread_mutex_lock(&c->mutex);
	if (failed)
		fail(c, failed);
	while (!c->o->shared->stop && c->next_unpack < c->n_tasks) {
		struct task *t = &c->tasks[c->next_unpack++];
		pthread_mutex_unlock(&c->mutex);
		struct err *e = unpack_layer(t);
		pthread_mutex_lock(&c->mutex);
		if (e)
			fail(c, e);
		else
			t->unpacked = true;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->mutex);
}

/* -- the whole ------------------------------------------------------------------------------------------------ */

static struct err *run(struct content *c)
{
	const struct pull_content *o = c->o;
	struct workers downloads = {
		.registry = o->registry, .client = o->client, .run = download_all, .user = c};
	struct workers unpackers = {.run = unpack_all, .user = c};
	size_t parallel = o->parallel ? o->parallel : PARALLEL_DEFAULT;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n =
		processors < UNPACKERS_MIN ? UNPACKERS_MIN : MIN((size_t)processors, (size_t)UNPACKERS_MAX);

	bool large = false;
	for (size_t i = 0; i < c->n_tasks; i++)
		large |= pull_split_is_worth(c->tasks[i].d->size);
	struct err *e = workers_start(&downloads, large ? parallel : MIN(parallel, c->n_tasks));
	if (!e)
		e = read_config(c);
	if (!e && c->n_tasks > 1)
		e = workers_start(&unpackers, MIN(n, c->n_tasks - 1));
	if (e) {
		pthread_mutex_lock(&c->mutex);
		fail(c, e);
		pthread_mutex_unlock(&c->mutex);
	}
	workers_join(&unpackers);
	workers_join(&downloads);
	return TAKE_PTR(c->error);
}

struct err *pull_content(const struct pull_content *o)
{
	struct content c = {.o = o, .next_unpack = 1, .n_tasks = o->manifest->n_entries + 1};

	c.blobs = (struct pull_blob){o->store, o->registry, o->progress, &c.discard};
	pthread_mutex_init(&c.mutex, NULL);
	pthread_cond_init(&c.changed, NULL);
	c.tasks = xnew_array(struct task, c.n_tasks);
	for (size_t i = 0; i < c.n_tasks; i++) {
		const struct descriptor *d = i ? &o->manifest->entries[i - 1] : &o->manifest->config;
		c.tasks[i].content = &c;
		c.tasks[i].d = d;
		blob_feed_init(&c.tasks[i].feed, d->size);
		pull_split_init(&c.tasks[i].split, on_helpable, &c);
		if (i)
			o->progress->update(o->progress->user, blob_short_id(&d->digest).s, PROGRESS_WAITING,
					    0, d->size);
	}
	struct err *e = run(&c);
	for (size_t i = 0; i < c.n_tasks; i++) {
		blob_feed_release(&c.tasks[i].feed);
		pull_split_release(&c.tasks[i].split);
	}
	free(c.tasks);
	free(c.chains);
	image_config_release(&c.config);
	pthread_cond_destroy(&c.changed);
	pthread_mutex_destroy(&c.mutex);
	return e;
}
