// SPDX-License-Identifier: Apache-2.0
/* version and info. */
#include <stdio.h>
#include <sys/utsname.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"

struct format_flags {
	const char *format;
};

static struct json *version_object(void)
{
	struct utsname u;
	struct platform p = platform_host();
	struct json *client = json_new_object(), *all = json_new_object();

	uname(&u);
	json_set_string(client, "Version", HAVRE_VERSION);
	json_set_string(client, "Os", p.os);
	json_set_string(client, "Arch", p.architecture);
	json_set_string(client, "KernelVersion", u.release);
	json_set_string(client, "Compiler", __VERSION__);
	json_set(all, "Client", client);
	/* There is no daemon; scripts that ask for the server's version mean the engine's. */
	json_set(all, "Server", json_ref(client));
	return all;
}

static struct err *run_version(struct invocation *in, int *ret_status)
{
	const struct format_flags *f = in->options;
	_cleanup_json_ struct json *v = version_object();

	if (f->format)
		return format_object(f->format, v);
	return format_object(
		"havre\n Version:    {{.Client.Version}}\n OS/Arch:    {{.Client.Os}}/{{.Client.Arch}}\n"
		" Kernel:     {{.Client.KernelVersion}}\n Compiler:   {{.Client.Compiler}}\n Daemon:     "
		"none (not needed)",
		v);
}

/* {{.X}} lines of docker info that say something here; a member that is absent is left out. */
static const struct {
	const char *title, *key;
} info_lines[] = {
	{"Containers", "Containers"},
	{" Running", "ContainersRunning"},
	{" Paused", "ContainersPaused"},
	{" Stopped", "ContainersStopped"},
	{"Images", "Images"},
	{"Server Version", "ServerVersion"},
	{"Storage Driver", "Driver"},
	{"Logging Driver", "LoggingDriver"},
	{"Cgroup Driver", "CgroupDriver"},
	{"Cgroup Version", "CgroupVersion"},
	{"Default Runtime", "DefaultRuntime"},
	{"Security Options", "SecurityOptions"},
	{"Kernel Version", "KernelVersion"},
	{"Operating System", "OperatingSystem"},
	{"OSType", "OSType"},
	{"Architecture", "Architecture"},
	{"CPUs", "NCPU"},
	{"Total Memory", "MemTotal"},
	{"Name", "Name"},
	{"Root Dir", "DockerRootDir"},
};

/* docker's pairs below the storage driver. */
static struct err *print_driver_status(struct json *info)
{
	struct json_cursor root = json_root(info), list;

	TRY(json_get_array(&root, "DriverStatus", JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor pair = json_at(&list, i), name = json_at(&pair, 0),
				   value = json_at(&pair, 1);
		const char *a, *b;
		TRY(json_as_string(&name, &a));
		TRY(json_as_string(&value, &b));
		printf(" %s: %s\n", a, b);
	}
	return NULL;
}

static struct err *print_info(struct json *info)
{
	for (size_t i = 0; i < ARRAY_SIZE(info_lines); i++) {
		_cleanup_free_ char *template =
			str_eq(info_lines[i].key, "SecurityOptions")
				? xasprintf("{{with .%s}}%s:{{range .}} {{.}}{{end}}{{end}}",
					    info_lines[i].key, info_lines[i].title)
				: xasprintf("%s: {{.%s}}", info_lines[i].title, info_lines[i].key);
		struct json_cursor root = json_root(info), m;
		TRY(json_get(&root, info_lines[i].key, JSON_OPTIONAL, &m));
		if (!m.value)
			continue;
		if (str_eq(info_lines[i].key, "MemTotal")) {
			uint64_t bytes = 0;
			TRY(json_as_u64(&m, UINT64_MAX, &bytes));
			printf("%s: %.4gGiB\n", info_lines[i].title, (double)bytes / (1 << 30));
			continue;
		}
		TRY(format_object(template, info));
		if (str_eq(info_lines[i].key, "Driver"))
			TRY(print_driver_status(info));
	}
	struct json_cursor root = json_root(info), warnings;
	TRY(json_get_array(&root, "Warnings", JSON_OPTIONAL, &warnings));
	for (size_t i = 0, n = warnings.value ? json_array_len(&warnings) : 0; i < n; i++) {
		struct json_cursor w = json_at(&warnings, i);
		const char *s;
		TRY(json_as_string(&w, &s));
		cli_warn("%s", s);
	}
	return NULL;
}

static struct err *run_info(struct invocation *in, int *ret_status)
{
	const struct format_flags *f = in->options;
	_cleanup_json_ struct json *info = NULL;
	struct engine *e;

	TRY(cli_engine(&e));
	TRY(engine_info(e, &info));
	if (f->format)
		return format_object(f->format, info);
	return print_info(info);
}

static const struct flag flags[] = {
	{FLAG_STRING_FIELD(struct format_flags, format), .name = "format", .letter = 'f',
	 .metavar = "template", .help = "Print with a template or as json", .values = "json"},
	{0},
};

const struct command cmd_version = {
	.name = "version",
	.summary = "Show the version of havre and its surroundings",
	.usage = "[OPTIONS]",
	.flags = flags,
	.options_size = sizeof(struct format_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_version,
};

const struct command cmd_info = {
	.name = "info",
	.aliases = ALIASES("system info"),
	.summary = "Show what this machine and this installation can do",
	.usage = "[OPTIONS]",
	.flags = flags,
	.options_size = sizeof(struct format_flags),
	.max_args = 0,
	.traits = COMMAND_LOCAL,
	.run = run_info,
};
