/* SPDX-License-Identifier: Apache-2.0 */
/* docker://: a repository of a registry. A source looks at mirrors as a pull does; whoever has the manifest is asked for the rest. Threads
 * borrow a connection for each request. */
#include "transport_registry.h"

#include <stdlib.h>

#include "base/memory.h"
#include "pull_blob.h"
#include "push_blob.h"

struct err *registry_pool_take(struct registry_pool *p, struct http_client **ret)
{
	pthread_mutex_lock(&p->mutex);
	struct http_client *c = p->n ? p->idle[--p->n] : NULL;
	pthread_mutex_unlock(&p->mutex);
	if (!c)
		return registry_client_new(p->registry, ret);
	*ret = c;
	return NULL;
}

void registry_pool_give(struct registry_pool *p, struct http_client *c)
{
	pthread_mutex_lock(&p->mutex);
	if (c && p->n < ARRAY_SIZE(p->idle)) {
		p->idle[p->n++] = c;
		c = NULL;
	}
	pthread_mutex_unlock(&p->mutex);
	http_client_free(c);
}

void registry_pool_init(struct registry_pool *p, struct registry *r)
{
	*p = (struct registry_pool){.registry = r};
	pthread_mutex_init(&p->mutex, NULL);
}

void registry_pool_release(struct registry_pool *p)
{
	while (p->n)
		http_client_free(p->idle[--p->n]);
	pthread_mutex_destroy(&p->mutex);
	registry_close(p->registry);
	p->registry = NULL;
}

struct registry_options registry_options_of(const struct transport_options *o, bool push)
{
	return (struct registry_options){.username = o->username,
					 .password = o->password,
					 .insecure = o->insecure,
					 .push = push,
					 .deletes = o->deletes,
					 .ca_file = o->ca_file,
					 .cert_dir = o->cert_dir,
					 .auth_file = o->auth_file,
					 .no_credentials = o->no_credentials,
					 .progress = o->progress};
}

/* -- source ------------------------------------------------------------------------------------------------------ */

struct registry_source {
	struct source source;
	struct registry_pool pool;
	const struct transport_options *options;
	bool found; /* which of the endpoints has it */
};

static struct err *get_manifest(struct registry_pool *pool, const char *what, const struct digest *expected,
				struct raw_manifest *ret)
{
	struct registry_manifest m = {0};
	struct http_client *c;

	TRY(registry_pool_take(pool, &c));
	struct err *e = registry_manifest_get(pool->registry, c, what, expected, &m);
	registry_pool_give(pool, c);
	if (!e)
		*ret = (struct raw_manifest){
			.data = m.data, .size = m.size, .media_type = m.content_type, .digest = m.digest};
	return e;
}

/* Mirrors in their order, then the registry itself. */
static struct err *find_endpoint(struct registry_source *s, struct raw_manifest *ret)
{
	const struct reference *ref = &s->source.at->reference;
	const struct registry_options o = registry_options_of(s->options, false);
	bool pinned = digest_is_set(&ref->digest);
	_cleanup_(registry_endpoints_release) struct registry_endpoints all = {0};

	TRY(registry_endpoints(ref->domain, ref->path, pinned ? REGISTRY_READ_DIGEST : REGISTRY_READ_TAG,
			       &all));
	for (size_t i = 0;; i++) {
		struct registry *r;
		registry_pool_release(&s->pool);
		registry_pool_init(&s->pool, NULL);
		struct err *e = registry_open_at(&all.v[i], &o, &r);
		if (!e) {
			s->pool.registry = r;
			e = get_manifest(&s->pool, pinned ? ref->digest.s : ref->tag,
					 pinned ? &ref->digest : NULL, ret);
		}
		if (!e || i + 1 == all.n || e->kind == ERR_CANCELLED)
			return e;
		err_free(e);
	}
}

static struct err *registry_source_manifest(struct source *source, const struct digest *instance,
					    struct raw_manifest *ret)
{
	struct registry_source *s = (struct registry_source *)source;

	if (instance)
		return get_manifest(&s->pool, instance->s, instance, ret);
	if (s->found)
		return get_manifest(&s->pool, source->at->reference.tag, NULL, ret);
	TRY(find_endpoint(s, ret));
	s->found = true;
	return NULL;
}

static uint64_t spool_offset(void *user)
{
	return ((struct spool *)user)->size;
}

static struct err *spool_begin_again(void *user)
{
	return spool_restart(user);
}

static struct err *spool_more(void *user, const void *data, size_t size)
{
	return spool_write(user, data, size);
}

static struct err *registry_source_blob(struct source *source, const struct descriptor *d, struct spool *to,
					const struct progress *progress)
{
	struct registry_source *s = (struct registry_source *)source;
	const struct blob_sink sink = {spool_offset, spool_begin_again, spool_more, to};
	struct http_client *c;

	TRY(registry_pool_take(&s->pool, &c));
	struct err *e = registry_blob_get(s->pool.registry, c, d, &sink, progress);
	registry_pool_give(&s->pool, c);
	return e;
}

static void registry_source_close(struct source *source)
{
	struct registry_source *s = (struct registry_source *)source;

	registry_pool_release(&s->pool);
	free(s);
}

static const struct source_ops registry_source_ops = {registry_source_manifest, registry_source_blob,
						      registry_source_close};

