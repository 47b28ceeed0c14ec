// SPDX-License-Identifier: Apache-2.0
#include <fnmatch.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/moment.h"
#include "cli.h"
#include "commands.h"

struct images_flags {
	bool all, digests, no_trunc, quiet;
	char **filters;
	const char *format;
};

struct list {
	struct store *store;
	struct image **items;
	size_t n;
	size_t *of_row; /* the image behind each row, for labels */
	size_t n_rows, cap;
};

static void list_release(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		image_free(l->items[i]);
	free(l->items);
	free(l->of_row);
}

/* The list comes without the images' configurations, which hardly anybody asks for: this reads one. */
static char **labels_of(struct store *s, const struct image *i)
{
	_cleanup_image_ struct image *whole = NULL;

	struct err *e = store_find(s, i->id.s, &whole);
	char **labels = e ? NULL : image_labels(whole->config);
	err_free(e);
	return labels;
}

static bool labels_wanted(struct store *s, const struct filters *f, const struct image *i)
{
	if (!filters_have(f, "label") && !filters_have(f, "label!"))
		return true;
	_cleanup_strv_ char **labels = labels_of(s, i);
	return filters_labels(f, labels);
}

static bool match_dangling(const void *object, const char *value)
{
	bool dangling = strv_len(((const struct image *)object)->names) == 0;
	return dangling == (str_eq(value, "true") || str_eq(value, "1"));
}

/* A pattern is matched with the familiar name, with and without its tag, as docker does. */
static bool reference_matches(const struct reference *r, const char *pattern)
{
	_cleanup_free_ char *familiar = reference_familiar(r), *name = reference_familiar_name(r);
	return fnmatch(pattern, familiar, FNM_PATHNAME) == 0 || fnmatch(pattern, name, FNM_PATHNAME) == 0;
}

static bool reference_wanted(const struct filters *f, const struct reference *r)
{
	bool any = false;

	for (size_t i = 0; i < f->n; i++) {
		if (!str_eq(f->items[i].key, "reference"))
			continue;
		any = true;
		if (reference_matches(r, f->items[i].value))
			return true;
	}
	return !any;
}

/* The argument: "debian" (all its tags), "debian:12", an id. */
static bool argument_matches(const char *what, const struct image *i, const struct reference *r)
{
	if (!what)
		return true;
	if (!r)
		return str_starts(digest_hex(&i->id), what);
	_cleanup_free_ char *familiar = reference_familiar(r), *name = reference_familiar_name(r);
	if (fnmatch(what, familiar, FNM_PATHNAME) == 0 || fnmatch(what, name, FNM_PATHNAME) == 0)
		return true;
	_cleanup_reference_ struct reference wanted = REFERENCE_NONE;
	struct err *e = reference_parse(what, &wanted);
	if (e) {
		err_free(e);
		return false;
	}
	const char *slash = strrchr(what, '/');
	bool tagged = strchr(slash ? slash : what, ':') != NULL;
	return str_eq(wanted.domain, r->domain) && str_eq(wanted.path, r->path) &&
	       (!tagged || str_eq(wanted.tag, r->tag));
}

static const char *digest_of_name(const struct image *i, const struct reference *r)
{
	_cleanup_free_ char *prefix = r ? xasprintf("%s/%s@", r->domain, r->path) : NULL;

	STRV_FOREACH (d, i->repo_digests)
		if (prefix && str_starts(*d, prefix))
			return *d + strlen(prefix);
	return "<none>";
}

/* What only templates and JSON show. */
static void add_more(struct json *row, const struct image *i, const char *size)
{
	_cleanup_free_ char *created = local_date(i->created_ns);

	json_set_string(row, "Containers", "N/A");
	json_set_string(row, "CreatedAt", created);
	json_set_string(row, "SharedSize", "N/A");
	json_set_string(row, "UniqueSize", "N/A");
	json_set_string(row, "VirtualSize", size);
}

static void add_row(const struct images_flags *f, struct list *l, size_t index, const struct reference *r,
		    struct json *rows)
{
	const struct image *i = l->items[index];
	_cleanup_free_ char *name = r ? reference_familiar_name(r) : xstrdup("<none>");
	_cleanup_free_ char *since = i->created_ns > 0 ? ago(i->created_ns) : xstrdup("N/A"),
			    *size = format_size(i->size);
	struct json *row = json_new_object();

	if (f->format)
		add_more(row, i, size);
	if (f->format || f->digests)
		json_set_string(row, "Digest", digest_of_name(i, r));
	json_set_string(row, "CreatedSince", since);
	json_set_string(row, "ID", f->no_trunc ? i->id.s : short_id(i->id.s));
	json_set_string(row, "Repository", name);
	json_set_string(row, "Size", size);
	json_set_string(row, "Tag", r && r->tag ? r->tag : "<none>");
	json_append(rows, row);
	GROW(l->of_row, l->n_rows, l->cap);
	l->of_row[l->n_rows++] = index;
}

static void add_image(const struct images_flags *f, const struct filters *filters, const char *what,
		      struct list *l, size_t index, struct json *rows)
{
	const struct image *i = l->items[index];

