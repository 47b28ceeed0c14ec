/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and making the directory that an entry goes into.
 *
 * Nearly always it is that of the entry before, or all of it exists in the layer: one openat2 inside the root. Otherwise the path is
 * walked by hand, one component at a time, in the layer and in what is below at once: the layer's own entry decides
 * where there is one, else what is below, as overlayfs will show it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "layer_apply.h"
#include "overlay.h"

#define SYMLINKS_MAX 40
#define STEPS_MAX 20000 /* of one walk, with those repeated for ".." */

static const char *opaque_xattr(void)
{
	return overlay_userxattr() ? "user.overlay.opaque" : "trusted.overlay.opaque";
}

void place_release(struct place *p)
{
	fd_close(p->fd);
	if (p->lower >= 0)
		fd_close(p->lower);
	*p = PLACE_NONE;
}

void place_forget(struct apply *a)
{
	place_release(&a->cached);
	strbuf_reset(&a->cached_path);
}

bool place_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

struct err *place_open_lower(struct apply *a)
{
	if (a->lower_root != LOWER_UNKNOWN)
		return NULL;
	a->lower_root = -1;
	if (!a->options->open_lower)
		return NULL;
	return a->options->open_lower(a->options->user, &a->lower_root);
}

static bool is_opaque(const struct apply *a, int fd)
{
	char value = '\0';

	/* An O_PATH fd has no fgetxattr; its magic link names the same directory. */
	return a->n_opaque > 0 && getxattr(fd_path(fd).s, opaque_xattr(), &value, 1) == 1 && value == 'y';
}

/* Removes the whiteouts that this layer made below an opaque directory: nothing is left there for them to hide (A2). Directories that
 * are opaque themselves were cleaned when they became so. The depth comes from the archive and is capped. */
static struct err *drop_whiteouts(struct apply *a, int dirfd, unsigned depth)
{
	_cleanup_fd_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot read the directory");
	DIR *dir = fdopendir(fd);
	if (!dir)
		return err_errno(errno, "cannot read the directory");
	TAKE_FD(fd);
	struct err *e = NULL;
	const struct dirent *d;
	while (!e && (d = readdir(dir))) {
		struct stat st;
		if (str_eq(d->d_name, ".") || str_eq(d->d_name, ".."))
			continue;
		if (d->d_type == DT_CHR && fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    place_is_whiteout(&st)) {
			if (unlinkat(dirfd, d->d_name, 0) < 0)
				e = err_errno(errno, "cannot remove the whiteout of %s", d->d_name);
		} else if (d->d_type == DT_DIR) {
			if (depth == 0) {
				e = err_new(ERR_LIMIT, "directories are nested too deeply");
				break;
			}
			_cleanup_fd_ int sub =
				openat(dirfd, d->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (sub < 0)
				e = err_errno(errno, "cannot open %s", d->d_name);
			else if (!is_opaque(a, sub))
				e = drop_whiteouts(a, sub, depth - 1);
		}
	}
	closedir(dir);
	return e;
}

/* overlayfs merges the roots of all layers whatever their xattrs say: the root is made opaque by hiding each name below. */
struct err *place_set_root_opaque(struct apply *a)
{
	TRY(place_open_lower(a));
	if (a->lower_root < 0)
		return NULL;
	_cleanup_fd_ int fd = openat(a->lower_root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_errno(errno, "cannot read the root directory of the layers below");
	TAKE_FD(fd);
	struct place root = {.fd = a->root->fd, .lower = a->lower_root};
	struct err *e = NULL;
	const struct dirent *d;
	while (!e && (d = readdir(dir)))
		if (!str_eq(d->d_name, ".") && !str_eq(d->d_name, ".."))
			e = place_hide(a, &root, d->d_name);
	closedir(dir);
	return e;
}

struct err *place_hide(struct apply *a, const struct place *parent, const char *name)
{
	struct stat below, st;

