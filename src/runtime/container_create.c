/* SPDX-License-Identifier: Apache-2.0 */
/* Making a container up to its start gate.
 *
 * The order is the crash safety (state.h): directory, state with the planned cgroup, cgroup, process (which ends with us), state with the
 * process, and only then the word that lets it outlive us. Whatever point we are killed at, `delete` finds all of it.
 * The order is also the speed: what the child needs is opened before the clone, so that it waits for us only where the
 * kernel makes it (id maps) and for the groups of v1, which we make, with their limits, while it mounts.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/timestamp.h"
#include "container_private.h"
#include "devices.h"
#include "hooks.h"
#include "init.h"
#include "mounts.h"
#include "network.h"
#include "notify_setup.h"
#include "process_setup.h"
#include "procfs.h"
#include "resctrl.h"
#include "rootless.h"
#include "state.h"
#include "userns.h"

#define HEAP_AFTER_CLONE 28672

struct create {
	const struct rt_create *request;
	struct rt_container *c;
	struct spec *spec; /* of `c` */
	struct namespace_join join;
	struct rt_seccomp filter;
	struct init init;
	char *own_text;          /* of config.json, where we read it */
	const char *config_text; /* what is saved of it as it is; NULL: it was changed */
	int proc_fd, bundle_fd, root_tree;
	int sync[2], gate; /* sync[0] is ours */
	int *sources;
	int device_tree; /* devices_prepare */
	int resctrl;     /* the resctrl file system, with linux.intelRdt */
	bool made_dir, made_v2, made_cgroup, made_rdt;
	bool child_opens; /* we may not bind: the root and the sources of binds are opened by the child */
	bool own_maps;    /* rootless_adapt made the id mappings */
};

/* In as few calls as their numbers allow. What only the child needs, which has copies of its own, is left to this, too: nothing waits for
 * the end of it. */
static void close_all(struct create *x)
{
	size_t n_sources = x->sources ? x->spec->n_mounts : 0, n = 0;
	int *own[] = {&x->bundle_fd,   &x->proc_fd, &x->root_tree, &x->gate,
		      &x->device_tree, &x->sync[0], &x->sync[1],   &x->resctrl};
	int **fds = xnew_array(int *, ARRAY_SIZE(own) + 1 + RT_CGROUP_ENTER_FDS_MAX + n_sources);
	for (; n < ARRAY_SIZE(own); n++)
		fds[n] = own[n];
	if (x->c)
		fds[n++] = &x->c->state_fd;
	if (x->c && x->c->cgroup)
		n += rt_cgroup_enter_fds(x->c->cgroup, fds + n);
	for (size_t i = 0; i < n_sources; i++)
		fds[n++] = &x->sources[i];
	fd_close_all(fds, n);
	free(fds);
	free(TAKE_PTR(x->sources));
}

static void create_release(struct create *x)
{
	close_all(x);
	if (x->spec)
		hooks_close_output(&x->spec->hooks);
	rt_container_free(x->c);
	namespace_join_close(&x->join);
	rt_seccomp_release(&x->filter);
	free(x->own_text);
}

/* -- checks and plans: nothing is made ---------------------------------------------------------------------- */

struct err *rt_container_check_stdio(const struct spec_process *p, int console_socket, bool return_console)
{
	bool taker = console_socket >= 0 || return_console;
	if (p->terminal && !taker)
		return err_new(
			ERR_INVALID,
			"process.terminal is true: a console socket must be given to take the terminal");
	if (!p->terminal && console_socket >= 0)
		return err_new(ERR_INVALID, "a console socket is given, but process.terminal is false");
	return NULL;
}

