// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "cli.h"
#include "commands.h"
#include "engine/container_filter.h"
#include "engine/events.h"
#include "engine/network.h"

struct ps_flags {
	bool all, latest, no_trunc, quiet, size, pod, watch;
	int64_t last;
	char **filters;
	const char *format;
};

struct list {
	struct container **items;
	size_t n;
};

static void list_release(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		container_free(l->items[i]);
	free(l->items);
}

/* "/host/path,volume": the sources, as docker lists them. */
static char *mounts_text(const struct container *c, bool no_trunc)
{
	struct strbuf b = {0};

	for (size_t i = 0; c->spec && i < c->spec->n_mounts; i++) {
		const char *source = c->spec->mounts[i].source;
		if (!source)
			continue;
		if (b.len)
			strbuf_putc(&b, ',');
		if (no_trunc || strlen(source) <= 15)
			strbuf_puts(&b, source);
		else
			strbuf_printf(&b, "%.14s…", source);
	}
	return strbuf_take(&b);
}

/* ",": between names; caller frees. */
static char *networks_text(struct engine *e, const struct container *c)
{
	_cleanup_strv_ char **names = NULL;

	err_free(container_networks(e, c, &names)); /* one that is being removed has none */
	return names ? strv_join(names, ",") : xstrdup("");
}

/* "12.3kB (virtual 80MB)": what it wrote, and that with its image. Caller frees. */
static char *size_text(struct engine *e, const struct container *c)
{
	uint64_t own, whole;
	struct err *gone = container_size(e, c, &own, &whole);

	if (gone) { /* while it is being removed */
		err_free(gone);
		return xstrdup("0B");
	}
	_cleanup_free_ char *a = format_size(own), *b = format_size(whole);
	return xasprintf("%s (virtual %s)", a, b);
}

static size_t local_volumes(const struct container *c)
{
	size_t n = 0;

	for (size_t i = 0; c->spec && i < c->spec->n_mounts; i++)
		n += c->spec->mounts[i].type == MOUNT_VOLUME;
	return n;
}

static void set_moment(struct json *row, const char *key, int64_t ns)
{
	char text[TIMESTAMP_STRING_MAX] = "";

	if (ns)
		timestamp_format(ns, text);
	json_set_string(row, key, text);
}

/* What podman's templates have besides; `--format json` stays docker's. */
static void add_podman(struct json *row, const struct container *c)
{
	_cleanup_free_ char *created = ago(c->created_ns);

	json_set_string(row, "Created", created);
	json_set_string(row, "CreatedHuman", created);
	json_set_i64(row, "ExitCode", c->exit_code);
	json_set_bool(row, "Exited", c->status == CONTAINER_EXITED);
	set_moment(row, "ExitedAt", c->finished_ns);
	json_set_string(row, "ImageID", digest_is_set(&c->image) ? short_id(c->image.s) : "");
	json_set_bool(row, "IsInfra", false);
	json_set_i64(row, "Pid", c->pid);
	json_set_i64(row, "Restarts", c->restarts);
	set_moment(row, "StartedAt", c->started_ns);
}

static struct json *row_of(struct engine *e, const struct container *c, const struct ps_flags *f)
{
	bool no_trunc = f->no_trunc;
	struct json *row = json_new_object();
	_cleanup_free_ char *command = command_text(c->command, no_trunc),
			    *created = local_date(c->created_ns);
	_cleanup_free_ char *running_for = ago(c->created_ns), *status = container_status_text(c),
			    *labels = strv_join(c->labels, ",");
	_cleanup_free_ char *mounts = mounts_text(c, no_trunc), *networks = networks_text(e, c),
			    *ports = NULL;

	err_free(container_ports_text(e, c, &ports));

