/* SPDX-License-Identifier: Apache-2.0 */
/* Private: what copying between registries knows beyond the abstraction, for signatures, tags and deleting. */
#ifndef IMAGES_TRANSPORT_REGISTRY_H
#define IMAGES_TRANSPORT_REGISTRY_H

#include <pthread.h>

#include "registry.h"
#include "transport.h"

/* One registry's connections that nobody uses just now. */
struct registry_pool {
	struct registry *registry; /* owned; NULL before there is one */
	pthread_mutex_t mutex;
	struct http_client *idle[16];
	size_t n;
};
void registry_pool_init(struct registry_pool *p, struct registry *r);
void registry_pool_release(struct registry_pool *p);
_must_check_ struct err *registry_pool_take(struct registry_pool *p, struct http_client **ret);
void registry_pool_give(struct registry_pool *p, struct http_client *c);

/* NULL: it is no registry. Of a source: after its manifest was read. */
struct registry_pool *source_registry(struct source *s);
struct registry_pool *destination_registry(struct destination *d);

struct registry_options registry_options_of(const struct transport_options *o, bool push);

#endif
