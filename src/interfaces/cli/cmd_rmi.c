// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "commands.h"

struct rmi_flags {
	bool all, force, no_prune;
};

static void remove_one(struct invocation *in, struct engine *e, const char *what, int *ret_status)
{
	const struct rmi_flags *f = in->options;
	_cleanup_strv_ char **lines = NULL;
	_cleanup_err_ struct err *failed = engine_remove_image(e, what, f->force, &lines);

	STRV_FOREACH (l, lines)
		puts(*l);
	if (!failed)
		return;
	command_report(in, failed);
	if (!f->force || failed->kind != ERR_NOT_FOUND)
		*ret_status = 1;
}

/* Name by name, since an image of several is not removed by its id without force. */
static struct err *remove_all(struct invocation *in, struct engine *e, int *ret_status)
{
	struct image **list = NULL;
	struct store *s;
	size_t n = 0;

	TRY(cli_store(&s));
	TRY(store_list(s, &list, &n));
	for (size_t i = 0; i < n; i++) {
		STRV_FOREACH (name, list[i]->names)
			remove_one(in, e, *name, ret_status);
		if (strv_len(list[i]->names) == 0)
			remove_one(in, e, list[i]->id.s, ret_status);
		image_free(list[i]);
	}
	free(list);
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct rmi_flags *f = in->options;
	struct engine *e;

	if (f->all == (in->n_args > 0))
		return usage_error(in, f->all ? "--all and names exclude each other" : "no image is named");
	TRY(cli_engine(&e));
	if (f->all)
		return remove_all(in, e, ret_status);
	for (size_t i = 0; i < in->n_args; i++)
		remove_one(in, e, in->args[i], ret_status);
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
			{FLAG_BOOL_FIELD(struct rmi_flags, all), .name = "all", .letter = 'a',
			 .help = "Remove all images"},
			{FLAG_BOOL_FIELD(struct rmi_flags, force), .name = "force", .letter = 'f',
			 .help = "Remove it although containers were made from it"},
			{FLAG_BOOL_FIELD(struct rmi_flags, no_prune), .name = "no-prune",
			 .traits = FLAG_HIDDEN},
			{0},
		},
	.options_size = sizeof(struct rmi_flags),
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run,
};
