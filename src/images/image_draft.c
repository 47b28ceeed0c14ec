/* SPDX-License-Identifier: Apache-2.0 */
#include "image_draft.h"

#include <stdlib.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "layer_add.h"
#include "manifest.h"

struct err *source_date_epoch(int64_t *ret_s)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");

	return str_empty(epoch) ? NULL : parse_i64(epoch, "SOURCE_DATE_EPOCH", 0, SOURCE_DATE_MAX, ret_s);
}

void image_draft_release(struct image_draft *d)
{
	json_unref(d->config);
	json_unref(d->manifest);
	*d = (struct image_draft){0};
}

/* Docker's names for what OCI has too. */
static const char *oci_type(const char *type)
{
	static const struct {
		const char *docker, *oci;
	} types[] = {
		{MEDIA_DOCKER_LAYER_GZIP, MEDIA_OCI_LAYER_GZIP},
		{"application/vnd.docker.image.rootfs.diff.tar", MEDIA_OCI_LAYER},
		{"application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_OCI_LAYER_ZSTD},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
		 "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar",
		 "application/vnd.oci.image.layer.nondistributable.v1.tar"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_eq(type, types[i].docker))
			return types[i].oci;
	return type;
}

/* The old manifest with everything in it that belongs to an OCI manifest, layers' annotations included. */
static struct err *convert_manifest(struct json *old, struct json **ret)
{
	struct json_cursor root = json_root(old), layers, annotations;
	_cleanup_json_ struct json *manifest = json_new_object();
	struct json *list = json_new_array();

	json_set_i64(manifest, "schemaVersion", 2);
	json_set_string(manifest, "mediaType", MEDIA_OCI_MANIFEST);
	json_set(manifest, "config", NULL);
	json_set(manifest, "layers", list);
	TRY(json_get_array(&root, "layers", JSON_REQUIRED, &layers));
	for (size_t i = 0, n = json_array_len(&layers); i < n; i++) {
		struct json_cursor entry = json_at(&layers, i);
		const char *type = "";
		TRY(json_get_string(&entry, "mediaType", JSON_OPTIONAL, &type));
		struct json *copy = json_deep_copy(entry.value);
		json_set_string(copy, "mediaType", str_empty(type) ? MEDIA_OCI_LAYER_GZIP : oci_type(type));
		json_append(list, copy);
	}
	TRY(json_get_object(&root, "annotations", JSON_OPTIONAL, &annotations));
	if (annotations.value)
		json_set(manifest, "annotations", json_deep_copy(annotations.value));
	*ret = TAKE_PTR(manifest);
	return NULL;
}

struct err *image_draft_from(struct store *s, const struct image *image, struct image_draft *ret)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_json_ struct json *old = NULL;
	_cleanup_manifest_ struct manifest *checked = NULL;
	size_t size;

	TRY(store_blob_read(s, &image->manifest, MANIFEST_SIZE_MAX, &data, &size));
	TRY(manifest_parse(data, size, NULL, &checked));
	TRY(json_parse(data, size, "the image's manifest", &old));
	TRY(convert_manifest(old, &ret->manifest));
	ret->config = json_deep_copy(image->config);
	return NULL;
}

struct err *image_draft_add_layer(struct image_draft *d, const struct image_draft_layer *layer)
{
	struct json_cursor manifest = json_root(d->manifest), config = json_root(d->config), layers, rootfs,
			   diff_ids;

	TRY(json_get_array(&manifest, "layers", JSON_REQUIRED, &layers));
	TRY(json_get_object(&config, "rootfs", JSON_REQUIRED, &rootfs));
	TRY(json_get_array(&rootfs, "diff_ids", JSON_OPTIONAL, &diff_ids));
	if (json_array_len(&layers) >= MANIFEST_LAYERS_MAX)
		return err_new(ERR_LIMIT, "the image has %zu layers, and no more are possible",
			       json_array_len(&layers));
	json_append(layers.value, descriptor_json(layer->media_type, &layer->blob, layer->size));
	if (!diff_ids.value) {
		struct json *list = json_new_array();
		json_set(rootfs.value, "diff_ids", list);
		json_append(list, json_new_string(layer->diff_id.s));
		return NULL;
	}
	json_append(diff_ids.value, json_new_string(layer->diff_id.s));
	return NULL;
}

