/* SPDX-License-Identifier: Apache-2.0 */
#include "userns.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/securebits.h>

#include "base/user.h"
#include "fd_from_child.h"
#include "images/snapshot.h"

#define MAPS_MAX 340 /* lines of a uid_map file */
#define AUTO_SIZE 65536u
/* Where nobody has subordinate ids: above those that useradd gives. root's /etc/subuid may name others, for "havre" or "containers". */
#define AUTO_FIRST 0x40000000u
#define AUTO_COUNT 0x20000000u

struct map {
	uint32_t inside, outside, size;
};

static struct err *parse(const char *text, struct map *ret)
{
	_cleanup_strv_ char **p = strv_split(text, ":");
	uint32_t *numbers[] = {&ret->inside, &ret->outside, &ret->size};

	if (strv_len(p) == 2)
		strv_push(&p, "1");
	if (strv_len(p) != 3)
		return err_new(ERR_INVALID, "id map \"%.64s\": write CONTAINER:HOST:SIZE", text);
	for (size_t i = 0; i < 3; i++) {
		uint64_t n;
		TRY_WRAP(parse_u64(p[i], "id", i == 2, UINT32_MAX - 1, &n), "id map \"%.64s\"", text);
		*numbers[i] = (uint32_t)n;
	}
	if ((uint64_t)ret->inside + ret->size > UINT32_MAX || (uint64_t)ret->outside + ret->size > UINT32_MAX)
		return err_new(ERR_INVALID, "id map \"%.64s\" goes beyond the last id", text);
	return NULL;
}

static struct err *check_map(char *const *map, const char *flag)
{
	struct map m;
	bool root = false;

	if (strv_len(map) > MAPS_MAX)
		return err_new(ERR_LIMIT, "%s: more than %d ranges", flag, MAPS_MAX);
	STRV_FOREACH (text, map) {
		TRY_WRAP(parse(*text, &m), "%s", flag);
		root |= m.inside == 0;
	}
	if (map && !root)
		return err_new(ERR_INVALID, "%s: id 0 of the container is not mapped", flag);
	return NULL;
}

bool userns_wanted(const struct container_spec *s)
{
	return s->uid_map || (s->userns_mode && str_starts(s->userns_mode, "auto"));
}

/* The first range of a name in /etc/subuid or /etc/subgid; false: none. */
static bool subordinate(const char *file, const char *name, uint32_t *ret_first, uint32_t *ret_count)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct err *error = file_read(file, 1u << 20, &text, &size);

	if (error) {
		err_free(error);
		return false;
	}
	_cleanup_strv_ char **lines = strv_split(text, "\n");
	STRV_FOREACH (l, lines) {
		_cleanup_strv_ char **p = strv_split(*l, ":");
		uint64_t first, count;
		if (strv_len(p) != 3 || !str_eq(p[0], name))
			continue;
		error = parse_u64(p[1], "id", 0, UINT32_MAX - 1, &first);
		if (!error)
			error = parse_u64(p[2], "count", 1, UINT32_MAX - 1, &count);
		if (!error) {
			*ret_first = (uint32_t)first;
			*ret_count = (uint32_t)count;
			return true;
		}
		err_free(error);
	}
	return false;
}

static struct err *use_name(const char *file, const char *name, const char *flag, char ***map)
{
	uint32_t first, count;

	if (!name)
		return NULL;
	if (*map)
		return err_new(ERR_INVALID, "%s and a map of ids exclude each other", flag);
	if (!subordinate(file, name, &first, &count))
		return err_new(ERR_NOT_FOUND, "%s %s: %s has no range of that name", flag, name, file);
	strv_push_take(map, xasprintf("0:%u:%u", first, count));
	return NULL;
}

static struct err *auto_size(const char *mode, uint32_t *ret)
{
	uint64_t size = AUTO_SIZE;

	if (str_starts(mode, "auto:size="))
		TRY_WRAP(parse_u64(mode + strlen("auto:size="), "size", 1, 1u << 24, &size), "--userns %s",
			 mode);
	else if (!str_eq(mode, "auto"))
		return err_new(ERR_UNSUPPORTED, "--userns %.64s: of podman's options there is auto:size=N",
			       mode);
	*ret = (uint32_t)size;
	return NULL;
}

struct err *userns_check(struct container_spec *s, char ***warnings)
{
	uint32_t size;

