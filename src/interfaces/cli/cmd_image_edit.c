// SPDX-License-Identifier: Apache-2.0
/* image unpack, repack and insert: umoci's verbs on the store's images, which are changed without running them. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "commands.h"
#include "edit_flags.h"

/* -- unpack ------------------------------------------------------------------------------------------------------ */

struct unpack_flags {
	const char *platform;
	bool quiet;
};

static struct err *run_unpack(struct invocation *in, int *ret_status)
{
	const struct unpack_flags *f = in->options;
	const char *path = in->args[1];
	_cleanup_fd_ int fd = -1;
	_cleanup_image_ struct image *image = NULL;
	struct engine *e;
	struct store *s;

	TRY(cli_engine(&e));
	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &image));
	bool made = mkdir(path, 0755) == 0;
	if (!made && errno != EEXIST)
		return err_errno(errno, "cannot make directory %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open directory %s", path);
	if (faccessat(fd, "rootfs", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	    faccessat(fd, "havre.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_new(ERR_EXISTS, "%s has a rootfs already; name a directory that is new or empty",
			       path);
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDERR_FILENO, PROGRESS_LOAD, f->quiet, NULL);
	interrupt_catch();
	struct err *error = engine_unpack_image(e, image, fd, progress_display_callbacks(display));
	interrupt_restore();
	progress_display_finish(display);
	if (!error)
		return NULL;
	/* Half a tree is of use to nobody. */
	static const char *const parts[] = {"rootfs", "havre.json", "config.json"};
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		err_free(file_remove_tree_at(fd, parts[i]));
	if (made)
		(void)rmdir(path);
	return err_wrap(error, "cannot unpack %s", in->args[0]);
}

const struct command cmd_image_unpack = {
	.name = "image unpack",
	.summary = "Unpack an image to a directory",
	.usage = "[OPTIONS] IMAGE DIRECTORY",
	.help = "The directory becomes an OCI bundle: rootfs with the image's files, and a config.json with "
		"which "
		"havre-runtime, runc or crun "
		"run it. havre image repack makes an image of what was changed in rootfs.",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct unpack_flags, quiet), .name = "quiet", .letter = 'q',
			 .help = "Show no progress"},
			{0},
		},
	.options_size = sizeof(struct unpack_flags),
	.min_args = 2,
	.max_args = 2,
	.args_values = "!images",
	.run = run_unpack,
};

/* -- repack ------------------------------------------------------------------------------------------------------ */

struct repack_flags {
	struct edit_flags edit;
	char **masked;
	bool no_mask_volumes, refresh;
};

/* "/var/cache/" is "var/cache". */
static void add_masked(char ***masked, const char *path)
{
	while (*path == '/')
		path++;
	char *clean = xstrdup(path);
	for (size_t n = strlen(clean); n > 0 && clean[n - 1] == '/'; n--)
		clean[n - 1] = '\0';
	strv_push_take(masked, clean);
}

/* What is in a volume is no part of the image. */
static struct err *mask_volumes(struct store *s, int fd, char ***masked)
{
	_cleanup_image_ struct image *image = NULL;
	struct json_cursor root, config, volumes, member;
	struct digest id;

	TRY(image_unpacked_from(fd, &id));
	TRY(store_find(s, id.s, &image));
	root = json_root(image->config);
	TRY(json_get_object(&root, "config", JSON_OPTIONAL, &config));
	if (!config.value)
		return NULL;
	TRY(json_get_object(&config, "Volumes", JSON_OPTIONAL, &volumes));
	struct json_iter it = json_iter(&volumes);
	while (json_next(&it, &member))
		add_masked(masked, member.key);
	return NULL;
}

