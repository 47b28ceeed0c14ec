/* SPDX-License-Identifier: Apache-2.0 */
#include "external.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "oci_runtime.h"

#define CONFIG_MAX (16u << 20)
#define CONSOLE_TIMEOUT_MS 10000
#define SELF_FD "/proc/self/fd/"

static struct err *attach(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot look at a mount");
	if (S_ISDIR(st.st_mode)) {
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return err_errno(errno, "cannot make %s", path);
	} else {
		_cleanup_fd_ int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (file < 0)
			return err_errno(errno, "cannot make %s", path);
	}
	if (move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot attach a mount on %s", path);
	return NULL;
}

/* What the runtime can open of "/proc/self/fd/N", which is ours. Caller frees; NULL: it is fine as it is. */
static struct err *translate(struct monitor *m, const char *path, char **ret)
{
	uint64_t fd;

	*ret = NULL;
	if (!path || !str_starts(path, SELF_FD))
		return NULL;
	TRY(parse_u64(path + strlen(SELF_FD), "file descriptor", 0, 1024, &fd));
	if (fd < MONITOR_FD_JOINED + 4) { /* a namespace */
		*ret = xasprintf("/proc/%d/fd/%d", (int)getpid(), (int)fd);
		return NULL;
	}
	*ret = xasprintf("%s/mount.%d", m->bundle, (int)fd);
	return attach((int)fd, *ret);
}

static struct err *translate_list(struct monitor *m, const struct json_cursor *list, const char *key)
{
	for (size_t i = 0, n = json_array_len(list); i < n; i++) {
		struct json_cursor one = json_at(list, i);
		_cleanup_free_ char *instead = NULL;
		const char *path = NULL;
		TRY(json_get_string(&one, key, JSON_OPTIONAL, &path));
		TRY(translate(m, path, &instead));
		if (instead)
			json_set_string(one.value, key, instead);
	}
	return NULL;
}

static struct err *prepare(struct monitor *m)
{
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_fd_ int dir = -1;
	_cleanup_free_ char *rootfs = xasprintf("%s/rootfs", m->bundle);
	struct json_cursor root, list, linux_;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_errno(errno, "cannot make a mount namespace for the OCI runtime");
	TRY(attach(MONITOR_FD_ROOTFS, rootfs));
	dir = open(m->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(errno, "cannot open %s", m->bundle);
	TRY(json_parse_file_at(dir, "config.json", &doc));
	root = json_root(doc);
	json_set_string(doc, "ociVersion", "1.0.2"); /* older programs refuse what they do not know */
	TRY(json_get_array(&root, "mounts", JSON_OPTIONAL, &list));
	TRY(translate_list(m, &list, "source"));
	TRY(json_get_object(&root, "linux", JSON_REQUIRED, &linux_));
	TRY(json_get_array(&linux_, "namespaces", JSON_OPTIONAL, &list));
	TRY(translate_list(m, &list, "path"));
	_cleanup_free_ char *text = json_print(doc, JSON_COMPACT);
	return file_replace_at(dir, "config.json", text, strlen(text), 0600, FILE_VOLATILE);
}

/* The process whose number the runtime wrote. */
static struct err *take_pid(struct monitor *m, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	uint64_t pid;

	TRY(file_read(path, 64, &text, &size));
	(void)unlink(path);
	TRY(parse_u64(text, "the runtime's pid file", 1, INT32_MAX, &pid));
	m->pid = (pid_t)pid;
	TRY(process_start_time(m->pid, &m->start_ticks));
	return process_pidfd_open(m->pid, &m->pidfd);
}

/* Calls the runtime with a socket on which it sends the terminal's master. */
static struct err *call_with_console(struct monitor *m, char ***args, const int *stdio, int *ret_console)
{
	_cleanup_free_ char *path = xasprintf("%s/console.%d.sock", m->run_dir, (int)getpid());
	_cleanup_fd_ int listener = -1, sock = -1, dir = -1;
	char name[4096];
	size_t size, n = 0;
	int fd = -1;

	if (!m->tty)
		return oci_runtime_call(m->runtime, *args, stdio);
	TRY(fd_unix_listen(path, SOCK_STREAM, &listener));
	/* A socket's name has 107 bytes at most; through our fd of its directory it is short. */
	dir = open(m->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(errno, "cannot open %s", m->run_dir);
	_cleanup_free_ char *short_path =
		xasprintf("/proc/%d/fd/%d/console.%d.sock", (int)getpid(), dir, (int)getpid());
	/* Before the bundle or the name of the container, which come last. */
	strv_push(args, "--console-socket");
	strv_push(args, short_path);
	strv_push(args, m->id);
	struct err *error = oci_runtime_call(m->runtime, *args, NULL);
	(void)unlink(path);
	TRY(error);
	struct pollfd p = {.fd = listener, .events = POLLIN};
	if (poll(&p, 1, CONSOLE_TIMEOUT_MS) != 1)
		return err_new(ERR_TIMEOUT, "the OCI runtime has sent no terminal");
	sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (sock < 0)
		return err_errno(errno, "cannot take the terminal from the OCI runtime");
	TRY(fd_receive(sock, name, sizeof(name), &size, &fd, 1, &n));
	if (n != 1)
		return err_new(ERR_INTERNAL, "the OCI runtime has sent no terminal");
	*ret_console = fd;
	return NULL;
}

static void push_all(char ***args, const char *const *words)
{
	for (; *words; words++)
		strv_push(args, *words);
}

struct err *external_create(struct monitor *m, const int stdio[3], int *ret_console)
{
	_cleanup_strv_ char **args = NULL;
	_cleanup_free_ char *pid_file = xasprintf("%s/runtime.pid", m->run_dir);

	TRY(prepare(m));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (m->systemd_cgroup)
		strv_push(&args, "--systemd-cgroup");
	push_all(&args, (const char *const[]){"create", "--bundle", m->bundle, "--pid-file", pid_file, NULL});
	if (!m->tty)
		strv_push(&args, m->id);
	TRY(call_with_console(m, &args, stdio, ret_console));
	return take_pid(m, pid_file);
}

struct err *external_start(struct monitor *m)
{
	char *args[] = {(char *)"start", m->id, NULL};
	return oci_runtime_call(m->runtime, args, NULL);
}

struct err *external_exec(struct monitor *m, struct json *process, const int stdio[3], int *ret_console)
{
	_cleanup_strv_ char **args = NULL;
	_cleanup_free_ char *pid_file = xasprintf("%s/exec.%d.pid", m->run_dir, (int)getpid()),
			    *file = xasprintf("%s/exec.%d.json", m->run_dir, (int)getpid()),
			    *text = json_print(process, JSON_COMPACT);

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	TRY(file_replace_at(AT_FDCWD, file, text, strlen(text), 0600, FILE_VOLATILE));
	push_all(&args,
		 (const char *const[]){"exec", "--process", file, "--detach", "--pid-file", pid_file, NULL});
	if (!m->tty)
		strv_push(&args, m->id);
	struct err *error = call_with_console(m, &args, stdio, ret_console);
	(void)unlink(file);
	TRY(error);
	return take_pid(m, pid_file);
}

struct err *external_delete(struct monitor *m)
{
	char *args[] = {(char *)"delete", (char *)"--force", m->id, NULL};
	return oci_runtime_call(m->runtime, args, NULL);
}
