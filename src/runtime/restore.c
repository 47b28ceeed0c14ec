/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of images into a running container.
 *
 * Crash safety as in container_create.c: directory, state with the planned cgroup, cgroup, and state with the process before CRIU is
 * told to let it run. CRIU's mounts are in a namespace that ends with it. When we die CRIU sees our end of the socket close, and kills
 * what it has restored.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/timestamp.h"
#include "container_private.h"
#include "criu_options.h"
#include "hooks.h"
#include "mounts.h"
#include "namespaces.h"
#include "procfs.h"
#include "restore_mounts.h"
#include "state.h"
#include "terminal.h"

#define LOG_FILE "restore.log"
#define ROOT_NAME "criu-root"
#define CGROUP_FILE_MAX (1u << 20)

struct restore {
	const struct rt_restore *request;
	struct rt_container *c;
	struct spec *spec;
	struct criu_dirs dirs;
	struct strbuf options;
	struct criu criu;
	unsigned version;
	int proc_fd, bundle_fd, root_tree;
	char *root_path;                             /* where CRIU has the root */
	int fds[SPEC_NS_COUNT + CRIU_PRESERVED_MAX]; /* given to CRIU */
	size_t n_fds;
	bool made_dir, made_cgroup;
};

static void restore_release(struct restore *x)
{
	criu_stop(&x->criu);
	rt_container_free(x->c);
	spec_free(x->spec);
	criu_dirs_close(&x->dirs);
	strbuf_release(&x->options);
	free(x->root_path);
	for (size_t i = 0; i < x->n_fds; i++)
		fd_close(x->fds[i]);
	int *fds[] = {&x->proc_fd, &x->bundle_fd, &x->root_tree};
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_closep(fds[i]);
}

/* -- checks and plans --------------------------------------------------------------------------------------- */

static struct err *check_lsm(const struct restore *x)
{
	const struct rt_restore *r = x->request;
	const char *colon = r->lsm_profile ? strchr(r->lsm_profile, ':') : NULL;
	if (r->lsm_profile && (!colon || colon == r->lsm_profile || !colon[1]))
		return err_new(ERR_INVALID, "--lsm-profile %s: must be TYPE:NAME", r->lsm_profile);
	if (r->lsm_profile)
		TRY(criu_need_version(x->version, 31600, "--lsm-profile"));
	return r->lsm_mount_context ? criu_need_version(x->version, 31600, "--lsm-mount-context") : NULL;
}

static struct err *plan(struct restore *x)
{
	const struct rt_create *r = &x->request->create;
	TRY(rt_id_check(r->id));
	if (geteuid() != 0)
		return err_new(ERR_PERMISSION, "checkpoint and restore need root");
	x->bundle_fd =
		r->bundle_fd ? TAKE_FD(*r->bundle_fd) : open(r->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (x->bundle_fd < 0)
		return err_errno(errno, "cannot open bundle %s", r->bundle);
	x->c->config = json_ref(r->config);
	TRY(spec_parse(x->c->config, &x->spec));
	TRY(rt_container_check_stdio(&x->spec->process, r->console_socket, r->return_console));
	if (!x->spec->root_path)
		return err_new(ERR_INVALID, "config.json: root: is missing");
	TRY(procfs_open(&x->proc_fd));
	TRY(criu_dirs_open(&x->request->options, false, &x->dirs));
	TRY(criu_get_version(&x->version));
	TRY(criu_check_options(&x->request->options, x->version));
	TRY(check_lsm(x));
	if (r->systemd_cgroup)
		TRY(rt_cgroup_new_systemd(x->spec->cgroups_path, r->id, &x->spec->root, &x->c->cgroup));
	else if (!r->cgroup_disabled)
		TRY(rt_cgroup_new(x->spec->cgroups_path, r->id, &x->c->cgroup));
	return NULL;
}

/* A container that stopped because it was checkpointed makes room for its continuation. */
static struct err *replace_checkpointed(const struct restore *x)
{
	_cleanup_(rt_container_freep) struct rt_container *old = NULL;
	struct err *e = rt_container_load(x->c->state_root, x->c->id, &old);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	if (old->status != RT_STOPPED || !rt_container_is_checkpointed(old))
		return NULL; /* making the directory says that it exists */
	return rt_container_delete(old, false);
}

/* -- the request -------------------------------------------------------------------------------------------- */

static struct err *add_external(void *data, const char *inside, const char *host)
{
	wire_put_pair(data, CRIU_OPT_EXTERNAL_MOUNT, inside, host);
	return NULL;
}

static struct err *put_namespace(struct restore *x, size_t kind)
{
	const char *path = x->spec->ns[kind].path, *key = criu_external_ns_key(kind);
	if (!path)
		return NULL;
	if (kind == SPEC_NS_CGROUP)
		return err_new(ERR_UNSUPPORTED,
			       "linux.namespaces: criu cannot restore into an existing cgroup namespace");
	if (!key) {
		wire_put_pair(&x->options, CRIU_OPT_JOIN_NS, namespace_kinds[kind].proc, path);
		return NULL;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "linux.namespaces: %s", path);
	wire_put_inherit_fd(&x->options, key, CRIU_FIRST_FD + (int)x->n_fds);
	x->fds[x->n_fds++] = fd;
	return NULL;
}

/* Only what came from outside is connected anew; the container's own files and pipes are restored as they were. */
static bool is_outside(const char *name)
{
	return str_starts(name, "pipe:[") || str_starts(name, "socket:[") || str_starts(name, "file[");
}

static struct err *read_names(const struct restore *x, const char *file, char ***ret)
{
	_cleanup_json_ struct json *document = NULL;
	TRY(json_parse_file_at(x->dirs.images, file, &document));
	struct json_cursor list = json_root(document);
	if (json_kind(&list) != JSON_ARRAY)
		return err_new(ERR_INVALID, "%s: must be a list", file);
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor e = json_at(&list, i);
		const char *name;
		TRY_WRAP(json_as_string(&e, &name), "%s", file);
		strv_push(ret, name);
	}
	return NULL;
}

