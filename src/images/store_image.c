/* SPDX-License-Identifier: Apache-2.0 */
/* Images in the database: finding, listing, naming, recording. `havre run` passes through store_find: one
 * indexed query for the name, one for the other names, no blob is read. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "images/layer.h"
#include "images/short_names.h"
#include "layer_index.h"
#include "manifest.h"
#include "store_image.h"

#define IMAGE_COLUMNS "i.id, i.created_ns, i.size, i.os, i.architecture, i.variant, i.layers, i.diff_ids"
#define IMAGE_COLUMN_COUNT 8

void image_free(struct image *i)
{
	if (!i)
		return;
	strv_free(i->names);
	strv_free(i->repo_digests);
	free(i->layers);
	free(i->diff_ids);
	json_unref(i->config);
	free(i);
}

/* -- rows to images
 * ------------------------------------------------------------------------------------------- */

#define SHORTEST_DIGEST (sizeof("sha256:") - 1 + 64)

static struct err *split_digests(const char *text, struct digest **ret, size_t *ret_n)
{
	size_t n = 0;
	_cleanup_free_ struct digest *v = NULL;

	/* What is parsed is at least so long, and the first that is not ends it. */
	if (text && *text)
		v = xnew_array(struct digest, strlen(text) / SHORTEST_DIGEST + 1);
	while (text && *text) {
		char one[DIGEST_STRING_MAX];
		size_t len = strcspn(text, " ");
		if (len >= sizeof(one))
			return err_new(ERR_CORRUPT,
				       "the image store's database has a malformed list of layers");
		memcpy(one, text, len);
		one[len] = '\0';
		TRY(digest_parse(one, &v[n]));
		n++;
		text += len + (text[len] == ' ');
	}
	*ret = TAKE_PTR(v);
	*ret_n = n;
	return NULL;
}

static char *join_digests(const struct digest *v, size_t n)
{
	struct strbuf b = {0};

	for (size_t i = 0; i < n; i++)
		strbuf_printf(&b, "%s%s", i ? " " : "", v[i].s);
	return strbuf_take(&b);
}

static void copy_word(char *dst, size_t size, const char *s)
{
	size_t n = s ? strnlen(s, size - 1) : 0;

	memcpy(dst, s ? s : "", n);
	dst[n] = '\0';
}

/* The lists of layers of an image's row. */
static struct err *read_layers(struct db_stmt *q, struct image *i)
{
	size_t n;

	TRY(split_digests(db_column_text(q, 6), &i->layers, &i->n_layers));
	TRY(split_digests(db_column_text(q, 7), &i->diff_ids, &n));
	if (n != i->n_layers)
		return err_new(ERR_CORRUPT, "image %s has %zu layers and %zu diff ids in the database",
			       i->id.s, i->n_layers, n);
	return NULL;
}

/* Columns IMAGE_COLUMNS, manifest, target, and config when there is one more. */
static struct err *read_image(struct db_stmt *q, bool with_layers, bool with_config, struct image **ret)
{
	_cleanup_image_ struct image *i = xnew(struct image);

	TRY(digest_parse(db_column_text(q, 0), &i->id));
	i->created_ns = db_column_i64(q, 1);
	i->size = (uint64_t)db_column_i64(q, 2);
	copy_word(i->platform.os, sizeof(i->platform.os), db_column_text(q, 3));
	copy_word(i->platform.architecture, sizeof(i->platform.architecture), db_column_text(q, 4));
	copy_word(i->platform.variant, sizeof(i->platform.variant), db_column_text(q, 5));
	if (with_layers)
		TRY(read_layers(q, i));
	TRY(digest_parse(db_column_text(q, IMAGE_COLUMN_COUNT), &i->manifest));
	TRY(digest_parse(db_column_text(q, IMAGE_COLUMN_COUNT + 1), &i->target));
	if (with_config) {
		size_t size;
		const char *text = db_column_blob(q, IMAGE_COLUMN_COUNT + 2, &size);
		TRY(json_parse(text, size, "image config", &i->config));
	}
	*ret = TAKE_PTR(i);
	return NULL;
}

static struct err *read_names(struct store *s, struct image *i)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(s->db, &q, "SELECT name, kind, tagged_ns FROM names WHERE image=? ORDER BY name", "s",
		     i->id.s));
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			return NULL;
		strv_push(db_column_i64(q, 1) == NAME_TAG ? &i->names : &i->repo_digests,
			  db_column_text(q, 0));
		if (db_column_i64(q, 1) == NAME_TAG)
			i->last_tag_ns = MAX(i->last_tag_ns, db_column_i64(q, 2));
	}
}