	json_set_string(row, "Command", command);
	json_set_string(row, "CreatedAt", created);
	json_set_string(row, "ID", no_trunc ? c->id : short_id(c->id));
	json_set_string(row, "Image", c->image_name ? c->image_name : short_id(c->image.s));
	json_set_string(row, "Labels", labels ? labels : "");
	_cleanup_free_ char *volumes = xasprintf("%zu", local_volumes(c));
	json_set_string(row, "LocalVolumes", volumes);
	json_set_string(row, "Mounts", mounts);
	json_set_string(row, "Names", c->name);
	json_set_string(row, "Networks", networks);
	const char *pod = c->spec && c->spec->pod ? c->spec->pod : "";
	json_set_string(row, "Pod", f->no_trunc || !*pod ? pod : short_id(pod));
	if (f->pod || (f->format && strstr(f->format, ".PodName"))) {
		_cleanup_container_ struct container *sandbox = NULL;
		if (*pod)
			err_free(container_find(e, pod, &sandbox));
		json_set_string(row, "PodName", sandbox ? sandbox->name : "");
	} else {
		json_set_string(row, "PodName", "");
	}
	json_set_string(row, "Ports", ports ? ports : "");
	json_set_string(row, "RunningFor", running_for);
	bool sized = f->size || (f->format && strstr(f->format, ".Size"));
	_cleanup_free_ char *size = sized ? size_text(e, c) : xstrdup("0B");
	json_set_string(row, "Size", size);
	json_set_string(row, "State", container_status_name(c->status));
	json_set_string(row, "Status", status);
	if (f->format && strstr(f->format, "{{"))
		add_podman(row, c);
	return row;
}

/* Those that match, `last` of them at most (0: any number). */
static void keep(struct list *l, const struct container_filter *f, int64_t last)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (container_filter_matches(f, l->items[i]) && (last <= 0 || (int64_t)kept < last))
			l->items[kept++] = l->items[i];
		else
			container_free(l->items[i]);
	}
	l->n = kept;
}

static char *label_of(void *user, size_t row, const char *key)
{
	const struct list *l = user;
	const char *value = env_get(l->items[row]->labels, key);
	return value ? xstrdup(value) : NULL;
}

static const struct format_field fields[] = {
	{"Command", "COMMAND"},
	{"Created", "CREATED"},
	{"CreatedAt", "CREATED AT"},
	{"CreatedHuman", "CREATED"},
	{"ExitCode", "EXIT CODE"},
	{"Exited", "EXITED"},
	{"ExitedAt", "EXITED AT"},
	{"ID", "CONTAINER ID"},
	{"Image", "IMAGE"},
	{"ImageID", "IMAGE ID"},
	{"IsInfra", "IS INFRA"},
	{"Labels", "LABELS"},
	{"LocalVolumes", "LOCAL VOLUMES"},
	{"Mounts", "MOUNTS"},
	{"Names", "NAMES"},
	{"Networks", "NETWORKS"},
	{"Pid", "PID"},
	{"Pod", "POD ID"},
	{"PodName", "PODNAME"},
	{"Ports", "PORTS"},
	{"Restarts", "RESTARTS"},
	{"RunningFor", "CREATED"},
	{"Size", "SIZE"},
	{"StartedAt", "STARTED AT"},
	{"State", "STATE"},
	{"Status", "STATUS"},
	{0},
};
static const struct format_table table_with_sizes = {
	.fields = fields,
	.columns = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
		   "\t{{.Size}}",
};
static const struct format_table table_with_pods = {
	.fields = fields,
	.columns = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
		   "\t{{.Pod}}\t{{.PodName}}",
};
static const struct format_table table = {
	.fields = fields,
	.columns = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
};

static struct err *show(struct engine *e, const struct ps_flags *f)
{
	_cleanup_container_filter_ struct container_filter *filter = NULL;
	_cleanup_(list_release) struct list l = {0};

