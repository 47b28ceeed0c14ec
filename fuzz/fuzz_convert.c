/* SPDX-License-Identifier: Apache-2.0 */
/* What copying makes of documents from elsewhere: a configuration in OCI's words stays one when it is converted again; a rewritten manifest is one;
 * an index.json to which an image was added has it. The first line may also be the name of a place. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "convert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void config(const char *text, size_t size)
{
	_cleanup_free_ char *once = NULL, *twice = NULL;
	struct err *e = config_to_oci(text, size, &once);

	if (e) {
		err_free(e);
		return;
	}
	e = config_to_oci(once, strlen(once), &twice);
	if (e || strcmp(once, twice) != 0)
		abort();
}

static void manifest(const char *text, size_t size)
{
	_cleanup_raw_manifest_ struct raw_manifest raw = {0}, made = {0};
	_cleanup_manifest_ struct manifest *m = NULL, *again = NULL;
	struct err *e = raw_manifest_fill(xmemdup(text, size), size, NULL, NULL, &raw);

	if (!e)
		e = raw_manifest_parse(&raw, &m);
	if (!e)
		e = m->is_index ? index_rewrite(&raw, true, m->entries, m->n_entries, &made)
				: manifest_rewrite(&raw, true, &m->config, m->entries, m->n_entries, &made);
	if (!e) {
		e = raw_manifest_parse(&made, &again);
		if (e || again->n_entries != m->n_entries || again->is_index != m->is_index)
			abort();
	}
	err_free(e);
}

static void layout(const char *text, size_t size)
{
	_cleanup_raw_manifest_ struct raw_manifest raw = {0};
	_cleanup_free_ char *index = NULL;
	struct descriptor d = {0};
	struct err *e = raw_manifest_fill(xstrdup("{}"), 2, MEDIA_OCI_MANIFEST, NULL, &raw);

	if (!e)
		e = layout_add(text, size, &raw, "name", &index);
	if (e) {
		err_free(e);
		return;
	}
	e = layout_find(index, strlen(index), "name", -1, "a layout", &d);
	if (e || !digest_equal(&d.digest, &raw.digest))
		abort();
	free(d.media_type);
}

static void place(const char *text, size_t size)
{
	_cleanup_free_ char *line = xstrndup(text, size);
	_cleanup_location_ struct location l = {0};

	line[strcspn(line, "\n")] = '\0';
	err_free(location_parse(line, &l));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;

	config(text, size);
	manifest(text, size);
	layout(text, size);
	place(text, size);
	return 0;
}
