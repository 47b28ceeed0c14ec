// SPDX-License-Identifier: Apache-2.0
/* network create, ls, inspect, rm, prune, connect, disconnect: docker's flags and words. */
#include <stdio.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "engine/network.h"

#define LATER_SWARM "networks of several machines are not part of havre"

/* -- create --------------------------------------------------------------------------------------------------- */

struct create_flags {
	const char *driver, *ipam_driver;
	char **aux, **gateways, **ranges, **subnets, **labels, **options, **ipam_options;
	bool attachable, internal, ipv6, ipv4;
};

static struct err *run_create(struct invocation *in, int *ret_status)
{
	const struct create_flags *f = in->options;
	struct engine *e;
	_cleanup_network_ struct network *n = NULL;
	struct network_spec s = {
		.name = in->args[0],
		.driver = (char *)(uintptr_t)f->driver,
		.subnets = f->subnets,
		.gateways = f->gateways,
		.ip_ranges = f->ranges,
		.aux_addresses = f->aux,
		.options = f->options,
		.ipam_options = f->ipam_options,
		.labels = f->labels,
		.internal = f->internal,
		.attachable = f->attachable,
		.ipv6 = f->ipv6,
		.no_ipv4 = !f->ipv4,
	};

	if (!str_empty(f->ipam_driver) && !str_eq(f->ipam_driver, "default"))
		return err_new(ERR_UNSUPPORTED, "--ipam-driver %s: the only one is \"default\"",
			       f->ipam_driver);
	TRY(cli_engine(&e));
	TRY(network_create(e, &s, &n));
	puts(network_id(n));
	return NULL;
}

static const struct flag create_flags_table[] = {
	{FLAG_BOOL_FIELD(struct create_flags, attachable), .name = "attachable",
	 .help = "Kept and shown; any container may attach"},
	{FLAG_LIST_FIELD(struct create_flags, aux), .name = "aux-address", .metavar = "name=address",
	 .help = "Address that no container gets"},
	{FLAG_STRING_FIELD(struct create_flags, driver), .name = "driver", .letter = 'd',
	 .help = "Driver: bridge, macvlan, ipvlan", .values = "bridge macvlan ipvlan"},
	{FLAG_LIST_FIELD(struct create_flags, gateways), .name = "gateway", .metavar = "address",
	 .help = "Address of the gateway"},
	{FLAG_BOOL_FIELD(struct create_flags, internal), .name = "internal",
	 .help = "No way out of the network"},
	{FLAG_LIST_FIELD(struct create_flags, ranges), .name = "ip-range", .metavar = "subnet",
	 .help = "Part of the subnet that containers get addresses from"},
	{FLAG_STRING_FIELD(struct create_flags, ipam_driver), .name = "ipam-driver",
	 .help = "Address management (only \"default\")", .values = "default"},
	{FLAG_LIST_FIELD(struct create_flags, ipam_options), .name = "ipam-opt", .metavar = "key=value",
	 .help = "Option of the address management, kept and shown"},
	{FLAG_BOOL_FIELD(struct create_flags, ipv4), .name = "ipv4", .help = "Give IPv4 addresses (true)"},
	{FLAG_BOOL_FIELD(struct create_flags, ipv6), .name = "ipv6", .help = "Give IPv6 addresses, too"},
	{FLAG_LIST_FIELD(struct create_flags, labels), .name = "label", .metavar = "key[=value]",
	 .help = "Set a label"},
	{FLAG_LIST_FIELD(struct create_flags, options), .name = "opt", .letter = 'o', .metavar = "key=value",
	 .help = "Option of the driver (com.docker.network.bridge.name, …enable_icc, …driver.mtu, parent)"},
	{FLAG_LIST_FIELD(struct create_flags, subnets), .name = "subnet", .metavar = "subnet",
	 .help = "Subnet, as 10.1.0.0/16"},
	{.kind = FLAG_STRING, .name = "config-from", .refusal = LATER_SWARM},
	{.kind = FLAG_BOOL, .name = "config-only", .refusal = LATER_SWARM},
	{.kind = FLAG_BOOL, .name = "ingress", .refusal = LATER_SWARM},
	{.kind = FLAG_STRING, .name = "scope", .refusal = LATER_SWARM},
	{0},
};

