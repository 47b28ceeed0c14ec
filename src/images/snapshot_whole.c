/* SPDX-License-Identifier: Apache-2.0 */
/* The driver for file systems on which overlayfs cannot write (vfs), and trees that are unpacked for people. Layers are kept as plain tar
 * files as with the erofs driver, so that a chain is unpacked in one pass and nothing is kept twice. */
#include "snapshot_whole.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "content.h"
#include "layer_add.h"
#include "layer_index.h"
#include "overlay.h"
#include "snapshot_view.h"
#include "tree_write.h"

/* -- trees of layers ---------------------------------------------------------------------------------------------- */

/* One directory is looked at as it is; several are what the kernel makes of them. */
static struct err *open_directories(struct store *s, const struct digest *top, int *ret_fd)
{
	_cleanup_strv_ char **paths = NULL;

	TRY(layer_paths(s, top, &paths));
	return snapshot_mount_lower(s, paths, ret_fd);
}

static bool is_cancelled(void *user)
{
	const struct progress *p = user;

	return p && p->cancelled && p->cancelled(p->user);
}

struct err *layers_unpack(struct store *s, const struct digest *top, int to, const struct progress *progress)
{
	const struct tree_write_options o = {.cancelled = is_cancelled, .user = (void *)progress};
	_cleanup_fd_ int from = -1;
	struct layer_row row;

	if (!digest_is_set(top))
		return NULL;
	TRY(layer_row_find(s, top, &row));
	if (layer_row_is_tar(&row))
		return layer_index_unpack(s, top, to, &o);
	TRY(open_directories(s, top, &from));
	return tree_write_copy(from, to, &o);
}

struct err *layers_open(struct store *s, const struct digest *top, int *ret_fd, char **ret_temporary)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_fd_ int fd = -1;
	struct layer_row row;

	*ret_fd = -1;
	*ret_temporary = NULL;
	if (!digest_is_set(top))
		return NULL;
	TRY(layer_row_find(s, top, &row));
	if (!layer_row_is_tar(&row))
		return open_directories(s, top, ret_fd);
	struct err *e = layer_index_mount(s, top, ret_fd);
	if (!e || e->kind != ERR_UNSUPPORTED)
		return e;
	err_free(e);
	TRY(ingest_directory(s, &name, &fd));
	e = layers_unpack(s, top, fd, NULL);
	if (e) {
		err_free(file_remove_tree_at(s->root_fd, name));
		return e;
	}
	*ret_fd = TAKE_FD(fd);
	*ret_temporary = TAKE_PTR(name);
	return NULL;
}

/* -- snapshots ---------------------------------------------------------------------------------------------------- */

bool snapshot_is_whole(struct store *s, const char *key, struct timespec *ret_since)
{
	_cleanup_free_ char *path = xasprintf("snapshots/%s/whole", key);
	struct stat st;

	if (fstatat(s->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (ret_since)
		*ret_since = st.st_ctim;
	return true;
}

struct err *snapshot_fill(struct store *s, const struct image *image, int dirfd)
{
	static const struct digest none;
	_cleanup_fd_ int upper = openat(dirfd, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
			 mark = -1;

	if (upper < 0)
		return err_errno(errno, "cannot open the snapshot's directory");
	TRY(layers_unpack(s, image->n_layers ? &image->layers[image->n_layers - 1] : &none, upper, NULL));
	mark = openat(dirfd, "whole", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return mark < 0 ? err_errno(errno, "cannot make a file in the snapshot's directory") : NULL;
}

struct err *snapshot_mount_whole(struct store *s, const char *key, unsigned flags, int *ret_fd)
{
	_cleanup_free_ char *path = xasprintf("snapshots/%s/upper", key);
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY, .propagation = 0};
	_cleanup_fd_ int fd = (int)syscall(SYS_open_tree, s->root_fd, path,
					   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);

	if (fd < 0)
		return err_errno(errno, "cannot mount %s/%s", s->root, path);
	if (flags & SNAPSHOT_READ_ONLY &&
	    syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return err_errno(errno, "cannot make %s/%s read-only", s->root, path);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}