	TRY(container_filter_new(e, f->filters, &filter));
	int64_t last = f->latest ? 1 : f->last;
	TRY(container_list(e, f->all || last > 0 || container_filter_about_status(filter), &l.items, &l.n));
	keep(&l, filter, last);
	if (f->quiet && !f->format) {
		for (size_t i = 0; i < l.n; i++)
			puts(f->no_trunc ? l.items[i]->id : short_id(l.items[i]->id));
		return NULL;
	}
	_cleanup_json_ struct json *rows = json_new_array();
	for (size_t i = 0; i < l.n; i++)
		json_append(rows, row_of(e, l.items[i], f));
	return format_rows(f->format,
			   f->pod    ? &table_with_pods
			   : f->size ? &table_with_sizes
				     : &table,
			   rows, label_of, &l);
}

/* -- --watch --- */

struct watching {
	struct engine *e;
	const struct ps_flags *f;
};

static struct err *show_again(void *user, struct json *event)
{
	const struct watching *w = user;
	static bool shown;

	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	else if (shown)
		putchar('\n');
	shown = true;
	TRY(show(w->e, w->f));
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_errno(errno, "cannot write the output");
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct ps_flags *f = in->options;
	struct watching w = {.f = f};
	/* What only looks at a container changes nothing here. */
	_cleanup_strv_ char **filters = strv_split(
		"type=container event=create event=start event=die event=destroy event=pause event=unpause "
		"event=rename event=health_status event=stop",
		" ");
	/* From before the first look, so that nothing falls between. */
	const struct event_query q = {.filters = filters, .since_ns = timestamp_now_ns()};

	TRY(cli_engine(&w.e));
	if (!f->watch)
		return show(w.e, f);
	TRY(show_again(&w, NULL));
	return events_read(w.e, &q, -1, show_again, &w);
}

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct ps_flags, all), .name = "all", .letter = 'a',
	 .help = "Show those that do not run, too"},
	{FLAG_LIST_FIELD(struct ps_flags, filters), .name = "filter", .letter = 'f', .metavar = "key=value",
	 .help = "Show only what matches (name, id, status, label, ancestor, exited, before, since, until, "
		 "volume, "
		 "network, publish, expose, health, pod, command, restart-policy, …)",
	 .values = "ancestor= before= command= exited= expose= health= id= label= label!= name= network= "
		   "pod= publish= "
		   "restart-policy= since= should-start-on-boot= status= until= volume="},
	{FLAG_STRING_FIELD(struct ps_flags, format), .name = "format", .metavar = "template",
	 .help = "Print with a template ({{.Names}}), as \"table TEMPLATE\", or as json",
	 .values = "json table"},
	{FLAG_INT_FIELD(struct ps_flags, last), .name = "last", .letter = 'n', .min = -1, .max = INT32_MAX,
	 .help = "Show the last n made, in any state"},
	{FLAG_BOOL_FIELD(struct ps_flags, latest), .name = "latest", .letter = 'l',
	 .help = "Show the last one made"},
	{FLAG_BOOL_FIELD(struct ps_flags, no_trunc), .name = "no-trunc", .help = "Shorten nothing"},
	{FLAG_BOOL_FIELD(struct ps_flags, pod), .name = "pod", .letter = 'p',
	 .help = "Show the pods they are in"},
	{FLAG_BOOL_FIELD(struct ps_flags, quiet), .name = "quiet", .letter = 'q', .help = "Print ids only"},
	{FLAG_BOOL_FIELD(struct ps_flags, watch), .name = "watch", .letter = 'w',
	 .help = "Show again whenever something happens to a container"},
	{FLAG_BOOL_FIELD(struct ps_flags, size), .name = "size", .letter = 's',
	 .help = "Show how much they have written"},
	{0},
};

const struct command cmd_ps = {
	.name = "ps",
	.aliases = ALIASES("container ls", "container list", "container ps"),
	.summary = "List containers",
	.usage = "[OPTIONS]",
	.examples = "# the names of those that failed\nPROGRAM ps -a --filter status=exited --format "
		    "'{{.Names}}\\t{{.Status}}'",
	.flags = flags,
	.options_size = sizeof(struct ps_flags),
	.defaults = &(const struct ps_flags){.last = -1},
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run,
};
