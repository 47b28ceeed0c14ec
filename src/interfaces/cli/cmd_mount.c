// SPDX-License-Identifier: Apache-2.0
/* mount, unmount, system reset: podman's words. */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli.h"
#include "commands.h"

struct mount_flags {
	bool all, force, quiet;
};

static struct err *mount_one(struct engine *e, struct container *c, void *user)
{
	_cleanup_free_ char *path = NULL;

	(void)user;
	TRY(container_mount(e, c, &path));
	puts(path);
	return NULL;
}

static struct err *list_mounted(void)
{
	struct engine *e;
	struct container **list = NULL;
	size_t n = 0;

	TRY(cli_engine(&e));
	TRY(container_list(e, true, &list, &n));
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *path = NULL;
		if (container_mounted(e, list[i], &path))
			printf("%s %s\n", short_id(list[i]->id), path);
		container_free(list[i]);
	}
	free(list);
	return NULL;
}

static struct err *run_mount(struct invocation *in, int *ret_status)
{
	return in->n_args ? cli_each_container(in, false, ret_status, mount_one, NULL) : list_mounted();
}

const struct command cmd_mount = {
	.name = "mount",
	.aliases = ALIASES("container mount"),
	.summary = "Mount the root file systems of containers on this machine",
	.usage = "[CONTAINER...]",
	.help = "Prints where they are. Without a container those that are mounted are listed. `unmount` or "
		"the container's removal "
		"ends it.",
	.max_args = ARGS_UNLIMITED,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run_mount,
};

static struct err *unmount_one(struct engine *e, struct container *c, void *user)
{
	const struct mount_flags *f = user;
	return container_unmount(e, c->id, f->force);
}

static struct err *unmount_all(struct invocation *in, int *ret_status)
{
	struct engine *e;
	struct container **list = NULL;
	size_t n = 0;

	TRY(cli_engine(&e));
	TRY(container_list(e, true, &list, &n));
	for (size_t i = 0; i < n; i++) {
		bool mounted = container_mounted(e, list[i], NULL);
		_cleanup_err_ struct err *failed = mounted ? unmount_one(e, list[i], in->options) : NULL;
		if (failed) {
			command_report(in, failed);
			*ret_status = 1;
		} else if (mounted) {
			puts(list[i]->id);
		}
		container_free(list[i]);
	}
	free(list);
	return NULL;
}

static struct err *run_unmount(struct invocation *in, int *ret_status)
{
	const struct mount_flags *f = in->options;

	if (f->all == (in->n_args > 0))
		return usage_error(in,
				   f->all ? "--all and names exclude each other" : "no container is named");
	return f->all ? unmount_all(in, ret_status)
		      : cli_each_container(in, true, ret_status, unmount_one, in->options);
}

const struct command cmd_unmount = {
	.name = "unmount",
	.aliases = ALIASES("umount", "container unmount", "container umount"),
	.summary = "Unmount what `mount` has mounted",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags = (const struct flag[]){{FLAG_BOOL_FIELD(struct mount_flags, all), .name = "all",
					.letter = 'a', .help = "All of them"},
				       {FLAG_BOOL_FIELD(struct mount_flags, force), .name = "force",
					.letter = 'f', .help = "Also what is in use"},
				       {0}},
	.options_size = sizeof(struct mount_flags),
	.max_args = ARGS_UNLIMITED,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run_unmount,
};

/* -- system reset ------------------------------------------------------------------------------------------------ */

static struct err *run_reset(struct invocation *in, int *ret_status)
{
	const struct mount_flags *f = in->options;
	struct engine *e;

	(void)ret_status;
	if (!f->force &&
	    !cli_confirm(
		    "WARNING! This will remove all containers, pods, images, networks, volumes and secrets, "
		    "running or not."))
		return NULL;
	TRY(cli_engine(&e));
	return engine_reset(e);
}

const struct command cmd_system_reset = {
	.name = "system reset",
	.summary = "Remove everything that havre keeps",
	.usage = "[OPTIONS]",
	.flags = (const struct flag[]){{FLAG_BOOL_FIELD(struct mount_flags, force), .name = "force",
					.letter = 'f', .help = "Do not ask"},
				       {0}},
	.options_size = sizeof(struct mount_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_reset,
};

/* -- unshare ----------------------------------------------------------------------------------------------------- */

/* An ordinary user's command is root of the user's own namespace by now (program.c). */
static struct err *run_unshare(struct invocation *in, int *ret_status)
{
	_cleanup_free_ char *map = NULL;
	unsigned inside, outside, count;
	size_t size;

	(void)ret_status;
	TRY(file_read("/proc/self/uid_map", 4096, &map, &size));
	if (sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && inside == outside &&
	    count == UINT32_MAX)
		return err_new(ERR_INVALID,
			       "unshare is for ordinary users: root's containers share this machine's ids");
	char *const shell[] = {(char *)"/bin/sh", NULL};
	char *const *argv = in->n_args ? in->args : shell;
	cli_close();
	execvp(argv[0], argv);
	struct err *error = err_errno(errno, "cannot execute %s", argv[0]);
	return err_wrap_kind(error, ERR_EXEC, "unshare");
}

const struct command cmd_unshare = {
	.name = "unshare",
	.summary = "Run a command as root of the user's own namespace",
	.usage = "[COMMAND] [ARG...]",
	.help = "There the files of a user's containers have the owners that the containers see.",
	.examples = "# who owns what in the store\nPROGRAM unshare ls -ln ~/.local/share/havre",
	.max_args = ARGS_UNLIMITED,
	.traits = COMMAND_LOCAL | COMMAND_STOP_AT_ARGUMENT | COMMAND_EXEC_STATUS,
	.failure_status = 125,
	.run = run_unshare,
};
