// SPDX-License-Identifier: Apache-2.0
/* healthcheck run, as podman has it; monitors run it, too. */
#include <stdio.h>

#include "cli.h"
#include "commands.h"

static struct err *run(struct invocation *in, int *ret_status)
{
	_cleanup_container_ struct container *c = NULL;
	const char *status = NULL;
	struct engine *e;
	bool success;

	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	TRY(container_health_probe(e, c, &success, &status));
	if (!success)
		puts(status);
	*ret_status = success ? 0 : 1;
	return NULL;
}

const struct command cmd_healthcheck_run = {
	.name = "healthcheck run",
	.summary = "Run a container's health check now",
	.usage = "CONTAINER",
	.help = "Ends with 0 when the check succeeded; otherwise with 1, and the container's health is "
		"printed: starting, "
		"healthy (there were not enough failures in a row yet) or unhealthy. The result counts like "
		"those of the "
		"checks that run by themselves; `inspect` shows the last five.",
	.min_args = 1,
	.max_args = 1,
	.failure_status = 125,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run,
};
