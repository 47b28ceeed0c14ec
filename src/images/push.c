/* SPDX-License-Identifier: Apache-2.0 */
/* Pushing: blobs first, by a few threads; then the manifests, inner ones before the index around them; the tag last, so that it never
 * points to something incomplete. A tag that points to this image already costs one HEAD request: whoever has a manifest has all of it. */
#include "images/push.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/memory.h"
#include "manifest.h"
#include "pull_blob.h"
#include "push_blob.h"
#include "push_compress.h"
#include "trust_sign.h"
#include "workers.h"

#define PARALLEL_DEFAULT 5

struct document {
	struct digest digest;
	char *data;
	size_t size;
	struct manifest *manifest;
};

struct item {
	const struct descriptor *d;
	struct descriptor compressed; /* what it became; its digest is unset: nothing else */
	bool compress;
	const struct digest *diff_id; /* of a layer of the platform's image; NULL otherwise */
};

struct push {
	struct store *store;
	const struct reference *ref;
	const struct push_options *options;
	char *shown;
	struct image *image;
	struct document *documents; /* in the order in which they are put; the last one gets the tag */
	size_t n_documents;
	struct item *items;
	size_t n_items, items_cap;
	bool compresses; /* at least one of them is sent in another form than it is kept */

	struct registry *registry;
	struct http_client *client;
	struct shared_progress shared;
	struct push_blob blobs;

	pthread_mutex_t mutex; /* guards the rest */
	size_t next_item;
	struct err *error;    /* of the first worker that failed */
	struct image **known; /* all images, for finding other repositories; read on first use */
	size_t n_known;
	bool known_read;
};

/* -- what to push ---------------------------------------------------------------------------------------------- */

static void documents_release(struct push *p)
{
	for (size_t i = 0; i < p->n_documents; i++) {
		free(p->documents[i].data);
		manifest_free(p->documents[i].manifest);
	}
	free(p->documents);
	p->documents = NULL;
	p->n_documents = 0;
}

static struct err *read_document(struct push *p, const struct digest *d, struct document *ret)
{
	ret->digest = *d;
	TRY(store_blob_read(p->store, d, MANIFEST_SIZE_MAX, &ret->data, &ret->size));
	return manifest_parse(ret->data, ret->size, NULL, &ret->manifest);
}

/* image-spec layer.md "Non-Distributable Layers", and docker's foreign ones. */
static bool is_distributable(const struct descriptor *d)
{
	return !strstr(d->media_type, ".nondistributable.") && !strstr(d->media_type, ".foreign.");
}

static bool is_complete(struct push *p, const struct manifest *m)
{
	if (m->is_index || !blob_exists(p->store, &m->config.digest, NULL))
		return false;
	for (size_t i = 0; i < m->n_entries; i++)
		if (is_distributable(&m->entries[i]) && !blob_exists(p->store, &m->entries[i].digest, NULL))
			return false;
	return true;
}

/* The index with all that it names, or nothing of it when a part is not here (or is not an image's). */
static struct err *read_index(struct push *p, struct document *index, bool *ret_complete)
{
	size_t n = index->manifest->n_entries;

	p->documents = xnew_array(struct document, n + 1);
	*ret_complete = true;
	for (size_t i = 0; i < n && *ret_complete; i++) {
		struct document *one = &p->documents[p->n_documents++];
		struct err *e = read_document(p, &index->manifest->entries[i].digest, one);
		if (e && e->kind != ERR_NOT_FOUND && e->kind != ERR_UNSUPPORTED)
			return e;
		*ret_complete = !e && is_complete(p, one->manifest);
		err_free(e);
	}
	if (*ret_complete) {
		p->documents[p->n_documents++] = *index;
		*index = (struct document){0};
	} else {
		documents_release(p);
	}
	return NULL;
}

/* One platform's image, of an index or the image itself. */
static struct err *choose_platform(struct push *p)
{
	const struct platform *wanted = &p->options->platform;
	_cleanup_free_ char *text = platform_string(wanted);
	const struct descriptor *chosen;
	struct document top = {0};

