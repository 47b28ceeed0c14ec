/* SPDX-License-Identifier: Apache-2.0 */
#include "rootfs.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "mounts.h"

struct err *rootfs_attach(const struct spec *s, int tree)
{
	/* From here on nothing that we mount is seen by the host. What the host mounts below sources we bind still
	 * arrives, unless the configuration wants it private. */
	unsigned long propagation = s->rootfs_propagation == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE;
	if (mount(NULL, "/", NULL, propagation | MS_REC, NULL) < 0)
		return err_errno(errno, "cannot separate the container's mounts from the host's");
	TRY(mount_change(tree, AT_RECURSIVE, 0, 0, propagation, "/"));
	/* "/" is looked up as our root directory itself; the kernel stacks the new mount over it. Lookups do not see it until
	 * pivot_root makes it the root, and `tree` names it until then. */
	if (move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot attach the container's root");
	return NULL;
}

static struct err *become_root(int root, bool no_pivot)
{
	if (fchdir(root) < 0)
		return err_errno(errno, "cannot enter the container's root");
	if (no_pivot) {
		if (chroot(".") < 0)
			return err_errno(errno, "cannot change to the container's root");
		return NULL;
	}
	/* Old root and new root in one place: the old one is stacked on top and taken off again (pivot_root(2)). What stays is the new
	 * root, as "/" and as the working directory. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(errno, "cannot pivot to the container's root%s",
				 errno == EINVAL ? " (is the host's root a ramfs? then use --no-pivot)" : "");
	if (umount2(".", MNT_DETACH) < 0)
		return err_errno(errno, "cannot take off the host's root");
	return NULL;
}

struct err *rootfs_pivot(const struct spec *s, const struct inroot *root, bool no_pivot)
{
	uint64_t propagation = s->rootfs_propagation == MS_PRIVATE ? 0 : s->rootfs_propagation;
	TRY(become_root(root->fd, no_pivot));
	if (propagation && s->rootfs_propagation_recursive)
		TRY(mount_change(root->fd, AT_RECURSIVE, 0, 0, propagation, "/"));
	if (s->root_readonly || (propagation && !s->rootfs_propagation_recursive))
		TRY(mount_change(root->fd, 0, s->root_readonly ? MOUNT_ATTR_RDONLY : 0, 0,
				 s->rootfs_propagation_recursive ? 0 : propagation, "/"));
	return NULL;
}
