/* SPDX-License-Identifier: Apache-2.0 */
/* Signing and judging images where they are, in a registry: only their manifests are fetched. */
#include <stdlib.h>

#include "base/memory.h"
#include "manifest.h"
#include "trust_sign.h"

/* What a name stands for. */
struct remote {
	struct registry *registry;
	struct http_client *client;
	struct registry_manifest top,
		chosen;          /* chosen: the platform's of an index; empty when top is a manifest */
	struct manifest *parsed; /* top's */
};

static void remote_close(struct remote *r)
{
	registry_manifest_release(&r->top);
	registry_manifest_release(&r->chosen);
	manifest_free(r->parsed);
	http_client_free(r->client);
	registry_close(r->registry);
}

static struct err *remote_open(const struct registry_endpoint *at, const struct registry_options *o,
			       const struct reference *ref, struct remote *r)
{
	const struct digest *pinned = digest_is_set(&ref->digest) ? &ref->digest : NULL;

	TRY(registry_open_at(at, o, &r->registry));
	TRY(registry_client_new(r->registry, &r->client));
	TRY(registry_manifest_get(r->registry, r->client, pinned ? pinned->s : ref->tag, pinned, &r->top));
	return manifest_parse(r->top.data, r->top.size, r->top.content_type, &r->parsed);
}

static struct err *remote_choose(struct remote *r, const struct platform *platform)
{
	const struct descriptor *d;

	if (!r->parsed->is_index)
		return NULL;
	TRY(manifest_choose(r->parsed, platform, &d));
	return registry_manifest_get(r->registry, r->client, d->digest.s, &d->digest, &r->chosen);
}

/* -- signing ---------------------------------------------------------------------------------------------------- */

static struct err *sign_one(const struct trust_storage *s, const struct trust_signer *signer,
			    const struct digest *d, char ***digests)
{
	TRY(trust_sign_and_store(s, signer, d));
	strv_push(digests, d->s);
	return NULL;
}

static struct err *sign_all(struct remote *r, const struct trust_storage *s, const struct sign_options *o,
			    char ***digests)
{
	struct platform host = platform_host();

	if (r->parsed->is_index && o->all) {
		for (size_t i = 0; i < r->parsed->n_entries; i++)
			TRY(sign_one(s, &o->signer, &r->parsed->entries[i].digest, digests));
	} else if (r->parsed->is_index) {
		TRY(remote_choose(r, &host));
		TRY(sign_one(s, &o->signer, &r->chosen.digest, digests));
	}
	return sign_one(s, &o->signer, &r->top.digest, digests);
}

struct err *image_sign(const struct reference *ref, const struct sign_options *o, char ***ret_digests)
{
	_cleanup_(registry_endpoints_release) struct registry_endpoints all = {0};
	_cleanup_(remote_close) struct remote r = {0};
	_cleanup_strv_ char **digests = NULL;
	_cleanup_free_ char *shown = reference_familiar(ref);
	_cleanup_free_ char *absolute = o->directory ? realpath(o->directory, NULL) : NULL;
	_cleanup_free_ char *staging = absolute ? xasprintf("file://%s", absolute) : NULL;
	struct registry_options ro = {.username = o->username,
				      .password = o->password,
				      .insecure = o->insecure,
				      .push = o->signer.sigstore_key != NULL,
				      .ca_file = o->ca_file,
				      .cert_dir = o->cert_dir,
				      .auth_file = o->auth_file,
				      .no_credentials = o->no_credentials,
				      .progress = o->progress};

	if (o->directory && !absolute)
		return err_errno(errno, "cannot open %s", o->directory);
	TRY(registry_endpoints(ref->domain, ref->path, REGISTRY_WRITE, &all));
	struct trust_storage s = {.at = ref, .staging = staging, .progress = o->progress};
	struct err *e = remote_open(&all.v[all.n - 1], &ro, ref, &r);
	s.registry = r.registry;
	s.client = r.client;
	if (!e)
		e = sign_all(&r, &s, o, &digests);
	TRY_WRAP(e, "cannot sign %s", shown);
	*ret_digests = TAKE_PTR(digests);
	return NULL;
}

/* -- judging ---------------------------------------------------------------------------------------------------- */

static struct err *get_signatures(void *user, const struct digest *d, struct trust_signatures *ret)
{
	return trust_storage_read(user, d, ret);
}

static struct err *judge(struct remote *r, const struct registry_endpoint *at, const struct reference *ref,
			 const struct trust_policy *policy, const struct verify_options *o,
			 struct digest *ret)
{
	struct reference place = {
		.domain = at->domain, .path = at->path, .tag = ref->tag, .digest = ref->digest};
	struct trust_storage storage = {
		.registry = r->registry, .client = r->client, .at = &place, .progress = o->progress};
	struct trust_subject s = {
		.transport = "docker", .reference = ref, .signatures = get_signatures, .user = &storage};

	TRY(remote_choose(r, &o->platform));
	const struct registry_manifest *m = r->parsed->is_index ? &r->chosen : &r->top;
	s.manifest = m->data;
	s.manifest_size = m->size;
	if (r->parsed->is_index) {
		s.index = r->top.data;
		s.index_size = r->top.size;
	}
	TRY(trust_check(policy, &s));
	*ret = m->digest;
	return NULL;
}

struct err *image_verify(const struct reference *ref, const struct verify_options *o,
			 struct digest *ret_manifest)
{
	_cleanup_trust_policy_ struct trust_policy *policy = NULL;
	_cleanup_(registry_endpoints_release) struct registry_endpoints all = {0};
	struct registry_options ro = {.username = o->username,
				      .password = o->password,
				      .insecure = o->insecure,
				      .ca_file = o->ca_file,
				      .progress = o->progress};
	struct err *e = NULL;

	TRY(trust_policy_load(o->signature_policy, &policy));
	TRY(registry_endpoints(ref->domain, ref->path,
			       digest_is_set(&ref->digest) ? REGISTRY_READ_DIGEST : REGISTRY_READ_TAG, &all));
	for (size_t i = 0; i < all.n; i++) {
		_cleanup_(remote_close) struct remote r = {0};
		err_free(e);
		e = remote_open(&all.v[i], &ro, ref, &r);
		if (!e)
			return judge(&r, &all.v[i], ref, policy, o, ret_manifest);
	}
	return e;
}
