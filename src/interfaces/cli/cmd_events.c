// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/moment.h"
#include "cli.h"
#include "commands.h"
#include "engine/events.h"

struct events_flags {
	const char *since, *until, *format;
	char **filters;
};

/* "2026-01-02T15:04:05.000000000+01:00", local time as docker prints it. Caller frees. */
static char *local_time(int64_t ns)
{
	time_t s = (time_t)(ns / 1000000000);
	char date[32], zone[16];
	struct tm tm;

	localtime_r(&s, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	if (strlen(zone) != 5)
		return xasprintf("%s.%09lldZ", date, (long long)(ns % 1000000000));
	return xasprintf("%s.%09lld%.3s:%s", date, (long long)(ns % 1000000000), zone, zone + 3);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "key=value, key=value", sorted. */
static struct err *attributes_text(const struct json_cursor *actor, char **ret)
{
	_cleanup_strv_ char **pairs = NULL;
	struct json_cursor attributes, member;

	TRY(json_get_object(actor, "Attributes", JSON_OPTIONAL, &attributes));
	for (struct json_iter it = json_iter(&attributes); json_next(&it, &member);) {
		const char *value = NULL;
		TRY(json_as_string(&member, &value));
		strv_push_take(&pairs, xasprintf("%s=%s", member.key, value));
	}
	if (pairs)
		qsort(pairs, strv_len(pairs), sizeof(*pairs), compare);
	*ret = strv_join(pairs, ", ") ?: xstrdup("");
	return NULL;
}

static struct err *print_line(struct json *event)
{
	struct json_cursor root = json_root(event), actor;
	const char *type, *action, *id;
	_cleanup_free_ char *attributes = NULL;
	int64_t ns;

	TRY(json_get_string(&root, "Type", JSON_REQUIRED, &type));
	TRY(json_get_string(&root, "Action", JSON_REQUIRED, &action));
	TRY(json_get_i64(&root, "timeNano", JSON_REQUIRED, 0, INT64_MAX, &ns));
	TRY(json_get_object(&root, "Actor", JSON_REQUIRED, &actor));
	TRY(json_get_string(&actor, "ID", JSON_REQUIRED, &id));
	TRY(attributes_text(&actor, &attributes));
	_cleanup_free_ char *time = local_time(ns);
	printf("%s %s %s %s%s%s%s\n", time, type, action, id, *attributes ? " (" : "", attributes,
	       *attributes ? ")" : "");
	return NULL;
}

/* Go's names of the members beside the API's. */
static void add_names(struct json *event)
{
	static const char *const names[][2] = {{"status", "Status"}, {"id", "ID"},
					       {"from", "From"},     {"scope", "Scope"},
					       {"time", "Time"},     {"timeNano", "TimeNano"}};
	struct json_cursor root = json_root(event), value;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		err_free(json_get(&root, names[i][0], JSON_OPTIONAL, &value));
		json_set(event, names[i][1], value.value ? json_ref(value.value) : json_new_string(""));
	}
}

static struct err *print_event(void *user, struct json *event)
{
	const struct events_flags *f = user;
	struct err *e = NULL;

	if (!f->format) {
		e = print_line(event);
	} else if (str_eq(f->format, "json") || str_eq(f->format, "{{json .}}")) {
		_cleanup_free_ char *text = json_print(event, JSON_COMPACT);
		puts(text);
	} else {
		add_names(event);
		e = format_object(f->format, event);
	}
	if (!e && (fflush(stdout) != 0 || ferror(stdout)))
		e = err_errno(errno, "cannot write the output");
	return e;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct events_flags *f = in->options;
	struct event_query q = {.filters = f->filters};
	struct engine *e;

	if (f->since)
		TRY(moment_parse(f->since, "--since", &q.since_ns));
	if (f->until)
		TRY(moment_parse(f->until, "--until", &q.until_ns));
	TRY(cli_engine(&e));
	return events_read(e, &q, -1, print_event, f);
}

const struct command cmd_events = {
	.name = "events",
	.aliases = ALIASES("system events"),
	.summary = "Show what happens to containers, images, volumes and networks",
	.usage = "[OPTIONS]",
	.help = "Goes on until it is interrupted, or until --until. What happened before is shown with "
		"--since; the last few "
		"megabytes of events are kept, also over a restart of the machine.\n\n"
		"Filters: container, image, network and volume take a name, an id or the beginning of one; "
		"event an "
		"action (start, die, exec_create, …); type; label; scope. Several filters of one key mean "
		"any of them.",
	.examples = "# what happened in the last hour\nPROGRAM events --since 1h --until 0s\n"
		    "# ends of one container, as JSON\nPROGRAM events --filter container=web --filter "
		    "event=die --format json",
	.flags =
		(const struct flag[]){
			{FLAG_LIST_FIELD(struct events_flags, filters), .name = "filter", .letter = 'f',
			 .metavar = "key=value", .help = "Only events that match"},
			{FLAG_STRING_FIELD(struct events_flags, format), .name = "format",
			 .metavar = "format", .help = "json, or a Go template"},
			{FLAG_STRING_FIELD(struct events_flags, since), .name = "since", .metavar = "time",
			 .help = "Also what happened since then (2026-01-02T15:04:05Z, 10m)"},
			{FLAG_STRING_FIELD(struct events_flags, until), .name = "until", .metavar = "time",
			 .help = "End then"},
			{0},
		},
	.options_size = sizeof(struct events_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run,
};
