/* SPDX-License-Identifier: Apache-2.0 */
/* Pulling. The manifest (and the index around it) comes first; then the config and the layers are downloaded by a few threads, each with
 * its own connection, while the calling thread applies finished layers in the order of the chain. The name is recorded last (S2).
 *
 * A pull of a name that is here already and has not moved is one HEAD request. */
#include "images/pull.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "images/layer.h"
#include "manifest.h"
#include "pull_blob.h"
#include "store_image.h"
#include "trust_storage.h"
#include "workers.h"

#define PARALLEL_DEFAULT 4

enum task_state { TASK_WAITING, TASK_RUNNING, TASK_DONE };

/* Task 0 is the config, task i + 1 layer i. */
struct task {
	const struct descriptor *d;
	enum task_state state;
	bool needless; /* the layer is applied already, under another compression perhaps */
};

struct pull {
	struct store *store;
	const struct reference *ref;
	const struct pull_options *options;
	char *shown; /* the reference as the user knows it */

	struct trust_policy *policy;
	struct registry *registry;
	struct http_client *client; /* the calling thread's, then the first worker's */
	struct digest target, manifest_digest;
	struct manifest *manifest;
	bool from_index;
	bool incomplete; /* the image is here, but not all of its content: nothing that is missing is needless */
	struct image_config config;
	struct digest *chains;

	struct shared_progress shared; /* its stop ends all work */
	struct progress progress;

	pthread_mutex_t mutex; /* guards the rest */
	pthread_cond_t changed;
	struct task *tasks;
	size_t n_tasks, next_task;
	bool config_known;
	bool discard;
	struct err *error; /* of the first worker that failed */
	struct pull_blob blobs;
};

/* -- progress ------------------------------------------------------------------------------------------------- */

static void progress_update(void *user, const char *id, enum progress_phase phase, uint64_t done,
			    uint64_t total)
{
	struct pull *p = user;

	/* The image's config is no layer: nobody wants a bar for it. */
	if (!p->manifest || !str_eq(id, blob_short_id(&p->manifest->config.digest).s))
		p->shared.progress.update(&p->shared, id, phase, done, total);
}

static void progress_message(void *user, const char *text)
{
	struct pull *p = user;
	p->shared.progress.message(&p->shared, text);
}

static bool progress_cancelled(void *user)
{
	struct pull *p = user;
	return p->shared.progress.cancelled(&p->shared);
}

/* layer_add knows a layer by its diff id; whoever watches knows it by the blob. */
struct layer_progress {
	struct pull *pull;
	struct blob_short_id id;
	bool applied; /* something was reported: the layer was not there before */
};

static void layer_update(void *user, const char *id, enum progress_phase phase, uint64_t done, uint64_t total)
{
	struct layer_progress *l = user;

	if (phase == PROGRESS_APPLYING) {
		l->applied = true;
		progress_update(l->pull, l->id.s, phase, done, total);
	}
}

static void layer_message(void *user, const char *text)
{
	progress_message(((struct layer_progress *)user)->pull, text);
}

static bool layer_cancelled(void *user)
{
	return progress_cancelled(((struct layer_progress *)user)->pull);
}

/* -- documents ------------------------------------------------------------------------------------------------ */

/* The image behind this name or digest, if it is here and for the right platform. NULL otherwise. */
static struct err *find_local(struct pull *p, struct image **ret)
{
	_cleanup_image_ struct image *image = NULL;
	_cleanup_free_ char *name = reference_string(p->ref);

	*ret = NULL;
	struct err *e = store_find(p->store, name, &image);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	const char *wanted = p->options->platform.architecture;
	if (*wanted && *image->platform.architecture &&
	    !platform_matches(&p->options->platform, &image->platform))
		return NULL;
	*ret = TAKE_PTR(image);
	return NULL;
}

/* *ret: the local image when the registry's is the same. */
static struct err *is_up_to_date(struct pull *p, struct image **ret)
{
	_cleanup_image_ struct image *local = NULL;
	struct registry_manifest head = {0};

	*ret = NULL;
	TRY(find_local(p, &local));
	if (!local)
		return NULL;
	p->incomplete = !image_is_complete(p->store, local);
	if (p->incomplete)
		return NULL;
	if (!digest_is_set(&p->ref->digest)) {
		TRY(registry_manifest_head(p->registry, p->client, p->ref->tag, &head));
		bool same = digest_equal(&head.digest, &local->target);
		registry_manifest_release(&head);
		if (!same)
			return NULL;
	}
	*ret = TAKE_PTR(local);
	return NULL;
}

