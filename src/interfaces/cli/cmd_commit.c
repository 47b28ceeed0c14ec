// SPDX-License-Identifier: Apache-2.0
/* diff, commit and export: what a container has written. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "cli.h"
#include "commands.h"
#include "images/snapshot.h"

/* -- diff -------------------------------------------------------------------------------------------------------- */

static struct err *run_diff(struct invocation *in, int *ret_status)
{
	_cleanup_container_ struct container *c = NULL;
	struct snapshot_change *list;
	struct engine *e;
	size_t n;

	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	TRY(container_changes(e, c, &list, &n));
	for (size_t i = 0; i < n; i++) {
		/* A terminal is not to be commanded by file names. */
		if (isatty(STDOUT_FILENO))
			str_hide_controls(list[i].path);
		printf("%c %s\n", (char)list[i].kind, list[i].path);
	}
	snapshot_changes_free(list, n);
	return NULL;
}

const struct command cmd_diff = {
	.name = "diff",
	.aliases = ALIASES("container diff"),
	.summary = "Show which files a container has changed",
	.usage = "CONTAINER",
	.help = "A: added. C: changed, or a directory with changes. D: deleted. Volumes and other mounts are "
		"no "
		"part of it.",
	.min_args = 1,
	.max_args = 1,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run_diff,
};

/* -- commit ------------------------------------------------------------------------------------------------------ */

struct commit_flags {
	const char *author, *message;
	char **changes;
	bool no_pause, pause, quiet;
};

static struct err *run_commit(struct invocation *in, int *ret_status)
{
	const struct commit_flags *f = in->options;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	_cleanup_container_ struct container *c = NULL;
	struct engine *e;
	struct digest id;

	if (in->n_args > 1) {
		TRY(reference_parse(in->args[1], &name));
		if (digest_is_set(&name.digest))
			return err_new(ERR_INVALID, "%s: a new image cannot be given a digest", in->args[1]);
	}
	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDERR_FILENO, PROGRESS_LOAD, f->quiet, NULL);
	const struct container_commit_options o = {
		.name = in->n_args > 1 ? &name : NULL,
		.author = f->author,
		.message = f->message,
		.changes = f->changes,
		.pause = f->pause && !f->no_pause,
		.progress = progress_display_callbacks(display),
	};
	interrupt_catch();
	struct err *error = container_commit(e, c, &o, &id);
	interrupt_restore();
	progress_display_finish(display);
	TRY_WRAP(error, "cannot commit container %s", c->name);
	puts(id.s);
	return NULL;
}

const struct command cmd_commit = {
	.name = "commit",
	.aliases = ALIASES("container commit"),
	.summary = "Make an image of what a container has changed",
	.usage = "[OPTIONS] CONTAINER [IMAGE[:TAG]]",
	.help = "The image is the container's image with one more layer and the container's configuration. "
		"Volumes and other mounts are no "
		"part of it. With SOURCE_DATE_EPOCH in the environment no time is later than that, and the "
		"same "
		"changes give the same image.\n\n"
		"Instructions for --change: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, "
		"STOPSIGNAL, USER, VOLUME, WORKDIR.",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct commit_flags, author), .name = "author", .letter = 'a',
			 .metavar = "name", .help = "Who made it (\"Ada <ada@example.com>\")"},
			{FLAG_LIST_FIELD(struct commit_flags, changes), .name = "change", .letter = 'c',
			 .metavar = "instruction",
			 .help = "Apply a Dockerfile instruction to the image's configuration"},
			{FLAG_STRING_FIELD(struct commit_flags, message), .name = "message", .letter = 'm',
			 .metavar = "text", .help = "Comment for the image's history"},
			{FLAG_BOOL_FIELD(struct commit_flags, no_pause), .name = "no-pause",
			 .help = "Let the container run meanwhile; files may be half written"},
			{FLAG_BOOL_FIELD(struct commit_flags, pause), .name = "pause", .letter = 'p',
			 .help = "Freeze the container meanwhile (default)"},
			{FLAG_BOOL_FIELD(struct commit_flags, quiet), .name = "quiet", .letter = 'q',
			 .help = "Show no progress"},
			{0},
		},
	.options_size = sizeof(struct commit_flags),
	.defaults = &(const struct commit_flags){.pause = true},
	.min_args = 1,
	.max_args = 2,
	.args_values = "!containers",
	.run = run_commit,
};

/* -- export ------------------------------------------------------------------------------------------------------ */

struct export_flags {
	const char *output;
};

struct export_job {
	struct engine *engine;
	struct container *container;
};

static struct err *export(void *user, int fd)
{
	const struct export_job *job = user;

	return container_export(job->engine, job->container, fd);
}

static struct err *run_export(struct invocation *in, int *ret_status)
{
	const struct export_flags *f = in->options;
	_cleanup_container_ struct container *c = NULL;
	struct engine *e;

	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	struct export_job job = {e, c};
	TRY_WRAP(cli_write_output(f->output, export, &job), "cannot export container %s", c->name);
	return NULL;
}

const struct command cmd_export = {
	.name = "export",
	.aliases = ALIASES("container export"),
	.summary = "Write a container's whole file system to a tar",
	.usage = "[OPTIONS] CONTAINER",
	.help = "Volumes and other mounts are no part of it. havre import makes an image of the tar. The "
		"same files "
		"give the same bytes.",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct export_flags, output), .name = "output", .letter = 'o',
			 .metavar = "file", .help = "Write to a file, not standard output",
			 .values = "@file"},
			{0},
		},
	.options_size = sizeof(struct export_flags),
	.min_args = 1,
	.max_args = 1,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run_export,
};
