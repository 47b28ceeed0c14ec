/* SPDX-License-Identifier: Apache-2.0 */
/* Removal: the row first (E1), then what belonged to it; and collecting what crashes left behind. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/timestamp.h"
#include "event.h"
#include "image_mount.h"
#include "images/snapshot.h"
#include "network/undo.h"
#include "pod.h"
#include "private.h"

#define GONE_TIMEOUT_MS 10000
#define GARBAGE_AGE_S 60 /* younger directories may be about to get their row */

static struct err *remove_files(struct engine *e, const char *id)
{
	struct store *store;
	_cleanup_free_ char *root_dir = xasprintf("%s/containers/%s", e->root, id),
			    *run_dir = xasprintf("%s/containers/%s", e->run, id);

	TRY(engine_store(e, &store));
	TRY(container_unmount(e, id, true));
	TRY(snapshot_remove(store, id));
	network_undo(run_dir,
		     id); /* the monitor may be about to do it, and would find nothing that says what */
	TRY(file_remove_tree_at(AT_FDCWD, run_dir));
	return file_remove_tree_at(AT_FDCWD, root_dir); /* last: the lock is in it */
}

static struct err *delete_rows(struct db *db, const char *id)
{
	static const char *const statements[] = {"DELETE FROM containers WHERE id=?",
						 "DELETE FROM endpoints WHERE container=?",
						 "DELETE FROM ports WHERE container=?"};
	struct err *error = db_begin(db);

	for (size_t i = 0; i < ARRAY_SIZE(statements) && !error; i++)
		error = db_run(db, NULL, statements[i], "s", id);
	if (!error)
		error = db_commit(db, false);
	if (error)
		db_rollback(db);
	return error;
}

struct err *container_destroy(struct engine *e, struct container *c, bool volumes)
{
	struct db *db;
	struct store *store;
	struct err *error;

	TRY(engine_db(e, &db));
	TRY(delete_rows(db, c->id));
	event_container(e, c, "destroy", NULL);
	error = engine_store(e, &store);
	if (!error)
		image_mounts_remove(store, c->id, c->spec);
	if (!error)
		error = remove_files(e, c->id);
	for (size_t i = 0; volumes && i < c->spec->n_mounts; i++) {
		const struct container_mount *m = &c->spec->mounts[i];
		if (!m->anonymous)
			continue;
		/* Others may have it by --volumes-from. */
		bool removed;
		struct err *second = volume_remove_unused(e, m->source, &removed);
		if (second && !error)
			error = second;
		else
			err_free(second);
	}
	return error ? err_wrap(error, "container %s is removed, but some of its files are not", c->name)
		     : NULL;
}

struct err *container_remove(struct engine *e, struct container *c, bool force, bool volumes)
{
	if (is_sandbox(c))
		return err_new(ERR_STATE, "%s is the sandbox of a pod; remove the pod with `pod rm`",
			       c->name);
	return container_remove_any(e, c, force, volumes);
}

struct err *container_remove_any(struct engine *e, struct container *c, bool force, bool volumes)
{
	_cleanup_fd_ int lock = -1;
	struct err *error;

	error = container_lock(e, c, &lock);
	if (error && error->kind == ERR_NOT_FOUND && c->spec->auto_remove && force) {
		err_free(error); /* somebody was faster, as was asked for */
		return NULL;
	}
	TRY(error);
	if (c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED) {
		if (!force)
			return err_new(ERR_STATE,
				       "cannot remove container %s: it is %s; stop it first, or use force",
				       c->name, container_status_name(c->status));
		TRY(restart_mark_stopped(c, true));
		TRY(container_kill_and_wait(e, c));
	}
	if (c->status == CONTAINER_RESTARTING) {
		if (!force)
			return err_new(
				ERR_STATE,
				"cannot remove container %s: it is restarting; stop it first, or use force",
				c->name);
		TRY(restart_cancel(e, c));
	}
	TRY(monitor_wait_gone(c->run_dir, GONE_TIMEOUT_MS));
	return container_destroy(e, c, volumes);
}

struct err *container_finish(struct engine *e, struct container *c, struct attach *a)
{
	_cleanup_fd_ int lock = -1;
	struct err *error;

	if (!c->spec->auto_remove || !attach_exited(a))
		return NULL;
	error = container_lock(e, c, &lock);
	if (error && error->kind == ERR_NOT_FOUND) {
		err_free(error);
		error = NULL;
	} else if (!error) {
		error = container_destroy(e, c, true);
	}
	attach_removed(a);
	return error;
}

struct err *container_cleanup(struct engine *e, const char *id)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_fd_ int lock = -1;
	struct err *error = container_by_id(e, id, &c);

	if (!error)
		error = container_lock(e, c, &lock);
	if (error && error->kind == ERR_NOT_FOUND) {
		err_free(error);
		return NULL;
	}
	TRY(error);
	if (!c->spec->auto_remove || c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED)
		return NULL;
	return container_destroy(e, c, true);
}

/* -- garbage --- */

static bool is_id(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* One that nobody holds, that is not young, and that has no row. */
static struct err *collect_one(struct engine *e, const char *id)
{
	_cleanup_free_ char *path = xasprintf("%s/containers/%s", e->root, id);
	_cleanup_fd_ int lock = -1;
	struct stat st;
	struct err *error;

	if (container_row_exists(e, id, &error) || error)
		return error;
	if (stat(path, &st) == 0) {
		if (time(NULL) - st.st_mtime < GARBAGE_AGE_S)
			return NULL;
		error = container_lock_dir(e, id, true, &lock);
		if (error) { /* busy, or just gone */
			err_free(error);
			return NULL;
		}
		if (container_row_exists(e, id, &error) || error)
			return error;
	}
	return remove_files(e, id);
}

static struct err *collect_directory(struct engine *e, const char *base)
{
	_cleanup_free_ char *path = xasprintf("%s/containers", base);
	DIR *dir = opendir(path);
	struct err *error = NULL;
	struct dirent *entry;

	if (!dir)
		return NULL;
	while (!error && (entry = readdir(dir)))
		if (is_id(entry->d_name))
			error = collect_one(e, entry->d_name);
	closedir(dir);
	return error;
}

/* A mount of an image whose container is gone, with its directory, which a maker has first. */
static struct err *collect_image_mount(struct engine *e, struct store *store, const char *key)
{
	char id[65];
	struct err *error;

	if (!image_mount_key(key, id) || container_row_exists(e, id, &error))
		return NULL;
	TRY(error);
	_cleanup_free_ char *path = xasprintf("%s/containers/%s", e->root, id);
	return access(path, F_OK) < 0 ? snapshot_remove(store, key) : NULL;
}

struct err *engine_collect_garbage(struct engine *e)
{
	struct store *store;
	_cleanup_strv_ char **keys = NULL;

	TRY(collect_directory(e, e->root));
	TRY(engine_store(e, &store));
	TRY(snapshot_list(store, &keys));
	STRV_FOREACH (key, keys) {
		_cleanup_free_ char *path = xasprintf("%s/containers/%s", e->root, *key);
		/* A snapshot whose directory exists was looked at above. */
		if (is_id(*key) && access(path, F_OK) < 0)
			TRY(collect_one(e, *key));
		TRY(collect_image_mount(e, store, *key));
	}
	return NULL;
}
