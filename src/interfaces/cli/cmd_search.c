// SPDX-License-Identifier: Apache-2.0
/* search: docker's, and podman's for registries that only list their repositories. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "images/search.h"

#define LIMIT_DEFAULT 25
#define LIMIT_MAX 100
#define DESCRIPTION_COLUMNS 45

struct search_flags {
	const char *format, *credentials, *ca_file;
	char **filters;
	bool no_trunc, tls_verify;
	int64_t limit;
};

static bool is_cancelled(void *user)
{
	return interrupted();
}
static const struct progress quiet = {.cancelled = is_cancelled};

/* -- filters ---------------------------------------------------------------------------------------------------- */

static bool stars_match(const void *object, const char *value)
{
	const struct search_result *r = object;
	return r->stars >= strtoull(value, NULL, 10);
}

static bool is_true(const char *value)
{
	return str_eq(value, "true") || str_eq(value, "1");
}

static bool official_match(const void *object, const char *value)
{
	return ((const struct search_result *)object)->official == is_true(value);
}

static bool automated_match(const void *object, const char *value)
{
	return ((const struct search_result *)object)->automated == is_true(value);
}

static struct err *check_filters(const struct filters *f)
{
	for (size_t i = 0; i < f->n; i++) {
		uint64_t number;
		bool yes;
		if (str_eq(f->items[i].key, "stars"))
			TRY(parse_u64(f->items[i].value, "filter stars", 0, UINT64_MAX, &number));
		else
			TRY(parse_bool(f->items[i].value, f->items[i].key, &yes));
	}
	return NULL;
}

/* -- output ----------------------------------------------------------------------------------------------------- */

/* docker's: 45 columns, the last one an ellipsis. Characters, not bytes. */
static char *shorten(const char *s)
{
	size_t columns = 0;

	for (const char *p = s; *p; p++) {
		if (((unsigned char)*p & 0xc0) == 0x80)
			continue;
		if (++columns == DESCRIPTION_COLUMNS && p[1]) {
			const char *rest = p + 1;
			while (((unsigned char)*rest & 0xc0) == 0x80)
				rest++;
			if (*rest)
				return xasprintf("%.*s…", (int)(p - s), s);
		}
	}
	return xstrdup(s);
}

static struct json *row(const struct search_result *r, const struct search_flags *f)
{
	struct json *o = json_new_object();
	_cleanup_free_ char *description = f->no_trunc ? xstrdup(r->description) : shorten(r->description);
	_cleanup_free_ char *stars = xasprintf("%llu", (unsigned long long)r->stars);

	json_set_string(o, "Name", r->name);
	json_set_string(o, "Description", description);
	json_set_string(o, "StarCount", stars);
	json_set_string(o, "IsOfficial", r->official ? "[OK]" : "");
	json_set_string(o, "IsAutomated", r->automated ? "[OK]" : "");
	return o;
}

static int most_stars_first(const void *a, const void *b)
{
	const struct search_result *x = a, *y = b;
	return x->stars == y->stars ? strcmp(x->name, y->name) : x->stars < y->stars ? 1 : -1;
}

static struct err *print(struct search_results *results, const struct filters *filters,
			 const struct search_flags *f)
{
	static const struct format_field fields[] = {
		{"Name", "NAME"},           {"Description", "DESCRIPTION"}, {"StarCount", "STARS"},
		{"IsOfficial", "OFFICIAL"}, {"IsAutomated", "AUTOMATED"},   {0}};
	static const struct format_table table = {
		fields, "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"};
	_cleanup_json_ struct json *rows = json_new_array();

	if (results->n)
		qsort(results->v, results->n, sizeof(*results->v), most_stars_first);
	for (size_t i = 0; i < results->n; i++) {
		const struct search_result *r = &results->v[i];
		if (filters_match(filters, "stars", stars_match, r) &&
		    filters_match(filters, "is-official", official_match, r) &&
		    filters_match(filters, "is-automated", automated_match, r))
			json_append(rows, row(r, f));
	}
	return format_rows(f->format, &table, rows, NULL, NULL);
}

/* -- the command ------------------------------------------------------------------------------------------------ */

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct search_flags *f = in->options;
	_cleanup_free_ char *username =
		f->credentials ? xstrndup(f->credentials, strcspn(f->credentials, ":")) : NULL;
	_cleanup_search_results_ struct search_results results = {0};
	_cleanup_filters_ struct filters filters = {0};
	_cleanup_strv_ char **registries = NULL;
	struct search_options o = {.limit = (size_t)f->limit,
				   .username = username,
				   .insecure = !f->tls_verify,
				   .ca_file = f->ca_file,
				   .progress = &quiet};
	struct err *e = NULL;
	const char *term;

	if (f->credentials && !strchr(f->credentials, ':'))
		return usage_error(in, "--creds: the form is USER:PASSWORD");
	o.password = username ? f->credentials + strlen(username) + 1 : NULL;
	TRY(filters_parse(f->filters, "stars is-official is-automated", &filters));
	TRY(check_filters(&filters));
	TRY(search_registries(in->args[0], &registries, &term));
	interrupt_catch();
	STRV_FOREACH (registry, registries) {
		struct err *failed = registry_search(*registry, term, &o, &results);
		if (failed && registries[1]) { /* the others may have it */
			command_report(in, failed);
			err_free(failed);
			*ret_status = 1;
		} else {
			e = failed;
		}
	}
	interrupt_restore();
	TRY(e);
	return print(&results, &filters, f);
}

const struct command cmd_search = {
	.name = "search",
	.aliases = ALIASES("image search"),
	.summary = "Search a registry for images",
	.usage = "[OPTIONS] [HOST/]TERM",
	.help = "Without a host the search goes to docker.io, or to the registries that registries.conf "
		"names for "
		"names without one. A registry without a search of its own is asked for the list of its "
		"repositories; then HOST/ lists them all.",
	.examples = "PROGRAM search debian\nPROGRAM search --filter is-official=true --limit 5 nginx\n"
		    "PROGRAM search localhost:5000/",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct search_flags, ca_file), .name = "ca-file",
			 .metavar = "file", .help = "Trust the certificate authorities in this file too",
			 .values = "@file"},
			{FLAG_STRING_FIELD(struct search_flags, credentials), .name = "creds",
			 .metavar = "user:password",
			 .help = "Credentials for the registry (default: the credential files)"},
			{FLAG_LIST_FIELD(struct search_flags, filters), .name = "filter", .letter = 'f',
			 .metavar = "filter", .help = "Only those that match (stars=N, is-official=true)"},
			{FLAG_STRING_FIELD(struct search_flags, format), .name = "format",
			 .metavar = "template", .help = "Print with a template, or as json"},
			{FLAG_INT_FIELD(struct search_flags, limit), .name = "limit", .min = 1,
			 .max = LIMIT_MAX, .help = "Results at most, of each registry (25)"},
			{FLAG_BOOL_FIELD(struct search_flags, no_trunc), .name = "no-trunc",
			 .help = "Print descriptions whole"},
			{FLAG_BOOL_FIELD(struct search_flags, tls_verify), .name = "tls-verify",
			 .help = "Require HTTPS with a valid certificate (not for this machine's own "
				 "registry)"},
			{0},
		},
	.options_size = sizeof(struct search_flags),
	.defaults = &(const struct search_flags){.tls_verify = true, .limit = LIMIT_DEFAULT},
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
