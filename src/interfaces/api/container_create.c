/* SPDX-License-Identifier: Apache-2.0 */
/* POST /containers/create: docker's Config, HostConfig and NetworkingConfig as a container_spec. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "engine/mount_spec.h"
#include "objects.h"
#include "routes.h"

#define HEALTH_SHORTEST_NS 1000000

enum type { STRING, LIST, PAIRS, KEYS, BOOL, I64 };
struct member {
	const char *name;
	enum type type;
	size_t offset;
};

#define M(key, type, field)                                       \
	{                                                         \
		key, type, offsetof(struct container_spec, field) \
	}
static const struct member config_members[] = {
	M("Hostname", STRING, hostname),
	M("Domainname", STRING, domainname),
	M("User", STRING, user),
	M("Tty", BOOL, tty),
	M("OpenStdin", BOOL, open_stdin),
	M("StdinOnce", BOOL, stdin_once),
	M("Env", LIST, env),
	M("Image", STRING, image),
	M("WorkingDir", STRING, workdir),
	M("Labels", PAIRS, labels),
	M("ExposedPorts", KEYS, expose),
	M("StopSignal", STRING, stop_signal),
	M("MacAddress", STRING, mac_address),
};
static const struct member host_members[] = {
	M("PublishAllPorts", BOOL, publish_all),
	M("AutoRemove", BOOL, auto_remove),
	M("CapAdd", LIST, cap_add),
	M("CapDrop", LIST, cap_drop),
	M("CgroupnsMode", STRING, cgroupns_mode),
	M("Dns", LIST, dns),
	M("DnsOptions", LIST, dns_options),
	M("DnsSearch", LIST, dns_search),
	M("ExtraHosts", LIST, add_hosts),
	M("GroupAdd", LIST, group_add),
	M("IpcMode", STRING, ipc_mode),
	M("Links", LIST, links),
	M("PidMode", STRING, pid_mode),
	M("Privileged", BOOL, privileged),
	M("ReadonlyRootfs", BOOL, read_only),
	M("SecurityOpt", LIST, security_opt),
	M("UTSMode", STRING, uts_mode),
	M("UsernsMode", STRING, userns_mode),
	M("ShmSize", I64, shm_size_bytes),
	M("Sysctls", PAIRS, sysctls),
	M("Init", BOOL, init),
	M("Annotations", PAIRS, annotations),
	M("CgroupParent", STRING, cgroup_parent),
	M("DeviceCgroupRules", LIST, device_cgroup_rules),
	M("OomKillDisable", BOOL, oom_kill_disable),
	M("VolumesFrom", LIST, volumes_from),
};

/* What an update may change, too. */
static const struct member limit_members[] = {
	M("CpuShares", I64, cpu_shares),
	M("Memory", I64, memory_bytes),
	M("NanoCpus", I64, nano_cpus),
	M("BlkioWeight", I64, blkio_weight),
	M("CpuPeriod", I64, cpu_period),
	M("CpuQuota", I64, cpu_quota),
	M("CpuRealtimePeriod", I64, cpu_rt_period_us),
	M("CpuRealtimeRuntime", I64, cpu_rt_runtime_us),
	M("CpusetCpus", STRING, cpuset_cpus),
	M("CpusetMems", STRING, cpuset_mems),
	M("MemoryReservation", I64, memory_reservation_bytes),
	M("MemorySwap", I64, memory_swap_bytes),
	M("PidsLimit", I64, pids_limit),
};

static struct err *read_members(const struct json_cursor *o, const struct member *members, size_t n,
				struct container_spec *s)
{
	for (size_t i = 0; i < n; i++) {
		void *field = (char *)s + members[i].offset;
		const char *name = members[i].name, *text = NULL;
		switch (members[i].type) {
		case STRING:
			TRY(json_get_string(o, name, JSON_OPTIONAL, &text));
			if (!str_empty(text))
				*(char **)field = xstrdup(text);
			break;
		case LIST: {
			char **list = NULL;
			TRY(json_get_strv(o, name, JSON_OPTIONAL, &list));
			if (strv_len(list) > 0)
				*(char ***)field = list;
			else
				strv_free(list);
			break;
		}
		case PAIRS:
		case KEYS:
			TRY(json_pairs(o, name, members[i].type == KEYS, field));
			break;
		case BOOL:
			TRY(json_get_bool(o, name, JSON_OPTIONAL, field));
			break;
		case I64:
			TRY(json_get_i64(o, name, JSON_OPTIONAL, INT64_MIN, INT64_MAX, field));
			break;
		}
	}
	return NULL;
}

