// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include "base/process.h"
#include "cli.h"
#include "commands.h"
#include "container_choice.h"

struct kill_flags {
	struct container_choice choice;
	const char *signal;
};

static struct err *kill_one(struct engine *e, struct container *c, void *user)
{
	return container_kill(e, c, *(int *)user);
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct kill_flags *f = in->options;
	int signum;

	TRY(signal_parse(f->signal, &signum));
	return container_choice_each(in, &f->choice,
				     CONTAINER_STATE(CONTAINER_RUNNING) | CONTAINER_STATE(CONTAINER_PAUSED),
				     true, ret_status, kill_one, &signum);
}

const struct command cmd_kill = {
	.name = "kill",
	.aliases = ALIASES("container kill"),
	.summary = "Send a signal to running containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags =
		(const struct flag[]){
			CONTAINER_CHOICE_FLAGS(struct kill_flags, 'a', 'l'),
			{FLAG_STRING_FIELD(struct kill_flags, signal), .name = "signal", .letter = 's',
			 .help = "Signal to send (SIGKILL)",
			 .values = "KILL TERM INT HUP QUIT USR1 USR2 STOP CONT"},
			{0},
		},
	.options_size = sizeof(struct kill_flags),
	.defaults = &(const struct kill_flags){.signal = "KILL"},
	.max_args = ARGS_UNLIMITED,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run,
};
