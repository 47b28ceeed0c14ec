/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "oci.h"

struct options {
	const char *console_socket, *pidfd_socket, *cwd, *user, *process, *pid_file, *process_label,
		*apparmor;
	char **env, **additional_gids, **cap, **cgroup;
	bool tty, detach, no_new_privs, ignore_paused, no_subreaper;
	int64_t preserve_fds;
};

static const struct flag flags[] = {
	{FLAG_STRING_FIELD(struct options, console_socket), .name = "console-socket", .metavar = "PATH",
	 .values = "@file", .help = "Unix socket that receives the terminal"},
	{FLAG_STRING_FIELD(struct options, pidfd_socket), .name = "pidfd-socket", .metavar = "PATH",
	 .values = "@file", .help = "Unix socket that receives a pidfd of the process"},
	{FLAG_STRING_FIELD(struct options, cwd), .name = "cwd", .metavar = "DIR",
	 .help = "Working directory inside"},
	{FLAG_LIST_FIELD(struct options, env), .name = "env", .letter = 'e', .metavar = "NAME=VALUE",
	 .help = "Add to the environment"},
	{FLAG_BOOL_FIELD(struct options, tty), .name = "tty", .letter = 't', .help = "Give it a terminal"},
	{FLAG_STRING_FIELD(struct options, user), .name = "user", .letter = 'u', .metavar = "UID[:GID]",
	 .help = "User and group, as numbers"},
	{FLAG_LIST_FIELD(struct options, additional_gids), .name = "additional-gids", .letter = 'g',
	 .metavar = "GID", .help = "Add a group"},
	{FLAG_STRING_FIELD(struct options, process), .name = "process", .letter = 'p', .metavar = "FILE",
	 .values = "@file", .help = "The process object of the specification as a JSON file"},
	{FLAG_BOOL_FIELD(struct options, detach), .name = "detach", .letter = 'd',
	 .help = "Do not wait for the process"},
	{FLAG_STRING_FIELD(struct options, pid_file), .name = "pid-file", .metavar = "FILE",
	 .values = "@file", .help = "File that the process id is written to"},
	{FLAG_STRING_FIELD(struct options, process_label), .name = "process-label", .metavar = "LABEL",
	 .help = "SELinux label"},
	{FLAG_STRING_FIELD(struct options, apparmor), .name = "apparmor", .metavar = "PROFILE",
	 .help = "AppArmor profile"},
	{FLAG_BOOL_FIELD(struct options, no_new_privs), .name = "no-new-privs",
	 .help = "Gain no privileges by execve"},
	{FLAG_LIST_FIELD(struct options, cap), .name = "cap", .letter = 'c', .metavar = "CAPABILITY",
	 .help = "Add a capability"},
	{FLAG_INT_FIELD(struct options, preserve_fds), .name = "preserve-fds", .metavar = "N", .min = 0,
	 .max = 65536, .help = "Pass those of file descriptors 3 to 3+N-1 that are open on to the process"},
	{FLAG_LIST_FIELD(struct options, cgroup), .name = "cgroup", .metavar = "[CONTROLLER[,...]:]PATH",
	 .help = "Run in a sub-cgroup of the container's, of these controllers alone"},
	{FLAG_BOOL_FIELD(struct options, ignore_paused), .name = "ignore-paused",
	 .help = "Allow it in a paused container: the process waits until that is resumed"},
	{FLAG_BOOL_FIELD(struct options, no_subreaper), .name = "no-subreaper",
	 .help = "Accepted for compatibility"},
	{0},
};

