/* SPDX-License-Identifier: Apache-2.0 */
/* container_start: bundle, root mount, monitor. */
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "base/user.h"
#include "cgroup_driver.h"
#include "event.h"
#include "health.h"
#include "images/snapshot.h"
#include "log_settings.h"
#include "namespace_join.h"
#include "network/join.h"
#include "network/undo.h"
#include "pod.h"
#include "private.h"
#include "restart_policy.h"
#include "spec.h"
#include "userns.h"

#define RESOLV_MAX (64u << 10)
#define GONE_TIMEOUT_MS 10000
#define MONITOR_FDS_MAX START_FDS_MAX
#define MONITOR_NETNS_PATH "/proc/self/fd/6" /* monitor/monitor.h */

/* -- hosts, hostname, resolv.conf --- */

static struct err *hosts_text(struct engine *e, const struct container *c, const struct network_run *net,
			      const char *hostname, struct strbuf *b)
{
	const struct container_spec *s = c->spec;
	_cleanup_free_ char *host = NULL;
	size_t size;

	if (str_eq(s->network, "host"))
		err_free(file_read("/etc/hosts", RESOLV_MAX, &host, &size));
	if (host) {
		strbuf_puts(b, host);
	} else {
		strbuf_puts(b,
			    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
			    "fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::"
			    "2\tip6-allrouters\n");
		/* Without a network the loopback is the only address the container's own name can have. */
		if (net->endpoints.n == 0)
			strbuf_printf(b, "127.0.0.1\t%s\n", hostname);
	}
	STRV_FOREACH (h,
		      s->add_hosts) { /* NAME:ADDRESS, where the address may have colons; or NAME=ADDRESS */
		const char *sep = strpbrk(*h, ":=");
		char gateway[IP_TEXT_MAX] = "127.0.0.1";
		if (!sep)
			continue;
		if (str_eq(sep + 1, "host-gateway") && net->endpoints.n > 0)
			ip_text(&net->endpoints.items[0].network->gateway4, gateway);
		strbuf_printf(b, "%s\t%.*s\n", str_eq(sep + 1, "host-gateway") ? gateway : sep + 1,
			      (int)(sep - *h), *h);
	}
	return network_hosts(e, c, net, hostname, b);
}

static struct err *write_file(int dir, const char *name, const char *text)
{
	/* In place: a running container has the old file bind-mounted only until it ends, and this is before the start. */
	_cleanup_fd_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0 || fchmod(fd, 0644) < 0)
		return err_errno(errno, "cannot write the container's %s", name);
	return fd_write_full(fd, text, strlen(text), name);
}

struct err *container_write_etc(struct engine *e, const struct container *c, const struct network_run *net)
{
	_cleanup_strbuf_ struct strbuf hosts = {0}, resolv = {0};
	_cleanup_free_ char *hostname = spec_hostname(c), *line = xasprintf("%s\n", hostname);
	_cleanup_fd_ int dir = open(c->root_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_errno(errno, "cannot open %s", c->root_dir);
	TRY(hosts_text(e, c, net, hostname, &hosts));
	network_resolv(c, net->resolver, &resolv);
	TRY(write_file(dir, "hosts", strbuf_str(&hosts)));
	TRY(write_file(dir, "hostname", line));
	return write_file(dir, "resolv.conf", strbuf_str(&resolv));
}

/* -- the monitor's configuration --- */

static unsigned wanted(const struct container *c, const struct attach_options *o)
{
	if (!o)
		return 0;
	return (o->stdin_ && c->spec->open_stdin ? STREAM_WANT_STDIN : 0u) |
	       (o->stdout_ ? STREAM_WANT_STDOUT : 0u) | (o->stderr_ ? STREAM_WANT_STDERR : 0u);
}

struct err *engine_own_command(struct engine *e, char ***argv)
{
	char *program;

