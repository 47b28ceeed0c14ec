/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources and linux.devices: limits, and which devices exist and may be used. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cdi.h"
#include "spec.h"

#define DEVICES_MAX 4096

static void allow(struct json *list, bool allowed, const char *type, int64_t major, int64_t minor,
		  const char *access)
{
	struct json *o = json_new_object();

	json_set_bool(o, "allow", allowed);
	if (type)
		json_set_string(o, "type", type);
	if (major >= 0)
		json_set_i64(o, "major", major);
	if (minor >= 0)
		json_set_i64(o, "minor", minor);
	json_set_string(o, "access", access);
	json_append(list, o);
}

static void default_rules(struct json *rules)
{
	static const struct {
		int major, minor;
	} devices[] = {
		{1, 3}, {1, 5}, {1, 7}, {1, 8},    {1, 9}, /* null zero full random urandom */
		{5, 0}, {5, 1}, {5, 2}, {136, -1},         /* tty console ptmx pts */
	};

	allow(rules, false, NULL, -1, -1, "rwm");
	/* Nodes may be made, not opened. */
	allow(rules, true, "c", -1, -1, "m");
	allow(rules, true, "b", -1, -1, "m");
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		allow(rules, true, "c", devices[i].major, devices[i].minor, "rwm");
}

/* -- devices --- */

struct device_sink {
	struct json *devices, *rules;
	const char *access;
	size_t n;
};

static void add_device(struct device_sink *sink, const char *target, const struct stat *st)
{
	struct json *o = json_new_object();
	const char *type = S_ISBLK(st->st_mode) ? "b" : "c";

	json_set_string(o, "path", target);
	json_set_string(o, "type", type);
	json_set_i64(o, "major", major(st->st_rdev));
	json_set_i64(o, "minor", minor(st->st_rdev));
	json_set_i64(o, "fileMode", st->st_mode & 0777);
	json_set_i64(o, "uid", st->st_uid);
	json_set_i64(o, "gid", st->st_gid);
	json_append(sink->devices, o);
	if (sink->rules)
		allow(sink->rules, true, type, major(st->st_rdev), minor(st->st_rdev), sink->access);
	sink->n++;
}

/* What is in /dev but is made by the runtime for each container. */
static bool is_own(const char *name)
{
	static const char *const own[] = {"pts",  "shm",    "fd",      "mqueue",   "console", ".",
					  "..",   "ptmx",   "lxc",     "lxd-fuse", "null",    "zero",
					  "full", "random", "urandom", "tty"};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (str_eq(name, own[i]))
			return true;
	return false;
}

static struct err *add_directory(struct device_sink *sink, const char *source, const char *target, int depth)
{
	DIR *dir = depth < 8 ? opendir(source) : NULL;
	struct err *error = NULL;
	struct dirent *entry;

	if (!dir)
		return depth < 8 ? err_errno(errno, "cannot list devices in %s", source) : NULL;
	while (!error && sink->n < DEVICES_MAX && (entry = readdir(dir))) {
		_cleanup_free_ char *from = NULL, *to = NULL;
		struct stat st;

		if (is_own(entry->d_name) || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		from = xasprintf("%s/%s", source, entry->d_name);
		to = xasprintf("%s/%s", target, entry->d_name);
		if (S_ISDIR(st.st_mode))
			error = add_directory(sink, from, to, depth + 1);
		else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			add_device(sink, to, &st);
	}
	closedir(dir);
	return error;
}

struct device_arg {
	char *source, *target, *access;
};

static struct err *parse_device(const char *s, struct device_arg *d)
{
	_cleanup_strv_ char **parts = strv_split(s, ":");
	size_t n = strv_len(parts);

	if (n < 1 || n > 3 || parts[0][0] != '/')
		return err_new(ERR_INVALID,
			       "invalid device \"%.128s\": write HOST-PATH[:CONTAINER-PATH[:rwm]]", s);
	const char *access = n == 3 ? parts[2] : "rwm", *target = n >= 2 ? parts[1] : parts[0];
	if (n == 2 && parts[1][0] != '/') {
		access = parts[1];
		target = parts[0];
	}
	if (str_empty(access) || strspn(access, "rwm") != strlen(access) || target[0] != '/')
		return err_new(ERR_INVALID,
			       "invalid device \"%.128s\": write HOST-PATH[:CONTAINER-PATH[:rwm]]", s);
	d->source = xstrdup(parts[0]);
	d->target = xstrdup(target);
	d->access = xstrdup(access);
	return NULL;
}

static struct err *add_listed_device(struct device_sink *sink, const char *arg)
{
	struct device_arg d = {0};
	struct stat st;
	struct err *e = parse_device(arg, &d);

