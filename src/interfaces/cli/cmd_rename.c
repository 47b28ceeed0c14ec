// SPDX-License-Identifier: Apache-2.0
#include "cli.h"
#include "commands.h"

static struct err *run(struct invocation *in, int *ret_status)
{
	struct engine *e;
	_cleanup_container_ struct container *c = NULL;

	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	return container_rename(e, c, in->args[1]);
}

const struct command cmd_rename = {
	.name = "rename",
	.aliases = ALIASES("container rename"),
	.summary = "Give a container another name",
	.usage = "CONTAINER NEW_NAME",
	.min_args = 2,
	.max_args = 2,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run,
};