/* Runs a query that gives images with config; *ret is NULL when it gives none, and a second row makes
 * *ret_more true. */
static struct err *first_image(struct store *s, const char *sql, const char *a, const char *b, const char *c,
			       struct image **ret, bool *ret_more)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	_cleanup_image_ struct image *i = NULL;
	bool row;

	*ret = NULL;
	TRY(db_query(s->db, &q, sql, c ? "sss" : b ? "ss" : "s", a, b, c));
	TRY(db_step(q, &row));
	if (!row)
		return NULL;
	TRY(read_image(q, true, true, &i));
	TRY(db_step(q, &row));
	if (ret_more)
		*ret_more = row;
	TRY(read_names(s, i));
	*ret = TAKE_PTR(i);
	return NULL;
}

/* -- finding
 * -------------------------------------------------------------------------------------------------- */

static struct err *find_by_name(struct store *s, const struct reference *r, struct image **ret)
{
	_cleanup_free_ char *base = xasprintf("%s/%s", r->domain, r->path);
	_cleanup_free_ char *key = digest_is_set(&r->digest) ? xasprintf("%s@%s", base, r->digest.s)
							     : xasprintf("%s:%s", base, r->tag);

	TRY(first_image(s,
			"SELECT " IMAGE_COLUMNS
			", n.manifest, n.target, i.config FROM names n JOIN images i ON i.id=n.image"
			" WHERE n.name=?",
			key, NULL, NULL, ret, NULL));
	if (*ret || !digest_is_set(&r->digest))
		return NULL;
	/* An image that was loaded has no repository digest; its tag in that repository will do. ';' follows
	 * ':'. */
	_cleanup_free_ char *from = xasprintf("%s:", base);
	_cleanup_free_ char *to = xasprintf("%s;", base);
	return first_image(s,
			   "SELECT " IMAGE_COLUMNS
			   ", n.manifest, n.target, i.config FROM names n JOIN images i ON i.id=n.image"
			   " WHERE n.name>=?1 AND n.name<?2 AND (n.target=?3 OR n.manifest=?3) LIMIT 1",
			   from, to, r->digest.s, ret, NULL);
}

static struct err *find_by_id(struct store *s, const char *what, struct image **ret)
{
	const char *hex = str_starts(what, "sha256:") ? what + strlen("sha256:") : what;
	size_t n = strspn(hex, "0123456789abcdef");
	bool more = false;

	*ret = NULL;
	if (n == 0 || n > 64 || hex[n])
		return NULL;
	_cleanup_free_ char *from = xasprintf("sha256:%s", hex);
	_cleanup_free_ char *to = xasprintf("sha256:%sg", hex); /* 'g' follows every hexadecimal digit */
	TRY(first_image(s,
			"SELECT " IMAGE_COLUMNS
			", i.manifest, i.target, i.config FROM images i WHERE i.id>=? AND i.id<? LIMIT 2",
			from, to, NULL, ret, &more));
	if (more) {
		image_free(TAKE_PTR(*ret));
		return err_new(ERR_INVALID, "image id %s is ambiguous: more digits are needed", what);
	}
	return NULL;
}

/* A name without a registry may stand for another one than docker's: what it is pulled as is what it is called here. */
static struct err *find_by_short_name(struct store *s, const char *what, struct image **ret,
				      struct reference *ret_name)
{
	_cleanup_short_name_ struct short_name names = {0};

	if (!short_name_is(what))
		return NULL;
	TRY(short_name_resolve(what, &names));
	STRV_FOREACH (one, names.names) {
		_cleanup_reference_ struct reference r = REFERENCE_NONE;
		TRY(reference_parse(*one, &r));
		TRY(find_by_name(s, &r, ret));
		if (*ret) {
			reference_release(ret_name);
			*ret_name = r;
			r = REFERENCE_NONE;
			return NULL;
		}
	}
	return NULL;
}

struct err *store_find_locked(struct store *s, const char *what, struct image **ret,
			      struct reference *ret_name)
{
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	struct image *i = NULL;
	struct err *bad_name = reference_parse(what, &name);

	if (!bad_name) {
		TRY(find_by_name(s, &name, &i));
		if (!i)
			TRY(find_by_short_name(s, what, &i, &name));
		if (i) {
			if (ret_name) {
				*ret_name = name;
				name = REFERENCE_NONE;
			}
			*ret = i;
			return NULL;
		}
	}
	struct err *e = find_by_id(s, what, &i);
	if (!e && !i && !bad_name)
		e = err_new(ERR_NOT_FOUND, "no such image: %s", what);
	if (!e && !i) /* neither a name nor an id: the grammar says what is wrong with it, unless it looks
			 like an id */
		e = strlen(what) == 64 || str_starts(what, "sha256:")
			    ? err_new(ERR_NOT_FOUND, "no such image: %s", what)
			    : TAKE_PTR(bad_name);
	err_free(bad_name);
	if (!e)
		*ret = i;
	return e;
}

