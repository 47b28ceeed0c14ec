/* SPDX-License-Identifier: Apache-2.0 */
/* What was asked for of a volume that was made by hand: ROOT/volumes/NAME/volume.json beside its _data. A volume that a container brought
 * along has none: no labels, no options, and the directory's own date. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/timestamp.h"
#include "event.h"
#include "private.h"

static struct err *pairs_from_json(const struct json_cursor *doc, const char *key, char ***ret)
{
	struct json_cursor object, member;

	TRY(json_get_object(doc, key, JSON_OPTIONAL, &object));
	struct json_iter it = json_iter(&object);
	while (json_next(&it, &member)) {
		const char *value;
		TRY(json_as_string(&member, &value));
		strv_push_take(ret, xasprintf("%s=%s", member.key, value));
	}
	return NULL;
}

static struct err *read_record(int dir, struct volume *v)
{
	_cleanup_json_ struct json *doc = NULL;
	struct err *e = json_parse_file_at(dir, "volume.json", &doc);

	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	struct json_cursor root = json_root(doc);
	TRY(json_get_i64(&root, "created_ns", JSON_REQUIRED, 0, INT64_MAX, &v->created_ns));
	TRY(pairs_from_json(&root, "labels", &v->labels));
	return pairs_from_json(&root, "options", &v->options);
}

struct err *volume_read(struct engine *e, const char *name, struct volume *ret)
{
	_cleanup_free_ char *path = xasprintf("%s/volumes/%s", e->root, name);
	_cleanup_fd_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct volume v = {0};
	struct stat st;

	if (dir < 0 || fstatat(dir, "_data", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return err_new(ERR_NOT_FOUND, "no such volume: %s", name);
		return err_errno(errno, "cannot open volume %s", name);
	}
	struct statx times;
	if (statx(dir, "", AT_EMPTY_PATH, STATX_BTIME | STATX_MTIME, &times) == 0) {
		const struct statx_timestamp *t =
			times.stx_mask & STATX_BTIME ? &times.stx_btime : &times.stx_mtime;
		v.created_ns = t->tv_sec * 1000000000LL + t->tv_nsec;
	}
	struct err *bad = read_record(dir, &v);
	if (bad) {
		volume_release(&v);
		return err_wrap(bad, "reading what was asked for of volume %s", name);
	}
	v.name = xstrdup(name);
	v.path = xasprintf("%s/_data", path);
	v.generated = volume_name_is_generated(name);
	*ret = v;
	return NULL;
}

void volume_release(struct volume *v)
{
	free(v->name);
	free(v->path);
	strv_free(v->labels);
	strv_free(v->options);
	*v = (struct volume){0};
}

/* -- making one ------------------------------------------------------------------------------------------------- */

static const char *option(char *const *options, const char *key)
{
	size_t n = strlen(key);

	STRV_FOREACH (o, options)
		if (strncmp(*o, key, n) == 0 && (*o)[n] == '=')
			return *o + n + 1;
	return NULL;
}

/* The options of docker's driver "local": what mount(8) would be given. */
static struct err *check_options(const struct volume *v)
{
	STRV_FOREACH (o, v->options) {
		if (!str_starts(*o, "type=") && !str_starts(*o, "device=") && !str_starts(*o, "o="))
			return err_new(ERR_INVALID,
				       "invalid option \"%.64s\" of volume %s: there are type, device and o",
				       *o, v->name);
	}
	const char *type = option(v->options, "type"), *device = option(v->options, "device");
	if (!v->options)
		return NULL;
	if (!device || !*device)
		return err_new(ERR_INVALID, "missing option of volume %s: device", v->name);
	if (!type || !*type)
		return err_new(ERR_INVALID, "missing option of volume %s: type", v->name);
	return NULL;
}

/* Whole under another name before it gets its own. *ret_exists: somebody was quicker. */
static struct err *put(struct engine *e, const struct volume *v, bool *ret_exists)
{
	_cleanup_free_ char *base = xasprintf("%s/volumes", e->root), *text = NULL;
	_cleanup_json_ struct json *doc = json_new_object();
	_cleanup_fd_ int parent = -1, dir = -1;
	_cleanup_free_ char *made =
		xasprintf(".gone-%s", v->name); /* what a removal that was killed leaves, too */

