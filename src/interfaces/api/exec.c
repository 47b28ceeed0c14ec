/* SPDX-License-Identifier: Apache-2.0 */
/* Execs. Between create and start an exec is a few strings in our memory, and afterwards its result: the process itself has a monitor of its own
 * and does not depend on us. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/memory.h"
#include "routes.h"
#include "streams.h"

#define EXECS_MAX 4096u /* the oldest that has ended, or else the oldest, makes room */

struct exec {
	struct exec *next; /* newer */
	char id[65], container[65];
	struct exec_spec spec;
	bool want_stdin, want_stdout, want_stderr;
	char *detach_keys;
	bool started, running;
	int exit_code;
	pid_t pid;
	struct attach *attach; /* of the thread that pumps; for resizing, under the lock */
};

static struct {
	pthread_mutex_t lock;
	struct exec *oldest;
	size_t n;
} execs = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void exec_free(struct exec *e)
{
	strv_free(e->spec.command);
	strv_free(e->spec.env);
	free(e->spec.workdir);
	free(e->spec.user);
	free(e->detach_keys);
	free(e);
}

static void make_room(void)
{
	struct exec **at = &execs.oldest;

	if (execs.n < EXECS_MAX)
		return;
	while (*at && ((*at)->running || !(*at)->started))
		at = &(*at)->next;
	for (struct exec **any = &execs.oldest; !*at && *any; any = &(*any)->next)
		if (!(*any)->running) {
			at = any;
			break;
		}
	struct exec *old = *at;
	if (!old)
		return;
	*at = old->next;
	execs.n--;
	exec_free(old);
}

/* Under the lock. Borrowed. */
static struct exec *find(const char *id)
{
	size_t n = strlen(id);

	for (struct exec *e = execs.oldest; n >= 12 && e; e = e->next)
		if (strncmp(e->id, id, n) == 0)
			return e;
	return NULL;
}

static struct err *not_found(const char *id)
{
	return err_new(ERR_NOT_FOUND, "No such exec instance: %.128s", id);
}

