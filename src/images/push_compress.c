/* SPDX-License-Identifier: Apache-2.0 */
#include "push_compress.h"

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "convert.h"

bool push_layer_is_plain(const struct descriptor *d)
{
	struct layer_type t = layer_type_of(d->media_type);

	return t.is_layer && !t.foreign && t.compression == COMPRESSION_NONE;
}

struct err *push_compress_layer(struct store *s, const struct descriptor *from, bool oci,
				enum compression format, int level, const struct progress *progress,
				struct spool **ret, struct descriptor *ret_to)
{
	_cleanup_free_ char *dir = xasprintf("%s/ingest", s->root);
	struct layer_type type = layer_type_of(from->media_type);
	struct spool plain = {.fd = -1};
	const char *name;

	type.compression = format;
	TRY(layer_type_name(type, oci, &name));
	struct err *e = store_blob_open(s, &from->digest, &plain.fd);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return err_new(ERR_NOT_FOUND,
			       "content %s is not kept here and not in the registry; pull the image again",
			       from->digest.s);
	}
	TRY(e);
	e = recompress(&plain, format, level, dir, progress, ret, &ret_to->digest);
	fd_close(plain.fd);
	TRY_WRAP(e, "cannot compress layer %s", from->digest.s);
	ret_to->size = (*ret)->size;
	ret_to->media_type = (char *)name;
	return NULL;
}

struct err *push_compressed_manifest(const char *data, size_t size, const struct manifest *m,
				     const struct descriptor *layers, char **ret, size_t *ret_size,
				     struct digest *ret_digest)
{
	_cleanup_raw_manifest_ struct raw_manifest from = {0}, to = {0};

	TRY(raw_manifest_fill(xmemdup(data, size), size, m->media_type, NULL, &from));
	TRY(manifest_rewrite(&from, str_eq(m->media_type, MEDIA_OCI_MANIFEST), &m->config, layers,
			     m->n_entries, &to));
	*ret = TAKE_PTR(to.data);
	*ret_size = to.size;
	*ret_digest = to.digest;
	return NULL;
}