/* Cmd and Entrypoint: a list, or one string. *ret stays NULL when it is absent or empty. */
static struct err *read_command(const struct json_cursor *o, const char *key, char ***ret)
{
	struct json_cursor m;
	const char *s;

	TRY(json_get(o, key, JSON_OPTIONAL, &m));
	if (!m.value)
		return NULL;
	if (json_kind(&m) == JSON_STRING) {
		TRY(json_as_string(&m, &s));
		strv_push(ret, s);
		return NULL;
	}
	TRY(json_get_strv(o, key, JSON_OPTIONAL, ret));
	if (strv_len(*ret) == 0) {
		strv_free(*ret);
		*ret = NULL;
	}
	return NULL;
}

/* -- mounts --- */

static void add_mount(struct container_spec *s, const struct container_mount *m)
{
	s->mounts = xrealloc(s->mounts, s->n_mounts + 1, sizeof(*s->mounts));
	s->mounts[s->n_mounts++] = *m;
}

static bool has_target(const struct container_spec *s, const char *target)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (str_eq(s->mounts[i].target, target))
			return true;
	return false;
}

static struct err *add_parsed(struct container_spec *s, const char *text,
			      struct err *(*parse)(const char *, struct container_mount *))
{
	struct container_mount m = {0};

	TRY(parse(text, &m));
	if (has_target(s, m.target)) {
		struct err *e = err_new(ERR_INVALID, "Duplicate mount point: %s", m.target);
		container_mount_release(&m);
		return e;
	}
	add_mount(s, &m);
	return NULL;
}

/* One of HostConfig.Mounts, written as --mount has it; a value with a comma is quoted as in CSV. */
static void put(struct strbuf *b, const char *key, const char *value)
{
	if (b->len)
		strbuf_putc(b, ',');
	if (!strpbrk(value, ",\"")) {
		strbuf_printf(b, "%s=%s", key, value);
		return;
	}
	strbuf_printf(b, "\"%s=", key);
	for (; *value; value++) {
		if (*value == '"')
			strbuf_putc(b, '"');
		strbuf_putc(b, *value);
	}
	strbuf_putc(b, '"');
}

static struct err *volume_options(const struct json_cursor *m, struct strbuf *b)
{
	struct json_cursor o, driver;
	_cleanup_strv_ char **labels = NULL, **options = NULL;
	const char *subpath = NULL, *name = NULL;
	bool no_copy = false;

	TRY(json_get_object(m, "VolumeOptions", JSON_OPTIONAL, &o));
	if (!o.value)
		return NULL;
	TRY(json_get_bool(&o, "NoCopy", JSON_OPTIONAL, &no_copy));
	TRY(json_get_string(&o, "Subpath", JSON_OPTIONAL, &subpath));
	TRY(json_pairs(&o, "Labels", false, &labels));
	TRY(json_get_object(&o, "DriverConfig", JSON_OPTIONAL, &driver));
	if (driver.value) {
		TRY(json_get_string(&driver, "Name", JSON_OPTIONAL, &name));
		TRY(json_pairs(&driver, "Options", false, &options));
	}
	if (!str_empty(name))
		put(b, "volume-driver", name);
	if (no_copy)
		put(b, "volume-nocopy", "true");
	if (!str_empty(subpath))
		put(b, "volume-subpath", subpath);
	STRV_FOREACH (l, labels)
		put(b, "volume-label", *l);
	STRV_FOREACH (v, options)
		put(b, "volume-opt", *v);
	return NULL;
}

static struct err *bind_options(const struct json_cursor *m, struct strbuf *b, bool *ret_create)
{
	struct json_cursor o;
	const char *propagation = NULL;
	bool not_recursive = false;

