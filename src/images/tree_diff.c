/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's rules. A file that was written and has the
 * attributes it had (times included) is no change; a directory is one when its attributes differ or something below it changed. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "tree_diff.h"

#define COMPARE_SIZE ((size_t)256 << 10)

struct comparison {
	const struct tree_diff_options *o;
	struct tree_change *list;
	size_t n, cap;
	unsigned depth;
};

void tree_changes_free(struct tree_change *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].path);
	free(list);
}

static void add(struct comparison *c, size_t at, enum change_kind kind, const char *path)
{
	GROW(c->list, c->n, c->cap);
	memmove(&c->list[at + 1], &c->list[at], (c->n - at) * sizeof(*c->list));
	c->list[at] = (struct tree_change){kind, xstrdup(path)};
	c->n++;
}

static bool same_capability(int a, int b)
{
	char one[64], other[64];
	ssize_t n = getxattr(fd_path(a).s, "security.capability", one, sizeof(one)),
		m = getxattr(fd_path(b).s, "security.capability", other, sizeof(other));

	return n == m && (n <= 0 || memcmp(one, other, (size_t)n) == 0);
}

/* Sizes and times of directories say nothing: they change with what is in them. */
/* Layers have whole seconds. What was changed within one is seen by its ctime, when that is looked at (`whole`). */
static bool same_time(const struct timespec *a, const struct timespec *b, bool whole)
{
	return a->tv_sec == b->tv_sec && (a->tv_nsec == b->tv_nsec || (whole && b->tv_nsec == 0));
}

static bool is_same(int fd, const struct stat *st, int old_fd, const struct stat *old, bool whole)
{
	if (st->st_mode != old->st_mode || st->st_uid != old->st_uid || st->st_gid != old->st_gid ||
	    st->st_rdev != old->st_rdev)
		return false;
	if (!S_ISDIR(st->st_mode) &&
	    (st->st_size != old->st_size || !same_time(&st->st_mtim, &old->st_mtim, whole)))
		return false;
	return !S_ISREG(st->st_mode) || same_capability(fd, old_fd);
}

static struct err *same_contents(int a, int b, bool *ret)
{
	_cleanup_free_ char *one = xmalloc(COMPARE_SIZE), *other = xmalloc(COMPARE_SIZE);
	_cleanup_fd_ int fd = open(fd_path(a).s, O_RDONLY | O_CLOEXEC),
			 old = open(fd_path(b).s, O_RDONLY | O_CLOEXEC);
	size_t n, m;

	if (fd < 0 || old < 0)
		return err_errno(errno, "cannot open it");
	do {
		TRY(fd_read_full(fd, one, COMPARE_SIZE, "the file", &n));
		TRY(fd_read_full(old, other, COMPARE_SIZE, "the file", &m));
		*ret = n == m && memcmp(one, other, n) == 0;
	} while (*ret && n > 0);
	return NULL;
}

/* In a tree that was whole from the beginning: what was touched since then and looks the same may be different inside. */
static struct err *is_same_inside(const struct comparison *c, int fd, const struct stat *st, int old,
				  bool *ret)
{
	_cleanup_tree_xattrs_ struct tree_xattrs a = {0}, b = {0};
	char link[4096], old_link[4096];

	*ret = true;
	if (st->st_ctim.tv_sec < c->o->since.tv_sec ||
	    (st->st_ctim.tv_sec == c->o->since.tv_sec && st->st_ctim.tv_nsec < c->o->since.tv_nsec))
		return NULL;
	TRY(tree_xattrs_read(fd, &a));
	TRY(tree_xattrs_read(old, &b));
	*ret = tree_xattrs_equal(&a, &b);
	if (*ret && S_ISLNK(st->st_mode)) {
		TRY(tree_read_link(fd, link));
		TRY(tree_read_link(old, old_link));
		*ret = str_eq(link, old_link);
	}
	return *ret && S_ISREG(st->st_mode) ? same_contents(fd, old, ret) : NULL;
}

static struct err *compare(struct comparison *c, int upper, int base, const char *path);

/* `old` -1: there was nothing of that name. */
static struct err *compare_entry(struct comparison *c, int fd, const struct stat *st, int old,
				 const struct stat *old_st, const char *path)
{
	size_t at = c->n;

	if (old < 0)
		add(c, at++, CHANGE_ADDED, path);
	bool changed = old >= 0 && !is_same(fd, st, old, old_st, c->o->whole);
	if (old >= 0 && !changed && c->o->whole) {
		bool same;
		TRY(is_same_inside(c, fd, st, old, &same));
		changed = !same;
	}
	if (S_ISDIR(st->st_mode))
		TRY(compare(c, fd, old >= 0 && S_ISDIR(old_st->st_mode) ? old : -1, path));
	if (old >= 0 && (changed || c->n > at))
		add(c, at, CHANGE_MODIFIED, path);
	return NULL;
}

static struct err *compare_name(struct comparison *c, int upper, int base, const char *dir, const char *name)
{
	_cleanup_fd_ int fd = -1, old = -1;
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	struct stat st = {0}, old_st = {0};

	if (strv_contains(c->o->skip, path + 1))
		return NULL;
	TRY(tree_open(upper, name, &fd, &st));
	if (base >= 0)
		TRY(tree_open(base, name, &old, &old_st));
	if (old >= 0 && tree_is_whiteout(&old_st)) {
		close(old);
		old = -1;
	}
	if (fd >= 0 && (c->o->whole || !tree_is_whiteout(&st)))
		return compare_entry(c, fd, &st, old, &old_st, path);
	if (old >= 0)
		add(c, c->n, CHANGE_DELETED, path);
	return NULL;
}

/* What an opaque directory hides, or what is missing in a whole tree, was deleted: its names join those of the upper directory, in order. */
static struct err *add_hidden(int base, char ***names)
{
	_cleanup_strv_ char **below = NULL;

	TRY(tree_names(base, &below));
	size_t n = strv_len(*names), m = strv_len(below), k = 0;
	char **all = xnew_array(char *, n + m + 1);
	for (size_t i = 0, j = 0; i < n || j < m;) {
		int order = i == n ? 1 : j == m ? -1 : strcmp((*names)[i], below[j]);
		all[k++] = order <= 0 ? (*names)[i++] : xstrdup(below[j]);
		j += order >= 0;
	}
	free(*names);
	*names = all;
	return NULL;
}

static struct err *compare(struct comparison *c, int upper, int base, const char *path)
{
	_cleanup_strv_ char **names = NULL;

	if (++c->depth > TREE_DEPTH_MAX)
		return err_new(ERR_LIMIT, "%.256s…: directories are nested too deeply", path);
	TRY(tree_names(upper, &names));
	if (base >= 0 && (c->o->whole || tree_is_opaque(upper, c->o->userxattr)))
		TRY(add_hidden(base, &names));
	STRV_FOREACH (name, names)
		TRY_WRAP(compare_name(c, upper, base, path, *name), "%s", *name);
	c->depth--;
	return NULL;
}

struct err *tree_diff(int tree, int base, const struct tree_diff_options *o, struct tree_change **ret,
		      size_t *ret_n)
{
	struct comparison c = {.o = o};
	struct err *e = compare(&c, tree, base, "");

	if (e) {
		tree_changes_free(c.list, c.n);
		return e;
	}
	*ret = c.list;
	*ret_n = c.n;
	return NULL;
}