/* A blob that was here and turned out to be damaged makes room for a good one; the error that said so is consumed. */
static struct err *discard_damaged(struct store *s, struct err *found, const struct digest *d)
{
	bool damaged = found && found->kind == ERR_CORRUPT;

	err_free(found);
	return damaged ? blob_discard(s, d) : NULL;
}

static struct err *get_document(struct pull *p, const char *what, const struct digest *expected,
				struct digest *ret_digest, uint64_t *ret_size, struct manifest **ret)
{
	_cleanup_(registry_manifest_release) struct registry_manifest got = {0};
	_cleanup_manifest_ struct manifest *m = NULL;
	struct digest stored;

	if (expected && blob_exists(p->store, expected, NULL)) { /* a second tag of one index, a second try */
		struct err *e = store_blob_read(p->store, expected, MANIFEST_SIZE_MAX, &got.data, &got.size);
		got.digest = *expected;
		TRY(discard_damaged(p->store, e, expected));
	}
	if (!got.data)
		TRY(registry_manifest_get(p->registry, p->client, what, expected, &got));
	TRY_WRAP(manifest_parse(got.data, got.size, got.content_type, &m), "manifest %s from registry %s",
		 got.digest.s, registry_name(p->registry));
	if (!expected && blob_exists(p->store, &got.digest, NULL)) {
		_cleanup_free_ char *kept = NULL;
		size_t size;
		struct err *e = store_blob_read(p->store, &got.digest, MANIFEST_SIZE_MAX, &kept, &size);
		TRY(discard_damaged(p->store, e, &got.digest));
	}
	if (!blob_exists(p->store, &got.digest, NULL)) {
		struct blob_writer *w;
		TRY(blob_writer_begin(p->store, &got.digest, &p->progress, &w));
		if (w) {
			struct err *e = blob_writer_restart(w);
			if (!e)
				e = blob_writer_write(w, got.data, got.size);
			if (e) {
				blob_writer_abort(w, false);
				return e;
			}
			TRY(blob_writer_commit(w, got.size, &stored, NULL));
		}
	}
	*ret_digest = got.digest;
	*ret_size = got.size;
	*ret = TAKE_PTR(m);
	return NULL;
}

static struct err *get_manifest(struct pull *p)
{
	const struct digest *pinned = digest_is_set(&p->ref->digest) ? &p->ref->digest : NULL;
	_cleanup_manifest_ struct manifest *top = NULL;
	const struct descriptor *chosen;
	uint64_t size;

	TRY(get_document(p, pinned ? pinned->s : p->ref->tag, pinned, &p->target, &size, &top));
	if (!top->is_index) {
		p->manifest_digest = p->target;
		p->manifest = TAKE_PTR(top);
		return NULL;
	}
	p->from_index = true;
	TRY_WRAP(manifest_choose(top, &p->options->platform, &chosen), "%s in registry %s", p->shown,
		 registry_name(p->registry));
	TRY(get_document(p, chosen->digest.s, &chosen->digest, &p->manifest_digest, &size, &p->manifest));
	if (size != chosen->size)
		return err_new(ERR_CORRUPT,
			       "manifest %s from registry %s has %llu bytes, its index says %llu",
			       chosen->digest.s, registry_name(p->registry), (unsigned long long)size,
			       (unsigned long long)chosen->size);
	if (p->manifest->is_index)
		return err_new(ERR_UNSUPPORTED, "index %s from registry %s calls another index an image",
			       p->target.s, registry_name(p->registry));
	return NULL;
}

/* -- workers -------------------------------------------------------------------------------------------------- */

/* Nobody needs a blob whose layer is applied; it is known only once the config is. */
static bool is_needless(struct pull *p, size_t task)
{
	return task > 0 && !p->incomplete && p->config_known && layer_exists(p->store, &p->chains[task - 1]);
}

static void fail(struct pull *p, struct err *e)
{
	if (e->kind == ERR_NO_SPACE)
		__atomic_store_n(&p->discard, true, __ATOMIC_RELAXED);
	if (p->error)
		err_free(e);
	else
		p->error = e;
	shared_progress_stop(&p->shared);
}