static void random_id(char ret[static 65])
{
	unsigned char bytes[32];

	arc4random_buf(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		ret[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
		ret[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
	ret[64] = '\0';
}

static struct err *text(const struct json_cursor *o, const char *key, char **ret)
{
	const char *s = NULL;

	TRY(json_get_string(o, key, JSON_OPTIONAL, &s));
	*ret = str_empty(s) ? NULL : xstrdup(s);
	return NULL;
}

static struct err *console_size(const struct json_cursor *o, struct exec_spec *s)
{
	struct json_cursor list;
	int64_t v[2] = {0, 0};

	TRY(json_get_array(o, "ConsoleSize", JSON_OPTIONAL, &list));
	for (size_t i = 0; i < 2 && i < json_array_len(&list); i++) {
		struct json_cursor m = json_at(&list, i);
		TRY(json_as_i64(&m, 0, UINT16_MAX, &v[i]));
	}
	if (v[0] && v[1]) {
		s->rows = (unsigned)v[0];
		s->cols = (unsigned)v[1];
	}
	return NULL;
}

static struct err *read_exec(struct json *body, struct exec *e)
{
	struct json_cursor root = json_root(body);

	TRY(json_get_strv(&root, "Cmd", JSON_OPTIONAL, &e->spec.command));
	if (strv_len(e->spec.command) == 0)
		return err_new(ERR_INVALID, "No exec command specified");
	TRY(json_get_strv(&root, "Env", JSON_OPTIONAL, &e->spec.env));
	TRY(text(&root, "WorkingDir", &e->spec.workdir));
	TRY(text(&root, "User", &e->spec.user));
	TRY(text(&root, "DetachKeys", &e->detach_keys));
	TRY(json_get_bool(&root, "Tty", JSON_OPTIONAL, &e->spec.tty));
	TRY(json_get_bool(&root, "Privileged", JSON_OPTIONAL, &e->spec.privileged));
	TRY(json_get_bool(&root, "AttachStdin", JSON_OPTIONAL, &e->want_stdin));
	TRY(json_get_bool(&root, "AttachStdout", JSON_OPTIONAL, &e->want_stdout));
	TRY(json_get_bool(&root, "AttachStderr", JSON_OPTIONAL, &e->want_stderr));
	return console_size(&root, &e->spec);
}

struct err *handle_exec_create(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_json_ struct json *body = NULL;

	TRY(find_container(x, &c));
	TRY(exchange_json(x, false, &body));
	if (c->status == CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is paused, unpause the container before exec",
			       c->name);
	if (c->status != CONTAINER_RUNNING)
		return err_new(ERR_STATE, "container %s is not running", c->id);
	struct exec *e = xnew(struct exec);
	struct err *error = read_exec(body, e);
	if (error) {
		exec_free(e);
		return error;
	}
	random_id(e->id);
	memcpy(e->container, c->id, sizeof(e->container));
	struct json *o = json_new_object();
	json_set_string(o, "Id", e->id);
	pthread_mutex_lock(&execs.lock);
	make_room();
	struct exec **at = &execs.oldest;
	while (*at)
		at = &(*at)->next;
	*at = e;
	execs.n++;
	pthread_mutex_unlock(&execs.lock);
	return answer_json(x, 201, o);
}

/* Marks it as started, so that it stays ours until it has ended. */
static struct err *claim(const char *id, struct exec **ret)
{
	struct err *error = NULL;

	pthread_mutex_lock(&execs.lock);
	struct exec *e = find(id);
	if (!e)
		error = not_found(id);
	else if (e->started)
		error = err_new(ERR_STATE, "exec %.12s was started before", e->id);
	else
		e->started = e->running = true;
	pthread_mutex_unlock(&execs.lock);
	*ret = e;
	return error;
}

static void set_attach(struct exec *e, struct attach *a)
{
	pthread_mutex_lock(&execs.lock);
	e->attach = a;
	if (a)
		e->pid = attach_pid(a);
	pthread_mutex_unlock(&execs.lock);
}

static void ended(struct exec *e, int code)
{
	pthread_mutex_lock(&execs.lock);
	e->attach = NULL;
	e->running = false;
	e->exit_code = code;
	pthread_mutex_unlock(&execs.lock);
}

/* Nobody looks at a detached exec's output; its end is waited for, because its status may be asked for. */
static struct err *wait_detached(struct attach *a, int *ret_code)
{
	while (!attach_ended(a, ret_code)) {
		struct stream_frame f;
		bool have, eof = false;
		TRY(attach_next(a, &f, &have));
		if (have)
			continue;
		struct pollfd p = {.fd = attach_socket(a), .events = POLLIN};
		(void)poll(&p, 1, -1);
		TRY(attach_fill(a, &eof));
		if (eof)
			return err_new(ERR_UNREACHABLE, "the exec's monitor has died");
	}
	return NULL;
}

/* After the head there is only the stream to say it in. */
static void tell_failure(struct exchange *x, const struct stream_choice *s, const struct err *e)
{
	_cleanup_free_ char *words = err_text(e);
	_cleanup_free_ char *line = xasprintf("%s\r\n", words);
	size_t n = strlen(line);

	err_free(s->tty ? fd_write_full(x->fd, line, n, "the client's connection")
			: stream_frame_send(x->fd, 1, line, n));
}

static struct err *run(struct exchange *x, struct exec *e, bool detach, int *ret_code)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_(attach_freep) struct attach *a = NULL;
	struct stream_choice s = {.tty = e->spec.tty,
				  .stdin_ = e->want_stdin && !detach,
				  .stdout_ = e->want_stdout,
				  .stderr_ = e->want_stderr,
				  .detach_keys = e->detach_keys};
	bool exited = false;

	TRY(container_find(x->engine, e->container, &c));
	e->spec.stdin_ = s.stdin_;
	/* The head first, as dockerd: clients that read it with a buffer would lose output that comes with it. */
	struct err *error = detach ? NULL : exchange_hijack(x, s.tty);
	if (!error)
		error = container_exec(x->engine, c, &e->spec, &a);
	if (error && error->kind == ERR_EXEC)
		*ret_code = error->errnum == ENOENT ? 127 : 126;
	if (error && x->hijacked)
		tell_failure(x, &s, error);
	TRY(error);
	set_attach(e, a);
	if (detach) {
		error = answer_empty(x, 200);
		x->close = true; /* the thread stays with the exec */
		shutdown(x->fd, SHUT_RDWR);
		if (!error)
			error = wait_detached(a, ret_code);
	} else {
		error = streams_pump(x, a, &s, &exited, ret_code);
		if (!error && !exited) { /* the client has left; its end is still to be known */
			shutdown(x->fd, SHUT_RDWR);
			error = wait_detached(a, ret_code);
		}
	}
	set_attach(e, NULL);
	return error;
}

struct err *handle_exec_start(struct exchange *x)
{
	_cleanup_json_ struct json *body = NULL;
	struct json_cursor root;
	bool detach = false;
	struct exec *e;
	int code = 126;

	TRY(exchange_json(x, true, &body));
	root = json_root(body);
	if (body)
		TRY(json_get_bool(&root, "Detach", JSON_OPTIONAL, &detach));
	TRY(claim(x->captures[0], &e));
	if (body)
		err_free(console_size(&root, &e->spec));
	struct err *error = run(x, e, detach, &code);
	ended(e, code);
	return error;
}

struct err *handle_exec_resize(struct exchange *x)
{
	int64_t rows, cols;
	struct err *error = NULL;

	TRY(exchange_number(x, "h", 0, &rows));
	TRY(exchange_number(x, "w", 0, &cols));
	if (rows < 0 || cols < 0 || rows > UINT16_MAX || cols > UINT16_MAX)
		return err_new(ERR_INVALID, "the terminal's size is out of range");
	pthread_mutex_lock(&execs.lock);
	struct exec *e = find(x->captures[0]);
	if (!e)
		error = not_found(x->captures[0]);
	else if (!e->attach)
		error = err_new(ERR_STATE, "exec %.12s is not running", e->id);
	else
		error = attach_resize(e->attach, (unsigned)rows, (unsigned)cols);
	pthread_mutex_unlock(&execs.lock);
	TRY(error);
	return answer_empty(x, 200);
}

static struct json *exec_object(const struct exec *e)
{
	struct json *o = json_new_object(), *p = json_new_object(), *args = json_new_array();

	json_set_string(o, "ID", e->id);
	json_set_bool(o, "Running", e->running);
	if (e->started && !e->running)
		json_set_i64(o, "ExitCode", e->exit_code);
	else
		json_set(o, "ExitCode", NULL);
	json_set_string(p, "entrypoint", e->spec.command[0]);
	for (char *const *a = e->spec.command + 1; *a; a++)
		json_append(args, json_new_string(*a));
	json_set(p, "arguments", args);
	json_set_bool(p, "tty", e->spec.tty);
	json_set_bool(p, "privileged", e->spec.privileged);
	if (e->spec.user)
		json_set_string(p, "user", e->spec.user);
	json_set(o, "ProcessConfig", p);
	json_set_bool(o, "OpenStdin", e->want_stdin);
	json_set_bool(o, "OpenStdout", e->want_stdout);
	json_set_bool(o, "OpenStderr", e->want_stderr);
	json_set_bool(o, "CanRemove", false);
	json_set_string(o, "ContainerID", e->container);
	json_set_string(o, "DetachKeys", e->detach_keys ? e->detach_keys : "");
	json_set_i64(o, "Pid", e->pid);
	return o;
}

struct err *handle_exec_inspect(struct exchange *x)
{
	pthread_mutex_lock(&execs.lock);
	const struct exec *e = find(x->captures[0]);
	struct json *o = e ? exec_object(e) : NULL;
	pthread_mutex_unlock(&execs.lock);
	return o ? answer_json(x, 200, o) : not_found(x->captures[0]);
}