	if (parent->lower < 0 || fstatat(parent->lower, name, &below, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL; /* nothing to hide */
	if (fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(st.st_mode) || !S_ISDIR(below.st_mode))
			return NULL; /* hides already */
		_cleanup_fd_ int fd = openat(parent->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_errno(errno, "cannot open the directory %s", name);
		return place_set_opaque(a, fd);
	}
	if (mknodat(parent->fd, name, S_IFCHR, makedev(0, 0)) < 0)
		return err_errno(errno, "cannot make the whiteout of %s", name);
	a->n_whiteouts++;
	return NULL;
}

struct err *place_set_opaque(struct apply *a, int dirfd)
{
	if (is_opaque(a, dirfd))
		return NULL;
	if (a->n_whiteouts)
		TRY(drop_whiteouts(a, dirfd, 200));
	if (setxattr(fd_path(dirfd).s, opaque_xattr(), "y", 1, 0) < 0)
		return err_errno(errno, "cannot make the directory opaque (%s)", opaque_xattr());
	a->n_opaque++;
	return NULL;
}

/* -- walking -------------------------------------------------------------------------------------------------- */

struct walk {
	struct apply *a;
	bool make;
	struct place at;
	struct strbuf physical; /* of `at`: no symlinks in it */
	bool stale;             /* `physical` was shortened: `at` is to be found anew */
	char *rest;             /* owned; what is still to be walked */
	unsigned n_symlinks, n_steps;
};

static void walk_release(struct walk *w)
{
	place_release(&w->at);
	strbuf_release(&w->physical);
	free(w->rest);
}

static struct err *walk_to_root(struct walk *w)
{
	place_release(&w->at);
	w->at.fd = openat(w->a->root->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (w->at.fd < 0)
		return err_errno(errno, "cannot open the layer's directory");
	if (w->a->lower_root >= 0 && !is_opaque(w->a, w->at.fd)) {
		w->at.lower = openat(w->a->lower_root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (w->at.lower < 0)
			return err_errno(errno, "cannot open the layers below");
	}
	return NULL;
}

/* Puts a symlink's target in front of what is left. */
static struct err *walk_symlink(struct walk *w, int dirfd, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n < 0)
		return err_errno(errno, "cannot read the symbolic link %s", name);
	target[n] = '\0';
	if (++w->n_symlinks > SYMLINKS_MAX || strlen(w->rest) > ((size_t)64 << 10))
		return err_new(ERR_CORRUPT, "its path goes through too many symbolic links");
	char *rest = xasprintf("%s/%s", target, w->rest);
	free(w->rest);
	w->rest = rest;
	if (target[0] == '/') {
		strbuf_reset(&w->physical);
		w->stale = true;
	}
	return NULL;
}

static int open_directory(int dirfd, const char *name)
{
	return openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Goes down to `name`, for which the layer has a directory (fd, owned from now on). */
static void walk_down(struct walk *w, int fd, const char *name, bool hides)
{
	int lower = -1;

	if (!hides && w->at.lower >= 0 && (fd < 0 || !is_opaque(w->a, fd)))
		lower = open_directory(w->at.lower, name);
	place_release(&w->at);
	w->at = (struct place){.fd = fd, .lower = lower};
	if (w->physical.len)
		strbuf_putc(&w->physical, '/');
	strbuf_puts(&w->physical, name);
}

/* Makes a directory that the archive does not mention. `inherit`: there is one below, with which it merges. */
static struct err *make_implied(struct walk *w, const char *name, bool inherit, bool opaque)
{
	if (mkdirat(w->at.fd, name, 0700) < 0)
		return err_errno(errno, "cannot make the directory %s", name);
	_cleanup_fd_ int fd = openat(w->at.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
			 lower = -1;
	if (fd < 0)
		return err_errno(errno, "cannot open the directory %s", name);
	if (opaque)
		TRY(place_set_opaque(w->a, fd));
	if (inherit) {
		lower = openat(w->at.lower, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (lower < 0)
			return err_errno(errno, "cannot open the directory %s of the layer below", name);
	}
	_cleanup_free_ char *path =
		w->physical.len ? xasprintf("%s/%s", w->physical.data, name) : xstrdup(name);
	TRY(attributes_inherit_dir(w->a, lower, fd, path, strlen(path)));
	int down = open_directory(w->at.fd, name);
	if (down < 0)
		return err_errno(errno, "cannot open the directory %s", name);
	walk_down(w, down, name, !inherit);
	return NULL;
}

/* The component is in the layer already. */
static struct err *step_here(struct walk *w, const char *name, const struct stat *st)
{
	struct stat below;

	if (S_ISLNK(st->st_mode))
		return walk_symlink(w, w->at.fd, name);
	if (S_ISDIR(st->st_mode)) {
		int fd = open_directory(w->at.fd, name);
		if (fd < 0)
			return err_errno(errno, "cannot open the directory %s", name);
		walk_down(w, fd, name, false);
		return NULL;
	}
	if (!w->make)
		return err_new(ERR_NOT_FOUND, "%s is not a directory", name);
	/* A whiteout, or a file that a directory takes the place of: either hid what is below. */
	if (unlinkat(w->at.fd, name, 0) < 0)
		return err_errno(errno, "cannot replace %s", name);
	bool opaque = w->at.lower >= 0 && fstatat(w->at.lower, name, &below, AT_SYMLINK_NOFOLLOW) == 0 &&
		      S_ISDIR(below.st_mode);
	return make_implied(w, name, false, opaque);
}

static struct err *step_below(struct walk *w, const char *name)
{
	struct stat below;
	bool exists = w->at.lower >= 0 && fstatat(w->at.lower, name, &below, AT_SYMLINK_NOFOLLOW) == 0;

	if (exists && S_ISLNK(below.st_mode))
		return walk_symlink(w, w->at.lower, name);
	if (w->make)
		return make_implied(w, name, exists && S_ISDIR(below.st_mode), false);
	if (!exists || !S_ISDIR(below.st_mode))
		return err_new(ERR_NOT_FOUND, "there is no directory %s", name);
	walk_down(w, -1, name, false);
	return NULL;
}

static struct err *step(struct walk *w, const char *name)
{
	struct stat st;

	if (++w->n_steps > STEPS_MAX)
		return err_new(ERR_LIMIT, "its path takes too many steps to walk");
	if (w->at.fd >= 0 && fstatat(w->at.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return step_here(w, name, &st);
	if (w->at.fd >= 0 && errno != ENOENT)
		return err_errno(errno, "cannot look up %s", name);
	return step_below(w, name);
}

/* `at` from the root to `physical` again: all of it exists. */
static struct err *walk_again(struct walk *w)
{
	_cleanup_free_ char *path = strbuf_take(&w->physical);

	w->stale = false;
	TRY(walk_to_root(w));
	for (char *p = path; *p;) {
		char *name = p;
		p += strcspn(p, "/");
		if (*p)
			*p++ = '\0';
		TRY(step(w, name));
	}
	return NULL;
}

static struct err *walk_path(struct walk *w)
{
	TRY(place_open_lower(w->a));
	TRY(walk_to_root(w));
	while (*w->rest) {
		size_t n = strcspn(w->rest, "/");
		_cleanup_free_ char *name = xstrndup(w->rest, n);
		size_t skip = n + (w->rest[n] == '/');
		memmove(w->rest, w->rest + skip, strlen(w->rest + skip) + 1);
		if (n == 0 || str_eq(name, "."))
			continue;
		if (str_eq(name, "..")) {
			struct strbuf *p = &w->physical;
			const char *slash = p->len ? memrchr(p->data, '/', p->len) : NULL;
			p->len = slash ? (size_t)(slash - p->data) : 0;
			if (p->data)
				p->data[p->len] = '\0';
			w->stale = true;
			continue;
		}
		if (w->stale)
			TRY(walk_again(w));
		TRY(step(w, name));
	}
	return w->stale ? walk_again(w) : NULL;
}

static struct err *walk_start(struct walk *w, struct apply *a, const char *path, size_t path_len, bool make)
{
	*w = (struct walk){.a = a, .make = make, .at = PLACE_NONE, .rest = xstrndup(path, path_len)};
	return walk_path(w);
}

struct err *place_parent(struct apply *a, const char *path, size_t path_len, bool need_lower,
			 const struct place **ret)
{
	bool same = a->cached.fd >= 0 && a->cached_path.len == path_len &&
		    memcmp(strbuf_str(&a->cached_path), path, path_len) == 0;

	if (same && (!need_lower || a->cached.lower != LOWER_UNKNOWN)) {
		*ret = &a->cached;
		return NULL;
	}
	if (!need_lower) {
		_cleanup_free_ char *text = xstrndup(path, path_len);
		int fd;
		struct err *e = inroot_open_at(a->root, text, O_PATH | O_DIRECTORY, 0, &fd);
		if (!e) {
			place_forget(a);
			a->cached = (struct place){.fd = fd, .lower = LOWER_UNKNOWN};
			strbuf_append(&a->cached_path, path, path_len);
			*ret = &a->cached;
			return NULL;
		}
		err_free(e); /* whatever it was, the walk finds it again and says it better */
	}
	_cleanup_(walk_release) struct walk w;
	struct err *e = walk_start(&w, a, path, path_len, true);
	if (e)
		return e;
	place_forget(a);
	a->cached = w.at;
	w.at = PLACE_NONE;
	strbuf_append(&a->cached_path, path, path_len);
	*ret = &a->cached;
	return NULL;
}

struct err *place_find(struct apply *a, const char *path, size_t path_len, bool below, struct place *ret,
		       char **ret_physical)
{
	if (!below) {
		_cleanup_free_ char *text = xstrndup(path, path_len);
		int fd;
		TRY(inroot_open_at(a->root, text, O_PATH | O_DIRECTORY, 0, &fd));
		*ret = (struct place){.fd = fd, .lower = LOWER_UNKNOWN};
		*ret_physical = NULL;
		return NULL;
	}
	_cleanup_(walk_release) struct walk w;
	TRY(walk_start(&w, a, path, path_len, false));
	*ret = w.at;
	w.at = PLACE_NONE;
	*ret_physical = strbuf_take(&w.physical);
	return NULL;
}
