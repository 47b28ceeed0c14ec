/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI bundle of an image, for runtimes that know nothing of us: its files, and the configuration that a container of it would have. */
#include <fcntl.h>

#include "images/edit.h"
#include "private.h"

/* What would be mounted from a container's own directory is not there. */
static struct err *drop_own_mounts(struct json *spec)
{
	struct json_cursor root = json_root(spec), mounts;
	struct json *kept = json_new_array();

	struct err *e = json_get_array(&root, "mounts", JSON_REQUIRED, &mounts);
	for (size_t i = 0, n = e ? 0 : json_array_len(&mounts); !e && i < n; i++) {
		struct json_cursor mount = json_at(&mounts, i);
		const char *target;
		e = json_get_string(&mount, "destination", JSON_REQUIRED, &target);
		if (!e && !str_starts(target, "/etc/"))
			json_append(kept, json_ref(mount.value));
	}
	if (e) {
		json_unref(kept);
		return e;
	}
	json_set(spec, "mounts", kept);
	return NULL;
}

static struct err *make_spec(struct engine *e, const struct image *image, const struct inroot *rootfs,
			     struct json **ret)
{
	char id[65];
	id_generate(id);
	_cleanup_container_ struct container *c = container_new(e, id);
	const struct spec_input in = {.engine = e, .c = c, .rootfs = rootfs};
	_cleanup_json_ struct json *spec = NULL;
	struct json_cursor root, linux_;

	c->name = xstrdup("bundle");
	c->spec->image = xstrdup(image->id.s);
	c->spec->hostname = xstrdup("havre");
	c->spec->tty = true;
	c->spec->stop_timeout_s = -1;
	struct err *none = container_merge_image(image, c->spec);
	if (none && none->kind == ERR_INVALID && strv_len(c->spec->command) == 0) {
		/* It names no command. */
		err_free(none);
		none = NULL;
		strv_push(&c->spec->command, "sh");
		TRY(container_merge_image(image, c->spec));
	}
	TRY(none);
	STRV_FOREACH (word, c->spec->entrypoint)
		strv_push(&c->command, *word);
	STRV_FOREACH (word, c->spec->command)
		strv_push(&c->command, *word);
	for (size_t i = 0; i < c->spec->n_mounts; i++)
		c->spec->mounts[i].type = MOUNT_TMPFS; /* volumes of the image: nobody keeps them */
	TRY(spec_generate(&in, &spec));
	TRY(drop_own_mounts(spec));
	root = json_root(spec);
	TRY(json_get_object(&root, "linux", JSON_REQUIRED, &linux_));
	json_remove(linux_.value, "cgroupsPath");
	*ret = TAKE_PTR(spec);
	return NULL;
}

struct err *engine_unpack_image(struct engine *e, const struct image *image, int dirfd,
				const struct progress *progress)
{
	_cleanup_json_ struct json *spec = NULL;
	_cleanup_inroot_ struct inroot rootfs = INROOT_NONE;
	struct store *store;

	TRY(engine_store(e, &store));
	TRY(image_unpack(store, image, dirfd, progress));
	rootfs.fd = openat(dirfd, "rootfs", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rootfs.fd < 0)
		return err_errno(errno, "cannot open the directory rootfs");
	TRY_WRAP(make_spec(e, image, &rootfs, &spec), "cannot make config.json");
	_cleanup_free_ char *text = json_print(spec, JSON_PRETTY);
	return file_replace_at(dirfd, "config.json", text, strlen(text), 0644, FILE_VOLATILE);
}