static void run_tasks(void *user, struct http_client *client, struct err *failed)
{
	struct pull *p = user;

	pthread_mutex_lock(&p->mutex);
	if (failed) {
		fail(p, failed);
		pthread_cond_broadcast(&p->changed);
	}
	while (!p->shared.stop && p->next_task < p->n_tasks) {
		size_t i = p->next_task++;
		struct task *t = &p->tasks[i];
		t->state = TASK_RUNNING;
		t->needless = is_needless(p, i);
		if (!t->needless) {
			pthread_mutex_unlock(&p->mutex);
			struct err *e = pull_blob(&p->blobs, client, t->d);
			pthread_mutex_lock(&p->mutex);
			if (e)
				fail(p, e);
		}
		t->state = TASK_DONE;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->mutex);
}

static struct err *wait_task(struct pull *p, size_t i)
{
	struct err *e = NULL;

	pthread_mutex_lock(&p->mutex);
	while (p->tasks[i].state != TASK_DONE && !p->shared.stop)
		pthread_cond_wait(&p->changed, &p->mutex);
	if (p->shared.stop)
		e = p->error ? TAKE_PTR(p->error) : err_new(ERR_CANCELLED, "interrupted");
	pthread_mutex_unlock(&p->mutex);
	return e;
}

/* -- applying ------------------------------------------------------------------------------------------------- */

/* A blob that was here already, and is damaged, is fetched after all. The workers have their connections; this takes one of its own.
 * Answers `found` (consumed) when that is not the reason. */
static struct err *fetch_again(struct pull *p, struct err *found, const struct descriptor *d)
{
	_cleanup_(http_client_freep) struct http_client *client = NULL;

	if (found->kind != ERR_CORRUPT)
		return found;
	struct err *damage = blob_verify(p->store, &d->digest, progress_cancelled, p);
	if (!damage || damage->kind != ERR_CORRUPT) { /* the blob is what the registry has */
		err_free(damage);
		return found;
	}
	err_free(found);
	TRY(discard_damaged(p->store, damage, &d->digest));
	TRY(registry_client_new(p->registry, &client));
	return pull_blob(&p->blobs, client, d);
}

static struct err *read_config(struct pull *p)
{
	const struct digest *d = &p->manifest->config.digest;
	_cleanup_free_ char *text = NULL;
	size_t size;

	TRY(wait_task(p, 0));
	struct err *damaged = store_blob_read(p->store, d, CONFIG_SIZE_MAX, &text, &size);
	if (damaged) {
		TRY(fetch_again(p, damaged, &p->manifest->config));
		TRY(store_blob_read(p->store, d, CONFIG_SIZE_MAX, &text, &size));
	}
	struct image_config *c = &p->config;
	TRY_WRAP(image_config_parse(text, size, c), "image config %s from registry %s", d->s,
		 registry_name(p->registry));
	if (c->n_layers != p->manifest->n_entries)
		return err_new(ERR_INVALID, "manifest %s from registry %s lists %zu layers, its config %zu",
			       p->manifest_digest.s, registry_name(p->registry), p->manifest->n_entries,
			       c->n_layers);
	if (*c->platform.os && strcmp(c->platform.os, "linux") != 0)
		return err_new(ERR_UNSUPPORTED, "the image is made for %.32s; havre runs images for linux",
			       c->platform.os);
	if (!p->from_index && *c->platform.architecture && *p->options->platform.architecture &&
	    !platform_matches(&p->options->platform, &c->platform)) {
		_cleanup_free_ char *has = platform_string(&c->platform);
		_cleanup_free_ char *want = platform_string(&p->options->platform);
		_cleanup_free_ char *text2 = xasprintf("%s is made for %s, not for %s", p->shown, has, want);
		progress_message(p, text2);
	}
	struct digest *chains = xnew_array(struct digest, c->n_layers);
	for (size_t i = 0; i < c->n_layers; i++)
		layer_chain_id(i ? &chains[i - 1] : NULL, &c->diff_ids[i], &chains[i]);
	pthread_mutex_lock(&p->mutex);
	p->chains = chains;
	p->config_known = true;
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

static struct err *add_layer(struct pull *p, size_t i, const struct progress *progress)
{
	const struct descriptor *d = &p->manifest->entries[i];
	_cleanup_fd_ int fd = -1;
	struct digest chain;

