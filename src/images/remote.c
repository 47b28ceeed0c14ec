/* SPDX-License-Identifier: Apache-2.0 */
#include "images/remote.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "transport_registry.h"

void remote_image_release(struct remote_image *r)
{
	free(r->name);
	free(r->manifest);
	free(r->media_type);
	free(r->config);
	json_unref(r->layers);
	strv_free(r->tags);
	*r = (struct remote_image){0};
}

/* -- inspecting ---------------------------------------------------------------------------------------------------- */

static struct json *layers_json(const struct manifest *m, const struct json_cursor *layers)
{
	struct json *all = json_new_array();

	for (size_t i = 0; i < m->n_entries; i++) {
		struct json_cursor layer = json_at(layers, i), annotations = {0};
		struct json *o = json_new_object();
		struct err *e = json_get_object(&layer, "annotations", JSON_OPTIONAL, &annotations);
		err_free(e);
		json_set_string(o, "MIMEType", m->entries[i].media_type);
		json_set_string(o, "Digest", m->entries[i].digest.s);
		json_set_u64(o, "Size", m->entries[i].size);
		json_set(o, "Annotations", annotations.value ? json_ref(annotations.value) : NULL);
		json_append(all, o);
	}
	return all;
}

/* Config and layers of the image that `raw` is or leads to. */
static struct err *read_image(struct source *s, const struct raw_manifest *raw, const struct platform *p,
			      unsigned depth, struct remote_image *r)
{
	_cleanup_raw_manifest_ struct raw_manifest chosen = {0};
	_cleanup_manifest_ struct manifest *m = NULL;
	_cleanup_json_ struct json *doc = NULL;
	const struct descriptor *d;
	struct json_cursor layers;

	TRY(raw_manifest_parse(raw, &m));
	if (m->is_index && depth == 0)
		return err_new(ERR_INVALID, "the indexes are nested too deeply");
	if (m->is_index) {
		TRY(manifest_choose(m, p, &d));
		TRY(s->ops->manifest(s, &d->digest, &chosen));
		return read_image(s, &chosen, p, depth - 1, r);
	}
	if (m->config.size > CONFIG_SIZE_MAX)
		return err_new(ERR_LIMIT, "its config has %llu bytes", (unsigned long long)m->config.size);
	TRY(source_read_blob(s, &m->config, CONFIG_SIZE_MAX, &r->config));
	r->config_size = (size_t)m->config.size;
	TRY(json_parse(raw->data, raw->size, "manifest", &doc));
	struct json_cursor root = json_root(doc);
	TRY(json_get_array(&root, "layers", JSON_REQUIRED, &layers));
	r->layers = layers_json(m, &layers);
	return NULL;
}

static struct err *pool_tags(struct registry_pool *p, char ***ret)
{
	struct http_client *c;

	TRY(registry_pool_take(p, &c));
	struct err *e = registry_tags(p->registry, c, ret);
	registry_pool_give(p, c);
	return e;
}

static struct err *inspect(struct source *s, const struct remote_inspect_options *o, struct remote_image *r)
{
	struct platform host = platform_host();
	_cleanup_raw_manifest_ struct raw_manifest raw = {0};
	struct registry_pool *registry;

	TRY(s->ops->manifest(s, NULL, &raw));
	r->digest = raw.digest;
	r->media_type = xstrdup_null(raw.media_type);
	registry = source_registry(s);
	if (registry)
		r->name = xasprintf("%s/%s", s->at->reference.domain, s->at->reference.path);
	struct err *e =
		o->manifest_only ? NULL : read_image(s, &raw, o->platform ? o->platform : &host, 2, r);
	if (!e && registry && o->tags) {
		/* Some registries and tokens do not let one list; the image is there all the same. */
		struct err *failed = pool_tags(registry, &r->tags);
		if (failed && failed->kind == ERR_CANCELLED)
			e = TAKE_PTR(failed);
		err_free(failed);
	}
	r->manifest_size = raw.size;
	r->manifest = TAKE_PTR(raw.data);
	return e;
}

