/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "oci.h"

struct options {
	const char *format;
};

static const struct flag flags[] = {
	{FLAG_CHOICE_FIELD(struct options, format), .name = "format", .letter = 'f', .values = "table json",
	 .help = "Format of the output: json is an array of process ids"},
	{0},
};

static struct err *print_json(const pid_t *pids, size_t n)
{
	_cleanup_json_ struct json *array = json_new_array();
	for (size_t i = 0; i < n; i++)
		json_append(array, json_new_i64(pids[i]));
	_cleanup_free_ char *text = json_print(array, JSON_COMPACT);
	puts(text);
	return NULL;
}

static int pid_column(const char *header)
{
	_cleanup_free_ char *line = xstrndup(header, strcspn(header, "\n"));
	_cleanup_strv_ char **names = strv_split(line, " ");
	int i = 0;
	STRV_FOREACH (n, names) {
		if (str_eq(*n, "PID"))
			return i;
		i++;
	}
	return -1;
}

static bool is_listed(const char *line, int column, const pid_t *pids, size_t n)
{
	_cleanup_strv_ char **fields = strv_split(line, " ");
	if ((size_t)column >= strv_len(fields))
		return false;
	int pid = (int)strtol(fields[column], NULL, 10);
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* The options after the container are those of ps(1), so ps(1) prints; of its lines, those of the container are shown. */
static struct err *print_table(char *const *args, const pid_t *pids, size_t n)
{
	_cleanup_strv_ char **argv = NULL;
	_cleanup_free_ char *output = NULL;
	size_t size;
	strv_push(&argv, "ps");
	STRV_FOREACH (a, args)
		strv_push(&argv, *a);
	if (!args[0])
		strv_push(&argv, "-ef");
	struct process_spawn p = {.path = "/bin/ps", .exec_fd = -1, .argv = argv, .stdio = {-1, -1, -1}};
	TRY(process_run(&p, NULL, 0, 30000, 16u << 20, &output, &size));
	int column = pid_column(output);
	if (column < 0)
		return err_new(ERR_INVALID, "the output of ps has no column PID: its options must give one");
	bool header = true;
	char *rest = output, *line;
	while ((line = strsep(&rest, "\n"))) {
		if (header || is_listed(line, column, pids, n))
			puts(line);
		header = false;
	}
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct options *o = in->options;
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	TRY(oci_load(in, &c));
	if (c->status != RT_STOPPED)
		TRY(rt_container_pids(c, &pids, &n));
	return str_eq(o->format, "json") ? print_json(pids, n) : print_table(in->args + 1, pids, n);
}

const struct command oci_ps = {
	.name = "ps",
	.summary = "Show the processes of a container",
	.usage = "[OPTIONS] CONTAINER [PS OPTIONS]",
	.flags = flags,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.traits = COMMAND_STOP_AT_ARGUMENT,
	.run = run,
};
