/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/user.h"
#include "event.h"
#include "images/archive.h"
#include "images/pull.h"
#include "images/short_names.h"
#include "private.h"
#include "runtime/rootless.h"

static char *default_dir(const char *system_path, const char *xdg_variable, const char *fallback)
{
	const char *xdg = getenv(xdg_variable), *home = getenv("HOME");

	if (user_is_root())
		return xstrdup(system_path);
	if (xdg && *xdg == '/')
		return xasprintf("%s/havre", xdg);
	return xasprintf("%s/%s/havre", home && *home == '/' ? home : "/tmp", fallback);
}

static struct err *absolute(const char *path, const char *what, char **ret)
{
	if (*path == '/') {
		*ret = xstrdup(path);
		return NULL;
	}
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_errno(errno, "cannot make the %s directory's path absolute", what);
	*ret = xasprintf("%s/%s", cwd, path);
	return NULL;
}

struct err *engine_open(const struct engine_options *o, struct engine **ret)
{
	struct engine *e = xnew(struct engine);
	struct err *error = NULL;

	if (o->root)
		error = absolute(o->root, "root", &e->root);
	else
		e->root = default_dir("/var/lib/havre", "XDG_DATA_HOME", ".local/share");
	if (!error && o->run)
		error = absolute(o->run, "run", &e->run);
	else if (!error)
		e->run = default_dir("/run/havre", "XDG_RUNTIME_DIR", ".cache");
	if (error) {
		engine_close(e);
		return error;
	}
	e->monitor = xstrdup_null(o->monitor);
	const char *driver = getenv("HAVRE_STORAGE_DRIVER");
	e->storage_driver = xstrdup_null(o->storage_driver ? o->storage_driver : driver);
	e->storage_reason =
		o->storage_driver ? "chosen by --storage-driver" : "chosen by HAVRE_STORAGE_DRIVER";
	e->init = xstrdup_null(o->init);
	e->program = xstrdup_null(o->program);
	e->embedded_image = o->embedded_image;
	e->embedded_image_size = o->embedded_image_size;
	e->embedded_reference = o->embedded_reference;
	*ret = e;
	return NULL;
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	if (e->store)
		store_close(e->store);
	if (e->db)
		db_close(e->db);
	free(e->root);
	free(e->run);
	free(e->monitor);
	free(e->storage_driver);
	free(e->init);
	free(e->program);
	free(e);
}

static void observe_image(void *user, const char *action, const char *id, const char *name)
{
	event_other(user, "image", action, id, "name", name ? name : id, NULL);
}

struct err *engine_store(struct engine *e, struct store **ret)
{
	if (!e->store) {
		_cleanup_free_ char *path = xasprintf("%s/images", e->root);
		TRY_WRAP(store_open(path, &e->store), "cannot open the image store %s", path);
		store_observe(e->store, observe_image, e);
		if (!str_empty(e->storage_driver))
			TRY(store_set_driver(e->store, e->storage_driver, e->storage_reason));
	}
	*ret = e->store;
	return NULL;
}

char *engine_rootless_dir(const struct engine *e)
{
	return xasprintf("%s/userns", e->run);
}

struct err *engine_enter_rootless(struct engine *e, char ***warnings)
{
	_cleanup_free_ char *dir = engine_rootless_dir(e);
	char uid[16];

	snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
	TRY(rt_rootless_enter(dir, warnings));
	if (setenv(USER_ROOTLESS_VARIABLE, uid, 1) < 0)
		return err_errno(errno, "cannot set " USER_ROOTLESS_VARIABLE);
	return NULL;
}

char *engine_state_root(const struct engine *e)
{
	return xasprintf("%s/runtime", e->run);
}

struct err *engine_program_path(const char *configured, const char *name, char **ret)
{
	char self[4096];

	if (configured) {
		*ret = xstrdup(configured);
		return NULL;
	}
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_errno(errno, "cannot find out where this program is (/proc/self/exe)");
	self[n] = '\0';
	if (!name) {
		*ret = xstrdup(self);
		return NULL;
	}
	char *slash = strrchr(self, '/');
	*ret = xasprintf("%.*s/%s", (int)(slash - self), self, name);
	return NULL;
}

/* -- images --- */

static struct err *load_embedded(struct engine *e, struct store *store, const struct progress *progress)
{
	_cleanup_fd_ int fd = memfd_create("embedded-image", MFD_CLOEXEC);
	_cleanup_strv_ char **lines = NULL;