struct err *remote_inspect(const char *location, const struct remote_inspect_options *o,
			   struct remote_image *ret)
{
	_cleanup_location_ struct location at = {0};
	_cleanup_remote_image_ struct remote_image r = {0};
	_cleanup_source_ struct source *s = NULL;

	TRY(location_parse(location, &at));
	TRY(source_open(&at, &o->transport, &s));
	TRY_WRAP(inspect(s, o, &r), "%s", location);
	*ret = r;
	r = (struct remote_image){0};
	return NULL;
}

/* -- tags and deleting ----------------------------------------------------------------------------------------------- */

struct repository {
	struct location at;
	struct registry_pool pool;
};

static void repository_release(struct repository *r)
{
	registry_pool_release(&r->pool);
	location_release(&r->at);
}

static struct err *repository_open(const char *location, const struct transport_options *o,
				   struct repository *r)
{
	const struct registry_options ro = registry_options_of(o, false);
	struct registry *registry;

	registry_pool_init(&r->pool, NULL);
	TRY(location_parse(location, &r->at));
	if (r->at.transport != TRANSPORT_REGISTRY)
		return err_new(ERR_UNSUPPORTED, "%s: only a registry (docker://) can do this", location);
	TRY(registry_open(r->at.reference.domain, r->at.reference.path, &ro, &registry));
	r->pool.registry = registry;
	return NULL;
}

struct err *remote_tags(const char *location, const struct transport_options *o, char **ret_name,
			char ***ret_tags)
{
	_cleanup_(repository_release) struct repository r = {0};

	if (str_starts(location, "docker-archive:")) {
		*ret_name = NULL;
		return archive_names(location, o, ret_tags);
	}
	TRY(repository_open(location, o, &r));
	TRY(pool_tags(&r.pool, ret_tags));
	*ret_name = xasprintf("%s/%s", r.at.reference.domain, r.at.reference.path);
	return NULL;
}

/* The other tags that point to `digest`: a registry forgets the manifest, not the name. */
static struct err *find_siblings(struct repository *r, struct http_client *c, const struct digest *digest,
				 char ***ret)
{
	_cleanup_strv_ char **tags = NULL;

	TRY(registry_tags(r->pool.registry, c, &tags));
	STRV_FOREACH (tag, tags) {
		struct registry_manifest m = {0};
		if (str_eq(*tag, r->at.reference.tag))
			continue;
		struct err *e = registry_manifest_head(r->pool.registry, c, *tag, &m);
		if (!e && digest_equal(&m.digest, digest))
			strv_push(ret, *tag);
		registry_manifest_release(&m);
		if (e && e->kind != ERR_NOT_FOUND)
			return e;
		err_free(e);
	}
	return NULL;
}

static struct err *delete (struct repository *r, struct http_client *c,
			   struct err *(*about_to)(void *user, const struct digest *digest,
						   char *const *siblings),
			   void *user)
{
	const struct reference *ref = &r->at.reference;
	_cleanup_strv_ char **siblings = NULL;
	struct digest digest = ref->digest;

	if (!digest_is_set(&digest)) {
		struct registry_manifest m = {0};
		TRY(registry_manifest_get(r->pool.registry, c, ref->tag, NULL, &m));
		digest = m.digest;
		registry_manifest_release(&m);
	}
	if (about_to) {
		TRY(find_siblings(r, c, &digest, &siblings));
		TRY(about_to(user, &digest, siblings));
	}
	return registry_manifest_delete(r->pool.registry, c, &digest);
}

struct err *remote_delete(const char *location, const struct transport_options *o,
			  struct err *(*about_to)(void *user, const struct digest *digest,
						  char *const *siblings),
			  void *user)
{
	_cleanup_(repository_release) struct repository r = {0};
	struct transport_options with_deletes = *o;
	struct http_client *c;

	with_deletes.deletes = true;
	TRY(repository_open(location, &with_deletes, &r));
	TRY(registry_pool_take(&r.pool, &c));
	struct err *e = delete (&r, c, about_to, user);
	registry_pool_give(&r.pool, c);
	return e ? err_wrap(e, "%s", location) : NULL;
}
