/* SPDX-License-Identifier: Apache-2.0 */
#include "copy_trust.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "transport_registry.h"
#include "trust_storage.h"

#define SIGNATURES_MAX 128

/* What policies call the places (containers-policy.json(5)). */
static const char *policy_transport(enum transport t)
{
	switch (t) {
	case TRANSPORT_REGISTRY:
		return "docker";
	case TRANSPORT_OCI:
		return "oci";
	case TRANSPORT_OCI_ARCHIVE:
		return "oci-archive";
	case TRANSPORT_DOCKER_ARCHIVE:
		return "docker-archive";
	case TRANSPORT_DIRECTORY:
		return "dir";
	case TRANSPORT_DAEMON:
		return "docker-daemon";
	case TRANSPORT_STORE:
		return NULL; /* judged when it got there */
	}
	return NULL;
}

/* Beside the image in its registry, or in a lookaside storage. */
static struct err *registry_signatures(void *user, const struct digest *d, struct trust_signatures *ret)
{
	struct copy *c = user;
	struct registry_pool *pool = source_registry(c->source);
	const struct reference *ref = &c->source->at->reference;
	struct http_client *client;

	TRY(registry_pool_take(pool, &client));
	struct reference at = {.domain = pool->registry->domain,
			       .path = pool->registry->path,
			       .tag = ref->tag,
			       .digest = ref->digest};
	const struct trust_storage storage = {
		.registry = pool->registry, .client = client, .at = &at, .progress = &c->shared.progress};
	struct err *e = trust_storage_read(&storage, d, ret);
	registry_pool_give(pool, client);
	return e;
}

/* signature-1, signature-2 … in a directory; of a part of an index, HEX.signature-1. */
static struct err *directory_signatures(void *user, const struct digest *d, struct trust_signatures *ret)
{
	struct copy *c = user;
	_cleanup_free_ char *part = xasprintf("%s.", digest_hex(d));

	for (int with_digest = 0; with_digest < 2; with_digest++)
		for (int n = 1; n <= SIGNATURES_MAX; n++) {
			_cleanup_free_ char *name = xasprintf("%s/%ssignature-%d", c->source->at->path,
							      with_digest ? part : "", n);
			_cleanup_free_ char *data = NULL;
			_cleanup_trust_signature_ struct trust_signature one = {0};
			size_t size;
			struct err *e = file_read(name, TRUST_SIGNATURE_MAX, &data, &size);
			if (e && e->kind == ERR_NOT_FOUND) {
				err_free(e);
				break;
			}
			TRY(e);
			TRY(trust_signature_parse(data, size, &one));
			TRY(trust_signatures_add(ret, &one));
		}
	return NULL;
}

struct err *copy_check_trust(struct copy *c, const struct trust_policy *p, const struct raw_manifest *m,
			     const struct raw_manifest *index)
{
	const struct location *at = c->source->at;
	struct trust_subject s = {.transport = policy_transport(at->transport),
				  .location = at->path,
				  .name = at->path ? at->name : NULL,
				  .user = c};

	if (!s.transport)
		return NULL;
	if (at->transport == TRANSPORT_REGISTRY)
		s.reference = &at->reference;
	if (m) {
		if (!trust_needs_check(p, &s))
			return NULL;
		s.manifest = m->data;
		s.manifest_size = m->size;
		s.index = index ? index->data : NULL;
		s.index_size = index ? index->size : 0;
		s.signatures = at->transport == TRANSPORT_REGISTRY    ? registry_signatures
			       : at->transport == TRANSPORT_DIRECTORY ? directory_signatures
								      : NULL;
	}
	return trust_check(p, &s);
}
