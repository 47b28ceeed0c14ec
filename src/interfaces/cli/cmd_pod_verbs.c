// SPDX-License-Identifier: Apache-2.0
/* Verbs on pods: each is that of containers, for all of the pod's. What fails is reported, and the others are done. */
#include <signal.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/process.h"
#include "base/timestamp.h"
#include "cli.h"
#include "command/table.h"
#include "commands.h"
#include "engine/pod.h"

struct verb_flags {
	bool all, force, ignore, latest;
	int64_t timeout;
	const char *signal;
};

typedef struct err *(*pod_verb)(struct invocation *in, struct engine *e, struct container *pod,
				int *ret_status);

static struct err *one(struct invocation *in, struct engine *e, struct container *pod, pod_verb verb,
		       int *ret_status)
{
	_cleanup_err_ struct err *failed = verb(in, e, pod, ret_status);

	if (!failed) {
		puts(pod->id);
		return NULL;
	}
	command_report(in, failed);
	*ret_status = 1;
	return NULL;
}

/* The pods that are named, or all of them. */
static struct err *each(struct invocation *in, pod_verb verb, int *ret_status)
{
	const struct verb_flags *f = in->options;
	struct engine *e;
	struct container **list = NULL;
	size_t n = 0;

	if (f->all == (in->n_args > 0))
		return usage_error(in, f->all ? "--all and names exclude each other" : "no pod is named");
	TRY(cli_engine(&e));
	if (f->all) {
		TRY(pod_list(e, &list, &n));
		for (size_t i = 0; i < n; i++)
			err_free(one(in, e, list[i], verb, ret_status));
		containers_free(list, n);
		return NULL;
	}
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_container_ struct container *pod = NULL;
		_cleanup_err_ struct err *failed = pod_find(e, in->args[i], &pod);
		if (!failed) {
			err_free(one(in, e, pod, verb, ret_status));
			continue;
		}
		if (f->ignore && failed->kind == ERR_NOT_FOUND)
			continue;
		command_report(in, failed);
		*ret_status = 1;
	}
	return NULL;
}

/* f for each container of the pod whose status is one of `states` (bits). */
#define STATE(s) (1u << (s))
#define UP (STATE(CONTAINER_RUNNING) | STATE(CONTAINER_PAUSED))
static struct err *
members_do(struct invocation *in, struct engine *e, const struct container *pod, unsigned states,
	   struct err *(*f)(struct engine *, struct container *, const struct verb_flags *), int *ret_status)
{
	struct container **list = NULL;
	size_t n = 0;

	TRY(pod_members(e, pod, &list, &n));
	for (size_t i = 0; i < n; i++) {
		_cleanup_err_ struct err *failed =
			states & STATE(list[i]->status) ? f(e, list[i], in->options) : NULL;
		if (!failed)
			continue;
		command_report(in, failed);
		*ret_status = 1;
	}
	containers_free(list, n);
	return NULL;
}

static struct err *start_one(struct engine *e, struct container *c, const struct verb_flags *f)
{
	(void)f;
	return container_start(e, c, NULL, NULL);
}

static struct err *stop_one(struct engine *e, struct container *c, const struct verb_flags *f)
{
	return container_stop(e, c, (int)f->timeout, NULL);
}

static struct err *kill_one(struct engine *e, struct container *c, const struct verb_flags *f)
{
	int signum;

	TRY(signal_parse(f->signal, &signum));
	return container_kill(e, c, signum);
}

static struct err *pause_one(struct engine *e, struct container *c, const struct verb_flags *f)
{
	(void)f;
	return container_pause(e, c, true);
}

static struct err *unpause_one(struct engine *e, struct container *c, const struct verb_flags *f)
{
	(void)f;
	return container_pause(e, c, false);
}

static bool is_up(const struct container *c)
{
	return UP & STATE(c->status);
}

static struct err *start(struct invocation *in, struct engine *e, struct container *pod, int *ret_status)
{
	if (!is_up(pod))
		TRY(container_start(e, pod, NULL, NULL));
	return members_do(in, e, pod, STATE(CONTAINER_CREATED) | STATE(CONTAINER_EXITED), start_one,
			  ret_status);
}