/* A number is a number: nothing is looked up, nothing overflows into 0 (CVE-2026-30892). */
static struct err *set_user(struct json *process, const char *text)
{
	struct json_cursor root = json_root(process), c;
	_cleanup_free_ char *uid_text = xstrdup(text);
	uint64_t id;
	TRY(json_get_object(&root, "user", JSON_OPTIONAL, &c));
	if (!c.value) {
		json_set(process, "user", json_new_object());
		TRY(json_get_object(&root, "user", JSON_OPTIONAL, &c));
	}
	char *gid_text = strchr(uid_text, ':');
	if (gid_text)
		*gid_text++ = '\0';
	TRY(parse_u64(uid_text, "--user", 0, UINT32_MAX - 1, &id));
	json_set_u64(c.value, "uid", id);
	if (gid_text) {
		TRY(parse_u64(gid_text, "--user", 0, UINT32_MAX - 1, &id));
		json_set_u64(c.value, "gid", id);
	}
	return NULL;
}

static struct err *add_groups(struct json *process, char *const *groups)
{
	struct json_cursor root = json_root(process), user, list;
	uint64_t id;
	if (!groups)
		return NULL;
	TRY(json_get_object(&root, "user", JSON_OPTIONAL, &user));
	if (!user.value) {
		json_set(process, "user", json_new_object());
		TRY(json_get_object(&root, "user", JSON_OPTIONAL, &user));
	}
	TRY(json_get_array(&user, "additionalGids", JSON_OPTIONAL, &list));
	if (!list.value)
		json_set(user.value, "additionalGids", json_new_array());
	TRY(json_get_array(&user, "additionalGids", JSON_OPTIONAL, &list));
	STRV_FOREACH (g, groups) {
		TRY(parse_u64(*g, "--additional-gids", 0, UINT32_MAX - 1, &id));
		json_append(list.value, json_new_u64(id));
	}
	return NULL;
}

/* Into the bounding, effective and permitted sets; never into the inheritable one (CVE-2022-29162). Into the ambient one, as runc does, where
 * the container has inheritable ones, without which there can be none. */
static struct err *add_capabilities(struct json *process, char *const *caps)
{
	static const char *const sets[] = {"bounding", "effective", "permitted", "ambient"};
	struct json_cursor root = json_root(process), object, list, inheritable;
	if (!caps)
		return NULL;
	TRY(json_get_object(&root, "capabilities", JSON_OPTIONAL, &object));
	if (!object.value)
		json_set(process, "capabilities", json_new_object());
	TRY(json_get_object(&root, "capabilities", JSON_OPTIONAL, &object));
	TRY(json_get_array(&object, "inheritable", JSON_OPTIONAL, &inheritable));
	for (size_t i = 0; i < ARRAY_SIZE(sets) - !inheritable.value; i++) {
		TRY(json_get_array(&object, sets[i], JSON_OPTIONAL, &list));
		if (!list.value)
			json_set(object.value, sets[i], json_new_array());
		TRY(json_get_array(&object, sets[i], JSON_OPTIONAL, &list));
		STRV_FOREACH (c, caps)
			json_append(list.value, json_new_string(*c));
	}
	return NULL;
}

static struct err *add_env(struct json *process, char *const *env)
{
	struct json_cursor root = json_root(process);
	_cleanup_strv_ char **merged = NULL;
	if (!env)
		return NULL;
	TRY(json_get_strv(&root, "env", JSON_OPTIONAL, &merged));
	STRV_FOREACH (e, env) {
		char *value = strchr(*e, '=');
		if (!value || value == *e)
			return err_new(ERR_INVALID, "--env: \"%s\" is not NAME=VALUE", *e);
		_cleanup_free_ char *name = xstrndup(*e, (size_t)(value - *e));
		env_set(&merged, name, value + 1);
	}
	json_set_strv(process, "env", merged);
	return NULL;
}

