// SPDX-License-Identifier: Apache-2.0
/* history and image tree: how an image came about, and what its layers are shared with. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "cli.h"
#include "commands.h"
#include "images/history.h"
#include "images/usage.h"

#define CREATED_BY_WIDTH 45

struct history_flags {
	bool human, no_trunc, quiet;
	const char *format;
};

/* One line, and no terminal's commands. */
static char *one_line(const char *s, size_t width)
{
	char *line = xstrdup(s);
	size_t columns = 0;

	for (char *c = line; *c; c++)
		if (*c == '\t' || *c == '\n' || *c == '\r')
			*c = ' ';
	str_hide_controls(line);
	for (char *c = line; width && *c; c++) {
		if (((unsigned char)*c & 0xc0) != 0x80 && ++columns > width - 1 && strlen(c) > 1) {
			char *cut = xasprintf("%.*s…", (int)(c - line), line);
			free(line);
			return cut;
		}
	}
	return line;
}

static struct json *row_of(const struct history_flags *f, const struct image *i, const struct image_step *s,
			   bool top)
{
	struct json *row = json_new_object();
	_cleanup_free_ char *by = one_line(s->created_by, f->no_trunc ? 0 : CREATED_BY_WIDTH),
			    *comment = one_line(s->comment, 0);
	_cleanup_free_ char *size = f->human ? format_size(s->size) : xasprintf("%" PRIu64, s->size);
	int64_t created_ns = 0;

	struct err *e = *s->created ? timestamp_parse(s->created, &created_ns) : NULL;
	bool known = *s->created && !e;
	err_free(e);
	_cleanup_free_ char *since = known ? ago(created_ns) : xstrdup("N/A");
	json_set_string(row, "Comment", comment);
	json_set_string(row, "CreatedAt", known ? s->created : "");
	json_set_string(row, "CreatedBy", by);
	json_set_string(row, "CreatedSince", f->human ? since : known ? s->created : "");
	json_set_string(row, "ID", !top ? "<missing>" : f->no_trunc ? i->id.s : short_id(i->id.s));
	json_set_string(row, "Size", size);
	return row;
}

static const struct format_field fields[] = {
	{"Comment", "COMMENT"},
	{"CreatedAt", "CREATED AT"},
	{"CreatedBy", "CREATED BY"},
	{"CreatedSince", "CREATED"},
	{"ID", "IMAGE"},
	{"Size", "SIZE"},
	{0},
};

static struct err *run_history(struct invocation *in, int *ret_status)
{
	const struct history_flags *f = in->options;
	static const struct format_table table = {
		.fields = fields,
		.columns = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"};
	_cleanup_image_ struct image *image = NULL;
	_cleanup_free_ struct image_step *steps = NULL;
	_cleanup_json_ struct json *rows = json_new_array();
	struct store *s;
	size_t n = 0;

	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &image));
	TRY(image_history(s, image, &steps, &n));
	for (size_t k = n; k > 0; k--)
		json_append(rows, row_of(f, image, &steps[k - 1], k == n));
	if (f->quiet && !f->format)
		return format_rows("{{.ID}}", &table, rows, NULL, NULL);
	return format_rows(f->format, &table, rows, NULL, NULL);
}

const struct command cmd_history = {
	.name = "history",
	.aliases = ALIASES("image history"),
	.summary = "Show the steps that an image was made in",
	.usage = "[OPTIONS] IMAGE",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct history_flags, format), .name = "format",
			 .metavar = "template",
			 .help = "Print with a template ({{.CreatedBy}}), as \"table TEMPLATE\", or as json",
			 .values = "json table"},
			{FLAG_BOOL_FIELD(struct history_flags, human), .name = "human", .letter = 'H',
			 .help = "Sizes and dates for people (the default; --human=false: bytes and times)"},
			{FLAG_BOOL_FIELD(struct history_flags, no_trunc), .name = "no-trunc",
			 .help = "Shorten nothing"},
			{FLAG_BOOL_FIELD(struct history_flags, quiet), .name = "quiet", .letter = 'q',
			 .help = "Print ids only"},
			{0},
		},
	.options_size = sizeof(struct history_flags),
	.defaults = &(const struct history_flags){.human = true},
	.min_args = 1,
	.max_args = 1,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run_history,
};

