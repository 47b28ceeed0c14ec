// SPDX-License-Identifier: Apache-2.0
/* volume export, import, clone, rename, exists: what podman and havre add to docker's volume commands. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "cli.h"
#include "commands.h"

struct export_flags {
	const char *output;
};

struct source {
	struct engine *engine;
	const char *name;
};

static struct err *write_export(void *user, int fd)
{
	const struct source *s = user;
	return volume_export(s->engine, s->name, fd);
}

static struct err *run_export(struct invocation *in, int *ret_status)
{
	const struct export_flags *f = in->options;
	struct source s = {.name = in->args[0]};

	(void)ret_status;
	TRY(cli_engine(&s.engine));
	return cli_write_output(f->output, write_export, &s);
}

const struct command cmd_volume_export = {
	.name = "volume export",
	.summary = "Write a volume's data to a tar",
	.usage = "[OPTIONS] VOLUME",
	.examples = "# a backup\nPROGRAM volume export -o data.tar data",
	.flags = (const struct flag[]){{FLAG_STRING_FIELD(struct export_flags, output), .name = "output",
					.letter = 'o', .metavar = "file",
					.help = "Write to a file (standard output)", .values = "@file"},
				       {0}},
	.options_size = sizeof(struct export_flags),
	.min_args = 1,
	.max_args = 1,
	.args_values = "!volumes",
	.traits = COMMAND_LOCAL,
	.run = run_export,
};

static struct err *run_import(struct invocation *in, int *ret_status)
{
	_cleanup_fd_ int fd = -1;
	struct engine *e;
	int from = STDIN_FILENO;

	(void)ret_status;
	if (!str_eq(in->args[1], "-")) {
		fd = open(in->args[1], O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_errno(errno, "cannot open %s", in->args[1]);
		from = fd;
	}
	TRY(cli_engine(&e));
	return volume_import(e, in->args[0], from);
}

/* Not local: the tar may be compressed. */
const struct command cmd_volume_import = {
	.name = "volume import",
	.summary = "Put the files of a tar into a volume",
	.usage = "VOLUME FILE|-",
	.help = "Files of the volume stay, unless the tar has their names.",
	.min_args = 2,
	.max_args = 2,
	.args_values = "!volumes",
	.run = run_import,
};

static struct err *run_clone(struct invocation *in, int *ret_status)
{
	struct engine *e;

	(void)ret_status;
	TRY(cli_engine(&e));
	TRY(volume_clone(e, in->args[0], in->args[1]));
	puts(in->args[1]);
	return NULL;
}

const struct command cmd_volume_clone = {
	.name = "volume clone",
	.summary = "Copy a volume's data to a new volume",
	.usage = "VOLUME NEW",
	.help = "The copy is there as a whole or not at all. What containers write meanwhile may be in it or "
		"not.",
	.min_args = 2,
	.max_args = 2,
	.args_values = "!volumes",
	.traits = COMMAND_LOCAL,
	.run = run_clone,
};

static struct err *run_rename(struct invocation *in, int *ret_status)
{
	struct engine *e;

	(void)ret_status;
	TRY(cli_engine(&e));
	return volume_rename(e, in->args[0], in->args[1]);
}

const struct command cmd_volume_rename = {
	.name = "volume rename",
	.summary = "Give a volume that no container has another name",
	.usage = "VOLUME NEW",
	.min_args = 2,
	.max_args = 2,
	.args_values = "!volumes",
	.traits = COMMAND_LOCAL,
	.run = run_rename,
};

static struct err *run_exists(struct invocation *in, int *ret_status)
{
	struct volume v = {0};
	struct engine *e;

	TRY(cli_engine(&e));
	struct err *error = volume_find(e, in->args[0], &v);
	volume_release(&v);
	if (!error || error->kind != ERR_NOT_FOUND)
		return error;
	err_free(error);
	*ret_status = 1;
	return NULL;
}

const struct command cmd_volume_exists = {
	.name = "volume exists",
	.summary = "Answer by the exit status whether a volume exists",
	.usage = "VOLUME",
	.min_args = 1,
	.max_args = 1,
	.args_values = "!volumes",
	.traits = COMMAND_LOCAL,
	.run = run_exists,
};