	TRY(store_blob_open(p->store, &d->digest, &fd));
	return layer_add(p->store, fd, *d->media_type ? d->media_type : NULL, &p->config.diff_ids[i],
			 i ? &p->chains[i - 1] : NULL, progress, &chain);
}

static struct err *apply_layer(struct pull *p, size_t i)
{
	const struct descriptor *d = &p->manifest->entries[i];
	struct layer_progress l = {.pull = p, .id = blob_short_id(&d->digest)};
	struct progress progress = {
		.update = layer_update, .message = layer_message, .cancelled = layer_cancelled, .user = &l};

	TRY(wait_task(p, i + 1));
	if (layer_exists(p->store, &p->chains[i])) {
		progress_update(p, l.id.s, PROGRESS_EXISTS, d->size, d->size);
		return NULL;
	}
	if (p->tasks[i + 1].needless && !blob_exists(p->store, &d->digest, NULL))
		return err_new(ERR_STATE, "layer %s was removed by somebody else just now: try again",
			       p->chains[i].s);
	struct err *e = add_layer(p, i, &progress);
	if (e)
		e = fetch_again(p, e, d);
	if (!e && !layer_exists(p->store, &p->chains[i]))
		e = add_layer(p, i, &progress);
	TRY_WRAP(e, "layer %s", d->digest.s);
	progress_update(p, l.id.s, PROGRESS_DONE, d->size, d->size);
	return NULL;
}

static struct err *apply_layers(struct pull *p)
{
	TRY(read_config(p));
	for (size_t i = 0; i < p->manifest->n_entries; i++)
		TRY(apply_layer(p, i));
	return NULL;
}

static struct err *get_content(struct pull *p)
{
	struct workers workers = {.registry = p->registry, .client = p->client, .run = run_tasks, .user = p};
	size_t parallel = p->options->parallel ? p->options->parallel : PARALLEL_DEFAULT;

	p->n_tasks = p->manifest->n_entries + 1;
	p->tasks = xnew_array(struct task, p->n_tasks);
	p->tasks[0].d = &p->manifest->config;
	for (size_t i = 0; i < p->manifest->n_entries; i++) {
		const struct descriptor *d = &p->manifest->entries[i];
		p->tasks[i + 1].d = d;
		progress_update(p, blob_short_id(&d->digest).s, PROGRESS_WAITING, 0, d->size);
	}
	p->blobs = (struct pull_blob){p->store, p->registry, &p->progress, &p->discard};
	struct err *e = workers_start(&workers, MIN(parallel, p->n_tasks));
	if (!e)
		e = apply_layers(p);
	pthread_mutex_lock(&p->mutex);
	if (e)
		shared_progress_stop(&p->shared);
	if (e && e->kind == ERR_NO_SPACE)
		__atomic_store_n(&p->discard, true, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&p->mutex);
	workers_join(&workers);
	/* Who gave up because somebody else failed is not the reason. */
	if (!e || (e->kind == ERR_CANCELLED && p->error && p->error->kind != ERR_CANCELLED)) {
		err_free(e);
		e = TAKE_PTR(p->error);
	}
	return e;
}

/* -- trust ---------------------------------------------------------------------------------------------------- */

static struct trust_subject subject(const struct pull *p)
{
	return (struct trust_subject){.transport = "docker", .reference = p->ref};
}

static struct err *get_signatures(void *user, const struct digest *d, struct trust_signatures *ret)
{
	return trust_storage_read(user, d, ret);
}

/* Signatures are about the image's own name, wherever it came from, and are looked for where it came from. */
static struct err *check_trust(struct pull *p, const struct registry_endpoint *at,
			       const struct digest *manifest, const struct digest *target)
{
	struct trust_subject s = subject(p);
	struct reference place = {
		.domain = at->domain, .path = at->path, .tag = p->ref->tag, .digest = p->ref->digest};
	struct trust_storage storage = {
		.registry = p->registry, .client = p->client, .at = &place, .progress = &p->progress};
	_cleanup_free_ char *document = NULL, *index = NULL;

	if (!trust_needs_check(p->policy, &s))
		return NULL;
	s.signatures = get_signatures;
	s.user = &storage;
	TRY(store_blob_read(p->store, manifest, MANIFEST_SIZE_MAX, &document, &s.manifest_size));
	s.manifest = document;
	if (!digest_equal(manifest, target)) {
		TRY(store_blob_read(p->store, target, MANIFEST_SIZE_MAX, &index, &s.index_size));
		s.index = index;
	}
	return trust_check(p->policy, &s);
}

/* The manifest from one place, with its own credentials. *ret_image: the local image, when it is what that place has. */
static struct err *try_endpoint(struct pull *p, const struct registry_endpoint *at, struct image **ret_image)
{
	const struct pull_options *o = p->options;
	struct registry_options ro = {.username = o->username,
				      .password = o->password,
				      .insecure = o->insecure,
				      .ca_file = o->ca_file,
				      .cert_dir = o->cert_dir,
				      .auth_file = o->auth_file,
				      .progress = &p->progress};

