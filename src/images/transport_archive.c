/* SPDX-License-Identifier: Apache-2.0 */
/* Reading oci-archive: (a tar of an image layout) and docker-archive: (docker save). The latter has no manifest of the registry's kind: one is
 * made, as skopeo makes it: layers are what they are uncompressed, under their diff ids. */
#include <fcntl.h>
#include <stdlib.h>

#include "archive_index.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/memory.h"
#include "decompress.h"
#include "transport.h"

#define COPY_SIZE ((size_t)1 << 20)

struct member {
	struct digest digest;
	struct archive_file file;
	struct spool *plain; /* of a layer that is compressed in the archive */
};

struct archive_source {
	struct source source;
	int fd;
	struct archive *archive;
	/* docker-archive only */
	struct member *members;
	size_t n, cap;
	char *manifest;
};

static struct err *oci_manifest(struct archive_source *s, const struct digest *instance,
				struct raw_manifest *ret)
{
	const struct location *at = s->source.at;
	_cleanup_free_ char *index = NULL, *media_type = NULL;
	struct descriptor d = {0};
	char *data;
	size_t size;

	if (instance) {
		d.digest = *instance;
	} else {
		TRY_WRAP(archive_read(s->archive, "index.json", MANIFEST_SIZE_MAX, &index, &size),
			 "%s is not an archive of an image layout", at->path);
		TRY(layout_find(index, size, at->name, at->index, at->path, &d));
		media_type = d.media_type;
	}
	TRY_WRAP(archive_read(s->archive, blob_path(&d.digest).s, MANIFEST_SIZE_MAX, &data, &size), "%s",
		 at->text);
	return raw_manifest_fill(data, size, media_type, &d.digest, ret);
}

static struct err *oci_blob(struct archive_source *s, const struct descriptor *d, struct spool *to,
			    const struct progress *progress)
{
	struct archive_file f;

	TRY_WRAP(archive_find(s->archive, blob_path(&d->digest).s, &f), "%s", s->source.at->text);
	return spool_take(to, f.fd, f.offset, f.size, d->digest.s, progress);
}

/* -- docker-archive ------------------------------------------------------------------------------------------------- */

/* The image that the location names, of manifest.json. */
static struct err *choose(const struct location *at, const struct json_cursor *images, size_t *ret)
{
	_cleanup_free_ char *wanted = at->name ? reference_string(&at->reference) : NULL;
	_cleanup_strbuf_ struct strbuf there = {0};
	size_t n = json_array_len(images);

	if (at->index >= 0 && (size_t)at->index >= n)
		return err_new(ERR_NOT_FOUND, "%s has %zu images, none at position %lld", at->path, n,
			       (long long)at->index);
	if (!wanted && (n == 1 || at->index >= 0)) {
		*ret = n == 1 ? 0 : (size_t)at->index;
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		struct json_cursor image = json_at(images, i);
		_cleanup_strv_ char **tags = NULL;
		TRY(json_get_strv(&image, "RepoTags", JSON_OPTIONAL, &tags));
		STRV_FOREACH (tag, tags) {
			_cleanup_reference_ struct reference r = REFERENCE_NONE;
			struct err *e = reference_parse(*tag, &r);
			_cleanup_free_ char *name = e ? NULL : reference_string(&r);
			err_free(e);
			if (wanted && str_eq(name, wanted)) {
				*ret = i;
				return NULL;
			}
			if (there.len < 300)
				strbuf_printf(&there, "%s%.100s", there.len ? ", " : "", *tag);
		}
	}
	return err_new(wanted ? ERR_NOT_FOUND : ERR_INVALID, "%s has %s; there is: %s", at->path,
		       wanted ? "no image of this name" : "several images: name one",
		       there.len ? there.data : "none with a name");
}

static struct member *add_member(struct archive_source *s)
{
	GROW(s->members, s->n, s->cap);
	s->members[s->n] = (struct member){0};
	return &s->members[s->n++];
}

static struct err *is_compressed(const struct archive_file *f, bool *ret)
{
	_cleanup_decompress_ struct decompress *d = NULL;
	char head[16];
	size_t n;

	TRY(fd_pread_full(f->fd, head, (size_t)MIN(f->size, (uint64_t)sizeof(head)), (off_t)f->offset,
			  "the archive", &n));
	TRY(decompress_new_memory(head, n, 0, "a layer", &d));
	*ret = decompress_format(d) != COMPRESSION_NONE;
	return NULL;
}

