// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli.h"
#include "commands.h"

struct rm_flags {
	bool force, volumes;
};

static struct err *remove_one(struct engine *e, const char *what, const struct rm_flags *f)
{
	_cleanup_container_ struct container *c = NULL;

	TRY(container_find(e, what, &c));
	return container_remove(e, c, f->force, f->volumes);
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct rm_flags *f = in->options;
	struct engine *e;

	TRY(cli_engine(&e));
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_err_ struct err *failed = remove_one(e, in->args[i], f);
		if (!failed) {
			puts(in->args[i]);
			continue;
		}
		command_report(in, failed);
		/* rm -f of what is not there is no failure, as with docker and rm(1). */
		if (!f->force || failed->kind != ERR_NOT_FOUND)
			*ret_status = 1;
	}
	return NULL;
}

const struct command cmd_rm = {
	.name = "rm",
	.aliases = ALIASES("container rm", "container remove"),
	.summary = "Remove containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct rm_flags, force), .name = "force", .letter = 'f',
			 .help = "Kill and remove running containers too"},
			{FLAG_BOOL_FIELD(struct rm_flags, volumes), .name = "volumes", .letter = 'v',
			 .help = "Remove their anonymous volumes"},
			{.kind = FLAG_BOOL,
			 .name = "link",
			 .letter = 'l',
			 .refusal = "a link goes with its container; `network disconnect` takes a container "
				    "out of a network"},
			{0},
		},
	.options_size = sizeof(struct rm_flags),
	.min_args = 1,
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