static struct err *load_config(struct create *x)
{
	const struct rt_create *r = x->request;
	if (r->config)
		x->c->config = json_ref(r->config);
	else
		TRY_WRAP(json_parse_file_text_at(x->bundle_fd, "config.json", &x->own_text, &x->c->config),
			 "bundle %s", r->bundle);
	const struct json *as_read = x->c->config;
	if (!rootless_user() || r->rootless != RT_ROOTLESS_FALSE)
		TRY(rootless_adapt(&x->c->config, &x->own_maps, &x->c->warnings));
	if (r->notify) {
		struct json *shared = x->c->config;
		x->c->config = json_deep_copy(shared);
		json_unref(shared);
		TRY_WRAP(notify_configure(x->c, x->c->config), "config.json");
	}
	if (x->c->config == as_read)
		x->config_text = x->own_text ? x->own_text : r->config_text;
	TRY(rt_container_spec(x->c, &x->spec));
	TRY(rt_container_check_stdio(&x->spec->process, r->console_socket, r->return_console));
	if (x->spec->rdt.set)
		TRY(resctrl_open(x->proc_fd, &x->resctrl));
	TRY(process_check_capabilities(&x->spec->process, x->spec, &x->c->warnings));
	return process_check_labels(x->spec, &x->spec->process);
}

static struct err *plan(struct create *x)
{
	const struct rt_create *r = x->request;
	TRY(rt_id_check(r->id));
	x->bundle_fd =
		r->bundle_fd ? TAKE_FD(*r->bundle_fd) : open(r->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (x->bundle_fd < 0)
		return err_errno(errno, "cannot open bundle %s", r->bundle);
	TRY(procfs_open(&x->proc_fd));
	TRY(load_config(x));
	TRY(hooks_open_output(&x->spec->hooks));
	if (r->systemd_cgroup)
		TRY(rt_cgroup_new_systemd(x->spec->cgroups_path, r->id, &x->spec->root, &x->c->cgroup));
	else if (!r->cgroup_disabled)
		TRY(rt_cgroup_new(x->spec->cgroups_path, r->id, &x->c->cgroup));
	if (x->spec->force_cgroup_v1 && x->c->cgroup)
		TRY(rt_cgroup_force_v1(x->c->cgroup, x->spec->force_cgroup_v1));
	if (x->spec->delegate_cgroup && x->c->cgroup)
		TRY(rt_cgroup_set_delegate(x->c->cgroup, x->spec->delegate_cgroup));
	TRY(rt_container_seccomp(x->spec, &x->filter, &x->init.seccomp));
	return namespace_join_open(x->spec, &x->join);
}

static struct err *open_root(struct create *x)
{
	const struct rt_create *r = x->request;
	if (r->rootfs_fd >= 0)
		return fd_dup(r->rootfs_fd, 3, &x->root_tree);
	const char *path = x->spec->root_path;
	if (!path)
		return err_new(ERR_INVALID, "config.json: root: is missing");
	struct stat st;
	struct err *e = NULL;
	if (rootless_user())
		x->child_opens = true;
	else
		e = mount_clone(x->bundle_fd, path, AT_RECURSIVE, &x->root_tree);
	if (e && e->errnum == EPERM) { /* root in a user namespace that has no mount namespace of its own */
		err_free(e);
		e = NULL;
		x->child_opens = true;
	}
	if (e)
		return err_wrap(e, "root.path");
	int found = x->child_opens ? fstatat(x->bundle_fd, path, &st, 0) : fstat(x->root_tree, &st);
	if (found < 0)
		return err_errno(errno, "root.path: cannot find %s", path);
	if (!S_ISDIR(st.st_mode))
		return err_new(ERR_INVALID, "config.json: root.path: %s is not a directory", path);
	free(x->c->rootfs);
	x->c->rootfs = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", r->bundle, path);
	return NULL;
}

static bool new_userns(const struct spec *s)
{
	return s->ns[SPEC_NS_USER].present && !s->ns[SPEC_NS_USER].path;
}

static struct err *open_sources(struct create *x)
{
	TRY(open_root(x));
	if (x->child_opens)
		return NULL;
	if (x->spec->n_mounts)
		x->sources = xnew_array(int, x->spec->n_mounts);
	if (new_userns(x->spec))
		TRY(devices_prepare(x->spec, &x->device_tree));
	return mounts_open_sources(x->spec, x->bundle_fd, x->proc_fd, x->sources);
}

/* -- making ------------------------------------------------------------------------------------------------- */

struct err *rt_container_make_dir(struct rt_container *c, bool *ret_made)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", c->state_root, c->id);
	int made = mkdir(path, 0700);
	if (made < 0 && errno == ENOENT) {
		TRY_WRAP(file_mkdir_p(c->state_root, 0700), "cannot make the directory of the states%s",
			 rootless_user() ? " (XDG_RUNTIME_DIR or --root says where)" : "");
		made = mkdir(path, 0700);
	}
	if (made < 0)
		return errno == EEXIST
			       ? err_new(ERR_EXISTS, "container with given ID already exists: %s", c->id)
			       : err_errno(errno, "cannot make the state directory %s", path);
	*ret_made = true;
	c->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->dir_fd < 0)
		return err_errno(errno, "cannot open the state directory %s", path);
	return rt_container_lock_dir(c);
}

