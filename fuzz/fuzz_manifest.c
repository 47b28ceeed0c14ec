/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, indexes and image configs: one input is tried as all of them. No document is a manifest and an index at once
 * (CVE-2021-41190). */
#include <stdlib.h>
#include <string.h>

#include "manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool accepted(const char *text, size_t size, const char *type, bool *ret_index)
{
	_cleanup_manifest_ struct manifest *m = NULL;
	const struct descriptor *d;
	struct platform host = {"linux", "arm64", "v8"};
	struct err *e = manifest_parse(text, size, type, &m);

	if (e) {
		err_free(e);
		return false;
	}
	for (size_t i = 0; i < m->n_entries; i++)
		if (!m->entries[i].media_type || !digest_is_set(&m->entries[i].digest))
			abort();
	if (!m->is_index && !digest_is_set(&m->config.digest))
		abort();
	if (m->is_index)
		err_free(manifest_choose(m, &host, &d));
	*ret_index = m->is_index;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	_cleanup_image_config_ struct image_config c = {0};
	bool as_manifest = false, as_index = true;

	if (accepted(text, size, MEDIA_OCI_MANIFEST, &as_manifest) && as_manifest)
		abort();
	if (accepted(text, size, MEDIA_OCI_INDEX, &as_index) && !as_index)
		abort();
	(void)accepted(text, size, NULL, &as_index);
	struct err *e = image_config_parse(text, size, &c);
	if (e)
		err_free(e);
	else if (c.n_layers > MANIFEST_LAYERS_MAX || !c.document)
		abort();
	return 0;
}
