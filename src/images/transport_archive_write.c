/* SPDX-License-Identifier: Apache-2.0 */
/* Writing oci-archive: and docker-archive:. Everything goes into a file without a name beside the archive's place, which gets the name when it is
 * complete. The same image gives the same bytes: blobs come in the manifest's order, one after the other. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/memory.h"
#include "content.h"
#include "tar.h"
#include "transport.h"

#define COPY_SIZE ((size_t)256 << 10)
#define LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"

struct archive_destination {
	struct destination destination;
	bool docker;
	struct spool *file;
	struct fd_sink sink;
	struct tar_writer tar;
	struct digest *written; /* what the archive has */
	size_t n, cap;
	struct raw_manifest top;
	char **tags; /* docker: familiar names */
};

/* As skopeo names them: layers are HEX.tar, the configuration is HEX.json. */
static char *docker_name(const struct descriptor *d)
{
	bool config = strcmp(d->media_type, MEDIA_DOCKER_CONFIG) == 0;

	return xasprintf("%s.%s", digest_hex(&d->digest), config ? "json" : "tar");
}

static bool is_written(const struct archive_destination *d, const struct digest *digest)
{
	for (size_t i = 0; i < d->n; i++)
		if (digest_equal(&d->written[i], digest))
			return true;
	return false;
}

static void remember(struct archive_destination *d, const struct digest *digest)
{
	GROW(d->written, d->n, d->cap);
	d->written[d->n++] = *digest;
}

static struct err *archive_has_blob(struct destination *destination, const struct descriptor *b,
				    const struct source *from, bool *ret)
{
	*ret = is_written((struct archive_destination *)destination, &b->digest);
	return NULL;
}

static struct err *write_directory(struct tar_writer *w, const char *path)
{
	const struct tar_entry e = {.type = TAR_DIRECTORY, .path = path, .link = "", .mode = 0755};

	return tar_writer_entry(w, &e);
}

/* The directories of a layout, each once, before the first blob in them. */
static struct err *begin_blob(struct archive_destination *d, const struct digest *digest)
{
	if (d->docker)
		return NULL;
	if (d->n == 0)
		TRY(write_directory(&d->tar, "blobs/"));
	for (size_t i = 0; i < d->n; i++)
		if (str_eq(digest_algorithm(&d->written[i]), digest_algorithm(digest)))
			return NULL;
	_cleanup_free_ char *dir = xasprintf("blobs/%s/", digest_algorithm(digest));
	return write_directory(&d->tar, dir);
}

static struct err *archive_put_blob(struct destination *destination, const struct descriptor *b,
				    struct spool *data, const struct progress *progress)
{
	struct archive_destination *d = (struct archive_destination *)destination;
	_cleanup_free_ char *name = d->docker ? docker_name(b) : xstrdup(blob_path(&b->digest).s);
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);
	const struct tar_entry e = {
		.type = TAR_FILE, .path = name, .link = "", .mode = 0644, .size = data->size};

	TRY(begin_blob(d, &b->digest));
	TRY(tar_writer_entry(&d->tar, &e));
	for (uint64_t at = 0; at < data->size;) {
		size_t n;
		TRY(fd_pread_full(data->fd, buf, (size_t)MIN((uint64_t)COPY_SIZE, data->size - at), (off_t)at,
				  "a temporary file", &n));
		if (n == 0)
			return err_new(ERR_CORRUPT, "a temporary file became shorter");
		TRY(tar_writer_data(&d->tar, buf, n));
		at += n;
	}
	remember(d, &b->digest);
	return NULL;
}

static struct err *add_tag(struct archive_destination *d, const struct reference *r)
{
	if (!r->domain)
		return NULL;
	_cleanup_free_ char *name = reference_string(r);
	if (!strv_contains(d->tags, name))
		strv_push(&d->tags, name);
	return NULL;
}

static struct err *archive_put_manifest(struct destination *destination, const struct raw_manifest *m,
					bool instance, const struct reference *tag)
{
	struct archive_destination *d = (struct archive_destination *)destination;

	if (tag)
		return add_tag(d, tag);
	if (!d->docker && !is_written(d, &m->digest)) {
		TRY(begin_blob(d, &m->digest));
		TRY(tar_writer_file(&d->tar, blob_path(&m->digest).s, m->data, m->size));
		remember(d, &m->digest);
	}
	if (instance)
		return NULL;
	raw_manifest_release(&d->top);
	return raw_manifest_fill(xmemdup(m->data, m->size), m->size, m->media_type, &m->digest, &d->top);
}

static struct err *write_docker_manifest(struct archive_destination *d)
{
	_cleanup_manifest_ struct manifest *m = NULL;
	_cleanup_json_ struct json *list = json_new_array();
	struct json *o = json_new_object(), *layers = json_new_array();

