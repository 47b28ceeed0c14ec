// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli.h"
#include "commands.h"

struct rmi_flags {
	bool force, no_prune;
};

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct rmi_flags *f = in->options;
	struct engine *e;

	TRY(cli_engine(&e));
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_strv_ char **lines = NULL;
		_cleanup_err_ struct err *failed = engine_remove_image(e, in->args[i], f->force, &lines);
		STRV_FOREACH (l, lines)
			puts(*l);
		if (!failed)
			continue;
		command_report(in, failed);
		if (!f->force || failed->kind != ERR_NOT_FOUND)
			*ret_status = 1;
	}
	return NULL;
}

const struct command cmd_rmi = {
	.name = "rmi",
	.aliases = ALIASES("image rm", "image remove"),
	.summary = "Remove images",
	.usage = "[OPTIONS] IMAGE [IMAGE...]",
	.help = "A name is removed; with its last name the image and the layers that no other image needs "
		"are removed too.",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct rmi_flags, force), .name = "force", .letter = 'f',
			 .help = "Remove it although containers were made from it"},
			{FLAG_BOOL_FIELD(struct rmi_flags, no_prune), .name = "no-prune",
			 .traits = FLAG_HIDDEN},
			{0},
		},
	.options_size = sizeof(struct rmi_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run,
};