	if (!filters_match(filters, "dangling", match_dangling, i))
		return;
	if (!labels_wanted(l->store, filters, i))
		return;
	if (!i->names && argument_matches(what, i, NULL) && !filters_have(filters, "reference"))
		add_row(f, l, index, NULL, rows);
	STRV_FOREACH (n, i->names) {
		_cleanup_reference_ struct reference r = REFERENCE_NONE;
		struct err *bad = reference_parse(*n, &r);
		if (!bad && argument_matches(what, i, &r) && reference_wanted(filters, &r))
			add_row(f, l, index, &r, rows);
		err_free(bad);
	}
}

/* before= and since= name an image, whose creation is the border; until= says when. */
static struct err *border_of(struct store *s, const struct filter *f, int64_t *ret_ns)
{
	_cleanup_image_ struct image *border = NULL;

	if (str_eq(f->key, "until"))
		return moment_parse(f->value, "filter until", ret_ns);
	TRY(store_find(s, f->value, &border));
	*ret_ns = border->created_ns;
	return NULL;
}

static struct err *drop_by_time(struct list *l, const struct filters *f)
{
	int64_t before = INT64_MAX, since = INT64_MIN, ns;
	size_t kept = 0;

	for (size_t i = 0; i < f->n; i++) {
		bool upper = str_eq(f->items[i].key, "before") || str_eq(f->items[i].key, "until");
		if (!upper && !str_eq(f->items[i].key, "since"))
			continue;
		TRY(border_of(l->store, &f->items[i], &ns));
		if (upper)
			before = MIN(before, ns);
		else
			since = MAX(since, ns);
	}
	for (size_t i = 0; i < l->n; i++) {
		if (l->items[i]->created_ns < before && l->items[i]->created_ns > since)
			l->items[kept++] = l->items[i];
		else
			image_free(l->items[i]);
	}
	l->n = kept;
	return NULL;
}

static char *label_of_row(void *user, size_t row, const char *key)
{
	const struct list *l = user;
	_cleanup_strv_ char **labels = labels_of(l->store, l->items[l->of_row[row]]);
	const char *value = env_get(labels, key);
	return value ? xstrdup(value) : NULL;
}

static const struct format_field fields[] = {
	{"Containers", "CONTAINERS"},
	{"CreatedAt", "CREATED AT"},
	{"CreatedSince", "CREATED"},
	{"Digest", "DIGEST"},
	{"ID", "IMAGE ID"},
	{"Repository", "REPOSITORY"},
	{"SharedSize", "SHARED SIZE"},
	{"Size", "SIZE"},
	{"Tag", "TAG"},
	{"UniqueSize", "UNIQUE SIZE"},
	{"VirtualSize", "SIZE"},
	{0},
};

static void print_ids(const struct images_flags *f, const struct list *l)
{
	for (size_t r = 0; r < l->n_rows; r++) {
		if (r && l->of_row[r] == l->of_row[r - 1])
			continue;
		const struct image *i = l->items[l->of_row[r]];
		puts(f->no_trunc ? i->id.s : short_id(i->id.s));
	}
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct images_flags *f = in->options;
	struct format_table table = {
		.fields = fields,
		.columns = f->digests ? "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}"
					"\t{{.Size}}"
				      : "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
	};
	_cleanup_filters_ struct filters filters = {0};
	_cleanup_(list_release) struct list l = {0};
	_cleanup_json_ struct json *rows = json_new_array();
	struct store *s;

	TRY(filters_parse(f->filters, "before dangling label label! reference since until", &filters));
	TRY(cli_store(&s));
	l.store = s;
	TRY(store_list_brief(s, &l.items, &l.n));
	TRY(drop_by_time(&l, &filters));
	for (size_t i = 0; i < l.n; i++)
		add_image(f, &filters, in->args[0], &l, i, rows);
	if (f->quiet && !f->format) {
		print_ids(f, &l);
		return NULL;
	}
	return format_rows(f->format, &table, rows, label_of_row, &l);
}

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct images_flags, all), .name = "all", .letter = 'a',
	 .help = "Show images without a name too (they always are)"},
	{FLAG_BOOL_FIELD(struct images_flags, digests), .name = "digests", .help = "Show digests"},
	{FLAG_LIST_FIELD(struct images_flags, filters), .name = "filter", .letter = 'f',
	 .metavar = "key=value",
	 .help = "Show only what matches (reference, label, dangling, before, since, until)",
	 .values = "before= dangling= label= reference= since="},
	{FLAG_STRING_FIELD(struct images_flags, format), .name = "format", .metavar = "template",
	 .help = "Print with a template ({{.Repository}}), as \"table TEMPLATE\", or as json",
	 .values = "json table"},
	{FLAG_BOOL_FIELD(struct images_flags, no_trunc), .name = "no-trunc", .help = "Shorten nothing"},
	{FLAG_BOOL_FIELD(struct images_flags, quiet), .name = "quiet", .letter = 'q',
	 .help = "Print ids only"},
	{.kind = FLAG_BOOL, .name = "tree", .refusal = "trees of images come later"},
	{0},
};

const struct command cmd_images = {
	.name = "images",
	.aliases = ALIASES("image ls", "image list"),
	.summary = "List images",
	.usage = "[OPTIONS] [REPOSITORY[:TAG]]",
	.flags = flags,
	.options_size = sizeof(struct images_flags),
	.max_args = 1,
	.args_values = "!images",
	.traits = COMMAND_LOCAL,
	.run = run,
};
