// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "make.h"

struct attach_flags {
	bool no_stdin, sig_proxy;
	const char *detach_keys;
};

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct attach_flags *f = in->options;
	struct engine *e;
	_cleanup_container_ struct container *c = NULL;
	bool detached;

	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	if (c->status == CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is paused; 'havre unpause %s' lets it go on",
			       in->args[0], in->args[0]);
	if (c->status != CONTAINER_RUNNING)
		return err_new(ERR_STATE, "container %s is not running; 'havre start -a %s' starts it",
			       in->args[0], in->args[0]);

	struct stream_options o = {
		.tty = c->spec->tty,
		.stdin_ = !f->no_stdin && c->spec->open_stdin,
		.stdout_ = true,
		.stderr_ = true,
		.sig_proxy = f->sig_proxy,
		.detach_keys = f->detach_keys,
	};
	TRY(cli_check_tty(o.tty, o.stdin_));
	struct attach_options a = {.stdin_ = o.stdin_, .stdout_ = true, .stderr_ = true};
	if (o.tty)
		window_size(&a.rows, &a.cols);
	struct attach *attach = NULL;
	TRY(container_attach(e, c, &a, &attach));
	struct err *failed = cli_pump(attach, &o, &detached, ret_status);
	attach_free(attach);
	return failed;
}

const struct command cmd_attach = {
	.name = "attach",
	.aliases = ALIASES("container attach"),
	.summary = "Connect to the input and output of a running container",
	.usage = "[OPTIONS] CONTAINER",
	.help = "Ends with the container's exit status. The keys ctrl-p ctrl-q leave it running (with -t and "
		"-i).",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct attach_flags, detach_keys), .name = "detach-keys",
			 .metavar = "keys", .help = "Keys that detach (ctrl-p,ctrl-q)"},
			{FLAG_BOOL_FIELD(struct attach_flags, no_stdin), .name = "no-stdin",
			 .help = "Do not connect standard input"},
			{FLAG_BOOL_FIELD(struct attach_flags, sig_proxy), .name = "sig-proxy",
			 .help = "Pass our signals on to the program (true)"},
			{0},
		},
	.options_size = sizeof(struct attach_flags),
	.defaults = &(const struct attach_flags){.sig_proxy = true},
	.min_args = 1,
	.max_args = 1,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run,
};
