/* SPDX-License-Identifier: Apache-2.0 */
#include "restore_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/inroot.h"
#include "base/memory.h"
#include "base/str.h"
#include "mounts.h"

static struct err *separate(int root_tree)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(errno, "cannot make a mount namespace");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return err_errno(errno, "cannot separate the container's mounts from the host's");
	return mount_change(root_tree, AT_RECURSIVE, 0, 0, MS_SLAVE, "/");
}

static struct err *attach(int tree, const char *path)
{
	_cleanup_fd_ int target = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return err_errno(errno, "cannot open %s", path);
	return mount_attach(tree, target, path);
}

struct err *restore_enter_root(int root_tree, const char *path)
{
	TRY(separate(root_tree));
	return attach(root_tree, path);
}

/* CRIU fills a tmpfs itself, with the directories in it. */
static bool below_tmpfs(const struct spec *s, const char *path)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const char *d = s->mounts[i].destination;
		if (str_eq(s->mounts[i].type, "tmpfs") && str_starts(path, d) && path[strlen(d)] == '/')
			return true;
	}
	return false;
}

static bool is_cgroup(const struct spec_mount *m)
{
	return str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2");
}

/* A cgroup mount is below sysfs, or on a tmpfs that CRIU makes. A bind is mounted for the sake of those below it. */
static struct err *make_target(const struct spec *s, size_t i, const struct inroot *root, const int *sources)
{
	const struct spec_mount *m = &s->mounts[i];
	_cleanup_fd_ int target = -1;
	struct stat st;
	if (m->remount || is_cgroup(m) || (m->bind && sources[i] < 0) || below_tmpfs(s, m->destination))
		return NULL;
	bool directory = sources[i] < 0 || (fstat(sources[i], &st) == 0 && S_ISDIR(st.st_mode));
	TRY(mount_target(root, m->destination, directory,
			 m->dest_nofollow ? TARGET_LINK_COVERED : TARGET_LINK_FOLLOWED, &target));
	return sources[i] >= 0 ? mount_attach(sources[i], target, m->destination) : NULL;
}

static struct err *make_targets(const struct spec *s, int root_tree, const int *sources)
{
	struct inroot root = {.fd = root_tree};
	TRY(separate(root_tree));
	/* Over our own "/": `root_tree` names it, and no directory of the host is needed. */
	if (move_mount(root_tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot attach the container's root");
	for (size_t i = 0; i < s->n_mounts; i++)
		TRY_WRAP(make_target(s, i, &root, sources), "cannot make the mount point %s",
			 s->mounts[i].destination);
	return NULL;
}

struct err *restore_make_targets(const struct spec *s, int bundle_fd, int proc_fd, int root_tree)
{
	_cleanup_free_ int *sources = xnew_array(int, s->n_mounts + 1);
	_cleanup_fd_ int ours = -1;
	int pair[2], status;
	struct err *e = mounts_open_sources(s, bundle_fd, proc_fd, sources), *reported = NULL;
	if (!e)
		e = fd_socketpair(SOCK_STREAM, pair);
	if (!e) {
		ours = pair[0];
		pid_t pid = fork();
		if (pid == 0) {
			err_free(err_send(pair[1], make_targets(s, root_tree, sources)));
			_exit(0);
		}
		close(pair[1]);
		e = pid < 0 ? err_errno(errno, "cannot fork") : err_receive(ours, "the helper", &reported);
		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	for (size_t i = 0; i < s->n_mounts; i++)
		fd_close(sources[i]);
	return e ? e : reported;
}
