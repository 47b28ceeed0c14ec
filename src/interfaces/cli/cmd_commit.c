// SPDX-License-Identifier: Apache-2.0
/* diff, commit and export: what a container has written; image unpack, repack, insert and config: images changed without running them,
 * umoci's verbs on the store's images. */
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
#include "images/edit.h"
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

/* -- changed images ---------------------------------------------------------------------------------------------- */

/* What repack, insert and config have in common. */
struct edit_flags {
	const char *tag, *author, *comment, *created, *created_by;
	bool no_history, quiet;
};

#define EDIT_FLAGS(type)                                                                                    \
	{FLAG_STRING_FIELD(type, edit.author), .name = "history.author", .metavar = "name",                 \
	 .help = "Author of the step in the image's history"},                                              \
		{FLAG_STRING_FIELD(type, edit.comment), .name = "history.comment", .metavar = "text",       \
		 .help = "Comment of the step"},                                                            \
		{FLAG_STRING_FIELD(type, edit.created), .name = "history.created", .metavar = "time",       \
		 .help = "Time of the step (RFC 3339); default: SOURCE_DATE_EPOCH, or now"},                \
		{FLAG_STRING_FIELD(type, edit.created_by), .name = "history.created_by", .metavar = "text", \
		 .help = "What made the step"},                                                             \
		{FLAG_BOOL_FIELD(type, edit.no_history), .name = "no-history",                              \
		 .help = "Add no step to the history"},                                                     \
	{                                                                                                   \
		FLAG_BOOL_FIELD(type, edit.quiet), .name = "quiet", .letter = 'q',                          \
						   .help = "Show no progress"                               \
	}

static struct err *parse_edit(const struct edit_flags *f, const char *created_by, struct image_edit *ret)
{
	*ret = (struct image_edit){
		.author = f->author,
		.comment = f->comment,
		.created_by = f->created_by ? f->created_by : created_by,
		.created_ns = INT64_MIN,
		.no_history = f->no_history,
	};
	return f->created ? timestamp_parse(f->created, &ret->created_ns) : NULL;
}

/* The new image takes the name that was given, or else that of the old one, unless that was no name. */
static struct err *choose_name(const char *tag, const struct image *image, const char *what,
			       struct reference *name)
{
	struct err *e = reference_parse(tag ? tag : what, name);

	if (tag) {
		TRY(e);
		return digest_is_set(&name->digest)
			       ? err_new(ERR_INVALID, "%s: a new image cannot be given a digest", tag)
			       : NULL;
	}
	_cleanup_free_ char *canonical = e ? NULL : reference_string(name);
	if (!e && !digest_is_set(&name->digest) && strv_contains(image->names, canonical))
		return NULL;
	err_free(e);
	reference_release(name);
	*name = REFERENCE_NONE;
	return NULL;
}

static struct err *print_result(struct err *e, const char *verb, const char *what, const struct digest *id)
{
	TRY_WRAP(e, "cannot %s %s", verb, what);
	puts(id->s);
	return NULL;
}

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
	TRY(parse_edit(&f->edit, "havre image repack", &edit));
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
	return print_result(e, "repack", in->args[0], &id);
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
	TRY(parse_edit(&f->edit, "havre image insert", &edit));
	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &image));
	TRY(choose_name(f->edit.tag, image, in->args[0], &name));
	edit.name = name.domain ? &name : NULL;
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDERR_FILENO, PROGRESS_LOAD, f->edit.quiet, NULL);
	edit.progress = progress_display_callbacks(display);
	interrupt_catch();
	struct err *e = image_insert(s, image, &what, &edit, &id);
	interrupt_restore();
	progress_display_finish(display);
	return print_result(e, "insert into", in->args[0], &id);
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

/* -- config ------------------------------------------------------------------------------------------------------ */

struct config_flags {
	struct edit_flags edit;
	char **changes, **ports, **env, **entrypoint, **cmd, **volumes, **labels, **annotations, **clear;
	const char *user, *workdir, *stop_signal, *created, *author, *architecture, *os;
};

/* A word between double quotes, as instructions have it. */
static void add_quoted(char ***changes, const char *instruction, const char *value)
{
	_cleanup_strbuf_ struct strbuf line = {0};

	strbuf_printf(&line, "%s \"", instruction);
	for (const char *c = value; *c; c++) {
		if (strchr("\"\\$", *c))
			strbuf_putc(&line, '\\');
		strbuf_putc(&line, *c);
	}
	strbuf_putc(&line, '"');
	strv_push_take(changes, strbuf_take(&line));
}

static void add_all(char ***changes, const char *instruction, char *const *values)
{
	STRV_FOREACH (value, values)
		add_quoted(changes, instruction, *value);
}

static void add_plain(char ***changes, const char *instruction, const char *value)
{
	if (value)
		strv_push_take(changes, xasprintf("%s %s", instruction, value));
}

static struct err *parse_clear(char *const *list, char ***keys, bool *annotations)
{
	static const char *const names[][2] = {
		{"config.labels", "Labels"},
		{"config.env", "Env"},
		{"config.exposedports", "ExposedPorts"},
		{"config.volume", "Volumes"},
		{"config.entrypoint", "Entrypoint"},
		{"config.cmd", "Cmd"},
		{"config.user", "User"},
		{"config.workingdir", "WorkingDir"},
		{"config.stopsignal", "StopSignal"},
	};

