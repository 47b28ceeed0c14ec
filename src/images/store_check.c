/* SPDX-License-Identifier: Apache-2.0 */
/* The check: its order, its report, and the small parts: database, directories, index.json, snapshots, leftovers. */
#include "store_check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "images/snapshot.h"

#define YOUNG_S 60 /* somebody may be about to remove it */
#define INDEX_SIZE_MAX ((size_t)64 << 20)

/* -- the report ------------------------------------------------------------------------------------------------- */

const char *check_outcome_name(enum check_outcome o)
{
	static const char *const names[] = {"found", "repaired", "lost"};

	return names[o];
}

void check_report_release(struct check_report *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->problems[i].object);
		free(r->problems[i].problem);
		free(r->problems[i].remedy);
	}
	free(r->problems);
	*r = (struct check_report){0};
}

void check_add(struct check *c, enum check_outcome outcome, char *object, char *problem, const char *remedy)
{
	struct check_report *r = c->report;

	GROW(r->problems, r->n, r->cap);
	r->problems[r->n++] = (struct check_problem){outcome, object, problem, xstrdup(remedy)};
}

void check_add_repair(struct check *c, struct err *e, char *object, char *problem, const char *done)
{
	if (e) {
		_cleanup_free_ char *text = err_text(e);
		_cleanup_free_ char *remedy = xasprintf("cannot be repaired: %s", text);
		check_add(c, CHECK_LOST, object, problem, remedy);
		err_free(e);
		return;
	}
	check_add(c, c->options->repair ? CHECK_REPAIRED : CHECK_FOUND, object, problem, done);
}

/* -- what the parts share ------------------------------------------------------------------------------------------ */

struct err *check_cancelled(const struct check *c)
{
	const struct check_options *o = c->options;

	return o->cancelled && o->cancelled(o->user) ? err_new(ERR_CANCELLED, "interrupted") : NULL;
}

struct err *check_query(struct check *c, const char *sql, char ***ret)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(c->store);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	_cleanup_strv_ char **v = NULL;
	bool row;

	TRY(db_query(locked->db, &q, sql, ""));
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			break;
		strv_push(&v, db_column_text(q, 0));
	}
	*ret = TAKE_PTR(v);
	return NULL;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct err *check_list(struct check *c, const char *dir, char ***ret)
{
	int fd = openat(c->store->root_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_strv_ char **v = NULL;

	if (fd < 0 && errno != ENOENT)
		return err_errno(errno, "cannot open %s/%s", c->store->root, dir);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (fd >= 0 && !d)
		close(fd);
	for (struct dirent *e; d && (e = readdir(d));)
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			strv_push(&v, e->d_name);
	if (d)
		closedir(d);
	if (v)
		qsort(v, strv_len(v), sizeof(*v), compare_strings);
	*ret = TAKE_PTR(v);
	return NULL;
}

char *check_image_name(struct check *c, const char *manifest)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(c->store);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	bool row = false;

	struct err *e = db_query(locked->db, &q,
				 "SELECT name, 0 FROM names WHERE manifest=?1 UNION ALL SELECT id, 1 FROM "
				 "images WHERE manifest=?1 LIMIT 1",
				 "s", manifest);
	if (!e)
		e = db_step(q, &row);
	char *name = !e && row ? xstrdup(db_column_text(q, 0)) : xstrdup("the image");
	err_free(e);
	e = reference_parse(name, &ref);
	if (!e && !str_starts(name, "sha256:")) {
		char *familiar = reference_familiar(&ref);
		free(name);
		return familiar;
	}
	err_free(e);
	return name;
}

/* -- directories ----------------------------------------------------------------------------------------------------- */

