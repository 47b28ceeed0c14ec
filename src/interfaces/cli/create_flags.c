// SPDX-License-Identifier: Apache-2.0
/* The flags of create and run, and what they make of a struct container_spec. Every flag of docker run has a row; those that havre does
 * not do yet say why. */
#include <ctype.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "cli.h"

#define O struct create_options
#define WINDOWS "it has a meaning on Windows only"

const struct flag create_flags[] = {
	{FLAG_LIST_FIELD(O, add_hosts), .name = "add-host", .metavar = "host:ip",
	 .help = "Add a line to /etc/hosts"},
	{FLAG_LIST_FIELD(O, annotations), .name = "annotation", .metavar = "key=value",
	 .help = "Add an annotation to the runtime's spec"},
	{FLAG_LIST_FIELD(O, attach), .name = "attach", .letter = 'a',
	 .help = "Attach to STDIN, STDOUT or STDERR", .values = "stdin stdout stderr"},
	{FLAG_LIST_FIELD(O, cap_add), .name = "cap-add", .metavar = "capability",
	 .help = "Add a capability (NET_ADMIN, ALL, …)"},
	{FLAG_LIST_FIELD(O, cap_drop), .name = "cap-drop", .metavar = "capability",
	 .help = "Drop a capability (CHOWN, ALL, …)"},
	{FLAG_STRING_FIELD(O, cgroup_parent), .name = "cgroup-parent", .metavar = "path",
	 .help = "Parent cgroup of the container's"},
	{FLAG_STRING_FIELD(O, cgroupns), .name = "cgroupns", .metavar = "mode", .help = "Cgroup namespace",
	 .values = "private host"},
	{FLAG_STRING_FIELD(O, cidfile), .name = "cidfile", .metavar = "file",
	 .help = "Write the container's id to a new file", .values = "@file"},
	{FLAG_INT_FIELD(O, cpu_period), .name = "cpu-period", .metavar = "µs", .min = 0, .max = 1000000,
	 .help = "Period of the CPU quota"},
	{FLAG_INT_FIELD(O, cpu_quota), .name = "cpu-quota", .metavar = "µs", .min = -1, .max = INT64_MAX,
	 .help = "CPU time allowed in each period"},
	{FLAG_INT_FIELD(O, cpu_shares), .name = "cpu-shares", .letter = 'c', .min = 0, .max = 262144,
	 .help = "CPU weight (1024 is one share)"},
	{FLAG_NANO_FIELD(O, nano_cpus), .name = "cpus", .help = "Number of CPUs, may be a fraction"},
	{FLAG_STRING_FIELD(O, cpuset_cpus), .name = "cpuset-cpus", .metavar = "list",
	 .help = "CPUs to run on (0-3, 0,1)"},
	{FLAG_STRING_FIELD(O, cpuset_mems), .name = "cpuset-mems", .metavar = "list",
	 .help = "Memory nodes to use (0-3, 0,1)"},
	{FLAG_LIST_FIELD(O, devices), .name = "device", .metavar = "path[:path[:rwm]]",
	 .help = "Add a device of the host, or one of a CDI file (vendor.com/class=name)", .values = "@file"},
	{FLAG_LIST_FIELD(O, device_cgroup_rules), .name = "device-cgroup-rule", .metavar = "rule",
	 .help = "Allow a class of devices (c 1:3 rwm)"},
	{FLAG_LIST_FIELD(O, dns), .name = "dns", .metavar = "address", .help = "Name server for resolv.conf"},
	{FLAG_LIST_FIELD(O, dns_options), .name = "dns-option", .metavar = "option",
	 .help = "Option for resolv.conf"},
	{FLAG_LIST_FIELD(O, dns_options), .name = "dns-opt", .traits = FLAG_HIDDEN},
	{FLAG_LIST_FIELD(O, dns_search), .name = "dns-search", .metavar = "domain",
	 .help = "Search domain for resolv.conf"},
	{FLAG_STRING_FIELD(O, domainname), .name = "domainname", .help = "NIS domain name of the container"},
	{FLAG_STRING_FIELD(O, entrypoint), .name = "entrypoint", .metavar = "program",
	 .help = "Replace the image's entry point (\"\" for none)"},
	{FLAG_LIST_FIELD(O, env), .name = "env", .letter = 'e', .metavar = "NAME[=value]",
	 .help = "Set an environment variable; NAME alone passes ours on"},
	{FLAG_LIST_FIELD(O, env_files), .name = "env-file", .metavar = "file",
	 .help = "Read environment variables from a file", .values = "@file"},
	{FLAG_LIST_FIELD(O, expose), .name = "expose", .metavar = "port[/protocol]",
	 .help = "Port or range the program listens on"},
	{FLAG_STRING_FIELD(O, gpus), .name = "gpus", .metavar = "all|number|device=names",
	 .help = "GPUs to give, by their CDI files"},
	{FLAG_LIST_FIELD(O, group_add), .name = "group-add", .metavar = "group",
	 .help = "Additional group of the process"},
	{FLAG_LIST_FIELD(O, gid_map), .name = "gidmap", .metavar = "container:host:size",
	 .help = "Map a range of group ids"},
	{FLAG_STRING_FIELD(O, hostname), .name = "hostname", .letter = 'h',
	 .help = "Host name of the container"},
	{FLAG_BOOL_FIELD(O, init), .name = "init",
	 .help = "Run a small init that forwards signals and reaps processes"},
	{FLAG_BOOL_FIELD(O, interactive), .name = "interactive", .letter = 'i',
	 .help = "Keep standard input open"},
	{FLAG_STRING_FIELD(O, ip), .name = "ip", .metavar = "address",
	 .help = "IPv4 address in the (first) network"},
	{FLAG_STRING_FIELD(O, ip6), .name = "ip6", .metavar = "address",
	 .help = "IPv6 address in the (first) network"},
	{FLAG_STRING_FIELD(O, ipc), .name = "ipc", .metavar = "mode", .help = "IPC namespace",
	 .values = "private shareable host none container:"},
	{FLAG_LIST_FIELD(O, labels), .name = "label", .letter = 'l', .metavar = "key[=value]",
	 .help = "Set a label"},
	{FLAG_LIST_FIELD(O, label_files), .name = "label-file", .metavar = "file",
	 .help = "Read labels from a file", .values = "@file"},
	{FLAG_LIST_FIELD(O, links), .name = "link", .metavar = "container[:alias]",
	 .help = "Know another container by a name"},
	{FLAG_STRING_FIELD(O, log_driver), .name = "log-driver", .metavar = "driver",
	 .help = "Where output is kept", .values = "json-file local k8s-file journald none"},
	{FLAG_LIST_FIELD(O, log_opts), .name = "log-opt", .metavar = "key=value",
	 .help = "Option of the log driver"},
	{FLAG_SIZE_FIELD(O, memory), .name = "memory", .letter = 'm', .help = "Memory limit"},
	{FLAG_SIZE_FIELD(O, memory_reservation), .name = "memory-reservation", .help = "Soft memory limit"},
	{FLAG_SIZE_FIELD(O, memory_swap), .name = "memory-swap", .min = -1,
	 .help = "Limit of memory plus swap; -1: unlimited swap"},
	{FLAG_LIST_FIELD(O, mounts), .name = "mount", .metavar = "spec",
	 .help = "Mount a file system (type=bind,source=…,target=…)"},
	{FLAG_STRING_FIELD(O, name), .name = "name", .help = "Name of the container"},
	{FLAG_STRING_FIELD(O, mac_address), .name = "mac-address", .metavar = "address",
	 .help = "MAC address in the (first) network"},
	{FLAG_LIST_FIELD(O, networks), .name = "network", .metavar = "network",
	 .help = "Network to join: its name, none, host, container:NAME; several may be given (bridge)",
	 .values = "!networks"},
	{FLAG_LIST_FIELD(O, networks), .name = "net", .traits = FLAG_HIDDEN, .values = "!networks"},
	{FLAG_LIST_FIELD(O, network_aliases), .name = "network-alias", .metavar = "name",
	 .help = "Further name of the container in the (first) network"},
	{FLAG_LIST_FIELD(O, network_aliases), .name = "net-alias", .traits = FLAG_HIDDEN},
	{FLAG_BOOL_FIELD(O, no_healthcheck), .name = "no-healthcheck",
	 .help = "Ignore the image's health check"},
	{FLAG_INT_FIELD(O, oom_score_adj), .name = "oom-score-adj", .min = -1000, .max = 1000,
	 .help = "Tune the kernel's choice of whom to kill"},
	{FLAG_STRING_FIELD(O, pid), .name = "pid", .metavar = "mode", .help = "PID namespace",
	 .values = "private host container:"},
	{FLAG_INT_FIELD(O, pids_limit), .name = "pids-limit", .min = -1, .max = INT64_MAX,
	 .help = "Limit of processes; -1: none"},
	{FLAG_STRING_FIELD(O, platform), .name = "platform", .metavar = "os/arch",
	 .help = "Platform of the image"},
	{FLAG_STRING_FIELD(O, pod), .name = "pod", .metavar = "pod",
	 .help = "Pod to run in; new:NAME makes it", .values = "!pods"},
	{FLAG_BOOL_FIELD(O, privileged), .name = "privileged",
	 .help = "Give all capabilities and devices, drop the confinement"},
	{FLAG_LIST_FIELD(O, publish), .name = "publish", .letter = 'p',
	 .metavar = "[address:][port:]port[/protocol]",
	 .help = "Publish a port, or a range, on this machine"},
	{FLAG_BOOL_FIELD(O, publish_all), .name = "publish-all", .letter = 'P',
	 .help = "Publish all exposed ports on free ports of this machine"},
	{FLAG_CHOICE_FIELD(O, pull), .name = "pull", .metavar = "policy", .help = "When to pull the image",
	 .values = "always missing never"},
	{FLAG_BOOL_FIELD(O, quiet), .name = "quiet", .letter = 'q', .help = "Show no pull progress"},
	{FLAG_BOOL_FIELD(O, read_only), .name = "read-only", .help = "Mount the root file system read-only"},
	{FLAG_STRING_FIELD(O, restart), .name = "restart", .metavar = "policy",
	 .help = "When to start it anew after its end: no, on-failure[:N], always, unless-stopped, "
		 "on-unhealthy",
	 .values = "no on-failure always unless-stopped on-unhealthy"},
	{FLAG_BOOL_FIELD(O, auto_remove), .name = "rm", .help = "Remove the container when it ends"},
	{FLAG_STRING_FIELD(O, runtime), .name = "runtime", .metavar = "name|path",
	 .help = "OCI runtime: runc, crun, runsc, a path (havre's own)", .values = "havre runc crun runsc"},
	{FLAG_LIST_FIELD(O, security_opt), .name = "security-opt", .metavar = "option",
	 .help = "Security option (no-new-privileges, seccomp=FILE, seccomp=unconfined)"},
	{FLAG_BOOL_FIELD(O, replace), .name = "replace", .help = "Remove a container of the same name first"},
	{FLAG_BOOL_FIELD(O, rootfs), .name = "rootfs",
	 .help = "The argument is a directory, the root file system, in place of an image"},
	{FLAG_LIST_FIELD(O, secrets), .name = "secret", .metavar = "name[,option=value...]",
	 .help = "Give a secret as /run/secrets/NAME, or as a variable (type=env,target=NAME)",
	 .values = "!secrets"},
	{FLAG_SIZE_FIELD(O, shm_size), .name = "shm-size", .help = "Size of /dev/shm"},
	{FLAG_STRING_FIELD(O, signature_policy), .name = "signature-policy", .metavar = "file",
	 .help = "Ask this signature policy when pulling", .values = "@file"},
	{FLAG_STRING_FIELD(O, stop_signal), .name = "stop-signal", .metavar = "signal",
	 .help = "Signal that stops the container"},
	{FLAG_INT_FIELD(O, stop_timeout), .name = "stop-timeout", .metavar = "seconds", .min = -1,
	 .max = INT32_MAX, .help = "Seconds to wait after it before killing"},
	{FLAG_LIST_FIELD(O, sysctls), .name = "sysctl", .metavar = "name=value",
	 .help = "Set a kernel parameter of the container's namespaces"},
	{FLAG_LIST_FIELD(O, tmpfs), .name = "tmpfs", .metavar = "path[:options]", .help = "Mount a tmpfs"},
	{FLAG_STRING_FIELD(O, timezone), .name = "tz", .metavar = "zone",
	 .help = "Time zone: local, or a name as Europe/Berlin"},
	{FLAG_BOOL_FIELD(O, tty), .name = "tty", .letter = 't', .help = "Allocate a terminal"},
	{FLAG_LIST_FIELD(O, ulimits), .name = "ulimit", .metavar = "name=soft[:hard]",
	 .help = "Set a resource limit"},
	{FLAG_STRING_FIELD(O, subgid_name), .name = "subgidname", .metavar = "name",
	 .help = "Map the ids that this name has in /etc/subgid"},
	{FLAG_STRING_FIELD(O, subuid_name), .name = "subuidname", .metavar = "name",
	 .help = "Map the ids that this name has in /etc/subuid"},
	{FLAG_LIST_FIELD(O, uid_map), .name = "uidmap", .metavar = "container:host:size",
	 .help = "Map a range of user ids"},
	{FLAG_STRING_FIELD(O, umask), .name = "umask", .metavar = "mask",
	 .help = "File mode mask of the process, octal"},
	{FLAG_LIST_FIELD(O, unset_env), .name = "unsetenv", .metavar = "name",
	 .help = "Take a variable out of the environment"},
	{FLAG_BOOL_FIELD(O, unset_env_all), .name = "unsetenv-all",
	 .help = "Take all variables of the image out of the environment"},
	{FLAG_STRING_FIELD(O, user), .name = "user", .letter = 'u', .metavar = "user[:group]",
	 .help = "User name or id, and group"},
	{FLAG_STRING_FIELD(O, userns), .name = "userns", .metavar = "mode", .help = "User namespace",
	 .values = "host auto auto:size= container:"},
	{FLAG_STRING_FIELD(O, uts), .name = "uts", .metavar = "mode", .help = "UTS namespace",
	 .values = "private host container:"},
	{FLAG_LIST_FIELD(O, volumes), .name = "volume", .letter = 'v', .metavar = "[source:]target[:options]",
	 .help = "Mount a host path or a volume", .values = "@file"},
	{FLAG_STRING_FIELD(O, workdir), .name = "workdir", .letter = 'w', .metavar = "path",
	 .help = "Working directory"},

	/* Known to docker and of no consequence here. */
	{.kind = FLAG_IGNORED, .name = "isolation", .refusal = WINDOWS},
	{.kind = FLAG_BOOL,
	 .name = "disable-content-trust",
	 .traits = FLAG_HIDDEN,
	 .refusal = "docker's content trust is not part of havre"},

	/* Known to docker; havre's turn comes. */
	{FLAG_INT_FIELD(O, blkio_weight), .name = "blkio-weight", .min = 0, .max = 1000,
	 .help = "Weight of block I/O, 10 to 1000"},
	{FLAG_LIST_FIELD(O, blkio_weight_devices), .name = "blkio-weight-device", .metavar = "device:weight",
	 .help = "Weight of block I/O on a device", .values = "@file"},
	{FLAG_LIST_FIELD(O, device_read_bps), .name = "device-read-bps", .metavar = "device:size",
	 .help = "Limit of bytes read from a device in a second", .values = "@file"},
	{FLAG_LIST_FIELD(O, device_read_iops), .name = "device-read-iops", .metavar = "device:number",
	 .help = "Limit of reads from a device in a second", .values = "@file"},
	{FLAG_LIST_FIELD(O, device_write_bps), .name = "device-write-bps", .metavar = "device:size",
	 .help = "Limit of bytes written to a device in a second", .values = "@file"},
	{FLAG_LIST_FIELD(O, device_write_iops), .name = "device-write-iops", .metavar = "device:number",
	 .help = "Limit of writes to a device in a second", .values = "@file"},
	{FLAG_INT_FIELD(O, cpu_rt_period), .name = "cpu-rt-period", .metavar = "µs", .min = 0, .max = 1000000,
	 .help = "Period of real-time scheduling (cgroup v1)"},
	{FLAG_INT_FIELD(O, cpu_rt_runtime), .name = "cpu-rt-runtime", .metavar = "µs", .min = 0,
	 .max = 1000000, .help = "Real-time CPU time in each period (cgroup v1)"},
	{FLAG_INT_FIELD(O, memory_swappiness), .name = "memory-swappiness", .min = -1, .max = 100,
	 .help = "How readily memory is swapped out, 0 to 100 (cgroup v1)"},
	{FLAG_BOOL_FIELD(O, oom_kill_disable), .name = "oom-kill-disable",
	 .help = "Let processes wait instead of killing them for lack of memory (cgroup v1)"},
	{FLAG_STRING_FIELD(O, volume_driver), .name = "volume-driver", .metavar = "driver",
	 .help = "Driver of volumes (only \"local\")", .values = "local"},
	{FLAG_LIST_FIELD(O, volumes_from), .name = "volumes-from", .metavar = "container[:ro|rw]",
	 .help = "Mount what another container has mounted", .values = "!containers"},
	{.kind = FLAG_INT, .name = "cpu-count", .traits = FLAG_HIDDEN, .refusal = WINDOWS},
	{.kind = FLAG_INT, .name = "cpu-percent", .traits = FLAG_HIDDEN, .refusal = WINDOWS},
	{.kind = FLAG_INT, .name = "io-maxbandwidth", .traits = FLAG_HIDDEN, .refusal = WINDOWS},
	{.kind = FLAG_INT, .name = "io-maxiops", .traits = FLAG_HIDDEN, .refusal = WINDOWS},
	{FLAG_STRING_FIELD(O, health_cmd), .name = "health-cmd", .metavar = "command",
	 .help = "Command, for the container's shell, that says whether it is healthy"},
	{FLAG_STRING_FIELD(O, health_interval), .name = "health-interval", .metavar = "duration",
	 .help = "Time between two checks (30s)"},
	{FLAG_INT_FIELD(O, health_retries), .name = "health-retries", .min = 0, .max = INT32_MAX,
	 .help = "Failures in a row that make it unhealthy (3)"},
	{FLAG_STRING_FIELD(O, health_start_interval), .name = "health-start-interval", .metavar = "duration",
	 .help = "Time between two checks during the start period (5s)"},
	{FLAG_STRING_FIELD(O, health_start_period), .name = "health-start-period", .metavar = "duration",
	 .help = "Time after the start in which failures do not count (0s)"},
	{FLAG_STRING_FIELD(O, health_timeout), .name = "health-timeout", .metavar = "duration",
	 .help = "Time after which a check has failed (30s)"},
	{.kind = FLAG_SIZE,
	 .name = "kernel-memory",
	 .traits = FLAG_HIDDEN,
	 .refusal = "the kernel has no such limit any more; --memory covers it"},
	{.kind = FLAG_LIST, .name = "link-local-ip", .refusal = "IPv4 link-local addresses come later"},
	{.kind = FLAG_LIST,
	 .name = "storage-opt",
	 .refusal = "a limit of the root file system's size needs quotas, which overlay directories do not "
		    "have; "
		    "put what grows on a volume (--mount type=tmpfs,tmpfs-size=… for one in memory)"},
	{.kind = FLAG_BOOL,
	 .name = "use-api-socket",
	 .traits = FLAG_HIDDEN,
	 .refusal = "there is no API socket yet"},
	{0},
};

