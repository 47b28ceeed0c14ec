/* SPDX-License-Identifier: Apache-2.0 */
#include "base/db.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

#define BUSY_TIMEOUT_MS 10000
#define WAL_RETRY_MS 5
#define AUTOCHECKPOINT_PAGES 100

struct db_stmt {
	struct db *db;
	sqlite3_stmt *stmt;
	struct db_stmt *next;
	bool in_use;
};

struct db {
	sqlite3 *handle;
	char *path;
	struct db_stmt *stmts;
};

static struct err *db_error(struct db *db, int status, const char *doing)
{
	enum err_kind kind;

	switch (status & 0xff) {
	case SQLITE_CONSTRAINT:
		kind = ERR_EXISTS;
		break;
	case SQLITE_FULL:
	case SQLITE_NOMEM:
		kind = ERR_NO_SPACE;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		kind = ERR_BUSY;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		kind = ERR_CORRUPT;
		break;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		kind = ERR_PERMISSION;
		break;
	default:
		kind = ERR_SYSTEM;
		break;
	}
	int errnum = db->handle ? sqlite3_system_errno(db->handle) : 0;
	if ((status & 0xff) == SQLITE_IOERR && errnum == ENOSPC)
		kind = ERR_NO_SPACE;
	return err_new(kind, "database %s: %s: %s", db->path, doing,
		       db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(status));
}

struct err *db_exec(struct db *db, const char *sql)
{
	int status = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return status == SQLITE_OK ? NULL : db_error(db, status, "cannot execute a statement");
}

static struct err *user_version(struct db *db, int *ret)
{
	sqlite3_stmt *stmt = NULL;
	int status = sqlite3_prepare_v2(db->handle, "PRAGMA user_version", -1, &stmt, NULL);

	if (status == SQLITE_OK)
		status = sqlite3_step(stmt);
	int version = status == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : 0;
	sqlite3_finalize(stmt);
	if (status != SQLITE_ROW)
		return db_error(db, status, "cannot be read");
	*ret = version;
	return NULL;
}

/* WAL is a property of the file: set once, outside any transaction. When several processes open a new file at once, SQLite
 * answers "busy" here without waiting for the time limit it was given (it fears a deadlock between readers that all want to write). */
static struct err *set_wal(struct db *db)
{
	for (int waited_ms = 0;; waited_ms += WAL_RETRY_MS) {
		int status = sqlite3_exec(db->handle, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
		if (status == SQLITE_OK)
			return NULL;
		if ((status & 0xff) != SQLITE_BUSY || waited_ms >= BUSY_TIMEOUT_MS)
			return db_error(db, status, "cannot be switched to a write-ahead log");
		sqlite3_sleep(WAL_RETRY_MS);
	}
}

static struct err *upgrade(struct db *db, const char *const *schema, int n_versions)
{
	int version;

	TRY(set_wal(db));
	TRY(db_begin(db));
	struct err *e =
		user_version(db, &version); /* again under the lock: another process may have been faster */
	for (; !e && version < n_versions; version++) {
		_cleanup_free_ char *pragma = xasprintf("PRAGMA user_version=%d", version + 1);
		e = db_exec(db, schema[version]);
		if (!e)
			e = db_exec(db, pragma);
	}
	if (!e)
		e = db_commit(db, true);
	if (e)
		db_rollback(db);
	return e;
}

static struct err *open_handle(struct db *db, bool read_only, bool immutable)
{
	_cleanup_strbuf_ struct strbuf uri = {0};

	strbuf_puts(&uri, "file:");
	for (const char *p = db->path; *p; p++) {
		if (strchr("?#%", *p))
			strbuf_printf(&uri, "%%%02x", (unsigned char)*p);
		else
			strbuf_putc(&uri, *p);
	}
	if (immutable)
		strbuf_puts(&uri, "?immutable=1");
	int status = sqlite3_open_v2(
		uri.data, &db->handle,
		SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
			(read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE),
		NULL);
	if (status != SQLITE_OK)
		return db_error(db, status, "cannot be opened");
	sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
	/* By default the last one to close copies the log back, with two syncs and an unlink: at the end of nearly every command. The
	 * log is kept instead, and kept short, because the next one to open reads it. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_wal_autocheckpoint(db->handle, AUTOCHECKPOINT_PAGES);
	return NULL;
}

static struct err *open_and_check(struct db *db, const char *const *schema, int n_versions, bool read_only)
{
	int version = 0;

	struct err *e = open_handle(db, read_only, false);
	if (!e)
		e = user_version(db, &version);
	if (e && read_only && e->kind != ERR_CORRUPT) {
		/* WAL needs a shared-memory file beside the database; on a read-only file system nobody
		 * writes, so the file can be read as it is. */
		sqlite3_close(db->handle);
		db->handle = NULL;
		err_free(e);
		e = open_handle(db, true, true);
		if (!e)
			e = user_version(db, &version);
	}
	if (e)
		return e;
	if (version > n_versions)
		return err_new(ERR_UNSUPPORTED,
			       "database %s was written by a newer havre (version %d, this program knows %d)",
			       db->path, version, n_versions);
	if (read_only && version < n_versions)
		return err_new(ERR_UNSUPPORTED,
			       "database %s must be upgraded first, and it is opened read-only", db->path);
	if (!read_only) {
		/* Mapped: lists read the pages where they are, and not a copy of each. */
		TRY(db_exec(db,
			    "PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA mmap_size=67108864"));
		if (version < n_versions)
			TRY(upgrade(db, schema, n_versions));
	}
	return NULL;
}