static struct err *stop(struct invocation *in, struct engine *e, struct container *pod, int *ret_status)
{
	TRY(members_do(in, e, pod, UP, stop_one, ret_status));
	return is_up(pod) ? container_stop(e, pod, 10, NULL) : NULL;
}

static struct err *restart(struct invocation *in, struct engine *e, struct container *pod, int *ret_status)
{
	_cleanup_container_ struct container *again = NULL;

	TRY(stop(in, e, pod, ret_status));
	TRY(pod_find(e, pod->id, &again));
	return start(in, e, again, ret_status);
}

static struct err *kill_all(struct invocation *in, struct engine *e, struct container *pod, int *ret_status)
{
	TRY(members_do(in, e, pod, UP, kill_one, ret_status));
	return is_up(pod) ? kill_one(e, pod, in->options) : NULL;
}

static struct err *pause_all(struct invocation *in, struct engine *e, struct container *pod, int *ret_status)
{
	return members_do(in, e, pod, STATE(CONTAINER_RUNNING), pause_one, ret_status);
}

static struct err *unpause_all(struct invocation *in, struct engine *e, struct container *pod,
			       int *ret_status)
{
	return members_do(in, e, pod, STATE(CONTAINER_PAUSED), unpause_one, ret_status);
}

static struct err *rm(struct invocation *in, struct engine *e, struct container *pod, int *ret_status)
{
	const struct verb_flags *f = in->options;

	(void)ret_status;
	return pod_remove(e, pod, f->force, (int)f->timeout);
}

#define VERB(id, function)                                                  \
	static struct err *run_##id(struct invocation *in, int *ret_status) \
	{                                                                   \
		return each(in, function, ret_status);                      \
	}
VERB(start, start)
VERB(stop, stop)
VERB(restart, restart)
VERB(pause, pause_all)
VERB(unpause, unpause_all)
VERB(rm, rm)

static struct err *run_kill(struct invocation *in, int *ret_status)
{
	const struct verb_flags *f = in->options;
	int signum;

	TRY(signal_parse(f->signal, &signum));
	return each(in, kill_all, ret_status);
}

#define ALL_FLAG                                                                                          \
	{                                                                                                 \
		FLAG_BOOL_FIELD(struct verb_flags, all), .name = "all", .letter = 'a', .help = "All pods" \
	}
#define TIME_FLAG                                                                                         \
	{                                                                                                 \
		FLAG_INT_FIELD(struct verb_flags, timeout),                                               \
			.name = "time", .letter = 't', .metavar = "seconds", .min = -1, .max = INT32_MAX, \
			.help = "Seconds to wait before killing (default: each one's own)"                \
	}
#define IGNORE_FLAG                                                                                       \
	{                                                                                                 \
		FLAG_BOOL_FIELD(struct verb_flags, ignore), .name = "ignore", .letter = 'i',              \
							    .help = "Do not mind one that does not exist" \
	}
static const struct flag all_flags[] = {ALL_FLAG, {0}};
static const struct flag stop_flags[] = {ALL_FLAG, IGNORE_FLAG, TIME_FLAG, {0}};
static const struct flag rm_flags[] = {ALL_FLAG,
				       {FLAG_BOOL_FIELD(struct verb_flags, force), .name = "force",
					.letter = 'f', .help = "Stop running containers too"},
				       IGNORE_FLAG,
				       TIME_FLAG,
				       {0}};
static const struct flag kill_flags[] = {ALL_FLAG,
					 {FLAG_STRING_FIELD(struct verb_flags, signal), .name = "signal",
					  .letter = 's', .help = "Signal to send (KILL)"},
					 {0}};

#define POD_COMMAND(id, words, text, table)                                              \
	const struct command cmd_pod_##id = {                                            \
		.name = "pod " words,                                                    \
		.summary = text,                                                         \
		.usage = "[OPTIONS] POD [POD...]",                                       \
		.flags = table,                                                          \
		.options_size = sizeof(struct verb_flags),                               \
		.defaults = &(const struct verb_flags){.timeout = -1, .signal = "KILL"}, \
		.max_args = ARGS_UNLIMITED,                                              \
		.args_values = "!pods",                                                  \
		.traits = COMMAND_LOCAL,                                                 \
		.run = run_##id,                                                         \
	}