/* stdin, stdout and stderr are CRIU's own, those of --preserve-fds get new numbers in it. */
static struct err *put_descriptors(struct restore *x)
{
	_cleanup_strv_ char **stdio = NULL, **preserved = NULL;
	size_t wanted = x->request->create.preserve_fds;
	TRY_WRAP(read_names(x, CRIU_DESCRIPTORS, &stdio), "--image-path %s is not a checkpoint",
		 x->request->options.image_path);
	for (size_t i = 0; i < 3 && i < strv_len(stdio); i++)
		if (is_outside(stdio[i]))
			wire_put_inherit_fd(&x->options, stdio[i], (int)i);
	if (!wanted)
		return NULL;
	TRY_WRAP(read_names(x, CRIU_PRESERVED, &preserved), "--preserve-fds");
	if (wanted > strv_len(preserved) || wanted > CRIU_PRESERVED_MAX)
		return err_new(ERR_INVALID,
			       "--preserve-fds %zu: the checkpointed process had %zu file descriptors there",
			       wanted, strv_len(preserved));
	for (size_t i = 0; i < wanted; i++) {
		if (!is_outside(preserved[i]))
			continue;
		/* One that is close-on-exec did not come from our caller: it is ours, and may lead to the host. */
		int flags = fcntl(3 + (int)i, F_GETFD);
		if (flags < 0 || flags & FD_CLOEXEC)
			return err_errno(EBADF, "file descriptor %zu is to be preserved, but is not open",
					 3 + i);
		TRY(fd_dup(3 + (int)i, 3, &x->fds[x->n_fds]));
		wire_put_inherit_fd(&x->options, preserved[i], CRIU_FIRST_FD + (int)x->n_fds++);
	}
	return NULL;
}

static struct err *put_request(struct restore *x)
{
	const struct rt_restore *r = x->request;
	struct strbuf *out = &x->options;
	criu_put_options(out, &r->options, &x->dirs, LOG_FILE);
	TRY(criu_put_config_file(out, x->spec));
	wire_put_number(out, CRIU_OPT_EVASIVE_DEVICES, 1);
	wire_put_number(out, CRIU_OPT_RESTORE_SIBLING, 1);
	wire_put_string(out, CRIU_OPT_ROOT, x->root_path);
	if (r->lsm_profile)
		wire_put_string(out, CRIU_OPT_LSM_PROFILE, r->lsm_profile);
	if (r->lsm_mount_context)
		wire_put_string(out, CRIU_OPT_LSM_MOUNT_CONTEXT, r->lsm_mount_context);
	for (size_t i = 0; i < SPEC_NS_COUNT; i++)
		TRY(put_namespace(x, i));
	TRY(criu_each_external(x->spec, x->c->bundle, x->c->cgroup, add_external, out));
	if (x->spec->masked_paths && *x->spec->masked_paths)
		TRY(add_external(out, "/dev/null", "/dev/null"));
	return put_descriptors(x);
}

/* The container's groups are where CRIU itself was put: "4:memory:/a/b" is path /a/b of controller memory. */
static struct err *put_cgroup_roots(struct restore *x)
{
	char name[32];
	_cleanup_free_ char *text = NULL;
	size_t size;
	if (!x->c->cgroup || x->request->options.manage_cgroups == RT_CRIU_CGROUPS_IGNORE)
		return NULL;
	snprintf(name, sizeof(name), "%d/cgroup", x->criu.pid);
	TRY(file_read_at(x->proc_fd, name, CGROUP_FILE_MAX, &text, &size));
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		_cleanup_strbuf_ struct strbuf root = {0};
		if (!path)
			continue;
		*controllers++ = *path++ = '\0';
		wire_put_string(&root, 1, controllers);
		wire_put_string(&root, 2, path);
		wire_put_bytes(&x->options, CRIU_OPT_CGROUP_ROOT, root.data, root.len);
	}
	return NULL;
}

