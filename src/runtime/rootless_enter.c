/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/rootless.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/str.h"
#include "procfs.h"
#include "rootless.h"
#include "userns.h"

/* -- the processes of the namespace --- */

static struct err *open_locked(const char *dir, int *ret_dir, int *ret_lock)
{
	TRY(file_mkdir_p(dir, 0700));
	_cleanup_fd_ int fd = open(dir, O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open %s", dir);
	TRY(file_lock_at(fd, "lock", FILE_LOCK_EXCLUSIVE, ret_lock));
	*ret_dir = TAKE_FD(fd);
	return NULL;
}

static struct err *hold(int dir_fd)
{
	char name[64];
	uint64_t ticks;

	TRY(process_start_time(getpid(), &ticks));
	snprintf(name, sizeof(name), "%d.%" PRIu64, (int)getpid(), ticks);
	_cleanup_fd_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? err_errno(errno, "cannot note that process %d keeps the user namespace",
				  (int)getpid())
		      : NULL;
}

/* Whether the entry's process lives and its namespace was entered. An entry of a dead process is removed. */
static bool join_entry(int dir_fd, int proc_fd, const char *name)
{
	int pid, end = 0;
	uint64_t ticks;
	char path[64];
	_cleanup_fd_ int pidfd = -1;

	if (sscanf(name, "%d.%" SCNu64 "%n", &pid, &ticks, &end) != 2 || name[end] || pid <= 0)
		return false;
	struct err *gone = process_open_exact(pid, ticks, &pidfd);
	if (gone) {
		err_free(gone);
		(void)unlinkat(dir_fd, name, 0);
		return false;
	}
	snprintf(path, sizeof(path), "%d/ns/user", pid);
	_cleanup_fd_ int ns = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	return ns >= 0 && setns(ns, CLONE_NEWUSER) == 0;
}

static struct err *join(int dir_fd, int proc_fd, bool *ret_joined)
{
	_cleanup_fd_ int list_fd = openat(dir_fd, ".", O_DIRECTORY | O_CLOEXEC);
	DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);

	if (!list)
		return err_errno(errno, "cannot list the processes of the user namespace");
	(void)TAKE_FD(list_fd);
	for (struct dirent *d; !*ret_joined && (d = readdir(list));)
		*ret_joined = join_entry(dir_fd, proc_fd, d->d_name);
	closedir(list);
	return NULL;
}

/* -- a new namespace --- */

static void child(int sock, int proc_fd, const struct spec_id_maps *maps)
{
	struct err *reported = NULL;
	pid_t parent = getppid();

	err_free(err_receive(sock, "havre", &reported)); /* it is in its new namespace, or gone */
	if (!reported)
		err_free(err_send(sock, userns_write_maps(proc_fd, parent, maps, NULL, NULL)));
	_exit(0);
}

/* The maps are written from outside, by a process that stays there. */
static struct err *make_with(int proc_fd, const struct spec_id_maps *maps)
{
	_cleanup_fd_ int ours = -1, theirs = -1;
	struct err *reported = NULL, *error = NULL;
	int pair[2];

	TRY(fd_socketpair(SOCK_STREAM, pair));
	ours = pair[0];
	theirs = pair[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(errno, "cannot fork");
	if (pid == 0) {
		fd_close(ours);
		child(theirs, proc_fd, maps);
	}
	close(TAKE_FD(theirs));
	if (unshare(CLONE_NEWUSER) < 0)
		error = err_errno(
			errno,
			"cannot make a user namespace, without which an ordinary user has no "
			"containers (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)");
	if (!error)
		error = err_send(ours, NULL);
	if (!error)
		error = err_receive(ours, "the process that sets the id mappings", &reported);
	close(TAKE_FD(ours));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return error ? error : reported;
}

/* -- both --- */

struct err *rt_rootless_enter(const char *dir, char ***warnings)
{
	_cleanup_fd_ int dir_fd = -1, lock_fd = -1, proc_fd = -1;
	bool joined = false;

	TRY(open_locked(dir, &dir_fd, &lock_fd));
	TRY(procfs_open(&proc_fd));
	TRY(join(dir_fd, proc_fd, &joined));
	if (!joined) {
		struct rootless_maps maps;
		rootless_maps_of_caller(&maps, 0, 0, warnings);
		TRY(make_with(proc_fd, &maps.maps));
	}
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(errno, "cannot make a mount namespace in the user namespace");
	return hold(dir_fd);
}

struct err *rt_rootless_hold(const char *dir)
{
	_cleanup_fd_ int dir_fd = -1, lock_fd = -1;

	TRY(open_locked(dir, &dir_fd, &lock_fd));
	return hold(dir_fd);
}
