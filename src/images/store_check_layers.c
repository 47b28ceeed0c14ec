/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: each row's directory must be there (S3); a tar must have its diff id (layer_index.h, I1) and the top of an image its index (I2).
 * A layer that is not as it must be leaves its place and is made again from its blob, if that is here: the row stays, and the next pull
 * finds that the directory is missing. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "layer_add.h"
#include "layer_index.h"
#include "manifest.h"
#include "store_check.h"

struct layer_state {
	struct layer_row row;
	char *damage; /* NULL: in order */
	bool damaged; /* was found to be; its index is then made without a word */
	bool lost;    /* cannot be made again */
};

struct layer_list {
	struct layer_state *v;
	size_t n, cap;
};

static void list_release(struct layer_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].damage);
	free(l->v);
}

/* Those without a parent first, then those above them: so that a layer is met after the one it stands on. */
#define LAYERS_IN_ORDER                                                                                   \
	"WITH RECURSIVE up(chain, depth) AS (SELECT chain, 0 FROM layers WHERE parent IS NULL OR "        \
	"parent NOT IN (SELECT chain FROM layers)"                                                        \
	" UNION SELECT l.chain, depth + 1 FROM layers l JOIN up ON l.parent=up.chain WHERE depth < 1024)" \
	" SELECT chain FROM up ORDER BY depth, chain"

static struct err *load_layers(struct check *c, struct layer_list *l)
{
	_cleanup_strv_ char **chains = NULL;

	TRY(check_query(c, LAYERS_IN_ORDER, &chains));
	STRV_FOREACH (text, chains) {
		struct digest chain;
		struct layer_state state = {0};
		TRY(digest_parse(*text, &chain));
		TRY(layer_row_find(c->store, &chain, &state.row));
		GROW(l->v, l->n, l->cap);
		l->v[l->n++] = state;
	}
	return NULL;
}

static struct layer_state *find(struct layer_list *l, const struct digest *chain)
{
	for (size_t i = 0; i < l->n; i++)
		if (digest_equal(&l->v[i].row.chain, chain))
			return &l->v[i];
	return NULL;
}

/* -- looking ---------------------------------------------------------------------------------------------------------- */

static struct err *hash_tar(struct check *c, const struct layer_row *row, int fd, char **ret_damage)
{
	const size_t chunk = 1 << 20;
	_cleanup_free_ char *buf = xmalloc(chunk);
	_cleanup_(digest_stream_freep) struct digest_stream *hash = digest_stream_new_like(&row->diff);
	struct digest got;

	for (size_t n = chunk; n == chunk;) {
		TRY(check_cancelled(c));
		struct err *e = fd_read_full(fd, buf, chunk, "tar", &n);
		if (e) {
			*ret_damage = err_text(e);
			err_free(e);
			return NULL;
		}
		digest_stream_update(hash, buf, n);
		c->report->bytes_read += n;
	}
	digest_stream_final(hash, &got);
	if (!digest_equal(&got, &row->diff))
		*ret_damage = xstrdup("its tar has another digest");
	return NULL;
}

static struct err *judge(struct check *c, const struct layer_row *row, char **ret_damage)
{
	_cleanup_free_ char *dir = xasprintf("layers/%s", row->dir), *tar = xasprintf("%s/tar", dir);
	struct digest chain;
	struct stat st;

	layer_chain_id(digest_is_set(&row->parent) ? &row->parent : NULL, &row->diff, &chain);
	if (!digest_equal(&chain, &row->chain))
		return err_new(ERR_CORRUPT,
			       "layer %s is recorded with a parent or diff id that is not its own: "
			       "remove %s/store.db and check again",
			       row->chain.s, c->store->root);
	if (fstatat(c->store->root_fd, dir, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)) {
		*ret_damage = xstrdup("is missing");
		return NULL;
	}
	if (!layer_row_is_tar(row))
		return NULL;
	_cleanup_fd_ int fd = openat(c->store->root_fd, tar, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		*ret_damage = xstrdup("its tar is missing");
		return NULL;
	}
	return c->options->quick ? NULL : hash_tar(c, row, fd, ret_damage);
}

/* -- making again ------------------------------------------------------------------------------------------------------- */

/* The blob that this layer was made from, as some image's manifest says. *ret_manifest is one of an image with the layer, if there is any. */
static struct err *blob_of_layer(struct check *c, const struct digest *chain, struct digest *ret_blob,
				 char **ret_manifest)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(c->store);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(locked->db, &q, "SELECT manifest, layers FROM images WHERE instr(layers, ?)", "s",
		     chain->s));
	while (!digest_is_set(ret_blob)) {
		_cleanup_manifest_ struct manifest *m = NULL;
		_cleanup_free_ char *text = NULL;
		_cleanup_strv_ char **layers = NULL;
		struct digest d;
		size_t size;

		TRY(db_step(q, &row));
		if (!row)
			return NULL;
		if (!*ret_manifest)
			*ret_manifest = xstrdup(db_column_text(q, 0));
		TRY(digest_parse(db_column_text(q, 0), &d));
		layers = strv_split(db_column_text(q, 1), " ");
		struct err *e = store_blob_read(locked, &d, MANIFEST_SIZE_MAX, &text, &size);
		if (!e)
			e = manifest_parse(text, size, NULL, &m);
		for (size_t i = 0; !e && i < m->n_entries && layers && layers[i]; i++)
			if (str_eq(layers[i], chain->s) && blob_exists(locked, &m->entries[i].digest, NULL))
				*ret_blob = m->entries[i].digest;
		err_free(e);
	}
	return NULL;
}

