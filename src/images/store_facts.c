/* SPDX-License-Identifier: Apache-2.0 */
/* What inspect says of an image besides its configuration. */
#include "base/memory.h"
#include "layer_add.h"
#include "layer_index.h"
#include "manifest.h"

struct err *store_layer_directories(struct store *s, const struct image *image, char ***ret)
{
	struct layer_row top;

	*ret = NULL;
	if (image->n_layers == 0)
		return NULL;
	TRY(layer_row_find(s, &image->layers[image->n_layers - 1], &top));
	return layer_row_is_tar(&top) ? NULL : layer_paths(s, &top.chain, ret);
}

struct err *store_target_facts(struct store *s, const struct image *image, uint64_t *ret_size,
			       const char **ret_media_type)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_manifest_ struct manifest *m = NULL;
	size_t size;

	TRY(store_blob_read(s, &image->target, MANIFEST_SIZE_MAX, &data, &size));
	TRY(manifest_parse(data, size, NULL, &m));
	*ret_size = size;
	*ret_media_type = m->media_type;
	return NULL;
}
