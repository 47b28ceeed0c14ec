// SPDX-License-Identifier: Apache-2.0
/* secret create, ls, inspect, rm, exists: podman's words. */
#include <stdio.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "cli.h"
#include "commands.h"
#include "engine/secret.h"

struct create_flags {
	bool env, replace;
	const char *driver;
	char **labels;
};

static struct err *read_data(const struct create_flags *f, const char *from, char **ret, size_t *ret_size)
{
	if (f->env) {
		const char *value = getenv(from);
		if (!value)
			return err_new(ERR_NOT_FOUND, "there is no environment variable %s", from);
		*ret = xstrdup(value);
		*ret_size = strlen(value);
		return NULL;
	}
	if (str_eq(from, "-"))
		return file_read_fd(STDIN_FILENO, "standard input", SECRET_MAX, ret, ret_size);
	return file_read(from, SECRET_MAX, ret, ret_size);
}

static struct err *run_create(struct invocation *in, int *ret_status)
{
	const struct create_flags *f = in->options;
	_cleanup_free_ char *data = NULL, *id = NULL;
	size_t size = 0;
	struct engine *e;

	(void)ret_status;
	if (!str_empty(f->driver) && !str_eq(f->driver, "file"))
		return err_new(ERR_UNSUPPORTED,
			       "--driver %s: secrets are kept in files of root's; the only driver is file",
			       f->driver);
	TRY_WRAP(read_data(f, in->args[1], &data, &size), "cannot read the secret");
	TRY(cli_engine(&e));
	struct err *error = secret_create(e, in->args[0], data, size, f->labels, f->replace, &id);
	explicit_bzero(data, size);
	TRY(error);
	puts(id);
	return NULL;
}

const struct command cmd_secret_create = {
	.name = "secret create",
	.summary = "Keep a secret for containers",
	.usage = "[OPTIONS] NAME FILE|-",
	.help = "Containers made with --secret NAME find it as /run/secrets/NAME; images never contain it.",
	.examples = "# from standard input, and used\nprintf hunter2 | PROGRAM secret create password -\n"
		    "PROGRAM run --rm --secret password,mode=0400 debian cat /run/secrets/password",
	.flags = (const struct flag[]){{FLAG_STRING_FIELD(struct create_flags, driver), .name = "driver",
					.letter = 'd', .help = "Where it is kept (only \"file\")",
					.values = "file"},
				       {FLAG_BOOL_FIELD(struct create_flags, env), .name = "env",
					.help = "FILE is the name of an environment variable that has it"},
				       {FLAG_LIST_FIELD(struct create_flags, labels), .name = "label",
					.letter = 'l', .metavar = "key=value", .help = "Set a label"},
				       {FLAG_BOOL_FIELD(struct create_flags, replace), .name = "replace",
					.help = "Put it in the place of one of that name"},
				       {0}},
	.options_size = sizeof(struct create_flags),
	.min_args = 2,
	.max_args = 2,
	.traits = COMMAND_LOCAL,
	.run = run_create,
};

struct list_flags {
	char **filters;
	const char *format;
	bool quiet, no_heading;
};

static const struct format_field fields[] = {
	{"ID", "ID"},
	{"Name", "NAME"},
	{"Driver", "DRIVER"},
	{"CreatedAt", "CREATED"},
	{"UpdatedAt", "UPDATED"},
	{"Labels", "LABELS"},
	{0},
};

static bool match_name(const void *o, const char *value)
{
	return name_matches(((const struct secret *)o)->name, value);
}

static bool match_id(const void *o, const char *value)
{
	return str_starts(((const struct secret *)o)->id, value);
}

static struct json *row_of(const struct secret *s)
{
	struct json *row = json_new_object();
	_cleanup_free_ char *created = ago(s->created_ns), *updated = ago(s->updated_ns),
			    *labels = strv_join(s->labels, ",");

	json_set_string(row, "ID", s->id);
	json_set_string(row, "Name", s->name);
	json_set_string(row, "Driver", "file");
	json_set_string(row, "CreatedAt", created);
	json_set_string(row, "UpdatedAt", updated);
	json_set_string(row, "Labels", labels ? labels : "");
	return row;
}

static struct err *run_ls(struct invocation *in, int *ret_status)
{
	static const struct format_table table = {
		.fields = fields,
		.columns = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}"};
	const struct list_flags *f = in->options;
	_cleanup_filters_ struct filters filters = {0};
	_cleanup_json_ struct json *rows = json_new_array();
	struct secret *list = NULL;
	struct engine *e;
	size_t n = 0;

	(void)ret_status;
	TRY(filters_parse(f->filters, "id name", &filters));
	TRY(cli_engine(&e));
	TRY(secret_list(e, &list, &n));
	for (size_t i = 0; i < n; i++) {
		if (!filters_match(&filters, "name", match_name, &list[i]) ||
		    !filters_match(&filters, "id", match_id, &list[i]))
			continue;
		if (f->quiet && !f->format)
			puts(list[i].id);
		else
			json_append(rows, row_of(&list[i]));
	}
	secrets_free(list, n);
	return f->quiet && !f->format ? NULL : format_rows(f->format, &table, rows, NULL, NULL);
}

