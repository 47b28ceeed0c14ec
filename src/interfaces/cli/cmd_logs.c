// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/moment.h"
#include "base/timestamp.h"
#include "cli.h"
#include "commands.h"

struct logs_flags {
	bool follow, timestamps, details;
	const char *tail, *since, *until;
};

static struct err *write_line(void *user, int stream, int64_t time_ns, const char *data, size_t size)
{
	const struct logs_flags *f = user;
	FILE *out = stream == 2 ? stderr : stdout;

	if (f->timestamps) {
		char time[TIMESTAMP_STRING_MAX];
		timestamp_format(time_ns, time);
		fprintf(out, "%s ", time);
	}
	fwrite(data, 1, size, out);
	/* What is followed must be seen at once; ordered output of both streams needs it too. */
	if (f->follow || stream == 2)
		fflush(out);
	if (stream == 2)
		fflush(stdout);
	return ferror(out) ? err_errno(errno, "cannot write the output") : NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct logs_flags *f = in->options;
	struct engine *e;
	_cleanup_container_ struct container *c = NULL;
	struct log_options o = {.follow = f->follow,
				.timestamps = f->timestamps,
				.details = f->details,
				.stdout_ = true,
				.stderr_ = true,
				.tail = -1};

	if (!str_eq(f->tail, "all")) {
		TRY(parse_i64(f->tail, "--tail", INT64_MIN, INT64_MAX, &o.tail));
		if (o.tail < 0)
			o.tail = -1;
	}
	if (f->since)
		TRY(moment_parse(f->since, "--since", &o.since_ns));
	if (f->until)
		TRY(moment_parse(f->until, "--until", &o.until_ns));
	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	return container_logs(e, c, &o, write_line, f);
}

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct logs_flags, details), .name = "details",
	 .help = "Show the extra attributes of entries"},
	{FLAG_BOOL_FIELD(struct logs_flags, follow), .name = "follow", .letter = 'f',
	 .help = "Go on with what comes, until the container ends"},
	{FLAG_STRING_FIELD(struct logs_flags, since), .name = "since", .metavar = "time",
	 .help = "Only from then on (2026-01-02T15:04:05Z, 10m)"},
	{FLAG_STRING_FIELD(struct logs_flags, tail), .name = "tail", .letter = 'n', .metavar = "lines",
	 .help = "Only so many lines at the end (all)"},
	{FLAG_BOOL_FIELD(struct logs_flags, timestamps), .name = "timestamps", .letter = 't',
	 .help = "Print the time of each line"},
	{FLAG_STRING_FIELD(struct logs_flags, until), .name = "until", .metavar = "time",
	 .help = "Only until then"},
	{0},
};

const struct command cmd_logs = {
	.name = "logs",
	.aliases = ALIASES("container logs"),
	.summary = "Print what a container has written",
	.usage = "[OPTIONS] CONTAINER",
	.flags = flags,
	.options_size = sizeof(struct logs_flags),
	.defaults = &(const struct logs_flags){.tail = "all"},
	.min_args = 1,
	.max_args = 1,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run,
};