	http_client_free(TAKE_PTR(p->client));
	registry_close(TAKE_PTR(p->registry));
	TRY(registry_open_at(at, &ro, &p->registry));
	TRY(registry_client_new(p->registry, &p->client));
	TRY(is_up_to_date(p, ret_image));
	return *ret_image ? NULL : get_manifest(p);
}

/* Mirrors in their order, then the registry itself. Whoever has the manifest is asked for the rest. */
static struct err *find_source(struct pull *p, struct image **ret_image)
{
	bool pinned = digest_is_set(&p->ref->digest);
	_cleanup_(registry_endpoints_release) struct registry_endpoints all = {0};

	TRY(registry_endpoints(p->ref->domain, p->ref->path,
			       pinned ? REGISTRY_READ_DIGEST : REGISTRY_READ_TAG, &all));
	for (size_t i = 0;; i++) {
		struct err *e = try_endpoint(p, &all.v[i], ret_image);
		if (!e && *ret_image)
			return check_trust(p, &all.v[i], &(*ret_image)->manifest, &(*ret_image)->target);
		if (!e)
			return check_trust(p, &all.v[i], &p->manifest_digest, &p->target);
		if (i + 1 == all.n || e->kind == ERR_CANCELLED || e->kind == ERR_NO_SPACE)
			return e;
		_cleanup_free_ char *why = err_text(e);
		_cleanup_free_ char *text = xasprintf("Mirror %s is of no use: %s", all.v[i].domain, why);
		err_free(e);
		progress_message(p, text);
	}
}

static struct err *pull(struct pull *p, struct image **ret, bool *ret_changed)
{
	_cleanup_fd_ int lock = -1;
	_cleanup_image_ struct image *image = NULL;

	TRY(store_check_writable(p->store));
	TRY(trust_policy_load(p->options->signature_policy, &p->policy));
	struct trust_subject place = subject(p);
	TRY(trust_check(p->policy, &place));
	TRY(store_lock_shared(p->store, &lock));
	TRY(find_source(p, &image));
	if (image) {
		*ret = TAKE_PTR(image);
		*ret_changed = false;
		return NULL;
	}
	TRY(get_content(p));
	struct image_record record = {.manifest = p->manifest_digest,
				      .target = p->target,
				      .name = p->ref,
				      .repo_digest = true,
				      .layer_blobs_optional = true};
	return image_record(p->store, &record, ret, ret_changed);
}

static void pull_release(struct pull *p)
{
	http_client_free(p->client);
	registry_close(p->registry);
	trust_policy_free(p->policy);
	manifest_free(p->manifest);
	image_config_release(&p->config);
	err_free(p->error);
	free(p->chains);
	free(p->tasks);
	free(p->shown);
	shared_progress_release(&p->shared);
	pthread_mutex_destroy(&p->mutex);
	pthread_cond_destroy(&p->changed);
}

struct err *image_pull(struct store *s, const struct reference *ref, const struct pull_options *o,
		       struct image **ret, bool *ret_changed)
{
	struct pull p = {.store = s, .ref = ref, .options = o};

	p.progress = (struct progress){progress_update, progress_message, progress_cancelled, &p};
	p.shown = reference_familiar(ref);
	shared_progress_init(&p.shared, o->progress);
	pthread_mutex_init(&p.mutex, NULL);
	pthread_cond_init(&p.changed, NULL);
	struct err *e = pull(&p, ret, ret_changed);
	bool full = e && e->kind == ERR_NO_SPACE;
	if (e)
		e = err_wrap(e, "cannot pull %s", p.shown);
	pull_release(&p);
	if (full)
		store_give_back(s);
	return e;
}