static struct err *check_directories(struct check *c)
{
	static const char *const dirs[] = {"blobs",  "blobs/sha256", "blobs/sha512",
					   "ingest", "layers",       "snapshots"};
	struct store *s = c->store;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (faccessat(s->root_fd, dirs[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			continue;
		struct err *e = NULL;
		if (c->options->repair && mkdirat(s->root_fd, dirs[i], 0755) < 0)
			e = err_errno(errno, "cannot make directory %s/%s", s->root, dirs[i]);
		check_add_repair(c, e, xasprintf("directory %s", dirs[i]), xstrdup("is missing"), "make it");
	}
	if (faccessat(s->root_fd, "oci-layout", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return NULL;
	struct err *e = NULL;
	if (c->options->repair)
		e = file_replace_at(s->root_fd, "oci-layout", STORE_LAYOUT, strlen(STORE_LAYOUT), 0644,
				    FILE_DURABLE);
	check_add_repair(c, e, xstrdup("file oci-layout"), xstrdup("is missing"), "write it");
	return NULL;
}

/* -- the database ---------------------------------------------------------------------------------------------------- */

/* *ret_damage: SQLite's words, or NULL. */
static struct err *integrity(struct check *c, char **ret_damage)
{
	_cleanup_strv_ char **lines = NULL;

	struct err *e = check_query(
		c, c->options->quick ? "PRAGMA quick_check(3)" : "PRAGMA integrity_check(3)", &lines);
	if (e && e->kind != ERR_CORRUPT)
		return e;
	*ret_damage = e ? err_text(e) : str_eq(lines[0], "ok") ? NULL : strv_join(lines, "; ");
	err_free(e);
	return NULL;
}

/* What can still be read of what no other file has: best effort, of a database known to be damaged. */
static void salvage(struct check *c, char ***ret)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(c->store);
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	bool row = true;

	struct err *e = db_query(locked->db, &q, "SELECT name || ' ' || image FROM names WHERE kind=1", "");
	while (!e && row) {
		e = db_step(q, &row);
		if (!e && row)
			strv_push(ret, db_column_text(q, 0));
	}
	err_free(e);
}

static struct err *rebuild(struct check *c, const char *damage, char *const *salvaged)
{
	if (!c->options->repair) {
		check_add(c, CHECK_FOUND, xstrdup("database store.db"), xstrdup(damage),
			  "make it again from index.json, blobs and layers");
		return NULL;
	}
	TRY(store_rebuild(c, salvaged));
	check_add(
		c, CHECK_REPAIRED, xstrdup("database store.db"), xstrdup(damage),
		"made again from index.json, blobs and layers; the damaged one is kept as store.db.damaged");
	return NULL;
}

/* Opens the store, whose database may be none. *ret_usable: the rest can be looked at. */
static struct err *open_store(struct check *c, const char *root, int root_fd, char ***salvaged, char **damage)
{
	struct err *e = store_open(root, &c->store);

	if (e && e->kind != ERR_CORRUPT)
		return e;
	if (!e)
		TRY(integrity(c, damage));
	else
		*damage = err_text(e);
	err_free(e);
	if (!*damage)
		return NULL;
	if (c->store)
		salvage(c, salvaged);
	if (!c->options->repair)
		return NULL;
	store_close(TAKE_PTR(c->store));
	TRY(store_set_database_aside(root_fd, root));
	return store_open(root, &c->store);
}

/* -- index.json ------------------------------------------------------------------------------------------------------ */

static struct err *check_index(struct check *c)
{
	struct store *s = c->store;
	_cleanup_strbuf_ struct strbuf wanted = {0};
	_cleanup_free_ char *text = NULL;
	size_t size = 0;

	struct err *e = file_read_at(s->root_fd, "index.json", INDEX_SIZE_MAX, &text, &size);
	bool missing = e && e->kind == ERR_NOT_FOUND;
	err_free(e);
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	TRY(store_index_text(locked, &wanted));
	if (text && size == wanted.len && memcmp(text, wanted.data, size) == 0)
		return NULL;
	e = c->options->repair ? store_index_write(locked) : NULL;
	check_add_repair(c, e, xstrdup("file index.json"),
			 xstrdup(missing ? "is missing" : "is not what the database says"), "write it anew");
	return NULL;
}

/* -- rows ------------------------------------------------------------------------------------------------------------ */

static struct err *check_names(struct check *c)
{
	_cleanup_strv_ char **names = NULL;

	TRY(check_query(c, "SELECT name FROM names WHERE image NOT IN (SELECT id FROM images)", &names));
	STRV_FOREACH (name, names) {
		struct err *e = NULL;
		if (c->options->repair) {
			_cleanup_store_db_ struct store *locked = store_db_lock(c->store);
			e = db_run(locked->db, NULL, "DELETE FROM names WHERE name=?", "s", *name);
		}
		check_add_repair(c, e, xasprintf("name %s", *name), xstrdup("is of no image"),
				 "forget the name");
	}
	return NULL;
}

/* -- snapshots ------------------------------------------------------------------------------------------------------- */

static bool snapshot_has_files(struct check *c, const char *key)
{
	_cleanup_free_ char *path = xasprintf("snapshots/%s/upper", key);

	return faccessat(c->store->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct err *check_snapshot(struct check *c, const char *key, bool row)
{
	const struct check_options *o = c->options;
	struct digest image = {0};
	bool owned;

	/* Asked after the snapshot was seen: a container's row is older than its snapshot. */
	TRY(o->find_owner(o->user, key, &owned, &image));
	c->report->snapshots++;
	if (!owned || (!row && !digest_is_set(&image))) {
		struct err *e = o->repair ? snapshot_remove(c->store, key) : NULL;
		check_add_repair(c, e, xasprintf("snapshot %s", key),
				 xstrdup(row ? "belongs to no container" : "is half removed"), "remove it");
		return NULL;
	}
	if (!row) {
		struct err *e = o->repair ? store_rebuild_snapshot(c->store, key, &image) : NULL;
		check_add_repair(c, e, xasprintf("snapshot %s", key), xstrdup("is not in the database"),
				 "record it again");
	}
	if (!snapshot_has_files(c, key)) {
		_cleanup_free_ char *remedy = xasprintf(
			"what the container wrote is gone: remove it (havre rm %.12s) and make it again",
			key);
		check_add(c, CHECK_LOST, xasprintf("snapshot %s", key), xstrdup("its files are missing"),
			  remedy);
	}
	return NULL;
}

static struct err *check_snapshots(struct check *c)
{
	_cleanup_strv_ char **dirs = NULL, **rows = NULL;

	if (!c->options->find_owner)
		return NULL;
	/* Directories first: a row is older than its directory. */
	TRY(check_list(c, "snapshots", &dirs));
	TRY(snapshot_list(c->store, &rows));
	STRV_FOREACH (key, rows)
		TRY(check_snapshot(c, *key, true));
	STRV_FOREACH (key, dirs)
		if (!strv_contains(rows, *key))
			TRY(check_snapshot(c, *key, false));
	return NULL;
}

/* -- leftovers ------------------------------------------------------------------------------------------------------- */

static bool is_being_written(struct check *c, const char *path)
{
	_cleanup_fd_ int fd = openat(c->store->root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static struct err *check_ingest(struct check *c)
{
	_cleanup_strv_ char **names = NULL;
	struct stat st;

	TRY(check_list(c, "ingest", &names));
	STRV_FOREACH (name, names) {
		_cleanup_free_ char *path = xasprintf("ingest/%s", *name);
		if (fstatat(c->store->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		int64_t age = time(NULL) - st.st_mtime;
		if (S_ISREG(st.st_mode) ? ingest_can_be_continued(*name) ? age < STORE_KEPT_INGEST_S
									 : is_being_written(c, path)
					: str_starts(*name, "gone-snapshot-") && age < YOUNG_S)
			continue; /* a download to be continued, a removal going on */
		struct err *e = NULL;
		if (c->options->repair)
			e = file_remove_tree_at(c->store->root_fd, path);
		check_add_repair(c, e, xasprintf("leftover %s", path),
				 xstrdup("of a command that was killed"), "remove it");
	}
	return NULL;
}

static struct err *check_unused(struct check *c, const char *dir, const char *prefix, const char *sql)
{
	_cleanup_strv_ char **names = NULL, **used = NULL;
	size_t n = 0, k = 0;

	TRY(check_list(c, dir, &names));
	TRY(check_query(c, sql, &used));
	n = strv_len(used);
	STRV_FOREACH (name, names) {
		_cleanup_free_ char *key = xasprintf("%s%s", prefix, *name);
		while (k < n && strcmp(used[k], key) < 0)
			k++;
		if (k < n && str_eq(used[k], key))
			continue;
		/* Repair removes all of them together, at the end. */
		check_add_repair(c, NULL, xasprintf("leftover %s/%s", dir, *name),
				 xstrdup("nothing refers to it"), "remove it");
	}
	return NULL;
}

#define BLOBS_USED(algorithm)                                                                      \
	"SELECT digest FROM manifests WHERE digest GLOB '" algorithm ":*' UNION SELECT blob FROM " \
	"content WHERE blob GLOB '" algorithm ":*' ORDER BY 1"

static struct err *check_leftovers(struct check *c)
{
	if (!c->alone) {
		c->report->leftovers_skipped = true;
		return NULL;
	}
	TRY(check_ingest(c));
	TRY(check_unused(c, "blobs/sha256", "sha256:", BLOBS_USED("sha256")));
	TRY(check_unused(c, "blobs/sha512", "sha512:", BLOBS_USED("sha512")));
	TRY(check_unused(c, "layers", "", "SELECT dir FROM layers ORDER BY 1"));
	if (!c->options->repair || c->keep_garbage)
		return NULL;
	_cleanup_store_db_ struct store *locked = store_db_lock(c->store);
	return store_collect_garbage(locked, STORE_KEPT_INGEST_S, NULL, &c->report->bytes_freed);
}

/* -- the whole ------------------------------------------------------------------------------------------------------- */

static struct err *take_lock(struct check *c, int root_fd, const char *root, int *ret_fd)
{
	struct err *e = file_lock_at(root_fd, "lock", FILE_LOCK_TRY_EXCLUSIVE, ret_fd);

	c->alone = !e;
	if (e && e->kind == ERR_BUSY && c->options->repair)
		return err_wrap(e, "an image is being added to %s: repair when that is done", root);
	if (e && e->kind == ERR_BUSY) {
		err_free(e);
		e = file_lock_at(root_fd, "lock", FILE_LOCK_SHARED, ret_fd);
	}
	if (e && !c->options->repair && (e->errnum == EROFS || e->kind == ERR_PERMISSION)) {
		err_free(e); /* nobody changes what cannot be changed */
		return NULL;
	}
	return e;
}

static struct err *check_all(struct check *c, char *const *salvaged, const char *damage)
{
	char **images = NULL;
	bool needed = false;

	TRY(check_directories(c));
	if (!damage)
		TRY(store_rebuild_needed(c, &needed));
	if (damage || needed)
		TRY(rebuild(c, damage ? damage : "has none of the images that index.json lists", salvaged));
	if ((damage || needed) && !c->options->repair)
		return NULL; /* without its rows everything else would look like garbage */
	TRY(check_names(c));
	TRY(check_blobs(c));
	TRY(check_layers(c));
	TRY(check_snapshots(c));
	TRY(check_leftovers(c));
	TRY(check_query(c, "SELECT id FROM images", &images));
	c->report->images = strv_len(images);
	strv_free(images);
	return check_index(c);
}

struct err *store_check(const char *root, const struct check_options *o, struct check_report *ret)
{
	_cleanup_check_report_ struct check_report report = {0};
	struct check c = {.options = o, .report = &report};
	_cleanup_fd_ int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), lock = -1;
	_cleanup_strv_ char **salvaged = NULL;
	_cleanup_free_ char *damage = NULL;

	if (root_fd < 0 && errno == ENOENT) /* nothing was ever kept here */
		return NULL;
	if (root_fd < 0)
		return err_errno(errno, "cannot open image store %s", root);
	TRY(take_lock(&c, root_fd, root, &lock));
	struct err *e = open_store(&c, root, root_fd, &salvaged, &damage);
	if (!e && c.store)
		e = check_all(&c, salvaged, damage);
	else if (!e)
		e = rebuild(&c, damage, salvaged); /* only says so */
	store_close(c.store);
	TRY(e);
	*ret = report;
	report = (struct check_report){0};
	return NULL;
}
