// SPDX-License-Identifier: Apache-2.0
/* What makes containers survive the machine's restart: system start, and the unit that runs it. */
#include <stdio.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"

struct starting {
	const struct invocation *in;
	bool failed;
};

static struct err *started(void *user, struct container *c, struct err *failed)
{
	struct starting *s = user;

	if (failed) { /* the others do not suffer for it */
		_cleanup_err_ struct err *e = err_wrap(failed, "container %s", c->name);
		command_report(s->in, e);
		s->failed = true;
	} else {
		puts(c->name);
		fflush(stdout);
	}
	return NULL;
}

static struct err *run_start(struct invocation *in, int *ret_status)
{
	struct starting s = {.in = in};
	struct engine *e;

	TRY(cli_engine(&e));
	TRY(engine_start_due(e, started, &s));
	*ret_status = s.failed;
	return NULL;
}

const struct command cmd_system_start = {
	.name = "system start",
	.summary = "Start the containers whose restart policy wants them running",
	.help = "To be run when the machine has started; `generate systemd` prints a unit that does. "
		"Containers with the policy "
		"always are started, those with unless-stopped unless they were stopped by hand, and those "
		"with on-failure or "
		"on-unhealthy when their last end was no success, as that of a shutdown is not. Names are "
		"printed, the oldest "
		"container's first.",
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_start,
};

static struct err *run_generate(struct invocation *in, int *ret_status)
{
	_cleanup_free_ char *program = NULL;

	TRY(engine_program_path(NULL, NULL, &program));
	printf("# To install: %s generate systemd > /etc/systemd/system/havre.service && systemctl enable "
	       "havre.service\n"
	       "[Unit]\n"
	       "Description=Containers of havre with a restart policy\n"
	       "Documentation=man:havre-system-start(1)\n"
	       "Wants=network-online.target\n"
	       "After=network-online.target local-fs.target\n"
	       "RequiresMountsFor=/var/lib/havre\n"
	       "\n"
	       "[Service]\n"
	       "Type=oneshot\n"
	       "RemainAfterExit=yes\n"
	       "ExecStart=%s system start\n"
	       "TimeoutStartSec=0\n"
	       "Delegate=yes\n"
	       "# The monitors of containers outlive a stop of this unit.\n"
	       "KillMode=process\n"
	       "\n"
	       "[Install]\n"
	       "WantedBy=multi-user.target\n",
	       program, program);
	return NULL;
}

const struct command cmd_generate_systemd = {
	.name = "generate systemd",
	.summary = "Print a systemd unit that starts containers with the machine",
	.help = "The unit runs `system start` once at each start of the machine, so that containers with a "
		"restart policy come back. "
		"One unit serves them all.",
	.examples = "# for the whole machine\nPROGRAM generate systemd > /etc/systemd/system/havre.service\n"
		    "# and switch it on\nsystemctl enable havre.service",
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_generate,
};

static struct err *run_revive(struct invocation *in, int *ret_status)
{
	struct engine *e;

	TRY(cli_engine(&e));
	return container_revive(e, in->args[0]);
}

/* What a monitor runs, with its lock as fd 3, when the restart policy wants the container running. */
const struct command cmd_revive = {
	.name = "container revive",
	.summary = "Start a container anew whose restart is due",
	.usage = "ID",
	.min_args = 1,
	.max_args = 1,
	.traits = COMMAND_LOCAL | COMMAND_HIDDEN,
	.run = run_revive,
};