	sink->access = d.access;
	if (!e && stat(d.source, &st) < 0)
		e = err_errno(errno, "cannot add device %s", d.source);
	if (!e && S_ISDIR(st.st_mode))
		e = add_directory(sink, d.source, d.target, 0);
	else if (!e && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
		add_device(sink, d.target, &st);
	else if (!e)
		e = err_new(ERR_INVALID, "cannot add device %s: it is not a device", d.source);
	free(d.source);
	free(d.target);
	free(d.access);
	return e;
}

/* "c 1:3 rwm", "a *:* rwm" */
static struct err *add_rule(struct json *rules, const char *rule)
{
	_cleanup_strv_ char **p = strv_split(rule, " :");
	int64_t numbers[2] = {-1, -1};

	if (strv_len(p) != 4 || strlen(p[0]) != 1 || !strchr("acb", p[0][0]) ||
	    strspn(p[3], "rwm") != strlen(p[3]))
		return err_new(ERR_INVALID,
			       "invalid device rule \"%.64s\": write for example \"c 10:200 rwm\"", rule);
	for (int i = 0; i < 2; i++)
		if (!str_eq(p[1 + i], "*"))
			TRY_WRAP(parse_i64(p[1 + i], "device number", 0, UINT32_MAX, &numbers[i]),
				 "invalid device rule \"%.64s\"", rule);
	allow(rules, true, p[0], numbers[0], numbers[1], p[3]);
	return NULL;
}

static struct err *devices(const struct container_spec *s, struct json *rules, struct json *list)
{
	struct device_sink sink = {.devices = list, .rules = rules, .access = "rwm"};

	if (s->privileged) {
		allow(rules, true, NULL, -1, -1, "rwm");
		sink.rules = NULL;
		TRY(add_directory(&sink, "/dev", "/dev", 0));
	} else {
		default_rules(rules);
	}
	STRV_FOREACH (d, s->devices)
		if (!cdi_is_name(*d)) /* those edit the whole configuration */
			TRY(add_listed_device(&sink, *d));
	STRV_FOREACH (r, s->device_cgroup_rules)
		TRY(add_rule(rules, *r));
	return NULL;
}

/* -- limits --- */

static void memory(const struct container_spec *s, struct json *resources)
{
	if (!s->memory_bytes && !s->memory_reservation_bytes && !s->memory_swappiness && !s->oom_kill_disable)
		return;
	struct json *o = json_new_object();
	if (s->memory_bytes)
		json_set_i64(o, "limit", s->memory_bytes);
	if (s->memory_swap_bytes)
		json_set_i64(o, "swap", s->memory_swap_bytes);
	if (s->memory_reservation_bytes)
		json_set_i64(o, "reservation", s->memory_reservation_bytes);
	if (s->memory_swappiness)
		json_set_i64(o, "swappiness", s->memory_swappiness - 1);
	if (s->oom_kill_disable)
		json_set_bool(o, "disableOOMKiller", true);
	json_set(resources, "memory", o);
}

static void cpu(const struct container_spec *s, struct json *resources)
{
	struct json *o = json_new_object();

	if (s->cpu_shares)
		json_set_i64(o, "shares", s->cpu_shares);
	if (s->nano_cpus) {
		json_set_i64(o, "period", 100000);
		json_set_i64(o, "quota", s->nano_cpus / 10000);
	}
	if (s->cpu_period)
		json_set_i64(o, "period", s->cpu_period);
	if (s->cpu_quota)
		json_set_i64(o, "quota", s->cpu_quota);
	if (s->cpu_rt_period_us)
		json_set_i64(o, "realtimePeriod", s->cpu_rt_period_us);
	if (s->cpu_rt_runtime_us)
		json_set_i64(o, "realtimeRuntime", s->cpu_rt_runtime_us);
	if (s->cpuset_cpus)
		json_set_string(o, "cpus", s->cpuset_cpus);
	if (s->cpuset_mems)
		json_set_string(o, "mems", s->cpuset_mems);
	json_set(resources, "cpu", o);
}

struct err *spec_resources(const struct container_spec *s, struct json **ret_resources,
			   struct json **ret_devices)
{
	_cleanup_json_ struct json *resources = json_new_object(), *list = json_new_array();
	struct json *rules = json_new_array();

	json_set(resources, "devices", rules);
	TRY(devices(s, rules, list));
	memory(s, resources);
	cpu(s, resources);
	TRY(spec_block_io(s, resources));
	if (s->pids_limit != 0) {
		struct json *pids = json_new_object();
		json_set_i64(pids, "limit", s->pids_limit);
		json_set(resources, "pids", pids);
	}
	*ret_resources = TAKE_PTR(resources);
	*ret_devices = TAKE_PTR(list);
	return NULL;
}
