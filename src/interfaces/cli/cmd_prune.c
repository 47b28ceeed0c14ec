// SPDX-License-Identifier: Apache-2.0
/* container prune, image prune, volume prune, system prune: docker's questions and words. */
#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/moment.h"
#include "cli.h"
#include "commands.h"
#include "engine/network.h"
#include "engine/usage.h"
#include "images/snapshot.h"

struct prune_flags {
	bool all, force, volumes;
	char **filters;
};

/* What a prune removed: the lines under a heading, and the bytes. */
struct pruned {
	char **containers, **images, **networks, **volumes;
	uint64_t bytes;
};

static void pruned_release(struct pruned *p)
{
	strv_free(p->containers);
	strv_free(p->images);
	strv_free(p->networks);
	strv_free(p->volumes);
}

/* -- asking ----------------------------------------------------------------------------------------------------- */

/* Anything but y is no; so is the end of the input. */
bool cli_confirm(const char *warning)
{
	char line[80];

	printf("%s\nAre you sure you want to continue? [y/N] ", warning);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return false;
	return (line[0] == 'y' || line[0] == 'Y') && (line[1] == '\n' || line[1] == '\0');
}

static void print_list(const char *heading, char *const *lines)
{
	if (!lines)
		return;
	puts(heading);
	STRV_FOREACH (l, lines)
		puts(*l);
	putchar('\n');
}

static void print_pruned(const struct pruned *p)
{
	_cleanup_free_ char *size = format_size(p->bytes);

	print_list("Deleted Containers:", p->containers);
	print_list("Deleted Networks:", p->networks);
	print_list("Deleted Volumes:", p->volumes);
	print_list("Deleted Images:", p->images);
	printf("Total reclaimed space: %s\n", size);
}

/* -- filters ------------------------------------------------------------------------------------------------------ */

struct borders {
	struct filters filters;
	int64_t until_ns; /* INT64_MAX: none */
};

static void borders_release(struct borders *b)
{
	filters_release(&b->filters);
}
#define _cleanup_borders_ _cleanup_(borders_release)

static struct err *parse_filters(const struct prune_flags *f, const char *known, struct borders *ret)
{
	TRY(filters_parse(f->filters, known, &ret->filters));
	ret->until_ns = INT64_MAX;
	for (size_t i = 0; i < ret->filters.n; i++)
		if (str_eq(ret->filters.items[i].key, "until"))
			TRY(moment_parse(ret->filters.items[i].value, "filter until", &ret->until_ns));
	return NULL;
}

/* -- containers --------------------------------------------------------------------------------------------------- */

static struct err *prune_container(struct engine *e, struct container *c, const struct borders *b,
				   struct pruned *p)
{
	uint64_t bytes = 0;
	struct store *s;

	if (c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED ||
	    c->status == CONTAINER_REMOVING || c->created_ns > b->until_ns ||
	    !filters_labels(&b->filters, c->labels))
		return NULL;
	TRY(engine_store(e, &s));
	err_free(snapshot_usage(s, c->id, &bytes));
	struct err *error = container_remove(e, c, false, false);
	/* Started, or removed by somebody else, meanwhile. */
	if (error && (error->kind == ERR_STATE || error->kind == ERR_NOT_FOUND)) {
		err_free(error);
		return NULL;
	}
	TRY(error);
	strv_push(&p->containers, c->id);
	p->bytes += bytes;
	return NULL;
}

static struct err *prune_containers(struct engine *e, const struct borders *b, struct pruned *p)
{
	struct container **list = NULL;
	size_t n = 0;

	TRY(container_list(e, true, &list, &n));
	struct err *error = NULL;
	for (size_t i = 0; i < n; i++) {
		if (!error)
			error = prune_container(e, list[i], b, p);
		container_free(list[i]);
	}
	free(list);
	return error;
}

/* -- images --------------------------------------------------------------------------------------------------------- */

static struct err *image_wanted(struct store *s, const struct image *i, const struct borders *b, bool all,
				bool *ret)
{
	*ret = (all || !i->names) && i->created_ns <= b->until_ns;
	if (!*ret || !(filters_have(&b->filters, "label") || filters_have(&b->filters, "label!")))
		return NULL;
	_cleanup_image_ struct image *whole = NULL; /* lists come without configurations */
	TRY(store_find(s, i->id.s, &whole));
	_cleanup_strv_ char **labels = image_labels(whole->config);
	*ret = filters_labels(&b->filters, labels);
	return NULL;
}

static struct err *collect_images(struct store *s, const struct usage *u, const struct borders *b, bool all,
				  struct pruned *p)
{
	_cleanup_free_ struct digest *ids = xnew_array(struct digest, u->n_images + 1);
	_cleanup_strv_ char **lines = NULL;
	size_t n = 0;
	bool collected = true, wanted;
	uint64_t freed = 0;