struct err *store_find(struct store *s, const char *what, struct image **ret)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);

	return store_find_locked(locked, what, ret, NULL);
}

/* -- listing
 * -------------------------------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
	const struct image *x = *(struct image *const *)a, *y = *(struct image *const *)b;

	if (x->created_ns != y->created_ns)
		return x->created_ns < y->created_ns ? 1 : -1;
	return strcmp(x->id.s, y->id.s);
}

static void free_images(struct image **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		image_free(v[i]);
	free(v);
}

/* Both queries are in order of image ids: one pass joins them. */
static struct err *merge_names(struct store *s, struct image **v, size_t n)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	size_t i = 0;
	bool row;

	TRY(db_query(s->db, &q, "SELECT image, kind, name FROM names ORDER BY image, name", ""));
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			return NULL;
		const char *image = db_column_text(q, 0);
		while (i < n && strcmp(v[i]->id.s, image) < 0)
			i++;
		if (i == n)
			return NULL;
		if (strcmp(v[i]->id.s, image) == 0)
			strv_push(db_column_i64(q, 1) == NAME_TAG ? &v[i]->names : &v[i]->repo_digests,
				  db_column_text(q, 2));
	}
}

static struct err *list_images(struct store *s, bool with_layers, struct image ***v, size_t *n)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	size_t cap = 0;
	bool row;

	TRY(db_query(s->db, &q, "SELECT " IMAGE_COLUMNS ", i.manifest, i.target FROM images i ORDER BY i.id",
		     ""));
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			return NULL;
		GROW(*v, *n, cap);
		TRY(read_image(q, with_layers, false, &(*v)[*n]));
		(*n)++;
	}
}

static struct err *list_all(struct store *s, bool with_layers, struct image ***ret, size_t *ret_n)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	struct image **v = NULL;
	size_t n = 0;

	/* One read transaction: names and images of the same moment. */
	TRY(db_exec(locked->db, "BEGIN"));
	struct err *e = list_images(s, with_layers, &v, &n);
	if (!e)
		e = merge_names(s, v, n);
	db_rollback(s->db);
	if (e) {
		free_images(v, n);
		return e;
	}
	if (n > 1)
		qsort(v, n, sizeof(struct image *), newest_first);
	*ret = v;
	*ret_n = n;
	return NULL;
}

struct err *store_list(struct store *s, struct image ***ret, size_t *ret_n)
{
	return list_all(s, true, ret, ret_n);
}

struct err *store_list_brief(struct store *s, struct image ***ret, size_t *ret_n)
{
	return list_all(s, false, ret, ret_n);
}

/* -- naming
 * --------------------------------------------------------------------------------------------------- */

static struct err *put_name(struct store *s, const char *name, enum name_kind kind, const struct digest *id,
			    const struct digest *manifest, const struct digest *target, bool *changed)
{
	int64_t n = 0;

	TRY(db_run(s->db, &n,
		   "INSERT INTO names(name, kind, image, manifest, target, tagged_ns) VALUES(?,?,?,?,?,?) ON "
		   "CONFLICT(name) DO UPDATE SET"
		   " image=excluded.image, manifest=excluded.manifest, target=excluded.target,"
		   " tagged_ns=excluded.tagged_ns"
		   " WHERE image<>excluded.image OR manifest<>excluded.manifest OR target<>excluded.target",
		   "sisssi", name, (int64_t)kind, id->s, manifest->s, target->s, timestamp_now_ns()));
	if (n > 0 && changed)
		*changed = true;
	return NULL;
}

static struct err *tag_locked(struct store *s, const struct image *image, const char *name)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(s->db, &q, "SELECT 1 FROM images WHERE id=?", "s", image->id.s));
	TRY(db_step(q, &row));
	if (!row)
		return err_new(ERR_NOT_FOUND, "no such image: %s", image->id.s);
	TRY(put_name(s, name, NAME_TAG, &image->id, &image->manifest, &image->target, NULL));
	return store_index_write(s);
}