/* Out of its place, where nobody takes it for a layer any more. */
static struct err *move_away(struct check *c, const struct layer_row *row)
{
	struct store *s = c->store;
	_cleanup_free_ char *dir = xasprintf("layers/%s", row->dir),
			    *gone = xasprintf("ingest/gone-%s", row->dir);

	TRY(file_remove_tree_at(s->root_fd, gone));
	if (renameat(s->root_fd, dir, s->root_fd, gone) < 0 && errno != ENOENT)
		return err_errno(errno, "cannot move %s/%s away", s->root, dir);
	return file_remove_tree_at(s->root_fd, gone);
}

static struct err *make_layer(struct check *c, const struct layer_row *row, const struct digest *blob)
{
	_cleanup_fd_ int fd = -1;
	struct digest chain;

	TRY(move_away(c, row));
	TRY(store_blob_open(c->store, blob, &fd));
	return layer_add(c->store, fd, NULL, &row->diff, digest_is_set(&row->parent) ? &row->parent : NULL,
			 NULL, &chain);
}

static struct err *repair_layer(struct check *c, struct layer_list *l, struct layer_state *state)
{
	const struct layer_state *parent =
		digest_is_set(&state->row.parent) ? find(l, &state->row.parent) : NULL;
	_cleanup_free_ char *manifest = NULL;
	struct digest blob = {0};

	TRY(blob_of_layer(c, &state->row.chain, &blob, &manifest));
	_cleanup_free_ char *image = manifest ? check_image_name(c, manifest) : NULL;
	char *object = image ? xasprintf("layer %s of %s", state->row.chain.s, image)
			     : xasprintf("layer %s", state->row.chain.s);
	char *damage = TAKE_PTR(state->damage);
	state->damaged = true;
	if (digest_is_set(&blob) && !(parent && parent->lost)) {
		struct err *e = c->options->repair ? make_layer(c, &state->row, &blob) : NULL;
		state->lost = e != NULL;
		check_add_repair(c, e, object, damage, "make it again from its blob");
		return NULL;
	}
	state->lost = true;
	if (c->options->repair)
		TRY(move_away(c, &state->row));
	_cleanup_free_ char *remedy =
		!image ? xstrdup("no image has it any more: remove the containers made from it")
		: str_starts(image, "sha256:")
			? xasprintf("its blob is not here: load the image again, or remove it: havre rmi %s",
				    image)
			: xasprintf("its blob is not here: havre pull %s fetches it", image);
	check_add(c, CHECK_LOST, object, damage, remedy);
	return NULL;
}

/* -- indexes -------------------------------------------------------------------------------------------------------------- */

static bool chain_is_whole(struct layer_list *l, const struct layer_state *top)
{
	const struct layer_state *at = top;

	while (at && !at->lost && digest_is_set(&at->row.parent))
		at = find(l, &at->row.parent);
	return at && !at->lost;
}

static struct err *check_indexes(struct check *c, struct layer_list *l)
{
	_cleanup_strv_ char **tops = NULL;

	TRY(check_query(c,
			"SELECT top FROM images WHERE top IS NOT NULL UNION SELECT top FROM snapshots WHERE "
			"top IS NOT NULL",
			&tops));
	STRV_FOREACH (top, tops) {
		struct digest chain;
		TRY(digest_parse(*top, &chain));
		const struct layer_state *state = find(l, &chain);
		if (!state) {
			check_add(c, CHECK_LOST, xasprintf("layer %s", *top),
				  xstrdup("is not in the database"), "pull its image again");
			continue;
		}
		if (!layer_row_is_tar(&state->row) || !chain_is_whole(l, state))
			continue;
		_cleanup_free_ char *index = xasprintf("layers/%s/index", state->row.dir),
				    *root = xasprintf("layers/%s/root", state->row.dir);
		if (faccessat(c->store->root_fd, index, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		    faccessat(c->store->root_fd, root, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		struct err *e = NULL;
		if (c->options->repair) {
			unlinkat(c->store->root_fd, index, 0); /* it is made together with the other */
			e = layer_index_make(c->store, &chain);
		}
		if (state->damaged && !e)
			continue;
		check_add_repair(c, e, xasprintf("index of layer %s", *top), xstrdup("is missing"),
				 "make it again");
	}
	return NULL;
}

struct err *check_layers(struct check *c)
{
	_cleanup_(list_release) struct layer_list l = {0};

	TRY(load_layers(c, &l));
	for (size_t i = 0; i < l.n; i++) {
		TRY(check_cancelled(c));
		TRY(judge(c, &l.v[i].row, &l.v[i].damage));
		c->report->layers++;
		if (l.v[i].damage)
			TRY(repair_layer(c, &l, &l.v[i]));
	}
	return check_indexes(c, &l);
}