static struct err *add_label_file(const char *path, char ***labels)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	TRY(file_read(path, 1u << 20, &text, &size));
	/* The same form as an env-file, but a name alone is a label without value. */
	_cleanup_strv_ char **lines = strv_split(text, "\r\n");
	STRV_FOREACH (l, lines) {
		const char *line = *l + strspn(*l, " \t");
		if (*line == '\0' || *line == '#')
			continue;
		if (*line == '=')
			return err_new(ERR_INVALID, "%s: a label without a key: \"%s\"", path, line);
		strv_push(labels, line);
	}
	return NULL;
}

static struct err *labels_of(const struct create_options *o, char ***ret)
{
	_cleanup_strv_ char **labels = NULL;

	STRV_FOREACH (f, o->label_files)
		TRY_WRAP(add_label_file(*f, &labels), "label file");
	STRV_FOREACH (l, o->labels) {
		if (**l == '\0' || **l == '=')
			return err_new(ERR_INVALID, "label \"%s\" has no key (KEY=value)", *l);
		strv_push(&labels, *l);
	}
	/* A label alone means an empty value; of several for one key the last counts. */
	STRV_FOREACH (l, labels) {
		size_t key = strcspn(*l, "=");
		_cleanup_free_ char *name = xstrndup(*l, key);
		env_set(ret, name, (*l)[key] ? *l + key + 1 : "");
	}
	return NULL;
}

