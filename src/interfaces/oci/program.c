/* SPDX-License-Identifier: Apache-2.0 */
/* The program: global options, the log, and where errors go. */
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "oci.h"

struct oci_options oci_options;

static const struct flag global_flags[] = {
	{FLAG_STRING_FIELD(struct oci_options, root), .name = "root", .metavar = "DIR", .values = "@dir",
	 .help = "Directory of the containers' states (default /run/havre-runtime; ordinary users: "
		 "$XDG_RUNTIME_DIR/havre-runtime)"},
	{FLAG_STRING_FIELD(struct oci_options, log), .name = "log", .metavar = "FILE", .values = "@file",
	 .help = "Append log messages to a file (or journald:NAME, syslog:NAME) instead of stderr"},
	{FLAG_CHOICE_FIELD(struct oci_options, log_format), .name = "log-format", .values = "text json",
	 .help = "Format of log messages"},
	{FLAG_STRING_FIELD(struct oci_options, log_level), .name = "log-level", .metavar = "LEVEL",
	 .help = "Least important messages shown: debug, info, warn, error"},
	{FLAG_BOOL_FIELD(struct oci_options, debug), .name = "debug",
	 .help = "The same as --log-level debug"},
	{FLAG_BOOL_FIELD(struct oci_options, systemd_cgroup), .name = "systemd-cgroup",
	 .help = "Make cgroups through systemd"},
	{FLAG_CHOICE_FIELD(struct oci_options, cgroup_manager), .name = "cgroup-manager",
	 .values = "cgroupfs systemd disabled", .help = "How cgroups are made"},
	{FLAG_STRING_FIELD(struct oci_options, rootless), .name = "rootless", .metavar = "true|false|auto",
	 .help = "Whether to go without what only root may have; auto looks who calls"},
	{0},
};

static const struct command *const commands[] = {
	&oci_checkpoint,     &oci_restore,  &oci_create,       &oci_delete, &oci_events,
	&oci_exec,           &oci_features, &oci_kill,         &oci_list,   &oci_mounts_add,
	&oci_mounts_remove,  &oci_pause,    &oci_ps,           &oci_resume, &oci_run,
	&oci_spec,           &oci_start,    &oci_state,        &oci_update, &command_help,
	&command_completion, &command_man,  &command_complete, NULL,
};

static const struct command_group groups[] = {
	{"mounts", "Add mounts to a running container, or remove them"},
	{0},
};

static void print_version(void)
{
	/* dockerd looks for "version" and "commit:". */
	printf("havre-runtime version %s\ncommit: %s\nspec: 1.3.0\n", HAVRE_VERSION, HAVRE_VERSION);
}

static struct err *open_log_socket(const char *path, enum log_format format, const char *identifier)
{
	int fd = -1;
	TRY_WRAP(fd_unix_connect(path, SOCK_DGRAM, &fd), "cannot open the log");
	log_set_fd(fd);
	log_set_format(format);
	if (*identifier)
		log_set_identifier(identifier);
	return NULL;
}

static bool starts(const char *text, const char *prefix, const char **ret_rest)
{
	size_t n = strlen(prefix);
	if (strncmp(text, prefix, n) != 0)
		return false;
	*ret_rest = text + n;
	return true;
}

/* A path as runc takes it, or crun's "file:PATH", "journald:NAME", "syslog:NAME". */
static struct err *open_log(void)
{
	const char *path = oci_options.log, *name;
	if (!path)
		return NULL;
	if (starts(path, "journald:", &name))
		return open_log_socket("/run/systemd/journal/socket", LOG_FORMAT_JOURNAL, name);
	if (starts(path, "syslog:", &name))
		return open_log_socket("/dev/log", LOG_FORMAT_SYSLOG, name);
	(void)starts(path, "file:", &path);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd < 0)
		return err_errno(errno, "cannot open log file %s", path);
	log_set_fd(fd);
	log_set_format(str_eq(oci_options.log_format, "json") ? LOG_FORMAT_JSON : LOG_FORMAT_KEYS);
	return NULL;
}

static struct err *parse_rootless(void)
{
	bool on = false;
	if (!oci_options.rootless || str_eq(oci_options.rootless, "auto"))
		return NULL;
	struct err *e = parse_bool(oci_options.rootless, "--rootless", &on);
	if (e) {
		err_free(e);
		return err_new(ERR_INVALID, "--rootless is true, false or auto, not \"%s\"",
			       oci_options.rootless);
	}
	oci_options.rootless_mode = on ? RT_ROOTLESS_TRUE : RT_ROOTLESS_FALSE;
	return NULL;
}

static struct err *prepare(struct invocation *in)
{
	enum log_level level = LOG_LEVEL_WARN;
	log_init("havre-runtime");
	if (oci_options.log_level)
		TRY(log_level_parse(oci_options.log_level, &level));
	log_set_level(oci_options.debug ? LOG_LEVEL_DEBUG : level);
	if (str_eq(oci_options.log_format, "json"))
		log_set_format(LOG_FORMAT_JSON);
	else if (oci_options.debug) /* so that it can be told from what the container prints */
		log_set_format(LOG_FORMAT_KEYS);
	TRY(open_log());
	return parse_rootless();
}

/* To the log, where callers read it; and to stderr for people when the log is a file. */
static void report(const struct invocation *in, const struct err *e)
{
	fflush(stdout);
	log_err(LOG_LEVEL_ERROR, e);
	if (!oci_options.log)
		return;
	_cleanup_free_ char *text = err_text(e);
	str_hide_controls(text);
	fprintf(stderr, "%s\n", text);
}

const struct program oci_program = {
	.name = "havre-runtime",
	.summary = "Runs containers from OCI bundles (runtime-spec 1.3), on runc's command line",
	.commands = commands,
	.groups = groups,
	.flags = global_flags,
	.options = &oci_options,
	.single_dash = true,
	.version = print_version,
	.prepare = prepare,
	.report = report,
};

struct err *oci_load(const struct invocation *in, struct rt_container **ret)
{
	return rt_container_load(oci_options.root, in->args[0], ret);
}

struct err *oci_match(const char *pattern, char ***ret_ids)
{
	_cleanup_strv_ char **ids = NULL, **matches = NULL;
	regex_t regex;
	int code = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
	if (code) {
		char text[128];
		regerror(code, &regex, text, sizeof(text));
		return err_new(ERR_INVALID, "invalid regular expression \"%s\": %s", pattern, text);
	}
	struct err *e = rt_container_list(oci_options.root, &ids);
	STRV_FOREACH (id, ids)
		if (regexec(&regex, *id, 0, NULL, 0) == 0)
			strv_push(&matches, *id);
	regfree(&regex);
	if (!e)
		*ret_ids = TAKE_PTR(matches);
	return e;
}

static void warn(struct rt_container *c, bool heard)
{
	if (!c->warnings)
		return;
	STRV_FOREACH (w, c->warnings)
		log_message(heard ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "container %s: %s", c->id, *w);
	strv_free(TAKE_PTR(c->warnings));
}

void oci_warn(struct rt_container *c)
{
	/* Without a log, stderr is the container's too: what a program reads there must come from the container. */
	if (c->warnings)
		warn(c, oci_options.log || isatty(STDERR_FILENO));
}

void oci_warn_ended(struct rt_container *c)
{
	warn(c, true);
}

struct err *oci_print_json(const struct json *v)
{
	_cleanup_free_ char *text = json_print(v, JSON_PRETTY);
	puts(text);
	return NULL;
}
