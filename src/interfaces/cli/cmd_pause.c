// SPDX-License-Identifier: Apache-2.0
/* pause and unpause. */
#include "cli.h"
#include "commands.h"

static struct err *pause_one(struct engine *e, struct container *c, void *user)
{
	return container_pause(e, c, *(const bool *)user);
}

static struct err *run_pause(struct invocation *in, int *ret_status)
{
	bool paused = true;
	return cli_each_container(in, true, ret_status, pause_one, &paused);
}

static struct err *run_unpause(struct invocation *in, int *ret_status)
{
	bool paused = false;
	return cli_each_container(in, true, ret_status, pause_one, &paused);
}

const struct command cmd_pause = {
	.name = "pause",
	.aliases = ALIASES("container pause"),
	.summary = "Freeze all processes of containers",
	.usage = "CONTAINER [CONTAINER...]",
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run_pause,
};

const struct command cmd_unpause = {
	.name = "unpause",
	.aliases = ALIASES("container unpause"),
	.summary = "Let the processes of paused containers go on",
	.usage = "CONTAINER [CONTAINER...]",
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run_unpause,
};
