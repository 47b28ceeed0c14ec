// SPDX-License-Identifier: Apache-2.0
/* stats: a table once, again and again, or a picture on a terminal (stats_view.c). */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "cli.h"
#include "command/terminal.h"
#include "commands.h"
#include "stats.h"

#define FIRST_MS 200 /* between the two looks of the first CPU percentage */
#define EVERY_MS 1000

struct stats_flags {
	bool all, no_stream, no_trunc;
	const char *format;
};

/* -- watching ------------------------------------------------------------------------------------------------------- */

static struct stats_row *find(struct stats_rows *v, const char *id)
{
	for (size_t i = 0; i < v->n; i++)
		if (str_eq(v->items[i].c->id, id))
			return &v->items[i];
	return NULL;
}

static void row_release(struct stats_row *r)
{
	container_free(r->c);
}

void stats_rows_release(struct stats_rows *v)
{
	for (size_t i = 0; i < v->n; i++)
		row_release(&v->items[i]);
	free(v->items);
	*v = (struct stats_rows){0};
}

static void take(struct engine *e, struct stats_row *r, const struct stats_row *before)
{
	struct err *failed = container_sample(e, r->c, &r->now);

	r->up = !failed;
	err_free(failed); /* it does not run, which the row shows */
	if (before) {
		memcpy(r->history, before->history, sizeof(r->history));
		r->n_history = before->n_history;
	}
	if (!r->up || !before || !before->up || r->now.taken_ns <= before->now.taken_ns ||
	    r->now.cpu_ns < before->now.cpu_ns)
		return;
	r->cpu_percent = (double)(r->now.cpu_ns - before->now.cpu_ns) * 100.0 /
			 (double)(r->now.taken_ns - before->now.taken_ns);
	if (r->n_history == STATS_HISTORY)
		memmove(r->history, r->history + 1, (STATS_HISTORY - 1) * sizeof(r->history[0]));
	else
		r->n_history++;
	r->history[r->n_history - 1] = r->cpu_percent;
}

/* The containers that were named (an unknown one is an error the first time and gone later), or those that run. */
static struct err *list(struct engine *e, const struct invocation *in, const struct stats_flags *f,
			bool first, struct container ***ret, size_t *ret_n)
{
	struct container **items = NULL;
	size_t n = 0, cap = 0;

	if (in->n_args == 0)
		return container_list(e, f->all, ret, ret_n);
	for (size_t i = 0; i < in->n_args; i++) {
		struct container *c = NULL;
		struct err *failed = container_find(e, in->args[i], &c);
		if (failed && (first || failed->kind != ERR_NOT_FOUND)) {
			for (size_t k = 0; k < n; k++)
				container_free(items[k]);
			free(items);
			return failed;
		}
		err_free(failed);
		if (!c)
			continue;
		GROW(items, n, cap);
		items[n++] = c;
	}
	*ret = items;
	*ret_n = n;
	return NULL;
}

static struct err *look(struct engine *e, const struct invocation *in, const struct stats_flags *f,
			struct stats_rows *v)
{
	struct stats_rows next = {0};
	struct container **items = NULL;
	size_t n = 0;

	TRY(list(e, in, f, !v->items && v->n == 0, &items, &n));
	next.items = xnew_array(struct stats_row, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct stats_row *r = &next.items[next.n++];
		*r = (struct stats_row){.c = items[i]};
		take(e, r, find(v, items[i]->id));
	}
	free(items);
	stats_rows_release(v);
	*v = next;
	return NULL;
}

/* -- docker's table --------------------------------------------------------------------------------------------------- */

/* "1.5MiB" */
char *stats_binary_size(uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)bytes;
	size_t unit = 0;

	while (v >= 1024.0 && unit + 1 < ARRAY_SIZE(units)) {
		v /= 1024.0;
		unit++;
	}
	return xasprintf("%.4g%s", v, units[unit]);
}

static char *pair(char *a, char *b)
{
	char *text = xasprintf("%s / %s", a, b);

	free(a);
	free(b);
	return text;
}

double stats_memory_percent(const struct stats_row *r)
{
	return r->now.memory_limit_bytes
		       ? (double)r->now.memory_bytes * 100.0 / (double)r->now.memory_limit_bytes
		       : 0;
}

static struct json *row_json(const struct stats_row *r, const struct stats_flags *f)
{
	static const char none[] = "--";
	struct json *o = json_new_object();
	const char *id = f->no_trunc ? r->c->id : short_id(r->c->id);

