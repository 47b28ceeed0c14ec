/* SPDX-License-Identifier: Apache-2.0 */
#include "procfs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

bool fd_is_fs(int fd, unsigned long magic)
{
	struct statfs s;
	return fstatfs(fd, &s) == 0 && (unsigned long)s.f_type == magic;
}

struct err *procfs_open(int *ret_fd)
{
	_cleanup_fd_ int fd = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0)
		return err_errno(errno, "cannot open /proc");
	/* The root of every procfs is inode 1: a subdirectory bound on /proc is not one. */
	if (!fd_is_fs(fd, PROC_SUPER_MAGIC) || fstat(fd, &st) < 0 || st.st_ino != 1)
		return err_new(ERR_UNSUPPORTED, "/proc is not a proc file system");
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

struct err *procfs_write(int proc_fd, const char *path, const char *value, size_t size)
{
	struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_fd_ int fd = (int)syscall(SYS_openat2, proc_fd, path, &how, sizeof(how));
	if (fd < 0)
		return err_errno(errno, "cannot open /proc/%.200s", path);
	ssize_t n = write(fd, value, size);
	if (n < 0)
		return err_errno(errno, "cannot write \"%.*s\" to /proc/%.200s",
				 (int)(size > 200 ? 200 : size), value, path);
	if ((size_t)n != size)
		return err_new(ERR_SYSTEM, "cannot write to /proc/%.200s: only a part was taken", path);
	return NULL;
}

struct err *procfs_write_self(int proc_fd, const char *path, const char *value)
{
	int was = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	if (was == 0)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	struct err *e = procfs_write(proc_fd, path, value, strlen(value));
	if (was == 0)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return e;
}

char *procfs_describe(int pid)
{
	static const struct {
		char state;
		const char *words;
	} states[] = {{'D', "D (uninterruptible)"},
		      {'T', "T (stopped)"},
		      {'t', "t (traced)"},
		      {'Z', "Z (its parent has not waited for it)"}};
	_cleanup_fd_ int proc_fd = -1;
	char path[64], text[512] = "", wait[64] = "";
	struct err *e = procfs_open(&proc_fd);
	if (e) {
		err_free(e);
		return xstrdup("");
	}
	snprintf(path, sizeof(path), "%d/stat", pid);
	_cleanup_fd_ int stat = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%d/wchan", pid);
	_cleanup_fd_ int wchan = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (stat < 0 || read(stat, text, sizeof(text) - 1) <= 0)
		return xstrdup("");
	if (wchan < 0 || read(wchan, wait, sizeof(wait) - 1) <= 0 || wait[0] == '0')
		wait[0] = '\0';
	const char *end = strrchr(text, ')'); /* the name before it may contain anything */
	char state = end && end[1] == ' ' ? end[2] : '?';
	char plain[2] = {state, '\0'};
	const char *words = plain;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (states[i].state == state)
			words = states[i].words;
	return xasprintf(", in state %s%s%s", words, *wait ? " at " : "", wait);
}
