/* SPDX-License-Identifier: Apache-2.0 */
#include "userns.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "clone3.h"
#include "procfs.h"
#include "rootless.h"

static struct err *write_map(int proc_fd, pid_t pid, const char *file, const struct spec_id_map *maps,
			     size_t n)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	char path[64];
	for (size_t i = 0; i < n; i++)
		strbuf_printf(&text, "%u %u %u\n", maps[i].container_id, maps[i].host_id, maps[i].size);
	snprintf(path, sizeof(path), "%d/%s", pid, file);
	return procfs_write(proc_fd, path, strbuf_str(&text), text.len);
}

/* In PATH, as the callers of the runtime may have them anywhere; NULL when it is missing. */
static char *find_mapper(const char *program)
{
	const char *search = getenv("PATH");
	_cleanup_strv_ char **dirs = strv_split(str_empty(search) ? "/usr/bin:/bin" : search, ":");
	STRV_FOREACH (d, dirs) {
		_cleanup_free_ char *path = xasprintf("%s/%s", *d, program);
		if (**d == '/' && access(path, X_OK) == 0)
			return TAKE_PTR(path);
	}
	return NULL;
}

const char *userns_mappers_missing(void)
{
	_cleanup_free_ char *uid = find_mapper("newuidmap"), *gid = find_mapper("newgidmap");
	return !uid   ? "newuidmap is not in PATH (package uidmap)"
	       : !gid ? "newgidmap is not in PATH (package uidmap)"
		      : NULL;
}

static struct err *run_mapper(const char *program, pid_t pid, const struct spec_id_map *maps, size_t n)
{
	_cleanup_strv_ char **argv = NULL;
	_cleanup_free_ char *path = find_mapper(program);
	if (!path)
		return err_new(
			ERR_NOT_FOUND,
			"an ordinary user needs %s for more than its own id: it is not in PATH (package "
			"uidmap)",
			program);
	strv_push(&argv, program);
	strv_push_take(&argv, xasprintf("%d", pid));
	for (size_t i = 0; i < n; i++) {
		strv_push_take(&argv, xasprintf("%u", maps[i].container_id));
		strv_push_take(&argv, xasprintf("%u", maps[i].host_id));
		strv_push_take(&argv, xasprintf("%u", maps[i].size));
	}
	struct process_spawn p = {.path = path, .exec_fd = -1, .argv = argv, .stdio = {-1, -1, -1}};
	_cleanup_free_ char *output = NULL;
	size_t size;
	TRY_WRAP(process_run(&p, NULL, 0, 10000, 4096, &output, &size),
		 "cannot set id mappings with %s (see /etc/sub%.3s)", program, program + 3);
	return NULL;
}

/* What the kernel lets an ordinary user write without help: its own id, alone. */
static bool is_own_id(const struct spec_id_map *maps, size_t n, uint32_t id)
{
	return n == 1 && maps[0].size == 1 && maps[0].host_id == id;
}

/* Group mappings by the kernel's own rule are only for those who give up setgroups. */
static struct err *deny_setgroups(int proc_fd, pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "%d/setgroups", pid);
	return procfs_write(proc_fd, path, "deny", 4);
}

/* One of both maps, as an ordinary user. */
static struct err *write_map_as_user(int proc_fd, pid_t pid, bool user, const struct spec_id_map *maps,
				     size_t n, const struct spec_process *shrink, char ***warnings)
{
	uint32_t own = user ? geteuid() : getegid();
	struct spec_id_map single = {.host_id = own, .size = 1};
	if (!is_own_id(maps, n, own)) {
		struct err *e = run_mapper(user ? "newuidmap" : "newgidmap", pid, maps, n);
		if (!e || !shrink)
			return e;
		_cleanup_free_ char *why = err_text(e);
		err_free(e);
		strv_push_take(warnings,
			       xasprintf("only one %s id is mapped: %s", user ? "user" : "group", why));
		single.container_id = user ? shrink->uid : shrink->gid;
		maps = &single;
	}
	if (!user)
		TRY(deny_setgroups(proc_fd, pid));
	return write_map(proc_fd, pid, user ? "uid_map" : "gid_map", maps, 1);
}

struct err *userns_write_maps(int proc_fd, pid_t pid, const struct spec_id_maps *maps,
			      const struct spec_process *shrink, char ***warnings)
{
	if (rootless_user()) {
		TRY_WRAP(write_map_as_user(proc_fd, pid, true, maps->uid, maps->n_uid, shrink, warnings),
			 "linux.uidMappings");
		TRY_WRAP(write_map_as_user(proc_fd, pid, false, maps->gid, maps->n_gid, shrink, warnings),
			 "linux.gidMappings");
		return NULL;
	}
	TRY_WRAP(write_map(proc_fd, pid, "uid_map", maps->uid, maps->n_uid), "linux.uidMappings");
	struct err *e = write_map(proc_fd, pid, "gid_map", maps->gid, maps->n_gid);
	if (e && e->kind == ERR_PERMISSION && rootless_confined(proc_fd)) {
		/* Root of a user namespace with only one id has no more rights here than the ordinary user that it is. */
		err_free(e);
		TRY(deny_setgroups(proc_fd, pid));
		e = write_map(proc_fd, pid, "gid_map", maps->gid, maps->n_gid);
	}
	return e ? err_wrap(e, "linux.gidMappings") : NULL;
}

struct err *userns_make(int proc_fd, const struct spec_id_maps *maps, int *ret_fd)
{
	/* Its process only holds the namespace until we have the fd; it stops at once and is killed. */
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	long pid = clone3(&args);
	if (pid == 0)
		for (;;)
			pause();
	if (pid < 0)
		return err_errno(errno, "cannot make a user namespace for an idmapped mount");
	struct err *e = userns_write_maps(proc_fd, (pid_t)pid, maps, NULL, NULL);
	if (!e) {
		char path[64];
		snprintf(path, sizeof(path), "%ld/ns/user", pid);
		int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			e = err_errno(errno, "cannot open the user namespace of an idmapped mount");
		else
			*ret_fd = fd;
	}
	kill((pid_t)pid, SIGKILL);
	while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
	return e;
}

/* `id`, or `other` where `id` is not mapped. */
static int become(int (*set)(uid_t, uid_t, uid_t), uint32_t id, uint32_t other)
{
	if (set(id, id, id) == 0)
		return 0;
	return errno == EINVAL && other != id ? set(other, other, other) : -1;
}

struct err *userns_become_root(const struct spec_process *p)
{
	/* Where setgroups is denied the groups stay what they were: the kernel maps them to the overflow id. */
	if (!p->keep_original_groups && setgroups(0, NULL) < 0 && errno != EPERM)
		return err_errno(errno, "cannot drop groups in the user namespace");
	if (become(setresgid, 0, p->gid) < 0)
		return err_errno(errno,
				 "cannot become group 0 in the user namespace (gidMappings without 0 and "
				 "without process.user.gid?)");
	/* The capabilities that the namespace's first process has only end with a change from its root to another user. */
	if (become(setresuid, 0, p->uid) < 0)
		return err_errno(errno,
				 "cannot become user 0 in the user namespace (uidMappings without 0 and "
				 "without process.user.uid?)");
	return NULL;
}
