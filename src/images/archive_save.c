/* SPDX-License-Identifier: Apache-2.0 */
/* Saving images. The archive is an OCI image layout; with ARCHIVE_DOCKER it has docker's manifest.json besides, whose paths point into
 * blobs/. Blobs are written as they are kept. Everything is in a fixed order with fixed attributes. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "content.h"
#include "images/archive.h"
#include "manifest.h"
#include "tar.h"

#define COPY_SIZE ((size_t)256 << 10)

struct saved_image {
	struct image *image;
	struct manifest *manifest;
	uint64_t manifest_size;
	char **names; /* canonical, sorted */
};

struct save {
	struct store *store;
	struct saved_image *images;
	size_t n;
	struct digest *blobs;
	size_t n_blobs, cap_blobs;
};

static void save_release(struct save *s)
{
	for (size_t i = 0; i < s->n; i++) {
		image_free(s->images[i].image);
		manifest_free(s->images[i].manifest);
		strv_free(s->images[i].names);
	}
	free(s->images);
	free(s->blobs);
}

/* -- what to write ---------------------------------------------------------------------------------------------- */

static struct err *need_blob(struct save *s, const struct digest *d, const char *name)
{
	if (!blob_exists(s->store, d, NULL))
		return err_new(
			ERR_NOT_FOUND,
			"image %s cannot be saved: its content %s is not kept in %s; pull the image again",
			name, d->s, s->store->root);
	GROW(s->blobs, s->n_blobs, s->cap_blobs);
	s->blobs[s->n_blobs++] = *d;
	return NULL;
}

/* The name under which the image was asked for, when that is one of its names and not an id or a digest. */
static char *saved_name(const struct image *image, const char *what)
{
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	struct err *e = reference_parse(what, &ref);

	if (e || !ref.tag || digest_is_set(&ref.digest)) {
		err_free(e);
		return NULL;
	}
	char *canonical = reference_string(&ref);
	if (strv_contains(image->names, canonical))
		return canonical;
	free(canonical);
	return NULL;
}

static struct err *add_image(struct save *s, const char *what)
{
	_cleanup_image_ struct image *image = NULL;
	_cleanup_free_ char *data = NULL;
	size_t size;
	struct saved_image *saved = NULL;

	TRY(store_find(s->store, what, &image));
	char *name = saved_name(image, what);
	for (size_t i = 0; i < s->n; i++)
		if (digest_equal(&s->images[i].image->manifest, &image->manifest))
			saved = &s->images[i];
	if (!saved) {
		saved = &s->images[s->n++];
		saved->image = TAKE_PTR(image);
	}
	if (name && !strv_contains(saved->names, name))
		strv_push(&saved->names, name);
	free(name);
	if (saved->manifest)
		return NULL;
	TRY(need_blob(s, &saved->image->manifest, what));
	TRY(store_blob_read(s->store, &saved->image->manifest, MANIFEST_SIZE_MAX, &data, &size));
	TRY(manifest_parse(data, size, NULL, &saved->manifest));
	saved->manifest_size = size;
	TRY(need_blob(s, &saved->manifest->config.digest, what));
	for (size_t i = 0; i < saved->manifest->n_entries; i++)
		TRY(need_blob(s, &saved->manifest->entries[i].digest, what));
	return NULL;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_images(const void *a, const void *b)
{
	return strcmp(((const struct saved_image *)a)->image->manifest.s,
		      ((const struct saved_image *)b)->image->manifest.s);
}

static int compare_digests(const void *a, const void *b)
{
	return strcmp(((const struct digest *)a)->s, ((const struct digest *)b)->s);
}

static void put_in_order(struct save *s)
{
	size_t kept = 0;

	qsort(s->images, s->n, sizeof(*s->images), compare_images);
	for (size_t i = 0; i < s->n; i++)
		if (s->images[i].names)
			qsort(s->images[i].names, strv_len(s->images[i].names), sizeof(char *),
			      compare_strings);
	qsort(s->blobs, s->n_blobs, sizeof(*s->blobs), compare_digests);
	for (size_t i = 0; i < s->n_blobs; i++)
		if (kept == 0 || !digest_equal(&s->blobs[kept - 1], &s->blobs[i]))
			s->blobs[kept++] = s->blobs[i];
	s->n_blobs = kept;
}

/* -- documents -------------------------------------------------------------------------------------------------- */

static struct json *index_entry(const struct saved_image *i, const char *name, enum archive_format format)
{
	struct json *d = json_new_object();

