/* SPDX-License-Identifier: Apache-2.0 */
/* container_exec: a monitor of its own for each further process, so that its streams and its end do not depend on us. */
#include <stdio.h>

#include "event.h"
#include "private.h"

/* docker names the command in the actions; the end is the monitor's to say. */
static void say_begin(struct engine *e, const struct container *c, const struct exec_spec *x,
		      struct json *config)
{
	_cleanup_free_ char *path = event_path(e), *command = strv_join(x->command, " ");
	_cleanup_free_ char *create = xasprintf("exec_create: %.1024s", command),
			    *start = xasprintf("exec_start: %.1024s", command);
	char id[65];

	id_generate(id);
	event_container(e, c, create, "execID", id, NULL);
	event_container(e, c, start, "execID", id, NULL);
	_cleanup_free_ char *end = event_container_line(c, "exec_die", "execID", id, NULL);
	json_set_string(config, "events", path);
	json_set_string(config, "exec_event", end);
}

struct err *container_exec(struct engine *e, struct container *c, const struct exec_spec *x,
			   struct attach **ret_attach)
{
	_cleanup_free_ char *state_root = engine_state_root(e), *root = NULL;
	_cleanup_inroot_ struct inroot rootfs = INROOT_NONE;
	_cleanup_json_ struct json *config = json_new_object();
	struct json *process = NULL;
	struct attach *a = NULL;

	if (c->status == CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is paused; unpause it before exec", c->name);
	if (c->status != CONTAINER_RUNNING)
		return err_new(ERR_STATE, "container %s is not running", c->name);
	root = xasprintf("/proc/%d/root", (int)c->pid);
	TRY_WRAP(inroot_open(root, &rootfs), "cannot look into container %s", c->name);
	TRY(spec_exec_process(e, c, x, &rootfs, &process));
	json_set_string(config, "mode", "exec");
	json_set_string(config, "id", c->id);
	json_set_string(config, "state_root", state_root);
	if (!x->quiet)
		say_begin(e, c, x, config);
	json_set_bool(config, "tty", x->tty);
	json_set_bool(config, "stdin", x->stdin_);
	json_set_bool(config, "stdin_once", true);
	json_set(config, "process", process);
	if (c->spec->runtime) {
		struct json *runtime = json_new_object();
		json_set_string(runtime, "path", c->spec->runtime);
		json_set_string(runtime, "run", e->run);
		json_set(config, "runtime", runtime);
		json_set_string(config, "run_dir", c->run_dir);
	}
	unsigned want =
		x->detach ? 0 : (x->stdin_ ? STREAM_WANT_STDIN : 0) | STREAM_WANT_STDOUT | STREAM_WANT_STDERR;
	json_set_i64(config, "want", want);
	TRY(monitor_spawn(e, "exec", NULL, 0, config, want & STREAM_WANT_STDIN, &a));
	if (x->detach)
		attach_free(a);
	else
		*ret_attach = a;
	return NULL;
}
