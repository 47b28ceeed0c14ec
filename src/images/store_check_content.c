/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: each that a row names must be there and have its digest (S1). A damaged one is removed, so that the next pull fetches it; what can
 * be made here is: an image's config is in its row too, an uncompressed layer of the erofs driver is its tar. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "manifest.h"
#include "store_check.h"

#define SIZE_UNKNOWN UINT64_MAX

struct wanted {
	struct digest digest;
	uint64_t size;
	char *manifest; /* of an image that needs it */
};

struct wanted_list {
	struct wanted *v;
	size_t n, cap;
};

static void wanted_release(struct wanted_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].manifest);
	free(l->v);
}

static int by_digest(const void *a, const void *b)
{
	return strcmp(((const struct wanted *)a)->digest.s, ((const struct wanted *)b)->digest.s);
}

static struct err *load_wanted(struct check *c, struct wanted_list *l)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(c->store);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(locked->db, &q,
		     "SELECT digest, digest, size FROM manifests UNION ALL SELECT blob, min(manifest), -1 "
		     "FROM content GROUP BY blob",
		     ""));
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			break;
		struct wanted w = {.size = SIZE_UNKNOWN};
		TRY(digest_parse(db_column_text(q, 0), &w.digest));
		if (db_column_i64(q, 2) >= 0)
			w.size = (uint64_t)db_column_i64(q, 2);
		w.manifest = xstrdup(db_column_text(q, 1));
		GROW(l->v, l->n, l->cap);
		l->v[l->n++] = w;
	}
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_digest);
	return NULL;
}

static void set_size(struct wanted_list *l, const struct descriptor *d)
{
	struct wanted key = {.digest = d->digest};
	struct wanted *w = l->n ? bsearch(&key, l->v, l->n, sizeof(key), by_digest) : NULL;

	if (w)
		w->size = d->size;
}

/* Sizes are in the manifests; one that is damaged tells nothing, and is met later. */
static void load_sizes(struct check *c, struct wanted_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		_cleanup_manifest_ struct manifest *m = NULL;
		_cleanup_free_ char *text = NULL;
		size_t size;

		if (!str_eq(l->v[i].digest.s, l->v[i].manifest))
			continue;
		struct err *e = store_blob_read(c->store, &l->v[i].digest, MANIFEST_SIZE_MAX, &text, &size);
		if (!e)
			e = manifest_parse(text, size, NULL, &m);
		if (!e && !m->is_index) {
			set_size(l, &m->config);
			for (size_t k = 0; k < m->n_entries; k++)
				set_size(l, &m->entries[k]);
		}
		err_free(e);
	}
}

/* *ret_damage: what is wrong, or NULL. */
static struct err *judge(struct check *c, const struct wanted *w, char **ret_damage)
{
	uint64_t size = 0;

	*ret_damage = NULL;
	if (!blob_exists(c->store, &w->digest, &size)) {
		*ret_damage = xstrdup("is missing");
		return NULL;
	}
	if (w->size != SIZE_UNKNOWN && size != w->size) {
		*ret_damage = xasprintf("has %" PRIu64 " bytes instead of %" PRIu64, size, w->size);
		return NULL;
	}
	if (c->options->quick)
		return NULL;
	struct err *e = blob_verify(c->store, &w->digest, c->options->cancelled, c->options->user);
	if (e && e->kind == ERR_CANCELLED)
		return e;
	c->report->bytes_read += size;
	if (e && e->kind == ERR_CORRUPT)
		*ret_damage = xstrdup("its bytes have another digest");
	else if (e) /* the disk says EIO: as good as damaged */
		*ret_damage = err_text(e);
	err_free(e);
	return NULL;
}

/* -- blobs that can be made here -------------------------------------------------------------------------------------- */

static struct err *config_of_row(struct check *c, const struct digest *d, char **ret, size_t *ret_size)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(c->store);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	*ret = NULL;
	TRY(db_query(locked->db, &q, "SELECT config FROM images WHERE id=?", "s", d->s));
	TRY(db_step(q, &row));
	if (row) {
		const void *data = db_column_blob(q, 0, ret_size);
		*ret = xmemdup(data, *ret_size);
	}
	return NULL;
}

static struct err *tar_of_layer(struct check *c, const struct digest *d, int *ret_fd)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(c->store);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(locked->db, &q, "SELECT dir FROM layers WHERE diff=? AND dir GLOB '*.tar' LIMIT 1", "s",
		     d->s));
	TRY(db_step(q, &row));
	if (!row)
		return NULL;
	_cleanup_free_ char *path = xasprintf("layers/%s/tar", db_column_text(q, 0));
	*ret_fd = openat(locked->root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return NULL;
}

static struct err *write_again(struct check *c, const struct digest *d, const void *data, size_t size, int fd)
{
	const size_t chunk = 1 << 20;
	_cleanup_free_ char *buf = fd >= 0 ? xmalloc(chunk) : NULL;
	_cleanup_blob_writer_ struct blob_writer *w = NULL;

	TRY(blob_writer_begin(c->store, d, NULL, &w));
	if (!w)
		return NULL;
	TRY(blob_writer_restart(w));
	if (fd < 0)
		TRY(blob_writer_write(w, data, size));
	for (size_t n = chunk; fd >= 0 && n == chunk;) {
		TRY(fd_read_full(fd, buf, chunk, d->s, &n));
		TRY(blob_writer_write(w, buf, n));
	}
	return blob_writer_commit(TAKE_PTR(w), SIZE_UNKNOWN, NULL, NULL);
}

/* *ret_can: it is here in another place too; with repair it was written again. */
static struct err *make_blob(struct check *c, const struct digest *d, bool *ret_can)
{
	_cleanup_free_ char *config = NULL;
	_cleanup_fd_ int fd = -1;
	size_t size = 0;

	TRY(config_of_row(c, d, &config, &size));
	if (!config)
		TRY(tar_of_layer(c, d, &fd));
	*ret_can = config || fd >= 0;
	return *ret_can && c->options->repair ? write_again(c, d, config, size, fd) : NULL;
}

/* -- all of them ------------------------------------------------------------------------------------------------------ */

static struct err *check_blob(struct check *c, const struct wanted *w)
{
	char *damage;
	bool can = false;

	TRY(judge(c, w, &damage));
	c->report->blobs++;
	if (!damage)
		return NULL;
	_cleanup_free_ char *image = check_image_name(c, w->manifest);
	char *object = xasprintf("blob %s of %s", w->digest.s, image);
	struct err *e = c->options->repair ? blob_discard(c->store, &w->digest) : NULL;
	if (!e)
		e = make_blob(c, &w->digest, &can);
	if (can && !e) {
		check_add_repair(c, NULL, object, damage, "write it again from what else is here");
		return NULL;
	}
	err_free(e);
	/* An image without a name came from an archive, or was left by a newer one of its name. */
	_cleanup_free_ char *remedy =
		xasprintf("%s%s%s", c->options->repair ? "" : "--repair removes it; ",
			  str_starts(image, "sha256:") ? "load the image again, or remove it: havre rmi "
						       : "fetch it with: havre pull ",
			  image);
	check_add(c, CHECK_LOST, object, damage, remedy);
	return NULL;
}

struct err *check_blobs(struct check *c)
{
	_cleanup_(wanted_release) struct wanted_list l = {0};

	TRY(load_wanted(c, &l));
	load_sizes(c, &l);
	for (size_t i = 0; i < l.n; i++) {
		TRY(check_cancelled(c));
		TRY(check_blob(c, &l.v[i]));
	}
	return NULL;
}
