// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli.h"
#include "command/table.h"
#include "commands.h"

#define TOP_COLUMN_MIN 20 /* docker's */

static struct err *append_line(const struct json_cursor *cells, struct strbuf *out)
{
	for (size_t i = 0, n = json_array_len(cells); i < n; i++) {
		const char *s;
		struct json_cursor cell = json_at(cells, i);
		TRY(json_as_string(&cell, &s));
		strbuf_printf(out, "%s%s", i ? "\t" : "", s);
	}
	strbuf_putc(out, '\n');
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct engine *e;
	_cleanup_container_ struct container *c = NULL;
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_strbuf_ struct strbuf lines = {0}, aligned = {0};
	struct json_cursor root, titles, processes;

	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	TRY(container_top(e, c, in->args + 1, &doc));
	root = json_root(doc);
	TRY(json_get_array(&root, "Titles", JSON_REQUIRED, &titles));
	TRY(json_get_array(&root, "Processes", JSON_REQUIRED, &processes));
	TRY(append_line(&titles, &lines));
	for (size_t i = 0, n = json_array_len(&processes); i < n; i++) {
		struct json_cursor row = json_at(&processes, i);
		TRY(append_line(&row, &lines));
	}
	table_align(strbuf_str(&lines), TOP_COLUMN_MIN, &aligned);
	fputs(strbuf_str(&aligned), stdout);
	return NULL;
}

const struct command cmd_top = {
	.name = "top",
	.aliases = ALIASES("container top"),
	.summary = "Show the processes of a container",
	.usage = "CONTAINER [PS OPTIONS]",
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!running",
	.traits = COMMAND_LOCAL | COMMAND_STOP_AT_ARGUMENT,
	.run = run,
};