/* -- what happens meanwhile --------------------------------------------------------------------------------- */

static struct err *run_hooks(const struct restore *x, pid_t pid)
{
	const struct spec *s = x->spec;
	_cleanup_free_ char *state = state_for_hooks(s, x->c->id, x->c->bundle, pid, "creating");
	TRY(hooks_run(&s->hooks, SPEC_HOOK_PRESTART, environ, state));
	return hooks_run(&s->hooks, SPEC_HOOK_CREATE_RUNTIME, environ, state);
}

/* CRIU puts what it restores into a time namespace, whose clocks go on where they stood. The saved configuration says so: exec joins
 * the namespaces that it names. */
static struct err *record_time_namespace(struct restore *x)
{
	struct stat ours, theirs;
	char name[32];
	snprintf(name, sizeof(name), "%d/ns/time", x->c->pid);
	if (x->spec->ns[SPEC_NS_TIME].present || fstatat(x->proc_fd, name, &theirs, 0) < 0 ||
	    fstatat(x->proc_fd, "self/ns/time", &ours, 0) < 0 || ours.st_ino == theirs.st_ino)
		return NULL;
	_cleanup_json_ struct json *config = json_deep_copy(x->c->config);
	struct json_cursor root = json_root(config), linux_, namespaces;
	TRY(json_get_object(&root, "linux", JSON_REQUIRED, &linux_));
	TRY(json_get_array(&linux_, "namespaces", JSON_REQUIRED, &namespaces));
	struct json *time = json_new_object();
	json_set_string(time, "type", "time");
	json_append(namespaces.value, time);
	_cleanup_free_ char *text = json_print(config, JSON_COMPACT);
	return file_replace_at(x->c->dir_fd, "config.json", text, strlen(text), 0600, FILE_VOLATILE);
}

/* The processes are there, and wait for our answer. */
static struct err *restored(struct restore *x, pid_t pid)
{
	struct rt_container *c = x->c;
	if (pid <= 0)
		return err_new(ERR_CORRUPT, "criu does not say which process it restored");
	c->pid = pid;
	TRY(process_pidfd_open(pid, &c->pidfd));
	TRY(process_start_time(pid, &c->start_ticks));
	c->created_ns = timestamp_now_ns();
	TRY(record_time_namespace(x));
	return state_write(c);
}

static struct err *take_terminal(struct restore *x, int master)
{
	const struct rt_create *r = &x->request->create;
	if (master < 0)
		return err_new(ERR_CORRUPT, "it came without the terminal");
	if (r->console_socket >= 0)
		return terminal_send(r->console_socket, master);
	return r->return_console ? fd_dup(master, 3, &x->c->console) : NULL;
}

static struct err *notified(void *data, const struct criu_response *r, int fd)
{
	struct restore *x = data;
	if (str_eq(r->script, "setup-namespaces"))
		return run_hooks(x, r->pid);
	if (str_eq(r->script, "post-restore"))
		return restored(x, r->pid);
	if (str_eq(r->script, "orphan-pts-master"))
		return take_terminal(x, fd);
	return NULL;
}

/* What is restored is not CRIU's own process: its work shows in the container's group. */
static uint64_t progress(void *data)
{
	struct restore *x = data;
	struct rt_cgroup_stats stats = {0};
	if (x->c->cgroup)
		err_free(rt_cgroup_stats(x->c->cgroup, &stats));
	return stats.cpu_usage_ns;
}

/* In the process that becomes CRIU: what it restores begins where it is. */
static struct err *become_criu(void *data)
{
	struct restore *x = data;
	if (x->c->cgroup && !x->request->create.systemd_cgroup)
		TRY(rt_cgroup_enter_self(x->c->cgroup, false));
	return restore_enter_root(x->root_tree, x->root_path);
}

/* -- making ------------------------------------------------------------------------------------------------- */

static struct err *open_root(struct restore *x)
{
	const char *path = x->spec->root_path;
	_cleanup_free_ char *dir = NULL;
	TRY_WRAP(mount_clone(x->bundle_fd, path, AT_RECURSIVE, &x->root_tree), "root.path");
	free(x->c->rootfs);
	x->c->rootfs = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", x->c->bundle, path);
	TRY(restore_make_targets(x->spec, x->bundle_fd, x->proc_fd, x->root_tree));
	/* The helper attached that one, and took it with it. */
	fd_close(x->root_tree);
	TRY_WRAP(mount_clone(x->bundle_fd, path, AT_RECURSIVE, &x->root_tree), "root.path");
	if (mkdirat(x->c->dir_fd, ROOT_NAME, 0755) < 0)
		return err_errno(errno, "cannot make %s in the state directory", ROOT_NAME);
	dir = xasprintf("%s/%s/" ROOT_NAME, x->c->state_root, x->c->id);
	x->root_path = realpath(dir, NULL);
	return x->root_path ? NULL : err_errno(errno, "cannot find %s", dir);
}

