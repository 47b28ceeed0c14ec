/* SPDX-License-Identifier: Apache-2.0 */
/* fsopen and fsconfig: mount(2) would take a page of options at most. Image and devices are named /proc/self/fd/N, which the kernel
 * opens at once: nothing needs a path in a mount namespace, and no path's length counts. */
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "erofs.h"
#include "erofs_format.h"

/* What the kernel wrote about the last failure ("e erofs: …") goes behind the error. */
static struct err *failed(int fs, const char *what)
{
	char text[256] = "";
	int errnum = errno;
	ssize_t n = read(fs, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	struct err *e = err_errno(errnum, "cannot mount an EROFS index: %s%s%s", what, n > 2 ? ": " : "",
				  n > 2 ? text + 2 : "");
	/* A kernel that wants a block device (before 6.12), or knows no blocks of 512 bytes (before 6.4). */
	if (errnum == ENOTBLK || errnum == EINVAL || errnum == ENODEV || errnum == EOPNOTSUPP)
		e->kind = ERR_UNSUPPORTED;
	return e;
}

static int set_string(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

/* Reads of 512-byte blocks past the page cache: not every file system, and no disk with larger sectors. */
static bool can_read_directly(int image_fd, const int *device_fds, size_t n_devices)
{
	for (size_t i = 0; i <= n_devices; i++) {
		struct statx st;
		int fd = i < n_devices ? device_fds[i] : image_fd;
		if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) < 0 ||
		    !(st.stx_mask & STATX_DIOALIGN) || st.stx_dio_offset_align == 0 ||
		    st.stx_dio_offset_align > EROFS_BLOCK)
			return false;
	}
	return true;
}

struct err *erofs_mount_fd(int image_fd, const int *device_fds, size_t n_devices, int *ret_fd)
{
	_cleanup_fd_ int fs = (int)syscall(SYS_fsopen, "erofs", FSOPEN_CLOEXEC);

	if (fs < 0)
		return err_wrap_kind(err_errno(errno, "cannot use EROFS"), ERR_UNSUPPORTED,
				     "this kernel has no EROFS (modprobe erofs may help)");
	if (set_string(fs, "source", fd_path(image_fd).s) < 0)
		return failed(fs, "source");
	for (size_t i = 0; i < n_devices; i++)
		if (set_string(fs, "device", fd_path(device_fds[i]).s) < 0)
			return failed(fs, "device");
	/* Without it every page of a layer is cached twice, for the tar and for the mount. An older kernel (before 6.13) does not know the
	 * word; it goes on as it was. */
	if (can_read_directly(image_fd, device_fds, n_devices))
		(void)syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "directio", NULL, 0);
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return failed(fs, "create");
	int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	if (fd < 0)
		return failed(fs, "mount");
	*ret_fd = fd;
	return NULL;
}
