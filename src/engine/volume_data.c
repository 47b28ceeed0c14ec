/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as a whole: into a tar and out of one, a copy under another name, another name. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/tree_archive.h"
#include "private.h"

/* What is mounted from elsewhere has nothing here. */
static struct err *own_data(const struct volume *v)
{
	if (!v->options)
		return NULL;
	return err_new(ERR_UNSUPPORTED,
		       "volume %s is mounted from elsewhere when a container has it; its data are not here",
		       v->name);
}

static struct err *open_data(struct engine *e, const char *name, int *ret_fd)
{
	struct volume v = {0};

	TRY(volume_find(e, name, &v));
	struct err *error = own_data(&v);
	int fd = error ? -1 : open(v.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (!error && fd < 0)
		error = err_errno(errno, "cannot open volume %s", name);
	volume_release(&v);
	TRY(error);
	*ret_fd = fd;
	return NULL;
}

struct err *volume_export(struct engine *e, const char *name, int fd)
{
	_cleanup_fd_ int data = -1;

	TRY(open_data(e, name, &data));
	return tree_archive_write(data, ".", fd, NULL);
}

struct err *volume_import(struct engine *e, const char *name, int fd)
{
	const struct tree_archive_extract_options o = {.owner = TREE_OWNER_ARCHIVE, .replace = true};
	_cleanup_inroot_ struct inroot root = INROOT_NONE;
	struct volume v = {0};

	TRY(volume_find(e, name, &v));
	struct err *error = own_data(&v);
	if (!error)
		error = inroot_open(v.path, &root);
	volume_release(&v);
	TRY(error);
	TRY_WRAP(tree_archive_extract(&root, "/", fd, &o, NULL), "cannot import into volume %s", name);
	return NULL;
}

static struct err *must_not_exist(struct engine *e, const char *name)
{
	struct volume there = {0};
	struct err *error = volume_find(e, name, &there);

	if (!error) {
		volume_release(&there);
		return err_new(ERR_EXISTS, "volume %s exists already", name);
	}
	if (error->kind != ERR_NOT_FOUND)
		return error;
	err_free(error);
	return NULL;
}

/* Under a name that is no volume's until it is whole. */
struct err *volume_clone(struct engine *e, const char *from, const char *to)
{
	_cleanup_free_ char *base = xasprintf("%s/volumes", e->root), *made = xasprintf(".gone-%s", to);
	_cleanup_fd_ int source = -1, parent = -1, dir = -1;
	struct stat st;

	TRY(volume_name_check(to));
	TRY(open_data(e, from, &source));
	TRY(must_not_exist(e, to));
	parent = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || fstat(source, &st) < 0)
		return err_errno(errno, "cannot open %s", base);
	TRY(file_remove_tree_at(parent, made));
	if (mkdirat(parent, made, 0711) < 0)
		return err_errno(errno, "cannot make a directory in %s", base);
	dir = openat(parent, made, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct err *error = dir < 0 ? err_errno(errno, "cannot open %s/%s", base, made)
				    : volume_copy_tree(source, dir, "_data", &st);
	if (!error && renameat2(parent, made, parent, to, RENAME_NOREPLACE) < 0)
		error = errno == EEXIST ? err_new(ERR_EXISTS, "volume %s exists already", to)
					: err_errno(errno, "cannot make volume %s", to);
	if (error) {
		err_free(file_remove_tree_at(parent, made));
		return err_wrap(error, "cannot clone volume %s", from);
	}
	return file_sync_dir(parent, base);
}

struct err *volume_rename(struct engine *e, const char *from, const char *to)
{
	_cleanup_free_ char *base = xasprintf("%s/volumes", e->root);
	_cleanup_fd_ int parent = -1;
	struct volume v = {0};
	struct db *db;
	bool used = false;

	TRY(volume_name_check(to));
	TRY(volume_find(e, from, &v));
	volume_release(&v);
	parent = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return err_errno(errno, "cannot open %s", base);
	TRY(engine_db(e, &db));
	TRY(db_begin(db)); /* nothing is written: no container is made meanwhile */
	struct err *error = volume_is_wanted(db, from, &used);
	if (!error && used)
		error = err_new(ERR_STATE,
				"cannot rename volume %s: a container has it; remove that one first", from);
	if (!error && renameat2(parent, from, parent, to, RENAME_NOREPLACE) < 0)
		error = errno == EEXIST ? err_new(ERR_EXISTS, "volume %s exists already", to)
					: err_errno(errno, "cannot rename volume %s", from);
	db_rollback(db);
	TRY(error);
	return file_sync_dir(parent, base);
}