static struct err *run_repack(struct invocation *in, int *ret_status)
{
	const struct repack_flags *f = in->options;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	_cleanup_strv_ char **masked = NULL;
	_cleanup_fd_ int fd = open(in->args[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct image_edit edit;
	struct digest id;
	struct store *s;

	if (fd < 0)
		return err_errno(errno, "cannot open directory %s", in->args[0]);
	TRY(edit_flags_parse(&f->edit, "havre image repack", &edit));
	if (in->n_args > 1) {
		TRY(reference_parse(in->args[1], &name));
		edit.name = &name;
	}
	TRY(cli_store(&s));
	STRV_FOREACH (path, f->masked)
		add_masked(&masked, *path);
	if (!f->no_mask_volumes)
		TRY_WRAP(mask_volumes(s, fd, &masked), "cannot repack %s", in->args[0]);
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDERR_FILENO, PROGRESS_LOAD, f->edit.quiet, NULL);
	edit.progress = progress_display_callbacks(display);
	interrupt_catch();
	struct err *e = image_repack(s, fd, masked, f->refresh, &edit, &id);
	interrupt_restore();
	progress_display_finish(display);
	return edit_print_result(e, "repack", in->args[0], &id);
}

const struct command cmd_image_repack = {
	.name = "image repack",
	.summary = "Make an image of what was changed in an unpacked one",
	.usage = "[OPTIONS] DIRECTORY [IMAGE[:TAG]]",
	.help = "The image is the one that was unpacked with one more layer. Without a change it is that "
		"one, by a new "
		"name. What is below the image's "
		"volumes is left out.",
	.flags =
		(const struct flag[]){
			EDIT_FLAGS(struct repack_flags),
			{FLAG_LIST_FIELD(struct repack_flags, masked), .name = "mask-path", .metavar = "path",
			 .help = "Leave out what was changed at or below a path of the image"},
			{FLAG_BOOL_FIELD(struct repack_flags, no_mask_volumes), .name = "no-mask-volumes",
			 .help = "Take what is in volumes, too"},
			{FLAG_BOOL_FIELD(struct repack_flags, refresh), .name = "refresh-bundle",
			 .help = "Let the directory stand for the new image from now on"},
			{0},
		},
	.options_size = sizeof(struct repack_flags),
	.min_args = 1,
	.max_args = 2,
	.run = run_repack,
};

/* -- insert ------------------------------------------------------------------------------------------------------ */

struct insert_flags {
	struct edit_flags edit;
	bool opaque, whiteout;
};

static struct err *run_insert(struct invocation *in, int *ret_status)
{
	const struct insert_flags *f = in->options;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	_cleanup_image_ struct image *image = NULL;
	struct image_insertion what = {.opaque = f->opaque};
	struct image_edit edit;
	struct digest id;
	struct store *s;

	if (f->whiteout && (f->opaque || in->n_args != 2))
		return err_new(ERR_INVALID,
			       "--whiteout removes: it takes IMAGE and TARGET, and nothing is opaque then");
	if (!f->whiteout && in->n_args != 3)
		return err_new(ERR_INVALID, "insert needs IMAGE, SOURCE and TARGET");
	what.source = f->whiteout ? NULL : in->args[1];
	what.target = in->args[f->whiteout ? 1 : 2];
	TRY(edit_flags_parse(&f->edit, "havre image insert", &edit));
	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &image));
	TRY(edit_choose_name(f->edit.tag, image, in->args[0], &name));
	edit.name = name.domain ? &name : NULL;
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDERR_FILENO, PROGRESS_LOAD, f->edit.quiet, NULL);
	edit.progress = progress_display_callbacks(display);
	interrupt_catch();
	struct err *e = image_insert(s, image, &what, &edit, &id);
	interrupt_restore();
	progress_display_finish(display);
	return edit_print_result(e, "insert into", in->args[0], &id);
}

const struct command cmd_image_insert = {
	.name = "image insert",
	.summary = "Put a file or directory into an image, or take one out",
	.usage = "[OPTIONS] IMAGE [SOURCE] TARGET",
	.help = "The new image has one more layer, and the old one's name unless --tag gives another. What "
		"is removed "
		"or replaced stays in the "
		"layers below: secrets are not got rid of like this.",
	.flags =
		(const struct flag[]){
			EDIT_FLAGS(struct insert_flags),
			{FLAG_BOOL_FIELD(struct insert_flags, opaque), .name = "opaque",
			 .help = "Hide what the image has below the target directory"},
			{FLAG_STRING_FIELD(struct insert_flags, edit.tag), .name = "tag", .metavar = "image",
			 .help = "Name of the new image"},
			{FLAG_BOOL_FIELD(struct insert_flags, whiteout), .name = "whiteout",
			 .help = "Remove the target"},
			{0},
		},
	.options_size = sizeof(struct insert_flags),
	.min_args = 2,
	.max_args = 3,
	.args_values = "!images",
	.run = run_insert,
};
