// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "cli.h"

static bool is_special_file(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static struct err *write_beside(const char *path, struct err *(*write)(void *user, int fd), void *user)
{
	_cleanup_free_ char *temporary = xasprintf("%s.XXXXXX", path);
	_cleanup_fd_ int fd = mkostemp(temporary, O_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot make a file beside %s", path);
	struct err *e = write(user, fd);
	mode_t mask = umask(0);
	umask(mask);
	if (!e && (fchmod(fd, 0666 & ~mask) < 0 || fsync(fd) < 0))
		e = err_errno(errno, "cannot write %s", path);
	if (!e && rename(temporary, path) < 0)
		e = err_errno(errno, "cannot rename %s to %s", temporary, path);
	if (e)
		unlink(temporary);
	return e;
}

struct err *cli_write_output(const char *path, struct err *(*write)(void *user, int fd), void *user)
{
	if (!path && isatty(STDOUT_FILENO))
		return err_new(ERR_INVALID,
			       "not writing an archive to a terminal; use -o FILE or redirect the output");
	if (!path)
		return write(user, STDOUT_FILENO);
	if (!is_special_file(path))
		return write_beside(path, write, user);
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_errno(errno, "cannot open %s", path);
	return write(user, fd);
}
