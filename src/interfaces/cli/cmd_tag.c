// SPDX-License-Identifier: Apache-2.0
/* tag, and podman's untag and image exists. */
#include "base/memory.h"
#include "cli.h"
#include "commands.h"

static struct err *parse_name(const char *text, struct reference *ret)
{
	TRY(reference_parse(text, ret));
	if (digest_is_set(&ret->digest))
		return err_new(ERR_INVALID, "cannot tag %s: a digest cannot be chosen", text);
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	_cleanup_image_ struct image *image = NULL;
	struct store *s;

	/* All are good names, or nothing happens. */
	for (size_t i = 1; i < in->n_args; i++) {
		_cleanup_reference_ struct reference name = REFERENCE_NONE;
		TRY(parse_name(in->args[i], &name));
	}
	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &image));
	for (size_t i = 1; i < in->n_args; i++) {
		_cleanup_reference_ struct reference name = REFERENCE_NONE;
		TRY(parse_name(in->args[i], &name));
		TRY(store_tag(s, image, &name));
	}
	return NULL;
}

const struct command cmd_tag = {
	.name = "tag",
	.aliases = ALIASES("image tag"),
	.summary = "Give an image another name",
	.usage = "IMAGE NAME[:TAG] [NAME[:TAG]...]",
	.min_args = 2,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run,
};

/* -- untag ------------------------------------------------------------------------------------------------------- */

static struct err *run_untag(struct invocation *in, int *ret_status)
{
	_cleanup_image_ struct image *image = NULL;
	struct store *s;

	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &image));
	char *const *names = in->n_args > 1 ? in->args + 1 : image->names;
	size_t n = in->n_args > 1 ? in->n_args - 1 : strv_len(image->names);
	for (size_t i = 0; i < n; i++) {
		_cleanup_reference_ struct reference name = REFERENCE_NONE;
		TRY(reference_parse(names[i], &name));
		TRY(store_untag(s, image, &name));
	}
	return NULL;
}

const struct command cmd_untag = {
	.name = "untag",
	.aliases = ALIASES("image untag"),
	.summary = "Take names from an image, which stays",
	.usage = "IMAGE [NAME[:TAG]...]",
	.help = "Without a name all of them. rmi removes the image with its last name.",
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run_untag,
};

/* -- image exists ------------------------------------------------------------------------------------------------ */

static struct err *run_exists(struct invocation *in, int *ret_status)
{
	_cleanup_image_ struct image *image = NULL;
	struct store *s;

	TRY(cli_store(&s));
	struct err *failed = store_find(s, in->args[0], &image);
	if (!failed || failed->kind != ERR_NOT_FOUND)
		return failed;
	err_free(failed);
	*ret_status = 1;
	return NULL;
}

const struct command cmd_image_exists = {
	.name = "image exists",
	.summary = "Say by the exit status whether an image is here",
	.usage = "IMAGE",
	.help = "0: it is here. 1: it is not.",
	.min_args = 1,
	.max_args = 1,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run_exists,
};
