/* SPDX-License-Identifier: Apache-2.0 */
/* Views of a snapshot that leave it as it is. The mounts here are read-only overlays of lower directories alone, so that they can stand
 * beside the container's own mount, which has the same directory as its upper one. */
#include "snapshot_view.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "content.h"
#include "overlay.h"
#include "snapshot_whole.h"
#include "tree_diff.h"

void snapshot_view_release(struct snapshot_view *v)
{
	if (v->upper >= 0)
		close(v->upper);
	if (v->base >= 0)
		close(v->base);
	strv_free(v->made);
	if (v->temporary)
		err_free(file_remove_tree_at(v->store->root_fd, v->temporary));
	free(v->temporary);
	*v = SNAPSHOT_VIEW_NONE;
}

/* -- what starting a container makes ------------------------------------------------------------------------------ */

/* Below others first. */
static const char *const mount_points[] = {"dev",  "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf",
					   "proc", "sys"};

/* Of a path of one or two components: what is there without following links; fd -1: nothing. */
static struct err *look(int root, const char *path, int *ret_fd, struct stat *ret)
{
	const char *slash = strchr(path, '/');
	_cleanup_fd_ int dir = -1;
	struct stat st;

	*ret_fd = -1;
	if (root < 0)
		return NULL;
	if (slash) {
		_cleanup_free_ char *parent = xstrndup(path, (size_t)(slash - path));
		TRY(tree_open(root, parent, &dir, &st));
		if (dir < 0 || !S_ISDIR(st.st_mode))
			return NULL;
	}
	TRY(tree_open(slash ? dir : root, slash ? slash + 1 : path, ret_fd, ret));
	if (*ret_fd >= 0 && tree_is_whiteout(ret)) {
		close(*ret_fd);
		*ret_fd = -1;
	}
	return NULL;
}

static struct err *is_made(int upper, int base, const char *path, bool *ret)
{
	_cleanup_fd_ int fd = -1, below = -1;
	_cleanup_strv_ char **names = NULL;
	struct stat st, below_st;

	*ret = false;
	TRY(look(upper, path, &fd, &st));
	if (fd < 0 || (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || st.st_size > 0)))
		return NULL;
	TRY(look(base, path, &below, &below_st));
	if (below >= 0)
		return NULL;
	if (S_ISDIR(st.st_mode))
		TRY(tree_names(fd, &names));
	*ret = !names;
	return NULL;
}

/* /etc is in the upper directory for the files' sake alone: the image has none, or has it with these attributes. */
static struct err *add_etc(int upper, int base, char ***made)
{
	_cleanup_fd_ int fd = -1, below = -1;
	_cleanup_strv_ char **names = NULL;
	struct stat st, below_st;

	TRY(look(upper, "etc", &fd, &st));
	if (fd < 0 || !S_ISDIR(st.st_mode) || tree_is_opaque(fd, false))
		return NULL;
	TRY(look(base, "etc", &below, &below_st));
	if (below >= 0 &&
	    (st.st_mode != below_st.st_mode || st.st_uid != below_st.st_uid || st.st_gid != below_st.st_gid))
		return NULL;
	TRY(tree_names(fd, &names));
	STRV_FOREACH (name, names) {
		_cleanup_free_ char *path = xasprintf("etc/%s", *name);
		if (!strv_contains(*made, path))
			return NULL;
	}
	if (names)
		strv_push(made, "etc");
	return NULL;
}

struct err *snapshot_made_paths(int upper, int base, char ***ret)
{
	_cleanup_strv_ char **made = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(mount_points); i++) {
		bool yes;
		TRY_WRAP(is_made(upper, base, mount_points[i], &yes), "/%s", mount_points[i]);
		if (yes)
			strv_push(&made, mount_points[i]);
	}
	TRY_WRAP(add_etc(upper, base, &made), "/etc");
	*ret = TAKE_PTR(made);
	return NULL;
}

/* -- views -------------------------------------------------------------------------------------------------------- */

struct err *snapshot_mount_lower(struct store *s, char *const *paths, int *ret_fd)
{
	size_t n = strv_len(paths);

	if (n == 1) {
		*ret_fd = open(paths[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return *ret_fd < 0 ? err_errno(errno, "cannot open the layer directory %s", paths[0]) : NULL;
	}
	_cleanup_free_ char *target = xasprintf("%s/snapshots", s->root);
	const struct overlay o = {.lower = paths, .n_lower = n, .read_only = true, .target = target};
	return overlay_mount_fd(&o, ret_fd);
}

static struct err *open_upper(struct store *s, const char *key, int *ret_fd)
{
	_cleanup_free_ char *path = xasprintf("snapshots/%s/upper", key);

	*ret_fd = openat(s->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno(errno, "cannot open %s/%s", s->root, path) : NULL;
}

static struct err *open_view(struct store *s, const char *key, struct snapshot_view *v)
{
	v->store = s;
	TRY(snapshot_row_find(s, key, &v->image, &v->top));
	TRY(open_upper(s, key, &v->upper));
	v->whole = snapshot_is_whole(s, key, &v->since);
	TRY(layers_open(s, &v->top, &v->base, &v->temporary));
	return snapshot_made_paths(v->upper, v->base, &v->made);
}

struct err *snapshot_view_diff(const struct snapshot_view *v, struct snapshot_change **ret, size_t *ret_n)
{
	const struct tree_diff_options o = {
		.skip = v->made, .whole = v->whole, .since = v->since, .userxattr = overlay_userxattr()};

	return tree_diff(v->upper, v->base, &o, ret, ret_n);
}

struct err *snapshot_view_open(struct store *s, const char *key, struct snapshot_view *ret)
{
	_cleanup_snapshot_view_ struct snapshot_view v = SNAPSHOT_VIEW_NONE;

	TRY_WRAP(open_view(s, key, &v), "cannot look into snapshot %s", key);
	*ret = v;
	v = SNAPSHOT_VIEW_NONE;
	return NULL;
}

struct err *snapshot_open_merged(struct store *s, const char *key, int *ret_fd)
{
	struct digest image, top;
	_cleanup_strv_ char **below = NULL, **paths = NULL;
	_cleanup_fd_ int holder = -1;

	TRY(snapshot_row_find(s, key, &image, &top));
	if (snapshot_is_whole(s, key, NULL))
		return open_upper(s, key, ret_fd);
	strv_push_take(&paths, xasprintf("%s/snapshots/%s/upper", s->root, key));
	TRY(snapshot_lower_paths(s, key, &top, &below, &holder));
	STRV_FOREACH (path, below)
		strv_push(&paths, *path);
	if (strv_len(paths) > OVERLAY_LAYERS_MAX)
		return err_new(ERR_LIMIT,
			       "the image has %zu layers, too many to put the container's over them",
			       strv_len(below));
	TRY_WRAP(snapshot_mount_lower(s, paths, ret_fd), "cannot look into snapshot %s", key);
	return NULL;
}

struct err *snapshot_changes(struct store *s, const char *key, struct snapshot_change **ret, size_t *ret_n)
{
	_cleanup_snapshot_view_ struct snapshot_view v = SNAPSHOT_VIEW_NONE;

	TRY(snapshot_view_open(s, key, &v));
	TRY_WRAP(snapshot_view_diff(&v, ret, ret_n), "cannot compare snapshot %s with its image", key);
	return NULL;
}