struct err *rt_container_save_config(const struct rt_container *c, const char *text)
{
	_cleanup_free_ char *printed = text ? NULL : json_print(c->config, JSON_COMPACT);
	_cleanup_fd_ int fd = openat(c->dir_fd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (!text)
		text = printed;
	if (fd < 0)
		return err_errno(errno, "cannot save the configuration");
	return fd_write_full(fd, text, strlen(text), "config.json");
}

static struct err *make_gate(struct create *x)
{
	if (x->request->own_start)
		return NULL;
	_cleanup_free_ char *path = xasprintf("%s/%s/" STATE_GATE, x->c->state_root, x->c->id);
	return fd_unix_listen(path, SOCK_STREAM, &x->gate);
}

/* Where v1 makes the group a dozen of directories the child need not wait for them: it finds its way into them when they are there, and sets
 * up what does not depend on them meanwhile. It must see the host's files for that, with our rights. */
static bool cgroup_can_wait(const struct create *x)
{
	const struct rt_create *r = x->request;
	return x->c->cgroup && !r->systemd_cgroup && rt_cgroup_has_v1(x->c->cgroup) &&
	       r->rootless != RT_ROOTLESS_TRUE && !rootless_user() && !x->spec->ns[SPEC_NS_USER].present &&
	       !x->child_opens && !namespace_join_any(&x->join);
}

static struct err *make_cgroup(struct create *x)
{
	/* With its limits: they hold before the first process is in it. */
	bool any = true;
	TRY(rt_cgroup_create(x->c->cgroup, x->spec->resources.value ? &x->spec->resources : NULL,
			     x->request->rootless, &any, &x->c->warnings));
	if (any)
		x->made_cgroup = true;
	else
		rt_cgroup_free(TAKE_PTR(x->c->cgroup));
	return NULL;
}

static struct err *make_cgroup_before(struct create *x)
{
	if (!x->c->cgroup || x->request->systemd_cgroup)
		return NULL;
	x->init.cgroup_waits = cgroup_can_wait(x);
	x->made_v2 = x->init.cgroup_waits;
	struct err *e = x->init.cgroup_waits ? rt_cgroup_create_v2(x->c->cgroup) : NULL;
	if (e && e->kind == ERR_PERMISSION) { /* root in a user namespace: it may have to go without */
		err_free(e);
		x->init.cgroup_waits = x->made_v2 = false;
	} else if (e) {
		return e;
	}
	if (x->init.cgroup_waits)
		return NULL;
	TRY(make_cgroup(x));
	return x->c->cgroup ? rt_cgroup_prepare_enter(x->c->cgroup, NULL) : NULL;
}

static struct err *make_cgroup_meanwhile(struct create *x)
{
	if (!x->init.cgroup_waits)
		return NULL;
	TRY(make_cgroup(x));
	err_free(sync_send(x->sync[0], SYNC_GO)); /* a child that is gone has said why */
	return NULL;
}

/* systemd makes a scope only around a process, and only systemd may move an ordinary user's process out of his session: so it
 * is the child, which waits before its first step. */
static struct err *make_cgroup_around(struct create *x)
{
	if (!x->request->systemd_cgroup)
		return NULL;
	TRY(rt_cgroup_create_systemd(x->c->cgroup, x->spec->resources.value ? &x->spec->resources : NULL,
				     x->c->pid, &x->made_cgroup));
	TRY(state_write(x->c)); /* it knows now which directories were ours */
	return sync_send(x->sync[0], SYNC_GO);
}

/* config-linux.md "Cgroup ownership": only where the container sees its group as a namespace's root, and may write to it. */
static bool owns_cgroup(const struct spec *s)
{
	if (!s->ns[SPEC_NS_CGROUP].present || s->ns[SPEC_NS_CGROUP].path)
		return false;
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct spec_mount *m = &s->mounts[i];
		if (str_eq(m->source, "cgroup") && str_eq(m->destination, "/sys/fs/cgroup"))
			return !((m->attr_set | m->rec_set) & MOUNT_ATTR_RDONLY);
	}
	return false;
}