	json_set_string(o, "Container", id);
	json_set_string(o, "ID", id);
	json_set_string(o, "Name", r->c->name);
	if (!r->up && r->c->status != CONTAINER_RUNNING) { /* docker has zeros for what does not run */
		static const char *const zeros[][2] = {{"CPUPerc", "0.00%"},   {"MemUsage", "0B / 0B"},
						       {"MemPerc", "0.00%"},   {"NetIO", "0B / 0B"},
						       {"BlockIO", "0B / 0B"}, {"PIDs", "0"}};
		for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
			json_set_string(o, zeros[i][0], zeros[i][1]);
		return o;
	}
	const struct container_sample *s = &r->now;
	_cleanup_free_ char *cpu = xasprintf("%.2f%%", r->cpu_percent),
			    *memory = xasprintf("%.2f%%", stats_memory_percent(r)),
			    *usage = pair(stats_binary_size(s->memory_bytes),
					  stats_binary_size(s->memory_limit_bytes)),
			    *net = pair(format_size(s->rx_bytes), format_size(s->tx_bytes)),
			    *block = pair(format_size(s->read_bytes), format_size(s->write_bytes)),
			    *pids = xasprintf("%llu", (unsigned long long)s->pids);
	json_set_string(o, "CPUPerc", r->up ? cpu : none);
	json_set_string(o, "MemUsage", r->up ? usage : "-- / --");
	json_set_string(o, "MemPerc", r->up ? memory : none);
	json_set_string(o, "NetIO", r->up ? net : none);
	json_set_string(o, "BlockIO", r->up ? block : none);
	json_set_string(o, "PIDs", r->up ? pids : none);
	return o;
}

static const struct format_field fields[] = {
	{"BlockIO", "BLOCK I/O"},   {"CPUPerc", "CPU %"},
	{"Container", "CONTAINER"}, {"ID", "CONTAINER ID"},
	{"MemPerc", "MEM %"},       {"MemUsage", "MEM USAGE / LIMIT"},
	{"Name", "NAME"},           {"NetIO", "NET I/O"},
	{"PIDs", "PIDS"},           {0},
};
static const struct format_table table = {
	.fields = fields,
	.columns = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}"
		   "\t{{.PIDs}}",
};

static struct err *print(const struct stats_rows *v, const struct stats_flags *f)
{
	_cleanup_json_ struct json *rows = json_new_array();

	for (size_t i = 0; i < v->n; i++)
		json_append(rows, row_json(&v->items[i], f));
	TRY(format_rows(f->format, &table, rows, NULL, NULL));
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_errno(errno, "cannot write the output");
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct stats_flags *f = in->options;
	_cleanup_(stats_rows_release) struct stats_rows v = {0};
	bool picture = !f->format && !f->no_stream && isatty(STDOUT_FILENO);
	struct engine *e;

	TRY(cli_engine(&e));
	TRY(look(e, in, f, &v));
	(void)poll(NULL, 0, FIRST_MS);
	TRY(look(e, in, f, &v));
	if (f->no_stream)
		return print(&v, f);
	interrupt_catch();
	struct err *failed = NULL;
	if (picture)
		stats_view_begin();
	while (!failed && !interrupted()) {
		bool quit = false;
		if (picture)
			stats_view_draw(&v, EVERY_MS, &quit);
		else
			failed = print(&v, f);
		if (quit)
			break;
		if (!picture)
			(void)poll(NULL, 0, EVERY_MS);
		if (!failed && !interrupted())
			failed = look(e, in, f, &v);
	}
	if (picture)
		stats_view_end();
	interrupt_restore();
	return failed;
}

const struct command cmd_stats = {
	.name = "stats",
	.aliases = ALIASES("container stats"),
	.summary = "Show what running containers use",
	.usage = "[OPTIONS] [CONTAINER...]",
	.help = "On a terminal a picture with bars and a history of the CPU, renewed every second; q or "
		"Ctrl-C ends it. "
		"Elsewhere, or with --format, a table a second. 100% is one CPU. Memory is without page "
		"cache that is "
		"not in use.",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct stats_flags, all), .name = "all", .letter = 'a',
			 .help = "Show those that do not run, too"},
			{FLAG_STRING_FIELD(struct stats_flags, format), .name = "format",
			 .metavar = "template",
			 .help = "Print with a template ({{.Name}}), as \"table TEMPLATE\", or as json",
			 .values = "json table"},
			{FLAG_BOOL_FIELD(struct stats_flags, no_stream), .name = "no-stream",
			 .help = "Print once"},
			{FLAG_BOOL_FIELD(struct stats_flags, no_trunc), .name = "no-trunc",
			 .help = "Shorten nothing"},
			{0},
		},
	.options_size = sizeof(struct stats_flags),
	.max_args = ARGS_UNLIMITED,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run,
};
