// SPDX-License-Identifier: Apache-2.0
/* system service: becomes havred, the program beside this one, with the same directories. */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"

struct service_flags {
	char **hosts;
	const char *group;
};

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct service_flags *f = in->options;
	_cleanup_strv_ char **args = NULL;
	_cleanup_free_ char *path = NULL;

	TRY(engine_program_path(NULL, "havred", &path));
	strv_push(&args, "havred");
	cli_global_arguments(&args);
	STRV_FOREACH (h, f->hosts) {
		strv_push(&args, "--host");
		strv_push(&args, *h);
	}
	if (in->args[0]) { /* podman's form */
		strv_push(&args, "--host");
		strv_push(&args, in->args[0]);
	}
	if (f->group) {
		strv_push(&args, "--group");
		strv_push(&args, f->group);
	}
	execv(path, args);
	return err_errno(errno, "cannot start the service %s", path);
}

const struct command cmd_system_service = {
	.name = "system service",
	.summary = "Serve docker's API for docker's client and other programs",
	.usage = "[OPTIONS] [URI]",
	.examples = "# docker's own client on havre's containers\nPROGRAM system service "
		    "unix:///tmp/havre.sock &\n"
		    "# then\nDOCKER_HOST=unix:///tmp/havre.sock docker ps",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct service_flags, group), .name = "group", .letter = 'G',
			 .metavar = "group", .help = "Group that may connect (docker, where there is one)"},
			{FLAG_LIST_FIELD(struct service_flags, hosts), .name = "host", .letter = 'H',
			 .metavar = "uri",
			 .help = "Where to listen: unix:///PATH, or fd:// for sockets from systemd"},
			{0},
		},
	.options_size = sizeof(struct service_flags),
	.max_args = 1,
	.traits = COMMAND_LOCAL,
	.run = run,
};
