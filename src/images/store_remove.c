/* SPDX-License-Identifier: Apache-2.0 */
/* Removing names and images, and collecting garbage (S4, C3): first rows in a transaction, then the files
 * that no row needs. Removing never waits for a pull: when somebody is adding content, the names go and the
 * garbage stays for the next collection. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "images/usage.h"
#include "store_image.h"

/* -- garbage
 * -------------------------------------------------------------------------------------------------- */

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The first column of a query as a sorted vector. */
static struct err *query_strings(struct store *s, const char *sql, char ***ret)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	_cleanup_strv_ char **v = NULL;
	size_t n = 0, cap = 0;
	bool row;

	TRY(db_query(s->db, &q, sql, ""));
	while (true) {
		TRY(db_step(q, &row));
		if (n + 1 >= cap) {
			cap = cap ? cap * 2 : 64;
			v = xrealloc(v, cap, sizeof(*v));
		}
		v[n] = NULL;
		if (!row)
			break;
		v[n++] = xstrdup(db_column_text(q, 0));
	}
	qsort(v, n, sizeof(*v), compare_strings);
	*ret = TAKE_PTR(v);
	return NULL;
}

struct string_set {
	char **v;
	size_t n;
};

static bool set_has(const struct string_set *set, const char *s)
{
	return set->n && bsearch(&s, set->v, set->n, sizeof(*set->v), compare_strings);
}

/* Calls `visit` for each entry of ROOT/NAME; a directory that is absent has none. */
struct sweep {
	struct store *store;
	const char *dir; /* below root */
	struct string_set keep;
	int64_t kept_s;
	uint64_t *freed;
};

static struct err *sweep_directory(struct sweep *p,
				   struct err *(*visit)(struct sweep *p, int dirfd, const char *name))
{
	int fd = openat(p->store->root_fd, p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd < 0)
		return err_errno(errno, "cannot open %s/%s", p->store->root, p->dir);
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return err_errno(errno, "cannot list %s/%s", p->store->root, p->dir);
	}
	struct err *e = NULL;
	for (struct dirent *d; !e && (d = readdir(dir));)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			e = visit(p, dirfd(dir), d->d_name);
	closedir(dir);
	return e;
}

static struct err *sweep_blob(struct sweep *p, int dirfd, const char *name)
{
	_cleanup_free_ char *digest = xasprintf("%s:%s", strrchr(p->dir, '/') + 1, name);
	struct stat st;

	if (set_has(&p->keep, digest) || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	if (S_ISDIR(st.st_mode)) /* not ours */
		return NULL;
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return err_errno(errno, "cannot remove %s/%s/%s", p->store->root, p->dir, name);
	*p->freed += (uint64_t)st.st_blocks * 512;
	return NULL;
}

/* A directory under a layer's name is complete (S3): it leaves that name before its files go. */
static struct err *sweep_layer(struct sweep *p, int dirfd, const char *name)
{
	if (set_has(&p->keep, name))
		return NULL;
	_cleanup_free_ char *gone = xasprintf("ingest/gone-%s", name);
	TRY(file_remove_tree_at(p->store->root_fd, gone));
	if (renameat(dirfd, name, p->store->root_fd, gone) < 0)
		return errno == ENOENT
			       ? NULL
			       : err_errno(errno, "cannot remove %s/%s/%s", p->store->root, p->dir, name);
	return file_remove_tree_at(p->store->root_fd, gone);
}

static struct err *sweep_ingest(struct sweep *p, int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	if (p->kept_s > 0 && S_ISREG(st.st_mode) && ingest_can_be_continued(name) &&
	    time(NULL) - st.st_mtime < p->kept_s)
		return NULL;
	_cleanup_fd_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return NULL; /* in spite of C1 somebody is at it */
	*p->freed += (uint64_t)st.st_blocks * 512;
	return file_remove_tree_at(dirfd, name);
}

/* Everything that an image's top or a snapshot's top stands on. */
#define LIVE_LAYERS                                                                   \
	"WITH RECURSIVE live(chain) AS (SELECT top FROM images WHERE top IS NOT NULL" \
	" UNION SELECT top FROM snapshots WHERE top IS NOT NULL"                      \
	" UNION SELECT l.parent FROM layers l JOIN live ON l.chain=live.chain WHERE l.parent IS NOT NULL) "

static struct err *delete_rows(struct store *s, char ***lines, uint64_t *freed)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_exec(s->db, "DELETE FROM manifests WHERE digest NOT IN (SELECT manifest FROM names)"
			   " AND digest NOT IN (SELECT manifest FROM images);"
			   "DELETE FROM content WHERE manifest NOT IN (SELECT digest FROM manifests)"));
	TRY(db_query(s->db, &q, LIVE_LAYERS "SELECT chain, size FROM layers WHERE chain NOT IN live", ""));
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			break;
		if (lines)
			strv_push_take(lines, xasprintf("Deleted: %s", db_column_text(q, 0)));
		*freed += (uint64_t)db_column_i64(q, 1);
	}
	return db_exec(s->db, LIVE_LAYERS "DELETE FROM layers WHERE chain NOT IN live");
}

