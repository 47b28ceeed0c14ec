// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli.h"
#include "commands.h"
#include "container_choice.h"

struct wait_flags {
	struct container_choice choice;
	const char *condition;
};

static struct err *wait_one(struct engine *e, struct container *c, void *user)
{
	const struct wait_flags *f = user;
	enum wait_condition condition = str_eq(f->condition, "next-exit") ? WAIT_NEXT_EXIT
					: str_eq(f->condition, "removed") ? WAIT_REMOVED
									  : WAIT_NOT_RUNNING;
	int code;

	TRY(container_wait(e, c, condition, &code));
	printf("%d\n", code);
	fflush(stdout);
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct wait_flags *f = in->options;

	return container_choice_each(in, &f->choice, CONTAINER_STATES_ANY, false, ret_status, wait_one,
				     in->options);
}

const struct command cmd_wait = {
	.name = "wait",
	.aliases = ALIASES("container wait"),
	.summary = "Wait until containers end, and print their exit statuses",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags =
		(const struct flag[]){
			CONTAINER_CHOICE_FLAGS(struct wait_flags, 0, 'l'),
			{FLAG_CHOICE_FIELD(struct wait_flags, condition), .name = "condition",
			 .help = "What to wait for", .values = "not-running next-exit removed"},
			{0},
		},
	.options_size = sizeof(struct wait_flags),
	.defaults = &(const struct wait_flags){.condition = "not-running"},
	.max_args = ARGS_UNLIMITED,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run,
};
