/* SPDX-License-Identifier: Apache-2.0 */
/* CVE-2019-5736: a container that gets our process to execute /proc/self/exe, or opens /proc/PID/exe of one that joined it, holds a
 * reference to the runtime's file on the host, and as root may write to it once we are gone.
 *
 * Prevention: run from a mount that cannot be written: a detached clone of the executable's, made read-only. Mostly bin/early.c has
 * done that before main(), without executing anything. Here it costs an execve more; both need CAP_SYS_ADMIN. A sealed copy in
 * memory is the way without.
 * Whoever already runs from such a one, or from a read-only file system, has nothing to do: that is also how the second
 * execution knows that it is the second, with no variable that somebody could set.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "mounts.h"
#include "runtime/container.h"

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool on_read_only_mount(void)
{
	struct statvfs v;
	return statvfs("/proc/self/exe", &v) == 0 && v.f_flag & ST_RDONLY;
}

static bool is_sealed(int exe)
{
	int seals = fcntl(exe, F_GET_SEALS);
	return seals >= 0 && (seals & ALL_SEALS) == ALL_SEALS;
}

static struct err *clone_read_only(int *ret)
{
	_cleanup_fd_ int fd = -1;
	TRY(mount_clone(AT_FDCWD, "/proc/self/exe", 0, &fd));
	TRY(mount_change(fd, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, 0, "our executable"));
	*ret = TAKE_FD(fd);
	return NULL;
}

static struct err *copy_sealed(int exe, int *ret)
{
	_cleanup_fd_ int fd = memfd_create("havre", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;
	off_t done = 0;
	if (fd < 0 || fstat(exe, &st) < 0)
		return err_errno(errno, "cannot copy our executable");
	while (done < st.st_size) {
		ssize_t n = sendfile(fd, exe, &done, (size_t)(st.st_size - done));
		if (n <= 0 && errno != EINTR)
			return err_errno(n ? errno : EIO, "cannot copy our executable");
	}
	if (fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0)
		return err_errno(errno, "cannot seal the copy of our executable");
	*ret = TAKE_FD(fd);
	return NULL;
}

struct err *rt_executable_protect(char *const *argv)
{
	if (on_read_only_mount())
		return NULL;
	_cleanup_fd_ int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd = -1;
	if (exe < 0)
		return err_errno(errno, "cannot open our executable");
	if (is_sealed(exe))
		return NULL;
	struct err *e = clone_read_only(&fd);
	if (e) {
		err_free(e);
		TRY(copy_sealed(exe, &fd));
	}
	execveat(fd, "", argv, environ, AT_EMPTY_PATH);
	return err_errno(errno, "cannot execute ourselves from a protected file");
}