const struct command cmd_network_create = {
	.name = "network create",
	.summary = "Make a network",
	.usage = "[OPTIONS] NETWORK",
	.help = "Containers of one network reach each other, by name, too; those of different networks do "
		"not.",
	.examples = "# a network whose containers know each other by name\nPROGRAM network create "
		    "shop\nPROGRAM run -d --name db --network "
		    "shop postgres\n# with addresses of your choice, and no way out\nPROGRAM network create "
		    "--internal --subnet 10.7.0.0/24 back",
	.flags = create_flags_table,
	.options_size = sizeof(struct create_flags),
	.defaults = &(const struct create_flags){.ipv4 = true},
	.min_args = 1,
	.max_args = 1,
	.traits = COMMAND_LOCAL,
	.run = run_create,
};

/* -- ls --------------------------------------------------------------------------------------------------------- */

struct list_flags {
	char **filters;
	const char *format;
	bool no_trunc, quiet;
};

static bool match_driver(const void *o, const char *value)
{
	return str_eq(network_driver(o), value);
}

static bool match_id(const void *o, const char *value)
{
	return str_starts(network_id(o), value);
}

static bool match_name(const void *o, const char *value)
{
	return name_matches(network_name(o), value);
}

static bool match_scope(const void *o, const char *value)
{
	return str_eq("local", value);
}

static bool match_type(const void *o, const char *value)
{
	return str_eq(network_predefined(o) ? "builtin" : "custom", value);
}

static bool matches(const struct filters *f, const struct network *n)
{
	return filters_match(f, "driver", match_driver, n) && filters_match(f, "id", match_id, n) &&
	       filters_match(f, "name", match_name, n) && filters_match(f, "scope", match_scope, n) &&
	       filters_match(f, "type", match_type, n) && filters_labels(f, network_get_spec(n)->labels);
}

static struct err *dangling_matches(struct engine *e, const struct filters *f, const struct network *n,
				    bool *ret)
{
	*ret = true;
	for (size_t i = 0; i < f->n; i++) {
		bool wanted, used;
		if (!str_eq(f->items[i].key, "dangling"))
			continue;
		TRY(parse_bool(f->items[i].value, "filter dangling", &wanted));
		TRY(network_in_use(e, n, &used));
		*ret &= wanted == (!used && !network_predefined(n));
	}
	return NULL;
}

static struct json *row_of(const struct network *n, bool no_trunc)
{
	const struct network_spec *s = network_get_spec(n);
	struct json *row = json_new_object();
	_cleanup_free_ char *created = local_date(network_created_ns(n)), *labels = strv_join(s->labels, ",");

	json_set_string(row, "CreatedAt", created);
	json_set_string(row, "Driver", network_driver(n));
	json_set_string(row, "ID", no_trunc ? network_id(n) : short_id(network_id(n)));
	json_set_string(row, "IPv4", s->no_ipv4 ? "false" : "true");
	json_set_string(row, "IPv6", s->ipv6 ? "true" : "false");
	json_set_string(row, "Internal", s->internal ? "true" : "false");
	json_set_string(row, "Labels", labels ? labels : "");
	json_set_string(row, "Name", network_name(n));
	json_set_string(row, "Scope", "local");
	return row;
}

static const struct format_field fields[] = {
	{"CreatedAt", "CREATED AT"},
	{"Driver", "DRIVER"},
	{"ID", "NETWORK ID"},
	{"IPv4", "IPV4"},
	{"IPv6", "IPV6"},
	{"Internal", "INTERNAL"},
	{"Labels", "LABELS"},
	{"Name", "NAME"},
	{"Scope", "SCOPE"},
	{0},
};
static const struct format_table table = {
	.fields = fields,
	.columns = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
};