	for (size_t i = 0; i < u->n_images; i++) {
		if (u->containers_of_image[i])
			continue;
		TRY(image_wanted(s, u->images[i], b, all, &wanted));
		if (wanted)
			ids[n++] = u->images[i]->id;
	}
	/* Also with none: what killed commands left is given back. */
	TRY(store_remove_images(s, ids, n, &lines, &freed, &collected));
	if (!collected)
		cli_warn("an image is being added: the space of what was removed is given back by the next "
			 "prune");
	STRV_FOREACH (l, lines) {
		(*l)[0] = (char)tolower((unsigned char)(*l)[0]);
		strv_push(&p->images, *l);
	}
	p->bytes += freed;
	return NULL;
}

static struct err *prune_images(struct engine *e, const struct borders *b, bool all, struct pruned *p)
{
	_cleanup_usage_ struct usage u = {0};
	struct store *s;

	TRY(engine_store(e, &s));
	TRY(usage_read(e, USAGE_IMAGES | USAGE_CONTAINERS, &u));
	return collect_images(s, &u, b, all, p);
}

/* -- volumes -------------------------------------------------------------------------------------------------------- */

static struct err *prune_volumes(struct engine *e, const struct borders *b, bool all, struct pruned *p)
{
	struct volume *v = NULL;
	size_t n = 0;

	TRY(volume_list(e, &v, &n));
	struct err *error = NULL;
	for (size_t i = 0; i < n && !error; i++) {
		bool removed = false;
		if (v[i].links || !(all || v[i].generated) || !filters_labels(&b->filters, v[i].labels))
			continue;
		uint64_t bytes = volume_bytes(&v[i]);
		error = volume_remove_unused(e, v[i].name, &removed);
		if (error || !removed)
			continue;
		strv_push(&p->volumes, v[i].name);
		p->bytes += bytes;
	}
	volumes_free(v, n);
	return error;
}

/* -- networks ------------------------------------------------------------------------------------------------------- */

static struct err *prune_network(struct engine *e, struct network *n, const struct borders *b,
				 struct pruned *p)
{
	bool used;

	if (network_predefined(n) || network_created_ns(n) > b->until_ns ||
	    !filters_labels(&b->filters, network_get_spec(n)->labels))
		return NULL;
	TRY(network_in_use(e, n, &used));
	if (used)
		return NULL;
	TRY(network_remove(e, n));
	strv_push(&p->networks, network_name(n));
	return NULL;
}

static struct err *prune_networks(struct engine *e, const struct borders *b, struct pruned *p)
{
	struct network **list = NULL;
	size_t n = 0;

	TRY(network_list(e, &list, &n));
	struct err *error = NULL;
	for (size_t i = 0; i < n && !error; i++)
		error = prune_network(e, list[i], b, p);
	networks_free(list, n);
	return error;
}

/* -- the commands --------------------------------------------------------------------------------------------------- */

/* What was removed before an error is said all the same. */
static struct err *finish(struct err *error, const struct pruned *p)
{
	if (!error || p->containers || p->images || p->networks || p->volumes)
		print_pruned(p);
	return error;
}

static struct err *run_container(struct invocation *in, int *ret_status)
{
	const struct prune_flags *f = in->options;
	_cleanup_borders_ struct borders b = {0};
	_cleanup_(pruned_release) struct pruned p = {0};
	struct engine *e;

	TRY(parse_filters(f, "label label! until", &b));
	if (!f->force && !cli_confirm("WARNING! This will remove all stopped containers."))
		return NULL;
	TRY(cli_engine(&e));
	return finish(prune_containers(e, &b, &p), &p);
}

static bool says_all(const struct borders *b, const char *key, const char *value)
{
	for (size_t i = 0; i < b->filters.n; i++)
		if (str_eq(b->filters.items[i].key, key) && str_starts(b->filters.items[i].value, value))
			return true;
	return false;
}

static struct err *run_image(struct invocation *in, int *ret_status)
{
	const struct prune_flags *f = in->options;
	_cleanup_borders_ struct borders b = {0};
	_cleanup_(pruned_release) struct pruned p = {0};
	struct engine *e;

	TRY(parse_filters(f, "dangling label label! until", &b));
	bool all = f->all || says_all(&b, "dangling", "false") || says_all(&b, "dangling", "0");
	if (!f->force &&
	    !cli_confirm(all ? "WARNING! This will remove all images without at least one container "
			       "associated to them."
			     : "WARNING! This will remove all dangling images."))
		return NULL;
	TRY(cli_engine(&e));
	return finish(prune_images(e, &b, all, &p), &p);
}

static struct err *run_volume(struct invocation *in, int *ret_status)
{
	const struct prune_flags *f = in->options;
	_cleanup_borders_ struct borders b = {0};
	_cleanup_(pruned_release) struct pruned p = {0};
	struct engine *e;

	TRY(parse_filters(f, "all label label!", &b));
	bool all = f->all || says_all(&b, "all", "true") || says_all(&b, "all", "1");
	if (!f->force &&
	    !cli_confirm(
		    all ? "WARNING! This will remove all local volumes not used by at least one container."
			: "WARNING! This will remove anonymous local volumes not used by at least one "
			  "container."))
		return NULL;
	TRY(cli_engine(&e));
	return finish(prune_volumes(e, &b, all, &p), &p);
}