	TRY(engine_program_path(e->program, NULL, &program));
	strv_push_take(argv, program);
	strv_push(argv, "--root");
	strv_push(argv, e->root);
	strv_push(argv, "--run");
	strv_push(argv, e->run);
	return NULL;
}

/* How a start came about: zero for one by hand. */
struct start_reason {
	bool again; /* by the restart policy, from a monitor whose lock we have */
	unsigned restarts, delay_ms;
};

static struct err *restart_config(struct engine *e, const struct container *c, const struct start_reason *why,
				  struct json *config)
{
	struct restart_policy policy;
	_cleanup_strv_ char **argv = NULL;

	TRY(restart_policy_parse(c->spec->restart, &policy));
	if (c->spec->auto_remove)
		return NULL;
	_cleanup_free_ char *updated = xasprintf("%s/" RESTART_POLICY_FILE, c->root_dir);
	(void)unlink(updated);
	TRY(engine_own_command(e, &argv));
	strv_push(&argv, "container");
	strv_push(&argv, "revive");
	strv_push(&argv, c->id);
	if (c->spec->restart)
		json_set_string(config, "restart", c->spec->restart);
	json_set_strv(config, "revive", argv);
	json_set_u64(config, "restarts", why->restarts);
	json_set_u64(config, "delay_ms", why->delay_ms);
	return NULL;
}

static struct err *monitor_config(struct engine *e, const struct container *c, unsigned want, size_t n_fds,
				  struct json **ret)
{
	const struct container_spec *s = c->spec;
	_cleanup_free_ char *state_root = engine_state_root(e);
	_cleanup_json_ struct json *o = json_new_object();

	json_set_string(o, "mode", "run");
	json_set_string(o, "id", c->id);
	json_set_string(o, "state_root", state_root);
	json_set_string(o, "bundle", c->run_dir);
	json_set_string(o, "container_dir", c->root_dir);
	json_set_string(o, "run_dir", c->run_dir);
	json_set_bool(o, "tty", s->tty);
	json_set_bool(o, "stdin", s->open_stdin);
	json_set_bool(o, "stdin_once", s->stdin_once);
	json_set_bool(o, "memory_limit", s->memory_bytes > 0);
	_cleanup_free_ char *events = event_path(e);
	json_set_string(o, "events", events);
	json_set_i64(o, "want", want);
	json_set_u64(o, "fds", n_fds);
	if (!user_is_root()) {
		_cleanup_free_ char *dir = engine_rootless_dir(e);
		json_set_string(o, "rootless_dir", dir);
	}
	TRY(log_settings_config(c, o));
	if (s->runtime) {
		struct json *runtime = json_new_object();
		json_set_string(runtime, "path", s->runtime);
		json_set_string(runtime, "run", e->run);
		json_set(o, "runtime", runtime);
	}
	if (s->auto_remove) {
		_cleanup_strv_ char **argv = NULL;
		TRY(engine_own_command(e, &argv));
		strv_push(&argv, "container");
		strv_push(&argv, "cleanup");
		strv_push(&argv, c->id);
		json_set_strv(o, "cleanup", argv);
	}
	*ret = TAKE_PTR(o);
	return NULL;
}

/* -- spawning --- */

/* The monitor's file as a container could reach it, through /proc/PID/exe of a process that is about to execute its program, must
 * not be writable (CVE-2019-5736). A read-only clone of its mount has that property and costs three system calls; where it cannot be
 * had (no CAP_SYS_ADMIN), the monitor executes itself again from a sealed copy. */
static int open_read_only(const char *path)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
	_cleanup_fd_ int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -1;
	return TAKE_FD(fd);
}

struct err *monitor_spawn(struct engine *e, const char *mode, const int *fds, size_t n_fds,
			  struct json *config, bool has_stdin, struct attach **ret)
{
	_cleanup_free_ char *path = NULL, *text = json_print(config, JSON_COMPACT);
	_cleanup_fd_ int ours = -1, theirs = -1, exe = -1;
	_cleanup_strv_ char **env = NULL;
	int pair[2], all[1 + MONITOR_FDS_MAX];
	pid_t pid;