static struct err *env_of(const struct create_options *o, char ***ret)
{
	_cleanup_strv_ char **all = NULL;

	STRV_FOREACH (f, o->env_files)
		TRY_WRAP(env_file_read(*f, environ, &all), "environment file");
	STRV_FOREACH (e, o->env)
		TRY(env_argument(*e, environ, &all));
	STRV_FOREACH (e, all) {
		size_t key = strcspn(*e, "=");
		_cleanup_free_ char *name = xstrndup(*e, key);
		env_set(ret, name, *e + key + 1);
	}
	return NULL;
}

static struct err *add_mount(struct container_spec *s, size_t *cap, struct container_mount *m)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (str_eq(s->mounts[i].target, m->target)) {
			struct err *e = err_new(ERR_INVALID, "two mounts have the target %s", m->target);
			container_mount_release(m);
			return e;
		}
	GROW(s->mounts, s->n_mounts, *cap);
	s->mounts[s->n_mounts++] = *m;
	return NULL;
}

static struct err *mounts_of(const struct create_options *o, struct container_spec *s)
{
	const struct {
		char **list;
		struct err *(*parse)(const char *, struct container_mount *);
	} kinds[] = {
		{o->volumes, volume_spec_parse}, {o->mounts, mount_spec_parse}, {o->tmpfs, tmpfs_spec_parse}};
	size_t cap = 0;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		STRV_FOREACH (v, kinds[k].list) {
			struct container_mount m = {0};
			TRY(kinds[k].parse(*v, &m));
			TRY(add_mount(s, &cap, &m));
		}
	return NULL;
}

