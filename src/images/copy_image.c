/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs are copied by a few threads. Each waits whole, verified, in a file without a name; a layer may get another compression there. The
 * manifest is made when all have arrived. */
#include "copy_image.h"

#include <stdlib.h>

#include "base/fd.h"
#include "base/memory.h"
#include "compress.h"
#include "convert.h"
#include "pull_blob.h"

#define PARALLEL_DEFAULT 4

struct item {
	const struct descriptor *from;
	struct descriptor to; /* media_type borrowed until the end */
	struct layer_type type;
	bool is_config, skip;
};

struct image_copy {
	struct copy *copy;
	const struct raw_manifest *raw;
	struct manifest *manifest;
	bool from_oci, to_oci;
	char *new_config; /* of a conversion; NULL: the config stays */
	struct item *items;
	size_t n; /* layers, then the config */

	pthread_mutex_t mutex; /* guards the rest */
	size_t next;
	struct err *error;
};

void copy_say(struct copy *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	va_end(ap);
	c->shared.progress.message(c->shared.progress.user, text);
}

static void update(struct image_copy *i, const struct item *item, enum progress_phase phase)
{
	const struct progress *p = &i->copy->shared.progress;

	p->update(p->user, blob_short_id(&item->from->digest).s, phase, item->from->size, item->from->size);
}

/* -- what becomes of a layer -------------------------------------------------------------------------------------- */

static enum compression of_format(enum copy_compression c)
{
	return c == COPY_COMPRESSION_ZSTD ? COMPRESSION_ZSTD : COMPRESSION_GZIP;
}

static enum compression wanted(const struct image_copy *i, enum compression now)
{
	const struct copy_options *o = i->copy->options;
	enum wanted_compression w = i->copy->destination->compression;

	if (w == WANT_PLAIN || (w == WANT_AS_IT_IS && o->decompress))
		return COMPRESSION_NONE;
	if (now == COMPRESSION_ZSTD && !i->to_oci) /* it has no name there */
		return COMPRESSION_GZIP;
	if (w == WANT_AS_IT_IS)
		return !o->compress ? now
		       : now == COMPRESSION_NONE || o->compression != COPY_COMPRESSION_DEFAULT
			       ? of_format(o->compression)
			       : now;
	if (o->compression != COPY_COMPRESSION_DEFAULT)
		return of_format(o->compression);
	return now == COMPRESSION_NONE && !o->preserve_digests ? COMPRESSION_GZIP : now;
}

static struct err *may_change(const struct image_copy *i, const char *what)
{
	if (!i->copy->options->preserve_digests)
		return NULL;
	return err_new(ERR_UNSUPPORTED,
		       "digests are to be preserved, but %s would have to change for %s: leave out "
		       "--preserve-digests, or copy to another kind of place",
		       what, i->copy->destination->at->text);
}

/* -- one blob ----------------------------------------------------------------------------------------------------- */

static struct err *spool_format(const struct spool *s, enum compression *ret)
{
	_cleanup_decompress_ struct decompress *d = NULL;
	char head[16];
	size_t n;

	TRY(fd_pread_full(s->fd, head, sizeof(head), 0, "a temporary file", &n));
	TRY(decompress_new_memory(head, n, 0, "a layer", &d));
	*ret = decompress_format(d);
	return NULL;
}

static struct err *is_there(struct image_copy *i, const struct descriptor *d, bool *ret)
{
	struct destination *to = i->copy->destination;

	return to->ops->has_blob(to, d, i->copy->source, ret);
}

static struct err *transform(struct image_copy *i, struct item *item, struct spool **spool)
{
	const struct copy_options *o = i->copy->options;
	enum compression now;
	struct spool *other;

	TRY(spool_format(*spool, &now));
	enum compression want = wanted(i, now);
	item->type.compression = want;
	bool again = want != COMPRESSION_NONE && o->compression != COPY_COMPRESSION_DEFAULT && o->level &&
		     i->copy->destination->compression != WANT_PLAIN && !o->preserve_digests;
	if (want == now && !again)
		return NULL;
	TRY(may_change(i, "the compression of layers"));
	TRY(recompress(*spool, want, o->level, i->copy->destination->spool_dir, &i->copy->shared.progress,
		       &other, &item->to.digest));
	spool_free(*spool);
	*spool = other;
	item->to.size = other->size;
	return NULL;
}