/* -- image tree --------------------------------------------------------------------------------------------------- */

struct tree_flags {
	bool requires;
};

/* "[a:1 b:2]" of the images whose top is this layer, or NULL. */
static char *tops_of(struct image *const *all, size_t n, const struct digest *layer)
{
	struct strbuf b = {0};

	for (size_t i = 0; i < n; i++) {
		if (!all[i]->n_layers || !digest_equal(&all[i]->layers[all[i]->n_layers - 1], layer))
			continue;
		if (!all[i]->names)
			strbuf_printf(&b, "%s%s", b.len ? " " : "", short_id(all[i]->id.s));
		STRV_FOREACH (name, all[i]->names) {
			_cleanup_free_ char *familiar = familiar_name(*name);
			strbuf_printf(&b, "%s%s", b.len ? " " : "", familiar);
		}
	}
	return b.len ? strbuf_take(&b) : NULL;
}

static struct err *print_layers(struct store *s, const struct image *image, struct image *const *all,
				size_t n)
{
	puts("Image Layers");
	for (size_t k = 0; k < image->n_layers; k++) {
		uint64_t bytes;
		TRY(store_layer_size(s, &image->layers[k], &bytes));
		_cleanup_free_ char *size = format_size(bytes), *tops = tops_of(all, n, &image->layers[k]);
		printf("%s ID: %s Size: %7s", k + 1 < image->n_layers ? "├──" : "└──",
		       short_id(image->layers[k].s), size);
		if (tops)
			printf(" Top Layer of: [%s]", tops);
		putchar('\n');
	}
	return NULL;
}

/* Does `other` stand on all layers of `image`, and have more? */
static bool stands_on(const struct image *other, const struct image *image)
{
	return image->n_layers && other->n_layers > image->n_layers &&
	       digest_equal(&other->layers[image->n_layers - 1], &image->layers[image->n_layers - 1]);
}

static void print_requirers(const struct image *image, struct image *const *all, size_t n)
{
	puts("Images that need its layers");
	for (size_t i = 0; i < n; i++) {
		if (!stands_on(all[i], image))
			continue;
		_cleanup_free_ char *name =
			all[i]->names ? familiar_name(all[i]->names[0]) : xstrdup("<none>");
		printf("── ID: %s Layers above: %zu %s\n", short_id(all[i]->id.s),
		       all[i]->n_layers - image->n_layers, name);
	}
}

static struct err *run_tree(struct invocation *in, int *ret_status)
{
	const struct tree_flags *f = in->options;
	_cleanup_image_ struct image *image = NULL;
	struct image **all = NULL;
	struct store *s;
	size_t n = 0;

	TRY(cli_store(&s));
	TRY(store_find(s, in->args[0], &image));
	_cleanup_free_ char *size = format_size(image->size);
	printf("Image ID: %s\nTags:     [", short_id(image->id.s));
	STRV_FOREACH (name, image->names) {
		_cleanup_free_ char *familiar = familiar_name(*name);
		printf("%s%s", name == image->names ? "" : " ", familiar);
	}
	printf("]\nSize:     %s\n", size);
	TRY(store_list(s, &all, &n));
	struct err *e = NULL;
	if (f->requires)
		print_requirers(image, all, n);
	else
		e = print_layers(s, image, all, n);
	for (size_t i = 0; i < n; i++)
		image_free(all[i]);
	free(all);
	return e;
}

const struct command cmd_image_tree = {
	.name = "image tree",
	.summary = "Show an image's layers, and which other images end with them",
	.usage = "[OPTIONS] IMAGE",
	.flags = (const struct flag[]){{FLAG_BOOL_FIELD(struct tree_flags, requires), .name = "whatrequires",
					.help = "Show the images that stand on this one instead"},
				       {0}},
	.options_size = sizeof(struct tree_flags),
	.min_args = 1,
	.max_args = 1,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run_tree,
};