/* The process's user as we see it. Not from the configuration: the namespace may be one that is joined. */
static struct err *outside_uid(const struct create *x, bool *ret_mapped, uid_t *ret)
{
	char file[32], text[32768];
	uint32_t id = x->spec->process.uid, inside, outside, count;
	int used;
	*ret = id;
	*ret_mapped = !x->spec->ns[SPEC_NS_USER].present;
	if (*ret_mapped)
		return NULL;
	snprintf(file, sizeof(file), "%d/uid_map", (int)x->c->pid);
	_cleanup_fd_ int fd = openat(x->proc_fd, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return err_errno(errno, "cannot read the id mappings of the container");
	text[n] = '\0';
	for (const char *at = text; sscanf(at, "%u %u %u%n", &inside, &outside, &count, &used) == 3;
	     at += used)
		if (id >= inside && id - inside < count) {
			*ret = outside + (id - inside);
			*ret_mapped = true;
		}
	return NULL;
}

static struct err *give_cgroup(struct create *x)
{
	bool mapped = false;
	uid_t uid = 0;
	if (!x->c->cgroup || !owns_cgroup(x->spec))
		return NULL;
	TRY(outside_uid(x, &mapped, &uid));
	if (!mapped || uid == geteuid()) /* what we made is ours */
		return NULL;
	struct err *e = rt_cgroup_chown(x->c->cgroup, uid);
	if (e && e->kind == ERR_PERMISSION && x->init.rootless) { /* only root may give things away */
		_cleanup_free_ char *why = err_text(e);
		err_free(e);
		strv_push_take(&x->c->warnings, xasprintf("the control group stays the caller's: %s", why));
		return NULL;
	}
	return e;
}

static uint64_t clone_flags(const struct spec *s)
{
	uint64_t flags = 0;
	for (size_t i = 0; i < SPEC_NS_COUNT; i++)
		if (s->ns[i].present && !s->ns[i].path && i != SPEC_NS_CGROUP && i != SPEC_NS_TIME)
			flags |= namespace_kinds[i].flag;
	return flags;
}

static struct err *clone_child(struct create *x)
{
	const struct rt_create *r = x->request;
	TRY(fd_socketpair(SOCK_STREAM, x->sync));
	/* Only where it makes a difference: a plain container of root needs no look. */
	bool confined = rootless_user() || ((new_userns(x->spec) || x->spec->process.has_oom_score_adj) &&
					    rootless_confined(x->proc_fd));
	int cgroup_fd = x->c->cgroup ? rt_cgroup_clone_fd(x->c->cgroup) : -1;
	x->init = (struct init){
		.spec = x->spec,
		.process = &x->spec->process,
		.join = &x->join,
		.id = x->c->id,
		.bundle = x->c->bundle,
		.sync = x->sync[1],
		.parent_sync = x->sync[0],
		.lock = x->c->dir_fd,
		.gate = x->gate,
		.proc_fd = x->proc_fd,
		.bundle_fd = x->bundle_fd,
		.root_tree = x->root_tree,
		.root_path = x->c->rootfs,
		.sources = x->sources,
		.device_tree = x->device_tree,
		.cgroup = x->c->cgroup,
		.cloned_into_cgroup = cgroup_fd >= 0,
		.moved_into_cgroup = r->systemd_cgroup,
		.cgroup_waits = x->init.cgroup_waits,
		.cgroup_rootless = r->rootless,
		.seccomp = x->init.seccomp,
		.stdio = {r->stdio[0], r->stdio[1], r->stdio[2]},
		.console_socket = r->console_socket,
		.return_console = r->return_console,
		.no_pivot = r->no_pivot,
		.no_new_keyring = r->no_new_keyring,
		.preserve_fds = r->preserve_fds,
		.listen_fds = r->listen_fds,
		.first = true,
		.rootless = confined,
	};
	struct namespace_clone clone = {
		.join = &x->join,
		.flags = clone_flags(x->spec),
		.cgroup_fd = cgroup_fd,
		.child = init_main,
		.argument = &x->init,
	};
	/* Before the clone: the child is never dumpable where a container's process could see it. Without rights over the host it must
	 * stay so until we have written its id maps. */
	if (!(confined && new_userns(x->spec)) && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(errno, "cannot become undumpable");
	struct err *e = namespace_clone(&clone, &x->c->pid, &x->c->pidfd);
	if (e)
		return cgroup_fd >= 0 ? rt_cgroup_explain(x->c->cgroup, e) : e;
	/* What we had is shared with the child now, and copied where we write: rather new pages, in one go. */
	if (memory_left())
		memory_expect(HEAP_AFTER_CLONE);
	fd_close(x->sync[1]); /* its end is how the child's death shows */
	return NULL;
}

static struct err *run_runtime_hooks(struct create *x)
{
	const struct spec *s = x->spec;
	_cleanup_free_ char *state = state_for_hooks(s, x->c->id, x->c->bundle, x->c->pid, "creating");
	TRY(hooks_run_in(x->c->bundle, &s->hooks, SPEC_HOOK_PRESTART, state));
	TRY(hooks_run_in(x->c->bundle, &s->hooks, SPEC_HOOK_CREATE_RUNTIME, state));
	return sync_send(x->sync[0], SYNC_GO);
}

static struct err *died(struct create *x)
{
	int status = 0;
	struct err *e = process_wait(x->c->pidfd, 1000, &status);
	fd_close(x->c->pidfd); /* reaped */
	if (e)
		return e;
	if (WIFSIGNALED(status))
		return err_new(ERR_SYSTEM, "the container's process was killed by %s while it was set up%s",
			       signal_name(WTERMSIG(status)),
			       WTERMSIG(status) == SIGKILL
				       ? " (out of memory under linux.resources.memory.limit?)"
				       : "");
	return err_new(ERR_SYSTEM, "the container's process ended with status %d while it was set up",
		       WEXITSTATUS(status));
}

/* The conversation of sync.h up to SYNC_CREATED. */
static struct err *attend(struct create *x)
{
	while (true) {
		_cleanup_fd_ int fd = -1;
		enum sync_tag tag;
		TRY(sync_receive(x->sync[0], &tag, &fd));
		switch (tag) {
		case SYNC_HOOKS:
			TRY(run_runtime_hooks(x));
			break;
		case SYNC_CONSOLE:
			x->c->console = TAKE_FD(fd);
			break;
		case SYNC_CREATED:
			return NULL;
		case SYNC_EOF:
			return died(x);
		default:
			return err_new(ERR_INTERNAL, "unexpected message '%c' from the container's process",
				       tag);
		}
	}
}

struct err *rt_container_write_pid_file(const char *path, pid_t pid)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", pid);
	return path ? file_replace_at(AT_FDCWD, path, text, (size_t)n, 0644, FILE_VOLATILE) : NULL;
}

static struct err *enter_resctrl(struct create *x)
{
	if (x->resctrl < 0)
		return NULL;
	TRY(resctrl_make(x->resctrl, &x->spec->rdt, x->c->id));
	x->made_rdt = true;
	return resctrl_join(x->resctrl, &x->spec->rdt, x->c->id, x->c->pid);
}

static struct err *make(struct create *x)
{
	struct rt_container *c = x->c;
	uint32_t ignored = 0;
	TRY(rt_container_make_dir(c, &x->made_dir));
	c->created_ns = timestamp_now_ns();
	TRY(rt_container_save_config(c, x->config_text));
	TRY(state_write(c));
	if (x->request->notify)
		TRY(notify_make_dir(c));
	TRY(make_gate(x));
	TRY(open_sources(x));
	TRY(make_cgroup_before(x));
	TRY(clone_child(x));
	TRY(process_look(c->pid, &c->start_ticks, &ignored));
	if (ignored & INIT_HEEDED)
		err_free(sync_send(x->sync[0], SYNC_SIGNALS)); /* a child that is gone has said why */
	if (new_userns(x->spec)) {
		TRY(userns_write_maps(x->proc_fd, c->pid, &x->spec->maps,
				      x->own_maps ? &x->spec->process : NULL, &c->warnings));
		TRY(sync_send(x->sync[0], SYNC_GO));
	}
	TRY(make_cgroup_meanwhile(x));
	TRY(state_write(c));
	TRY(make_cgroup_around(x));
	TRY(give_cgroup(x));
	TRY(network_move_devices(x->spec, x->proc_fd, c->pid));
	TRY(attend(x));
	TRY(process_set_limits(&x->spec->process, x->proc_fd, c->pid, x->init.rootless, &c->warnings));
	TRY(enter_resctrl(x));
	TRY(rt_container_write_pid_file(x->request->pid_file, c->pid));
	c->status = RT_CREATED;
	if (x->request->own_start)
		c->start_fd = TAKE_FD(x->sync[0]); /* SYNC_START is the word then */
	else
		TRY(sync_send(x->sync[0], SYNC_GO));
	return NULL;
}

static void undo(struct create *x)
{
	struct rt_container *c = x->c;
	if (c->pidfd >= 0) {
		int status;
		err_free(process_signal(c->pidfd, SIGKILL));
		err_free(process_wait(c->pidfd, 10000, &status));
	}
	if (x->made_rdt)
		err_free(resctrl_remove(x->resctrl, &x->spec->rdt, c->id));
	if (c->pid >
	    0) /* 1.3: whatever fails from there on, the life cycle goes on with the container's end */
		rt_container_poststop(c, x->spec);
	if (x->made_cgroup) {
		err_free(rt_cgroup_signal_all(c->cgroup, SIGKILL));
		err_free(rt_cgroup_remove(c->cgroup));
	} else if (x->made_v2) {
		err_free(rt_cgroup_remove_v2(c->cgroup));
	}
	if (x->made_dir)
		err_free(state_remove(c));
}

struct err *rt_container_create(const struct rt_create *r, struct rt_container **ret)
{
	_cleanup_(create_release) struct create x = {
		.request = r,
		.c = rt_container_new(r->state_root, r->id ? r->id : ""),
		.join = NAMESPACE_JOIN_NONE,
		.proc_fd = -1,
		.bundle_fd = -1,
		.root_tree = -1,
		.device_tree = -1,
		.sync = {-1, -1},
		.gate = -1,
		.resctrl = -1,
	};
	free(x.c->bundle);
	x.c->bundle = xstrdup(r->bundle);
	x.c->own_start = r->own_start;
	TRY(plan(&x));
	struct err *e = make(&x);
	if (e) {
		undo(&x);
		return e;
	}
	close_all(&x);
	rt_container_unlock_dir(x.c);
	*ret = TAKE_PTR(x.c);
	return NULL;
}
