/* SPDX-License-Identifier: Apache-2.0 */
/* The object, its status, and the small verbs. */
#include "container_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/timestamp.h"
#include "rootless.h"
#include "state.h"

const char *rt_status_name(enum rt_status s)
{
	static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};
	return names[s];
}

struct err *rt_id_check(const char *id)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-";
	size_t n = id ? strlen(id) : 0;
	/* A directory is named after it, and NAME_MAX is 255: more would fail later with worse words. */
	bool length = n && n <= 255, dot = n && id[0] == '.'; /* "." and "..", and what looks hidden */
	if (length && !dot && strspn(id, allowed) == n)
		return NULL;
	return err_new(
		ERR_INVALID,
		"invalid container ID format: %s \"%.64s\": use 1 to 255 of [a-zA-Z0-9_+.-], and no dot at "
		"the start",
		length ? "invalid character in container ID" : "invalid length of container ID",
		id ? id : "");
}

struct rt_container *rt_container_new(const char *state_root, const char *id)
{
	struct rt_container *c = xnew(struct rt_container);
	c->id = xstrdup(id);
	c->state_root = state_root ? xstrdup(state_root) : rootless_state_root();
	c->bundle = xstrdup("");
	c->rootfs = xstrdup("");
	c->pidfd = c->console = c->dir_fd = c->start_fd = c->state_fd = -1;
	return c;
}

void rt_container_free(struct rt_container *c)
{
	if (!c || memory_left()) /* its fds go with the process, too */
		return;
	fd_close(c->pidfd);
	fd_close(c->console);
	fd_close(c->dir_fd);
	fd_close(c->start_fd);
	fd_close(c->state_fd);
	rt_cgroup_free(c->cgroup);
	spec_free(c->spec);
	json_unref(c->config);
	strv_free(c->warnings);
	free(c->id);
	free(c->state_root);
	free(c->bundle);
	free(c->rootfs);
	free(c);
}

static struct err *lock_exclusively(const struct rt_container *c, int fd)
{
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno(errno, "cannot lock the state of container %s", c->id);
	return NULL;
}

struct err *rt_container_lock(const struct rt_container *c, int *ret_fd)
{
	/* A new open file description: locks of this process through another fd count as somebody else's. */
	_cleanup_fd_ int fd = openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open the state of container %s", c->id);
	TRY(lock_exclusively(c, fd));
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

struct err *rt_container_lock_dir(const struct rt_container *c)
{
	return lock_exclusively(c, c->dir_fd);
}

void rt_container_unlock_dir(const struct rt_container *c)
{
	if (c->dir_fd >= 0)
		(void)flock(c->dir_fd, LOCK_UN);
}

static bool is_locked(const struct rt_container *c)
{
	_cleanup_fd_ int fd = openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

struct err *rt_container_gate_connect(const struct rt_container *c, int *ret_fd)
{
	_cleanup_free_ char *path = xasprintf("%s/%s/" STATE_GATE, c->state_root, c->id);
	struct err *e = fd_unix_connect(path, 1 /* SOCK_STREAM */, ret_fd);
	if (e)
		return err_wrap_kind(e, ERR_STATE, "container %s is not waiting to be started", c->id);
	return NULL;
}

struct err *rt_container_load(const char *state_root, const char *id, struct rt_container **ret)
{
	TRY(rt_id_check(id));
	_cleanup_(rt_container_freep) struct rt_container *c = rt_container_new(state_root, id);
	_cleanup_free_ char *path = xasprintf("%s/%s", c->state_root, id);
	c->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->dir_fd < 0 && errno == ENOENT)
		return err_new(ERR_NOT_FOUND, "container \"%s\" does not exist", id);
	if (c->dir_fd < 0)
		return err_errno(errno, "cannot open the state of container %s", id);
	struct err *e = state_read(c);
	if (e && e->kind != ERR_NOT_FOUND && e->kind != ERR_INVALID)
		return err_wrap(e, "container %s", id);
	err_free(e); /* state.h, S4: its maker died, or is at it */
	TRY(rt_container_refresh(c));
	c->fresh = true;
	*ret = TAKE_PTR(c);
	return NULL;
}

struct err *rt_container_refresh(struct rt_container *c)
{
	c->fresh = false;
	if (c->pid <= 0) {
		c->status = is_locked(c) ? RT_CREATING : RT_STOPPED;
		return NULL;
	}
	if (c->pidfd < 0) {
		struct err *e = process_open_exact(c->pid, c->start_ticks, &c->pidfd);
		if (e && e->kind != ERR_NOT_FOUND)
			return e;
		err_free(e);
	}
	if (c->pidfd < 0 || !process_alive(c->pidfd)) {
		c->status = RT_STOPPED;
		return NULL;
	}
	bool frozen = false;
	if (c->start_fd >= 0) {
		c->status = RT_CREATED;
	} else {
		_cleanup_fd_ int gate = -1;
		struct err *e = rt_container_gate_connect(c, &gate);
		c->status = e ? RT_RUNNING : RT_CREATED;
		err_free(e);
	}
	if (c->cgroup)
		TRY(rt_cgroup_is_frozen(c->cgroup, &frozen));
	if (frozen)
		c->status = RT_PAUSED;
	return NULL;
}

struct err *rt_container_config(struct rt_container *c)
{
	if (!c->config)
		TRY_WRAP(json_parse_file_at(c->dir_fd, "config.json", &c->config),
			 "configuration of container %s", c->id);
	return NULL;
}

void rt_container_drop_config(struct rt_container *c)
{
	spec_free(TAKE_PTR(c->spec));
	json_unref(TAKE_PTR(c->config));
}

struct err *rt_container_spec(struct rt_container *c, struct spec **ret)
{
	TRY(rt_container_config(c));
	if (!c->spec)
		TRY(spec_parse(c->config, &c->spec));
	*ret = c->spec;
	return NULL;
}

/* Without a PID namespace of its own the end of its first process ends no other one. What is not known is left alone. */
static bool has_own_pids(struct rt_container *c)
{
	struct spec *s = NULL; /* the container's own */
	struct err *e = rt_container_spec(c, &s);
	bool own = e || (s->ns[SPEC_NS_PID].present && !s->ns[SPEC_NS_PID].path);

	err_free(e);
	return own;
}

static struct err *kill_whole_cgroup(struct rt_container *c)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;

