/* SPDX-License-Identifier: Apache-2.0 */
/* oci: an image layout in a directory (image-spec 1.1.1, image-layout.md). Blobs get their names when they are whole; index.json, which
 * gives them a meaning, is replaced last, under a lock on the directory. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "content.h"
#include "transport.h"

#define REF_NAME "org.opencontainers.image.ref.name"
#define LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"

/* -- index.json ------------------------------------------------------------------------------------------------- */

static struct err *entry_name(const struct json_cursor *entry, const char **ret)
{
	struct json_cursor annotations;

	*ret = NULL;
	TRY(json_get_object(entry, "annotations", JSON_OPTIONAL, &annotations));
	return annotations.value ? json_get_string(&annotations, REF_NAME, JSON_OPTIONAL, ret) : NULL;
}

static struct err *fill_descriptor(const struct json_cursor *entry, struct descriptor *ret)
{
	const char *digest = "", *type = "";
	uint64_t size = 0;

	TRY(json_get_string(entry, "digest", JSON_REQUIRED, &digest));
	TRY(json_get_string(entry, "mediaType", JSON_OPTIONAL, &type));
	TRY(json_get_u64(entry, "size", JSON_OPTIONAL, INT64_MAX, &size));
	*ret = (struct descriptor){.size = size};
	TRY(digest_parse(digest, &ret->digest));
	ret->media_type = xstrdup(type);
	return NULL;
}

struct err *layout_find(const char *index, size_t size, const char *name, int64_t position, const char *what,
			struct descriptor *ret)
{
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_strbuf_ struct strbuf there = {0};
	struct json_cursor manifests;

	TRY_WRAP(json_parse(index, size, "index.json", &doc), "%s", what);
	struct json_cursor root = json_root(doc);
	TRY_WRAP(json_get_array(&root, "manifests", JSON_REQUIRED, &manifests), "%s", what);
	size_t n = json_array_len(&manifests);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor entry = json_at(&manifests, i);
		const char *own;
		TRY(entry_name(&entry, &own));
		if (name ? str_eq(own, name) : n == 1 || (int64_t)i == position)
			return fill_descriptor(&entry, ret);
		if (own && there.len < 300)
			strbuf_printf(&there, "%s%.100s", there.len ? ", " : "", own);
	}
	if (name)
		return err_new(ERR_NOT_FOUND, "no image \"%.200s\" in %s; there is: %s", name, what,
			       there.len ? there.data : "none with a name");
	if (n == 0)
		return err_new(ERR_NOT_FOUND, "%s has no images", what);
	return err_new(ERR_INVALID, "%s has %zu images: name one of %s", what, n,
		       there.len ? there.data : "them");
}

/* The one that has the name loses it (it may be a part of what gets it now); the same digest is described anew. */
static struct err *keep_entries(const struct json_cursor *old, const struct raw_manifest *m, const char *name,
				struct json *own, struct json *out)
{
	bool placed = false;

	for (size_t i = 0, n = json_array_len(old); i < n; i++) {
		struct json_cursor entry = json_at(old, i), annotations;
		const char *digest = "", *is = NULL;
		TRY(json_get_string(&entry, "digest", JSON_REQUIRED, &digest));
		TRY(entry_name(&entry, &is));
		if (str_eq(digest, m->digest.s) && (!is || !name || str_eq(is, name))) {
			if (!placed)
				json_append(out, json_ref(own));
			placed = true;
			continue;
		}
		if (name && str_eq(is, name)) {
			TRY(json_get_object(&entry, "annotations", JSON_REQUIRED, &annotations));
			json_remove(annotations.value, REF_NAME);
		}
		json_append(out, json_ref(entry.value));
	}
	if (!placed)
		json_append(out, json_ref(own));
	return NULL;
}

struct err *layout_add(const char *index, size_t size, const struct raw_manifest *m, const char *name,
		       char **ret)
{
	_cleanup_json_ struct json *doc = NULL, *own = json_new_object();
	struct json_cursor manifests = {0};
	struct json *out = json_new_array();

	if (index) {
		struct err *e = json_parse(index, size, "index.json", &doc);
		if (!e) {
			struct json_cursor root = json_root(doc);
			e = json_get_array(&root, "manifests", JSON_OPTIONAL, &manifests);
		}
		if (e) {
			json_unref(out);
			return e;
		}
	} else {
		doc = json_new_object();
		json_set_i64(doc, "schemaVersion", 2);
	}
	json_set_string(own, "mediaType", m->media_type);
	json_set_string(own, "digest", m->digest.s);
	json_set_u64(own, "size", m->size);
	if (name) {
		struct json *annotations = json_new_object();
		json_set_string(annotations, REF_NAME, name);
		json_set(own, "annotations", annotations);
	}
	struct err *e = keep_entries(&manifests, m, name, own, out);
	if (e) {
		json_unref(out);
		return e;
	}
	json_set(doc, "manifests", out);
	*ret = json_print(doc, JSON_COMPACT);
	return NULL;
}

