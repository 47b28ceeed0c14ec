/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file is /etc/havre/havre.toml, or $HAVRE_CONFIG:
 *
 *     [storage]
 *     driver = "overlay"
 *
 * Probing is mounting: an overlay of empty directories in ingest/, on the file system that it is about, costs less than a millisecond and is
 * only done when a new image's first layer is added, and for `info`. */
#include "storage_driver.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/toml.h"
#include "layer_index.h"
#include "overlay.h"

static const char *const names[] = {[STORE_DRIVER_UNKNOWN] = "",
				    [STORE_DRIVER_OVERLAY] = "overlay",
				    [STORE_DRIVER_EROFS] = "erofs",
				    [STORE_DRIVER_VFS] = "vfs"};

struct err *store_set_driver(struct store *s, const char *name, const char *reason)
{
	for (size_t i = STORE_DRIVER_OVERLAY; i < ARRAY_SIZE(names); i++) {
		if (!str_eq(name, names[i]))
			continue;
		s->driver = (enum store_driver)i;
		free(s->driver_reason);
		s->driver_reason = xstrdup(reason);
		return NULL;
	}
	return err_new(ERR_INVALID, "unknown storage driver \"%.64s\" (%s): there are overlay, erofs and vfs",
		       name, reason);
}

/* -- the configuration file --------------------------------------------------------------------------------------- */

static struct err *take_driver(void *user, const struct toml_event *e)
{
	char **driver = user;

	if (!str_eq(e->table, "storage") || !str_eq(e->key, "driver"))
		return NULL;
	if (e->kind != TOML_STRING)
		return err_new(ERR_INVALID, "storage.driver must be a string");
	free(*driver);
	*driver = xstrdup(e->text);
	return NULL;
}

static struct err *read_configuration(struct store *s)
{
	_cleanup_free_ char *driver = NULL;
	const char *path;

	TRY(config_read(take_driver, &driver, &path));
	if (!driver)
		return NULL;
	_cleanup_free_ char *reason = xasprintf("chosen by %s", path);
	return store_set_driver(s, driver, reason);
}

/* -- probing ------------------------------------------------------------------------------------------------------- */

static struct err *make_probe(struct store *s, const char *dir, const char *name, char **ret)
{
	*ret = xasprintf("%s/%s/%s", s->root, dir, name);
	return mkdir(*ret, 0700) < 0 ? err_errno(errno, "cannot make directory %s", *ret) : NULL;
}

static struct err *try_overlay(struct store *s, const char *name)
{
	_cleanup_free_ char *lower = NULL, *upper = NULL, *work = NULL;
	_cleanup_fd_ int mount = -1;

	TRY(make_probe(s, name, "lower", &lower));
	TRY(make_probe(s, name, "upper", &upper));
	TRY(make_probe(s, name, "work", &work));
	char *lowers[] = {lower, NULL};
	const struct overlay o = {.lower = lowers,
				  .n_lower = 1,
				  .upper = upper,
				  .work = work,
				  .is_volatile = true,
				  .target = lower};
	TRY(overlay_mount_fd(&o, &mount));
	/* Where whiteouts or its attributes cannot be made, overlayfs mounts all the same, and is read-only or worse. */
	if (mkdirat(mount, "probe", 0700) < 0 || unlinkat(mount, "probe", AT_REMOVEDIR) < 0)
		return err_errno(errno, "an overlay cannot be written");
	return NULL;
}

static struct err *probe_overlay(struct store *s)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_fd_ int fd = -1;

	TRY(ingest_directory(s, &name, &fd));
	struct err *e = try_overlay(s, name);
	struct err *removed = file_remove_tree_at(s->root_fd, name);
	if (e)
		err_free(removed);
	return e ? e : removed;
}

static struct err *resolve(struct store *s)
{
	if (s->driver != STORE_DRIVER_UNKNOWN)
		return NULL;
	TRY(read_configuration(s));
	if (s->driver != STORE_DRIVER_UNKNOWN)
		return NULL;
	if (s->read_only)
		return store_set_driver(s, "overlay", "the default; the store cannot be written");
	struct err *e = probe_overlay(s);
	if (!e)
		return store_set_driver(s, "overlay", "overlayfs works on this file system");
	if (e->kind == ERR_NO_SPACE)
		return e;
	_cleanup_free_ char *text = err_text(e), *reason = xasprintf("overlayfs cannot be used: %s", text);
	err_free(e);
	return store_set_driver(s, "vfs", reason);
}

struct err *store_driver_name(struct store *s, const char **ret, const char **ret_reason)
{
	TRY(resolve(s));
	*ret = names[s->driver];
	*ret_reason = s->driver_reason;
	return NULL;
}

struct err *storage_driver(struct store *s, enum store_driver *ret)
{
	TRY(resolve(s));
	if (s->driver == STORE_DRIVER_EROFS)
		TRY_WRAP(layer_index_probe(s), "storage driver erofs cannot be used");
	*ret = s->driver;
	return NULL;
}

struct err *storage_copies(struct store *s, const struct image *image, bool *ret)
{
	struct layer_row top;

	*ret = s->driver == STORE_DRIVER_VFS;
	if (s->driver != STORE_DRIVER_UNKNOWN && s->driver != STORE_DRIVER_OVERLAY)
		return NULL;
	/* Directories were unpacked because overlayfs works here; tar files may be the one driver's or the other's. */
	if (image->n_layers) {
		TRY(layer_row_find(s, &image->layers[image->n_layers - 1], &top));
		if (!layer_row_is_tar(&top))
			return NULL;
	}
	TRY(resolve(s));
	*ret = s->driver == STORE_DRIVER_VFS;
	if (s->driver != STORE_DRIVER_OVERLAY || !image->n_layers)
		return NULL;
	struct err *e = layer_index_probe(s);
	*ret = e != NULL;
	err_free(e);
	return NULL;
}