struct err *registry_source_open(const struct location *at, const struct transport_options *o,
				 struct source **ret)
{
	struct registry_source *s = xnew(struct registry_source);

	s->source = (struct source){&registry_source_ops, at};
	s->options = o;
	registry_pool_init(&s->pool, NULL);
	*ret = &s->source;
	return NULL;
}

struct registry_pool *source_registry(struct source *s)
{
	return s->ops == &registry_source_ops ? &((struct registry_source *)s)->pool : NULL;
}

/* -- destination --------------------------------------------------------------------------------------------------- */

struct registry_destination {
	struct destination destination;
	struct registry_pool pool;
};

static const char *mount_from(const struct registry_destination *d, const struct source *from)
{
	if (!from || from->ops != &registry_source_ops)
		return NULL;
	const struct registry *r = ((const struct registry_source *)from)->pool.registry;
	const struct registry *own = d->pool.registry;
	return str_eq(r->domain, own->domain) && !str_eq(r->path, own->path) ? r->path : NULL;
}

static struct err *registry_has(struct destination *destination, const struct descriptor *b,
				const struct source *from, bool *ret)
{
	struct registry_destination *d = (struct registry_destination *)destination;
	const struct push_blob push = {.registry = d->pool.registry};
	struct http_client *c;

	TRY(registry_pool_take(&d->pool, &c));
	struct err *e = push_blob_exists(&push, c, b, mount_from(d, from), ret);
	registry_pool_give(&d->pool, c);
	return e;
}

static struct err *registry_put(struct destination *destination, const struct descriptor *b,
				struct spool *data, const struct progress *progress)
{
	struct registry_destination *d = (struct registry_destination *)destination;
	const struct push_blob push = {.registry = d->pool.registry, .progress = progress};
	struct http_client *c;

	TRY(registry_pool_take(&d->pool, &c));
	struct err *e = push_blob_file(&push, c, b, data->fd);
	registry_pool_give(&d->pool, c);
	return e;
}

static struct err *registry_put_manifest(struct destination *destination, const struct raw_manifest *m,
					 bool instance, const struct reference *tag)
{
	struct registry_destination *d = (struct registry_destination *)destination;
	const struct reference *ref = &destination->at->reference;
	const char *what = instance ? m->digest.s : tag ? tag->tag : ref->tag ? ref->tag : m->digest.s;
	struct http_client *c;

	if (!instance && !tag && digest_is_set(&ref->digest) && !digest_equal(&ref->digest, &m->digest))
		return err_new(ERR_INVALID, "%s is to get the digest %s and the image has %s",
			       destination->at->text, ref->digest.s, m->digest.s);
	if (tag && (!str_eq(tag->domain, ref->domain) || !str_eq(tag->path, ref->path)))
		return err_new(ERR_INVALID, "additional tag %s/%s:%s is not in the repository %s/%s",
			       tag->domain, tag->path, tag->tag, ref->domain, ref->path);
	TRY(registry_pool_take(&d->pool, &c));
	struct err *e = registry_manifest_put(d->pool.registry, c, what, m->media_type, m->data, m->size);
	registry_pool_give(&d->pool, c);
	return e;
}

static struct err *registry_commit(struct destination *destination)
{
	return NULL;
}

static void registry_destination_close(struct destination *destination)
{
	struct registry_destination *d = (struct registry_destination *)destination;

	registry_pool_release(&d->pool);
	free(destination->spool_dir);
	free(d);
}

static const struct destination_ops registry_destination_ops = {
	registry_has, registry_put, registry_put_manifest, registry_commit, registry_destination_close};

/* The first request, before there are threads: it finds out how the registry is spoken to. One that does not answer it may still take a push. */
static struct err *first_request(struct registry_pool *pool, const struct reference *ref)
{
	struct registry_manifest head = {0};
	struct http_client *c;

	TRY(registry_pool_take(pool, &c));
	struct err *e = registry_manifest_head(pool->registry, c, ref->tag ? ref->tag : ref->digest.s, &head);
	registry_manifest_release(&head);
	registry_pool_give(pool, c);
	if (e && (e->kind == ERR_NOT_FOUND || e->kind == ERR_INVALID)) {
		err_free(e);
		return NULL;
	}
	return e;
}

struct err *registry_destination_open(const struct location *at, const struct transport_options *o,
				      struct destination **ret)
{
	const struct registry_options ro = registry_options_of(o, true);
	struct registry *r;

	TRY(registry_open(at->reference.domain, at->reference.path, &ro, &r));
	struct registry_destination *d = xnew(struct registry_destination);
	d->destination = (struct destination){.ops = &registry_destination_ops,
					      .at = at,
					      .takes_oci = true,
					      .takes_docker = true,
					      .takes_index = true,
					      .takes_foreign = true,
					      .many = true,
					      .compression = WANT_COMPRESSED,
					      .spool_dir = transport_temporary_dir()};
	registry_pool_init(&d->pool, r);
	struct err *e = first_request(&d->pool, &at->reference);
	if (e) {
		registry_destination_close(&d->destination);
		return e;
	}
	*ret = &d->destination;
	return NULL;
}

struct registry_pool *destination_registry(struct destination *d)
{
	return d->ops == &registry_destination_ops ? &((struct registry_destination *)d)->pool : NULL;
}