	TRY(engine_program_path(e->monitor, "havre-monitor", &path));
	TRY(fd_socketpair(SOCK_STREAM, pair));
	ours = pair[0];
	theirs = pair[1];
	all[0] = theirs;
	if (n_fds > MONITOR_FDS_MAX)
		return err_new(ERR_INTERNAL, "%zu file descriptors for a monitor", n_fds);
	for (size_t i = 0; i < n_fds; i++)
		all[1 + i] = fds[i];
	exe = open_read_only(path);
	/* malloc's per-thread cache would keep freed pieces all over the heap, and their pages with them: 100 kB for as long as the
	 * container runs. */
	env = strv_dup(environ);
	env_set(&env, "GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
	char *const argv[] = {(char *)"havre-monitor", (char *)(uintptr_t)mode, NULL};
	struct process_spawn spawn = {.path = exe < 0 ? path : NULL,
				      .exec_fd = exe,
				      .argv = argv,
				      .env = env,
				      .stdio = {-1, -1, -1},
				      .fds = all,
				      .n_fds = n_fds + 1,
				      .new_session = true};
	struct err *error = process_spawn(&spawn, &pid, NULL);
	if (error) /* not ERR_EXEC: that would be the container's program */
		return err_wrap_kind(error, ERR_SYSTEM, "cannot start the monitor %s", path);
	fd_close(theirs);
	struct attach *a = attach_new(TAKE_FD(ours), has_stdin, pid);
	error = stream_send(attach_fd(a), STREAM_CONFIG, text, strlen(text));
	if (!error)
		error = attach_wait_started(a);
	if (error)
		attach_free(a);
	else
		*ret = a;
	return error;
}

static struct err *prepare_bundle(struct engine *e, struct container *c, const struct attach_options *o,
				  int rootfs_fd, const struct network_run *net, bool systemd_cgroup,
				  struct start_fds *fds)
{
	_cleanup_free_ char *shm = NULL;
	struct inroot rootfs = {.fd = rootfs_fd};
	struct spec_input in = {.engine = e,
				.c = c,
				.rootfs = &rootfs,
				.rows = o ? o->rows : 0,
				.cols = o ? o->cols : 0,
				.fds = fds,
				.netns = net->netns >= 0 ? MONITOR_NETNS_PATH : NULL,
				.etc_dir = net->etc_dir,
				.systemd_cgroup = systemd_cgroup};
	_cleanup_json_ struct json *spec = NULL;
	_cleanup_fd_ int dir = -1;

