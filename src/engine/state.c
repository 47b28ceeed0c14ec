/* SPDX-License-Identifier: Apache-2.0 */
/* engine.db: which containers exist (E1) and what was asked for (E2). */
#include <stdio.h>
#include <unistd.h>

#include "event.h"
#include "log_settings.h"
#include "network/join.h"
#include "pod.h"
#include "private.h"
#include "userns.h"

static const char *const schema[] = {
	"CREATE TABLE containers ("
	"  id TEXT PRIMARY KEY NOT NULL,"
	"  name TEXT NOT NULL UNIQUE,"
	"  created_ns INTEGER NOT NULL,"
	"  image TEXT NOT NULL,"      /* config digest */
	"  image_name TEXT NOT NULL," /* as the user wrote it */
	"  spec TEXT NOT NULL"        /* spec_codec.c */
	") WITHOUT ROWID;",
	/* 2: networks, and the containers in them (network.h) */
	"CREATE TABLE networks ("
	"  id TEXT PRIMARY KEY NOT NULL,"
	"  name TEXT NOT NULL UNIQUE,"
	"  created_ns INTEGER NOT NULL,"
	"  spec TEXT NOT NULL" /* network_codec.c */
	") WITHOUT ROWID;"
	"CREATE TABLE endpoints ("
	"  container TEXT NOT NULL,"
	"  network TEXT NOT NULL,"
	"  position INTEGER NOT NULL," /* eth0, eth1, … */
	"  spec TEXT NOT NULL,"        /* endpoint.c */
	"  ip4 INTEGER,"               /* number of the address in the subnet; NULL: none now (N2) */
	"  ip6 INTEGER,"
	"  PRIMARY KEY (container, network)"
	") WITHOUT ROWID;"
	"CREATE UNIQUE INDEX endpoints_ip4 ON endpoints (network, ip4) WHERE ip4 IS NOT NULL;"
	"CREATE UNIQUE INDEX endpoints_ip6 ON endpoints (network, ip6) WHERE ip6 IS NOT NULL;"
	"CREATE TABLE ports (container TEXT PRIMARY KEY NOT NULL, ports TEXT NOT NULL) "
	"WITHOUT ROWID;" /* publish.c */
	"CREATE TABLE counters (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) "
	"WITHOUT ROWID;"
	"INSERT INTO counters VALUES ('network_generation', 1);",
};

#define COLUMNS "id, name, created_ns, image, image_name, spec"

struct err *engine_db(struct engine *e, struct db **ret)
{
	if (!e->db) {
		_cleanup_free_ char *path = xasprintf("%s/engine.db", e->root);
		if (access(e->root, F_OK) < 0 && errno == ENOENT) /* the first command ever */
			TRY(file_mkdir_p(e->root, 0700));
		struct err *error = db_open(path, schema, ARRAY_SIZE(schema), false, &e->db);
		if (error && (error->errnum == EROFS || error->kind == ERR_PERMISSION)) {
			/* Looking is possible on a read-only file system; writing then fails and says why. */
			struct err *second = db_open(path, schema, ARRAY_SIZE(schema), true, &e->db);
			if (!second) {
				err_free(error);
				error = NULL;
			} else {
				err_free(second);
			}
		}
		if (error)
			return err_wrap(error, "cannot open the container database %s", path);
	}
	*ret = e->db;
	return NULL;
}

const char *container_status_name(enum container_status s)
{
	static const char *const names[] = {"created",  "running", "paused",    "exited",
					    "removing", "dead",    "restarting"};
	return names[s];
}

struct container *container_new(struct engine *e, const char *id)
{
	struct container *c = xnew(struct container);

	snprintf(c->id, sizeof(c->id), "%s", id);
	c->root_dir = xasprintf("%s/containers/%s", e->root, id);
	c->run_dir = xasprintf("%s/containers/%s", e->run, id);
	c->spec = xnew(struct container_spec);
	return c;
}

void container_free(struct container *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->image_name);
	free(c->error);
	strv_free(c->command);
	strv_free(c->labels);
	if (c->spec)
		container_spec_release(c->spec);
	free(c->spec);
	free(c->root_dir);
	free(c->run_dir);
	free(c->log_path);
	free(c);
}

/* What follows from the stored spec. */
static void fill_from_spec(struct container *c)
{
	STRV_FOREACH (s, c->spec->entrypoint)
		strv_push(&c->command, *s);
	STRV_FOREACH (s, c->spec->command)
		strv_push(&c->command, *s);
	c->labels = strv_dup(c->spec->labels);
	if (log_settings_has_file(c->spec))
		c->log_path = xasprintf("%s/container.log", c->root_dir);
}

static struct err *from_row(struct engine *e, struct db_stmt *row, struct container **ret)
{
	_cleanup_json_ struct json *doc = NULL;
	const char *text = db_column_text(row, 5), *image = db_column_text(row, 3);
	_cleanup_container_ struct container *c = container_new(e, db_column_text(row, 0));

	c->name = xstrdup(db_column_text(row, 1));
	c->created_ns = db_column_i64(row, 2);
	if (*image) /* else it has a directory, no image */
		TRY_WRAP(digest_parse(image, &c->image), "reading container %s", c->id);
	c->image_name = xstrdup(db_column_text(row, 4));
	TRY_WRAP(json_parse(text, strlen(text), "stored specification", &doc), "reading container %s", c->id);
	TRY_WRAP(container_spec_from_json(doc, c->spec), "reading container %s", c->id);
	fill_from_spec(c);
	*ret = TAKE_PTR(c);
	return NULL;
}

