// SPDX-License-Identifier: Apache-2.0
/* pod create, ls, inspect, exists: podman's words. The verbs on running pods are in cmd_pod_verbs.c. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "engine/network.h"
#include "engine/pod.h"

/* -- create ------------------------------------------------------------------------------------------------------- */

struct create_flags {
	struct create_options o; /* of the sandbox */
	const char *share, *id_file, *exit_policy;
	bool infra;
};
#define C struct create_flags

static struct err *write_id_file(const char *path, const char *id)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_errno(errno, "cannot make the pod id file %s", path);
	return fd_write_full(fd, id, strlen(id), path);
}

static struct err *replace(struct engine *e, const char *name)
{
	_cleanup_container_ struct container *old = NULL;
	struct err *error = pod_find(e, name, &old);

	if (error && error->kind == ERR_NOT_FOUND) {
		err_free(error);
		return NULL;
	}
	TRY(error);
	return pod_remove(e, old, true, -1);
}

static struct err *make(const C *f, struct container_spec *s)
{
	_cleanup_container_ struct container *pod = NULL;
	_cleanup_strv_ char **warnings = NULL;
	struct engine *e;

	TRY(cli_engine(&e));
	if (f->o.replace)
		TRY(replace(e, s->name));
	struct err *error = pod_create(e, s, &warnings, &pod);
	STRV_FOREACH (w, warnings)
		cli_warn("%s", *w);
	TRY(error);
	if (f->id_file)
		TRY(write_id_file(f->id_file, pod->id));
	puts(pod->id);
	return NULL;
}

static struct err *run_create(struct invocation *in, int *ret_status)
{
	struct create_flags *f = in->options;
	struct container_spec s = {0};
	char *args[] = {(char *)"sandbox", NULL};

	(void)ret_status;
	if (in->args[0] && f->o.name)
		return usage_error(in, "the name is given twice: as an argument and with --name");
	if (!f->infra)
		return err_new(ERR_UNSUPPORTED,
			       "--infra=false: a pod is its sandbox; without one, containers share nothing");
	if (f->exit_policy && !str_eq(f->exit_policy, "continue"))
		return err_new(ERR_UNSUPPORTED,
			       "--exit-policy %s: a pod stays until it is stopped (\"continue\")",
			       f->exit_policy);
	if (in->args[0])
		f->o.name = in->args[0];
	TRY(create_spec(&f->o, args, &s));
	s.pod_share = strv_split(f->share, ",");
	if (strv_len(s.pod_share) == 0)
		strv_push(&s.pod_share, "none");
	struct err *error = make(f, &s);
	container_spec_release(&s);
	return error;
}

static const struct flag create_flags_table[] = {
	{FLAG_LIST_FIELD(C, o.add_hosts), .name = "add-host", .metavar = "host:ip",
	 .help = "Add a line to /etc/hosts"},
	{FLAG_LIST_FIELD(C, o.dns), .name = "dns", .metavar = "address",
	 .help = "Name server for resolv.conf"},
	{FLAG_LIST_FIELD(C, o.dns_options), .name = "dns-option", .metavar = "option",
	 .help = "Option for resolv.conf"},
	{FLAG_LIST_FIELD(C, o.dns_search), .name = "dns-search", .metavar = "domain",
	 .help = "Search domain for resolv.conf"},
	{FLAG_STRING_FIELD(C, exit_policy), .name = "exit-policy",
	 .help = "What happens when its last container ends (only \"continue\")", .values = "continue"},
	{FLAG_STRING_FIELD(C, o.hostname), .name = "hostname", .letter = 'h', .help = "Host name of the pod"},
	{FLAG_BOOL_FIELD(C, infra), .name = "infra", .help = "Have a sandbox (true)"},
	{FLAG_STRING_FIELD(C, o.ip), .name = "ip", .metavar = "address",
	 .help = "IPv4 address in the (first) network"},
	{FLAG_STRING_FIELD(C, o.ip6), .name = "ip6", .metavar = "address",
	 .help = "IPv6 address in the (first) network"},
	{FLAG_LIST_FIELD(C, o.labels), .name = "label", .letter = 'l', .metavar = "key[=value]",
	 .help = "Set a label"},
	{FLAG_STRING_FIELD(C, o.mac_address), .name = "mac-address", .metavar = "address",
	 .help = "MAC address in the (first) network"},
	{FLAG_STRING_FIELD(C, o.name), .name = "name", .letter = 'n', .help = "Name of the pod"},
	{FLAG_LIST_FIELD(C, o.networks), .name = "network", .metavar = "network",
	 .help = "Network to join (bridge)", .values = "!networks"},
	{FLAG_LIST_FIELD(C, o.network_aliases), .name = "network-alias", .metavar = "name",
	 .help = "Further name of the pod in the (first) network"},
	{FLAG_STRING_FIELD(C, id_file), .name = "pod-id-file", .metavar = "file",
	 .help = "Write the pod's id to a file", .values = "@file"},
	{FLAG_LIST_FIELD(C, o.publish), .name = "publish", .letter = 'p',
	 .metavar = "[address:][port:]port[/protocol]",
	 .help = "Publish a port, or a range, on this machine"},
	{FLAG_BOOL_FIELD(C, o.replace), .name = "replace", .help = "Remove a pod of the same name first"},
	{FLAG_STRING_FIELD(C, share), .name = "share", .metavar = "list",
	 .help = "What its containers share: net, ipc, uts, pid, or none (ipc,net,uts)"},
	{FLAG_SIZE_FIELD(C, o.shm_size), .name = "shm-size", .help = "Size of /dev/shm"},
	{FLAG_LIST_FIELD(C, o.sysctls), .name = "sysctl", .metavar = "name=value",
	 .help = "Set a kernel parameter of the pod's namespaces"},
	{0},
};