struct err *store_tag(struct store *s, const struct image *image, const struct reference *name)
{
	TRY(store_check_writable(s));
	if (!name->tag || digest_is_set(&name->digest))
		return err_new(ERR_INVALID, "cannot tag %s as a digest: a name and a tag are needed",
			       image->id.s);
	_cleanup_free_ char *text = reference_string(name);
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	TRY(db_begin(locked->db));
	struct err *e = tag_locked(s, image, text);
	if (!e)
		e = db_commit(s->db, true);
	if (e) {
		db_rollback(s->db);
	} else {
		_cleanup_free_ char *shown = reference_familiar(name);
		store_tell(s, "tag", image->id.s, shown);
	}
	return e;
}

static struct err *untag_locked(struct store *s, const struct image *image, const char *name)
{
	int64_t n = 0;

	TRY(db_run(s->db, &n, "DELETE FROM names WHERE name=? AND image=?", "ss", name, image->id.s));
	if (n == 0)
		return err_new(ERR_NOT_FOUND, "%s is no name of image %.12s", name, digest_hex(&image->id));
	return store_index_write(s);
}

struct err *store_untag(struct store *s, const struct image *image, const struct reference *name)
{
	_cleanup_free_ char *text = reference_string(name);

	TRY(store_check_writable(s));
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	TRY(db_begin(locked->db));
	struct err *e = untag_locked(s, image, text);
	if (!e)
		e = db_commit(s->db, true);
	if (e) {
		db_rollback(s->db);
	} else {
		_cleanup_free_ char *shown = reference_familiar(name);
		store_tell(s, "untag", image->id.s, shown);
	}
	return e;
}

/* -- recording
 * ------------------------------------------------------------------------------------------------ */

struct recording {
	const struct image_record *r;
	_Bool changed;
	struct manifest *manifest;
	uint64_t manifest_size;
	struct image_config config;
	char *config_text;
	size_t config_size;
	struct digest *chains;
};

static void recording_release(struct recording *p)
{
	manifest_free(p->manifest);
	image_config_release(&p->config);
	free(p->config_text);
	free(p->chains);
}

static struct err *read_documents(struct store *s, struct recording *p)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	TRY(store_blob_read(s, &p->r->manifest, MANIFEST_SIZE_MAX, &text, &size));
	TRY_WRAP(manifest_parse(text, size, NULL, &p->manifest), "manifest %s", p->r->manifest.s);
	p->manifest_size = size;
	if (p->manifest->is_index)
		return err_new(ERR_INVALID, "%s is an index, expected an image manifest", p->r->manifest.s);
	if (!blob_exists(s, &p->r->target, NULL))
		return err_new(ERR_CORRUPT, "index %s is not in image store %s", p->r->target.s, s->root);
	const struct digest *id = &p->manifest->config.digest;
	TRY(store_blob_read(s, id, CONFIG_SIZE_MAX, &p->config_text, &p->config_size));
	TRY_WRAP(image_config_parse(p->config_text, p->config_size, &p->config), "image config %s", id->s);
	if (p->config.n_layers != p->manifest->n_entries)
		return err_new(ERR_INVALID, "manifest %s lists %zu layers, its config %zu", p->r->manifest.s,
			       p->manifest->n_entries, p->config.n_layers);
	p->chains = xnew_array(struct digest, p->config.n_layers);
	for (size_t i = 0; i < p->config.n_layers; i++)
		layer_chain_id(i ? &p->chains[i - 1] : NULL, &p->config.diff_ids[i], &p->chains[i]);
	return NULL;
}

static struct err *put_content(struct store *s, const struct recording *p)
{
	static const char sql[] = "INSERT OR IGNORE INTO content(manifest, blob) VALUES(?,?)";
	const char *manifest = p->r->manifest.s;

	TRY(db_run(s->db, NULL, "INSERT OR IGNORE INTO manifests(digest, media_type, size) VALUES(?,?,?)",
		   "ssi", manifest, p->manifest->media_type, (int64_t)p->manifest_size));
	TRY(db_run(s->db, NULL, sql, "ss", manifest, p->manifest->config.digest.s));
	if (!digest_equal(&p->r->manifest, &p->r->target))
		TRY(db_run(s->db, NULL, sql, "ss", manifest, p->r->target.s));
	for (size_t i = 0; i < p->manifest->n_entries; i++) {
		const struct digest *d = &p->manifest->entries[i].digest;
		if (blob_exists(s, d, NULL))
			TRY(db_run(s->db, NULL, sql, "ss", manifest, d->s));
		else if (!p->r->layer_blobs_optional)
			return err_new(ERR_CORRUPT, "layer %s is not in image store %s", d->s, s->root);
	}
	return NULL;
}