static struct err *delete_files(struct store *s, int64_t kept_ingest_s, uint64_t *freed)
{
	_cleanup_strv_ char **blobs = NULL, **layers = NULL;

	TRY(query_strings(s, "SELECT digest FROM manifests UNION SELECT blob FROM content", &blobs));
	TRY(query_strings(s, "SELECT dir FROM layers", &layers));
	uint64_t ignored = 0; /* layers were counted by their rows */
	struct sweep p = {
		.store = s, .dir = "blobs/sha256", .keep = {blobs, strv_len(blobs)}, .freed = freed};
	TRY(sweep_directory(&p, sweep_blob));
	p.dir = "blobs/sha512";
	TRY(sweep_directory(&p, sweep_blob));
	p = (struct sweep){
		.store = s, .dir = "layers", .keep = {layers, strv_len(layers)}, .freed = &ignored};
	TRY(sweep_directory(&p, sweep_layer));
	p = (struct sweep){.store = s, .dir = "ingest", .kept_s = kept_ingest_s, .freed = freed};
	return sweep_directory(&p, sweep_ingest);
}

struct err *store_collect_garbage(struct store *s, int64_t kept_ingest_s, char ***lines,
				  uint64_t *ret_freed_bytes)
{
	uint64_t freed = 0;

	TRY(db_begin(s->db));
	struct err *e = delete_rows(s, lines, &freed);
	if (!e)
		e = db_commit(s->db, true);
	if (e)
		db_rollback(s->db);
	if (e && e->kind == ERR_NO_SPACE) {
		/* No room to write that rows are gone: first the files that have none. */
		err_free(e);
		freed = 0;
		e = NULL;
	}
	TRY(e);
	TRY(delete_files(s, kept_ingest_s, &freed));
	*ret_freed_bytes = freed;
	return NULL;
}

void store_give_back(struct store *s)
{
	_cleanup_fd_ int lock = -1;
	uint64_t freed;

	struct err *e = store_lock_exclusive(s, true, &lock);
	if (!e) {
		_cleanup_store_db_ struct store *locked = store_db_lock(s);
		e = store_collect_garbage(locked, 0, NULL, &freed);
	}
	err_free(e); /* the reason to report is the full disk */
}

static struct err *note_directory(struct sweep *p, int dirfd, const char *name)
{
	(void)dirfd;
	if (!ingest_can_be_continued(name) || str_starts(name, "layer-") || str_starts(name, "gone-"))
		(*p->freed)++;
	return NULL;
}

void store_sweep_ingest(struct store *s)
{
	_cleanup_fd_ int lock = -1;
	uint64_t n = 0;
	struct sweep p = {.store = s, .dir = "ingest", .kept_s = STORE_KEPT_INGEST_S, .freed = &n};

	struct err *e = sweep_directory(&p, note_directory);
	if (!e && n > 0)
		e = store_lock_exclusive(s, true, &lock);
	if (!e && n > 0)
		e = sweep_directory(&p, sweep_ingest);
	err_free(e);
}

struct err *store_collect(struct store *s, uint64_t *ret_freed_bytes)
{
	_cleanup_fd_ int lock = -1;

	struct err *e = store_lock_exclusive(s, true, &lock);
	if (e && e->kind == ERR_BUSY)
		return err_wrap(e, "an image is being added to %s: collect again when that is done", s->root);
	TRY(e);
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	TRY(store_collect_garbage(locked, 0, NULL, ret_freed_bytes));
	return store_index_write(s);
}