const struct command cmd_secret_ls = {
	.name = "secret ls",
	.aliases = ALIASES("secret list"),
	.summary = "List secrets",
	.usage = "[OPTIONS]",
	.flags = (const struct flag[]){{FLAG_LIST_FIELD(struct list_flags, filters), .name = "filter",
					.letter = 'f', .metavar = "key=value",
					.help = "Show only what matches (id, name)", .values = "id= name="},
				       {FLAG_STRING_FIELD(struct list_flags, format), .name = "format",
					.metavar = "template",
					.help = "Print with a template ({{.Name}}) or as json",
					.values = "json table"},
				       {FLAG_BOOL_FIELD(struct list_flags, quiet), .name = "quiet",
					.letter = 'q', .help = "Print ids only"},
				       {0}},
	.options_size = sizeof(struct list_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_ls,
};

struct inspect_flags {
	const char *format;
	bool show;
};

static struct err *inspect_one(struct engine *e, const char *what, bool show, struct json *all)
{
	_cleanup_secret_ struct secret s = {0};
	char created[TIMESTAMP_STRING_MAX], updated[TIMESTAMP_STRING_MAX];

	TRY(secret_read(e, what, &s));
	struct json *o = json_new_object(), *spec = json_new_object(), *driver = json_new_object();
	json_append(all, o);
	timestamp_format(s.created_ns, created);
	timestamp_format(s.updated_ns, updated);
	json_set_string(o, "ID", s.id);
	json_set_string(o, "CreatedAt", created);
	json_set_string(o, "UpdatedAt", updated);
	json_set_string(spec, "Name", s.name);
	json_set_string(driver, "Name", "file");
	json_set(spec, "Driver", driver);
	json_set(spec, "Labels", json_new_pairs(s.labels));
	json_set(o, "Spec", spec);
	if (show) {
		_cleanup_free_ char *text = xstrndup(s.data, s.size);
		json_set_string(o, "SecretData", text);
	}
	return NULL;
}

static struct err *run_inspect(struct invocation *in, int *ret_status)
{
	const struct inspect_flags *f = in->options;
	_cleanup_json_ struct json *all = json_new_array();
	struct engine *e;

	TRY(cli_engine(&e));
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_err_ struct err *failed = inspect_one(e, in->args[i], f->show, all);
		if (failed) {
			command_report(in, failed);
			*ret_status = 1;
		}
	}
	return print_objects(f->format, all);
}

const struct command cmd_secret_inspect = {
	.name = "secret inspect",
	.summary = "Print what is known of secrets, as JSON",
	.usage = "[OPTIONS] SECRET [SECRET...]",
	.flags = (const struct flag[]){{FLAG_STRING_FIELD(struct inspect_flags, format), .name = "format",
					.letter = 'f', .metavar = "template",
					.help = "Print with a template ({{.Spec.Name}}) or as json",
					.values = "json"},
				       {FLAG_BOOL_FIELD(struct inspect_flags, show), .name = "showsecret",
					.help = "Print the secret, too"},
				       {0}},
	.options_size = sizeof(struct inspect_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!secrets",
	.traits = COMMAND_LOCAL,
	.run = run_inspect,
};

struct rm_flags {
	bool all, ignore;
};

static struct err *remove_all(struct engine *e)
{
	struct secret *list = NULL;
	size_t n = 0;
	struct err *error = NULL;

	TRY(secret_list(e, &list, &n));
	for (size_t i = 0; i < n && !error; i++) {
		error = secret_remove(e, list[i].name);
		if (!error)
			puts(list[i].id);
	}
	secrets_free(list, n);
	return error;
}

static struct err *run_rm(struct invocation *in, int *ret_status)
{
	const struct rm_flags *f = in->options;
	struct engine *e;

	if (f->all == (in->n_args > 0))
		return usage_error(in, f->all ? "--all and names exclude each other" : "no secret is named");
	TRY(cli_engine(&e));
	if (f->all)
		return remove_all(e);
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_err_ struct err *failed = secret_remove(e, in->args[i]);
		if (!failed)
			puts(in->args[i]);
		if (!failed || (f->ignore && failed->kind == ERR_NOT_FOUND))
			continue;
		command_report(in, failed);
		*ret_status = 1;
	}
	return NULL;
}

const struct command cmd_secret_rm = {
	.name = "secret rm",
	.aliases = ALIASES("secret remove"),
	.summary = "Remove secrets",
	.usage = "[OPTIONS] SECRET [SECRET...]",
	.flags = (const struct flag[]){{FLAG_BOOL_FIELD(struct rm_flags, all), .name = "all", .letter = 'a',
					.help = "Remove all of them"},
				       {FLAG_BOOL_FIELD(struct rm_flags, ignore), .name = "ignore",
					.letter = 'i', .help = "Do not mind one that does not exist"},
				       {0}},
	.options_size = sizeof(struct rm_flags),
	.max_args = ARGS_UNLIMITED,
	.args_values = "!secrets",
	.traits = COMMAND_LOCAL,
	.run = run_rm,
};

static struct err *run_exists(struct invocation *in, int *ret_status)
{
	_cleanup_secret_ struct secret s = {0};
	struct engine *e;

	TRY(cli_engine(&e));
	struct err *error = secret_read(e, in->args[0], &s);
	if (error && error->kind == ERR_NOT_FOUND) {
		err_free(error);
		*ret_status = 1;
		return NULL;
	}
	return error;
}

const struct command cmd_secret_exists = {
	.name = "secret exists",
	.summary = "Answer by the exit status whether a secret exists",
	.usage = "SECRET",
	.min_args = 1,
	.max_args = 1,
	.args_values = "!secrets",
	.traits = COMMAND_LOCAL,
	.run = run_exists,
};
