/* SPDX-License-Identifier: Apache-2.0 */
#include "rootless.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/user.h"
#include "procfs.h"
#include "state.h"
#include "userns.h"

bool rootless_user(void)
{
	return getauxval(AT_EUID) != 0;
}

bool rootless_confined(int proc_fd)
{
	char text[256];
	if (rootless_user())
		return true;
	_cleanup_fd_ int fd = openat(proc_fd, "self/uid_map", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return !user_map_is_whole(text);
}

char *rootless_state_root(void)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	_cleanup_fd_ int proc_fd = -1;
	bool confined = rootless_user();
	/* Root's own is /run/user/0. With another one this may be root in a user's namespace, who cannot write to /run. */
	if (!confined && !str_empty(run) && !str_eq(run, "/run/user/0")) {
		struct err *e = procfs_open(&proc_fd);
		confined = !e && rootless_confined(proc_fd);
		err_free(e);
	}
	if (!confined)
		return xstrdup(STATE_ROOT_DEFAULT);
	return str_empty(run) ? xasprintf("/run/user/%u/havre-runtime", geteuid())
			      : xasprintf("%s/havre-runtime", run);
}

/* -- subordinate ids ---------------------------------------------------------------------------------------- */

static bool is_owner(const char *field, const char *name, uid_t uid)
{
	uint64_t number;
	if (name && str_eq(field, name))
		return true;
	struct err *e = parse_u64(field, "uid", 0, UINT32_MAX - 1, &number);
	bool same = !e && number == uid;
	err_free(e);
	return same;
}

static bool parse_range(const char *first, const char *count, struct subid_range *ret)
{
	uint64_t f = 0, n = 0;
	struct err *e = parse_u64(first, "id", 1, UINT32_MAX - 1, &f);
	if (!e)
		e = parse_u64(count, "count", 1, UINT32_MAX - 1 - f, &n);
	bool good = !e;
	err_free(e);
	*ret = (struct subid_range){(uint32_t)f, (uint32_t)n};
	return good;
}

size_t subid_parse(const char *text, const char *name, uid_t uid, struct subid_range *ret, size_t max)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *rest = copy, *line;
	size_t n = 0;
	while (n < max && (line = strsep(&rest, "\n"))) {
		char *owner = strsep(&line, ":"), *first = strsep(&line, ":"), *count = line;
		if (first && count && is_owner(owner, name, uid) && parse_range(first, count, &ret[n]))
			n++;
	}
	return n;
}

/* The name of a user in /etc/passwd: we are linked statically, so there is no other way, and newuidmap checks what we ask for. */
static char *user_name(uid_t uid)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct err *e = file_read("/etc/passwd", 8u << 20, &text, &size);
	char *rest = e ? NULL : text, *line;
	err_free(e);
	while ((line = strsep(&rest, "\n"))) {
		char *name = strsep(&line, ":");
		(void)strsep(&line, ":");
		char *id = strsep(&line, ":");
		if (id && is_owner(id, NULL, uid))
			return xstrdup(name);
	}
	return NULL;
}

static size_t subids_of(const char *path, const char *name, uid_t uid, struct subid_range *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct err *e = file_read(path, 8u << 20, &text, &size);
	size_t n = e ? 0 : subid_parse(text, name, uid, ret, SUBID_RANGES_MAX);
	err_free(e);
	return n;
}

/* -- the maps ----------------------------------------------------------------------------------------------- */

static void make_maps(struct spec_id_map *list, size_t *ret_n, uint32_t inside, uint32_t own,
		      const struct subid_range *ranges, size_t n)
{
	uint32_t next = 1;
	list[0] = (struct spec_id_map){n ? 0 : inside, own, 1};
	*ret_n = 1;
	for (size_t i = 0; i < n && ranges[i].count < UINT32_MAX - next; i++) {
		list[(*ret_n)++] = (struct spec_id_map){next, ranges[i].first, ranges[i].count};
		next += ranges[i].count;
	}
}

