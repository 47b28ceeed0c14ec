/* SPDX-License-Identifier: Apache-2.0 */
/* Loading image archives.
 *
 * An archive with oci-layout and index.json is read as an image layout (image-spec image-layout.md): manifests keep their digests.
 * docker save of version 25 and later, and ours, is such an archive too. Otherwise manifest.json (docker save of all
 * versions since 1.10, podman, skopeo) lists config, tags and layers, and the manifest is made here, the same for the same input.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_index.h"
#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "decompress.h"
#include "images/archive.h"
#include "images/layer.h"
#include "images/trust.h"
#include "manifest.h"
#include "store_add.h"
#include "store_image.h"

#define IMAGES_MAX 1024
#define NESTED_INDEX_MAX 2

struct load {
	struct store *store;
	const struct archive *archive;
	const struct progress *progress;
	char **lines;
};

/* -- the end of every load -------------------------------------------------------------------------------------- */

static struct err *record(struct load *l, const struct digest *target, const char *name)
{
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	_cleanup_image_ struct image *image = NULL;

	if (name)
		TRY_WRAP(reference_parse(name, &ref), "the archive names an image \"%.256s\"", name);
	TRY(store_add_image(l->store, target, name ? &ref : NULL, l->progress, &image));
	if (name) {
		_cleanup_free_ char *familiar = reference_familiar(&ref);
		strv_push_take(&l->lines, xasprintf("Loaded image: %s", familiar));
	} else {
		strv_push_take(&l->lines, xasprintf("Loaded image ID: %s", image->id.s));
	}
	store_tell(l->store, "load", image->id.s, image->id.s);
	return NULL;
}

static struct err *record_names(struct load *l, const struct digest *target, char *const *names)
{
	if (!strv_len(names))
		return record(l, target, NULL);
	STRV_FOREACH (name, names)
		TRY(record(l, target, *name));
	return NULL;
}

/* -- image layouts ---------------------------------------------------------------------------------------------- */

static struct err *copy_blob(struct load *l, const struct digest *d)
{
	struct archive_file file;
	struct digest got;

	if (blob_exists(l->store, d, NULL))
		return NULL;
	TRY(archive_find(l->archive, blob_path(d).s, &file));
	return archive_store_blob(l->archive, l->store, &file, d, l->progress, &got, NULL);
}

/* All that `digest` leads to, through indexes by the host's platform. */
static struct err *copy_target(struct load *l, const struct digest *digest, const char *media_type,
			       unsigned depth)
{
	_cleanup_manifest_ struct manifest *m = NULL;
	_cleanup_free_ char *data = NULL;
	const struct descriptor *chosen;
	size_t size;

	TRY(copy_blob(l, digest));
	TRY(store_blob_read(l->store, digest, MANIFEST_SIZE_MAX, &data, &size));
	TRY(manifest_parse(data, size, str_empty(media_type) ? NULL : media_type, &m));
	if (!m->is_index) {
		TRY(copy_blob(l, &m->config.digest));
		for (size_t i = 0; i < m->n_entries; i++)
			TRY(copy_blob(l, &m->entries[i].digest));
		return NULL;
	}
	if (depth == 0)
		return err_new(ERR_INVALID, "the archive's image indexes are nested too deeply");
	struct platform host = platform_host();
	TRY(manifest_choose(m, &host, &chosen));
	return copy_target(l, &chosen->digest, chosen->media_type, depth - 1);
}

/* What a descriptor of index.json calls its image. A reference name that is only a tag names nothing by itself. */
static struct err *annotated_name(const struct json_cursor *descriptor, const char **ret)
{
	struct json_cursor annotations;
	const char *full = NULL, *ref = NULL;

	TRY(json_get_object(descriptor, "annotations", JSON_OPTIONAL, &annotations));
	if (annotations.value) {
		TRY(json_get_string(&annotations, "io.containerd.image.name", JSON_OPTIONAL, &full));
		TRY(json_get_string(&annotations, "org.opencontainers.image.ref.name", JSON_OPTIONAL, &ref));
	}
	*ret = !str_empty(full) ? full : !str_empty(ref) && strpbrk(ref, ":/@") ? ref : NULL;
	return NULL;
}

