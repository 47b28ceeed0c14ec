/* SPDX-License-Identifier: Apache-2.0 */
#include "store_add.h"

#include "base/fd.h"
#include "base/memory.h"
#include "images/layer.h"
#include "manifest.h"

#define NESTED_INDEX_MAX 2

static struct err *apply_layers(struct store *s, const struct manifest *m, const struct progress *progress)
{
	_cleanup_image_config_ struct image_config config = {0};
	_cleanup_free_ char *data = NULL;
	struct digest chain, parent;
	size_t size;

	TRY(store_blob_read(s, &m->config.digest, CONFIG_SIZE_MAX, &data, &size));
	TRY(image_config_parse(data, size, &config));
	if (m->n_entries != config.n_layers)
		return err_new(ERR_CORRUPT, "the manifest has %zu layers, the image's configuration %zu",
			       m->n_entries, config.n_layers);
	for (size_t i = 0; i < m->n_entries; i++) {
		_cleanup_fd_ int fd = -1;
		const struct descriptor *d = &m->entries[i];
		TRY(store_blob_open(s, &d->digest, &fd));
		TRY(layer_add(s, fd, *d->media_type ? d->media_type : NULL, &config.diff_ids[i],
			      i ? &parent : NULL, progress, &chain));
		parent = chain;
	}
	return NULL;
}

static struct err *find_manifest(struct store *s, const struct digest *target, struct digest *ret_digest,
				 struct manifest **ret)
{
	struct platform host = platform_host();
	struct digest at = *target;

	for (int depth = 0; depth <= NESTED_INDEX_MAX; depth++) {
		_cleanup_manifest_ struct manifest *m = NULL;
		_cleanup_free_ char *data = NULL;
		const struct descriptor *chosen;
		size_t size;
		TRY(store_blob_read(s, &at, MANIFEST_SIZE_MAX, &data, &size));
		TRY(manifest_parse(data, size, NULL, &m));
		if (!m->is_index) {
			*ret_digest = at;
			*ret = TAKE_PTR(m);
			return NULL;
		}
		TRY(manifest_choose(m, &host, &chosen));
		at = chosen->digest;
	}
	return err_new(ERR_INVALID, "the image's indexes are nested too deeply");
}

struct err *store_add_image(struct store *s, const struct digest *target, const struct reference *name,
			    const struct progress *progress, struct image **ret)
{
	_cleanup_manifest_ struct manifest *m = NULL;
	_cleanup_image_ struct image *image = NULL;
	struct image_record r = {.target = *target, .name = name};

	TRY(find_manifest(s, target, &r.manifest, &m));
	TRY(apply_layers(s, m, progress));
	TRY(image_record(s, &r, &image, NULL));
	if (ret)
		*ret = TAKE_PTR(image);
	return NULL;
}
