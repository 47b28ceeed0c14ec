/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and the images in them: looking one up to add it, copying them all to push the list. */
#include <stdlib.h>

#include "base/memory.h"
#include "convert.h"
#include "copy_image.h"
#include "copy_trust.h"
#include "images/trust.h"
#include "list.h"

/* -- adding -------------------------------------------------------------------------------------------------------- */

/* What the image itself says it is for. */
static struct err *read_platform(struct source *s, const struct manifest *m, struct platform *ret)
{
	_cleanup_image_config_ struct image_config config = {0};
	_cleanup_free_ char *text = NULL;

	if (strcmp(m->config.media_type, MEDIA_OCI_CONFIG) != 0 &&
	    strcmp(m->config.media_type, MEDIA_DOCKER_CONFIG) != 0)
		return NULL; /* an artifact */
	TRY(source_read_blob(s, &m->config, CONFIG_SIZE_MAX, &text));
	TRY(image_config_parse(text, (size_t)m->config.size, &config));
	*ret = config.platform;
	return NULL;
}

/* Where a part is found again when the list is pushed: a registry's is named by its digest. */
static char *place_of(const struct location *at, const struct digest *d)
{
	if (at->transport == TRANSPORT_REGISTRY)
		return xasprintf("docker://%s/%s@%s", at->reference.domain, at->reference.path, d->s);
	return xstrdup(at->text);
}

static struct err *add_image(struct list *l, struct source *s, const struct raw_manifest *raw,
			     const struct descriptor *in_index, const struct list_add_options *o)
{
	_cleanup_manifest_ struct manifest *m = NULL;
	_cleanup_free_ char *place = place_of(s->at, &raw->digest);
	struct descriptor d = {.digest = raw->digest, .size = raw->size};

	TRY(raw_manifest_parse(raw, &m));
	if (m->is_index)
		return err_new(ERR_UNSUPPORTED, "%s: an index inside an index", s->at->text);
	d.media_type = (char *)m->media_type;
	if (in_index && in_index->has_platform)
		d.platform = in_index->platform;
	else
		TRY(read_platform(s, m, &d.platform));
	return list_put(l, &d, place, &o->entry);
}

static struct err *add_parts(struct list *l, struct source *s, const struct raw_manifest *top,
			     const struct manifest *index, const struct list_add_options *o,
			     struct digest *ret)
{
	struct platform host = platform_host();
	const struct descriptor *chosen = NULL;

	if (!o->all)
		TRY(manifest_choose(index, o->platform ? o->platform : &host, &chosen));
	for (size_t i = 0; i < index->n_entries; i++) {
		_cleanup_raw_manifest_ struct raw_manifest raw = {0};
		const struct descriptor *d = &index->entries[i];
		if (chosen && d != chosen)
			continue;
		TRY(s->ops->manifest(s, &d->digest, &raw));
		if (!raw.media_type && *d->media_type)
			raw.media_type = xstrdup(d->media_type);
		TRY(add_image(l, s, &raw, d, o));
		*ret = raw.digest;
	}
	return NULL;
}

struct err *list_add(struct store *store, const struct reference *name, const char *place,
		     const struct list_add_options *o, struct digest *ret)
{
	_cleanup_list_ struct list l = {.lock = -1};
	_cleanup_location_ struct location at = {0};
	_cleanup_source_ struct source *s = NULL;
	_cleanup_raw_manifest_ struct raw_manifest top = {0};
	_cleanup_manifest_ struct manifest *m = NULL;

	TRY(location_parse(place, &at));
	TRY(source_open(&at, &o->transport, &s));
	TRY(s->ops->manifest(s, NULL, &top));
	TRY_WRAP(raw_manifest_parse(&top, &m), "%s", place);
	TRY(list_open(store, name, true, &l));
	if (m->is_index) {
		TRY_WRAP(add_parts(&l, s, &top, m, o, ret), "%s", place);
	} else {
		TRY_WRAP(add_image(&l, s, &top, NULL, o), "%s", place);
		*ret = top.digest;
	}
	return list_write(&l);
}

/* -- pushing -------------------------------------------------------------------------------------------------------- */

