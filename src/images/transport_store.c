/* SPDX-License-Identifier: Apache-2.0 */
/* store: havre's own store. A name there may point to an index of which only this machine's image is kept: then that image is the source. At the
 * destination, blobs go in as a pull's do; the commit applies the layers and records the name. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "content.h"
#include "store_add.h"
#include "transport.h"

#define COPY_SIZE ((size_t)1 << 20)

struct store_place {
	union {
		struct source source;
		struct destination destination;
	};
	struct store *store;
	struct image *image; /* source */
	int lock;            /* S4: nothing goes away, and what is added is not collected */
	struct digest top;
	const struct progress *progress;
};

static void place_free(struct store_place *p)
{
	image_free(p->image);
	fd_close(p->lock);
	free(p);
}

static struct err *need_store(const struct location *at, const struct transport_options *o)
{
	return o->store ? NULL : err_new(ERR_UNSUPPORTED, "%s: there is no image store here", at->text);
}

/* -- source ------------------------------------------------------------------------------------------------------ */

static struct err *read_manifest(struct store *s, const struct digest *d, struct raw_manifest *ret)
{
	char *data;
	size_t size;

	TRY(store_blob_read(s, d, MANIFEST_SIZE_MAX, &data, &size));
	return raw_manifest_fill(data, size, NULL, d, ret);
}

/* The index around the image, when all that it names is here. */
static bool has_whole_index(struct store *s, const struct raw_manifest *m)
{
	_cleanup_manifest_ struct manifest *index = NULL;
	struct err *e = raw_manifest_parse(m, &index);

	for (size_t i = 0; !e && i < index->n_entries; i++)
		if (!blob_exists(s, &index->entries[i].digest, NULL))
			e = err_new(ERR_NOT_FOUND, "not here");
	bool whole = !e && index->is_index;
	err_free(e);
	return whole;
}

static struct err *store_manifest(struct source *source, const struct digest *instance,
				  struct raw_manifest *ret)
{
	struct store_place *p = (struct store_place *)source;
	_cleanup_raw_manifest_ struct raw_manifest m = {0};

	if (instance)
		return read_manifest(p->store, instance, ret);
	if (!digest_equal(&p->image->target, &p->image->manifest)) {
		struct err *e = read_manifest(p->store, &p->image->target, &m);
		if (!e && has_whole_index(p->store, &m)) {
			*ret = m;
			m = (struct raw_manifest){0};
			return NULL;
		}
		err_free(e);
	}
	return read_manifest(p->store, &p->image->manifest, ret);
}

static struct err *store_blob(struct source *source, const struct descriptor *d, struct spool *to,
			      const struct progress *progress)
{
	struct store_place *p = (struct store_place *)source;
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (!blob_exists(p->store, &d->digest, NULL))
		return err_new(ERR_NOT_FOUND,
			       "image %s: its content %s is not kept here; pull the image again",
			       source->at->name, d->digest.s);
	TRY(store_blob_open(p->store, &d->digest, &fd));
	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot stat blob %s", d->digest.s);
	return spool_take(to, fd, 0, (uint64_t)st.st_size, d->digest.s, progress);
}

static void store_source_close(struct source *source)
{
	place_free((struct store_place *)source);
}

static const struct source_ops store_source_ops = {store_manifest, store_blob, store_source_close};

struct err *store_source_open(const struct location *at, const struct transport_options *o,
			      struct source **ret)
{
	_cleanup_fd_ int lock = -1;
	struct image *image;

	TRY(need_store(at, o));
	if (!o->store->read_only)
		TRY(store_lock_shared(o->store, &lock));
	TRY(store_find(o->store, at->name, &image));
	struct store_place *p = xnew(struct store_place);
	*p = (struct store_place){
		.source = {&store_source_ops, at}, .store = o->store, .image = image, .lock = TAKE_FD(lock)};
	*ret = &p->source;
	return NULL;
}

/* -- destination --------------------------------------------------------------------------------------------------- */

static struct err *store_has(struct destination *destination, const struct descriptor *b,
			     const struct source *from, bool *ret)
{
	struct store_place *p = (struct store_place *)destination;

	*ret = blob_exists(p->store, &b->digest, NULL);
	return NULL;
}

static struct err *store_put(struct destination *destination, const struct descriptor *b, struct spool *data,
			     const struct progress *progress)
{
	struct store_place *p = (struct store_place *)destination;
	struct blob_writer *w;
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);
	size_t n;

	TRY(blob_writer_begin(p->store, &b->digest, progress, &w));
	if (!w)
		return NULL;
	struct err *e = NULL;
	while (!e && blob_writer_offset(w) < data->size) {
		e = fd_pread_full(data->fd, buf, COPY_SIZE, (off_t)blob_writer_offset(w), "a temporary file",
				  &n);
		if (!e && n == 0)
			e = err_new(ERR_CORRUPT, "a temporary file became shorter");
		if (!e)
			e = blob_writer_write(w, buf, n);
	}
	if (e) {
		blob_writer_abort(w, false);
		return e;
	}
	return blob_writer_commit(w, data->size, NULL, NULL);
}

static struct err *store_put_manifest(struct destination *destination, const struct raw_manifest *m,
				      bool instance, const struct reference *tag)
{
	struct store_place *p = (struct store_place *)destination;
	struct digest d;

	if (tag)
		return store_add_image(p->store, &p->top, tag, p->progress, NULL);
	TRY(blob_put(p->store, m->data, m->size, &d));
	if (!instance)
		p->top = d;
	return NULL;
}

static struct err *store_commit(struct destination *destination)
{
	struct store_place *p = (struct store_place *)destination;

	return store_add_image(p->store, &p->top, &destination->at->reference, p->progress, NULL);
}

static void store_destination_close(struct destination *destination)
{
	struct store_place *p = (struct store_place *)destination;

	free(destination->spool_dir);
	place_free(p);
}

static const struct destination_ops store_destination_ops = {store_has, store_put, store_put_manifest,
							     store_commit, store_destination_close};

struct err *store_destination_open(const struct location *at, const struct transport_options *o,
				   struct destination **ret)
{
	_cleanup_fd_ int lock = -1;

	TRY(need_store(at, o));
	if (!at->reference.domain || !at->reference.tag)
		return err_new(ERR_INVALID, "%s: an image in the store gets a name with a tag", at->text);
	TRY(store_check_writable(o->store));
	TRY(store_lock_shared(o->store, &lock));
	struct store_place *p = xnew(struct store_place);
	*p = (struct store_place){
		.destination = {.ops = &store_destination_ops,
				.at = at,
				.takes_oci = true,
				.takes_docker = true,
				.takes_index = true,
				.many = true,
				.compression = WANT_AS_IT_IS,
				.spool_dir = xasprintf("%s/ingest", o->store->root)},
		.store = o->store,
		.lock = TAKE_FD(lock),
		.progress = o->progress,
	};
	*ret = &p->destination;
	return NULL;
}