static struct err *load_layout(struct load *l)
{
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_free_ char *data = NULL;
	struct json_cursor manifests;
	size_t size;

	TRY(archive_read(l->archive, "index.json", MANIFEST_SIZE_MAX, &data, &size));
	TRY(json_parse(data, size, "index.json", &doc));
	struct json_cursor root = json_root(doc);
	TRY(json_get_array(&root, "manifests", JSON_REQUIRED, &manifests));
	size_t n = json_array_len(&manifests);
	if (n == 0)
		return err_new(ERR_INVALID, "the archive's index.json lists no images");
	if (n > IMAGES_MAX)
		return err_new(ERR_LIMIT, "the archive has %zu images, at most %d are loaded", n, IMAGES_MAX);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor d = json_at(&manifests, i);
		const char *text = NULL, *type = NULL, *name;
		struct digest digest;
		TRY(json_get_string(&d, "digest", JSON_REQUIRED, &text));
		TRY(json_get_string(&d, "mediaType", JSON_OPTIONAL, &type));
		TRY(digest_parse(text, &digest));
		TRY(annotated_name(&d, &name));
		TRY_WRAP(copy_target(l, &digest, type, NESTED_INDEX_MAX), "cannot load image %s",
			 name ? name : digest.s);
		TRY_WRAP(record(l, &digest, name), "cannot load image %s", name ? name : digest.s);
	}
	return NULL;
}

/* -- docker save ------------------------------------------------------------------------------------------------ */

/* Compressed or not? Looks at the beginning through a file description of its own. */
static struct err *layer_format(const struct archive_file *file, enum compression *ret)
{
	_cleanup_decompress_ struct decompress *d = NULL;
	char head[16];
	size_t n;

	TRY(fd_pread_full(file->fd, head, (size_t)MIN(file->size, (uint64_t)sizeof(head)),
			  (off_t)file->offset, "the archive", &n));
	TRY(decompress_new_memory(head, n, 0, "a layer", &d));
	*ret = decompress_format(d);
	return NULL;
}

static struct err *load_docker_layer(struct load *l, const char *path, const struct digest *diff_id,
				     const struct digest *parent, struct json *descriptors,
				     struct digest *ret_chain)
{
	static const char *const types[] = {[COMPRESSION_NONE] = MEDIA_OCI_LAYER,
					    [COMPRESSION_GZIP] = MEDIA_OCI_LAYER_GZIP,
					    [COMPRESSION_ZSTD] = MEDIA_OCI_LAYER_ZSTD};
	struct archive_file file;
	enum compression format;
	struct digest digest;
	_cleanup_fd_ int fd = -1;

	TRY(archive_find(l->archive, path, &file));
	TRY(layer_format(&file, &format));
	/* An uncompressed layer is its own diff id: when it is there already it is not copied. */
	TRY(archive_store_blob(l->archive, l->store, &file, format == COMPRESSION_NONE ? diff_id : NULL,
			       l->progress, &digest, &fd));
	json_append(descriptors, descriptor_json(types[format], &digest, file.size));
	return layer_add(l->store, fd, types[format], diff_id, parent, l->progress, ret_chain);
}

/* Config and layers into the store, and a manifest around them. */
static struct err *load_docker_image(struct load *l, const char *config_path,
				     const struct json_cursor *layers, struct digest *ret_manifest)
{
	_cleanup_(image_config_release) struct image_config config = {0};
	_cleanup_free_ char *data = NULL;
	size_t size, n = json_array_len(layers);
	struct digest config_digest, chain, parent;

	TRY(archive_read(l->archive, config_path, CONFIG_SIZE_MAX, &data, &size));
	TRY_WRAP(image_config_parse(data, size, &config), "%.256s", config_path);
	if (n != config.n_layers)
		return err_new(ERR_CORRUPT, "manifest.json lists %zu layers, the image's configuration %zu",
			       n, config.n_layers);
	TRY(blob_put(l->store, data, size, &config_digest));
	struct json *descriptors = json_new_array();
	_cleanup_json_ struct json *manifest = json_new_object();
	json_set_i64(manifest, "schemaVersion", 2);
	json_set_string(manifest, "mediaType", MEDIA_OCI_MANIFEST);
	json_set(manifest, "config", descriptor_json(MEDIA_OCI_CONFIG, &config_digest, size));
	json_set(manifest, "layers", descriptors); /* filled below */
	for (size_t i = 0; i < n; i++) {
		struct json_cursor c = json_at(layers, i);
		const char *path = NULL;
		TRY(json_as_string(&c, &path));
		TRY(load_docker_layer(l, path, &config.diff_ids[i], i ? &parent : NULL, descriptors, &chain));
		parent = chain;
	}
	_cleanup_free_ char *text = json_print(manifest, JSON_COMPACT);
	return blob_put(l->store, text, strlen(text), ret_manifest);
}