static struct err *check_values(const struct create_options *o)
{
	int signum;

	if (o->stop_signal)
		TRY(signal_parse(o->stop_signal, &signum));
	if (o->memory_swap > 0 && !o->memory)
		return err_new(ERR_INVALID,
			       "--memory-swap needs --memory: it limits memory and swap together");
	if (o->memory_swap > 0 && o->memory_swap < o->memory)
		return err_new(ERR_INVALID,
			       "--memory-swap is less than --memory; it limits memory and swap together");
	if (o->memory_reservation && o->memory && o->memory_reservation > o->memory)
		return err_new(ERR_INVALID, "--memory-reservation is more than --memory");
	if (o->nano_cpus && (o->cpu_quota || o->cpu_period))
		return err_new(ERR_INVALID,
			       "--cpus conflicts with --cpu-period and --cpu-quota: it sets both");
	if (o->nano_cpus < 0)
		return err_new(ERR_INVALID, "--cpus is negative");
	if (o->workdir && o->workdir[0] != '/')
		return err_new(ERR_INVALID, "the working directory \"%s\" must be an absolute path",
			       o->workdir);
	if (o->auto_remove && o->restart && !str_eq(o->restart, "no"))
		return err_new(ERR_INVALID, "conflicting options: cannot specify both --restart and --rm");
	return NULL;
}

