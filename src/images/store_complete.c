/* SPDX-License-Identifier: Apache-2.0 */
/* What a pull of an image that is here looks at, before it believes that: cheap enough to be done each time. */
#include "base/memory.h"
#include "images/layer.h"
#include "manifest.h"
#include "store_image.h"

static struct err *recorded_blobs(struct store *s, const struct digest *manifest, char ***ret)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(locked->db, &q, "SELECT blob FROM content WHERE manifest=?", "s", manifest->s));
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			return NULL;
		strv_push(ret, db_column_text(q, 0));
	}
}

/* Reads a document whose digest is verified by reading; one that is wrong goes. */
static struct err *read_document(struct store *s, const struct digest *d, size_t max, char **ret,
				 size_t *ret_size)
{
	struct err *e = store_blob_read(s, d, max, ret, ret_size);

	if (e && e->kind == ERR_CORRUPT)
		err_free(blob_discard(s, d));
	return e;
}

static struct err *check_sizes(struct store *s, const struct manifest *m)
{
	for (size_t i = 0; i < m->n_entries; i++) {
		const struct descriptor *d = &m->entries[i];
		uint64_t size;
		if (!blob_exists(s, &d->digest, &size) || size == d->size)
			continue;
		TRY(blob_discard(s, &d->digest));
		return err_new(ERR_CORRUPT, "blob %s is damaged", d->digest.s);
	}
	return NULL;
}

static struct err *look(struct store *s, const struct image *image)
{
	_cleanup_free_ char *text = NULL, *config = NULL;
	_cleanup_manifest_ struct manifest *m = NULL;
	_cleanup_strv_ char **blobs = NULL;
	size_t size;

	TRY(read_document(s, &image->manifest, MANIFEST_SIZE_MAX, &text, &size));
	TRY(manifest_parse(text, size, NULL, &m));
	TRY(read_document(s, &image->id, CONFIG_SIZE_MAX, &config, &size));
	TRY(check_sizes(s, m));
	TRY(recorded_blobs(s, &image->manifest, &blobs));
	STRV_FOREACH (blob, blobs) {
		struct digest d;
		TRY(digest_parse(*blob, &d));
		if (!blob_exists(s, &d, NULL))
			return err_new(ERR_NOT_FOUND, "no blob %s", d.s);
	}
	for (size_t i = 0; i < image->n_layers; i++)
		if (!layer_exists(s, &image->layers[i]))
			return err_new(ERR_NOT_FOUND, "no layer %s", image->layers[i].s);
	return NULL;
}

bool image_is_complete(struct store *s, const struct image *image)
{
	struct err *e = look(s, image);
	bool complete = !e;

	err_free(e);
	return complete;
}
