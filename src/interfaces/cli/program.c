// SPDX-License-Identifier: Apache-2.0
/* havre: global flags, the engine they open, and the list of commands. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "embedded.h"
#include "engine/network.h"
#include "engine/pod.h"
#include "engine/secret.h"

static struct {
	const char *root, *run, *log_level, *storage_driver;
	bool debug;
} globals;
typedef __typeof__(globals) globals_t;

static struct engine *engine;

void cli_global_arguments(char ***args)
{
	const struct {
		const char *flag, *value;
	} given[] = {{"--root", globals.root},
		     {"--run", globals.run},
		     {"--storage-driver", globals.storage_driver}};

	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		if (!given[i].value)
			continue;
		strv_push(args, given[i].flag);
		strv_push(args, given[i].value);
	}
}

/* The command line as it came, for cli_transfer. */
static struct {
	char **argv;
	const char *transfer;
} start;

static const struct flag global_flags[] = {
	{FLAG_STRING_FIELD(globals_t, root), .name = "root", .metavar = "directory",
	 .help = "Where images and containers are kept (/var/lib/havre)", .values = "@dir"},
	{FLAG_STRING_FIELD(globals_t, run), .name = "run", .metavar = "directory",
	 .help = "Where the state of running containers is (/run/havre)", .values = "@dir"},
	{FLAG_STRING_FIELD(globals_t, storage_driver), .name = "storage-driver", .metavar = "name",
	 .help = "How new images are kept: overlay (directories), erofs (tar files with an index) or vfs "
		 "(a copy for each container); default: $HAVRE_STORAGE_DRIVER, storage.driver of "
		 "/etc/havre/havre.toml, or what works here",
	 .values = "overlay erofs vfs"},
	{FLAG_BOOL_FIELD(globals_t, debug), .name = "debug", .letter = 'D',
	 .help = "Show what is done, on standard error"},
	{FLAG_CHOICE_FIELD(globals_t, log_level), .name = "log-level", .letter = 'l', .metavar = "level",
	 .help = "What to log on standard error", .values = "debug info warn error"},
	{.kind = FLAG_LIST,
	 .name = "host",
	 .letter = 'H',
	 .refusal = "havre needs no daemon; it works on this machine"},
	{.kind = FLAG_STRING,
	 .name = "context",
	 .letter = 'c',
	 .refusal = "havre needs no daemon; it works on this machine"},
	{.kind = FLAG_BOOL, .name = "tls", .refusal = "havre needs no daemon; it works on this machine"},
	{0},
};

struct err *cli_engine(struct engine **ret)
{
	if (!engine) {
		struct engine_options o = {
			.root = globals.root,
			.run = globals.run,
			.storage_driver = globals.storage_driver,
			.embedded_image = embedded_image_begin,
			.embedded_image_size = (size_t)(embedded_image_end - embedded_image_begin),
			.embedded_reference = EMBEDDED_REFERENCE,
		};
		TRY(engine_open(&o, &engine));
	}
	*ret = engine;
	return NULL;
}

struct err *cli_store(struct store **ret)
{
	struct engine *e;

	TRY(cli_engine(&e));
	return engine_store(e, ret);
}

void cli_close(void)
{
	engine_close(engine);
	engine = NULL;
}

void cli_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	va_end(ap);
	fprintf(stderr, "havre: warning: %s\n", text);
}

static void complete_containers(const char *prefix, bool running_only)
{
	struct engine *e;
	struct container **list = NULL;
	size_t n = 0;

	struct err *failed = cli_engine(&e);
	if (!failed)
		failed = container_list(e, !running_only, &list, &n);
	err_free(failed);
	for (size_t i = 0; i < n; i++) {
		if (str_starts(list[i]->name, prefix))
			puts(list[i]->name);
		else if (*prefix && str_starts(list[i]->id, prefix))
			puts(short_id(list[i]->id));
		container_free(list[i]);
	}
	free(list);
}

static void complete_volumes(const char *prefix)
{
	struct engine *e;
	struct volume *v = NULL;
	size_t n = 0;

	struct err *failed = cli_engine(&e);
	if (!failed)
		failed = volume_list(e, &v, &n);
	err_free(failed);
	for (size_t i = 0; i < n; i++)
		if (str_starts(v[i].name, prefix))
			puts(v[i].name);
	volumes_free(v, n);
}

static void complete_images(const char *prefix)
{
	struct store *s;
	struct image **list = NULL;
	size_t n = 0;

	struct err *failed = cli_store(&s);
	if (!failed)
		failed = store_list_brief(s, &list, &n);
	err_free(failed);
	for (size_t i = 0; i < n; i++) {
		STRV_FOREACH (name, list[i]->names) {
			_cleanup_reference_ struct reference r = REFERENCE_NONE;
			struct err *bad = reference_parse(*name, &r);
			if (!bad) {
				_cleanup_free_ char *familiar = reference_familiar(&r);
				if (str_starts(familiar, prefix))
					puts(familiar);
			}
			err_free(bad);
		}
		image_free(list[i]);
	}
	free(list);
}