/* Whether the layer is sure to stay as it is, by what its manifest says of it. A docker-archive's says gzip and is plain. */
static bool stays(const struct image_copy *i, const struct item *item)
{
	enum transport t = i->copy->source->at->transport;

	if (item->is_config || !item->type.is_layer)
		return true;
	if (t == TRANSPORT_DOCKER_ARCHIVE || t == TRANSPORT_DAEMON)
		return i->copy->destination->compression == WANT_PLAIN;
	return wanted(i, item->type.compression) == item->type.compression &&
	       !(i->copy->options->compression != COPY_COMPRESSION_DEFAULT && i->copy->options->level);
}

static struct err *get_blob(struct image_copy *i, const struct item *item, struct spool **ret)
{
	struct source *from = i->copy->source;
	const char *dir = i->copy->destination->spool_dir;

	if (item->is_config && i->new_config) {
		TRY(spool_new(dir, &item->to.digest, ret));
		TRY(spool_write(*ret, i->new_config, strlen(i->new_config)));
		return spool_finish(*ret, item->to.size, NULL);
	}
	TRY(spool_new(dir, &item->from->digest, ret));
	TRY(from->ops->blob(from, item->from, *ret, &i->copy->shared.progress));
	TRY_WRAP(spool_finish(*ret, item->from->size, NULL), "%s", from->at->text);
	return NULL;
}

static struct err *copy_item(struct image_copy *i, struct item *item)
{
	struct destination *to = i->copy->destination;
	_cleanup_spool_ struct spool *spool = NULL;
	bool there = false, same = stays(i, item);

	copy_say(i->copy, "Copying %s %s", item->is_config ? "config" : "blob", item->to.digest.s);
	if (same)
		TRY(is_there(i, &item->to, &there));
	if (!there) {
		TRY(get_blob(i, item, &spool));
		if (!same)
			TRY_WRAP(transform(i, item, &spool), "layer %s", item->from->digest.s);
		if (!same)
			TRY(is_there(i, &item->to, &there));
	}
	if (!there)
		TRY(to->ops->put_blob(to, &item->to, spool, &i->copy->shared.progress));
	update(i, item, there ? PROGRESS_EXISTS : PROGRESS_DONE);
	return NULL;
}

static void work(void *user, struct http_client *client, struct err *failed)
{
	struct image_copy *i = user;

	pthread_mutex_lock(&i->mutex);
	while (!i->error && i->next < i->n) {
		struct item *item = &i->items[i->next++];
		if (item->skip)
			continue;
		pthread_mutex_unlock(&i->mutex);
		struct err *e = copy_item(i, item);
		pthread_mutex_lock(&i->mutex);
		if (e && i->error) {
			err_free(e);
		} else if (e) {
			i->error = e;
			shared_progress_stop(&i->copy->shared);
		}
	}
	pthread_mutex_unlock(&i->mutex);
}

static struct err *copy_items(struct image_copy *i)
{
	struct workers workers = {.run = work, .user = i};
	unsigned parallel = i->copy->options->parallel ? i->copy->options->parallel : PARALLEL_DEFAULT;

	if (i->copy->destination->in_order)
		parallel = 1;
	TRY(workers_start(&workers, MIN((size_t)parallel, i->n)));
	workers_join(&workers);
	return TAKE_PTR(i->error);
}

/* -- the image ---------------------------------------------------------------------------------------------------- */

bool copy_wants_oci(const struct copy *c, bool is_oci)
{
	const struct destination *d = c->destination;

	if (c->options->format != COPY_FORMAT_KEEP)
		return c->options->format == COPY_FORMAT_OCI;
	/* Only OCI has a name for zstd. */
	if (c->options->compression == COPY_COMPRESSION_ZSTD && d->takes_oci && !c->options->preserve_digests)
		return true;
	return is_oci ? d->takes_oci : !d->takes_docker;
}

static struct err *check_kind(struct image_copy *i)
{
	const struct destination *d = i->copy->destination;

	i->from_oci = str_starts(i->manifest->media_type, "application/vnd.oci.");
	i->to_oci = copy_wants_oci(i->copy, i->from_oci);
	if (!(i->to_oci ? d->takes_oci : d->takes_docker))
		return err_new(ERR_UNSUPPORTED, "%s takes no images of the format %s", d->at->text,
			       i->to_oci ? "oci" : "v2s2");
	return i->from_oci == i->to_oci ? NULL : may_change(i, "the format");
}

static struct err *convert_config(struct image_copy *i, struct item *item)
{
	const struct descriptor *d = item->from;
	bool image = strcmp(d->media_type, i->from_oci ? MEDIA_OCI_CONFIG : MEDIA_DOCKER_CONFIG) == 0;