static const struct json_cursor *resources(const struct restore *x)
{
	return x->spec->resources.value ? &x->spec->resources : NULL;
}

/* systemd makes a scope only around a process. That is CRIU, which waits for its request; what it restores is born there. */
static struct err *make_cgroup_around(struct restore *x)
{
	if (!x->request->create.systemd_cgroup)
		return NULL;
	TRY(rt_cgroup_create_systemd(x->c->cgroup, resources(x), x->criu.pid, &x->made_cgroup));
	return state_write(x->c); /* it knows now which directories were ours */
}

static struct err *talk(struct restore *x)
{
	const struct rt_create *r = &x->request->create;
	struct criu_start start = {
		.fds = x->fds,
		.n_fds = x->n_fds,
		.prepare = become_criu,
		.data = x,
	};
	for (int i = 0; i < 3; i++)
		start.stdio[i] = r->stdio[i] >= 0 ? r->stdio[i] : i;
	struct criu_talk t = {
		.type = CRIU_RESTORE,
		.options = &x->options,
		.notify = notified,
		.progress = progress,
		.data = x,
		.endless = x->request->options.lazy_pages,
	};
	struct criu_response response;
	criu_set_log(&t, &x->dirs, LOG_FILE);
	TRY(criu_spawn(&start, &x->criu));
	TRY(criu_dirs_move(&x->dirs, x->criu.pid));
	TRY(make_cgroup_around(x));
	TRY(put_cgroup_roots(x));
	TRY(criu_talk(&x->criu, &t, &response));
	criu_stop(&x->criu);
	if (x->c->pid <= 0)
		return err_new(ERR_CORRUPT, "criu does not say which process it restored");
	return NULL;
}

static struct err *make(struct restore *x)
{
	struct rt_container *c = x->c;
	TRY(rt_container_make_dir(c, &x->made_dir));
	c->created_ns = timestamp_now_ns();
	TRY(rt_container_save_config(c, NULL));
	TRY(state_write(c));
	TRY(open_root(x));
	if (c->cgroup && !x->request->create.systemd_cgroup) {
		bool any; /* CRIU is root, who may make them all */
		TRY(rt_cgroup_create(c->cgroup, resources(x), RT_ROOTLESS_FALSE, &any, &c->warnings));
		x->made_cgroup = true;
		TRY(rt_cgroup_prepare_enter(c->cgroup, NULL));
	}
	TRY(state_write(c)); /* with the root's path */
	TRY(put_request(x));
	TRY(talk(x));
	(void)unlinkat(c->dir_fd, ROOT_NAME, AT_REMOVEDIR);
	TRY(rt_container_write_pid_file(x->request->create.pid_file, c->pid));
	c->status = RT_RUNNING;
	return NULL;
}

static void undo(struct restore *x)
{
	struct rt_container *c = x->c;
	int status;
	criu_stop(&x->criu);
	if (c->pidfd >= 0) {
		err_free(process_signal(c->pidfd, SIGKILL));
		err_free(process_wait(c->pidfd, 10000, &status));
	}
	if (x->made_cgroup) {
		err_free(rt_cgroup_signal_all(c->cgroup, SIGKILL));
		err_free(rt_cgroup_remove(c->cgroup));
	}
	if (x->made_dir)
		err_free(state_remove(c));
}

struct err *rt_container_restore(const struct rt_restore *r, struct rt_container **ret)
{
	_cleanup_(restore_release) struct restore x = {
		.request = r,
		.c = rt_container_new(r->create.state_root, r->create.id ? r->create.id : ""),
		.dirs = CRIU_DIRS_NONE,
		.criu = CRIU_NONE,
		.proc_fd = -1,
		.bundle_fd = -1,
		.root_tree = -1,
	};
	free(x.c->bundle);
	x.c->bundle = xstrdup(r->create.bundle);
	TRY(plan(&x));
	TRY(replace_checkpointed(&x));
	struct err *e = make(&x);
	if (e) {
		undo(&x);
		return e->kind == ERR_SYSTEM || e->kind == ERR_PERMISSION ? criu_explain(e) : e;
	}
	fd_close(x.c->state_fd);
	rt_container_unlock_dir(x.c);
	*ret = TAKE_PTR(x.c);
	return NULL;
}