/* The container's own process with the changes of the flags. */
static struct err *derive_process(const struct invocation *in, struct rt_container *c, struct json **ret)
{
	struct options *o = in->options;
	struct json_cursor config, base;
	if (in->n_args < 2)
		return usage_error(in, "a command to execute or --process is needed");
	TRY(rt_container_config(c));
	config = json_root(c->config);
	TRY(json_get_object(&config, "process", JSON_REQUIRED, &base));
	_cleanup_json_ struct json *process = json_deep_copy(base.value);
	json_set_strv(process, "args", in->args + 1);
	json_set_bool(process, "terminal", o->tty);
	json_remove(process, "consoleSize");
	if (!str_empty(o->cwd))
		json_set_string(process, "cwd", o->cwd);
	if (o->user)
		TRY(set_user(process, o->user));
	TRY(add_groups(process, o->additional_gids));
	TRY(add_capabilities(process, o->cap));
	TRY(add_env(process, o->env));
	if (o->process_label)
		json_set_string(process, "selinuxLabel", o->process_label);
	if (o->apparmor)
		json_set_string(process, "apparmorProfile", o->apparmor);
	if (o->no_new_privs)
		json_set_bool(process, "noNewPrivileges", true);
	*ret = TAKE_PTR(process);
	return NULL;
}

static struct err *read_process(const struct invocation *in, struct rt_container *c, struct json **ret,
				bool *ret_tty)
{
	struct options *o = in->options;
	_cleanup_json_ struct json *process = NULL;
	if (o->process)
		TRY(json_parse_file_at(AT_FDCWD, o->process, &process));
	else
		TRY(derive_process(in, c, &process));
	struct json_cursor root = json_root(process);
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "%s: must be an object", o->process ? o->process : "process");
	if (o->tty)
		json_set_bool(process, "terminal", true);
	TRY(json_get_bool(&root, "terminal", JSON_OPTIONAL, ret_tty));
	*ret = TAKE_PTR(process);
	return NULL;
}

/* The process may ask for the size at once: it is not set later, over the master, but goes along. */
static void set_console_size(struct json *process)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	struct json *o = json_new_object();
	json_set_u64(o, "height", size.ws_row);
	json_set_u64(o, "width", size.ws_col);
	json_set(process, "consoleSize", o);
}

static struct err *execute(const struct invocation *in, struct rt_container *c, struct rt_process *ret)
{
	struct options *o = in->options;
	_cleanup_json_ struct json *process = NULL;
	_cleanup_fd_ int console = -1;
	bool tty = false;
	unsigned listen = listen_fds_count();
	TRY(read_process(in, c, &process, &tty));
	if (tty && !o->console_socket)
		set_console_size(process);
	if (o->console_socket)
		TRY(console_socket_connect(o->console_socket, &console));
	struct rt_exec exec = {
		.process = process,
		.stdio = {-1, -1, -1},
		.console_socket = console,
		.return_console = tty && console < 0 && !o->detach,
		.preserve_fds = (unsigned)o->preserve_fds + listen,
		.listen_fds = listen,
		.pid_file = o->pid_file,
		.cgroups = o->cgroup,
		.ignore_paused = o->ignore_paused,
	};
	log_debug("nsexec started: container %s: joining the namespaces of pid %d", c->id, (int)c->pid);
	TRY(rt_container_exec(c, &exec, ret));
	log_debug("nsexec container setup: pid %d: child process in init(), setns_init: about to exec",
		  (int)ret->pid);
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct options *o = in->options;
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	struct rt_process p = {.pidfd = -1, .console = -1};
	TRY(oci_load(in, &c));
	if (!o->detach)
		TRY(foreground_prepare());
	struct err *e = execute(in, c, &p);
	/* What the container itself could not have was said when it was made. */
	if (o->cap)
		oci_warn(c);
	if (!e && o->pidfd_socket)
		e = pidfd_socket_send(o->pidfd_socket, p.pidfd);
	if (!e && !o->detach) {
		foreground_terminal(p.console);
		e = foreground_wait(p.pidfd, p.console, NULL, ret_status);
	}
	fd_close(p.pidfd);
	fd_close(p.console);
	return e;
}

const struct command oci_exec = {
	.name = "exec",
	.summary = "Run a further process in a container",
	.usage = "[OPTIONS] CONTAINER [COMMAND] [ARG...]",
	.flags = flags,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.traits = COMMAND_STOP_AT_ARGUMENT,
	.failure_status = 255,
	.run = run,
};