	p->documents = xnew(struct document);
	p->n_documents = 1;
	if (digest_equal(&p->image->target, &p->image->manifest)) {
		if (!platform_matches(wanted, &p->image->platform)) {
			_cleanup_free_ char *has = platform_string(&p->image->platform);
			return err_new(ERR_NOT_FOUND, "it is an image for %s, not for %s", has, text);
		}
		return read_document(p, &p->image->manifest, &p->documents[0]);
	}
	struct err *e = read_document(p, &p->image->target, &top);
	if (!e)
		e = manifest_choose(top.manifest, wanted, &chosen);
	if (!e) {
		e = read_document(p, &chosen->digest, &p->documents[0]);
		bool absent = e ? e->kind == ERR_NOT_FOUND : !is_complete(p, p->documents[0].manifest);
		if (absent) {
			err_free(e);
			e = err_new(ERR_NOT_FOUND,
				    "the image for %s is not here: get it with pull --platform %s", text,
				    text);
		}
	}
	free(top.data);
	manifest_free(top.manifest);
	return e;
}

static struct err *choose_documents(struct push *p)
{
	struct document top = {0};
	bool complete = false;

	if (*p->options->platform.architecture)
		return choose_platform(p);
	struct err *e = NULL;
	if (!digest_equal(&p->image->target, &p->image->manifest)) {
		e = read_document(p, &p->image->target, &top);
		if (!e)
			e = read_index(p, &top, &complete);
		free(top.data);
		manifest_free(top.manifest);
		if (e && e->kind != ERR_NOT_FOUND)
			return e;
		err_free(e);
		if (complete)
			return NULL;
		_cleanup_free_ char *platform = platform_string(&p->image->platform);
		_cleanup_free_ char *text = xasprintf(
			"%s: only the image for %s is here: pushing that one, not the index around it",
			p->shown, platform);
		p->shared.progress.message(&p->shared, text);
	}
	p->documents = xnew(struct document);
	p->n_documents = 1;
	return read_document(p, &p->image->manifest, &p->documents[0]);
}

static void add_item(struct push *p, const struct descriptor *d, const struct digest *diff_id)
{
	for (size_t i = 0; i < p->n_items; i++)
		if (digest_equal(&p->items[i].d->digest, &d->digest))
			return;
	GROW(p->items, p->n_items, p->items_cap);
	p->items[p->n_items++] = (struct item){.d = d, .diff_id = diff_id};
}

static void collect_items(struct push *p)
{
	for (size_t i = 0; i < p->n_documents; i++) {
		const struct document *one = &p->documents[i];
		const struct manifest *m = one->manifest;
		bool ours =
			digest_equal(&one->digest, &p->image->manifest) && m->n_entries == p->image->n_layers;
		if (m->is_index)
			continue;
		for (size_t k = 0; k < m->n_entries; k++) {
			if (is_distributable(&m->entries[k])) {
				add_item(p, &m->entries[k], ours ? &p->image->diff_ids[k] : NULL);
				continue;
			}
			_cleanup_free_ char *text = xasprintf("%s: Skipped foreign layer",
							      blob_short_id(&m->entries[k].digest).s);
			p->shared.progress.message(&p->shared, text);
		}
		add_item(p, &m->config, NULL);
	}
	/* An index names its parts by their digests, which must stay. */
	for (size_t i = 0; i < p->n_items && p->n_documents == 1; i++)
		if (p->options->compression != PUSH_COMPRESSION_NONE && push_layer_is_plain(p->items[i].d))
			p->items[i].compress = p->compresses = true;
}

/* -- other repositories ---------------------------------------------------------------------------------------- */

/* The path of an image's repository in the same registry, but not the one that is pushed to. */
static char *other_repository(const struct push *p, const struct image *i)
{
	STRV_FOREACH (name, i->repo_digests) {
		_cleanup_reference_ struct reference r = REFERENCE_NONE;
		struct err *e = reference_parse(*name, &r);
		bool fits = !e && str_eq(r.domain, p->ref->domain) && !str_eq(r.path, p->ref->path);
		err_free(e);
		if (fits)
			return xstrdup(r.path);
	}
	return NULL;
}

static bool has_layer(const struct image *i, const struct digest *diff_id)
{
	for (size_t k = 0; k < i->n_layers; k++)
		if (digest_equal(&i->diff_ids[k], diff_id))
			return true;
	return false;
}

/* A repository that the layer was pulled from, as far as the store remembers: the registry need not be sent what it has. Called under the
 * mutex. */
static char *find_mount(struct push *p, const struct item *item)
{
	if (!item->diff_id)
		return NULL;
	if (!p->known_read) {
		struct err *e = store_list(p->store, &p->known, &p->n_known);
		err_free(e); /* without, it is uploaded */
		p->known_read = true;
	}
	for (size_t i = 0; i < p->n_known; i++) {
		char *path = has_layer(p->known[i], item->diff_id) ? other_repository(p, p->known[i]) : NULL;
		if (path)
			return path;
	}
	return NULL;
}

/* -- workers -------------------------------------------------------------------------------------------------- */

