/* SPDX-License-Identifier: Apache-2.0 */
/* Locking the flags of a mount that comes from another user namespace.
 *
 * The kernel locks nosuid, nodev, noexec, read-only and atime of the mounts that a mount namespace gets when it is copied for another
 * user namespace: root there, who may mount, cannot take them off again. A detached clone that was made outside and is attached
 * inside never went through such a copy. So it is sent through one: a child of ours with a mount namespace of its own attaches the
 * clone where nobody else sees it, copies that namespace into a user namespace below ours, and makes a new clone of the copy. That
 * keeps the locks, and takes the old one's number in the fd table, which we share. No name that a container could change is
 * involved: the mount is an entry of a new tmpfs that is the child's working directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "mounts.h"

#define NAME "m"

static bool make_place(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return false;
	return S_ISDIR(st.st_mode) ? mkdir(NAME, 0700) == 0 : mknod(NAME, S_IFREG | 0600, 0) == 0;
}

static bool attach(int fd)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), tree = -1;
	if (fs >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		tree = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	bool ok = tree >= 0 && mount(NULL, "/", NULL, MS_PRIVATE, NULL) == 0 &&
		  move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0 && fchdir(tree) == 0 &&
		  chroot(".") == 0 && make_place(fd) &&
		  move_mount(fd, "", AT_FDCWD, NAME, MOVE_MOUNT_F_EMPTY_PATH) == 0;
	int errnum = errno;
	fd_close(tree);
	fd_close(fs);
	errno = errnum;
	return ok;
}

/* In the child: 0, or an errno. Root and working directory follow the copy. The root must be the topmost mount: the kernel makes no user
 * namespace in a chroot. */
static int lock(int fd)
{
	if (!attach(fd) || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return errno;
	int locked = open_tree(AT_FDCWD, NAME,
			       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
	if (locked < 0 || dup3(locked, fd, O_CLOEXEC) < 0)
		return errno;
	close(locked);
	return 0;
}

static bool is_flagged(int fd)
{
	struct statvfs st;
	return fstatvfs(fd, &st) < 0 || st.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC);
}

struct err *mount_lock(int fd, bool recursive, const char *what)
{
	struct clone_args args = {.flags = CLONE_NEWNS | CLONE_FILES, .exit_signal = SIGCHLD};
	bool flagged = is_flagged(fd);
	int status;
	/* Below a recursive one there may be mounts with flags of their own. */
	if (!recursive && !flagged)
		return NULL;
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	/* Not by _exit(): before a call that is known not to return the address sanitizer looks for the end of the stack, and where we
	 * are on the stack of a helper (namespaces.h) it warns, into a log that it cannot open in a container, and dies. */
	while (pid == 0) /* NOLINT(bugprone-infinite-loop) */
		syscall(SYS_exit_group, lock(fd));
	if (pid < 0)
		return err_errno(errno, "cannot make a process that locks the flags of the mount on %s",
				 what);
	while (waitpid((pid_t)pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(errno, "cannot wait for the process that locks the mount on %s",
					 what);
	if (!WIFEXITED(status))
		return err_new(ERR_SYSTEM, "the process that locks the mount on %s was killed", what);
	/* Where a security module forbids user namespaces, only what is known to matter fails. */
	if (WEXITSTATUS(status) == EPERM && !flagged)
		return NULL;
	if (WEXITSTATUS(status))
		return err_errno(
			WEXITSTATUS(status),
			"cannot keep the container's root from changing the flags of the mount on %s "
			"(a limit in /proc/sys/user, or no user namespaces for it?)",
			what);
	return NULL;
}