	TRY(rt_cgroup_pids(c->cgroup, &pids, &n));
	return n ? rt_container_signal_all(c, SIGKILL) : err_new(ERR_STATE, "container not running");
}

struct err *rt_container_kill(struct rt_container *c, int signum, bool all)
{
	TRY(rt_container_refresh(c));
	if (!all && signum == SIGKILL && c->cgroup && !has_own_pids(c))
		return kill_whole_cgroup(c); /* as runc does, even when the first process is gone */
	if (all)
		return rt_container_signal_all(c, signum);
	if (c->status == RT_STOPPED || c->pidfd < 0)
		return err_new(ERR_STATE, "container not running");
	struct err *e = process_signal(c->pidfd, signum);
	if (e && e->errnum == ESRCH) {
		err_free(e);
		return err_new(ERR_STATE, "container not running");
	}
	/* A frozen process of cgroup v1 takes no signal, not even this one, until it is thawed; and it may be in a group below. */
	if (!e && signum == SIGKILL && c->cgroup)
		e = rt_cgroup_thaw_all(c->cgroup);
	return e;
}

static struct err *freeze(struct rt_container *c, bool frozen)
{
	_cleanup_fd_ int lock = -1;
	TRY(rt_container_lock(c, &lock));
	TRY(rt_container_refresh(c));
	if (c->status == RT_STOPPED || c->status == RT_CREATING)
		return err_new(ERR_STATE, "container not running");
	if (!frozen && c->status != RT_PAUSED)
		return err_new(ERR_STATE, "container not paused");
	if (!c->cgroup)
		return err_new(ERR_UNSUPPORTED, "container %s has no cgroup to freeze", c->id);
	if (frozen == (c->status == RT_PAUSED))
		return NULL;
	TRY(rt_cgroup_freeze(c->cgroup, frozen));
	return rt_container_refresh(c);
}

struct err *rt_container_pause(struct rt_container *c)
{
	return freeze(c, true);
}

struct err *rt_container_resume(struct rt_container *c)
{
	return freeze(c, false);
}

struct err *rt_container_state_json(struct rt_container *c, struct json **ret)
{
	struct json_cursor config = {0};
	const char *version = "1.0.0";
	char created[TIMESTAMP_STRING_MAX];
	if (c->status != RT_CREATING) {
		struct err *e = rt_container_config(c);
		if (e && e->kind != ERR_NOT_FOUND && e->kind != ERR_INVALID)
			return e;
		err_free(e);
	}
	if (c->config) {
		config = json_root(c->config);
		TRY(json_get_string(&config, "ociVersion", JSON_OPTIONAL, &version));
	}
	pid_t pid = c->status == RT_STOPPED ? 0 : c->pid;
	struct json *o = state_object(version, c->id, c->bundle, pid, rt_status_name(c->status), &config);
	timestamp_format(c->created_ns, created);
	json_set_string(o, "rootfs", c->rootfs);
	json_set_string(o, "created", created);
	json_set_string(o, "owner", "");
	*ret = o;
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct err *rt_container_list(const char *state_root, char ***ret_ids)
{
	_cleanup_strv_ char **ids = NULL;
	_cleanup_free_ char *root = state_root ? xstrdup(state_root) : rootless_state_root();
	DIR *d = opendir(root);
	if (!d && errno != ENOENT)
		return err_errno(errno, "cannot list %s", root);
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		struct err *e = rt_id_check(entry->d_name);
		if (!e && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
			strv_push(&ids, entry->d_name);
		err_free(e);
	}
	if (d)
		closedir(d);
	if (ids)
		qsort(ids, strv_len(ids), sizeof(*ids), by_name);
	*ret_ids = TAKE_PTR(ids);
	return NULL;
}