static struct err *copy_entry(struct copy *c, const struct digest *d, const char *place)
{
	_cleanup_location_ struct location at = {0};
	_cleanup_raw_manifest_ struct raw_manifest raw = {0}, made = {0};
	_cleanup_source_ struct source *s = NULL;

	TRY(location_parse(place, &at));
	TRY(source_open(&at, &c->options->source, &s));
	c->source = s; /* until the next one takes its place */
	TRY(copy_check_trust(c, c->policy, NULL, NULL));
	TRY(s->ops->manifest(s, NULL, &raw));
	if (!digest_equal(&raw.digest, d)) {
		raw_manifest_release(&raw);
		TRY(s->ops->manifest(s, d, &raw));
	}
	TRY(copy_check_trust(c, c->policy, &raw, NULL));
	struct err *e = copy_image_content(c, &raw, &made);
	TRY(e);
	if (!digest_equal(&made.digest, d))
		return err_new(ERR_UNSUPPORTED, "%s would change %s, which the list names by its digest",
			       c->destination->at->text, d->s);
	return c->destination->ops->put_manifest(c->destination, &made, true, NULL);
}

static struct err *copy_entries(struct copy *c, const struct list *l, const struct manifest *index)
{
	struct json_cursor sources = json_root(l->sources);

	for (size_t i = 0; i < index->n_entries; i++) {
		const struct digest *d = &index->entries[i].digest;
		const char *place = NULL;
		TRY(json_get_string(&sources, d->s, JSON_REQUIRED, &place));
		copy_say(c, "Copying image %s (%zu/%zu)", d->s, i + 1, index->n_entries);
		TRY_WRAP(copy_entry(c, d, place), "image %s", place);
	}
	return NULL;
}

static bool is_oci(const struct manifest *index, enum copy_format format, const struct destination *d)
{
	if (format != COPY_FORMAT_KEEP)
		return format == COPY_FORMAT_OCI;
	for (size_t i = 0; i < index->n_entries; i++)
		if (strcmp(index->entries[i].media_type, MEDIA_DOCKER_MANIFEST) != 0)
			return true;
	return index->n_entries == 0 || !d->takes_docker;
}

static struct err *push(struct copy *c, const struct list *l, enum copy_format format,
			struct copy_result *ret)
{
	_cleanup_raw_manifest_ struct raw_manifest raw = {0}, made = {0};
	_cleanup_manifest_ struct manifest *index = NULL;
	struct destination *d = c->destination;
	char *text = json_print_go(l->index);

	TRY(raw_manifest_fill(text, strlen(text), MEDIA_OCI_INDEX, NULL, &raw));
	TRY(raw_manifest_parse(&raw, &index));
	if (!d->takes_index)
		return err_new(ERR_UNSUPPORTED, "%s cannot hold an image of several platforms", d->at->text);
	TRY(copy_entries(c, l, index));
	TRY(index_rewrite(&raw, is_oci(index, format, d), index->entries, index->n_entries, &made));
	copy_say(c, "Writing manifest list to image destination");
	TRY(d->ops->put_manifest(d, &made, false, NULL));
	TRY(d->ops->commit(d));
	ret->digest = made.digest;
	return NULL;
}

struct err *list_push(struct store *store, const struct reference *name, const char *destination,
		      const struct copy_options *o, struct copy_result *ret)
{
	_cleanup_list_ struct list l = {.lock = -1};
	_cleanup_location_ struct location to = {0};
	struct copy_options of_images = *o;
	struct copy c = {.options = &of_images};

	TRY(list_open(store, name, false, &l));
	TRY_WRAP(location_parse(destination, &to), "destination");
	shared_progress_init(&c.shared, o->source.progress);
	/* The format is the index's: the images are named by their digests and stay as they are. */
	of_images.preserve_digests = true;
	of_images.format = COPY_FORMAT_KEEP;
	struct err *e = trust_policy_load(o->source.signature_policy, &c.policy);
	if (!e)
		e = destination_open(&to, &o->destination, &c.destination);
	if (!e)
		e = push(&c, &l, o->format, ret);
	destination_close(c.destination);
	trust_policy_free(c.policy);
	shared_progress_release(&c.shared);
	return e ? err_wrap(e, "cannot push to %s", destination) : NULL;
}
