// SPDX-License-Identifier: Apache-2.0
/* volume create, ls, rm. Inspecting is in cmd_inspect.c, pruning in cmd_prune.c. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "cli.h"
#include "commands.h"

static struct err *check_driver(const char *driver)
{
	if (driver && !str_eq(driver, "local"))
		return err_new(ERR_UNSUPPORTED, "volume driver \"%s\" is not there: the only driver is local",
			       driver);
	return NULL;
}

/* -- create ----------------------------------------------------------------------------------------------------- */

struct create_flags {
	const char *driver, *name;
	char **labels, **options;
};

static struct err *run_create(struct invocation *in, int *ret_status)
{
	const struct create_flags *f = in->options;
	const char *name = in->args[0] ? in->args[0] : f->name;
	_cleanup_free_ char *made = NULL;
	struct engine *e;

	if (in->args[0] && f->name)
		return err_new(ERR_INVALID, "the name is given twice: as an argument and with --name");
	TRY(check_driver(f->driver));
	TRY(cli_engine(&e));
	TRY(volume_create(e, name, f->labels, f->options, &made));
	puts(made);
	return NULL;
}

const struct command cmd_volume_create = {
	.name = "volume create",
	.summary = "Make a volume",
	.usage = "[OPTIONS] [VOLUME]",
	.help = "Without a name one is made up. A volume that exists already is left as it is.\n\n"
		"With options the volume is mounted anew for each container that has it, as mount(8) would "
		"be asked to: "
		"type, device, and o for the options.",
	.examples = "# a directory of the host under a name\n"
		    "PROGRAM volume create --opt type=none --opt o=bind --opt device=/srv/data data\n"
		    "# in memory\n"
		    "PROGRAM volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=100m,uid=1000 "
		    "scratch",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct create_flags, driver), .name = "driver", .letter = 'd',
			 .help = "The volume's driver (local)"},
			{FLAG_LIST_FIELD(struct create_flags, labels), .name = "label",
			 .metavar = "key=value", .help = "Set a label"},
			{FLAG_LIST_FIELD(struct create_flags, options), .name = "opt", .letter = 'o',
			 .metavar = "key=value", .help = "Set an option of the driver (type, device, o)"},
			{FLAG_STRING_FIELD(struct create_flags, name), .name = "name", .traits = FLAG_HIDDEN},
			{0}},
	.options_size = sizeof(struct create_flags),
	.max_args = 1,
	.traits = COMMAND_LOCAL,
	.run = run_create,
};

/* -- ls --------------------------------------------------------------------------------------------------------- */

struct ls_flags {
	char **filters;
	const char *format;
	bool quiet;
};

struct list {
	struct volume *v;
	size_t n;
	const struct volume **of_row;
};

static void list_release(struct list *l)
{
	volumes_free(l->v, l->n);
	free(l->of_row);
}

static bool match_name(const void *object, const char *value)
{
	return name_matches(((const struct volume *)object)->name, value);
}

static bool match_driver(const void *object, const char *value)
{
	(void)object;
	return str_eq(value, "local");
}

static bool match_dangling(const void *object, const char *value)
{
	bool dangling = ((const struct volume *)object)->links == 0;
	return dangling == (str_eq(value, "true") || str_eq(value, "1"));
}

static char *label_of_row(void *user, size_t row, const char *key)
{
	const struct list *l = user;
	const char *value = env_get(l->of_row[row]->labels, key);
	return value ? xstrdup(value) : NULL;
}

static void add_row(const struct volume *v, struct json *rows)
{
	struct json *row = json_new_object();
	_cleanup_free_ char *labels = strv_join(v->labels, ","), *links = xasprintf("%zu", v->links);

	json_set_string(row, "Availability", "N/A");
	json_set_string(row, "Driver", "local");
	json_set_string(row, "Group", "N/A");
	json_set_string(row, "Labels", labels);
	json_set_string(row, "Links", links);
	json_set_string(row, "Mountpoint", v->path);
	json_set_string(row, "Name", v->name);
	json_set_string(row, "Scope", "local");
	json_set_string(row, "Size", "N/A");
	json_set_string(row, "Status", "N/A");
	json_append(rows, row);
}