	STRV_FOREACH (name, list) {
		bool known = str_eq(*name, "manifest.annotations");
		*annotations |= known;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			if (!str_eq(*name, names[i][0]))
				continue;
			strv_push(keys, names[i][1]);
			known = true;
		}
		if (!known)
			return err_new(
				ERR_INVALID,
				"--clear %s: there are config.labels, config.env, config.exposedports, "
				"config.volume, config.entrypoint, config.cmd, config.user, "
				"config.workingdir, config.stopsignal and manifest.annotations",
				*name);
	}
	return NULL;
}

static struct err *run_config(struct invocation *in, int *ret_status)
{
	const struct config_flags *f = in->options;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	_cleanup_image_ struct image *image = NULL;
	_cleanup_strv_ char **changes = NULL, **clear = NULL;
	struct image_config_edit c = {.author = f->author,
				      .architecture = f->architecture,
				      .os = f->os,
				      .created = f->created,
				      .cmd = f->cmd,
				      .entrypoint = f->entrypoint,
				      .annotations = f->annotations};
	struct image_edit edit;
	struct digest id;
	struct store *s;
	int64_t ignored;

	if (f->created)
		TRY_WRAP(timestamp_parse(f->created, &ignored), "--created");
	TRY(parse_clear(f->clear, &clear, &c.clear_annotations));
	add_plain(&changes, "USER", f->user);
	add_plain(&changes, "WORKDIR", f->workdir);
	add_plain(&changes, "STOPSIGNAL", f->stop_signal);
	add_all(&changes, "EXPOSE", f->ports);
	add_all(&changes, "ENV", f->env);
	add_all(&changes, "VOLUME", f->volumes);
	add_all(&changes, "LABEL", f->labels);
	STRV_FOREACH (change, f->changes)
		strv_push(&changes, *change);
	c.changes = changes;
	c.clear = clear;
	TRY(parse_edit(&f->edit, "havre image config", &edit));
	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &image));
	TRY(choose_name(f->edit.tag, image, in->args[0], &name));
	edit.name = name.domain ? &name : NULL;
	return print_result(image_configure(s, image, &c, &edit, &id), "configure", in->args[0], &id);
}

#define TEXT(field, flag, what, text)                                                                      \
	{                                                                                                  \
		FLAG_STRING_FIELD(struct config_flags, field), .name = flag, .metavar = what, .help = text \
	}
#define TEXTS(field, flag, what, text)                                                                   \
	{                                                                                                \
		FLAG_LIST_FIELD(struct config_flags, field), .name = flag, .metavar = what, .help = text \
	}

const struct command cmd_image_config = {
	.name = "image config",
	.summary = "Change an image's configuration",
	.usage = "[OPTIONS] IMAGE",
	.help = "The new image has the same layers, and the old one's name unless --tag gives another. What "
		"--clear names "
		"is emptied first; then "
		"come the other options, and last the instructions of --change (CMD, ENTRYPOINT, ENV, "
		"EXPOSE, "
		"HEALTHCHECK, LABEL, ONBUILD, "
		"STOPSIGNAL, USER, VOLUME, WORKDIR).",
	.flags =
		(const struct flag[]){
			TEXT(architecture, "architecture", "name", "Architecture (amd64, arm64)"),
			TEXT(author, "author", "name", "Author of the image"),
			{FLAG_LIST_FIELD(struct config_flags, changes), .name = "change", .letter = 'c',
			 .metavar = "instruction", .help = "Apply a Dockerfile instruction"},
			TEXTS(clear, "clear", "name",
			      "Empty config.labels, config.env, … or manifest.annotations"),
			TEXTS(cmd, "config.cmd", "argument", "Command, an argument for each time given"),
			TEXTS(entrypoint, "config.entrypoint", "argument",
			      "Entrypoint, an argument for each time given"),
			TEXTS(env, "config.env", "name=value", "Set a variable"),
			TEXTS(ports, "config.exposedports", "port", "Add a port (80/tcp)"),
			TEXTS(labels, "config.label", "key=value", "Set a label"),
			TEXT(stop_signal, "config.stopsignal", "signal", "Signal that stops it"),
			TEXT(user, "config.user", "user", "User that it runs as"),
			TEXTS(volumes, "config.volume", "path", "Add a volume"),
			TEXT(workdir, "config.workingdir", "path", "Working directory"),
			TEXT(created, "created", "time", "When the image was made (RFC 3339)"),
			TEXTS(annotations, "manifest.annotation", "key=value",
			      "Set an annotation of the manifest"),
			TEXT(os, "os", "name", "Operating system (linux)"),
			TEXT(edit.tag, "tag", "image", "Name of the new image"),
			EDIT_FLAGS(struct config_flags),
			{0},
		},
	.options_size = sizeof(struct config_flags),
	.min_args = 1,
	.max_args = 1,
	.args_values = "!images",
	.run = run_config,
};