static struct err *add_history(struct image_draft *d, struct json *step)
{
	struct json_cursor config = json_root(d->config), history;
	struct err *e = json_get_array(&config, "history", JSON_OPTIONAL, &history);

	if (e) {
		json_unref(step);
		return e;
	}
	if (history.value) {
		json_append(history.value, step);
		return NULL;
	}
	struct json *list = json_new_array();
	json_append(list, step);
	json_set(d->config, "history", list);
	return NULL;
}

struct err *image_draft_add_step(struct image_draft *d, const struct image_draft_step *s)
{
	char created[TIMESTAMP_STRING_MAX];
	struct json *step = json_new_object();

	timestamp_format(s->created_ns, created);
	json_set_string(d->config, "created", created);
	json_set_string(step, "created", created);
	if (!str_empty(s->author)) {
		json_set_string(d->config, "author", s->author);
		json_set_string(step, "author", s->author);
	}
	if (!str_empty(s->created_by))
		json_set_string(step, "created_by", s->created_by);
	if (!str_empty(s->comment))
		json_set_string(step, "comment", s->comment);
	if (s->empty_layer)
		json_set_bool(step, "empty_layer", true);
	return add_history(d, step);
}

/* -- layers ------------------------------------------------------------------------------------------------------- */

struct blob_sink {
	struct byte_sink sink;
	struct blob_writer *writer;
	const struct progress *progress;
	uint64_t size;
};

static struct err *blob_sink_write(struct byte_sink *sink, const void *data, size_t size)
{
	struct blob_sink *b = (struct blob_sink *)sink;
	const struct progress *p = b->progress;

	if (p && p->cancelled && p->cancelled(p->user))
		return err_new(ERR_CANCELLED, "interrupted");
	b->size += size;
	return blob_writer_write(b->writer, data, size);
}

struct err *image_draft_write_layer(struct store *s, struct image_draft *d, const struct digest *parent,
				    struct err *(*write)(struct tar_writer *w, void *user), void *user,
				    const struct progress *progress)
{
	_cleanup_blob_writer_ struct blob_writer *writer = NULL;
	_cleanup_fd_ int fd = -1;
	struct layer_added added;
	struct digest blob;

	TRY(blob_writer_begin(s, NULL, NULL, &writer));
	struct blob_sink sink = {.sink.write = blob_sink_write, .writer = writer, .progress = progress};
	struct tar_writer w = {.sink = &sink.sink};
	TRY(write(&w, user));
	TRY(tar_writer_end(&w));
	TRY(blob_writer_commit(TAKE_PTR(writer), sink.size, &blob, &fd));
	const struct layer_source source = {.fd = fd,
					    .what = "the new layer",
					    .diff_id = &blob,
					    .parent = digest_is_set(parent) ? parent : NULL,
					    .progress = progress};
	TRY(layer_add_source(s, &source, &added));
	const struct image_draft_layer layer = {MEDIA_OCI_LAYER, blob, added.diff_id, sink.size};
	return image_draft_add_layer(d, &layer);
}

struct err *image_draft_record(struct store *s, struct image_draft *d, const struct reference *name,
			       struct image **ret)
{
	struct digest config, manifest;
	_cleanup_free_ char *text = json_print(d->config, JSON_COMPACT), *document = NULL;

	if (strlen(text) > CONFIG_SIZE_MAX)
		return err_new(ERR_LIMIT, "the image's configuration would be larger than %zu bytes",
			       CONFIG_SIZE_MAX);
	TRY(blob_put(s, text, strlen(text), &config));
	json_set(d->manifest, "config", descriptor_json(MEDIA_OCI_CONFIG, &config, strlen(text)));
	document = json_print(d->manifest, JSON_COMPACT);
	if (strlen(document) > MANIFEST_SIZE_MAX)
		return err_new(ERR_LIMIT, "the image's manifest would be larger than %zu bytes",
			       MANIFEST_SIZE_MAX);
	TRY(blob_put(s, document, strlen(document), &manifest));
	/* Layers of the old image may be unpacked only: pulled again when somebody wants to save or push. */
	const struct image_record record = {
		.manifest = manifest, .target = manifest, .name = name, .layer_blobs_optional = true};
	return image_record(s, &record, ret, NULL);
}