static const struct format_field fields[] = {
	{"Availability", "AVAILABILITY"},
	{"Driver", "DRIVER"},
	{"Group", "GROUP"},
	{"Labels", "LABELS"},
	{"Links", "LINKS"},
	{"Mountpoint", "MOUNTPOINT"},
	{"Name", "VOLUME NAME"},
	{"Scope", "SCOPE"},
	{"Size", "SIZE"},
	{"Status", "STATUS"},
	{0},
};

static struct err *run_ls(struct invocation *in, int *ret_status)
{
	static const struct format_table table = {.fields = fields, .columns = "{{.Driver}}\t{{.Name}}"};
	const struct ls_flags *f = in->options;
	_cleanup_filters_ struct filters filters = {0};
	_cleanup_(list_release) struct list l = {0};
	_cleanup_json_ struct json *rows = json_new_array();
	size_t n_rows = 0;
	struct engine *e;

	TRY(filters_parse(f->filters, "dangling driver label label! name", &filters));
	TRY(cli_engine(&e));
	TRY(volume_list(e, &l.v, &l.n));
	l.of_row = xnew_array(const struct volume *, l.n + 1);
	for (size_t i = 0; i < l.n; i++) {
		const struct volume *v = &l.v[i];
		if (!filters_match(&filters, "name", match_name, v) ||
		    !filters_match(&filters, "driver", match_driver, v) ||
		    !filters_match(&filters, "dangling", match_dangling, v) ||
		    !filters_labels(&filters, v->labels))
			continue;
		l.of_row[n_rows++] = v;
		add_row(v, rows);
		if (f->quiet && !f->format)
			puts(v->name);
	}
	return f->quiet && !f->format ? NULL : format_rows(f->format, &table, rows, label_of_row, &l);
}

const struct command cmd_volume_ls = {
	.name = "volume ls",
	.aliases = ALIASES("volume list"),
	.summary = "List volumes",
	.usage = "[OPTIONS]",
	.flags =
		(const struct flag[]){
			{FLAG_LIST_FIELD(struct ls_flags, filters), .name = "filter", .letter = 'f',
			 .metavar = "key=value",
			 .help = "Show only what matches (dangling, driver, label, name)",
			 .values = "dangling= driver= label= name="},
			{FLAG_STRING_FIELD(struct ls_flags, format), .name = "format", .metavar = "template",
			 .help = "Print with a template ({{.Name}}), as \"table TEMPLATE\", or as json",
			 .values = "json table"},
			{FLAG_BOOL_FIELD(struct ls_flags, quiet), .name = "quiet", .letter = 'q',
			 .help = "Print names only"},
			{0}},
	.options_size = sizeof(struct ls_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_ls,
};

/* -- rm --------------------------------------------------------------------------------------------------------- */

struct rm_flags {
	bool force;
};

static struct err *run_rm(struct invocation *in, int *ret_status)
{
	const struct rm_flags *f = in->options;
	struct engine *e;

	TRY(cli_engine(&e));
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_err_ struct err *failed = volume_delete(e, in->args[i]);
		if (!failed || (f->force && failed->kind == ERR_NOT_FOUND)) {
			puts(in->args[i]);
			continue;
		}
		command_report(in, failed);
		*ret_status = 1;
	}
	return NULL;
}

const struct command cmd_volume_rm = {
	.name = "volume rm",
	.aliases = ALIASES("volume remove"),
	.summary = "Remove volumes",
	.usage = "[OPTIONS] VOLUME [VOLUME...]",
	.help = "A volume that a container has, also a stopped one, is not removed.",
	.flags = (const struct flag[]){{FLAG_BOOL_FIELD(struct rm_flags, force), .name = "force",
					.letter = 'f', .help = "A volume that is not there is no error"},
				       {0}},
	.options_size = sizeof(struct rm_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!volumes",
	.traits = COMMAND_LOCAL,
	.run = run_rm,
};