POD_COMMAND(start, "start", "Start pods and their containers", all_flags);
POD_COMMAND(stop, "stop", "Stop the containers of pods, and the pods", stop_flags);
POD_COMMAND(restart, "restart", "Stop pods and start them again", all_flags);
POD_COMMAND(kill, "kill", "Send a signal to the containers of pods", kill_flags);
POD_COMMAND(pause, "pause", "Freeze the containers of pods", all_flags);
POD_COMMAND(unpause, "unpause", "Let the containers of pods go on", all_flags);
POD_COMMAND(rm, "rm", "Remove pods with their containers", rm_flags);

/* -- prune ---------------------------------------------------------------------------------------------------------- */

static struct err *run_prune(struct invocation *in, int *ret_status)
{
	struct container **list = NULL;
	struct engine *e;
	size_t n = 0;

	TRY(cli_engine(&e));
	TRY(pod_list(e, &list, &n));
	for (size_t i = 0; i < n; i++) {
		struct container **members = NULL;
		size_t n_members = 0;
		_cleanup_err_ struct err *failed = pod_members(e, list[i], &members, &n_members);
		bool over = !failed && str_eq(pod_status(list[i], members, n_members), "Exited");
		containers_free(members, n_members);
		if (over)
			failed = pod_remove(e, list[i], false, -1);
		if (over && !failed)
			puts(list[i]->id);
		if (failed) {
			command_report(in, failed);
			*ret_status = 1;
		}
	}
	containers_free(list, n);
	return NULL;
}