struct shown {
	struct network **all, **items; /* items: borrowed from all */
	size_t n_all, n;
};

static void shown_release(struct shown *s)
{
	networks_free(s->all, s->n_all);
	free(s->items);
}

static char *label_of(void *user, size_t row, const char *key)
{
	const struct shown *s = user;
	const char *value = env_get(network_get_spec(s->items[row])->labels, key);
	return value ? xstrdup(value) : NULL;
}

static struct err *run_list(struct invocation *in, int *ret_status)
{
	const struct list_flags *f = in->options;
	_cleanup_filters_ struct filters filters = {0};
	_cleanup_(shown_release) struct shown s = {0};
	_cleanup_json_ struct json *rows = json_new_array();
	struct engine *e;

	TRY(filters_parse(f->filters, "dangling driver id label label! name scope type", &filters));
	TRY(cli_engine(&e));
	TRY(network_list(e, &s.all, &s.n_all));
	s.items = xnew_array(struct network *, s.n_all + 1);
	for (size_t i = 0; i < s.n_all; i++) {
		bool dangling;
		TRY(dangling_matches(e, &filters, s.all[i], &dangling));
		if (dangling && matches(&filters, s.all[i]))
			s.items[s.n++] = s.all[i];
	}
	for (size_t i = 0; i < s.n; i++) {
		if (f->quiet && !f->format)
			puts(f->no_trunc ? network_id(s.items[i]) : short_id(network_id(s.items[i])));
		else
			json_append(rows, row_of(s.items[i], f->no_trunc));
	}
	return f->quiet && !f->format ? NULL : format_rows(f->format, &table, rows, label_of, &s);
}

static const struct flag list_flags_table[] = {
	{FLAG_LIST_FIELD(struct list_flags, filters), .name = "filter", .letter = 'f', .metavar = "key=value",
	 .help = "Show only what matches (driver, id, label, name, scope, type, dangling)",
	 .values = "dangling= driver= id= label= name= scope= type="},
	{FLAG_STRING_FIELD(struct list_flags, format), .name = "format", .metavar = "template",
	 .help = "Print with a template ({{.Name}}), as \"table TEMPLATE\", or as json",
	 .values = "json table"},
	{FLAG_BOOL_FIELD(struct list_flags, no_trunc), .name = "no-trunc", .help = "Shorten nothing"},
	{FLAG_BOOL_FIELD(struct list_flags, quiet), .name = "quiet", .letter = 'q', .help = "Print ids only"},
	{0},
};

const struct command cmd_network_ls = {
	.name = "network ls",
	.aliases = ALIASES("network list"),
	.summary = "List networks",
	.usage = "[OPTIONS]",
	.flags = list_flags_table,
	.options_size = sizeof(struct list_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_list,
};

struct remove_flags {
	bool force;
};

static struct err *remove_one(struct engine *e, const char *what, bool force)
{
	_cleanup_network_ struct network *n = NULL;
	struct err *error = network_find(e, what, &n);

	if (error && error->kind == ERR_NOT_FOUND && force) {
		err_free(error);
		return NULL;
	}
	TRY(error);
	return network_remove(e, n);
}

static struct err *run_rm(struct invocation *in, int *ret_status)
{
	const struct remove_flags *f = in->options;
	struct engine *e;

	TRY(cli_engine(&e));
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_err_ struct err *failed = remove_one(e, in->args[i], f->force);
		if (failed) {
			command_report(in, failed);
			*ret_status = 1;
		} else {
			puts(in->args[i]);
		}
	}
	return NULL;
}