const struct command cmd_pod_create = {
	.name = "pod create",
	.summary = "Make a pod",
	.usage = "[OPTIONS] [NAME]",
	.help = "A pod's containers share a network, with its address and published ports, shared memory and "
		"the host name: they "
		"reach each other on localhost.",
	.examples = "# a server and what it needs, behind one port\nPROGRAM pod create -p 8080:80 shop\n"
		    "PROGRAM run -d --pod shop nginx\nPROGRAM run -d --pod shop redis",
	.flags = create_flags_table,
	.options_size = sizeof(C),
	.defaults = &(const C){.o = {CREATE_OPTIONS_DEFAULT}, .share = "ipc,net,uts", .infra = true},
	.max_args = 1,
	.traits = COMMAND_LOCAL,
	.run = run_create,
};

/* -- ls ------------------------------------------------------------------------------------------------------------ */

struct list_flags {
	char **filters;
	const char *format;
	bool no_trunc, quiet;
};

static bool match_name(const void *o, const char *value)
{
	return name_matches(((const struct container *)o)->name, value);
}

static bool match_id(const void *o, const char *value)
{
	return str_starts(((const struct container *)o)->id, value);
}

static bool match_status(const void *status, const char *value)
{
	return strcasecmp(status, value) == 0;
}

static const struct format_field fields[] = {
	{"ID", "POD ID"},       {"Name", "NAME"},         {"Status", "STATUS"},
	{"Created", "CREATED"}, {"InfraID", "INFRA ID"},  {"NumberOfContainers", "# OF CONTAINERS"},
	{"Labels", "LABELS"},   {"Networks", "NETWORKS"}, {0},
};

static struct err *add_row(struct engine *e, const struct container *pod, const struct list_flags *f,
			   const struct filters *filters, struct json *rows)
{
	struct container **members = NULL;
	_cleanup_strv_ char **networks = NULL;
	size_t n = 0;

	TRY(pod_members(e, pod, &members, &n));
	const char *status = pod_status(pod, members, n);
	containers_free(members, n);
	if (!filters_match(filters, "status", match_status, status))
		return NULL;
	if (f->quiet && !f->format) {
		puts(f->no_trunc ? pod->id : short_id(pod->id));
		return NULL;
	}
	err_free(container_networks(e, pod, &networks));
	struct json *row = json_new_object();
	_cleanup_free_ char *created = ago(pod->created_ns), *labels = strv_join(pod->labels, ","),
			    *count = xasprintf("%zu", n + 1), *nets = strv_join(networks, ",");
	json_set_string(row, "ID", f->no_trunc ? pod->id : short_id(pod->id));
	json_set_string(row, "Name", pod->name);
	json_set_string(row, "Status", status);
	json_set_string(row, "Created", created);
	json_set_string(row, "InfraID", f->no_trunc ? pod->id : short_id(pod->id));
	json_set_string(row, "NumberOfContainers", count);
	json_set_string(row, "Labels", labels ? labels : "");
	json_set_string(row, "Networks", nets ? nets : "");
	json_append(rows, row);
	return NULL;
}

