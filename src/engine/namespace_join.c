/* SPDX-License-Identifier: Apache-2.0 */
#include "namespace_join.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/process.h"
#include "fd_from_child.h"

const char *mode_container(const char *mode)
{
	return mode && str_starts(mode, "container:") && mode[10] ? mode + 10 : NULL;
}

struct err *container_open_proc(const struct container *c, const char *what, int *ret_fd)
{
	_cleanup_record_ struct record record = {0};
	_cleanup_fd_ int pidfd = -1, fd = -1;

	TRY(record_read(c->root_dir, &record));
	TRY(process_open_exact(record.pid, record.start_ticks, &pidfd));
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", (int)record.pid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open %s of container %s", what, c->name);
	if (!process_alive(pidfd)) /* the pid may have been another's by then */
		return err_new(ERR_STATE, "container %s has ended", c->name);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

static struct err *find_running(struct engine *e, const char *flag, const char *name, struct container **ret)
{
	_cleanup_container_ struct container *c = NULL;

	TRY_WRAP(container_find(e, name, &c), "%s container:%s", flag, name);
	if (c->status != CONTAINER_RUNNING && c->status != CONTAINER_PAUSED)
		return err_new(ERR_STATE,
			       "%s: cannot join container %s, which is not running; start it first", flag,
			       c->name);
	*ret = TAKE_PTR(c);
	return NULL;
}

/* Whose ipc namespace and /dev/shm may be joined: docker's rule. */
static bool is_shareable(const struct container_spec *s)
{
	return str_eq(s->ipc_mode, "shareable") || str_eq(s->ipc_mode, "host") || mode_container(s->ipc_mode);
}

struct err *namespaces_check(struct engine *e, const struct container_spec *s)
{
	const struct {
		const char *flag, *mode;
	} modes[] = {{"--pid", s->pid_mode},
		     {"--ipc", s->ipc_mode},
		     {"--uts", s->uts_mode},
		     {"--userns", s->userns_mode}};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		_cleanup_container_ struct container *c = NULL;
		const char *name = mode_container(modes[i].mode);
		if (!name)
			continue;
		TRY_WRAP(container_find(e, name, &c), "%s container:%s", modes[i].flag, name);
		if (str_eq(modes[i].flag, "--ipc") && !is_shareable(c->spec))
			return err_new(ERR_STATE,
				       "--ipc container:%s: its IPC is not shareable; make that container "
				       "with --ipc shareable",
				       name);
	}
	return NULL;
}

/* A clone of the mount at /dev/shm, which only a process in that mount namespace can make. */
static struct err *clone_shm(void *user, int *ret_fd)
{
	const int *mntns = user;
	int fd;

	if (setns(*mntns, CLONE_NEWNS) < 0)
		return err_errno(errno, "cannot enter the mount namespace");
	fd = open_tree(AT_FDCWD, "/dev/shm", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (fd < 0)
		return err_errno(errno, "cannot clone the mount");
	*ret_fd = fd;
	return NULL;
}

static struct err *share_shm(const struct container *other, int *ret_fd)
{
	_cleanup_fd_ int mntns = -1;

	TRY(container_open_proc(other, "ns/mnt", &mntns));
	TRY_WRAP(fd_from_child(clone_shm, &mntns, ret_fd), "cannot share /dev/shm of container %s",
		 other->name);
	return NULL;
}

struct err *namespaces_join(struct engine *e, const struct container_spec *s, struct start_fds *fds,
			    char **ret_shm)
{
	const struct {
		const char *flag, *mode, *file;
		int place;
	} modes[] = {{"--pid", s->pid_mode, "ns/pid", START_PIDNS},
		     {"--ipc", s->ipc_mode, "ns/ipc", START_IPCNS},
		     {"--uts", s->uts_mode, "ns/uts", START_UTSNS},
		     {"--userns", s->userns_mode, "ns/user", START_USERNS}};

	*ret_shm = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		_cleanup_container_ struct container *other = NULL;
		const char *name = mode_container(modes[i].mode);
		int shm;
		if (!name)
			continue;
		TRY(find_running(e, modes[i].flag, name, &other));
		TRY(container_open_proc(other, modes[i].file, &fds->fds[modes[i].place]));
		if (modes[i].place != START_IPCNS || str_eq(other->spec->ipc_mode, "none"))
			continue;
		TRY(share_shm(other, &shm));
		TRY(start_fds_add_mount(fds, shm, ret_shm));
	}
	return NULL;
}
