// SPDX-License-Identifier: Apache-2.0
/* image config: umoci's config on the store's images. */
#include <stdio.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "commands.h"
#include "edit_flags.h"

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
	TRY(edit_flags_parse(&f->edit, "havre image config", &edit));
	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &image));
	TRY(edit_choose_name(f->edit.tag, image, in->args[0], &name));
	edit.name = name.domain ? &name : NULL;
	return edit_print_result(image_configure(s, image, &c, &edit, &id), "configure", in->args[0], &id);
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