static void fail(struct push *p, struct err *e)
{
	if (p->error)
		err_free(e);
	else
		p->error = e;
	shared_progress_stop(&p->shared);
}

/* Whoever watches knows the layer by the blob that is here. */
struct renamed_progress {
	const struct progress *out;
	struct blob_short_id id;
};

static void renamed_update(void *user, const char *id, enum progress_phase phase, uint64_t done,
			   uint64_t total)
{
	struct renamed_progress *r = user;
	r->out->update(r->out->user, r->id.s, phase, done, total);
}

static bool renamed_cancelled(void *user)
{
	struct renamed_progress *r = user;
	return r->out->cancelled(r->out->user);
}

static struct err *compress_and_push(struct push *p, struct http_client *client, struct item *item)
{
	struct renamed_progress r = {.out = p->blobs.progress, .id = blob_short_id(&item->d->digest)};
	struct progress progress = {.update = renamed_update, .cancelled = renamed_cancelled, .user = &r};
	const struct push_blob blobs = {p->store, p->registry, &progress};
	bool oci = str_eq(p->documents[0].manifest->media_type, MEDIA_OCI_MANIFEST);
	_cleanup_spool_ struct spool *spool = NULL;
	bool there = false;

	TRY(push_compress_layer(p->store, item->d, oci,
				p->options->compression == PUSH_COMPRESSION_ZSTD ? COMPRESSION_ZSTD
										 : COMPRESSION_GZIP,
				p->options->compression_level, &progress, &spool, &item->compressed));
	const struct descriptor *to = &item->compressed;
	TRY(push_blob_exists(&blobs, client, to, NULL, &there));
	if (!there)
		TRY(push_blob_file(&blobs, client, to, spool->fd));
	renamed_update(&r, r.id.s, there ? PROGRESS_EXISTS : PROGRESS_DONE, to->size, to->size);
	return NULL;
}

static void run_items(void *user, struct http_client *client, struct err *failed)
{
	struct push *p = user;

	pthread_mutex_lock(&p->mutex);
	if (failed)
		fail(p, failed);
	while (!p->error && p->next_item < p->n_items) {
		struct item *item = &p->items[p->next_item++];
		_cleanup_free_ char *mount = item->compress ? NULL : find_mount(p, item);
		pthread_mutex_unlock(&p->mutex);
		struct err *e = item->compress ? compress_and_push(p, client, item)
					       : push_blob(&p->blobs, client, item->d, mount);
		pthread_mutex_lock(&p->mutex);
		if (e)
			fail(p, e);
	}
	pthread_mutex_unlock(&p->mutex);
}

/* The configs of images are no layers: nobody wants a bar for them. */
static void update(void *user, const char *id, enum progress_phase phase, uint64_t done, uint64_t total)
{
	struct push *p = user;

	for (size_t i = 0; i < p->n_documents; i++)
		if (!p->documents[i].manifest->is_index &&
		    str_eq(id, blob_short_id(&p->documents[i].manifest->config.digest).s))
			return;
	p->shared.progress.update(&p->shared, id, phase, done, total);
}

static bool cancelled(void *user)
{
	struct push *p = user;
	return p->shared.progress.cancelled(&p->shared);
}

static struct err *push_items(struct push *p)
{
	struct progress progress = {.update = update, .cancelled = cancelled, .user = p};
	struct workers workers = {.registry = p->registry, .client = p->client, .run = run_items, .user = p};
	size_t parallel = p->options->parallel ? p->options->parallel : PARALLEL_DEFAULT;

	for (size_t i = 0; i < p->n_items; i++)
		update(p, blob_short_id(&p->items[i].d->digest).s, PROGRESS_WAITING, 0, p->items[i].d->size);
	p->blobs = (struct push_blob){p->store, p->registry, &progress};
	TRY(workers_start(&workers, MIN(parallel, p->n_items)));
	workers_join(&workers);
	return TAKE_PTR(p->error);
}

/* -- the push --------------------------------------------------------------------------------------------------- */

/* The first request, before there are threads. A registry that does not answer it may still take a push. */
static struct err *is_up_to_date(struct push *p, bool *ret)
{
	struct registry_manifest head = {0};
	struct err *e = registry_manifest_head(p->registry, p->client, p->ref->tag, &head);

	*ret = !e && digest_equal(&head.digest, &p->documents[p->n_documents - 1].digest);
	registry_manifest_release(&head);
	if (e && (e->kind == ERR_NOT_FOUND || e->kind == ERR_INVALID)) {
		err_free(e);
		return NULL;
	}
	return e;
}

