/* SPDX-License-Identifier: Apache-2.0 */
/* Pulling. The manifest (and the index around it) comes first, from the first place that has it; then its content (pull_content.c). The name is
 * recorded last (S2).
 *
 * A pull of a name that is here already and has not moved is one HEAD request. */
#include "images/pull.h"

#include <stdio.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "manifest.h"
#include "pull_blob.h"
#include "pull_content.h"
#include "store_image.h"
#include "trust_storage.h"

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

	struct shared_progress shared; /* its stop ends all work */
	struct progress progress;
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

static struct err *get_document(struct pull *p, const char *what, const struct digest *expected,
				struct digest *ret_digest, uint64_t *ret_size, struct manifest **ret)
{
	_cleanup_(registry_manifest_release) struct registry_manifest got = {0};
	_cleanup_manifest_ struct manifest *m = NULL;
	struct digest stored;

	if (expected && blob_exists(p->store, expected, NULL)) { /* a second tag of one index, a second try */
		struct err *e = store_blob_read(p->store, expected, MANIFEST_SIZE_MAX, &got.data, &got.size);
		got.digest = *expected;
		TRY(blob_discard_damaged(p->store, e, expected));
	}
	if (!got.data)
		TRY(registry_manifest_get(p->registry, p->client, what, expected, &got));
	TRY_WRAP(manifest_parse(got.data, got.size, got.content_type, &m), "manifest %s from registry %s",
		 got.digest.s, registry_name(p->registry));
	if (!expected && blob_exists(p->store, &got.digest, NULL)) {
		_cleanup_free_ char *kept = NULL;
		size_t size;
		struct err *e = store_blob_read(p->store, &got.digest, MANIFEST_SIZE_MAX, &kept, &size);
		TRY(blob_discard_damaged(p->store, e, &got.digest));
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

/* -- content -------------------------------------------------------------------------------------------------- */

static struct err *get_content(struct pull *p)
{
	const struct pull_content o = {.store = p->store,
				       .registry = p->registry,
				       .client = p->client,
				       .manifest = p->manifest,
				       .manifest_digest = &p->manifest_digest,
				       .platform = &p->options->platform,
				       .shown = p->shown,
				       .from_index = p->from_index,
				       .incomplete = p->incomplete,
				       .parallel = p->options->parallel,
				       .shared = &p->shared,
				       .progress = &p->progress};
	return pull_content(&o);
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
	store_sweep_ingest(p->store);
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
	free(p->shown);
	shared_progress_release(&p->shared);
}

struct err *image_pull(struct store *s, const struct reference *ref, const struct pull_options *o,
		       struct image **ret, bool *ret_changed)
{
	struct pull p = {.store = s, .ref = ref, .options = o};

	p.progress = (struct progress){progress_update, progress_message, progress_cancelled, &p};
	p.shown = reference_familiar(ref);
	shared_progress_init(&p.shared, o->progress);
	struct err *e = pull(&p, ret, ret_changed);
	bool full = e && e->kind == ERR_NO_SPACE;
	if (e) {
		e = err_wrap(e, "cannot pull %s", p.shown);
	} else {
		_cleanup_free_ char *name = reference_familiar_name(ref);
		store_tell(s, "pull", p.shown, name);
	}
	pull_release(&p);
	if (full)
		store_give_back(s);
	return e;
}