	json_set_string(d, "mediaType", i->manifest->media_type);
	json_set_string(d, "digest", i->image->manifest.s);
	json_set_u64(d, "size", i->manifest_size);
	if (name) {
		struct json *annotations = json_new_object();
		const char *tag = strrchr(name, ':');
		json_set_string(annotations, "io.containerd.image.name", name);
		/* docker writes the tag, podman and skopeo look for the whole name */
		json_set_string(annotations, "org.opencontainers.image.ref.name",
				format == ARCHIVE_DOCKER && tag ? tag + 1 : name);
		json_set(d, "annotations", annotations);
	}
	return d;
}

static char *make_index(const struct save *s, enum archive_format format)
{
	_cleanup_json_ struct json *index = json_new_object();
	struct json *manifests = json_new_array();

	json_set_i64(index, "schemaVersion", 2);
	json_set_string(index, "mediaType", MEDIA_OCI_INDEX);
	for (size_t i = 0; i < s->n; i++) {
		if (!s->images[i].names)
			json_append(manifests, index_entry(&s->images[i], NULL, format));
		STRV_FOREACH (name, s->images[i].names)
			json_append(manifests, index_entry(&s->images[i], *name, format));
	}
	json_set(index, "manifests", manifests);
	return json_print(index, JSON_COMPACT);
}

static char *make_docker_manifest(const struct save *s)
{
	_cleanup_json_ struct json *list = json_new_array();

	for (size_t i = 0; i < s->n; i++) {
		const struct saved_image *image = &s->images[i];
		struct json *o = json_new_object(), *layers = json_new_array(),
			    *tags = image->names ? json_new_array() : NULL;
		json_set_string(o, "Config", blob_path(&image->manifest->config.digest).s);
		STRV_FOREACH (name, image->names) {
			_cleanup_reference_ struct reference ref = REFERENCE_NONE;
			struct err *e = reference_parse(*name, &ref);
			_cleanup_free_ char *familiar = e ? xstrdup(*name) : reference_familiar(&ref);
			err_free(e);
			json_append(tags, json_new_string(familiar));
		}
		json_set(o, "RepoTags", tags);
		for (size_t j = 0; j < image->manifest->n_entries; j++)
			json_append(layers,
				    json_new_string(blob_path(&image->manifest->entries[j].digest).s));
		json_set(o, "Layers", layers);
		json_append(list, o);
	}
	return json_print(list, JSON_COMPACT);
}

/* -- writing ---------------------------------------------------------------------------------------------------- */

static struct err *write_blob(struct save *s, struct tar_writer *w, const struct digest *d)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);
	_cleanup_(digest_stream_freep) struct digest_stream *hash = digest_stream_new_like(d);
	struct digest got;
	struct stat st;

	TRY(store_blob_open(s->store, d, &fd));
	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot stat blob %s", d->s);
	const struct blob_path path = blob_path(d);
	const struct tar_entry e = {
		.type = TAR_FILE, .path = path.s, .link = "", .mode = 0644, .size = (uint64_t)st.st_size};
	TRY(tar_writer_entry(w, &e));
	for (uint64_t left = e.size; left > 0;) {
		size_t n;
		TRY(fd_read_full(fd, buf, (size_t)MIN(left, (uint64_t)COPY_SIZE), d->s, &n));
		if (n == 0)
			return err_new(ERR_CORRUPT, "blob %s in image store %s became shorter", d->s,
				       s->store->root);
		digest_stream_update(hash, buf, n);
		TRY(tar_writer_data(w, buf, n));
		left -= n;
	}
	digest_stream_final(hash, &got);
	return digest_equal(&got, d) ? NULL : blob_damaged(s->store, d, &got);
}

static struct err *write_directory(struct tar_writer *w, const char *path)
{
	const struct tar_entry e = {.type = TAR_DIRECTORY, .path = path, .link = "", .mode = 0755};

	return tar_writer_entry(w, &e);
}

static struct err *write_archive(struct save *s, struct tar_writer *w, enum archive_format format)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	_cleanup_free_ char *index = make_index(s, format), *manifest = make_docker_manifest(s);
	const char *algorithm = "";

	TRY(write_directory(w, "blobs/"));
	for (size_t i = 0; i < s->n_blobs; i++) {
		if (!str_eq(algorithm, digest_algorithm(&s->blobs[i]))) {
			algorithm = digest_algorithm(&s->blobs[i]);
			_cleanup_free_ char *dir = xasprintf("blobs/%s/", algorithm);
			TRY(write_directory(w, dir));
		}
		TRY(write_blob(s, w, &s->blobs[i]));
	}
	TRY(tar_writer_file(w, "index.json", index, strlen(index)));
	if (format == ARCHIVE_DOCKER)
		TRY(tar_writer_file(w, "manifest.json", manifest, strlen(manifest)));
	TRY(tar_writer_file(w, "oci-layout", layout, strlen(layout)));
	return tar_writer_end(w);
}

struct err *archive_save(struct store *s, int fd, enum archive_format format, char *const *names)
{
	_cleanup_fd_ int lock = -1;
	_cleanup_(save_release) struct save save = {.store = s};
	_cleanup_(fd_sink_release) struct fd_sink sink;

	fd_sink_init(&sink, fd, "the archive");
	if (!strv_len(names))
		return err_new(ERR_INVALID, "no image to save");
	/* Nothing that is listed now may go away meanwhile. A store that cannot be written cannot lose anything either. */
	if (!s->read_only)
		TRY(store_lock_shared(s, &lock));
	save.images = xnew_array(struct saved_image, strv_len(names));
	STRV_FOREACH (name, names)
		TRY(add_image(&save, *name));
	put_in_order(&save);
	struct tar_writer w = {.sink = &sink.sink};
	TRY(write_archive(&save, &w, format));
	TRY(fd_sink_flush(&sink));
	for (size_t i = 0; i < save.n; i++)
		store_tell(s, "save", save.images[i].image->id.s, save.images[i].image->id.s);
	return NULL;
}
