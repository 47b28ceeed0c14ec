// SPDX-License-Identifier: Apache-2.0
/* system df: what images, containers and volumes take, as docker counts it. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli.h"
#include "command/terminal.h"
#include "commands.h"
#include "engine/usage.h"
#include "images/snapshot.h"

#define BAR_WIDTH 20

struct df_flags {
	bool verbose;
	const char *format;
};

struct line {
	const char *type;
	size_t total, active;
	uint64_t bytes, reclaimable;
};
enum { LINE_IMAGES, LINE_CONTAINERS, LINE_VOLUMES, LINE_CACHE, LINES };

struct df {
	struct usage usage;
	uint64_t *container_bytes, *volume_bytes;
	struct line lines[LINES];
};

static void df_release(struct df *d)
{
	usage_release(&d->usage);
	free(d->container_bytes);
	free(d->volume_bytes);
}

static bool is_running(const struct container *c)
{
	return c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED;
}

static void count_images(struct df *d, struct line *l)
{
	const struct usage *u = &d->usage;

	*l = (struct line){"Images", u->n_images, 0, u->images_total, u->images_reclaimable};
	for (size_t i = 0; i < u->n_images; i++)
		l->active += u->containers_of_image[i] > 0;
}

static void count_containers(struct df *d, struct store *s, struct line *l)
{
	const struct usage *u = &d->usage;

	*l = (struct line){.type = "Containers", .total = u->n_containers};
	d->container_bytes = xnew_array(uint64_t, u->n_containers + 1);
	for (size_t i = 0; i < u->n_containers; i++) {
		/* One that is being removed takes nothing. */
		err_free(snapshot_usage(s, u->containers[i]->id, &d->container_bytes[i]));
		l->bytes += d->container_bytes[i];
		if (is_running(u->containers[i]))
			l->active++;
		else
			l->reclaimable += d->container_bytes[i];
	}
}

static void count_volumes(struct df *d, struct line *l)
{
	const struct usage *u = &d->usage;

	*l = (struct line){.type = "Local Volumes", .total = u->n_volumes};
	d->volume_bytes = xnew_array(uint64_t, u->n_volumes + 1);
	for (size_t i = 0; i < u->n_volumes; i++) {
		d->volume_bytes[i] = volume_bytes(&u->volumes[i]);
		l->bytes += d->volume_bytes[i];
		if (u->volumes[i].links)
			l->active++;
		else
			l->reclaimable += d->volume_bytes[i];
	}
}

/* -- the summary -------------------------------------------------------------------------------------------------- */

/* What is in use, then what can be had back, beside the largest. */
static char *bar(const struct line *l, uint64_t largest, bool colours)
{
	struct strbuf b = {0};
	size_t whole = largest ? (size_t)((double)l->bytes / (double)largest * BAR_WIDTH + 0.5) : 0;
	size_t spare =
		l->bytes ? (size_t)((double)l->reclaimable / (double)l->bytes * (double)whole + 0.5) : 0;

	if (colours)
		strbuf_puts(&b, "\033[32m");
	for (size_t i = 0; i < whole - spare; i++)
		strbuf_puts(&b, "█");
	if (colours)
		strbuf_puts(&b, "\033[33m");
	for (size_t i = 0; i < spare; i++)
		strbuf_puts(&b, "░");
	if (colours)
		strbuf_puts(&b, "\033[0m");
	return strbuf_take(&b);
}

static struct json *summary_rows(const struct df *d, bool colours)
{
	struct json *rows = json_new_array();
	uint64_t largest = 0;

	for (size_t i = 0; i < LINES; i++)
		largest = MAX(largest, d->lines[i].bytes);
	for (size_t i = 0; i < LINES; i++) {
		const struct line *l = &d->lines[i];
		struct json *row = json_new_object();
		_cleanup_free_ char *total = xasprintf("%zu", l->total),
				    *active = xasprintf("%zu", l->active);
		_cleanup_free_ char *size = format_size(l->bytes), *spare = format_size(l->reclaimable);
		_cleanup_free_ char *reclaimable =
			l->bytes ? xasprintf("%s (%" PRIu64 "%%)", spare, l->reclaimable * 100 / l->bytes)
				 : xstrdup(spare);
		_cleanup_free_ char *drawn = bar(l, largest, colours);
		json_set_string(row, "Active", active);
		json_set_string(row, "Reclaimable", reclaimable);
		json_set_string(row, "Size", size);
		json_set_string(row, "TotalCount", total);
		json_set_string(row, "Type", l->type);
		json_set_string(row, "Bar", drawn);
		json_append(rows, row);
	}
	return rows;
}

