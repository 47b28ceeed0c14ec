/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/notify.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "notify_setup.h"

#define NOTIFY_DIR "notify"
#define NOTIFY_NAME "notify.sock"
#define NOTIFY_INSIDE "/run/notify"
#define BARRIER_MS 30000

/* -- create ------------------------------------------------------------------------------------------------- */

static struct err *add_env(const struct json_cursor *root)
{
	struct json_cursor process;
	_cleanup_strv_ char **env = NULL;
	TRY(json_get_object(root, "process", JSON_OPTIONAL, &process));
	if (!process.value)
		return NULL;
	TRY(json_get_strv(&process, "env", JSON_OPTIONAL, &env));
	env_set(&env, "NOTIFY_SOCKET", NOTIFY_INSIDE "/" NOTIFY_NAME);
	json_set_strv(process.value, "env", env);
	return NULL;
}

static struct err *add_mount(const struct json_cursor *root, const char *source)
{
	static const char *const options[] = {"bind", "nosuid", "noexec", "nodev", "ro", NULL};
	struct json_cursor list;
	TRY(json_get_array(root, "mounts", JSON_OPTIONAL, &list));
	if (!list.value) {
		json_set(root->value, "mounts", json_new_array());
		TRY(json_get_array(root, "mounts", JSON_OPTIONAL, &list));
	}
	struct json *m = json_new_object();
	json_set_string(m, "destination", NOTIFY_INSIDE);
	json_set_string(m, "type", "bind");
	json_set_string(m, "source", source);
	json_set_strv(m, "options", (char *const *)options);
	json_append(list.value, m);
	return NULL;
}

struct err *notify_configure(const struct rt_container *c, struct json *config)
{
	struct json_cursor root = json_root(config);
	char here[4096] = "";
	if (c->state_root[0] != '/' && !getcwd(here, sizeof(here)))
		return err_errno(errno, "cannot find the path of the working directory");
	if (json_kind(&root) != JSON_OBJECT)
		return json_error(&root, "must be an object");
	_cleanup_free_ char *source =
		xasprintf("%s%s%s/%s/" NOTIFY_DIR, here, *here ? "/" : "", c->state_root, c->id);
	TRY(add_env(&root));
	return add_mount(&root, source);
}

struct err *notify_make_dir(const struct rt_container *c)
{
	/* Its mode must not depend on our umask: any user of the container may want to say that it is ready. */
	if (mkdirat(c->dir_fd, NOTIFY_DIR, 0755) < 0 || fchmodat(c->dir_fd, NOTIFY_DIR, 0755, 0) < 0)
		return err_errno(errno, "cannot make the directory of the container's NOTIFY_SOCKET");
	return NULL;
}

/* -- start -------------------------------------------------------------------------------------------------- */

static struct err *connect_abstract(const char *name, int *ret_fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	if (n < 2 || n > sizeof(addr.sun_path))
		return err_new(ERR_INVALID, "its name is empty or longer than %zu bytes",
			       sizeof(addr.sun_path));
	memcpy(addr.sun_path, name, n);
	addr.sun_path[0] = '\0';
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		return err_errno(errno, "cannot connect to it");
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

static struct err *connect_host(const char *address, int *ret_fd)
{
	if (address[0] == '@')
		return connect_abstract(address, ret_fd);
	if (address[0] != '/')
		return err_new(ERR_INVALID, "an absolute path or @NAME is needed");
	return fd_unix_connect(address, SOCK_DGRAM, ret_fd);
}

static struct err *listen_in(int dir, int *ret_fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" NOTIFY_NAME, fd_path(dir).s);
	if (fd < 0)
		return err_errno(errno, "cannot make a unix socket");
	/* Of a start that was killed. */
	if (unlinkat(dir, NOTIFY_NAME, 0) < 0 && errno != ENOENT)
		return err_errno(errno, "cannot remove the old NOTIFY_SOCKET of the container");
	mode_t old = umask(0);
	int r = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	int bind_errno = errno;
	umask(old);
	if (r < 0)
		return err_errno(bind_errno, "cannot make the NOTIFY_SOCKET of the container");
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

struct err *rt_notify_open(const struct rt_container *c, const char *address, struct rt_notify *ret)
{
	*ret = RT_NOTIFY_NONE;
	_cleanup_fd_ int dir = openat(c->dir_fd, NOTIFY_DIR, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int host = -1;
	if (dir < 0 && errno == ENOENT)
		return NULL;
	if (dir < 0)
		return err_errno(errno, "cannot open the directory of the container's NOTIFY_SOCKET");
	TRY_WRAP(connect_host(address, &host), "NOTIFY_SOCKET=%s in our environment", address);
	TRY(listen_in(dir, &ret->socket));
	ret->host = TAKE_FD(host);
	return NULL;
}

void rt_notify_close(struct rt_notify *n)
{
	fd_close(n->socket);
	fd_close(n->host);
	*n = RT_NOTIFY_NONE;
}

/* -- messages ----------------------------------------------------------------------------------------------- */

static bool says_ready(char *message)
{
	char *line;
	while ((line = strsep(&message, "\n")))
		if (str_eq(line, "READY=1"))
			return true;
	return false;
}

/* False when there is none. */
static bool receive(const struct rt_notify *n, bool *ret_ready)
{
	char message[4096];
	ssize_t size = recv(n->socket, message, sizeof(message) - 1, MSG_DONTWAIT);
	if (size < 0)
		return false;
	message[size] = '\0';
	*ret_ready = says_ready(message);
	return true;
}

static struct err *tell(int host, const char *text, const int *fd)
{
	TRY_WRAP(fd_send(host, text, strlen(text), fd, fd ? 1 : 0), "cannot write to NOTIFY_SOCKET");
	return NULL;
}

struct err *rt_notify_take(struct rt_notify *n)
{
	bool ready = false;
	if (!receive(n, &ready) || !ready)
		return NULL;
	struct err *e = tell(n->host, "READY=1\n", NULL);
	rt_notify_close(n);
	return e;
}

/* The reader closes what it got with BARRIER=1 once it has come to it. */
static struct err *barrier(int host)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(errno, "cannot make a pipe");
	struct err *e = tell(host, "BARRIER=1\n", &ends[1]);
	close(ends[1]);
	struct pollfd p = {.fd = ends[0]};
	while (!e && poll(&p, 1, BARRIER_MS) < 0 && errno == EINTR)
		;
	close(ends[0]);
	return e;
}

static struct err *hand_over(const struct rt_notify *n, pid_t pid)
{
	char text[64];
	snprintf(text, sizeof(text), "MAINPID=%d\nREADY=1\n", pid);
	TRY(tell(n->host, text, NULL));
	return barrier(n->host);
}

struct err *rt_notify_wait(struct rt_notify *n, const struct rt_container *c)
{
	bool ended = false, ready = false;
	if (n->socket < 0)
		return NULL;
	while (true) {
		while (!ready && receive(n, &ready))
			;
		if (ready)
			return hand_over(n, c->pid);
		if (ended)
			return NULL;
		struct pollfd fds[] = {{.fd = n->socket, .events = POLLIN},
				       {.fd = c->pidfd, .events = POLLIN}};
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for the container to be ready");
		/* Its last word may have come together with its end. */
		ended = fds[1].revents || c->pidfd < 0;
	}
}
