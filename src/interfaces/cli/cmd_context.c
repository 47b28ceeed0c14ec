// SPDX-License-Identifier: Apache-2.0
/* context: docker's choice of an engine. Without a daemon there is one, "default", and scripts that ask are answered. */
#include <stdio.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"

#define DEFAULT_NAME "default"
#define DESCRIPTION "This machine, without a daemon"

struct context_flags {
	const char *format;
	bool quiet;
};

static const struct format_field fields[] = {
	{"Name", "NAME"},
	{"Description", "DESCRIPTION"},
	{"DockerEndpoint", "DOCKER ENDPOINT"},
	{"Current", "CURRENT"},
	{"Error", "ERROR"},
	{0},
};

static struct err *run_ls(struct invocation *in, int *ret_status)
{
	static const struct format_table table = {
		.fields = fields,
		.columns = "{{if .Current}}{{.Name}} "
			   "*{{else}}{{.Name}}{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}"};
	const struct context_flags *f = in->options;
	_cleanup_json_ struct json *rows = json_new_array();
	struct json *row = json_new_object();

	json_append(rows, row);
	json_set_string(row, "Name", DEFAULT_NAME);
	json_set_string(row, "Description", DESCRIPTION);
	json_set_string(row, "DockerEndpoint", "");
	json_set_bool(row, "Current", true);
	json_set_string(row, "Error", "");
	if (f->quiet) {
		puts(DEFAULT_NAME);
		return NULL;
	}
	return format_rows(f->format, &table, rows, NULL, NULL);
}

const struct command cmd_context_ls = {
	.name = "context ls",
	.aliases = ALIASES("context list"),
	.summary = "List the engines there are: this machine",
	.usage = "[OPTIONS]",
	.flags = (const struct flag[]){{FLAG_STRING_FIELD(struct context_flags, format), .name = "format",
					.metavar = "template",
					.help = "Print with a template ({{.Name}}) or as json",
					.values = "json table"},
				       {FLAG_BOOL_FIELD(struct context_flags, quiet), .name = "quiet",
					.letter = 'q', .help = "Print names only"},
				       {0}},
	.options_size = sizeof(struct context_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_ls,
};

static struct err *run_show(struct invocation *in, int *ret_status)
{
	(void)in;
	(void)ret_status;
	puts(DEFAULT_NAME);
	return NULL;
}

const struct command cmd_context_show = {
	.name = "context show",
	.summary = "Print the name of the engine in use",
	.usage = "",
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_show,
};

static struct err *check_name(const char *name)
{
	if (str_eq(name, DEFAULT_NAME))
		return NULL;
	return err_new(ERR_NOT_FOUND,
		       "context \"%s\" does not exist: there is only \"default\", this machine", name);
}

static struct err *run_use(struct invocation *in, int *ret_status)
{
	(void)ret_status;
	TRY(check_name(in->args[0]));
	puts(DEFAULT_NAME);
	return NULL;
}

const struct command cmd_context_use = {
	.name = "context use",
	.summary = "Choose the engine: there is only \"default\"",
	.usage = "CONTEXT",
	.min_args = 1,
	.max_args = 1,
	.traits = COMMAND_LOCAL,
	.run = run_use,
};

static struct err *run_inspect(struct invocation *in, int *ret_status)
{
	const struct context_flags *f = in->options;
	_cleanup_json_ struct json *all = json_new_array();
	struct json *o = json_new_object(), *endpoints = json_new_object(), *meta = json_new_object();

	(void)ret_status;
	json_append(all, o);
	json_set_string(o, "Name", DEFAULT_NAME);
	json_set_string(meta, "Description", DESCRIPTION);
	json_set(o, "Metadata", meta);
	json_set(o, "Endpoints", endpoints);
	for (size_t i = 0; i < in->n_args; i++)
		TRY(check_name(in->args[i]));
	if (f->format)
		return format_object(f->format, o);
	_cleanup_free_ char *text = json_print(all, JSON_PRETTY);
	puts(text);
	return NULL;
}

const struct command cmd_context_inspect = {
	.name = "context inspect",
	.summary = "Print what is known of engines, as JSON",
	.usage = "[OPTIONS] [CONTEXT...]",
	.flags = (const struct flag[]){{FLAG_STRING_FIELD(struct context_flags, format), .name = "format",
					.letter = 'f', .metavar = "template",
					.help = "Print with a template ({{.Name}}) or as json",
					.values = "json"},
				       {0}},
	.options_size = sizeof(struct context_flags),
	.max_args = ARGS_UNLIMITED,
	.traits = COMMAND_LOCAL,
	.run = run_inspect,
};

/* -- what docker has and a single machine does not need --------------------------------------------------------- */

static struct err *run_absent(struct invocation *in, int *ret_status)
{
	(void)ret_status;
	if (str_eq(in->command->name, "plugin"))
		return err_new(
			ERR_UNSUPPORTED,
			"plugin: havre has no plug-ins; drivers of volumes and networks are part of it");
	if (str_eq(in->command->name, "trust"))
		return err_new(ERR_UNSUPPORTED, "trust: docker's content trust is not part of havre; see "
						"`image sign`, `image verify` "
						"and `image trust`");
	return err_new(ERR_UNSUPPORTED,
		       "%s: this machine is not part of a swarm, and havre has none; it runs containers on "
		       "one machine",
		       in->command->name);
}

#define ABSENT(id, word)                                                \
	const struct command cmd_##id = {                               \
		.name = word,                                           \
		.summary = "Not part of havre",                         \
		.usage = "[ARG...]",                                    \
		.max_args = ARGS_UNLIMITED,                             \
		.traits = COMMAND_LOCAL | COMMAND_HIDDEN | COMMAND_RAW, \
		.run = run_absent,                                      \
	}
ABSENT(swarm, "swarm");
ABSENT(node, "node");
ABSENT(service, "service");
ABSENT(stack, "stack");
ABSENT(config, "config");
ABSENT(plugin, "plugin");
ABSENT(trust, "trust");