	(void)warnings;
	if (s->userns_mode && str_starts(s->userns_mode, "keep-id"))
		return err_new(
			ERR_UNSUPPORTED,
			user_is_root()
				? "keep-id is only for ordinary users: root keeps its id with --userns host"
				: "--userns keep-id is not available: root of the container is you");
	TRY(use_name("/etc/subuid", s->subuid_name, "--subuidname", &s->uid_map));
	TRY(use_name("/etc/subgid", s->subgid_name ? s->subgid_name : s->subuid_name, "--subgidname",
		     &s->gid_map));
	if (s->userns_mode && str_starts(s->userns_mode, "auto"))
		TRY(auto_size(s->userns_mode, &size));
	if (userns_wanted(s) && !user_is_root())
		return err_new(ERR_UNSUPPORTED, "--userns and id maps need root: an ordinary user's "
						"containers have a map of their own already");
	if (s->uid_map && s->userns_mode && !str_eq(s->userns_mode, "private"))
		return err_new(ERR_INVALID, "--userns %s and a map of ids exclude each other",
			       s->userns_mode);
	if (!s->uid_map != !s->gid_map) { /* the one that is missing is the same */
		if (s->uid_map)
			s->gid_map = strv_dup(s->uid_map);
		else
			s->uid_map = strv_dup(s->gid_map);
	}
	TRY(check_map(s->uid_map, "--uidmap"));
	TRY(check_map(s->gid_map, "--gidmap"));
	if (userns_wanted(s) && s->privileged)
		return err_new(ERR_INVALID,
			       "--privileged and a user namespace exclude each other: use --userns host");
	if (userns_wanted(s) && s->rootfs)
		return err_new(
			ERR_UNSUPPORTED,
			"--rootfs with a user namespace: its files have this machine's ids; use an image");
	return NULL;
}

/* -- a range for auto --- */

static bool overlaps(char *const *map, uint32_t first, uint32_t size, uint32_t *ret_end)
{
	STRV_FOREACH (text, map) {
		struct map m;
		struct err *error = parse(*text, &m);
		if (error) {
			err_free(error);
			continue;
		}
		if (first < m.outside + m.size && m.outside < first + size) {
			*ret_end = m.outside + m.size;
			return true;
		}
	}
	return false;
}

/* Tries the ranges behind those of others, which is at most as often as there are containers. */
static struct err *choose(struct container_spec *others, size_t n, uint32_t base, uint32_t count,
			  uint32_t size, uint32_t *ret)
{
	uint64_t first = base;

	for (bool again = true; again;) {
		again = false;
		if (first + size > (uint64_t)base + count)
			return err_new(ERR_LIMIT,
				       "--userns auto: no %u ids in a row are free between %u and %llu", size,
				       base, (unsigned long long)base + count);
		for (size_t i = 0; i < n && !again; i++) {
			uint32_t end;
			if (!overlaps(others[i].uid_map, (uint32_t)first, size, &end))
				continue;
			first = end;
			again = true;
		}
	}
	*ret = (uint32_t)first;
	return NULL;
}

static struct err *read_others(struct db *db, struct container_spec **list, size_t *n)
{
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	size_t cap = 0;
	bool row;

	TRY(db_query(db, &stmt, "SELECT spec FROM containers WHERE spec LIKE '%\"uid_map\"%'", ""));
	while (true) {
		_cleanup_json_ struct json *doc = NULL;
		TRY(db_step(stmt, &row));
		if (!row)
			return NULL;
		const char *text = db_column_text(stmt, 0);
		TRY(json_parse(text, strlen(text), "stored specification", &doc));
		GROW(*list, *n, cap);
		TRY(container_spec_from_json(doc, &(*list)[*n]));
		(*n)++;
	}
}

struct err *userns_allocate(struct engine *e, struct container *c)
{
	struct container_spec *s = c->spec, *others = NULL;
	uint32_t size, first = 0, base = AUTO_FIRST, count = AUTO_COUNT;
	struct db *db;
	size_t n = 0;

	if (!s->userns_mode || !str_starts(s->userns_mode, "auto") || s->uid_map)
		return NULL;
	TRY(auto_size(s->userns_mode, &size));
	TRY(engine_db(e, &db));
	if (!subordinate("/etc/subuid", "havre", &base, &count) &&
	    !subordinate("/etc/subuid", "containers", &base, &count))
		base = AUTO_FIRST, count = AUTO_COUNT;
	struct err *error = read_others(db, &others, &n);
	if (!error)
		error = choose(others, n, base, count, size, &first);
	for (size_t i = 0; i < n; i++)
		container_spec_release(&others[i]);
	free(others);
	TRY(error);
	strv_push_take(&s->uid_map, xasprintf("0:%u:%u", first, size));
	s->gid_map = strv_dup(s->uid_map);
	return NULL;
}