static struct err *run_network(struct invocation *in, int *ret_status)
{
	const struct prune_flags *f = in->options;
	_cleanup_borders_ struct borders b = {0};
	_cleanup_(pruned_release) struct pruned p = {0};
	struct engine *e;

	TRY(parse_filters(f, "label label! until", &b));
	if (!f->force &&
	    !cli_confirm("WARNING! This will remove all custom networks not used by at least one container."))
		return NULL;
	TRY(cli_engine(&e));
	struct err *error = prune_networks(e, &b, &p);
	print_list("Deleted Networks:", p.networks);
	return error;
}

static struct err *prune_system(struct engine *e, const struct prune_flags *f, const struct borders *b,
				struct pruned *p)
{
	TRY(prune_containers(e, b, p));
	TRY(prune_networks(e, b, p));
	if (f->volumes)
		TRY(prune_volumes(e, b, false, p));
	return prune_images(e, b, f->all, p);
}

static struct err *run_system(struct invocation *in, int *ret_status)
{
	const struct prune_flags *f = in->options;
	_cleanup_borders_ struct borders b = {0};
	_cleanup_(pruned_release) struct pruned p = {0};
	struct engine *e;

	TRY(parse_filters(f, "label label! until", &b));
	if (f->volumes && filters_have(&b.filters, "until"))
		return err_new(ERR_INVALID,
			       "the filter until cannot be used with --volumes: volumes have no date");
	_cleanup_free_ char *warning = xasprintf(
		"WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at "
		"least one container\n%s  - all %s\n",
		f->volumes ? "  - all anonymous volumes not used by at least one container\n" : "",
		f->all ? "images without at least one container associated to them" : "dangling images");
	if (!f->force && !cli_confirm(warning))
		return NULL;
	TRY(cli_engine(&e));
	return finish(prune_system(e, f, &b, &p), &p);
}

#define FORCE_FLAG                                                                          \
	{                                                                                   \
		FLAG_BOOL_FIELD(struct prune_flags, force), .name = "force", .letter = 'f', \
							    .help = "Do not ask"            \
	}
#define FILTER_FLAG(text, words)                                                                             \
	{                                                                                                    \
		FLAG_LIST_FIELD(struct prune_flags, filters), .name = "filter", .metavar = "key=value",      \
							      .help = "Remove only what matches (" text ")", \
							      .values = words                                \
	}
#define ALL_FLAG(text)                                                                               \
	{                                                                                            \
		FLAG_BOOL_FIELD(struct prune_flags, all), .name = "all", .letter = 'a', .help = text \
	}

const struct command cmd_container_prune = {
	.name = "container prune",
	.summary = "Remove all stopped containers",
	.usage = "[OPTIONS]",
	.flags = (const struct flag[]){FILTER_FLAG("until, label", "label= label!= until="), FORCE_FLAG, {0}},
	.options_size = sizeof(struct prune_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_container,
};

const struct command cmd_image_prune = {
	.name = "image prune",
	.summary = "Remove unused images",
	.usage = "[OPTIONS]",
	.help = "Images without a name; with --all every image that no container was made from. An image "
		"that is being "
		"added meanwhile is left alone.",
	.flags = (const struct flag[]){ALL_FLAG("Remove all unused images, not just those without a name"),
				       FILTER_FLAG("until, label, dangling",
						   "dangling= label= label!= until="),
				       FORCE_FLAG,
				       {0}},
	.options_size = sizeof(struct prune_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_image,
};

const struct command cmd_volume_prune = {
	.name = "volume prune",
	.summary = "Remove volumes that no container has",
	.usage = "[OPTIONS]",
	.flags = (const struct flag[]){ALL_FLAG("Remove all unused volumes, not just anonymous ones"),
				       FILTER_FLAG("all, label", "all= label= label!="),
				       FORCE_FLAG,
				       {0}},
	.options_size = sizeof(struct prune_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_volume,
};

const struct command cmd_network_prune = {
	.name = "network prune",
	.summary = "Remove networks that no container is connected to",
	.usage = "[OPTIONS]",
	.flags = (const struct flag[]){FILTER_FLAG("until, label", "label= label!= until="), FORCE_FLAG, {0}},
	.options_size = sizeof(struct prune_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_network,
};

const struct command cmd_system_prune = {
	.name = "system prune",
	.summary = "Remove stopped containers, unused networks and images",
	.usage = "[OPTIONS]",
	.flags = (const struct flag[]){ALL_FLAG("Remove all unused images, not just those without a name"),
				       FILTER_FLAG("until, label", "label= label!= until="),
				       FORCE_FLAG,
				       {FLAG_BOOL_FIELD(struct prune_flags, volumes), .name = "volumes",
					.help = "Remove unused anonymous volumes too"},
				       {0}},
	.options_size = sizeof(struct prune_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_system,
};