	TRY(json_get_object(m, "BindOptions", JSON_OPTIONAL, &o));
	if (!o.value)
		return NULL;
	TRY(json_get_string(&o, "Propagation", JSON_OPTIONAL, &propagation));
	TRY(json_get_bool(&o, "NonRecursive", JSON_OPTIONAL, &not_recursive));
	TRY(json_get_bool(&o, "CreateMountpoint", JSON_OPTIONAL, ret_create));
	if (!str_empty(propagation))
		put(b, "bind-propagation", propagation);
	if (not_recursive)
		put(b, "bind-nonrecursive", "true");
	return NULL;
}

static struct err *tmpfs_options(const struct json_cursor *m, struct strbuf *b)
{
	struct json_cursor o;
	int64_t size = 0, mode = 0;
	char text[32];

	TRY(json_get_object(m, "TmpfsOptions", JSON_OPTIONAL, &o));
	if (!o.value)
		return NULL;
	TRY(json_get_i64(&o, "SizeBytes", JSON_OPTIONAL, 0, INT64_MAX, &size));
	TRY(json_get_i64(&o, "Mode", JSON_OPTIONAL, 0, 07777, &mode));
	if (size) {
		snprintf(text, sizeof(text), "%" PRId64, size);
		put(b, "tmpfs-size", text);
	}
	if (mode) {
		snprintf(text, sizeof(text), "%04o", (unsigned)mode);
		put(b, "tmpfs-mode", text);
	}
	return NULL;
}

static struct err *read_mount(const struct json_cursor *m, struct container_spec *s)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	const char *type = "volume", *source = NULL, *target = NULL;
	bool read_only = false, create = false;

	TRY(json_get_string(m, "Type", JSON_OPTIONAL, &type));
	TRY(json_get_string(m, "Source", JSON_OPTIONAL, &source));
	TRY(json_get_string(m, "Target", JSON_REQUIRED, &target));
	TRY(json_get_bool(m, "ReadOnly", JSON_OPTIONAL, &read_only));
	put(&b, "type", type);
	if (!str_empty(source))
		put(&b, "source", source);
	put(&b, "target", target);
	if (read_only)
		put(&b, "readonly", "true");
	TRY(volume_options(m, &b));
	TRY(bind_options(m, &b, &create));
	TRY(tmpfs_options(m, &b));
	TRY(add_parsed(s, strbuf_str(&b), mount_spec_parse));
	s->mounts[s->n_mounts - 1].create_source |= create;
	return NULL;
}

static struct err *read_mounts(const struct json_cursor *config, const struct json_cursor *host,
			       struct container_spec *s)
{
	_cleanup_strv_ char **binds = NULL, **tmpfs = NULL, **volumes = NULL;
	struct json_cursor mounts;

	TRY(json_get_strv(host, "Binds", JSON_OPTIONAL, &binds));
	STRV_FOREACH (b, binds)
		TRY(add_parsed(s, *b, volume_spec_parse));
	TRY(json_get_array(host, "Mounts", JSON_OPTIONAL, &mounts));
	for (size_t i = 0, n = json_array_len(&mounts); i < n; i++) {
		struct json_cursor m = json_at(&mounts, i);
		TRY(read_mount(&m, s));
	}
	TRY(json_pairs(host, "Tmpfs", false, &tmpfs));
	STRV_FOREACH (t, tmpfs) { /* PATH=OPTIONS */
		char *eq = strchr(*t, '=');
		*eq = eq[1] ? ':' : '\0';
		TRY(add_parsed(s, *t, tmpfs_spec_parse));
	}
	TRY(json_pairs(config, "Volumes", true, &volumes));
	STRV_FOREACH (v, volumes)
		if (!has_target(s, *v))
			TRY(add_parsed(s, *v, volume_spec_parse));
	return NULL;
}

/* -- ports, devices, limits --- */

static struct err *read_ports(const struct json_cursor *host, struct container_spec *s)
{
	struct json_cursor map, m;