/* A compressed layer is unpacked at once: its size is part of the manifest. */
static struct err *unpack(struct archive_source *s, struct member *m)
{
	_cleanup_free_ char *dir = transport_temporary_dir(), *buf = xmalloc(COPY_SIZE);
	_cleanup_spool_ struct spool *packed = NULL;
	_cleanup_decompress_ struct decompress *d = NULL;
	size_t n;

	TRY(spool_new(dir, NULL, &packed));
	TRY(spool_take(packed, m->file.fd, m->file.offset, m->file.size, m->digest.s, NULL));
	TRY(spool_finish(packed, UINT64_MAX, NULL));
	TRY(spool_new(dir, &m->digest, &m->plain));
	TRY(decompress_new(packed->fd, m->digest.s, &d));
	do {
		TRY(decompress_read(d, buf, COPY_SIZE, &n));
		TRY(spool_write(m->plain, buf, n));
	} while (n);
	TRY(spool_finish(m->plain, UINT64_MAX, NULL));
	m->file = (struct archive_file){.fd = m->plain->fd, .size = m->plain->size};
	return NULL;
}

/* As docker save and skopeo order it: its digest depends on that. */
static struct json *docker_descriptor(const char *type, uint64_t size, const struct digest *d)
{
	struct json *o = json_new_object();

	json_set_string(o, "mediaType", type);
	json_set_u64(o, "size", size);
	json_set_string(o, "digest", d->s);
	return o;
}

static struct err *add_layers(struct archive_source *s, const struct image_config *config,
			      const struct json_cursor *paths, struct json *out)
{
	if (json_array_len(paths) != config->n_layers)
		return err_new(ERR_CORRUPT, "%s lists %zu layers, the image's configuration %zu",
			       s->source.at->path, json_array_len(paths), config->n_layers);
	for (size_t i = 0; i < config->n_layers; i++) {
		struct json_cursor c = json_at(paths, i);
		struct member *m = add_member(s);
		const char *path = "";
		bool compressed;
		TRY(json_as_string(&c, &path));
		TRY_WRAP(archive_find(s->archive, path, &m->file), "%s", s->source.at->path);
		m->digest = config->diff_ids[i];
		TRY(is_compressed(&m->file, &compressed));
		if (compressed)
			TRY_WRAP(unpack(s, m), "%s: layer %.256s", s->source.at->path, path);
		json_append(out, docker_descriptor(MEDIA_DOCKER_LAYER_GZIP, m->file.size, &m->digest));
	}
	return NULL;
}

static struct err *make_manifest(struct archive_source *s, const struct json_cursor *image)
{
	_cleanup_json_ struct json *manifest = json_new_object();
	struct json *layers = json_new_array();
	_cleanup_image_config_ struct image_config config = {0};
	_cleanup_free_ char *text = NULL;
	struct json_cursor paths;
	const char *path = "";
	size_t size;

	json_set_i64(manifest, "schemaVersion", 2);
	json_set_string(manifest, "mediaType", MEDIA_DOCKER_MANIFEST);
	json_set(manifest, "config", NULL);
	json_set(manifest, "layers", layers);
	TRY(json_get_string(image, "Config", JSON_REQUIRED, &path));
	TRY(json_get_array(image, "Layers", JSON_OPTIONAL, &paths));
	TRY(archive_read(s->archive, path, CONFIG_SIZE_MAX, &text, &size));
	TRY_WRAP(image_config_parse(text, size, &config), "%s", s->source.at->path);
	struct member *m = add_member(s);
	digest_of(text, size, &m->digest);
	TRY(archive_find(s->archive, path, &m->file));
	json_set(manifest, "config", docker_descriptor(MEDIA_DOCKER_CONFIG, size, &m->digest));
	TRY(add_layers(s, &config, &paths, layers));
	s->manifest = json_print(manifest, JSON_COMPACT);
	return NULL;
}

static struct err *docker_manifest(struct archive_source *s, struct raw_manifest *ret)
{
	const struct location *at = s->source.at;
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size, chosen = 0;

