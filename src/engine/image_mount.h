/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts whose source is an image (--mount type=image): each is a snapshot of its own, "ID.N" for the N-th mount of container ID, which
 * pins the image's layers and is removed with the container. */
#ifndef ENGINE_IMAGE_MOUNT_H
#define ENGINE_IMAGE_MOUNT_H

#include "engine/engine.h"

_must_check_ struct err *image_mounts_prepare(struct store *s, const char *id,
					      const struct container_spec *spec);
void image_mounts_remove(struct store *s, const char *id, const struct container_spec *spec);
/* A detached mount of the N-th; read-only unless it has the option rw. */
_must_check_ struct err *image_mount_open(struct store *s, const char *id, const struct container_spec *spec,
					  size_t n, int *ret_fd);
/* Whether a snapshot's key is one of these; *ret_id: the container's id, 64 digits and a zero. */
bool image_mount_key(const char *key, char ret_id[static 65]);

#endif
