/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite, the way havre uses it: WAL, synchronous=NORMAL unless a caller asks for a synced commit, a busy
 * time-out of 10 s, prepared statements with typed binding, errors with kinds (constraint: EXISTS, full:
 * NO_SPACE, busy: BUSY, corrupt: CORRUPT). sqlite3.h is not visible here. One handle per thread. */
#ifndef BASE_DB_H
#define BASE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct db;
struct db_stmt;

/* Opens or makes the database. `schema` is run once per version, in one transaction with setting
 * user_version: schema[0] brings an empty file to version 1, schema[1] version 1 to 2, …. A newer file than
 * `n_versions` is ERR_UNSUPPORTED. `read_only`: the file must exist; works on a read-only file system. */
_must_check_ struct err *db_open(const char *path, const char *const *schema, int n_versions, bool read_only,
				 struct db **ret);
void db_close(struct db *db);
DEFINE_CLEANUP(struct db *, db_close)

_must_check_ struct err *db_exec(struct db *db, const char *sql);
/* BEGIN IMMEDIATE; commit; rollback is harmless outside a transaction. `durable` syncs the WAL. */
_must_check_ struct err *db_begin(struct db *db);
_must_check_ struct err *db_commit(struct db *db, bool durable);
void db_rollback(struct db *db);

/* `types` and arguments: 's' const char * (NULL is null), 'i' int64_t, 'b' const void * and size_t.
 *   TRY(db_query(db, &stmt, "SELECT … WHERE name=? AND n>?", "si", name, (int64_t)n));
 *   while (true) { TRY(db_step(stmt, &row)); if (!row) break; … db_column_text(stmt, 0) … }
 * Statements are cached by their text pointer's content; db_done gives it back (cleanup attribute available).
 */
_must_check_ struct err *db_query(struct db *db, struct db_stmt **ret, const char *sql, const char *types,
				  ...);
_must_check_ struct err *db_step(struct db_stmt *stmt, bool *ret_row);
void db_done(struct db_stmt *stmt);
DEFINE_CLEANUP(struct db_stmt *, db_done)
#define _cleanup_db_stmt_ _cleanup_(db_donep)
const char *db_column_text(struct db_stmt *stmt, int column); /* borrowed until the next step; NULL is null */
int64_t db_column_i64(struct db_stmt *stmt, int column);
const void *db_column_blob(struct db_stmt *stmt, int column, size_t *ret_size);
/* Runs to the end without rows; *ret_changes (may be NULL) is the number of rows changed. */
_must_check_ struct err *db_run(struct db *db, int64_t *ret_changes, const char *sql, const char *types, ...);

#endif
