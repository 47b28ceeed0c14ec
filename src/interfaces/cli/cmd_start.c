// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "container_choice.h"
#include "make.h"

struct start_flags {
	struct container_choice choice;
	bool attach, interactive, sig_proxy;
	const char *detach_keys;
};

static struct err *start_one(struct engine *e, struct container *c, void *user)
{
	return container_start(e, c, NULL, NULL);
}

/* Names the container as the user did: "cannot start web: …". */
static struct err *start_attached(struct invocation *in, const struct start_flags *f, int *ret_status)
{
	struct engine *e;
	_cleanup_container_ struct container *c = NULL;
	bool detached;

	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	struct stream_options o = {
		.tty = c->spec->tty,
		.stdin_ = f->interactive && c->spec->open_stdin,
		.stdout_ = true,
		.stderr_ = true,
		.sig_proxy = f->sig_proxy,
		.detach_keys = f->detach_keys,
	};
	TRY(cli_check_tty(o.tty, o.stdin_));
	if (c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is running already; 'havre attach %s' connects to it",
			       in->args[0], in->args[0]);
	struct attach_options a = {.stdin_ = o.stdin_, .stdout_ = true, .stderr_ = true};
	if (o.tty)
		window_size(&a.rows, &a.cols);
	struct attach *attach = NULL;
	TRY(container_start(e, c, &a, &attach));
	struct err *failed = cli_pump(attach, &o, &detached, ret_status);
	if (!failed && !detached)
		failed = container_finish(e, c, attach);
	attach_free(attach);
	return failed;
}

/* What --all starts. */
#define NOT_UP (CONTAINER_STATE(CONTAINER_CREATED) | CONTAINER_STATE(CONTAINER_EXITED))

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct start_flags *f = in->options;

	if (!f->attach && !f->interactive)
		return container_choice_each(in, &f->choice, NOT_UP, true, ret_status, start_one, NULL);
	if (in->n_args != 1)
		return usage_error(in, "exactly one container is to be named with --attach or --interactive");
	return start_attached(in, f, ret_status);
}

static const struct flag flags[] = {
	CONTAINER_CHOICE_FLAGS(struct start_flags, 0, 'l'),
	{FLAG_BOOL_FIELD(struct start_flags, attach), .name = "attach", .letter = 'a',
	 .help = "Attach output and pass signals on"},
	{FLAG_STRING_FIELD(struct start_flags, detach_keys), .name = "detach-keys", .metavar = "keys",
	 .help = "Keys that detach (ctrl-p,ctrl-q)"},
	{FLAG_BOOL_FIELD(struct start_flags, interactive), .name = "interactive", .letter = 'i',
	 .help = "Attach input too"},
	{FLAG_BOOL_FIELD(struct start_flags, sig_proxy), .name = "sig-proxy",
	 .help = "Pass our signals on to the program (true)"},
	{.kind = FLAG_STRING, .name = "checkpoint", .refusal = "checkpoints come later"},
	{.kind = FLAG_STRING, .name = "checkpoint-dir", .refusal = "checkpoints come later"},
	{0},
};

const struct command cmd_start = {
	.name = "start",
	.aliases = ALIASES("container start"),
	.summary = "Start containers that are created or have ended",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags = flags,
	.options_size = sizeof(struct start_flags),
	.defaults = &(const struct start_flags){.sig_proxy = true},
	.max_args = ARGS_UNLIMITED,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL | COMMAND_EXEC_STATUS,
	.run = run,
};