	TRY(container_write_etc(e, c, net));
	TRY(namespaces_join(e, c->spec, fds, &shm));
	in.shm = shm;
	TRY(spec_generate(&in, &spec));
	_cleanup_free_ char *text = json_print(spec, JSON_COMPACT);
	dir = open(c->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(errno, "cannot open %s", c->run_dir);
	return file_replace_at(dir, "config.json", text, strlen(text), 0600, FILE_VOLATILE);
}

/* A detached mount: of the snapshot, or of the directory that was given. */
struct err *container_mount_root(struct engine *e, struct store *store, const struct container *c,
				 unsigned flags, int *ret_fd)
{
	if (container_mounted(e, c, NULL))
		return container_mount_clone(e, c, ret_fd);
	if (userns_wanted(c->spec))
		return userns_mount_snapshot(e, c, c->spec->auto_remove ? SNAPSHOT_VOLATILE : 0, ret_fd);
	if (!c->spec->rootfs)
		return snapshot_mount_fd(store, c->id, flags, ret_fd);
	int fd = open_tree(AT_FDCWD, c->spec->rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (fd < 0)
		return err_errno(errno, "cannot use %s", c->spec->rootfs);
	*ret_fd = fd;
	return NULL;
}

static struct err *start_locked(struct engine *e, struct container *c, const struct start_reason *why,
				const struct attach_options *o, struct attach **ret)
{
	struct store *store;
	_cleanup_fd_ int monitor_lock = -1, rootfs = -1;
	_cleanup_json_ struct json *config = NULL;
	_cleanup_(network_run_release) struct network_run net = NETWORK_RUN_NONE;
	_cleanup_(start_fds_release) struct start_fds fds;
	struct attach *a = NULL;
	unsigned want = wanted(c, o);
	bool systemd_cgroup;

	start_fds_init(&fds);
	TRY(engine_store(e, &store));
	if (!why->again)
		TRY(monitor_wait_gone(c->run_dir, GONE_TIMEOUT_MS)); /* of the run before */
	TRY(restart_mark_stopped(c, false));
	TRY(health_reset(c));
	TRY(file_remove_tree_at(AT_FDCWD, c->run_dir));
	TRY(file_mkdir_p(c->run_dir, 0700));
	_cleanup_free_ char *lock_path = xasprintf("%s/monitor.lock", c->run_dir);
	TRY(file_lock_at(AT_FDCWD, lock_path, FILE_LOCK_EXCLUSIVE, &monitor_lock));
	TRY(network_up(e, c, &net));
	TRY_WRAP(container_mount_root(e, store, c, c->spec->auto_remove ? SNAPSHOT_VOLATILE : 0, &rootfs),
		 "cannot mount the root file system of container %s", c->name);
	TRY(cgroup_driver_is_systemd(c->spec->runtime != NULL, &systemd_cgroup));
	TRY(prepare_bundle(e, c, o, rootfs, &net, systemd_cgroup, &fds));
	TRY(event_run_write(c, &net.endpoints));
	if (o)
		event_container(e, c, "attach", NULL);
	event_run_begins(e, c, &net.endpoints);
	const int borrowed[] = {monitor_lock, rootfs, net.netns, net.holder, net.dns_udp, net.dns_tcp};
	memcpy(fds.fds, borrowed, sizeof(borrowed));
	/* With a network all of its places are taken: the monitor closes them by number. */
	size_t n_fds = MAX(start_fds_count(&fds), net.netns >= 0 ? (size_t)START_PIDNS : 0);
	TRY(monitor_config(e, c, want, n_fds, &config));
	TRY(restart_config(e, c, why, config));
	TRY(health_monitor_config(e, c, config));
	json_set_bool(config, "systemd_cgroup", systemd_cgroup);
	json_set_bool(config, "network", net.netns >= 0);
	json_set_bool(config, "resolver", net.dns_udp >= 0);
	TRY(monitor_spawn(e, "run", fds.fds, n_fds, config, want & STREAM_WANT_STDIN, &a));
	if (o)
		*ret = a;
	else
		attach_free(a);
	return NULL;
}

static struct err *start(struct engine *e, struct container *c, const struct start_reason *why,
			 const struct attach_options *attach_opts, struct attach **ret_attach)
{
	bool orphaned;
	struct err *error = start_locked(e, c, why, attach_opts, ret_attach);

	if (!error)
		return container_derive(e, c, &orphaned);
	/* What the monitor did not get to say is said here. */
	struct record r;
	struct err *second = record_read(c->root_dir, &r);
	if (!second && !r.error) {
		r.error = err_text(error);
		r.exit_code = 128;
		second = record_write(c->root_dir, &r, FILE_VOLATILE);
	}
	if (!second)
		record_release(&r);
	err_free(second);
	if (!why->again)
		err_free(monitor_wait_gone(c->run_dir, GONE_TIMEOUT_MS));
	network_undo(c->run_dir, c->id);
	err_free(file_remove_tree_at(AT_FDCWD, c->run_dir));
	if (c->spec->auto_remove)
		err_free(container_destroy(e, c, true));
	else
		err_free(container_derive(e, c, &orphaned));
	return error;
}

struct err *container_start(struct engine *e, struct container *c, const struct attach_options *attach_opts,
			    struct attach **ret_attach)
{
	_cleanup_fd_ int lock = -1;

	if (c->spec->pod)
		TRY(pod_start_sandbox(e, c->spec->pod));
	TRY(container_lock(e, c, &lock));
	if (c->status == CONTAINER_RUNNING)
		return err_new(ERR_STATE, "container %s is already running", c->name);
	if (c->status == CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is paused; unpause it instead", c->name);
	if (c->status == CONTAINER_RESTARTING)
		TRY(restart_cancel(e, c));
	return start(e, c, &(struct start_reason){0}, attach_opts, ret_attach);
}

struct err *container_start_again(struct engine *e, struct container *c, unsigned restarts, unsigned delay_ms)
{
	const struct start_reason why = {.again = true, .restarts = restarts, .delay_ms = delay_ms};

	return start(e, c, &why, NULL, NULL);
}