/* -- removing
 * ------------------------------------------------------------------------------------------------- */

static char *familiar(const char *name)
{
	struct reference r;
	struct err *e = reference_parse(name, &r);

	if (e) {
		err_free(e);
		return xstrdup(name);
	}
	char *s = reference_familiar(&r);
	reference_release(&r);
	return s;
}

static struct err *delete_name(struct store *s, const char *name, char ***lines)
{
	_cleanup_free_ char *shown = familiar(name);

	int64_t n = 0;
	TRY(db_run(s->db, &n, "DELETE FROM names WHERE name=?", "s", name));
	if (n == 0)
		return err_new(ERR_NOT_FOUND, "no such image: %s", shown);
	strv_push_take(lines, xasprintf("Untagged: %s", shown));
	return NULL;
}

/* "domain/path" of a name that is "domain/path:tag" or "domain/path@digest". */
static size_t repository_length(const char *name)
{
	const char *at = strchr(name, '@');

	if (at)
		return (size_t)(at - name);
	const char *colon = strrchr(name, ':');
	return colon ? (size_t)(colon - name) : strlen(name);
}

static bool same_repository(const char *a, const char *b)
{
	size_t n = repository_length(a);

	return n == repository_length(b) && memcmp(a, b, n) == 0;
}

/* Docker's idea of an image that an id may stand for: one tag at most, and digests of that tag's repository
 * only. */
static bool has_one_reference(const struct image *i)
{
	if (strv_len(i->names) > 1)
		return false;
	const char *first = i->names && i->names[0] ? i->names[0]
			    : i->repo_digests       ? i->repo_digests[0]
						    : NULL;
	STRV_FOREACH (d, i->repo_digests)
		if (!same_repository(first, *d))
			return false;
	return true;
}

static struct err *find_user(struct store *s, const struct image *i, char **ret_key)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row;

	TRY(db_query(s->db, &q, "SELECT key FROM snapshots WHERE image=? LIMIT 1", "s", i->id.s));
	TRY(db_step(q, &row));
	*ret_key = row ? xstrdup(db_column_text(q, 0)) : NULL;
	return NULL;
}

/* "container 0123456789ab is using …": whoever has the snapshot. */
static char *user_shown(const char *key)
{
	return str_starts(key, "image-") ? xstrdup("a mount (see image unmount)")
					 : xasprintf("container %.12s", key);
}

/* Removes the image's row once no name is left. */
static struct err *delete_image(struct store *s, const struct image *i, char ***lines)
{
	TRY(db_run(s->db, NULL, "DELETE FROM images WHERE id=?", "s", i->id.s));
	strv_push_take(lines, xasprintf("Deleted: %s", i->id.s));
	return NULL;
}

static struct err *remove_by_name(struct store *s, const struct image *i, const struct reference *name,
				  bool force, char ***lines)
{
	_cleanup_free_ char *user = NULL;
	_cleanup_free_ char *repository = xasprintf("%s/%s", name->domain, name->path);
	_cleanup_free_ char *text = digest_is_set(&name->digest)
					    ? xasprintf("%s@%s", repository, name->digest.s)
					    : xasprintf("%s:%s", repository, name->tag);
	bool is_last = !digest_is_set(&name->digest) ? strv_len(i->names) == 1 : strv_len(i->names) == 0;

	TRY(find_user(s, i, &user));
	if (is_last && user && !force) {
		_cleanup_free_ char *shown = reference_familiar(name), *who = user_shown(user);
		return err_new(ERR_STATE,
			       "conflict: unable to remove repository reference \"%s\" (must force) - "
			       "%s is using its referenced image %.12s",
			       shown, who, digest_hex(&i->id));
	}
	TRY(delete_name(s, text, lines));
	/* The digests of a repository stay only as long as one of its tags. */
	bool tag_left = false;
	STRV_FOREACH (n, i->names)
		if (strcmp(*n, text) != 0 && same_repository(*n, text))
			tag_left = true;
	size_t digests_left = 0;
	STRV_FOREACH (d, i->repo_digests) {
		if (strcmp(*d, text) == 0)
			continue;
		if (!digest_is_set(&name->digest) && !tag_left && same_repository(*d, text))
			TRY(delete_name(s, *d, lines));
		else
			digests_left++;
	}
	size_t tags_left = strv_len(i->names) - (strv_contains(i->names, text) ? 1 : 0);
	return tags_left + digests_left ? NULL : delete_image(s, i, lines);
}