struct err *userns_mappings(char *const *map, struct json **ret)
{
	_cleanup_json_ struct json *list = json_new_array();

	STRV_FOREACH (text, map) {
		struct map m;
		TRY(parse(*text, &m));
		struct json *o = json_new_object();
		json_set_i64(o, "containerID", m.inside);
		json_set_i64(o, "hostID", m.outside);
		json_set_i64(o, "size", m.size);
		json_append(list, o);
	}
	*ret = TAKE_PTR(list);
	return NULL;
}

/* -- the root, mapped --- */

static struct err *write_map(pid_t pid, const char *file, char *const *map)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", (int)pid, file);
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	STRV_FOREACH (text, map) {
		struct map m;
		TRY(parse(*text, &m));
		strbuf_printf(&b, "%u %u %u\n", m.inside, m.outside, m.size);
	}
	if (fd < 0 || write(fd, b.data, b.len) != (ssize_t)b.len)
		return err_errno(errno, "cannot map ids (%s)", path);
	return NULL;
}

/* A user namespace that stands for the map: of a child that ends at once. */
static struct err *make_userns(const struct container_spec *s, int *ret_fd)
{
	int ready[2];
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_errno(errno, "cannot make a pipe");
	pid_t pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		byte = unshare(CLONE_NEWUSER) == 0;
		(void)!write(ready[1], &byte, 1);
		while (true)
			pause();
	}
	close(ready[1]);
	struct err *error = pid < 0 ? err_errno(errno, "cannot fork") : NULL;
	if (!error && (read(ready[0], &byte, 1) != 1 || !byte))
		error = err_new(ERR_UNSUPPORTED, "this kernel gives no user namespaces");
	close(ready[0]);
	if (!error)
		error = write_map(pid, "uid_map", s->uid_map);
	if (!error)
		error = write_map(pid, "gid_map", s->gid_map);
	if (!error) {
		_cleanup_free_ char *path = xasprintf("/proc/%d/ns/user", (int)pid);
		*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (*ret_fd < 0)
			error = err_errno(errno, "cannot open %s", path);
	}
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	return error;
}

static uint32_t outside_root(char *const *map)
{
	STRV_FOREACH (text, map) {
		struct map m;
		struct err *error = parse(*text, &m);
		if (!error && m.inside == 0)
			return m.outside;
		err_free(error);
	}
	return 0; /* userns_check has seen one */
}

/* overlayfs makes files of its own as whoever mounted it, and ids that are not mapped can make none. All capabilities stay. */
static struct err *become_mapped_root(const struct container_spec *s)
{
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0)
		return err_errno(errno, "cannot keep capabilities");
	(void)setfsgid(outside_root(s->gid_map));
	(void)setfsuid(outside_root(s->uid_map));
	return NULL;
}

struct mapped {
	struct engine *engine;
	const struct container *c;
	unsigned flags;
};

/* In a mount namespace that ends with us the store lies over itself, mapped: the paths of the layers are the usual ones. */
static struct err *mount_mapped(void *user, int *ret_fd)
{
	const struct mapped *m = user;
	_cleanup_free_ char *images = xasprintf("%s/images", m->engine->root);
	_cleanup_fd_ int userns = -1, tree = -1;
	struct store *store;

	TRY(engine_store(m->engine, &store));
	TRY(make_userns(m->c->spec, &userns));
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(errno, "cannot make a mount namespace");
	tree = open_tree(AT_FDCWD, images, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_errno(
			errno,
			"cannot map the ids of %s: its file system or this kernel has no idmapped mounts",
			images);
	if (move_mount(tree, "", AT_FDCWD, images, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot mount over %s", images);
	TRY(become_mapped_root(m->c->spec));
	return snapshot_mount_fd(store, m->c->id, m->flags, ret_fd);
}

struct err *userns_mount_snapshot(struct engine *e, const struct container *c, unsigned flags, int *ret_fd)
{
	struct mapped m = {.engine = e, .c = c, .flags = flags};

	return fd_from_child(mount_mapped, &m, ret_fd);
}
