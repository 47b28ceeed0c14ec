/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of layers and snapshots: the facts that layer.c and snapshot.c keep about their directories. */
#include "base/memory.h"
#include "content.h"

#define LAYERS_MAX 1024 /* more than any kernel mounts; ends a loop in a damaged database */

static struct err *read_layer(struct db_stmt *q, struct layer_row *ret)
{
	struct layer_row row = {0};
	const char *parent = db_column_text(q, 2);

	TRY(digest_parse(db_column_text(q, 0), &row.chain));
	TRY(digest_parse(db_column_text(q, 1), &row.diff));
	if (parent)
		TRY(digest_parse(parent, &row.parent));
	const char *dir = db_column_text(q, 3);
	if (str_empty(dir) || strlen(dir) >= sizeof(row.dir) || strchr(dir, '/') || *dir == '.')
		return err_new(ERR_CORRUPT, "layer %s has no valid directory name in the database",
			       row.chain.s);
	memcpy(row.dir, dir, strlen(dir) + 1);
	row.size = (uint64_t)db_column_i64(q, 4);
	*ret = row;
	return NULL;
}

static struct err *find_locked(struct store *s, const struct digest *chain, struct layer_row *ret)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(s->db, &q, "SELECT chain, diff, parent, dir, size FROM layers WHERE chain=?", "s",
		     chain->s));
	TRY(db_step(q, &row));
	if (!row)
		return err_new(ERR_NOT_FOUND, "layer %s is not in image store %s", chain->s, s->root);
	return read_layer(q, ret);
}

struct err *layer_row_find(struct store *s, const struct digest *chain, struct layer_row *ret)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);

	return find_locked(locked, chain, ret);
}

struct err *layer_row_add(struct store *s, const struct layer_row *row)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);

	TRY(store_check_writable(s));
	return db_run(locked->db, NULL,
		      "INSERT OR IGNORE INTO layers(chain, diff, parent, dir, size) VALUES(?,?,?,?,?)",
		      "ssssi", row->chain.s, row->diff.s, digest_is_set(&row->parent) ? row->parent.s : NULL,
		      row->dir, (int64_t)row->size);
}

struct err *layer_row_chain(struct store *s, const struct digest *top, struct layer_row **ret, size_t *ret_n)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	_cleanup_free_ struct layer_row *rows = NULL;
	size_t n = 0, cap = 0;
	struct digest next = *top;

	while (digest_is_set(&next)) {
		if (n == LAYERS_MAX)
			return err_new(ERR_CORRUPT,
				       "layer %s has more than %d layers below it in the database", top->s,
				       LAYERS_MAX);
		GROW(rows, n, cap);
		TRY(find_locked(locked, &next, &rows[n]));
		next = rows[n++].parent;
	}
	*ret = TAKE_PTR(rows);
	*ret_n = n;
	return NULL;
}

static struct err *check_pinnable(struct store *s, const struct digest *image_id, const struct digest *top)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(s->db, &q, "SELECT 1 FROM images WHERE id=?", "s", image_id->s));
	TRY(db_step(q, &row));
	if (!row)
		return err_new(ERR_NOT_FOUND, "no such image: %s", image_id->s);
	if (top && digest_is_set(top)) {
		struct layer_row layer;
		TRY(find_locked(s, top, &layer));
	}
	return NULL;
}

struct err *snapshot_row_add(struct store *s, const char *key, const struct digest *image_id,
			     const struct digest *top)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);

	TRY(store_check_writable(s));
	TRY(db_begin(s->db));
	struct err *e = check_pinnable(locked, image_id, top);
	if (!e)
		e = db_run(s->db, NULL, "INSERT INTO snapshots(key, image, top) VALUES(?,?,?)", "sss", key,
			   image_id->s, top && digest_is_set(top) ? top->s : NULL);
	if (e && e->kind == ERR_EXISTS)
		e = err_wrap(e, "snapshot %s exists already", key);
	if (!e)
		e = db_commit(s->db, false);
	if (e)
		db_rollback(s->db);
	return e;
}

struct err *snapshot_row_find(struct store *s, const char *key, struct digest *ret_image_id,
			      struct digest *ret_top)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	struct digest image, top = {0};
	bool row;

	TRY(db_query(locked->db, &q, "SELECT image, top FROM snapshots WHERE key=?", "s", key));
	TRY(db_step(q, &row));
	if (!row)
		return err_new(ERR_NOT_FOUND, "no such snapshot: %s", key);
	TRY(digest_parse(db_column_text(q, 0), &image));
	if (db_column_text(q, 1))
		TRY(digest_parse(db_column_text(q, 1), &top));
	*ret_image_id = image;
	*ret_top = top;
	return NULL;
}

struct err *snapshot_row_remove(struct store *s, const char *key)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);

	TRY(store_check_writable(s));
	return db_run(locked->db, NULL, "DELETE FROM snapshots WHERE key=?", "s", key);
}

struct err *snapshot_row_list(struct store *s, char ***ret_keys)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	_cleanup_strv_ char **keys = NULL;
	bool row;

	TRY(db_query(locked->db, &q, "SELECT key FROM snapshots ORDER BY key", ""));
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			break;
		strv_push(&keys, db_column_text(q, 0));
	}
	*ret_keys = TAKE_PTR(keys);
	return NULL;
}