static const struct format_field summary_fields[] = {
	{"Active", "ACTIVE"},
	{"Bar", "IN USE █  RECLAIMABLE ░"},
	{"Reclaimable", "RECLAIMABLE"},
	{"Size", "SIZE"},
	{"TotalCount", "TOTAL"},
	{"Type", "TYPE"},
	{0},
};

static struct err *print_summary(const struct df *d, const char *format)
{
	bool bars = !format && isatty(STDOUT_FILENO);
	struct format_table table = {
		.fields = summary_fields,
		.columns = bars ? "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}\t{{."
				  "Bar}}"
				: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"};
	_cleanup_json_ struct json *rows = summary_rows(d, bars && terminal_colours(STDOUT_FILENO));
	struct json_cursor all = json_root(rows);

	/* docker's objects have no bar. */
	for (size_t i = 0, n = str_eq(format, "json") ? json_array_len(&all) : 0; i < n; i++) {
		struct json_cursor row = json_at(&all, i);
		json_remove(row.value, "Bar");
	}
	return format_rows(format, &table, rows, NULL, NULL);
}

/* -- the details -------------------------------------------------------------------------------------------------- */

static void add_image_row(const struct df *d, size_t i, const char *name, struct json *rows)
{
	const struct image *image = d->usage.images[i];
	const struct image_usage *use = &d->usage.image_usage[i];
	_cleanup_free_ char *size = format_size(use->shared + use->unique),
			    *shared = format_size(use->shared), *unique = format_size(use->unique);
	_cleanup_free_ char *containers = xasprintf("%zu", d->usage.containers_of_image[i]);
	_cleanup_free_ char *since = image->created_ns > 0 ? ago(image->created_ns) : xstrdup("N/A"),
			    *created = local_date(image->created_ns);
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	struct json *row = json_new_object();

	struct err *bad = name ? reference_parse(name, &r) : NULL;
	_cleanup_free_ char *repository = name && !bad ? reference_familiar_name(&r) : xstrdup("<none>");
	json_set_string(row, "Containers", containers);
	json_set_string(row, "CreatedAt", created);
	json_set_string(row, "CreatedSince", since);
	json_set_string(row, "ID", short_id(image->id.s));
	json_set_string(row, "Repository", repository);
	json_set_string(row, "SharedSize", shared);
	json_set_string(row, "Size", size);
	json_set_string(row, "Tag", name && !bad && r.tag ? r.tag : "<none>");
	json_set_string(row, "UniqueSize", unique);
	json_append(rows, row);
	err_free(bad);
}

static struct json *image_rows(const struct df *d)
{
	struct json *rows = json_new_array();

	for (size_t i = 0; i < d->usage.n_images; i++) {
		if (!d->usage.images[i]->names)
			add_image_row(d, i, NULL, rows);
		STRV_FOREACH (name, d->usage.images[i]->names)
			add_image_row(d, i, *name, rows);
	}
	return rows;
}

static struct json *container_rows(const struct df *d)
{
	struct json *rows = json_new_array();

	for (size_t i = 0; i < d->usage.n_containers; i++) {
		const struct container *c = d->usage.containers[i];
		size_t n_volumes = 0;
		for (size_t k = 0; k < c->spec->n_mounts; k++)
			n_volumes += c->spec->mounts[k].type == MOUNT_VOLUME;
		_cleanup_free_ char *size = format_size(d->container_bytes[i]),
				    *command = command_text(c->command, false);
		_cleanup_free_ char *since = ago(c->created_ns), *status = container_status_text(c);
		_cleanup_free_ char *volumes = xasprintf("%zu", n_volumes);
		struct json *row = json_new_object();
		json_set_string(row, "Command", command);
		json_set_string(row, "ID", short_id(c->id));
		json_set_string(row, "Image", c->image_name ? c->image_name : short_id(c->image.s));
		json_set_string(row, "LocalVolumes", volumes);
		json_set_string(row, "Names", c->name);
		json_set_string(row, "RunningFor", since);
		json_set_string(row, "Size", size);
		json_set_string(row, "Status", status);
		json_append(rows, row);
	}
	return rows;
}

static struct json *volume_rows(const struct df *d)
{
	struct json *rows = json_new_array();

