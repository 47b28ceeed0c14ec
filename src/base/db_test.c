/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "base/db.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "unit.h"

TEST(db_upgrades_binds_and_maps_errors)
{
	static const char *const v2[] = {"CREATE TABLE t (name TEXT PRIMARY KEY, n INTEGER) STRICT;",
					 "ALTER TABLE t ADD COLUMN b BLOB;"};
	char *dir = xstrdup("/var/tmp/havre-base-XXXXXX");

	CHECK(mkdtemp(dir));
	_cleanup_free_ char *path = xasprintf("%s/x?.db", dir);
	struct db *db;
	struct db_stmt *stmt;
	bool row;
	int64_t changes;
	size_t size;

	CHECK_OK(db_open(path, v2, 1, false, &db));
	CHECK_OK(db_run(db, &changes, "INSERT INTO t (name, n) VALUES (?, ?)", "si", "a", (int64_t)5));
	CHECK(changes == 1);
	CHECK_ERR(db_run(db, NULL, "INSERT INTO t (name, n) VALUES (?, ?)", "si", "a", (int64_t)6),
		  ERR_EXISTS);
	db_close(db);
	CHECK_OK(db_open(path, v2, 2, false, &db));
	CHECK_OK(db_begin(db));
	CHECK_OK(db_run(db, NULL, "UPDATE t SET b=? WHERE name=?", "bs", "xy", (size_t)2, "a"));
	CHECK_OK(db_commit(db, true));
	CHECK_OK(db_begin(db));
	CHECK_OK(db_run(db, NULL, "DELETE FROM t", NULL));
	db_rollback(db);
	CHECK_OK(db_query(db, &stmt, "SELECT n, b FROM t WHERE name=?", "s", "a"));
	CHECK_OK(db_step(stmt, &row));
	CHECK(row && db_column_i64(stmt, 0) == 5 && memcmp(db_column_blob(stmt, 1, &size), "xy", 2) == 0 &&
	      size == 2);
	db_done(stmt);
	db_close(db);
	CHECK_ERR(db_open(path, v2, 1, false, &db), ERR_UNSUPPORTED); /* written by a newer version */
	CHECK_OK(db_open(path, v2, 2, true, &db));
	CHECK_ERR(db_run(db, NULL, "DELETE FROM t", NULL), ERR_PERMISSION);
	db_close(db);
	CHECK_OK(file_remove_tree_at(AT_FDCWD, dir));
	free(dir);
}

UNIT_MAIN