	if (i->from_oci == i->to_oci)
		return NULL;
	if (!image && i->from_oci)
		return err_new(ERR_UNSUPPORTED,
			       "it is not a container image but an artifact (its config is %s), which the "
			       "format v2s2 does not have",
			       d->media_type);
	item->to.media_type = (char *)(i->to_oci ? MEDIA_OCI_CONFIG : MEDIA_DOCKER_CONFIG);
	if (!i->to_oci)
		return NULL;
	_cleanup_free_ char *text = NULL;
	TRY(source_read_blob(i->copy->source, d, CONFIG_SIZE_MAX, &text));
	TRY_WRAP(config_to_oci(text, (size_t)d->size, &i->new_config), "config %s", d->digest.s);
	item->to.size = strlen(i->new_config);
	digest_of(i->new_config, strlen(i->new_config), &item->to.digest);
	return NULL;
}

static struct err *prepare(struct image_copy *i)
{
	const struct manifest *m = i->manifest;

	i->n = m->n_entries + 1;
	i->items = xnew_array(struct item, i->n);
	for (size_t k = 0; k < i->n; k++) {
		struct item *item = &i->items[k];
		item->is_config = k == m->n_entries;
		item->from = item->is_config ? &m->config : &m->entries[k];
		item->to = *item->from;
		if (item->is_config)
			continue;
		item->type = layer_type_of(item->from->media_type);
		item->skip = item->type.foreign && item->from->urls && i->copy->destination->takes_foreign;
		/* A layer that occurs twice is copied once. */
		for (size_t j = 0; j < k && !item->skip; j++)
			item->skip = digest_equal(&i->items[j].from->digest, &item->from->digest);
		if (!item->skip)
			update(i, item, PROGRESS_WAITING);
	}
	return convert_config(i, &i->items[i->n - 1]);
}

static struct err *name_layers(struct image_copy *i, bool *ret_changed)
{
	*ret_changed = i->from_oci != i->to_oci || i->new_config;
	for (size_t k = 0; k + 1 < i->n; k++) {
		struct item *item = &i->items[k];
		for (size_t j = 0; j < k && item->skip; j++) /* the same as the first of its kind */
			if (digest_equal(&i->items[j].from->digest, &item->from->digest)) {
				item->to.digest = i->items[j].to.digest;
				item->to.size = i->items[j].to.size;
				item->type.compression = i->items[j].type.compression;
				break;
			}
		*ret_changed |= !digest_equal(&item->to.digest, &item->from->digest);
	}
	for (size_t k = 0; k + 1 < i->n && *ret_changed; k++) {
		struct item *item = &i->items[k];
		const char *name = item->to.media_type;
		if (item->type.is_layer && !(i->to_oci ? false : item->type.compression == COMPRESSION_NONE))
			TRY(layer_type_name(item->type, i->to_oci, &name));
		/* Plain layers in docker's archives are called gzip by everybody. */
		else if (item->type.is_layer)
			name = i->copy->destination->compression == WANT_PLAIN ? MEDIA_DOCKER_LAYER_GZIP
									       : MEDIA_DOCKER_LAYER;
		item->to.media_type = (char *)name;
	}
	return NULL;
}

static struct err *make_manifest(struct image_copy *i, struct raw_manifest *ret)
{
	bool changed;

	TRY(name_layers(i, &changed));
	if (!changed)
		return raw_manifest_fill(xmemdup(i->raw->data, i->raw->size), i->raw->size,
					 i->manifest->media_type, &i->raw->digest, ret);
	size_t n = i->n - 1;
	_cleanup_free_ struct descriptor *layers = xnew_array(struct descriptor, n);
	for (size_t k = 0; k < n; k++)
		layers[k] = i->items[k].to;
	return manifest_rewrite(i->raw, i->to_oci, &i->items[n].to, layers, n, ret);
}

static struct err *copy_content(struct image_copy *i, struct raw_manifest *ret)
{
	TRY(raw_manifest_parse(i->raw, &i->manifest));
	if (i->manifest->is_index)
		return err_new(ERR_INVALID, "%s: an index inside an index", i->copy->source->at->text);
	TRY(check_kind(i));
	TRY(prepare(i));
	TRY(copy_items(i));
	return make_manifest(i, ret);
}

struct err *copy_image_content(struct copy *c, const struct raw_manifest *m, struct raw_manifest *ret)
{
	struct image_copy i = {.copy = c, .raw = m};

	pthread_mutex_init(&i.mutex, NULL);
	struct err *e = copy_content(&i, ret);
	pthread_mutex_destroy(&i.mutex);
	manifest_free(i.manifest);
	free(i.items);
	free(i.new_config);
	return e;
}