static struct err *run_ls(struct invocation *in, int *ret_status)
{
	static const struct format_table table = {.fields = fields,
						  .columns = "{{.ID}}\t{{.Name}}\t{{.Status}}\t{{.Created}}"
							     "\t{{.InfraID}}\t{{.NumberOfContainers}}"};
	const struct list_flags *f = in->options;
	_cleanup_filters_ struct filters filters = {0};
	_cleanup_json_ struct json *rows = json_new_array();
	struct container **list = NULL;
	struct err *error = NULL;
	struct engine *e;
	size_t n = 0;

	(void)ret_status;
	TRY(filters_parse(f->filters, "id label label! name status", &filters));
	TRY(cli_engine(&e));
	TRY(pod_list(e, &list, &n));
	for (size_t i = 0; i < n && !error; i++)
		if (filters_match(&filters, "name", match_name, list[i]) &&
		    filters_match(&filters, "id", match_id, list[i]) &&
		    filters_labels(&filters, list[i]->labels))
			error = add_row(e, list[i], f, &filters, rows);
	containers_free(list, n);
	TRY(error);
	return f->quiet && !f->format ? NULL : format_rows(f->format, &table, rows, NULL, NULL);
}

const struct command cmd_pod_ls = {
	.name = "pod ls",
	.aliases = ALIASES("pod ps", "pod list"),
	.summary = "List pods",
	.usage = "[OPTIONS]",
	.flags =
		(const struct flag[]){
			{FLAG_LIST_FIELD(struct list_flags, filters), .name = "filter", .letter = 'f',
			 .metavar = "key=value", .help = "Show only what matches (id, label, name, status)",
			 .values = "id= label= name= status="},
			{FLAG_STRING_FIELD(struct list_flags, format), .name = "format",
			 .metavar = "template", .help = "Print with a template ({{.Name}}) or as json",
			 .values = "json table"},
			{FLAG_BOOL_FIELD(struct list_flags, no_trunc), .name = "no-trunc",
			 .help = "Shorten nothing"},
			{FLAG_BOOL_FIELD(struct list_flags, quiet), .name = "quiet", .letter = 'q',
			 .help = "Print ids only"},
			{0}},
	.options_size = sizeof(struct list_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_ls,
};

/* -- inspect, exists ------------------------------------------------------------------------------------------------ */

struct inspect_flags {
	const char *format;
};

static struct err *inspect_one(struct engine *e, const char *what, struct json *all)
{
	_cleanup_container_ struct container *pod = NULL;
	struct json *o = NULL;

	TRY(pod_find(e, what, &pod));
	TRY(pod_inspect(e, pod, &o));
	json_append(all, o);
	return NULL;
}

static struct err *run_inspect(struct invocation *in, int *ret_status)
{
	const struct inspect_flags *f = in->options;
	_cleanup_json_ struct json *all = json_new_array();
	struct engine *e;

	TRY(cli_engine(&e));
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_err_ struct err *failed = inspect_one(e, in->args[i], all);
		if (failed) {
			command_report(in, failed);
			*ret_status = 1;
		}
	}
	return print_objects(f->format, all);
}

const struct command cmd_pod_inspect = {
	.name = "pod inspect",
	.summary = "Print all that is known of pods, as JSON",
	.usage = "[OPTIONS] POD [POD...]",
	.flags = (const struct flag[]){{FLAG_STRING_FIELD(struct inspect_flags, format), .name = "format",
					.letter = 'f', .metavar = "template",
					.help = "Print with a template ({{.State}}) or as json",
					.values = "json"},
				       {0}},
	.options_size = sizeof(struct inspect_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!pods",
	.traits = COMMAND_LOCAL,
	.run = run_inspect,
};

static struct err *run_exists(struct invocation *in, int *ret_status)
{
	_cleanup_container_ struct container *pod = NULL;
	struct engine *e;

	TRY(cli_engine(&e));
	struct err *error = pod_find(e, in->args[0], &pod);
	if (!error || error->kind != ERR_NOT_FOUND)
		return error;
	err_free(error);
	*ret_status = 1;
	return NULL;
}

const struct command cmd_pod_exists = {
	.name = "pod exists",
	.summary = "Answer by the exit status whether a pod exists",
	.usage = "POD",
	.min_args = 1,
	.max_args = 1,
	.args_values = "!pods",
	.traits = COMMAND_LOCAL,
	.run = run_exists,
};