struct err *db_open(const char *path, const char *const *schema, int n_versions, bool read_only,
		    struct db **ret)
{
	struct db *db = xnew(struct db);

	db->path = xstrdup(path);
	struct err *e = open_and_check(db, schema, n_versions, read_only);
	if (e) {
		db_close(db);
		return e;
	}
	*ret = db;
	return NULL;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	while (db->stmts) {
		struct db_stmt *s = db->stmts;

		db->stmts = s->next;
		sqlite3_finalize(s->stmt);
		free(s);
	}
	sqlite3_close(db->handle);
	free(db->path);
	free(db);
}

struct err *db_begin(struct db *db)
{
	return db_exec(db, "BEGIN IMMEDIATE");
}

struct err *db_commit(struct db *db, bool durable)
{
	TRY(db_exec(db, "COMMIT"));
	if (!durable)
		return NULL;
	/* synchronous=NORMAL leaves the log unsynced, and cannot be changed for one transaction: the log file
	 * is synced from outside. After a checkpoint the data are in the database file, which SQLite has
	 * synced itself. */
	_cleanup_free_ char *wal = xasprintf("%s-wal", db->path);
	_cleanup_fd_ int fd = open(wal, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fdatasync(fd) < 0)
		return err_errno(errno, "cannot sync %s", wal);
	return NULL;
}

void db_rollback(struct db *db)
{
	if (!sqlite3_get_autocommit(db->handle))
		sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

static struct err *bind(struct db *db, sqlite3_stmt *stmt, const char *types, va_list ap)
{
	int status = SQLITE_OK;

	for (int i = 1; types && *types && status == SQLITE_OK; types++, i++) {
		if (*types == 's') {
			status = sqlite3_bind_text(stmt, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
		} else if (*types == 'i') {
			status = sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
		} else if (*types == 'b') {
			const void *data = va_arg(ap, const void *);
			status = sqlite3_bind_blob64(stmt, i, data, va_arg(ap, size_t), SQLITE_TRANSIENT);
		} else {
			return err_new(ERR_INTERNAL, "unknown type '%c' in a database call", *types);
		}
	}
	return status == SQLITE_OK ? NULL : db_error(db, status, "cannot bind a value");
}

static struct err *query(struct db *db, struct db_stmt **ret, const char *sql, const char *types, va_list ap)
{
	struct db_stmt *s = db->stmts;

	while (s && (s->in_use || strcmp(sqlite3_sql(s->stmt), sql) != 0))
		s = s->next;
	if (!s) {
		sqlite3_stmt *stmt;
		int status = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);

		if (status != SQLITE_OK)
			return db_error(db, status, "cannot prepare a statement");
		s = xnew(struct db_stmt);
		s->db = db;
		s->stmt = stmt;
		s->next = db->stmts;
		db->stmts = s;
	}
	struct err *e = bind(db, s->stmt, types, ap);
	if (e) {
		db_done(s);
		return e;
	}
	s->in_use = true;
	*ret = s;
	return NULL;
}

struct err *db_query(struct db *db, struct db_stmt **ret, const char *sql, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	struct err *e = query(db, ret, sql, types, ap);
	va_end(ap);
	return e;
}

struct err *db_step(struct db_stmt *stmt, bool *ret_row)
{
	int status = sqlite3_step(stmt->stmt);

	if (status != SQLITE_ROW && status != SQLITE_DONE)
		return db_error(stmt->db, status, "cannot be read or written");
	*ret_row = status == SQLITE_ROW;
	return NULL;
}

void db_done(struct db_stmt *stmt)
{
	if (!stmt)
		return;
	sqlite3_reset(stmt->stmt);
	sqlite3_clear_bindings(stmt->stmt);
	stmt->in_use = false;
}

const char *db_column_text(struct db_stmt *stmt, int column)
{
	return (const char *)sqlite3_column_text(stmt->stmt, column);
}

int64_t db_column_i64(struct db_stmt *stmt, int column)
{
	return sqlite3_column_int64(stmt->stmt, column);
}

const void *db_column_blob(struct db_stmt *stmt, int column, size_t *ret_size)
{
	const void *data = sqlite3_column_blob(stmt->stmt, column);

	*ret_size = (size_t)sqlite3_column_bytes(stmt->stmt, column);
	return data;
}

struct err *db_run(struct db *db, int64_t *ret_changes, const char *sql, const char *types, ...)
{
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row = true;
	va_list ap;

	va_start(ap, types);
	struct err *e = query(db, &stmt, sql, types, ap);
	va_end(ap);
	while (!e && row)
		e = db_step(stmt, &row);
	if (!e && ret_changes)
		*ret_changes = sqlite3_changes64(db->handle);
	return e;
}