	json_append(list, o);
	json_set(o, "Config", NULL);
	json_set_strv(o, "RepoTags", d->tags);
	json_set(o, "Layers", layers);
	TRY(raw_manifest_parse(&d->top, &m));
	_cleanup_free_ char *config = docker_name(&m->config);
	json_set_string(o, "Config", config);
	for (size_t i = 0; i < m->n_entries; i++) {
		_cleanup_free_ char *name = docker_name(&m->entries[i]);
		json_append(layers, json_new_string(name));
	}
	_cleanup_free_ char *text = json_print(list, JSON_COMPACT);
	return tar_writer_file(&d->tar, "manifest.json", text, strlen(text));
}

static struct err *write_layout(struct archive_destination *d)
{
	_cleanup_free_ char *index = NULL;

	TRY(layout_add(NULL, 0, &d->top, d->destination.at->name, &index));
	TRY(tar_writer_file(&d->tar, "index.json", index, strlen(index)));
	return tar_writer_file(&d->tar, "oci-layout", LAYOUT, strlen(LAYOUT));
}

struct err *archive_destination_finish(struct destination *destination, int *ret_fd)
{
	struct archive_destination *d = (struct archive_destination *)destination;

	TRY(d->docker ? write_docker_manifest(d) : write_layout(d));
	TRY(tar_writer_end(&d->tar));
	TRY_WRAP(fd_sink_flush(&d->sink), "cannot write archive %s", destination->at->text);
	if (ret_fd)
		*ret_fd = d->file->fd;
	return NULL;
}

/* A pipe or device gets the bytes; a file is replaced. */
static struct err *archive_commit(struct destination *destination)
{
	struct archive_destination *d = (struct archive_destination *)destination;
	const char *path = destination->at->path;
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);
	struct stat st;

	TRY(archive_destination_finish(destination, NULL));
	if (stat(path, &st) < 0 || S_ISREG(st.st_mode)) {
		TRY_WRAP(spool_place(d->file, AT_FDCWD, path, false), "cannot write archive %s", path);
		return NULL;
	}
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot write archive %s", path);
	for (off_t at = 0;;) {
		size_t n;
		TRY(fd_pread_full(d->file->fd, buf, COPY_SIZE, at, "a temporary file", &n));
		if (n == 0)
			return NULL;
		TRY(fd_write_full(fd, buf, n, path));
		at += (off_t)n;
	}
}

static void archive_destination_close(struct destination *destination)
{
	struct archive_destination *d = (struct archive_destination *)destination;

	spool_free(d->file);
	fd_sink_release(&d->sink);
	raw_manifest_release(&d->top);
	strv_free(d->tags);
	free(d->written);
	free(destination->spool_dir);
	free(d);
}

const struct destination_ops archive_destination_ops = {
	archive_has_blob, archive_put_blob, archive_put_manifest, archive_commit, archive_destination_close};

struct err *archive_destination_new(const struct location *at, bool docker, const char *dir,
				    const struct destination_ops *ops, struct destination **ret)
{
	struct spool *file;

	TRY(spool_new(dir, NULL, &file));
	struct archive_destination *d = xnew(struct archive_destination);
	d->destination = (struct destination){.ops = ops ? ops : &archive_destination_ops,
					      .at = at,
					      .takes_oci = !docker,
					      .takes_docker = docker,
					      .takes_index = !docker,
					      .takes_foreign = !docker,
					      .many = docker,
					      .in_order = true,
					      .compression = docker ? WANT_PLAIN : WANT_COMPRESSED,
					      .spool_dir = xstrdup(dir)};
	d->docker = docker;
	d->file = file;
	fd_sink_init(&d->sink, file->fd, "the archive");
	d->tar.sink = &d->sink.sink;
	struct err *e = docker ? add_tag(d, &at->reference) : NULL;
	if (e) {
		archive_destination_close(&d->destination);
		return e;
	}
	*ret = &d->destination;
	return NULL;
}

struct err *archive_destination_open(const struct location *at, const struct transport_options *o,
				     struct destination **ret)
{
	bool docker = at->transport == TRANSPORT_DOCKER_ARCHIVE;
	const char *slash = strrchr(at->path, '/');
	_cleanup_free_ char *dir =
		slash ? xstrndup(at->path, MAX((size_t)(slash - at->path), (size_t)1)) : xstrdup(".");
	struct stat st;
	bool there = stat(at->path, &st) == 0;

	if (there && S_ISDIR(st.st_mode))
		return err_new(ERR_INVALID, "cannot write archive %s: it is a directory", at->path);
	if (docker && there && S_ISREG(st.st_mode) && st.st_size > 0)
		return err_new(
			ERR_EXISTS,
			"%s is there already, and a docker-archive is not changed: remove it or choose "
			"another name",
			at->path);
	if (there && !S_ISREG(st.st_mode)) {
		free(dir);
		dir = transport_temporary_dir();
	}
	return archive_destination_new(at, docker, dir, NULL, ret);
}
