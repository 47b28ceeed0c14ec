// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "base/memory.h"
#include "commands.h"
#include "make.h"

struct exec_flags {
	bool detach, interactive, tty, privileged;
	char **env, **env_files;
	const char *user, *workdir, *detach_keys;
};

static struct err *exec_in(const struct exec_flags *f, char **args, struct exec_spec *x, int *ret_status)
{
	struct engine *e;
	_cleanup_container_ struct container *c = NULL;
	bool detached;

	TRY(cli_engine(&e));
	TRY(container_find(e, args[0], &c));
	STRV_FOREACH (file, f->env_files)
		TRY_WRAP(env_file_read(*file, environ, &x->env), "environment file");
	STRV_FOREACH (v, f->env)
		TRY(env_argument(*v, environ, &x->env));
	if (f->detach)
		return container_exec(e, c, x, NULL);

	struct stream_options o = {.tty = f->tty,
				   .stdin_ = f->interactive,
				   .stdout_ = true,
				   .stderr_ = true,
				   .detach_keys = f->detach_keys};
	TRY(cli_check_tty(o.tty, o.stdin_));
	if (o.tty)
		window_size(&x->rows, &x->cols);
	struct attach *attach = NULL;
	TRY(container_exec(e, c, x, &attach));
	if (!attach) /* --detach: it runs on its own */
		return NULL;
	struct err *failed = cli_pump(attach, &o, &detached, ret_status);
	attach_free(attach);
	return failed;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct exec_flags *f = in->options;
	struct exec_spec x = {
		.command = in->args + 1,
		.workdir = (char *)f->workdir,
		.user = (char *)f->user,
		.tty = f->tty,
		.stdin_ = f->interactive && !f->detach,
		.privileged = f->privileged,
		.detach = f->detach,
	};
	struct err *e = exec_in(f, in->args, &x, ret_status);

	strv_free(x.env);
	return e;
}

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct exec_flags, detach), .name = "detach", .letter = 'd',
	 .help = "Run in the background"},
	{FLAG_STRING_FIELD(struct exec_flags, detach_keys), .name = "detach-keys", .metavar = "keys",
	 .help = "Keys that detach (ctrl-p,ctrl-q)"},
	{FLAG_LIST_FIELD(struct exec_flags, env), .name = "env", .letter = 'e', .metavar = "NAME[=value]",
	 .help = "Set an environment variable"},
	{FLAG_LIST_FIELD(struct exec_flags, env_files), .name = "env-file", .metavar = "file",
	 .help = "Read environment variables from a file", .values = "@file"},
	{FLAG_BOOL_FIELD(struct exec_flags, interactive), .name = "interactive", .letter = 'i',
	 .help = "Connect standard input"},
	{FLAG_BOOL_FIELD(struct exec_flags, privileged), .name = "privileged",
	 .help = "Give the command all capabilities"},
	{FLAG_BOOL_FIELD(struct exec_flags, tty), .name = "tty", .letter = 't',
	 .help = "Allocate a terminal"},
	{FLAG_STRING_FIELD(struct exec_flags, user), .name = "user", .letter = 'u', .metavar = "user[:group]",
	 .help = "User name or id, and group"},
	{FLAG_STRING_FIELD(struct exec_flags, workdir), .name = "workdir", .letter = 'w', .metavar = "path",
	 .help = "Working directory"},
	{0},
};

const struct command cmd_exec = {
	.name = "exec",
	.aliases = ALIASES("container exec"),
	.summary = "Run a command in a running container",
	.usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
	.help = "Ends with the command's exit status; 126 and 127 mean that it could not be executed or was "
		"not found.",
	.examples = "# a shell in it\nPROGRAM exec -it web sh",
	.flags = flags,
	.options_size = sizeof(struct exec_flags),
	.min_args = 2,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!running",
	.traits = COMMAND_LOCAL | COMMAND_STOP_AT_ARGUMENT | COMMAND_EXEC_STATUS,
	.run = run,
};