	if (!s->manifest) {
		TRY_WRAP(archive_read(s->archive, "manifest.json", MANIFEST_SIZE_MAX, &text, &size),
			 "%s is not docker's image archive", at->path);
		TRY_WRAP(json_parse(text, size, "manifest.json", &doc), "%s", at->path);
		struct json_cursor images = json_root(doc);
		if (json_kind(&images) != JSON_ARRAY)
			return err_new(ERR_INVALID, "%s: manifest.json is not a list of images", at->path);
		TRY_WRAP(choose(at, &images, &chosen), "%s", at->text);
		struct json_cursor image = json_at(&images, chosen);
		TRY(make_manifest(s, &image));
	}
	size = strlen(s->manifest);
	return raw_manifest_fill(xstrdup(s->manifest), size, MEDIA_DOCKER_MANIFEST, NULL, ret);
}

static struct err *docker_blob(struct archive_source *s, const struct descriptor *d, struct spool *to,
			       const struct progress *progress)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct member *m = &s->members[i];
		if (digest_equal(&m->digest, &d->digest))
			return spool_take(to, m->file.fd, m->file.offset, m->file.size, d->digest.s,
					  progress);
	}
	return err_new(ERR_NOT_FOUND, "%s has no content %s", s->source.at->text, d->digest.s);
}

/* -- both ----------------------------------------------------------------------------------------------------------- */

static struct err *archive_manifest(struct source *source, const struct digest *instance,
				    struct raw_manifest *ret)
{
	struct archive_source *s = (struct archive_source *)source;

	if (source->at->transport == TRANSPORT_OCI_ARCHIVE)
		return oci_manifest(s, instance, ret);
	if (instance)
		return err_new(ERR_NOT_FOUND, "%s has no manifest %s", source->at->text, instance->s);
	return docker_manifest(s, ret);
}

static struct err *archive_blob(struct source *source, const struct descriptor *d, struct spool *to,
				const struct progress *progress)
{
	struct archive_source *s = (struct archive_source *)source;

	return source->at->transport == TRANSPORT_OCI_ARCHIVE ? oci_blob(s, d, to, progress)
							      : docker_blob(s, d, to, progress);
}

static void archive_source_close(struct source *source)
{
	struct archive_source *s = (struct archive_source *)source;

	archive_close(s->archive);
	fd_close(s->fd);
	for (size_t i = 0; i < s->n; i++)
		spool_free(s->members[i].plain);
	free(s->members);
	free(s->manifest);
	free(s);
}

static const struct source_ops archive_source_ops = {archive_manifest, archive_blob, archive_source_close};

struct err *archive_source_from_fd(const struct location *at, int fd, const struct progress *progress,
				   struct source **ret)
{
	struct archive_source *s = xnew(struct archive_source);

	*s = (struct archive_source){.source = {&archive_source_ops, at}, .fd = fd};
	struct err *e = archive_open(NULL, fd, progress, &s->archive);
	if (e) {
		archive_source_close(&s->source);
		return err_wrap(e, "%s", at->text);
	}
	*ret = &s->source;
	return NULL;
}

struct err *archive_source_open(const struct location *at, const struct transport_options *o,
				struct source **ret)
{
	int fd = open(at->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot open archive %s", at->path);
	return archive_source_from_fd(at, fd, o->progress, ret);
}

static struct err *collect_names(struct archive_source *s, char ***ret)
{
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size;

	TRY(archive_read(s->archive, "manifest.json", MANIFEST_SIZE_MAX, &text, &size));
	TRY(json_parse(text, size, "manifest.json", &doc));
	struct json_cursor images = json_root(doc);
	if (json_kind(&images) != JSON_ARRAY)
		return err_new(ERR_INVALID, "manifest.json is not a list of images");
	for (size_t i = 0, n = json_array_len(&images); i < n; i++) {
		struct json_cursor image = json_at(&images, i);
		_cleanup_strv_ char **tags = NULL;
		TRY(json_get_strv(&image, "RepoTags", JSON_OPTIONAL, &tags));
		STRV_FOREACH (tag, tags)
			strv_push(ret, *tag);
	}
	return NULL;
}

struct err *archive_names(const char *location, const struct transport_options *o, char ***ret)
{
	_cleanup_location_ struct location at = {0};
	_cleanup_source_ struct source *source = NULL;

	TRY(location_parse(location, &at));
	TRY(source_open(&at, o, &source));
	TRY_WRAP(collect_names((struct archive_source *)source, ret), "%s", location);
	return NULL;
}