/* The manifest with the layers as they were sent. */
static struct err *rewrite_document(struct push *p)
{
	struct document *one = &p->documents[0];
	const struct manifest *m = one->manifest;
	_cleanup_free_ struct descriptor *layers = xnew_array(struct descriptor, m->n_entries);
	char *data;

	for (size_t k = 0; k < m->n_entries; k++) {
		layers[k] = m->entries[k];
		for (size_t i = 0; i < p->n_items; i++)
			if (p->items[i].compress &&
			    digest_equal(&p->items[i].d->digest, &m->entries[k].digest))
				layers[k] = p->items[i].compressed;
	}
	TRY(push_compressed_manifest(one->data, one->size, m, layers, &data, &one->size, &one->digest));
	free(one->data);
	one->data = data;
	return NULL;
}

static struct err *put_documents(struct push *p)
{
	for (size_t i = 0; i < p->n_documents; i++) {
		const struct document *one = &p->documents[i];
		const char *name = i + 1 == p->n_documents ? p->ref->tag : one->digest.s;
		TRY(registry_manifest_put(p->registry, p->client, name, one->manifest->media_type, one->data,
					  one->size));
	}
	return NULL;
}

static struct err *sign_documents(struct push *p)
{
	struct trust_storage storage = {
		.registry = p->registry, .client = p->client, .at = p->ref, .progress = &p->shared.progress};

	if (!trust_signer_is_set(&p->options->signer))
		return NULL;
	for (size_t i = 0; i < p->n_documents; i++)
		TRY_WRAP(trust_sign_and_store(&storage, &p->options->signer, &p->documents[i].digest),
			 "it was pushed, but could not be signed");
	return NULL;
}

static struct err *push(struct push *p, struct push_result *ret)
{
	const struct push_options *o = p->options;
	struct registry_options ro = {.username = o->username,
				      .password = o->password,
				      .insecure = o->insecure,
				      .push = true,
				      .ca_file = o->ca_file,
				      .cert_dir = o->cert_dir,
				      .auth_file = o->auth_file,
				      .progress = &p->shared.progress};
	_cleanup_free_ char *name = reference_string(p->ref);
	bool up_to_date = false;

	TRY(store_find(p->store, name, &p->image));
	TRY(choose_documents(p));
	collect_items(p);
	TRY(registry_open(p->ref->domain, p->ref->path, &ro, &p->registry));
	TRY(registry_client_new(p->registry, &p->client));
	TRY(is_up_to_date(p, &up_to_date));
	if (p->compresses) /* its manifest will be another one */
		up_to_date = false;
	if (up_to_date) {
		for (size_t i = 0; i < p->n_items; i++)
			update(p, blob_short_id(&p->items[i].d->digest).s, PROGRESS_EXISTS,
			       p->items[i].d->size, p->items[i].d->size);
	} else {
		TRY(push_items(p));
		if (p->compresses)
			TRY(rewrite_document(p));
		TRY(put_documents(p));
	}
	TRY(sign_documents(p));
	if (digest_equal(&p->documents[p->n_documents - 1].digest, &p->image->target)) {
		_cleanup_fd_ int lock = -1;
		TRY(store_lock_shared(p->store, &lock));
		TRY(image_record_pushed(p->store, p->image, p->ref));
	}
	ret->digest = p->documents[p->n_documents - 1].digest;
	ret->size = p->documents[p->n_documents - 1].size;
	return NULL;
}

static void push_release(struct push *p)
{
	http_client_free(p->client);
	registry_close(p->registry);
	documents_release(p);
	image_free(p->image);
	for (size_t i = 0; i < p->n_known; i++)
		image_free(p->known[i]);
	free(p->known);
	free(p->items);
	free(p->shown);
	err_free(p->error);
	shared_progress_release(&p->shared);
	pthread_mutex_destroy(&p->mutex);
}

struct err *image_push(struct store *s, const struct reference *ref, const struct push_options *o,
		       struct push_result *ret)
{
	struct push p = {.store = s, .ref = ref, .options = o};

	if (!ref->tag || digest_is_set(&ref->digest))
		return err_new(ERR_INVALID, "cannot push a digest: name a tag");
	p.shown = reference_familiar(ref);
	shared_progress_init(&p.shared, o->progress);
	pthread_mutex_init(&p.mutex, NULL);
	struct err *e = push(&p, ret);
	if (e) {
		e = err_wrap(e, "cannot push %s", p.shown);
	} else {
		_cleanup_free_ char *name = reference_familiar_name(ref);
		store_tell(s, "push", p.shown, name);
	}
	push_release(&p);
	return e;
}
