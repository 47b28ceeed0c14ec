/* SPDX-License-Identifier: Apache-2.0 */
/* Which volumes there are, who has them, and what they take. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event.h"
#include "private.h"

#define TREE_DEPTH_MAX 256

void volumes_free(struct volume *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		volume_release(&v[i]);
	free(v);
}

/* Names that were made for volumes without one (create.c). */
bool volume_name_is_generated(const char *name)
{
	return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

/* Depth-first; owns fd. What vanishes meanwhile takes nothing. */
static uint64_t tree_bytes(int fd, unsigned depth)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *d;
	uint64_t bytes = 0;

	if (!dir) {
		close(fd);
		return 0;
	}
	while ((d = readdir(dir))) {
		struct stat st;
		if (str_eq(d->d_name, ".") || str_eq(d->d_name, "..") ||
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!S_ISDIR(st.st_mode)) {
			bytes += (uint64_t)st.st_size / (st.st_nlink ? st.st_nlink : 1);
			continue;
		}
		int sub =
			depth ? openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
			      : -1;
		if (sub >= 0)
			bytes += tree_bytes(sub, depth - 1);
	}
	closedir(dir);
	return bytes;
}

static bool has_volume(const struct container *c, const char *name)
{
	for (size_t k = 0; k < c->spec->n_mounts; k++)
		if (c->spec->mounts[k].type == MOUNT_VOLUME && str_eq(c->spec->mounts[k].source, name))
			return true;
	return false;
}

static size_t count_links(struct container *const *containers, size_t n, const char *name)
{
	size_t links = 0;

	for (size_t i = 0; i < n; i++)
		links += has_volume(containers[i], name);
	return links;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct volume *)a)->name, ((const struct volume *)b)->name);
}

static struct err *list(struct engine *e, struct container *const *containers, size_t n_containers,
			struct volume **v, size_t *n)
{
	_cleanup_free_ char *base = xasprintf("%s/volumes", e->root);
	DIR *dir = opendir(base);
	const struct dirent *d;
	size_t cap = 0;

	if (!dir && errno == ENOENT)
		return NULL;
	if (!dir)
		return err_errno(errno, "cannot list %s", base);
	while ((d = readdir(dir))) {
		struct volume one = {0};
		struct err *bad = volume_name_check(d->d_name);
		if (!bad)
			bad = volume_read(e, d->d_name, &one);
		if (bad && (bad->kind == ERR_INVALID || bad->kind == ERR_NOT_FOUND)) {
			err_free(bad); /* not a volume, or one being removed */
			continue;
		}
		if (bad) {
			closedir(dir);
			return bad;
		}
		one.links = count_links(containers, n_containers, d->d_name);
		GROW(*v, *n, cap);
		(*v)[(*n)++] = one;
	}
	closedir(dir);
	if (*n)
		qsort(*v, *n, sizeof(**v), by_name);
	return NULL;
}

struct err *volume_list(struct engine *e, struct volume **ret, size_t *ret_n)
{
	struct container **containers = NULL;
	size_t n_containers = 0, n = 0;
	struct volume *v = NULL;

	TRY(container_list(e, true, &containers, &n_containers));
	struct err *error = list(e, containers, n_containers, &v, &n);
	for (size_t i = 0; i < n_containers; i++)
		container_free(containers[i]);
	free(containers);
	if (error) {
		volumes_free(v, n);
		return error;
	}
	*ret = v;
	*ret_n = n;
	return NULL;
}

uint64_t volume_bytes(const struct volume *v)
{
	int fd = open(v->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? 0 : tree_bytes(fd, TREE_DEPTH_MAX);
}

/* -- removing those that nobody has --- */

/* A name in quotes anywhere in a stored specification: more than needed is kept, never less. */
struct err *volume_is_wanted(struct db *db, const char *name, bool *ret)
{
	_cleanup_free_ char *quoted = xasprintf("\"%s\"", name);
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;

	TRY(db_query(db, &stmt, "SELECT 1 FROM containers WHERE instr(spec, ?) LIMIT 1", "s", quoted));
	return db_step(stmt, ret);
}

/* Out of its place while nobody can make a container (the transaction), so that none is made with a volume that is half removed. */
static struct err *set_aside(struct engine *e, struct db *db, const char *name, bool *ret_removed)
{
	_cleanup_free_ char *path = xasprintf("%s/volumes/%s", e->root, name),
			    *gone = xasprintf("%s/volumes/.gone-%s", e->root, name);
	bool wanted;

	TRY(volume_is_wanted(db, name, &wanted));
	*ret_removed = !wanted;
	if (wanted)
		return NULL;
	TRY(file_remove_tree_at(AT_FDCWD, gone)); /* of one that was killed */
	if (rename(path, gone) < 0 && errno != ENOENT)
		return err_errno(errno, "cannot remove volume %s", name);
	return NULL;
}

struct err *volume_remove_unused(struct engine *e, const char *name, bool *ret_removed)
{
	_cleanup_free_ char *gone = xasprintf("%s/volumes/.gone-%s", e->root, name);
	struct db *db;

	TRY(volume_name_check(name));
	TRY(engine_db(e, &db));
	TRY(db_begin(db));
	struct err *error = set_aside(e, db, name, ret_removed);
	db_rollback(db); /* nothing was written: it was held */
	TRY(error);
	if (!*ret_removed)
		return NULL;
	event_other(e, "volume", "destroy", name, "driver", "local", NULL);
	return file_remove_tree_at(AT_FDCWD, gone);
}

struct err *volume_find(struct engine *e, const char *name, struct volume *ret)
{
	struct err *bad = volume_name_check(name);

	if (bad) {
		err_free(bad);
		return err_new(ERR_NOT_FOUND, "no such volume: %s", name);
	}
	return volume_read(e, name, ret);
}

struct err *volume_delete(struct engine *e, const char *name)
{
	struct container **containers = NULL;
	struct volume v = {0};
	struct strbuf users = {0};
	size_t n = 0;
	bool removed;

	TRY(volume_find(e, name, &v));
	volume_release(&v);
	TRY(volume_remove_unused(e, name, &removed));
	if (removed)
		return NULL;
	TRY(container_list(e, true, &containers, &n));
	for (size_t i = 0; i < n; i++) {
		if (has_volume(containers[i], name))
			strbuf_printf(&users, "%s%s", users.len ? ", " : "", containers[i]->name);
		container_free(containers[i]);
	}
	free(containers);
	struct err *error = err_new(ERR_STATE, "cannot remove volume %s: it is in use by %s", name,
				    users.len ? strbuf_str(&users) : "a container that is being made");
	strbuf_release(&users);
	return error;
}
