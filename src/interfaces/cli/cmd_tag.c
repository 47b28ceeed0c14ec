// SPDX-License-Identifier: Apache-2.0
#include "cli.h"
#include "commands.h"

static struct err *run(struct invocation *in, int *ret_status)
{
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	_cleanup_image_ struct image *i = NULL;
	struct store *s;

	TRY(reference_parse(in->args[1], &name));
	if (digest_is_set(&name.digest))
		return err_new(ERR_INVALID, "cannot tag %s: a digest cannot be chosen", in->args[1]);
	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &i));
	return store_tag(s, i, &name);
}

const struct command cmd_tag = {
	.name = "tag",
	.aliases = ALIASES("image tag"),
	.summary = "Give an image another name",
	.usage = "IMAGE NAME[:TAG]",
	.min_args = 2,
	.max_args = 2,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run,
};