void rootless_maps_of_caller(struct rootless_maps *ret, uint32_t uid, uint32_t gid, char ***warnings)
{
	struct subid_range uids[SUBID_RANGES_MAX], gids[SUBID_RANGES_MAX];
	_cleanup_free_ char *name = user_name(geteuid());
	size_t n_uids = subids_of("/etc/subuid", name, geteuid(), uids);
	size_t n_gids = subids_of("/etc/subgid", name, geteuid(), gids);
	const char *lacking = !n_uids   ? "/etc/subuid has no range of this user"
			      : !n_gids ? "/etc/subgid has no range of this user"
					: userns_mappers_missing();
	if (lacking) {
		n_uids = n_gids = 0;
		strv_push_take(warnings,
			       xasprintf("only one user id and one group id are mapped: %s", lacking));
	}
	ret->maps = (struct spec_id_maps){.uid = ret->uid, .gid = ret->gid};
	make_maps(ret->uid, &ret->maps.n_uid, uid, geteuid(), uids, n_uids);
	make_maps(ret->gid, &ret->maps.n_gid, gid, getegid(), gids, n_gids);
}

/* -- the configuration -------------------------------------------------------------------------------------- */

static struct json *maps_json(const struct spec_id_map *maps, size_t n)
{
	struct json *list = json_new_array();
	for (size_t i = 0; i < n; i++) {
		struct json *map = json_new_object();
		json_set_u64(map, "containerID", maps[i].container_id);
		json_set_u64(map, "hostID", maps[i].host_id);
		json_set_u64(map, "size", maps[i].size);
		json_append(list, map);
	}
	return list;
}

/* The mappings that the caller can have. */
static void set_maps(struct json *linux_, uint32_t uid, uint32_t gid, char ***warnings)
{
	struct rootless_maps m;
	rootless_maps_of_caller(&m, uid, gid, warnings);
	json_set(linux_, "uidMappings", maps_json(m.uid, m.maps.n_uid));
	json_set(linux_, "gidMappings", maps_json(m.gid, m.maps.n_gid));
}

static struct err *has_user_namespace(const struct json_cursor *list, bool *ret_any, bool *ret_joined)
{
	for (size_t i = 0, n = json_array_len(list); i < n; i++) {
		struct json_cursor e = json_at(list, i);
		const char *type = NULL, *path = NULL;
		TRY(json_get_string(&e, "type", JSON_OPTIONAL, &type));
		TRY(json_get_string(&e, "path", JSON_OPTIONAL, &path));
		if (!str_eq(type, "user"))
			continue;
		*ret_any = true;
		*ret_joined = !str_empty(path);
	}
	return NULL;
}

static struct err *process_ids(const struct json_cursor *root, uint32_t *ret_uid, uint32_t *ret_gid)
{
	struct json_cursor process, user = {0};
	TRY(json_get_object(root, "process", JSON_OPTIONAL, &process));
	if (process.value)
		TRY(json_get_object(&process, "user", JSON_OPTIONAL, &user));
	if (!user.value)
		return NULL;
	TRY(json_get_u32(&user, "uid", JSON_OPTIONAL, ret_uid));
	return json_get_u32(&user, "gid", JSON_OPTIONAL, ret_gid);
}

struct err *rootless_adapt(struct json **config, bool *ret_own_maps, char ***warnings)
{
	_cleanup_json_ struct json *copy = NULL;
	struct json_cursor root = json_root(*config), linux_, list, maps;
	bool present = false, joined = false;
	uint32_t uid = 0, gid = 0;
	if (json_kind(&root) != JSON_OBJECT)
		return NULL; /* spec_parse says what is wrong */
	TRY_WRAP(json_get_object(&root, "linux", JSON_OPTIONAL, &linux_), "config.json");
	if (linux_.value)
		TRY_WRAP(json_get_array(&linux_, "namespaces", JSON_OPTIONAL, &list), "config.json");
	if (!linux_.value || !list.value)
		return NULL;
	TRY_WRAP(has_user_namespace(&list, &present, &joined), "config.json");
	TRY_WRAP(json_get(&linux_, "uidMappings", JSON_OPTIONAL, &maps), "config.json");
	if (joined || (present ? json_array_len(&maps) > 0 : !rootless_user()))
		return NULL;
	TRY_WRAP(process_ids(&root, &uid, &gid), "config.json");
	copy = json_deep_copy(*config);
	root = json_root(copy);
	TRY(json_get_object(&root, "linux", JSON_REQUIRED, &linux_));
	TRY(json_get_array(&linux_, "namespaces", JSON_REQUIRED, &list));
	if (!present) {
		struct json *o = json_new_object();
		json_set_string(o, "type", "user");
		json_append(list.value, o);
	}
	set_maps(linux_.value, uid, gid, warnings);
	json_unref(*config);
	*config = TAKE_PTR(copy);
	*ret_own_maps = true;
	return NULL;
}