/* -- blobs ------------------------------------------------------------------------------------------------------- */

/* Where they are: below the layout, or in a directory that several layouts share (skopeo's shared-blob-dir). */
struct blob_place {
	int fd;
	bool shared;
};

/* *ret is below place->fd; it points into `path`. */
static const char *blob_name(const struct blob_place *place, const struct blob_path *path)
{
	return path->s + (place->shared ? strlen("blobs/") : 0);
}

/* The layout's fd is borrowed until blob_place_close; another directory is opened, and made for writing. */
static struct err *blob_place_open(int layout, const char *shared, bool make, struct blob_place *ret)
{
	*ret = (struct blob_place){.fd = layout};
	if (!shared)
		return NULL;
	if (make)
		TRY(file_mkdir_p(shared, 0755));
	ret->fd = open(shared, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->fd < 0)
		return err_errno(errno, "cannot open the directory of blobs %s", shared);
	ret->shared = true;
	return NULL;
}

static void blob_place_close(struct blob_place *place)
{
	if (place->shared)
		fd_close(place->fd);
}

/* -- source ------------------------------------------------------------------------------------------------------ */

struct layout_source {
	struct source source;
	int fd;
	struct blob_place blobs;
};

static struct err *take_file(int dirfd, const char *name, struct spool *to, const struct progress *progress)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return err_errno(errno, "cannot open %s", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_new(ERR_CORRUPT, "%s is not a file", name);
	return spool_take(to, fd, 0, (uint64_t)st.st_size, name, progress);
}

static struct err *layout_manifest(struct source *source, const struct digest *instance,
				   struct raw_manifest *ret)
{
	struct layout_source *s = (struct layout_source *)source;
	_cleanup_free_ char *index = NULL, *media_type = NULL;
	char *data;
	struct descriptor d = {0};
	size_t size;

	if (instance) {
		d.digest = *instance;
	} else {
		TRY_WRAP(file_read_at(s->fd, "index.json", MANIFEST_SIZE_MAX, &index, &size), "%s",
			 source->at->path);
		TRY(layout_find(index, size, source->at->name, source->at->index, source->at->path, &d));
		media_type = d.media_type;
	}
	struct blob_path path = blob_path(&d.digest);
	TRY_WRAP(file_read_at(s->blobs.fd, blob_name(&s->blobs, &path), MANIFEST_SIZE_MAX, &data, &size),
		 "%s", source->at->text);
	return raw_manifest_fill(data, size, media_type, &d.digest, ret);
}

static struct err *layout_blob(struct source *source, const struct descriptor *d, struct spool *to,
			       const struct progress *progress)
{
	struct layout_source *s = (struct layout_source *)source;

	struct blob_path path = blob_path(&d->digest);

	TRY_WRAP(take_file(s->blobs.fd, blob_name(&s->blobs, &path), to, progress), "%s", source->at->text);
	return NULL;
}

static void layout_source_close(struct source *source)
{
	struct layout_source *s = (struct layout_source *)source;

	blob_place_close(&s->blobs);
	fd_close(s->fd);
	free(s);
}

static const struct source_ops layout_source_ops = {layout_manifest, layout_blob, layout_source_close};

struct err *layout_source_open(const struct location *at, const struct transport_options *o,
			       struct source **ret)
{
	_cleanup_fd_ int fd = open(at->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot open image layout %s", at->path);
	if (faccessat(fd, "oci-layout", F_OK, 0) < 0)
		return err_new(ERR_INVALID, "%s is not an image layout: it has no file oci-layout", at->path);
	struct blob_place blobs;
	TRY(blob_place_open(fd, o->shared_blobs, false, &blobs));
	struct layout_source *s = xnew(struct layout_source);
	*s = (struct layout_source){.source = {&layout_source_ops, at}, .fd = TAKE_FD(fd), .blobs = blobs};
	*ret = &s->source;
	return NULL;
}

/* -- destination --------------------------------------------------------------------------------------------------- */

struct layout_destination {
	struct destination destination;
	int fd;
	struct blob_place blobs;
	struct raw_manifest top; /* what index.json will name */
};

static struct err *make_blob_dir(struct layout_destination *d, const struct digest *digest)
{
	const char *algorithm = digest_algorithm(digest);
	_cleanup_free_ char *dir = xasprintf("blobs/%s", algorithm);