static struct err *total_size(struct store *s, const struct recording *p, uint64_t *ret)
{
	uint64_t total = 0;

	for (size_t i = 0; i < p->config.n_layers; i++) {
		_cleanup_db_stmt_ struct db_stmt *q = NULL;
		bool row;
		TRY(db_query(s->db, &q, "SELECT size FROM layers WHERE chain=?", "s", p->chains[i].s));
		TRY(db_step(q, &row));
		if (!row)
			return err_new(ERR_CORRUPT, "layer %s of the image is not applied in image store %s",
				       p->chains[i].s, s->root);
		total += (uint64_t)db_column_i64(q, 0);
	}
	*ret = total;
	return NULL;
}

static struct err *put_image(struct store *s, struct recording *p)
{
	const struct image_config *c = &p->config;
	const struct digest *id = &p->manifest->config.digest;
	_cleanup_free_ char *layers = join_digests(p->chains, c->n_layers);
	_cleanup_free_ char *diff_ids = join_digests(c->diff_ids, c->n_layers);
	uint64_t size;
	int64_t n;

	TRY(total_size(s, p, &size));
	TRY(db_run(s->db, &n,
		   "INSERT OR IGNORE INTO images(id, manifest, target, top, created_ns, size, os, "
		   "architecture, variant, layers,"
		   " diff_ids, config) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
		   "ssssiisssssb", id->s, p->r->manifest.s, p->r->target.s,
		   c->n_layers ? p->chains[c->n_layers - 1].s : NULL, c->created_ns, (int64_t)size,
		   c->platform.os, c->platform.architecture, c->platform.variant, layers, diff_ids,
		   p->config_text, p->config_size));
	if (n > 0)
		p->changed = true;
	else
		TRY(db_run(s->db, NULL, "UPDATE images SET manifest=?, target=? WHERE id=?", "sss",
			   p->r->manifest.s, p->r->target.s, id->s));
	return NULL;
}

static struct err *record_locked(struct store *s, struct recording *p)
{
	const struct reference *name = p->r->name;
	const struct digest *id = &p->manifest->config.digest;

	TRY(put_content(s, p));
	TRY(put_image(s, p));
	if (name && name->tag && !digest_is_set(&name->digest)) {
		_cleanup_free_ char *text = reference_string(name);
		TRY(put_name(s, text, NAME_TAG, id, &p->r->manifest, &p->r->target, &p->changed));
	}
	if (name && p->r->repo_digest) {
		_cleanup_free_ char *text = xasprintf("%s/%s@%s", name->domain, name->path, p->r->target.s);
		TRY(put_name(s, text, NAME_DIGEST, id, &p->r->manifest, &p->r->target, &p->changed));
	}
	return store_index_write(s);
}

struct err *image_record(struct store *s, const struct image_record *r, struct image **ret, bool *ret_changed)
{
	_cleanup_(recording_release) struct recording p = {.r = r};
	struct image *image = NULL;

	TRY(store_check_writable(s));
	TRY(read_documents(s, &p));
	/* Now, so that the first container need not wait for it, and what is wrong with the layers is said before the image has a name. */
	if (p.config.n_layers)
		TRY(layer_index_make(s, &p.chains[p.config.n_layers - 1]));
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	TRY(db_begin(locked->db));
	struct err *e = record_locked(s, &p);
	if (!e)
		e = db_commit(s->db, true);
	if (e) {
		db_rollback(s->db);
		return e;
	}
	TRY(find_by_id(s, p.manifest->config.digest.s, &image));
	if (!image)
		return err_new(ERR_NOT_FOUND, "image %s was removed by somebody else just now",
			       p.manifest->config.digest.s);
	*ret = image;
	if (ret_changed)
		*ret_changed = p.changed;
	return NULL;
}

struct err *image_record_pushed(struct store *s, const struct image *image, const struct reference *to)
{
	_cleanup_free_ char *text = xasprintf("%s/%s@%s", to->domain, to->path, image->target.s);
	bool changed = false;

	if (s->read_only)
		return NULL;
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	TRY(db_begin(locked->db));
	_cleanup_image_ struct image *now = NULL;
	struct err *e = find_by_id(s, image->id.s, &now);
	/* It may have been removed, or be another one's part by now. */
	if (!e && now && digest_equal(&now->target, &image->target))
		e = put_name(s, text, NAME_DIGEST, &image->id, &image->manifest, &image->target, &changed);
	if (!e && changed)
		e = store_index_write(s);
	if (!e)
		e = db_commit(s->db, true);
	if (e)
		db_rollback(s->db);
	return e;
}