static int pull_policy(const char *s)
{
	return str_eq(s, "always") ? PULL_ALWAYS : str_eq(s, "never") ? PULL_NEVER : PULL_MISSING;
}

static struct err *fill(const struct create_options *o, char *const *args, struct container_spec *s)
{
	s->image = xstrdup(args[0]);
	s->command = args[1] ? strv_dup(args + 1) : NULL;
	if (o->entrypoint)
		strv_push(&s->entrypoint, o->entrypoint);
	TRY(env_of(o, &s->env));
	TRY(labels_of(o, &s->labels));
	TRY(mounts_of(o, s));

	s->name = xstrdup_null(o->name);
	s->platform = xstrdup_null(o->platform);
	s->annotations = strv_dup(o->annotations);
	s->workdir = xstrdup_null(o->workdir);
	s->user = xstrdup_null(o->user);
	s->hostname = xstrdup_null(o->hostname);
	s->domainname = xstrdup_null(o->domainname);
	s->group_add = strv_dup(o->group_add);
	s->tty = o->tty;
	s->open_stdin = o->interactive;
	s->auto_remove = o->auto_remove;
	s->init = o->init;
	s->read_only = o->read_only;
	s->privileged = o->privileged;
	s->cap_add = strv_dup(o->cap_add);
	s->cap_drop = strv_dup(o->cap_drop);
	s->security_opt = strv_dup(o->security_opt);
	s->networks = strv_dup(o->networks);
	s->network = o->networks ? xstrdup(o->networks[0]) : NULL;
	s->ip = xstrdup_null(o->ip);
	s->ip6 = xstrdup_null(o->ip6);
	s->mac_address = xstrdup_null(o->mac_address);
	s->network_aliases = strv_dup(o->network_aliases);
	s->links = strv_dup(o->links);
	s->publish = strv_dup(o->publish);
	s->publish_all = o->publish_all;
	s->expose = strv_dup(o->expose);
	s->dns_search = strv_dup(o->dns_search);
	s->dns_options = strv_dup(o->dns_options);
	s->pid_mode = xstrdup_null(o->pid);
	s->ipc_mode = xstrdup_null(o->ipc);
	s->uts_mode = xstrdup_null(o->uts);
	s->cgroupns_mode = xstrdup_null(o->cgroupns);
	s->userns_mode = xstrdup_null(o->userns);
	s->memory_bytes = o->memory;
	s->memory_swap_bytes = o->memory_swap;
	s->memory_reservation_bytes = o->memory_reservation;
	s->nano_cpus = o->nano_cpus;
	s->cpu_shares = o->cpu_shares;
	s->cpu_period = o->cpu_period;
	s->cpu_quota = o->cpu_quota;
	s->cpuset_cpus = xstrdup_null(o->cpuset_cpus);
	s->cpuset_mems = xstrdup_null(o->cpuset_mems);
	s->pids_limit = o->pids_limit;
	s->shm_size_bytes = o->shm_size;
	s->ulimits = strv_dup(o->ulimits);
	s->sysctls = strv_dup(o->sysctls);
	s->devices = strv_dup(o->devices);
	s->device_cgroup_rules = strv_dup(o->device_cgroup_rules);
	s->add_hosts = strv_dup(o->add_hosts);
	s->dns = strv_dup(o->dns);
	s->oom_score_adj = (int)o->oom_score_adj;
	s->stop_signal = xstrdup_null(o->stop_signal);
	s->stop_timeout_s = (int)o->stop_timeout;
	s->cgroup_parent = xstrdup_null(o->cgroup_parent);
	s->log_driver = xstrdup_null(o->log_driver);
	s->log_opts = strv_dup(o->log_opts);
	s->pull = pull_policy(o->pull);
	s->signature_policy = o->signature_policy;
	return create_fill_more(o, s);
}

struct err *create_spec(const struct create_options *o, char *const *args, struct container_spec *ret)
{
	TRY(check_values(o));
	struct err *e = fill(o, args, ret);
	if (e)
		container_spec_release(ret);
	return e;
}