	if (mkdirat(d->fd, "blobs", 0755) < 0 && errno != EEXIST)
		return err_errno(errno, "cannot make %s/blobs", d->destination.at->path);
	if (mkdirat(d->blobs.fd, d->blobs.shared ? algorithm : dir, 0755) < 0 && errno != EEXIST)
		return err_errno(errno, "cannot make the directory %s of blobs", algorithm);
	return NULL;
}

/* Of the right size: a file that was cut is written again. */
static struct err *layout_has(struct destination *destination, const struct descriptor *b,
			      const struct source *from, bool *ret)
{
	struct layout_destination *d = (struct layout_destination *)destination;
	struct blob_path path = blob_path(&b->digest);
	struct stat st;

	*ret = fstatat(d->blobs.fd, blob_name(&d->blobs, &path), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && (uint64_t)st.st_size == b->size;
	return NULL;
}

static struct err *layout_put(struct destination *destination, const struct descriptor *b, struct spool *data,
			      const struct progress *progress)
{
	struct layout_destination *d = (struct layout_destination *)destination;
	struct blob_path path = blob_path(&b->digest);

	TRY(make_blob_dir(d, &b->digest));
	TRY_WRAP(spool_place(data, d->blobs.fd, blob_name(&d->blobs, &path), false), "%s",
		 destination->at->path);
	return NULL;
}

static struct err *layout_put_manifest(struct destination *destination, const struct raw_manifest *m,
				       bool instance, const struct reference *tag)
{
	struct layout_destination *d = (struct layout_destination *)destination;

	struct blob_path path = blob_path(&m->digest);
	TRY(make_blob_dir(d, &m->digest));
	TRY(file_replace_at(d->blobs.fd, blob_name(&d->blobs, &path), m->data, m->size, 0644, FILE_DURABLE));
	if (instance)
		return NULL;
	raw_manifest_release(&d->top);
	return raw_manifest_fill(xmemdup(m->data, m->size), m->size, m->media_type, &m->digest, &d->top);
}

static struct err *layout_commit(struct destination *destination)
{
	struct layout_destination *d = (struct layout_destination *)destination;
	_cleanup_free_ char *old = NULL, *index = NULL;
	size_t size = 0;

	while (flock(d->fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno(errno, "cannot lock %s", destination->at->path);
	struct err *e = file_read_at(d->fd, "index.json", MANIFEST_SIZE_MAX, &old, &size);
	if (e && e->kind != ERR_NOT_FOUND)
		return e;
	err_free(e);
	TRY_WRAP(layout_add(old, size, &d->top, destination->at->name, &index), "%s", destination->at->path);
	if (faccessat(d->fd, "oci-layout", F_OK, 0) < 0)
		TRY(file_replace_at(d->fd, "oci-layout", LAYOUT, strlen(LAYOUT), 0644, FILE_DURABLE));
	return file_replace_at(d->fd, "index.json", index, strlen(index), 0644, FILE_DURABLE);
}

static void layout_destination_close(struct destination *destination)
{
	struct layout_destination *d = (struct layout_destination *)destination;

	blob_place_close(&d->blobs);
	fd_close(d->fd);
	raw_manifest_release(&d->top);
	free(destination->spool_dir);
	free(d);
}

static const struct destination_ops layout_destination_ops = {layout_has, layout_put, layout_put_manifest,
							      layout_commit, layout_destination_close};

struct err *layout_destination_open(const struct location *at, const struct transport_options *o,
				    struct destination **ret)
{
	TRY(file_mkdir_p(at->path, 0755));
	_cleanup_fd_ int fd = open(at->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct blob_place blobs;
	if (fd < 0)
		return err_errno(errno, "cannot open %s", at->path);
	TRY(blob_place_open(fd, o->shared_blobs, true, &blobs));
	struct layout_destination *d = xnew(struct layout_destination);
	*d = (struct layout_destination){
		.destination = {.ops = &layout_destination_ops,
				.at = at,
				.takes_oci = true,
				.takes_index = true,
				.takes_foreign = true,
				.compression = WANT_COMPRESSED,
				.spool_dir = xstrdup(o->shared_blobs ? o->shared_blobs : at->path)},
		.fd = TAKE_FD(fd),
		.blobs = blobs};
	*ret = &d->destination;
	return NULL;
}