static struct err *load_docker(struct load *l)
{
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_free_ char *data = NULL;
	size_t size;

	TRY(archive_read(l->archive, "manifest.json", MANIFEST_SIZE_MAX, &data, &size));
	TRY(json_parse(data, size, "manifest.json", &doc));
	struct json_cursor images = json_root(doc);
	if (json_kind(&images) != JSON_ARRAY)
		return err_new(ERR_INVALID, "the archive's manifest.json is not a list of images");
	size_t n = json_array_len(&images);
	if (n == 0 || n > IMAGES_MAX)
		return err_new(n ? ERR_LIMIT : ERR_INVALID, "the archive's manifest.json lists %zu images",
			       n);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor image = json_at(&images, i), layers;
		_cleanup_strv_ char **tags = NULL;
		const char *config = NULL;
		struct digest manifest;
		TRY(json_get_string(&image, "Config", JSON_REQUIRED, &config));
		TRY(json_get_strv(&image, "RepoTags", JSON_OPTIONAL, &tags));
		TRY(json_get_array(&image, "Layers", JSON_OPTIONAL, &layers));
		TRY_WRAP(load_docker_image(l, config, &layers, &manifest), "cannot load image %.256s",
			 tags ? tags[0] : config);
		TRY(record_names(l, &manifest, tags));
	}
	return NULL;
}

/* Archives bring no signatures along. */
static struct err *check_trust(const struct archive_origin *origin, bool layout)
{
	_cleanup_trust_policy_ struct trust_policy *policy = NULL;
	struct trust_subject subject = {.transport = layout ? "oci-archive" : "docker-archive",
					.manifest = ""};

	if (!origin)
		return NULL;
	subject.location = origin->path;
	TRY(trust_policy_load(origin->signature_policy, &policy));
	return trust_check(policy, &subject);
}

static struct err *load(struct store *s, int fd, const struct archive_origin *origin,
			const struct progress *progress, char ***ret_lines)
{
	_cleanup_archive_ struct archive *archive = NULL;
	_cleanup_fd_ int lock = -1;
	struct err *e;

	TRY(store_check_writable(s));
	TRY(store_lock_shared(s, &lock));
	TRY(archive_open(s, fd, progress, &archive));
	struct load l = {.store = s, .archive = archive, .progress = progress};
	bool layout = archive_has(archive, "oci-layout") && archive_has(archive, "index.json");
	/* docker save's output is both. Whoever asks for signatures gets them from neither. */
	TRY(check_trust(origin, layout && !archive_has(archive, "manifest.json")));
	if (layout)
		e = load_layout(&l);
	else if (archive_has(archive, "manifest.json"))
		e = load_docker(&l);
	else if (archive_has(archive, "repositories"))
		e = err_new(ERR_UNSUPPORTED,
			    "the archive was made by docker 1.9 or older, which is not supported");
	else
		e = err_new(ERR_INVALID, "not an image archive: it has neither manifest.json nor index.json "
					 "(to make an image of a root file system, use import)");
	if (e) {
		strv_free(l.lines);
		return e;
	}
	*ret_lines = l.lines;
	return NULL;
}

struct err *archive_load(struct store *s, int fd, const struct archive_origin *origin,
			 const struct progress *progress, char ***ret_lines)
{
	struct err *e = load(s, fd, origin, progress, ret_lines);

	if (e && e->kind == ERR_NO_SPACE)
		store_give_back(s);
	return e;
}