	for (size_t i = 0; i < d->usage.n_volumes; i++) {
		_cleanup_free_ char *size = format_size(d->volume_bytes[i]),
				    *links = xasprintf("%zu", d->usage.volumes[i].links);
		struct json *row = json_new_object();
		json_set_string(row, "Links", links);
		json_set_string(row, "Name", d->usage.volumes[i].name);
		json_set_string(row, "Size", size);
		json_append(rows, row);
	}
	return rows;
}

static const struct format_field detail_fields[] = {
	{"Command", "COMMAND"},
	{"Containers", "CONTAINERS"},
	{"CreatedSince", "CREATED"},
	{"Image", "IMAGE"},
	{"Links", "LINKS"},
	{"LocalVolumes", "LOCAL VOLUMES"},
	{"Names", "NAMES"},
	{"Repository", "REPOSITORY"},
	{"RunningFor", "CREATED"},
	{"SharedSize", "SHARED SIZE"},
	{"Size", "SIZE"},
	{"Status", "STATUS"},
	{"Tag", "TAG"},
	{"UniqueSize", "UNIQUE SIZE"},
	{"ID", "IMAGE ID"},
	{"Name", "VOLUME NAME"},
	{"ContainerID", "CONTAINER ID"},
	{0},
};

static struct err *print_table(const char *columns, struct json *rows)
{
	const struct format_table table = {.fields = detail_fields, .columns = columns};

	return format_rows(NULL, &table, rows, NULL, NULL);
}

static struct err *print_details(const struct df *d, const char *format)
{
	_cleanup_json_ struct json *all = json_new_object();
	struct json *images = image_rows(d), *containers = container_rows(d), *volumes = volume_rows(d);

	json_set(all, "Images", images);
	json_set(all, "Containers", containers);
	json_set(all, "Volumes", volumes);
	json_set(all, "BuildCache", json_new_array());
	if (format)
		return format_object(format, all);
	puts("Images space usage:\n");
	TRY(print_table("{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t"
			"{{.UniqueSize}}\t{{.Containers}}",
			images));
	puts("\nContainers space usage:\n");
	/* The same field under docker's other heading. */
	struct json_cursor c = json_root(containers);
	for (size_t i = 0, n = json_array_len(&c); i < n; i++) {
		struct json_cursor row = json_at(&c, i);
		const char *id = "";
		TRY(json_get_string(&row, "ID", JSON_REQUIRED, &id));
		json_set_string(row.value, "ContainerID", id);
	}
	TRY(print_table(
		"{{.ContainerID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t"
		"{{.Status}}\t{{.Names}}",
		containers));
	puts("\nLocal Volumes space usage:\n");
	TRY(print_table("{{.Name}}\t{{.Links}}\t{{.Size}}", volumes));
	puts("\nBuild cache usage: 0B");
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct df_flags *f = in->options;
	_cleanup_(df_release) struct df d = {0};
	struct engine *e;
	struct store *s;

	TRY(cli_engine(&e));
	TRY(engine_store(e, &s));
	TRY(usage_read(e, USAGE_IMAGES | USAGE_CONTAINERS | USAGE_VOLUMES, &d.usage));
	count_images(&d, &d.lines[LINE_IMAGES]);
	count_containers(&d, s, &d.lines[LINE_CONTAINERS]);
	count_volumes(&d, &d.lines[LINE_VOLUMES]);
	d.lines[LINE_CACHE] = (struct line){.type = "Build Cache"};
	return f->verbose ? print_details(&d, f->format) : print_summary(&d, f->format);
}

const struct command cmd_system_df = {
	.name = "system df",
	.summary = "Show what images, containers and volumes take on the disk",
	.usage = "[OPTIONS]",
	.help = "A layer that several images have is counted once. RECLAIMABLE is what havre system prune "
		"--all --volumes "
		"could give back: layers of images that no container was made from, stopped containers, "
		"volumes that no "
		"container has.",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct df_flags, format), .name = "format", .metavar = "template",
			 .help = "Print with a template ({{.Type}}), as \"table TEMPLATE\", or as json",
			 .values = "json table"},
			{FLAG_BOOL_FIELD(struct df_flags, verbose), .name = "verbose", .letter = 'v',
			 .help = "Show each image, container and volume"},
			{0},
		},
	.options_size = sizeof(struct df_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run,
};
