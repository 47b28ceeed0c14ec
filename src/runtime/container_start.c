/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/process.h"
#include "container_private.h"
#include "hooks.h"
#include "state.h"

/* The agent behind listenerPath gets the state and the notify fd in one message: config-linux.md "containerProcessState". */
static struct err *send_listener(struct rt_container *c, const struct spec *s, pid_t pid, int listener)
{
	_cleanup_fd_ int sock = -1;
	const char *path = NULL, *metadata = NULL;
	TRY(rt_container_seccomp_receiver(s, &path));
	if (s->seccomp.value)
		TRY(json_get_string(&s->seccomp, "listenerMetadata", JSON_OPTIONAL, &metadata));
	if (!path)
		return err_new(ERR_INVALID, "linux.seccomp: SCMP_ACT_NOTIFY needs listenerPath");
	struct json *state = state_object(s->oci_version, c->id, c->bundle, c->pid, "creating", &s->root);
	_cleanup_json_ struct json *o = json_new_object();
	char *fds[] = {(char *)"seccompFd", NULL};
	json_set_string(o, "ociVersion", s->oci_version);
	json_set_strv(o, "fds", fds);
	json_set_i64(o, "pid", pid);
	if (metadata)
		json_set_string(o, "metadata", metadata);
	json_set(o, "state", state);
	_cleanup_free_ char *text = json_print(o, JSON_COMPACT);
	TRY_WRAP(fd_unix_connect(path, SOCK_STREAM, &sock),
		 "linux.seccomp.listenerPath: failed to connect with seccomp agent");
	return fd_send(sock, text, strlen(text), &listener, 1);
}

struct err *rt_container_await_exec(struct rt_container *c, const struct spec *s, int sync, pid_t pid)
{
	bool executing = false;
	while (true) {
		_cleanup_fd_ int fd = -1;
		enum sync_tag tag;
		TRY(sync_receive(sync, &tag, &fd));
		switch (tag) {
		case SYNC_EOF: /* the socket closes on exec; before that it only closes by death */
			if (executing)
				return NULL;
			return err_new(ERR_SYSTEM,
				       "the container's process died before it executed its program "
				       "(killed by a signal, or by its own seccomp filter?)");
		case SYNC_EXEC:
			executing = true;
			break;
		case SYNC_LISTENER:
			TRY(send_listener(c, s, pid, fd));
			break;
		default:
			return err_new(ERR_INTERNAL, "unexpected message '%c' from the container's process",
				       tag);
		}
	}
}

static struct err *open_gate(struct rt_container *c, int *ret_sync)
{
	if (c->start_fd >= 0)
		*ret_sync = TAKE_FD(c->start_fd);
	else
		TRY(rt_container_gate_connect(c, ret_sync));
	return sync_send(*ret_sync, SYNC_START);
}

static struct err *start(struct rt_container *c, bool *ret_ended)
{
	struct spec *s = NULL;
	_cleanup_fd_ int lock = -1, sync = -1;
	/* Who has the gate to itself needs no lock against another starter. */
	if (c->start_fd < 0) {
		TRY(rt_container_lock(c, &lock));
		TRY(rt_container_refresh(c));
		if (c->status == RT_STOPPED)
			return err_new(ERR_STATE, "cannot start a container that has stopped");
		if (c->status == RT_RUNNING)
			return err_new(ERR_STATE, "cannot start an already running container");
		if (c->status != RT_CREATED)
			return err_new(ERR_STATE, "cannot start container %s: it is %s", c->id,
				       rt_status_name(c->status));
	}
	TRY(rt_container_spec(c, &s));
	if (!s->process.args)
		return err_new(ERR_INVALID, "config.json: process: is missing: there is nothing to start");
	TRY(open_gate(c, &sync));
	TRY(rt_container_await_exec(c, s, sync, c->pid));
	c->status = RT_RUNNING;
	if (!s->hooks.n[SPEC_HOOK_POSTSTART])
		return NULL;
	_cleanup_free_ char *state = state_for_hooks(s, c->id, c->bundle, c->pid, "running");
	struct err *e = hooks_open_output(&s->hooks);
	if (!e)
		e = hooks_run_in(c->bundle, &s->hooks, SPEC_HOOK_POSTSTART, state);
	*ret_ended = e != NULL;
	return e;
}

struct err *rt_container_start(struct rt_container *c)
{
	bool ended = false;
	struct err *e = start(c, &ended);
	/* A failure of a poststart hook stops the container, and the life cycle goes on with its deletion (runtime.md "Lifecycle", 10). */
	if (ended)
		err_free(rt_container_delete(c, true));
	return e;
}
