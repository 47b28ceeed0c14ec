/* SPDX-License-Identifier: Apache-2.0 */
/* `image mount`: an image's root file system, read-only, at a path of this machine, RUN/mounts/image-HEX, for as long as somebody wants it. Its
 * layers are pinned by a snapshot of that name; after a reboot the snapshot is there without the mount, and serves the next one. */
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "images/snapshot.h"
#include "mounted.h"
#include "private.h"

#define KEY_PREFIX "image-"

/* Digits enough to be no other image's. */
static char *key_of(const struct image *image)
{
	return xasprintf(KEY_PREFIX "%.40s", digest_hex(&image->id));
}

bool image_mounted_key(const char *key)
{
	return str_starts(key, KEY_PREFIX);
}

bool image_mounted(struct engine *e, const struct image *image, char **ret_path)
{
	_cleanup_free_ char *key = key_of(image), *path = mounted_path(e, key);

	if (!mounted_is(path))
		return false;
	if (ret_path)
		*ret_path = TAKE_PTR(path);
	return true;
}

static struct err *prepare(struct store *store, const char *key, const struct image *image)
{
	struct err *failed = snapshot_prepare(store, key, image);

	if (!failed || failed->kind != ERR_EXISTS)
		return failed;
	err_free(failed);
	return NULL;
}

struct err *image_mount(struct engine *e, const struct image *image, char **ret_path)
{
	_cleanup_free_ char *key = key_of(image), *path = mounted_path(e, key);
	_cleanup_fd_ int fd = -1;
	struct store *store;

	if (!mounted_is(path)) {
		TRY(engine_store(e, &store));
		TRY(prepare(store, key, image));
		struct err *failed = snapshot_mount_fd(store, key, SNAPSHOT_READ_ONLY, &fd);
		if (!failed)
			failed = mounted_attach(fd, path);
		if (failed) {
			err_free(snapshot_remove(store, key));
			return err_wrap(failed, "cannot mount image %.12s", digest_hex(&image->id));
		}
	}
	*ret_path = TAKE_PTR(path);
	return NULL;
}

struct err *image_unmount(struct engine *e, const struct image *image, bool force)
{
	_cleanup_free_ char *key = key_of(image), *path = mounted_path(e, key);
	struct store *store;

	TRY(mounted_detach(path, force));
	TRY(engine_store(e, &store));
	return snapshot_remove(store, key);
}
