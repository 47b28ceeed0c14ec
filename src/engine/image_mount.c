/* SPDX-License-Identifier: Apache-2.0 */
#include "image_mount.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "images/snapshot.h"

static char *key_of(const char *id, size_t n)
{
	return xasprintf("%s.%zu", id, n);
}

struct err *image_mounts_prepare(struct store *s, const char *id, const struct container_spec *spec)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		_cleanup_image_ struct image *image = NULL;
		_cleanup_free_ char *key = NULL;
		if (spec->mounts[i].type != MOUNT_IMAGE)
			continue;
		key = key_of(id, i);
		TRY_WRAP(store_find(s, spec->mounts[i].source, &image), "cannot mount an image on %s",
			 spec->mounts[i].target);
		TRY(snapshot_prepare(s, key, image));
	}
	return NULL;
}

void image_mounts_remove(struct store *s, const char *id, const struct container_spec *spec)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		_cleanup_free_ char *key = NULL;
		if (spec->mounts[i].type != MOUNT_IMAGE)
			continue;
		key = key_of(id, i);
		err_free(snapshot_remove(s, key)); /* what is left is garbage that is collected */
	}
}

struct err *image_mount_open(struct store *s, const char *id, const struct container_spec *spec, size_t n,
			     int *ret_fd)
{
	_cleanup_free_ char *key = key_of(id, n);
	bool rw = strv_contains(spec->mounts[n].options, "rw");

	return snapshot_mount_fd(s, key, rw ? 0 : SNAPSHOT_READ_ONLY, ret_fd);
}

bool image_mount_key(const char *key, char ret_id[static 65])
{
	if (strlen(key) < 66 || key[64] != '.' || strspn(key, "0123456789abcdef") != 64 ||
	    key[65 + strspn(key + 65, "0123456789")] != '\0')
		return false;
	snprintf(ret_id, 65, "%.64s", key);
	return true;
}