static void complete_networks(const char *prefix)
{
	struct engine *e;
	struct network **list = NULL;
	size_t n = 0;
	struct err *error = cli_engine(&e);

	if (!error)
		error = network_list(e, &list, &n);
	for (size_t i = 0; !error && i < n; i++)
		if (str_starts(network_name(list[i]), prefix))
			puts(network_name(list[i]));
	err_free(error);
	networks_free(list, n);
}

static void complete_secrets(const char *prefix)
{
	struct engine *e;
	struct secret *list = NULL;
	size_t n = 0;
	struct err *error = cli_engine(&e);

	if (!error)
		error = secret_list(e, &list, &n);
	for (size_t i = 0; !error && i < n; i++)
		if (str_starts(list[i].name, prefix))
			puts(list[i].name);
	err_free(error);
	secrets_free(list, n);
}

static void complete_pods(const char *prefix)
{
	struct engine *e;
	struct container **list = NULL;
	size_t n = 0;
	struct err *error = cli_engine(&e);

	if (!error)
		error = pod_list(e, &list, &n);
	for (size_t i = 0; !error && i < n; i++)
		if (str_starts(list[i]->name, prefix))
			puts(list[i]->name);
	err_free(error);
	containers_free(list, n);
}

void cli_complete(const struct program *p, const char *topic, const char *prefix)
{
	if (str_eq(topic, "containers"))
		complete_containers(prefix, false);
	else if (str_eq(topic, "running"))
		complete_containers(prefix, true);
	else if (str_eq(topic, "images"))
		complete_images(prefix);
	else if (str_eq(topic, "volumes"))
		complete_volumes(prefix);
	else if (str_eq(topic, "networks"))
		complete_networks(prefix);
	else if (str_eq(topic, "pods"))
		complete_pods(prefix);
	else if (str_eq(topic, "secrets"))
		complete_secrets(prefix);
	else if (str_eq(topic, "objects")) {
		complete_containers(prefix, false);
		complete_images(prefix);
	}
}

bool cli_is_static(void)
{
	return start.transfer;
}

static struct err *execute(const char *program, const char *why)
{
	_cleanup_free_ char *path = NULL;

	cli_close();
	TRY(engine_program_path(NULL, program, &path));
	execv(path, start.argv);
	return err_errno(errno, "cannot execute %s, %s", path, why);
}

struct err *cli_transfer(void)
{
	return start.transfer
		       ? execute(start.transfer, "which does what needs a network or compressed layers")
		       : NULL;
}

/* An ordinary user's command goes on as root of the user's own namespace. */
static struct err *enter_rootless(const struct command *c)
{
	_cleanup_strv_ char **warnings = NULL;
	struct engine *e;

	if (geteuid() == 0 || (c->traits & COMMAND_STATELESS))
		return NULL;
	TRY(cli_engine(&e));
	TRY(engine_enter_rootless(e, &warnings));
	STRV_FOREACH (w, warnings)
		cli_warn("%s", *w);
	return execute(c->traits & COMMAND_LOCAL ? NULL : start.transfer,
		       "as root of the user's own namespace");
}

int cli_main(int argc, char **argv, const char *transfer)
{
	/* Parsing moves the arguments about. */
	_cleanup_free_ char **copy = xcalloc((size_t)argc + 1, sizeof(*copy));

	memcpy(copy, argv, (size_t)argc * sizeof(*copy));
	start = (__typeof__(start)){.argv = copy, .transfer = transfer};
	int status = command_main(&havre_program, argc, argv);
	cli_close();
	return status;
}

static struct err *prepare(struct invocation *in)
{
	TRY(enter_rootless(in->command));
	if (!(in->command->traits & COMMAND_LOCAL))
		TRY(cli_transfer());
	log_init("havre");
	if (globals.log_level) {
		enum log_level level;
		TRY(log_level_parse(globals.log_level, &level));
		log_set_level(level);
	}
	if (globals.debug)
		log_set_level(LOG_LEVEL_DEBUG);
	return NULL;
}

static void print_version(void)
{
	puts("havre version " HAVRE_VERSION);
}

