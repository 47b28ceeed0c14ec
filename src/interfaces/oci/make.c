/* SPDX-License-Identifier: Apache-2.0 */
/* Making a container from a bundle: what create and run have in common. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "oci.h"

const struct flag make_flags[] = {
	{FLAG_STRING_FIELD(struct make_options, bundle), .name = "bundle", .letter = 'b', .metavar = "DIR",
	 .values = "@dir", .help = "The bundle (default: the working directory)"},
	{FLAG_STRING_FIELD(struct make_options, config), .name = "config", .letter = 'f', .metavar = "FILE",
	 .values = "@file", .help = "Another configuration than BUNDLE/config.json"},
	{FLAG_STRING_FIELD(struct make_options, console_socket), .name = "console-socket", .metavar = "PATH",
	 .values = "@file", .help = "Unix socket that receives the terminal"},
	{FLAG_STRING_FIELD(struct make_options, pidfd_socket), .name = "pidfd-socket", .metavar = "PATH",
	 .values = "@file", .help = "Unix socket that receives a pidfd of the container's first process"},
	{FLAG_STRING_FIELD(struct make_options, pid_file), .name = "pid-file", .metavar = "FILE",
	 .values = "@file", .help = "File that the process id is written to"},
	{FLAG_BOOL_FIELD(struct make_options, no_pivot), .name = "no-pivot",
	 .help = "Change the root without pivot_root, for hosts that run from a ramfs"},
	{FLAG_BOOL_FIELD(struct make_options, no_new_keyring), .name = "no-new-keyring",
	 .help = "Keep the caller's session keyring"},
	{FLAG_BOOL_FIELD(struct make_options, no_subreaper), .name = "no-subreaper",
	 .help = "Accepted for compatibility: havre is never a subreaper"},
	{FLAG_INT_FIELD(struct make_options, preserve_fds), .name = "preserve-fds", .metavar = "N", .min = 0,
	 .max = 65536, .help = "Pass those of file descriptors 3 to 3+N-1 that are open on to the container"},
	{0},
};

/* Opens the bundle; *ret_path is its absolute path: as it was given, so that hooks and callers meet the name that they know; or, where it
 * was given relatively, as the kernel tells it in one call for the fd. */
static struct err *open_bundle(const char *path, int *ret_fd, char **ret_path)
{
	char real[PATH_MAX];
	_cleanup_fd_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open bundle %s", path);
	ssize_t n = path[0] == '/' ? 0 : readlink(fd_path(fd).s, real, sizeof(real) - 1);
	if (n < 0 || (n && real[0] != '/'))
		return err_errno(n < 0 ? errno : ENOENT, "cannot find the path of bundle %s", path);
	real[n] = '\0';
	*ret_path = xstrdup(n ? real : path);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

static struct err *wants_terminal(struct json *config, bool *ret)
{
	struct json_cursor root = json_root(config), process;
	TRY(json_get_object(&root, "process", JSON_OPTIONAL, &process));
	return process.value ? json_get_bool(&process, "terminal", JSON_OPTIONAL, ret) : NULL;
}

/* --pidfd-socket, and crun's annotation for it. */
static struct err *send_pidfd(const struct make_options *o, struct rt_container *c)
{
	struct json_cursor root = json_root(c->config), notes;
	const char *receiver = NULL;
	if (o->pidfd_socket)
		TRY(pidfd_socket_send(o->pidfd_socket, c->pidfd));
	TRY(json_get_object(&root, "annotations", JSON_OPTIONAL, &notes));
	if (notes.value)
		TRY(json_get_string(&notes, "run.oci.pidfd_receiver", JSON_OPTIONAL, &receiver));
	if (receiver)
		TRY_WRAP(pidfd_socket_send(receiver, c->pidfd), "annotation run.oci.pidfd_receiver");
	return NULL;
}

void make_request_release(struct make_request *r)
{
	free(r->bundle);
	json_unref(r->config);
	free(r->config_text);
	fd_close(r->console);
	fd_close(r->bundle_fd);
}

struct err *make_request_fill(const struct invocation *in, const struct make_options *o, bool foreground,
			      struct make_request *ret)
{
	bool terminal = false;
	unsigned listen = listen_fds_count();
	TRY(open_bundle(o->bundle ? o->bundle : ".", &ret->bundle_fd, &ret->bundle));
	TRY_WRAP(json_parse_file_text_at(o->config ? AT_FDCWD : ret->bundle_fd,
					 o->config ? o->config : "config.json", &ret->config_text,
					 &ret->config),
		 "bundle %s", ret->bundle);
	TRY_WRAP(wants_terminal(ret->config, &terminal), "config.json");
	if (o->console_socket)
		TRY(console_socket_connect(o->console_socket, &ret->console));
	ret->create = (struct rt_create){
		.state_root = oci_options.root,
		.id = in->args[0],
		.bundle = ret->bundle,
		.bundle_fd = &ret->bundle_fd,
		.config = ret->config,
		.config_text = ret->config_text,
		.rootfs_fd = -1,
		.stdio = {-1, -1, -1},
		.console_socket = ret->console,
		.return_console = foreground && terminal && ret->console < 0,
		.preserve_fds = (unsigned)o->preserve_fds + listen,
		.listen_fds = listen,
		.own_start = str_eq(in->command->name, "run"),
		.no_pivot = o->no_pivot,
		.no_new_keyring = o->no_new_keyring,
		.no_subreaper = o->no_subreaper,
		.systemd_cgroup = oci_options.systemd_cgroup || str_eq(oci_options.cgroup_manager, "systemd"),
		.cgroup_disabled = str_eq(oci_options.cgroup_manager, "disabled"),
		.notify = notify_address() != NULL,
		.pid_file = o->pid_file,
		.rootless = oci_options.rootless_mode,
	};
	return NULL;
}

struct err *make_container(const struct invocation *in, bool foreground, struct rt_container **ret)
{
	const struct make_options *o = in->options;
	_cleanup_(make_request_release) struct make_request request = MAKE_REQUEST_NONE;
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	TRY(make_request_fill(in, o, foreground, &request));
	/* Steps are named as runc names them: scripts that follow its debug log look for these words. */
	log_debug("nsexec started: container %s: cloning its first process from bundle %s", request.create.id,
		  request.bundle);
	TRY(rt_container_create(&request.create, &c));
	log_debug("nsexec container setup: pid %d: child process in init() has its root and waits",
		  (int)c->pid);
	oci_warn(c);
	struct err *e = send_pidfd(o, c);
	if (e) { /* nobody would know of it */
		err_free(rt_container_delete(c, true));
		return e;
	}
	*ret = TAKE_PTR(c);
	return NULL;
}
