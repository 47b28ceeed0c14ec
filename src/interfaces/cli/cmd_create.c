// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "commands.h"
#include "make.h"

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct create_options *o = in->options;
	struct container_spec s = {0};
	struct engine *e;
	_cleanup_container_ struct container *c = NULL;

	struct err *failed = create_spec(o, in->args, &s);
	if (!failed && o->interactive)
		s.stdin_once = true;
	if (!failed)
		failed = cli_engine(&e);
	if (!failed)
		failed = make_container(e, o, &s, &c);
	if (!failed)
		puts(c->id);
	container_spec_release(&s);
	return failed;
}

const struct command cmd_create = {
	.name = "create",
	.aliases = ALIASES("container create"),
	.summary = "Make a container without starting it",
	.usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	.examples = "# make it now, start it later\nPROGRAM create --name job debian sleep 10\nPROGRAM start "
		    "-a job",
	.more_flags = create_flags,
	.options_size = sizeof(struct create_options),
	.defaults = &(const struct create_options){CREATE_OPTIONS_DEFAULT},
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_LOCAL | COMMAND_STOP_AT_ARGUMENT,
	.failure_status = 125,
	.run = run,
};