const struct command cmd_pod_prune = {
	.name = "pod prune",
	.summary = "Remove pods that have ended, with their containers",
	.usage = "[OPTIONS]",
	.flags = (const struct flag[]){{FLAG_BOOL_FIELD(struct verb_flags, force), .name = "force",
					.letter = 'f', .help = "It never asks"},
				       {0}},
	.options_size = sizeof(struct verb_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_prune,
};

/* -- top, logs ------------------------------------------------------------------------------------------------------ */

static struct err *append_cells(const struct json_cursor *row, struct strbuf *out)
{
	for (size_t i = 0, n = json_array_len(row); i < n; i++) {
		const char *s;
		struct json_cursor cell = json_at(row, i);
		TRY(json_as_string(&cell, &s));
		strbuf_printf(out, "%s%s", i ? "\t" : "", s);
	}
	strbuf_putc(out, '\n');
	return NULL;
}

static struct err *append_top(struct engine *e, struct container *c, char *const *ps_args,
			      struct strbuf *lines)
{
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor root, titles, processes;

	TRY(container_top(e, c, ps_args, &doc));
	root = json_root(doc);
	TRY(json_get_array(&root, "Titles", JSON_REQUIRED, &titles));
	TRY(json_get_array(&root, "Processes", JSON_REQUIRED, &processes));
	if (!lines->len)
		TRY(append_cells(&titles, lines));
	for (size_t i = 0, n = json_array_len(&processes); i < n; i++) {
		struct json_cursor row = json_at(&processes, i);
		TRY(append_cells(&row, lines));
	}
	return NULL;
}

static struct err *run_top(struct invocation *in, int *ret_status)
{
	_cleanup_container_ struct container *pod = NULL;
	_cleanup_strbuf_ struct strbuf lines = {0}, aligned = {0};
	struct container **list = NULL;
	struct err *error = NULL;
	struct engine *e;
	size_t n = 0;

	(void)ret_status;
	TRY(cli_engine(&e));
	TRY(pod_find(e, in->args[0], &pod));
	if (!is_up(pod))
		return err_new(ERR_STATE, "pod %s is not running", pod->name);
	TRY(append_top(e, pod, in->args + 1, &lines));
	TRY(pod_members(e, pod, &list, &n));
	for (size_t i = 0; i < n && !error; i++)
		if (is_up(list[i]))
			error = append_top(e, list[i], in->args + 1, &lines);
	containers_free(list, n);
	TRY(error);
	table_align(strbuf_str(&lines), 20, &aligned);
	fputs(strbuf_str(&aligned), stdout);
	return NULL;
}

const struct command cmd_pod_top = {
	.name = "pod top",
	.summary = "Show the processes of a pod",
	.usage = "POD [PS OPTIONS]",
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!pods",
	.traits = COMMAND_LOCAL | COMMAND_STOP_AT_ARGUMENT,
	.run = run_top,
};

struct logs_flags {
	bool follow, timestamps, names;
	const char *container, *tail;
};

struct printer {
	const char *prefix; /* of each line; NULL: none */
	bool timestamps;
};

static struct err *print_line(void *user, int stream, int64_t time_ns, const char *data, size_t size)
{
	const struct printer *p = user;
	FILE *out = stream == 2 ? stderr : stdout;
	char time[TIMESTAMP_STRING_MAX];

	if (p->prefix)
		fprintf(out, "%s ", p->prefix);
	if (p->timestamps) {
		timestamp_format(time_ns, time);
		fprintf(out, "%s ", time);
	}
	fwrite(data, 1, size, out);
	if (p->prefix && size && data[size - 1] != '\n')
		fputc('\n', out);
	fflush(out);
	return NULL;
}

static struct err *logs_of(struct engine *e, struct container **list, size_t n, const struct logs_flags *f)
{
	struct log_options o = {.follow = f->follow, .stdout_ = true, .stderr_ = true, .tail = -1};
	size_t shown = 0;

	if (!str_eq(f->tail, "all"))
		TRY(parse_i64(f->tail, "--tail", 0, INT64_MAX, &o.tail));
	for (size_t i = 0; i < n; i++) {
		struct container *c = list[i];
		struct printer p = {.timestamps = f->timestamps};
		if (f->container && !str_eq(c->name, f->container) && !str_starts(c->id, f->container))
			continue;
		p.prefix = n == 1 || f->container ? NULL : f->names ? c->name : short_id(c->id);
		TRY(container_logs(e, c, &o, print_line, &p));
		shown++;
	}
	if (f->container && !shown)
		return err_new(ERR_NOT_FOUND, "the pod has no container %s", f->container);
	return NULL;
}

static struct err *run_logs(struct invocation *in, int *ret_status)
{
	const struct logs_flags *f = in->options;
	_cleanup_container_ struct container *pod = NULL;
	struct container **list = NULL;
	struct engine *e;
	size_t n = 0;

	(void)ret_status;
	TRY(cli_engine(&e));
	TRY(pod_find(e, in->args[0], &pod));
	TRY(pod_members(e, pod, &list, &n));
	struct err *error = f->follow && n > 1 && !f->container
				    ? err_new(ERR_UNSUPPORTED,
					      "--follow goes with one container: the pod has %zu, choose one "
					      "with --container",
					      n)
				    : logs_of(e, list, n, f);
	containers_free(list, n);
	return error;
}

const struct command cmd_pod_logs = {
	.name = "pod logs",
	.summary = "Print what the containers of a pod have written",
	.usage = "[OPTIONS] POD",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct logs_flags, container), .name = "container", .letter = 'c',
			 .help = "Only of this container", .values = "!containers"},
			{FLAG_BOOL_FIELD(struct logs_flags, follow), .name = "follow", .letter = 'f',
			 .help = "Go on with what comes, until the container ends"},
			{FLAG_BOOL_FIELD(struct logs_flags, names), .name = "names", .letter = 'n',
			 .help = "Name the containers instead of their ids"},
			{FLAG_STRING_FIELD(struct logs_flags, tail), .name = "tail", .metavar = "lines",
			 .help = "Only so many lines at the end (all)"},
			{FLAG_BOOL_FIELD(struct logs_flags, timestamps), .name = "timestamps", .letter = 't',
			 .help = "Print the time of each line"},
			{0}},
	.options_size = sizeof(struct logs_flags),
	.defaults = &(const struct logs_flags){.tail = "all"},
	.min_args = 1,
	.max_args = 1,
	.args_values = "!pods",
	.traits = COMMAND_LOCAL,
	.run = run_logs,
};