const struct command cmd_network_rm = {
	.name = "network rm",
	.aliases = ALIASES("network remove"),
	.summary = "Remove networks that no running container is connected to",
	.usage = "[OPTIONS] NETWORK [NETWORK...]",
	.flags = (const struct flag[]){{FLAG_BOOL_FIELD(struct remove_flags, force), .name = "force",
					.letter = 'f', .help = "Do not mind one that does not exist"},
				       {0}},
	.options_size = sizeof(struct remove_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!networks",
	.traits = COMMAND_LOCAL,
	.run = run_rm,
};

/* -- connect, disconnect ---------------------------------------------------------------------------------------- */

struct connect_flags {
	const char *ip, *ip6, *mac;
	char **aliases, **links, **driver_options;
};

static struct err *run_connect(struct invocation *in, int *ret_status)
{
	const struct connect_flags *f = in->options;
	struct endpoint_options o = {.ip = f->ip,
				     .ip6 = f->ip6,
				     .mac = f->mac,
				     .aliases = f->aliases,
				     .links = f->links,
				     .driver_options = f->driver_options};
	_cleanup_network_ struct network *n = NULL;
	_cleanup_container_ struct container *c = NULL;
	struct engine *e;

	TRY(cli_engine(&e));
	TRY(network_find(e, in->args[0], &n));
	TRY(container_find(e, in->args[1], &c));
	return network_connect(e, n, c, &o);
}

const struct command cmd_network_connect = {
	.name = "network connect",
	.summary = "Connect a container to a network, also while it runs",
	.usage = "[OPTIONS] NETWORK CONTAINER",
	.flags =
		(const struct flag[]){
			{FLAG_LIST_FIELD(struct connect_flags, aliases), .name = "alias", .metavar = "name",
			 .help = "Further name of the container in the network"},
			{FLAG_LIST_FIELD(struct connect_flags, driver_options), .name = "driver-opt",
			 .metavar = "key=value", .help = "Option of the driver, kept and shown"},
			{FLAG_STRING_FIELD(struct connect_flags, ip), .name = "ip", .metavar = "address",
			 .help = "IPv4 address"},
			{FLAG_STRING_FIELD(struct connect_flags, ip6), .name = "ip6", .metavar = "address",
			 .help = "IPv6 address"},
			{FLAG_LIST_FIELD(struct connect_flags, links), .name = "link",
			 .metavar = "container[:alias]", .help = "Know another container by a name"},
			{FLAG_STRING_FIELD(struct connect_flags, mac), .name = "mac-address",
			 .metavar = "address", .help = "MAC address"},
			{.kind = FLAG_LIST,
			 .name = "link-local-ip",
			 .refusal = "IPv4 link-local addresses come later"},
			{0}},
	.options_size = sizeof(struct connect_flags),
	.min_args = 2,
	.max_args = 2,
	.args_values = "!networks",
	.traits = COMMAND_LOCAL,
	.run = run_connect,
};

static struct err *run_disconnect(struct invocation *in, int *ret_status)
{
	const struct remove_flags *f = in->options;
	_cleanup_network_ struct network *n = NULL;
	_cleanup_container_ struct container *c = NULL;
	struct engine *e;

	TRY(cli_engine(&e));
	TRY(network_find(e, in->args[0], &n));
	TRY(container_find(e, in->args[1], &c));
	return network_disconnect(e, n, c, f->force);
}

const struct command cmd_network_disconnect = {
	.name = "network disconnect",
	.summary = "Disconnect a container from a network, also while it runs",
	.usage = "[OPTIONS] NETWORK CONTAINER",
	.flags = (const struct flag[]){{FLAG_BOOL_FIELD(struct remove_flags, force), .name = "force",
					.letter = 'f',
					.help = "Do not mind a container that is not connected"},
				       {0}},
	.options_size = sizeof(struct remove_flags),
	.min_args = 2,
	.max_args = 2,
	.args_values = "!networks",
	.traits = COMMAND_LOCAL,
	.run = run_disconnect,
};