	TRY(json_get_object(host, "PortBindings", JSON_OPTIONAL, &map));
	struct json_iter it = json_iter(&map);
	while (json_next(&it, &m)) {
		if (json_kind(&m) == JSON_NULL)
			continue;
		for (size_t i = 0, n = json_array_len(&m); i < n; i++) {
			struct json_cursor b = json_at(&m, i);
			const char *ip = "", *port = "";
			TRY(json_get_string(&b, "HostIp", JSON_OPTIONAL, &ip));
			TRY(json_get_string(&b, "HostPort", JSON_OPTIONAL, &port));
			bool v6 = strchr(ip, ':') && ip[0] != '[';
			if (*ip)
				strv_push_take(&s->publish,
					       xasprintf(v6 ? "[%s]:%s:%s" : "%s:%s:%s", ip, port, m.key));
			else
				strv_push_take(&s->publish,
					       *port ? xasprintf("%s:%s", port, m.key) : xstrdup(m.key));
		}
	}
	return NULL;
}

static struct err *read_devices(const struct json_cursor *host, struct container_spec *s)
{
	struct json_cursor list;

	TRY(json_get_array(host, "Devices", JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor d = json_at(&list, i);
		const char *from = "", *to = "", *how = "rwm";
		TRY(json_get_string(&d, "PathOnHost", JSON_REQUIRED, &from));
		TRY(json_get_string(&d, "PathInContainer", JSON_OPTIONAL, &to));
		TRY(json_get_string(&d, "CgroupPermissions", JSON_OPTIONAL, &how));
		strv_push_take(&s->devices, xasprintf("%s:%s:%s", from, *to ? to : from, *how ? how : "rwm"));
	}
	return NULL;
}

static struct err *read_rates(const struct json_cursor *host, const char *key, const char *number,
			      char ***ret)
{
	struct json_cursor list;

	TRY(json_get_array(host, key, JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor d = json_at(&list, i);
		const char *path = "";
		uint64_t v = 0;
		TRY(json_get_string(&d, "Path", JSON_REQUIRED, &path));
		TRY(json_get_u64(&d, number, JSON_REQUIRED, UINT64_MAX, &v));
		strv_push_take(ret, xasprintf("%s:%" PRIu64, path, v));
	}
	return NULL;
}

static struct err *read_ulimits(const struct json_cursor *host, struct container_spec *s)
{
	struct json_cursor list;

	TRY(json_get_array(host, "Ulimits", JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor u = json_at(&list, i);
		const char *name = "";
		int64_t soft = 0, hard = 0;
		TRY(json_get_string(&u, "Name", JSON_REQUIRED, &name));
		TRY(json_get_i64(&u, "Soft", JSON_OPTIONAL, INT64_MIN, INT64_MAX, &soft));
		TRY(json_get_i64(&u, "Hard", JSON_OPTIONAL, INT64_MIN, INT64_MAX, &hard));
		strv_push_take(&s->ulimits, xasprintf("%s=%" PRId64 ":%" PRId64, name, soft, hard));
	}
	return NULL;
}

static struct err *read_gpus(const struct json_cursor *host, struct container_spec *s)
{
	struct json_cursor list;

	TRY(json_get_array(host, "DeviceRequests", JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor r = json_at(&list, i);
		_cleanup_strv_ char **ids = NULL;
		const char *driver = "";
		int64_t count = 0;
		TRY(json_get_string(&r, "Driver", JSON_OPTIONAL, &driver));
		TRY(json_get_i64(&r, "Count", JSON_OPTIONAL, -1, INT32_MAX, &count));
		TRY(json_get_strv(&r, "DeviceIDs", JSON_OPTIONAL, &ids));
		if (str_eq(driver, "cdi")) {
			STRV_FOREACH (id, ids)
				strv_push(&s->devices, *id);
			continue;
		}
		_cleanup_free_ char *joined = strv_join(ids, ",");
		if (s->gpus)
			return err_new(ERR_UNSUPPORTED, "several requests for GPUs in one container");
		s->gpus = !str_empty(joined) ? xasprintf("\"device=%s\"", joined)
			  : count == -1      ? xstrdup("all")
					     : xasprintf("%" PRId64, count);
	}
	return NULL;
}

/* "on-failure:3"; *ret stays NULL when nothing is said. */
static struct err *read_restart(const struct json_cursor *host, char **ret)
{
	struct json_cursor o;
	const char *name = "";
	int64_t retries = 0;

	TRY(json_get_object(host, "RestartPolicy", JSON_OPTIONAL, &o));
	if (!o.value)
		return NULL;
	TRY(json_get_string(&o, "Name", JSON_OPTIONAL, &name));
	TRY(json_get_i64(&o, "MaximumRetryCount", JSON_OPTIONAL, 0, INT32_MAX, &retries));
	if (*name)
		*ret = retries ? xasprintf("%s:%" PRId64, name, retries) : xstrdup(name);
	return NULL;
}

static struct err *read_log_and_restart(const struct json_cursor *host, struct container_spec *s)
{
	struct json_cursor o;
	const char *name = "";

	TRY(json_get_object(host, "LogConfig", JSON_OPTIONAL, &o));
	if (o.value) {
		TRY(json_get_string(&o, "Type", JSON_OPTIONAL, &name));
		s->log_driver = *name ? xstrdup(name) : NULL;
		TRY(json_pairs(&o, "Config", false, &s->log_opts));
	}
	TRY(read_restart(host, &s->restart));
	if (str_eq(s->restart, "no")) {
		free(s->restart);
		s->restart = NULL;
	}
	if (s->restart && s->auto_remove)
		return err_new(ERR_INVALID,
			       "can't create 'AutoRemove' container with restart policy other than 'no'");
	return NULL;
}

/* -- networks --- */

/* As --network has it: name=…,alias=…,… */
static struct err *endpoint_text(const char *network, const struct json_cursor *ep, char **ret)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	_cleanup_strv_ char **aliases = NULL, **links = NULL, **options = NULL;
	const char *ip = "", *ip6 = "", *mac = "";
	struct json_cursor ipam;

	if (json_kind(ep) != JSON_NULL) {
		TRY(json_get_strv(ep, "Aliases", JSON_OPTIONAL, &aliases));
		TRY(json_get_strv(ep, "Links", JSON_OPTIONAL, &links));
		TRY(json_pairs(ep, "DriverOpts", false, &options));
		TRY(json_get_string(ep, "MacAddress", JSON_OPTIONAL, &mac));
		TRY(json_get_object(ep, "IPAMConfig", JSON_OPTIONAL, &ipam));
		if (ipam.value) {
			TRY(json_get_string(&ipam, "IPv4Address", JSON_OPTIONAL, &ip));
			TRY(json_get_string(&ipam, "IPv6Address", JSON_OPTIONAL, &ip6));
		}
	}
	strbuf_printf(&b, "name=%s", network);
	STRV_FOREACH (a, aliases)
		strbuf_printf(&b, ",alias=%s", *a);
	STRV_FOREACH (l, links)
		strbuf_printf(&b, ",link=%s", *l);
	STRV_FOREACH (v, options)
		strbuf_printf(&b, ",driver-opt=%s", *v);
	if (*ip)
		strbuf_printf(&b, ",ip=%s", ip);
	if (*ip6)
		strbuf_printf(&b, ",ip6=%s", ip6);
	if (*mac)
		strbuf_printf(&b, ",mac-address=%s", mac);
	*ret = strbuf_take(&b);
	return NULL;
}

static struct err *read_networks(const struct json_cursor *root, const struct json_cursor *host,
				 bool disabled, struct container_spec *s)
{
	struct json_cursor networking, map = {0}, m;
	const char *mode = "";

	TRY(json_get_string(host, "NetworkMode", JSON_OPTIONAL, &mode));
	if (disabled)
		mode = "none";
	if (*mode && !str_eq(mode, "default"))
		s->network = xstrdup(mode);
	TRY(json_get_object(root, "NetworkingConfig", JSON_OPTIONAL, &networking));
	if (networking.value)
		TRY(json_get_object(&networking, "EndpointsConfig", JSON_OPTIONAL, &map));
	struct json_iter it = json_iter(&map);
	while (json_next(&it, &m)) {
		bool alone = str_eq(m.key, "none") || str_eq(m.key, "host") || str_eq(m.key, "default") ||
			     str_starts(m.key, "container:");
		char *text = NULL;
		if (alone || str_eq(s->network, "none") || str_eq(s->network, "host"))
			continue;
		TRY(endpoint_text(m.key, &m, &text));
		strv_push_take(&s->networks, text);
		if (!s->network)
			s->network = xstrdup(m.key);
	}
	/* The mode names the first network; compose and docker run list it among the endpoints, too. */
	if (s->networks && s->network && !str_eq(s->network, "bridge")) {
		_cleanup_free_ char *first = xasprintf("name=%s", s->network);
		size_t n = strlen(first);
		for (size_t i = 0; s->networks[i]; i++) {
			if (strncmp(s->networks[i], first, n) != 0 ||
			    (s->networks[i][n] && s->networks[i][n] != ','))
				continue;
			char *text = s->networks[i];
			memmove(s->networks + 1, s->networks, i * sizeof(char *));
			s->networks[0] = text;
			return NULL;
		}
		char **all = NULL;
		strv_push(&all, s->network);
		STRV_FOREACH (w, s->networks)
			strv_push(&all, *w);
		strv_free(s->networks);
		s->networks = all;
	}
	return NULL;
}

/* -- the whole --- */

/* What is null or 0 is as if it were not there. */
static struct err *read_health_members(const struct json_cursor *o, struct json *ret)
{
	static const char *const durations[] = {"Interval", "Timeout", "StartPeriod", "StartInterval"};
	_cleanup_strv_ char **test = NULL;
	int64_t v = 0;

	TRY(json_get_strv(o, "Test", JSON_OPTIONAL, &test));
	if (test)
		json_set_strv(ret, "Test", test);
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		v = 0;
		TRY(json_get_i64(o, durations[i], JSON_OPTIONAL, INT64_MIN, INT64_MAX, &v));
		if (v && v < HEALTH_SHORTEST_NS)
			return err_new(ERR_INVALID, "%s in Healthcheck cannot be less than 1ms",
				       durations[i]);
		if (v)
			json_set_i64(ret, durations[i], v);
	}
	v = 0;
	TRY(json_get_i64(o, "Retries", JSON_OPTIONAL, INT64_MIN, INT32_MAX, &v));
	if (v < 0)
		return err_new(ERR_INVALID, "Retries in Healthcheck cannot be negative");
	if (v)
		json_set_i64(ret, "Retries", v);
	return NULL;
}

static struct err *read_health(const struct json_cursor *root, struct container_spec *s)
{
	struct json_cursor o;

	TRY(json_get_object(root, "Healthcheck", JSON_OPTIONAL, &o));
	if (!o.value)
		return NULL;
	_cleanup_json_ struct json *known = json_new_object();
	TRY(read_health_members(&o, known));
	s->health = json_print(known, JSON_COMPACT);
	return NULL;
}

static struct err *read_host(const struct json_cursor *root, const struct json_cursor *host,
			     struct container_spec *s)
{
	const char *runtime = "";
	int64_t swappiness = -1, oom = 0;
	bool disabled = false;

	TRY(read_members(host, host_members, ARRAY_SIZE(host_members), s));
	TRY(read_members(host, limit_members, ARRAY_SIZE(limit_members), s));
	TRY(json_get_i64(host, "OomScoreAdj", JSON_OPTIONAL, -1000, 1000, &oom));
	s->oom_score_adj = (int)oom;
	TRY(json_get_i64(host, "MemorySwappiness", JSON_OPTIONAL, -1, 100, &swappiness));
	s->memory_swappiness = (int)swappiness + 1;
	TRY(json_get_string(host, "Runtime", JSON_OPTIONAL, &runtime));
	if (*runtime && !str_eq(runtime, "havre"))
		s->runtime = xstrdup(runtime);
	if (s->pids_limit < 0)
		s->pids_limit = -1;
	TRY(read_ports(host, s));
	TRY(read_devices(host, s));
	TRY(read_rates(host, "BlkioWeightDevice", "Weight", &s->blkio_weight_devices));
	TRY(read_rates(host, "BlkioDeviceReadBps", "Rate", &s->device_read_bps));
	TRY(read_rates(host, "BlkioDeviceWriteBps", "Rate", &s->device_write_bps));
	TRY(read_rates(host, "BlkioDeviceReadIOps", "Rate", &s->device_read_iops));
	TRY(read_rates(host, "BlkioDeviceWriteIOps", "Rate", &s->device_write_iops));
	TRY(read_ulimits(host, s));
	TRY(read_gpus(host, s));
	TRY(read_log_and_restart(host, s));
	TRY(json_get_bool(root, "NetworkDisabled", JSON_OPTIONAL, &disabled));
	return read_networks(root, host, disabled, s);
}

static struct err *read_spec(struct json *body, struct container_spec *s)
{
	struct json_cursor root = json_root(body), host;
	_cleanup_json_ struct json *none = json_new_object();
	int64_t timeout = -1;

	TRY(read_members(&root, config_members, ARRAY_SIZE(config_members), s));
	if (str_empty(s->image))
		return err_new(ERR_INVALID, "no command specified: the request names no image");
	TRY(read_command(&root, "Cmd", &s->command));
	TRY(read_command(&root, "Entrypoint", &s->entrypoint)); /* [""] clears the image's */
	TRY(json_get_i64(&root, "StopTimeout", JSON_OPTIONAL, INT32_MIN, INT32_MAX, &timeout));
	s->stop_timeout_s = (int)timeout;
	TRY(read_health(&root, s));
	TRY(json_get_object(&root, "HostConfig", JSON_OPTIONAL, &host));
	if (!host.value)
		host = json_root(none);
	TRY(read_mounts(&root, &host, s));
	TRY(read_host(&root, &host, s));
	if (s->workdir && s->workdir[0] != '/')
		return err_new(ERR_INVALID,
			       "the working directory '%s' is invalid, it needs to be an absolute path",
			       s->workdir);
	return NULL;
}

static struct err *create(struct exchange *x, struct container_spec *s)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_image_ struct image *image = NULL;
	_cleanup_strv_ char **warnings = NULL;

	s->pull = PULL_NEVER; /* the client pulls when it hears of a missing image */
	struct err *e = engine_ensure_image(x->engine, s, NULL, &image);
	if (e && e->kind == ERR_NOT_FOUND && !s->platform) {
		err_free(e);
		return err_new(ERR_NOT_FOUND, "No such image: %.256s", s->image);
	}
	TRY(e);
	TRY(container_create(x->engine, s, &warnings, &c));
	struct json *o = json_new_object();
	json_set_string(o, "Id", c->id);
	json_set_strv(o, "Warnings", warnings ? warnings : (char *[]){NULL});
	return answer_json(x, 201, o);
}

struct err *handle_container_create(struct exchange *x)
{
	_cleanup_json_ struct json *body = NULL;
	_cleanup_free_ char *platform = http_query(&x->request, "platform");
	struct container_spec s = {0};

