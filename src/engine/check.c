/* SPDX-License-Identifier: Apache-2.0 */
/* The check of everything that is kept: the image store's, with our containers as the owners of its snapshots. */
#include "images/check.h"

#include "image_mount.h"
#include "mounted.h"
#include "private.h"

/* A container's own snapshot has its id, that of an image it mounts is found by the container; one of `image mount` is wanted while
 * it is mounted. */
static struct err *find_owner(void *user, const char *key, bool *ret_exists, struct digest *ret_image)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;

	char id[65];

	if (image_mounted_key(key)) {
		_cleanup_free_ char *path = mounted_path(user, key);
		*ret_exists = mounted_is(path);
		return NULL;
	}
	TRY(engine_db(user, &db));
	if (image_mount_key(key, id)) {
		TRY(db_query(db, &stmt, "SELECT 1 FROM containers WHERE id=?", "s", id));
		return db_step(stmt, ret_exists);
	}
	TRY(db_query(db, &stmt, "SELECT image FROM containers WHERE id=?", "s", key));
	TRY(db_step(stmt, ret_exists));
	if (*ret_exists)
		TRY(digest_parse(db_column_text(stmt, 0), ret_image));
	return NULL;
}

struct err *engine_check(struct engine *e, const struct engine_check_options *o, struct check_report *ret)
{
	const struct check_options options = {.quick = o->quick,
					      .repair = o->repair,
					      .find_owner = find_owner,
					      .cancelled = o->cancelled,
					      .user = e};
	_cleanup_free_ char *path = xasprintf("%s/images", e->root);

	return store_check(path, &options, ret);
}
