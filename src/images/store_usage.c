/* SPDX-License-Identifier: Apache-2.0 */
#include "images/usage.h"

#include <stdlib.h>

#include "base/memory.h"
#include "content.h"

struct layer_use {
	char *chain; /* "sha256:…" */
	uint64_t size;
	size_t users;
	bool active;
};

struct uses {
	struct layer_use *v;
	size_t n, cap;
};

static void uses_release(struct uses *u)
{
	for (size_t i = 0; i < u->n; i++)
		free(u->v[i].chain);
	free(u->v);
}

/* In the order of strcmp: the primary key's. */
static struct err *load(struct store *s, struct uses *u)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(locked->db, &q, "SELECT chain, size FROM layers ORDER BY chain", ""));
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			return NULL;
		GROW(u->v, u->n, u->cap);
		u->v[u->n++] = (struct layer_use){.chain = xstrdup(db_column_text(q, 0)),
						  .size = (uint64_t)db_column_i64(q, 1)};
	}
}

static int by_chain(const void *key, const void *element)
{
	return strcmp(key, ((const struct layer_use *)element)->chain);
}

static struct layer_use *find(const struct uses *u, const struct digest *chain)
{
	return u->n ? bsearch(chain->s, u->v, u->n, sizeof(*u->v), by_chain) : NULL;
}

struct err *store_usage(struct store *s, struct image *const *images, size_t n, const bool *active,
			struct image_usage *ret_each, uint64_t *ret_total, uint64_t *ret_reclaimable)
{
	_cleanup_(uses_release) struct uses u = {0};

	_cleanup_free_ struct layer_use **found = NULL;
	size_t total = 0, at = 0;

	TRY(load(s, &u));
	for (size_t i = 0; i < n; i++)
		total += images[i]->n_layers;
	found = xnew_array(struct layer_use *, total + 1); /* of all images' layers, in order */
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < images[i]->n_layers; k++) {
			struct layer_use *l = find(&u, &images[i]->layers[k]);
			found[at++] = l;
			if (!l)
				continue;
			l->users++;
			l->active |= active[i];
		}
	at = 0;
	for (size_t i = 0; i < n; i++) {
		ret_each[i] = (struct image_usage){0};
		for (size_t k = 0; k < images[i]->n_layers; k++) {
			const struct layer_use *l = found[at++];
			if (l)
				*(l->users > 1 ? &ret_each[i].shared : &ret_each[i].unique) += l->size;
		}
	}
	*ret_total = *ret_reclaimable = 0;
	for (size_t i = 0; i < u.n; i++) {
		if (u.v[i].users)
			*ret_total += u.v[i].size;
		if (u.v[i].users && !u.v[i].active)
			*ret_reclaimable += u.v[i].size;
	}
	return NULL;
}

struct err *store_layer_size(struct store *s, const struct digest *chain, uint64_t *ret)
{
	struct layer_row row;

	TRY(layer_row_find(s, chain, &row));
	*ret = row.size;
	return NULL;
}