struct err *container_insert(struct engine *e, struct container *c)
{
	struct db *db;
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_free_ char *text = NULL;

	TRY(engine_db(e, &db));
	TRY(db_begin(db));
	struct err *error = userns_allocate(e, c);
	if (!error) {
		doc = container_spec_to_json(c->spec);
		text = json_print(doc, JSON_COMPACT);
		error = db_run(db, NULL, "INSERT INTO containers (" COLUMNS ") VALUES (?,?,?,?,?,?)",
			       "ssisss", c->id, c->name, c->created_ns, c->image.s, c->image_name, text);
	}
	if (!error)
		error = network_insert_endpoints(e, c);
	/* A container that removes itself does not outlive a crash of the machine: no wait for the disk. */
	if (!error)
		error = db_commit(db, !c->spec->auto_remove);
	if (error) {
		db_rollback(db);
		return error;
	}
	fill_from_spec(c);
	event_container(e, c, "create", NULL);
	return NULL;
}

/* The single row of a query, or NULL. */
static struct err *select_one(struct engine *e, const char *sql, const char *value, struct container **ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, sql, "s", value));
	TRY(db_step(stmt, &row));
	if (!row) {
		*ret = NULL;
		return NULL;
	}
	return from_row(e, stmt, ret);
}

static struct err *by_prefix(struct engine *e, const char *prefix, struct container **ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *end = NULL;
	bool row;

	*ret = NULL;
	if (!*prefix || strlen(prefix) > 64 || strspn(prefix, "0123456789abcdef") != strlen(prefix))
		return NULL;
	end = xasprintf("%sg", prefix); /* sorts behind every id that begins with the prefix */
	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT " COLUMNS " FROM containers WHERE id>=? AND id<? LIMIT 2", "ss",
		     prefix, end));
	TRY(db_step(stmt, &row));
	if (!row)
		return NULL;
	TRY(from_row(e, stmt, &c));
	TRY(db_step(stmt, &row));
	if (row)
		return err_new(ERR_INVALID,
			       "\"%s\" is the beginning of several containers' ids; give more digits",
			       prefix);
	*ret = TAKE_PTR(c);
	return NULL;
}

bool container_row_exists(struct engine *e, const char *id, struct err **ret_err)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row = false;

	*ret_err = engine_db(e, &db);
	if (!*ret_err)
		*ret_err = db_query(db, &stmt, "SELECT 1 FROM containers WHERE id=?", "s", id);
	if (!*ret_err)
		*ret_err = db_step(stmt, &row);
	return row;
}

static struct err *no_such(const char *what)
{
	return err_new(ERR_NOT_FOUND, "no such container: %.128s", what);
}

struct err *container_by_id(struct engine *e, const char *id, struct container **ret)
{
	_cleanup_container_ struct container *c = NULL;
	bool orphaned;

	TRY(select_one(e, "SELECT " COLUMNS " FROM containers WHERE id=?", id, &c));
	if (!c)
		return no_such(id);
	TRY(container_derive(e, c, &orphaned));
	*ret = TAKE_PTR(c);
	return NULL;
}

struct err *container_find(struct engine *e, const char *what, struct container **ret)
{
	_cleanup_container_ struct container *c = NULL;
	bool orphaned = false;

	if (strlen(what) == 64)
		TRY(select_one(e, "SELECT " COLUMNS " FROM containers WHERE id=?", what, &c));
	if (!c)
		TRY(select_one(e, "SELECT " COLUMNS " FROM containers WHERE name=?",
			       *what == '/' ? what + 1 : what, &c));
	if (!c)
		TRY(by_prefix(e, what, &c));
	if (!c)
		return no_such(what);
	TRY(container_derive(e, c, &orphaned));
	if (orphaned) {
		TRY(container_recover(e, c));
		if (c->status == CONTAINER_REMOVING)
			return no_such(what);
	}
	*ret = TAKE_PTR(c);
	return NULL;
}

struct err *container_list(struct engine *e, bool all, struct container ***ret, size_t *ret_n)
{
	return container_list_kind(e, all, false, ret, ret_n);
}

struct err *container_list_kind(struct engine *e, bool all, bool sandboxes, struct container ***ret,
				size_t *ret_n)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	struct container **list = NULL;
	size_t n = 0, cap = 0, kept = 0;
	struct err *error;
	bool row = false;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT " COLUMNS " FROM containers ORDER BY created_ns DESC, id", ""));
	while (!(error = db_step(stmt, &row)) && row) {
		struct container *c = NULL;
		error = from_row(e, stmt, &c);
		if (error)
			break;
		GROW(list, n, cap);
		list[n++] = c;
	}
	db_done(TAKE_PTR(stmt)); /* recovery writes: the read must be over */
	for (size_t i = 0; i < n; i++) {
		struct container *c = list[i];
		bool orphaned = false;

		if (!error)
			error = container_derive(e, c, &orphaned);
		if (!error && orphaned)
			error = container_recover(e, c);
		if (!error && c->status != CONTAINER_REMOVING && is_sandbox(c) == sandboxes &&
		    (all || c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED ||
		     c->status == CONTAINER_RESTARTING))
			list[kept++] = c;
		else
			container_free(c);
	}
	if (error) {
		for (size_t i = 0; i < kept; i++)
			container_free(list[i]);
		free(list);
		return error;
	}
	if (all) /* E1; what cannot be removed now is met again */
		err_free(engine_collect_garbage(e));
	*ret = list;
	*ret_n = kept;
	return NULL;
}