	TRY(exchange_json(x, false, &body));
	struct err *e = read_spec(body, &s);
	s.name = http_query(&x->request, "name");
	if (str_empty(s.name)) {
		free(s.name);
		s.name = NULL;
	}
	s.platform = str_empty(platform) ? NULL : xstrdup(platform);
	if (!e)
		e = create(x, &s);
	container_spec_release(&s);
	return e;
}

/* POST /containers/ID/update: limits and the restart policy; what is not named stays. */
static struct err *update(struct exchange *x, struct container *c, struct container_spec *changes)
{
	_cleanup_json_ struct json *body = NULL;
	_cleanup_strv_ char **warnings = NULL;

	TRY(exchange_json(x, false, &body));
	struct json_cursor root = json_root(body);
	TRY(read_members(&root, limit_members, ARRAY_SIZE(limit_members), changes));
	TRY(read_restart(&root, &changes->restart));
	TRY(container_update(x->engine, c, changes, &warnings));
	struct json *o = json_new_object();
	json_set_strv(o, "Warnings", warnings ? warnings : (char *[]){NULL});
	return answer_json(x, 200, o);
}

struct err *handle_container_update(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	struct container_spec changes = {0};

	TRY(find_container(x, &c));
	struct err *e = update(x, c, &changes);
	container_spec_release(&changes);
	return e;
}
