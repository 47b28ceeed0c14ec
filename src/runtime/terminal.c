/* SPDX-License-Identifier: Apache-2.0 */
#include "terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "mounts.h"
#include "procfs.h"

struct err *terminal_open(const struct inroot *root, const struct spec_process *p, struct terminal *ret)
{
	_cleanup_fd_ int master = -1, slave = -1;
	struct stat st;
	int unlock = 0;
	/* Not /dev/ptmx, which is a symlink of the container's: the multiplexer of the devpts itself, and checked to be one. */
	TRY_WRAP(inroot_open_nofollow(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, &master),
		 "process.terminal needs a devpts mounted on /dev/pts");
	if (!fd_is_fs(master, DEVPTS_SUPER_MAGIC) || fstat(master, &st) < 0 || st.st_rdev != makedev(5, 2))
		return err_new(ERR_INVALID, "process.terminal: /dev/pts/ptmx is not a terminal multiplexer");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_errno(errno, "cannot unlock the new terminal");
	/* By ioctl, never by name: /dev/pts/N could be swapped (CVE-2025-52565). */
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_errno(errno, "cannot open the new terminal");
	if (p->rows || p->columns) {
		struct winsize size = {.ws_row = p->rows, .ws_col = p->columns};
		if (ioctl(slave, TIOCSWINSZ, &size) < 0)
			return err_errno(errno, "cannot set the size of the new terminal");
	}
	if (p->uid && fchown(slave, p->uid, (gid_t)-1) < 0)
		return err_errno(errno, "cannot give the new terminal to user %u", p->uid);
	*ret = (struct terminal){.master = TAKE_FD(master), .slave = TAKE_FD(slave)};
	return NULL;
}

struct err *terminal_bind_console(const struct inroot *root, int slave)
{
	_cleanup_fd_ int dev = -1, target = -1, tree = -1;
	TRY(inroot_open_nofollow(root, "/dev", O_PATH | O_DIRECTORY, 0, &dev));
	target = openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0) {
		_cleanup_fd_ int made =
			openat(dev, "console", O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
		if (made < 0)
			return err_errno(errno, "cannot make /dev/console");
		target = openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	struct stat st;
	if (target < 0 || fstat(target, &st) < 0)
		return err_errno(errno, "cannot open /dev/console inside the root");
	if (S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode))
		return err_new(ERR_INVALID, "/dev/console inside the root is not a file or device");
	TRY(mount_clone(slave, "", 0, &tree));
	return mount_attach(tree, target, "/dev/console");
}

struct err *terminal_take(int slave)
{
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return err_errno(errno, "cannot make the terminal the controlling one");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(slave, fd) < 0)
			return err_errno(errno, "cannot connect the terminal");
	return NULL;
}

struct err *terminal_send(int console_socket, int master)
{
	static const char name[] = "/dev/ptmx";
	TRY_WRAP(fd_send(console_socket, name, strlen(name), &master, 1),
		 "cannot send the terminal over the console socket");
	return NULL;
}