	json_set_i64(doc, "created_ns", v->created_ns);
	json_set(doc, "labels", json_new_pairs(v->labels));
	json_set(doc, "options", json_new_pairs(v->options));
	text = json_print(doc, JSON_COMPACT);
	TRY(file_mkdir_p(base, 0711));
	parent = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return err_errno(errno, "cannot open %s", base);
	TRY(file_remove_tree_at(parent, made));
	if (mkdirat(parent, made, 0711) < 0)
		return err_errno(errno, "cannot make a directory in %s", base);
	dir = openat(parent, made, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || mkdirat(dir, "_data", 0755) < 0)
		return err_errno(errno, "cannot make volume %s", v->name);
	TRY(file_replace_at(dir, "volume.json", text, strlen(text), 0600, FILE_DURABLE));
	*ret_exists = false;
	if (renameat2(parent, made, parent, v->name, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST)
			return err_errno(errno, "cannot make volume %s", v->name);
		*ret_exists = true;
		return file_remove_tree_at(parent, made);
	}
	return file_sync_dir(parent, base);
}

/* One that exists stays as it is; other options than its own would go unheard, and are an error. */
static struct err *same_as(struct engine *e, const struct volume *v)
{
	struct volume there = {0};

	TRY(volume_read(e, v->name, &there));
	_cleanup_free_ char *asked = strv_join(v->options, "\n"), *has = strv_join(there.options, "\n");
	bool same = !v->options || str_eq(asked, has);
	volume_release(&there);
	return same ? NULL : err_new(ERR_EXISTS, "volume %s exists with other options", v->name);
}

struct err *volume_create(struct engine *e, const char *name, char *const *labels, char *const *options,
			  char **ret_name)
{
	char generated[65];
	struct db *db;
	bool exists = false;

	if (!name)
		id_generate(generated);
	else
		TRY(volume_name_check(name));
	struct volume v = {
		.name = (char *)(uintptr_t)(name ? name : generated),
		.labels = (char **)(uintptr_t)labels,
		.options = (char **)(uintptr_t)options,
		.created_ns = timestamp_now_ns(),
	};
	TRY(check_options(&v));
	TRY(engine_db(e, &db));
	TRY(db_begin(db)); /* nothing is written: making and removing wait for each other */
	struct err *error = put(e, &v, &exists);
	db_rollback(db);
	TRY(error);
	if (exists)
		TRY(same_as(e, &v));
	else
		event_other(e, "volume", "create", v.name, "driver", "local", NULL);
	*ret_name = xstrdup(v.name);
	return NULL;
}

/* -- its mount -------------------------------------------------------------------------------------------------- */

/* "type=none,o=bind,device=/srv" is a bind mount; a network file system's server is in `o` and has to be resolved, which is mount.nfs's
 * work, not ours. */
struct err *volume_mount(const struct volume *v, char **ret_type, char **ret_source, char **ret_options)
{
	const char *type = option(v->options, "type"), *device = option(v->options, "device"),
		   *o = option(v->options, "o");
	bool bind = false;
	_cleanup_strv_ char **list = o ? strv_split(o, ",") : NULL;

	if (!v->options) {
		*ret_type = NULL;
		return NULL;
	}
	STRV_FOREACH (l, list) {
		bind = bind || str_eq(*l, "bind") || str_eq(*l, "rbind");
		if (str_starts(*l, "addr=") && !strpbrk(*l, "0123456789:"))
			return err_new(ERR_INVALID, "volume %s: \"%s\" must be an IP address", v->name, *l);
	}
	if (bind && access(device, F_OK) < 0)
		return err_errno(errno, "cannot mount volume %s: device %s", v->name, device);
	*ret_type = xstrdup(bind ? "bind" : type);
	*ret_source = xstrdup(device);
	*ret_options = xstrdup(o ?: "");
	return NULL;
}
