// SPDX-License-Identifier: Apache-2.0
/* pause and unpause. */
#include "cli.h"
#include "commands.h"
#include "container_choice.h"

struct pause_flags {
	struct container_choice choice;
};

static struct err *pause_one(struct engine *e, struct container *c, void *user)
{
	return container_pause(e, c, *(const bool *)user);
}

static struct err *run_pause(struct invocation *in, int *ret_status)
{
	const struct pause_flags *f = in->options;
	bool paused = true;

	return container_choice_each(in, &f->choice, CONTAINER_STATE(CONTAINER_RUNNING), true, ret_status,
				     pause_one, &paused);
}

static struct err *run_unpause(struct invocation *in, int *ret_status)
{
	const struct pause_flags *f = in->options;
	bool paused = false;

	return container_choice_each(in, &f->choice, CONTAINER_STATE(CONTAINER_PAUSED), true, ret_status,
				     pause_one, &paused);
}

static const struct flag flags[] = {CONTAINER_CHOICE_FLAGS(struct pause_flags, 'a', 'l'), {0}};

const struct command cmd_pause = {
	.name = "pause",
	.aliases = ALIASES("container pause"),
	.summary = "Freeze all processes of containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags = flags,
	.options_size = sizeof(struct pause_flags),
	.max_args = ARGS_UNLIMITED,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run_pause,
};

const struct command cmd_unpause = {
	.name = "unpause",
	.aliases = ALIASES("container unpause"),
	.summary = "Let the processes of paused containers go on",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags = flags,
	.options_size = sizeof(struct pause_flags),
	.max_args = ARGS_UNLIMITED,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run_unpause,
};