	if (fd < 0)
		return err_errno(errno, "cannot make a file in memory for the embedded image");
	TRY(fd_write_full(fd, e->embedded_image, e->embedded_image_size, "embedded image"));
	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_errno(errno, "cannot rewind the embedded image");
	TRY_WRAP(archive_load(store, fd, NULL, progress, &lines),
		 "loading the image embedded in this program");
	return NULL;
}

static bool is_embedded(const struct engine *e, const char *image)
{
	struct reference asked = REFERENCE_NONE, own = REFERENCE_NONE;
	bool same = false;

	if (!e->embedded_image || !e->embedded_reference)
		return false;
	struct err *error = reference_parse(image, &asked);
	if (!error)
		error = reference_parse(e->embedded_reference, &own);
	if (error) {
		err_free(
			error); /* an image id, or nothing that could be pulled: whoever looks it up says so */
	} else {
		_cleanup_free_ char *a = reference_string(&asked), *b = reference_string(&own);
		same = str_eq(a, b);
	}
	reference_release(&asked);
	reference_release(&own);
	return same;
}

static struct err *pull(struct store *store, const struct container_spec *s, const struct progress *progress,
			struct image **ret)
{
	struct pull_options o = {
		.platform = platform_host(), .signature_policy = s->signature_policy, .progress = progress};
	_cleanup_short_name_ struct short_name names = {0};
	struct err *e = NULL;
	bool changed;

	if (s->platform)
		TRY(platform_parse(s->platform, &o.platform));
	TRY(short_name_resolve(s->image, &names));
	if (strv_len(names.names) > 1 && names.mode == SHORT_NAME_ENFORCING)
		return short_name_ambiguous(s->image, &names);
	STRV_FOREACH (name, names.names) {
		_cleanup_reference_ struct reference ref = REFERENCE_NONE;
		err_free(e);
		TRY(reference_parse(*name, &ref));
		e = image_pull(store, &ref, &o, ret, &changed);
		if (!e || e->kind == ERR_CANCELLED || e->kind == ERR_NO_SPACE)
			return e;
	}
	return e;
}

static bool platform_matches(const struct image *image, const struct platform *wanted)
{
	return str_eq(image->platform.os, wanted->os) &&
	       str_eq(image->platform.architecture, wanted->architecture) &&
	       (!wanted->variant[0] || str_eq(image->platform.variant, wanted->variant));
}

struct err *engine_ensure_image(struct engine *e, const struct container_spec *s,
				const struct progress *progress, struct image **ret)
{
	struct store *store;
	struct err *error;

	TRY(engine_store(e, &store));
	if (s->pull == PULL_ALWAYS && !is_embedded(e, s->image))
		return pull(store, s, progress, ret);
	error = store_find(store, s->image, ret);
	if (!error && s->platform) {
		struct platform wanted;
		TRY(platform_parse(s->platform, &wanted));
		if (!platform_matches(*ret, &wanted)) {
			image_free(*ret);
			*ret = NULL;
			if (s->pull == PULL_NEVER)
				return err_new(ERR_NOT_FOUND, "the local image \"%s\" is not for platform %s",
					       s->image, s->platform);
			return pull(store, s, progress, ret);
		}
	}
	if (!error || error->kind != ERR_NOT_FOUND)
		return error;
	if (is_embedded(e, s->image)) {
		err_free(error);
		TRY(load_embedded(e, store, progress));
		return store_find(store, s->image, ret);
	}
	if (s->pull == PULL_NEVER)
		return error;
	err_free(error);
	return pull(store, s, progress, ret);
}

struct err *engine_remove_image(struct engine *e, const char *what, bool force, char ***ret_lines)
{
	struct store *store;
	struct db *db;
	_cleanup_image_ struct image *image = NULL;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row;

	TRY(engine_store(e, &store));
	TRY(store_find(store, what, &image));
	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT id FROM containers WHERE image=? LIMIT 1", "s", image->id.s));
	TRY(db_step(stmt, &row));
	/* A name among several may go; the content may not while a container's snapshot stands on it. */
	if (row && !(strv_len(image->names) > 1 && !str_starts(image->id.s, what) &&
		     !str_starts(digest_hex(&image->id), what))) {
		_cleanup_container_ struct container *c = NULL;
		TRY(container_by_id(e, db_column_text(stmt, 0), &c));
		bool running = c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED;
		if (!force || running)
			return err_new(ERR_STATE,
				       "cannot remove image \"%s\": %s container %.12s (%s) uses it; remove "
				       "that container first%s",
				       what, running ? "running" : "stopped", c->id, c->name,
				       running ? "" : ", or use force");
	}
	db_done(TAKE_PTR(stmt));
	return store_remove(store, what, force, ret_lines);
}
