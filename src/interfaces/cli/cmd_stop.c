// SPDX-License-Identifier: Apache-2.0
/* stop and restart. */
#include "base/process.h"
#include "cli.h"
#include "commands.h"
#include "container_choice.h"

struct stop_flags {
	struct container_choice choice;
	int64_t timeout;
	const char *signal;
	bool running;
};

static struct err *stop_one(struct engine *e, struct container *c, void *user)
{
	const struct stop_flags *f = user;
	return container_stop(e, c, (int)f->timeout, f->signal);
}

static struct err *run_stop(struct invocation *in, int *ret_status)
{
	const struct stop_flags *f = in->options;
	int signum;

	if (f->signal)
		TRY(signal_parse(f->signal, &signum));
	return container_choice_each(in, &f->choice, CONTAINER_STATES_UP, true, ret_status, stop_one,
				     in->options);
}

static struct err *restart_one(struct engine *e, struct container *c, void *user)
{
	const struct stop_flags *f = user;

	return container_restart(e, c, (int)f->timeout, f->signal);
}

static struct err *run_restart(struct invocation *in, int *ret_status)
{
	const struct stop_flags *f = in->options;
	int signum;

	if (f->signal)
		TRY(signal_parse(f->signal, &signum));
	return container_choice_each(in, &f->choice, f->running ? CONTAINER_STATES_UP : CONTAINER_STATES_ANY,
				     true, ret_status, restart_one, in->options);
}

/* What both have. */
#define STOP_FLAGS                                                                                 \
	CONTAINER_CHOICE_FLAGS(struct stop_flags, 'a', 'l'),                                       \
		{FLAG_STRING_FIELD(struct stop_flags, signal), .name = "signal", .letter = 's',    \
		 .help = "Signal to send (default: the container's own)"},                         \
		{FLAG_INT_FIELD(struct stop_flags, timeout),                                       \
		 .name = "timeout",                                                                \
		 .letter = 't',                                                                    \
		 .metavar = "seconds",                                                             \
		 .min = -1,                                                                        \
		 .max = INT32_MAX,                                                                 \
		 .help = "Seconds to wait before killing (default: the container's own, 10)"},     \
	{                                                                                          \
		FLAG_INT_FIELD(struct stop_flags, timeout), .name = "time", .traits = FLAG_HIDDEN, \
							    .min = -1, .max = INT32_MAX            \
	}

static const struct flag stop_flags[] = {STOP_FLAGS, {0}};
static const struct flag restart_flags[] = {
	STOP_FLAGS,
	{FLAG_BOOL_FIELD(struct stop_flags, running), .name = "running",
	 .help = "With --all: only those that run"},
	{0},
};

const struct command cmd_stop = {
	.name = "stop",
	.aliases = ALIASES("container stop"),
	.summary = "Stop running containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.help = "The program gets its stop signal (SIGTERM unless the image or --stop-signal says "
		"otherwise), and SIGKILL when it has not ended in "
		"time.",
	.flags = stop_flags,
	.options_size = sizeof(struct stop_flags),
	.defaults = &(const struct stop_flags){.timeout = -1},
	.max_args = ARGS_UNLIMITED,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run_stop,
};

const struct command cmd_restart = {
	.name = "restart",
	.aliases = ALIASES("container restart"),
	.summary = "Stop containers and start them again",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags = restart_flags,
	.options_size = sizeof(struct stop_flags),
	.defaults = &(const struct stop_flags){.timeout = -1},
	.max_args = ARGS_UNLIMITED,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run_restart,
};