static const struct command *const commands[] = {
	&cmd_run,
	&cmd_exec,
	&cmd_ps,
	&cmd_images,
	&cmd_pull,
	&cmd_push,
	&cmd_search,
	&cmd_login,
	&cmd_logout,
	&cmd_create,
	&cmd_start,
	&cmd_stop,
	&cmd_restart,
	&cmd_kill,
	&cmd_pause,
	&cmd_unpause,
	&cmd_rm,
	&cmd_rename,
	&cmd_update,
	&cmd_attach,
	&cmd_logs,
	&cmd_wait,
	&cmd_top,
	&cmd_stats,
	&cmd_port,
	&cmd_inspect,
	&cmd_cp,
	&cmd_diff,
	&cmd_commit,
	&cmd_export,
	&cmd_image_unpack,
	&cmd_image_repack,
	&cmd_image_insert,
	&cmd_image_config,
	&cmd_load,
	&cmd_save,
	&cmd_import,
	&cmd_tag,
	&cmd_untag,
	&cmd_image_exists,
	&cmd_rmi,
	&cmd_events,
	&cmd_info,
	&cmd_version,
	&cmd_history,
	&cmd_image_tree,
	&cmd_image_mount,
	&cmd_image_unmount,
	&cmd_image_trust,
	&cmd_image_sign,
	&cmd_image_verify,
	&cmd_standalone_sign,
	&cmd_standalone_verify,
	&cmd_generate_sigstore_key,
	&cmd_system_start,
	&cmd_system_df,
	&cmd_system_service,
	&cmd_system_check,
	&cmd_system_prune,
	&cmd_container_prune,
	&cmd_image_prune,
	&cmd_volume_create,
	&cmd_volume_ls,
	&cmd_volume_inspect,
	&cmd_volume_rm,
	&cmd_volume_prune,
	&cmd_network_ls,
	&cmd_network_create,
	&cmd_network_inspect,
	&cmd_network_connect,
	&cmd_network_disconnect,
	&cmd_network_rm,
	&cmd_network_prune,
	&cmd_volume_export,
	&cmd_volume_import,
	&cmd_volume_clone,
	&cmd_volume_rename,
	&cmd_volume_exists,
	&cmd_mount,
	&cmd_unmount,
	&cmd_unshare,
	&cmd_system_reset,
	&cmd_pod_create,
	&cmd_pod_start,
	&cmd_pod_stop,
	&cmd_pod_restart,
	&cmd_pod_kill,
	&cmd_pod_pause,
	&cmd_pod_unpause,
	&cmd_pod_rm,
	&cmd_pod_ls,
	&cmd_pod_inspect,
	&cmd_pod_top,
	&cmd_pod_logs,
	&cmd_pod_exists,
	&cmd_pod_prune,
	&cmd_secret_create,
	&cmd_secret_ls,
	&cmd_secret_inspect,
	&cmd_secret_rm,
	&cmd_secret_exists,
	&cmd_context_ls,
	&cmd_context_show,
	&cmd_context_use,
	&cmd_context_inspect,
	&cmd_swarm,
	&cmd_node,
	&cmd_service,
	&cmd_stack,
	&cmd_config,
	&cmd_plugin,
	&cmd_trust,
	&cmd_cleanup,
	&cmd_revive,
	&cmd_healthcheck_run,
	&cmd_generate_systemd,
	&cmd_container_inspect,
	&cmd_image_inspect,
	&cmd_image_copy,
	&cmd_image_sync,
	&cmd_image_list_tags,
	&cmd_image_delete,
	&cmd_manifest_create,
	&cmd_manifest_add,
	&cmd_manifest_annotate,
	&cmd_manifest_inspect,
	&cmd_manifest_push,
	&cmd_manifest_remove,
	&cmd_manifest_rm,
	&cmd_manifest_exists,
	&command_help,
	&command_completion,
	&command_man,
	&command_complete,
	NULL,
};

/* clang-format off: one a line */
static const struct command_group groups[] = {
	{"container", "Manage containers"},
	{"context", "Look at the engines there are"},
	{"generate", "Print what other programs are set up with"},
	{"healthcheck", "Look at the health of containers"},
	{"image", "Manage images"},
	{"manifest", "Make images for several platforms"},
	{"network", "Manage networks"},
	{"pod", "Manage pods: containers that share a network"},
	{"secret", "Manage secrets of containers"},
	{"system", "Manage havre"},
	{"volume", "Manage volumes"},
	{0},
};
/* clang-format on */

const struct program havre_program = {
	.name = "havre",
	.summary = "Run containers, without a daemon",
	.help = "havre runs and manages containers and their images with docker's commands and flags. It "
		"needs no daemon: each command does "
		"its work and ends; a small monitor stays with each running container.\n\n"
		"Try it without a network:\n\n"
		"    havre run --rm havre/hello",
	.commands = commands,
	.groups = groups,
	.flags = global_flags,
	.options = &globals,
	.usage_status = 125,
	.version = print_version,
	.prepare = prepare,
	.complete = cli_complete,
};
