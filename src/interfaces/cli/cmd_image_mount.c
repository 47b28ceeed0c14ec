// SPDX-License-Identifier: Apache-2.0
/* image mount and unmount: podman's words. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"

struct image_mount_flags {
	bool all, force;
};

static const char *name_of(const struct image *image)
{
	return image->names && image->names[0] ? image->names[0] : "<none>";
}

static void print_mount(const struct image *image, const char *path)
{
	printf("%s %s\n", name_of(image), path);
}

/* For all images that are mounted. */
static struct err *each_mounted(struct err *(*f)(struct engine *e, const struct image *image,
						 const char *path, void *user),
				void *user)
{
	struct image **list = NULL;
	struct err *failed = NULL;
	struct engine *e;
	struct store *s;
	size_t n = 0;

	TRY(cli_engine(&e));
	TRY(cli_store(&s));
	TRY(store_list(s, &list, &n));
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *path = NULL;
		if (!failed && image_mounted(e, list[i], &path))
			failed = f(e, list[i], path, user);
		image_free(list[i]);
	}
	free(list);
	return failed;
}

static struct err *list_one(struct engine *e, const struct image *image, const char *path, void *user)
{
	print_mount(image, path);
	return NULL;
}

static struct err *unmount_one(struct engine *e, const struct image *image, const char *path, void *user)
{
	const struct image_mount_flags *f = user;

	TRY(image_unmount(e, image, f->force));
	puts(digest_hex(&image->id));
	return NULL;
}

/* One image of the arguments: what is wrong with it does not keep the others from it. */
static struct err *mount_named(struct invocation *in, const char *what, bool unmount)
{
	_cleanup_image_ struct image *image = NULL;
	_cleanup_free_ char *path = NULL;
	struct engine *e;
	struct store *s;

	TRY(cli_engine(&e));
	TRY(cli_store(&s));
	TRY(store_find(s, what, &image));
	if (unmount)
		return unmount_one(e, image, NULL, in->options);
	TRY(image_mount(e, image, &path));
	if (in->n_args == 1)
		puts(path);
	else
		print_mount(image, path);
	return NULL;
}

static struct err *each_named(struct invocation *in, bool unmount, int *ret_status)
{
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_err_ struct err *failed = mount_named(in, in->args[i], unmount);
		if (failed) {
			command_report(in, failed);
			*ret_status = 1;
		}
	}
	return NULL;
}

static struct err *run_mount(struct invocation *in, int *ret_status)
{
	return in->n_args ? each_named(in, false, ret_status) : each_mounted(list_one, NULL);
}

const struct command cmd_image_mount = {
	.name = "image mount",
	.summary = "Mount the root file systems of images on this machine, read-only",
	.usage = "[IMAGE...]",
	.help = "Prints where they are. Without an image those that are mounted are listed. An image cannot "
		"be "
		"removed while it is mounted.",
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run_mount,
};

static struct err *run_unmount(struct invocation *in, int *ret_status)
{
	const struct image_mount_flags *f = in->options;

	if (f->all == (in->n_args > 0))
		return usage_error(in, f->all ? "--all and names exclude each other" : "no image is named");
	return f->all ? each_mounted(unmount_one, in->options) : each_named(in, true, ret_status);
}

const struct command cmd_image_unmount = {
	.name = "image unmount",
	.aliases = ALIASES("image umount"),
	.summary = "Unmount what image mount has mounted",
	.usage = "[OPTIONS] IMAGE [IMAGE...]",
	.flags = (const struct flag[]){{FLAG_BOOL_FIELD(struct image_mount_flags, all), .name = "all",
					.letter = 'a', .help = "All of them"},
				       {FLAG_BOOL_FIELD(struct image_mount_flags, force), .name = "force",
					.letter = 'f', .help = "Also what is in use"},
				       {0}},
	.options_size = sizeof(struct image_mount_flags),
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run_unmount,
};
