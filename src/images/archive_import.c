/* SPDX-License-Identifier: Apache-2.0 */
/* A root file system's tar becomes the only layer of an image, kept as the bytes it came as. Nothing of the clock gets in. */
#include <unistd.h>

#include "archive_index.h"
#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "config_change.h"
#include "decompress.h"
#include "image_draft.h"
#include "images/archive.h"
#include "layer_add.h"
#include "manifest.h"
#include "store_image.h"

static struct err *blob_format(int fd, enum compression *ret)
{
	_cleanup_decompress_ struct decompress *d = NULL;

	TRY(decompress_new(fd, "the archive", &d));
	*ret = decompress_format(d);
	return NULL;
}

static struct err *creation_time(int64_t newest_s, char ret[static TIMESTAMP_STRING_MAX])
{
	int64_t epoch_s = INT64_MAX;

	TRY(source_date_epoch(&epoch_s));
	/* Four-digit years */
	int64_t seconds = MIN(MAX(epoch_s == INT64_MAX ? newest_s : epoch_s, (int64_t)0), SOURCE_DATE_MAX);
	timestamp_format(seconds * 1000000000, ret);
	return NULL;
}

static char *make_config(const struct archive_import_options *o, const struct config_change *change,
			 const struct digest *diff_id, const char *created)
{
	struct platform platform = o->platform ? *o->platform : platform_host();
	_cleanup_json_ struct json *config = json_new_object();
	struct json *rootfs = json_new_object(), *diff_ids = json_new_array(), *history = json_new_array(),
		    *step = json_new_object();

	json_set_string(config, "created", created);
	json_set_string(config, "architecture", platform.architecture);
	json_set_string(config, "os", platform.os);
	if (platform.variant[0])
		json_set_string(config, "variant", platform.variant);
	json_set(config, "config", config_change_json(change));
	json_append(diff_ids, json_new_string(diff_id->s));
	json_set_string(rootfs, "type", "layers");
	json_set(rootfs, "diff_ids", diff_ids);
	json_set(config, "rootfs", rootfs);
	json_set_string(step, "created", created);
	json_set_string(step, "comment", str_empty(o->message) ? "Imported from -" : o->message);
	json_append(history, step);
	json_set(config, "history", history);
	return json_print(config, JSON_COMPACT);
}

static struct err *import(struct store *s, int fd, const struct archive_import_options *o,
			  struct digest *ret_id)
{
	static const char *const types[] = {[COMPRESSION_NONE] = MEDIA_OCI_LAYER,
					    [COMPRESSION_GZIP] = MEDIA_OCI_LAYER_GZIP,
					    [COMPRESSION_ZSTD] = MEDIA_OCI_LAYER_ZSTD};
	_cleanup_config_change_ struct config_change change = {0};
	_cleanup_fd_ int lock = -1, blob = -1;
	struct digest layer, config_digest, manifest_digest;
	struct layer_added added;
	enum compression format;
	char created[TIMESTAMP_STRING_MAX];
	uint64_t size;

	/* What can be wrong with the request is found before the first byte is read. */
	STRV_FOREACH (instruction, o->changes)
		TRY(config_change_apply(&change, *instruction));
	TRY(store_check_writable(s));
	TRY(store_lock_shared(s, &lock));
	TRY(archive_spool_blob(s, fd, o->progress, &layer, &size, &blob));
	if (size == 0)
		return err_new(ERR_INVALID, "the archive is empty");
	TRY(blob_format(blob, &format));
	const struct layer_source source = {.fd = blob, .what = "the archive", .progress = o->progress};
	TRY(layer_add_source(s, &source, &added));
	TRY(creation_time(added.newest_s, created));

	_cleanup_free_ char *config = make_config(o, &change, &added.diff_id, created);
	TRY(blob_put(s, config, strlen(config), &config_digest));
	_cleanup_json_ struct json *manifest = json_new_object();
	struct json *layers = json_new_array();
	json_set_i64(manifest, "schemaVersion", 2);
	json_set_string(manifest, "mediaType", MEDIA_OCI_MANIFEST);
	json_set(manifest, "config", descriptor_json(MEDIA_OCI_CONFIG, &config_digest, strlen(config)));
	json_append(layers, descriptor_json(types[format], &layer, size));
	json_set(manifest, "layers", layers);
	_cleanup_free_ char *text = json_print(manifest, JSON_COMPACT);
	TRY(blob_put(s, text, strlen(text), &manifest_digest));

	_cleanup_image_ struct image *image = NULL;
	const struct image_record record = {
		.manifest = manifest_digest, .target = manifest_digest, .name = o->name};
	TRY(image_record(s, &record, &image, NULL));
	*ret_id = image->id;
	return NULL;
}

struct err *archive_import(struct store *s, int fd, const struct archive_import_options *o,
			   struct digest *ret_id)
{
	struct err *e = import(s, fd, o, ret_id);

	if (e && e->kind == ERR_NO_SPACE)
		store_give_back(s);
	if (!e)
		store_tell(s, "import", ret_id->s, ret_id->s);
	return e;
}
