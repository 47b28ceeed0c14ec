// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli.h"
#include "commands.h"
#include "container_choice.h"

struct rm_flags {
	struct container_choice choice;
	bool force, volumes;
	int64_t timeout;
};

static struct err *remove_one(struct engine *e, struct container *c, void *user)
{
	const struct rm_flags *f = user;

	if (f->force && f->timeout >= 0)
		TRY(container_stop(e, c, (int)f->timeout, NULL));
	return container_remove(e, c, f->force, f->volumes);
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct rm_flags *f = in->options;
	struct container_choice choice = f->choice;

	choice.missing_ok = f->force; /* as with docker, and with rm(1) */

	if (f->timeout >= 0 && !f->force)
		return usage_error(in, "--time is for --force: without it running containers stay");
	return container_choice_each(in, &choice, f->force ? CONTAINER_STATES_ANY : ~CONTAINER_STATES_UP,
				     true, ret_status, remove_one, in->options);
}

const struct command cmd_rm = {
	.name = "rm",
	.aliases = ALIASES("container rm", "container remove"),
	.summary = "Remove containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags =
		(const struct flag[]){
			CONTAINER_CHOICE_FLAGS(struct rm_flags, 'a', 0), /* -l is docker's --link */
			{FLAG_BOOL_FIELD(struct rm_flags, force), .name = "force", .letter = 'f',
			 .help = "Kill and remove running containers too"},
			{FLAG_BOOL_FIELD(struct rm_flags, volumes), .name = "volumes", .letter = 'v',
			 .help = "Remove their anonymous volumes"},
			{FLAG_INT_FIELD(struct rm_flags, timeout), .name = "time", .letter = 't',
			 .metavar = "seconds", .min = -1, .max = INT32_MAX,
			 .help = "With --force: seconds to wait before killing (0)"},
			{.kind = FLAG_BOOL,
			 .name = "link",
			 .letter = 'l',
			 .refusal = "a link goes with its container; `network disconnect` takes a container "
				    "out of a network"},
			{0},
		},
	.options_size = sizeof(struct rm_flags),
	.defaults = &(const struct rm_flags){.timeout = -1},
	.max_args = ARGS_UNLIMITED,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run,
};

static struct err *run_cleanup(struct invocation *in, int *ret_status)
{
	struct engine *e;

	TRY(cli_engine(&e));
	return container_cleanup(e, in->args[0]);
}

/* What a monitor runs when a --rm container ends and nobody is attached. */
const struct command cmd_cleanup = {
	.name = "container cleanup",
	.summary = "Remove a container that is to be removed automatically and has ended",
	.usage = "ID",
	.min_args = 1,
	.max_args = 1,
	.traits = COMMAND_LOCAL | COMMAND_HIDDEN,
	.run = run_cleanup,
};
