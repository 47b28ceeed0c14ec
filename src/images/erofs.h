/* SPDX-License-Identifier: Apache-2.0 */
/* EROFS images that hold no data of their own: names and attributes of a chain of layers, with every file's contents in the layers' plain tar
 * files, which are the image's extra devices. Format: the kernel's Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h.
 *
 * What the kernel needs: 6.4 for blocks of 512 bytes (a tar's), 6.12 to mount files without loop devices.
 */
#ifndef IMAGES_EROFS_H
#define IMAGES_EROFS_H

#include "base/digest.h"
#include "layer_tree.h"

#define EROFS_DEVICES_MAX 500

/* Where the contents of layer N are: a plain tar file. */
struct erofs_device {
	int fd; /* borrowed; read for sparse files, whose data is copied into the image */
	uint64_t size;
};

/* Writes the image to fd (from offset 0). The same tree gives the same bytes. `devices` has one element for each layer of the tree. */
_must_check_ struct err *erofs_write(struct layer_tree *t, const struct erofs_device *devices,
				     const struct digest *identity, int fd, uint64_t *ret_size);

/* A detached, read-only mount of an image with its devices. ERR_UNSUPPORTED: this kernel cannot, errnum says why. */
_must_check_ struct err *erofs_mount_fd(int image_fd, const int *device_fds, size_t n_devices, int *ret_fd);

#endif