static struct err *remove_by_id(struct store *s, const struct image *i, bool force, char ***lines)
{
	_cleanup_free_ char *user = NULL;

	if (!force && !has_one_reference(i))
		return err_new(ERR_STATE,
			       "conflict: unable to delete %.12s (must be forced) - image is referenced in "
			       "multiple repositories",
			       digest_hex(&i->id));
	TRY(find_user(s, i, &user));
	if (!force && user) {
		_cleanup_free_ char *who = user_shown(user);
		return err_new(
			ERR_STATE,
			"conflict: unable to delete %.12s (must be forced) - image is being used by %s",
			digest_hex(&i->id), who);
	}
	STRV_FOREACH (n, i->names)
		TRY(delete_name(s, *n, lines));
	STRV_FOREACH (n, i->repo_digests)
		TRY(delete_name(s, *n, lines));
	return delete_image(s, i, lines);
}

/* -- one transaction, then the files
 * -------------------------------------------------------------------------- */

struct removal {
	/* What goes. */
	const char *what;
	bool force;
	const struct digest *ids;
	size_t n;
	/* What happened. */
	char **lines;
	uint64_t freed;
	bool collected;
};

static struct err *remove_names(struct store *s, struct removal *r)
{
	_cleanup_image_ struct image *image = NULL;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;

	TRY(store_find_locked(s, r->what, &image, &name));
	if (name.domain)
		return remove_by_name(s, image, &name, r->force, &r->lines);
	return remove_by_id(s, image, r->force, &r->lines);
}

static struct err *remove_unused(struct store *s, const struct digest *id, char ***lines)
{
	_cleanup_image_ struct image *image = NULL;
	_cleanup_free_ char *user = NULL;

	struct err *e = store_find_locked(s, id->s, &image, NULL);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	TRY(find_user(s, image, &user));
	return user ? NULL : remove_by_id(s, image, true, lines);
}

static struct err *remove_many(struct store *s, struct removal *r)
{
	for (size_t i = 0; i < r->n; i++)
		TRY(remove_unused(s, &r->ids[i], &r->lines));
	return NULL;
}

/* While an image is being added, files stay for a later collection. On failure nothing happened, and r->lines is empty. */
static struct err *remove_rows(struct store *s, struct removal *r,
			       struct err *(*rows)(struct store *s, struct removal *r))
{
	_cleanup_fd_ int lock = -1;

	TRY(store_check_writable(s));
	struct err *e = store_lock_exclusive(s, true, &lock);
	r->collected = !e;
	if (e && e->kind != ERR_BUSY)
		return e;
	err_free(e);
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	TRY(db_begin(locked->db));
	e = rows(s, r);
	if (!e && r->lines)
		e = store_index_write(s);
	if (!e)
		e = db_commit(s->db, true);
	if (e)
		db_rollback(s->db);
	size_t n_images = strv_len(r->lines); /* layers follow */
	if (!e && r->collected)
		e = store_collect_garbage(s, STORE_KEPT_INGEST_S, &r->lines, &r->freed);
	if (e) {
		strv_free(r->lines);
		r->lines = NULL;
	}
	for (size_t i = 0; !e && i < n_images; i++) {
		const char *line = r->lines[i], *name = strchr(line, ' ') + 1;
		if (str_starts(line, "Deleted: "))
			store_tell(s, "delete", name, name);
		else if (!strchr(name, '@'))
			store_tell(s, "untag", name, name);
	}
	return e;
}

struct err *store_remove(struct store *s, const char *what, bool force, char ***ret_lines)
{
	struct removal r = {.what = what, .force = force};

	TRY(remove_rows(s, &r, remove_names));
	*ret_lines = r.lines;
	return NULL;
}

struct err *store_remove_images(struct store *s, const struct digest *ids, size_t n, char ***ret_lines,
				uint64_t *ret_freed_bytes, bool *ret_collected)
{
	struct removal r = {.ids = ids, .n = n};

	TRY(remove_rows(s, &r, remove_many));
	*ret_lines = r.lines;
	*ret_freed_bytes = r.freed;
	*ret_collected = r.collected;
	return NULL;
}
