/* SPDX-License-Identifier: Apache-2.0 */
/* container_inspect: docker's object (GET /containers/{id}/json) with our values. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/timestamp.h"
#include "images/snapshot.h"
#include "network/report.h"
#include "restart_policy.h"
#include "security.h"
#include "spec.h"
#include "ulimit.h"

static void set_time(struct json *o, const char *key, int64_t ns)
{
	char text[TIMESTAMP_STRING_MAX];

	if (ns > 0)
		timestamp_format(ns, text);
	json_set_string(o, key, ns > 0 ? text : "0001-01-01T00:00:00Z");
}

/* Docker prints null where no list was given. */
static void set_list(struct json *o, const char *key, char *const *v)
{
	if (v)
		json_set_strv(o, key, v);
	else
		json_set(o, key, NULL);
}

static void set_text(struct json *o, const char *key, const char *s)
{
	json_set_string(o, key, s ? s : "");
}

static struct json *state_object(const struct container *c)
{
	struct json *o = json_new_object();

	json_set_string(o, "Status", container_status_name(c->status));
	json_set_bool(o, "Running",
		      c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED ||
			      c->status == CONTAINER_RESTARTING);
	json_set_bool(o, "Paused", c->status == CONTAINER_PAUSED);
	json_set_bool(o, "Restarting", c->status == CONTAINER_RESTARTING);
	json_set_bool(o, "OOMKilled", c->oom_killed);
	json_set_bool(o, "Dead", false);
	json_set_i64(o, "Pid", c->pid);
	json_set_i64(o, "ExitCode", c->exit_code);
	set_text(o, "Error", c->error);
	set_time(o, "StartedAt", c->started_ns);
	set_time(o, "FinishedAt", c->finished_ns);
	struct json *health = NULL;
	err_free(container_health(c, &health));
	if (health)
		json_set(o, "Health", health);
	return o;
}

static struct json *config_object(const struct container *c)
{
	const struct container_spec *s = c->spec;
	struct json *o = json_new_object();
	_cleanup_free_ char *hostname = spec_hostname(c);
	struct json *volumes = json_new_object();
	size_t n_volumes = 0;

	json_set_string(o, "Hostname", hostname);
	set_text(o, "Domainname", s->domainname);
	set_text(o, "User", s->user);
	json_set_bool(o, "AttachStdin", s->stdin_once);
	json_set_bool(o, "AttachStdout", true);
	json_set_bool(o, "AttachStderr", true);
	struct json *exposed = network_exposed_ports(s);
	if (exposed)
		json_set(o, "ExposedPorts", exposed);
	json_set_bool(o, "Tty", s->tty);
	json_set_bool(o, "OpenStdin", s->open_stdin);
	json_set_bool(o, "StdinOnce", s->stdin_once);
	json_set_strv(o, "Env", s->env ? s->env : (char *[]){NULL});
	set_list(o, "Cmd", s->command);
	json_set_string(o, "Image", c->image_name);
	for (size_t i = 0; i < s->n_mounts; i++) {
		if (s->mounts[i].type == MOUNT_VOLUME && s->mounts[i].anonymous) {
			json_set(volumes, s->mounts[i].target, json_new_object());
			n_volumes++;
		}
	}
	if (n_volumes > 0) {
		json_set(o, "Volumes", volumes);
	} else {
		json_unref(volumes);
		json_set(o, "Volumes", NULL);
	}
	set_text(o, "WorkingDir", s->workdir);
	set_list(o, "Entrypoint", s->entrypoint);
	json_set(o, "Labels", json_new_pairs(s->labels));
	struct json *health = NULL;
	if (s->health)
		err_free(json_parse(s->health, strlen(s->health), "health check", &health));
	if (health)
		json_set(o, "Healthcheck", health);
	if (s->stop_signal)
		json_set_string(o, "StopSignal", s->stop_signal);
	if (s->stop_timeout_s >= 0)
		json_set_i64(o, "StopTimeout", s->stop_timeout_s);
	return o;
}

static struct json *bind_strings(const struct container_spec *s)
{
	struct json *list = NULL;

	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct container_mount *m = &s->mounts[i];
		_cleanup_free_ char *options = strv_join(m->options, ",");
		if (m->type == MOUNT_TMPFS || m->anonymous)
			continue;
		if (!list)
			list = json_new_array();
		_cleanup_free_ char *text = xasprintf("%s:%s%s%s", m->source, m->target,
						      str_empty(options) ? "" : ":", options ? options : "");
		json_append(list, json_new_string(text));
	}
	return list;
}

static struct json *tmpfs_object(const struct container_spec *s)
{
	struct json *o = NULL;

	for (size_t i = 0; i < s->n_mounts; i++) {
		if (s->mounts[i].type != MOUNT_TMPFS)
			continue;
		if (!o)
			o = json_new_object();
		_cleanup_free_ char *options = strv_join(s->mounts[i].options, ",");
		set_text(o, s->mounts[i].target, options);
	}
	return o;
}

static struct json *ulimit_objects(const struct container_spec *s)
{
	struct json *list = json_new_array();

	STRV_FOREACH (u, s->ulimits) {
		struct ulimit l;
		struct err *e = ulimit_parse(*u, &l);
		if (e) {
			err_free(e);
			continue;
		}
		struct json *o = json_new_object();
		json_set_string(o, "Name", l.name);
		json_set_i64(o, "Hard", (int64_t)l.hard);
		json_set_i64(o, "Soft", (int64_t)l.soft);
		json_append(list, o);
	}
	return list;
}

static void set_resources(struct json *o, const struct container_spec *s)
{
	json_set_i64(o, "CpuShares", s->cpu_shares);
	json_set_i64(o, "Memory", s->memory_bytes);
	json_set_i64(o, "NanoCpus", s->nano_cpus);
	set_text(o, "CgroupParent", s->cgroup_parent);
	json_set_i64(o, "CpuPeriod", s->cpu_period);
	json_set_i64(o, "CpuQuota", s->cpu_quota);
	set_text(o, "CpusetCpus", s->cpuset_cpus);
	set_text(o, "CpusetMems", s->cpuset_mems);
	set_list(o, "Devices", s->devices);
	set_list(o, "DeviceCgroupRules", s->device_cgroup_rules);
	json_set_i64(o, "MemoryReservation", s->memory_reservation_bytes);
	json_set_i64(o, "MemorySwap", s->memory_swap_bytes);
	if (s->pids_limit)
		json_set_i64(o, "PidsLimit", s->pids_limit);
	else
		json_set(o, "PidsLimit", NULL);
	json_set(o, "Ulimits", ulimit_objects(s));
	json_set_i64(o, "BlkioWeight", s->blkio_weight);
	set_list(o, "BlkioWeightDevice", s->blkio_weight_devices);
	set_list(o, "BlkioDeviceReadBps", s->device_read_bps);
	set_list(o, "BlkioDeviceWriteBps", s->device_write_bps);
	set_list(o, "BlkioDeviceReadIOps", s->device_read_iops);
	set_list(o, "BlkioDeviceWriteIOps", s->device_write_iops);
	json_set_i64(o, "CpuRealtimePeriod", s->cpu_rt_period_us);
	json_set_i64(o, "CpuRealtimeRuntime", s->cpu_rt_runtime_us);
	if (s->memory_swappiness)
		json_set_i64(o, "MemorySwappiness", s->memory_swappiness - 1);
	else
		json_set(o, "MemorySwappiness", NULL);
	json_set_bool(o, "OomKillDisable", s->oom_kill_disable);
	set_list(o, "VolumesFrom", s->volumes_from);
}

static struct json *host_config_object(const struct container *c)
{
	const struct container_spec *s = c->spec;
	struct json *o = json_new_object(), *log = json_new_object(), *restart = json_new_object(),
		    *tmpfs = tmpfs_object(s);

	json_set(o, "Binds", bind_strings(s));
	json_set_string(log, "Type", s->log_driver ? s->log_driver : "json-file");
	json_set(log, "Config", json_new_pairs(s->log_opts));
	json_set(o, "LogConfig", log);
	json_set_string(o, "NetworkMode", s->network ? s->network : "none");
	json_set(o, "PortBindings", network_port_bindings(s));
	struct restart_policy policy = {0};
	err_free(restart_policy_parse(s->restart, &policy));
	json_set_string(restart, "Name", restart_policy_name(&policy));
	json_set_i64(restart, "MaximumRetryCount", policy.max);
	json_set(o, "RestartPolicy", restart);
	json_set_bool(o, "AutoRemove", s->auto_remove);
	set_list(o, "CapAdd", s->cap_add);
	set_list(o, "CapDrop", s->cap_drop);
	json_set_string(o, "CgroupnsMode", spec_private_cgroupns(s) ? "private" : "host");
	json_set_strv(o, "Dns", s->dns ? s->dns : (char *[]){NULL});
	json_set_strv(o, "DnsOptions", s->dns_options ? s->dns_options : (char *[]){NULL});
	json_set_strv(o, "DnsSearch", s->dns_search ? s->dns_search : (char *[]){NULL});
	set_list(o, "Links", s->links);
	set_list(o, "ExtraHosts", s->add_hosts);
	set_list(o, "GroupAdd", s->group_add);
	json_set_string(o, "IpcMode", s->ipc_mode ? s->ipc_mode : "private");
	json_set_i64(o, "OomScoreAdj", s->oom_score_adj);
	set_text(o, "PidMode", s->pid_mode);
	json_set_bool(o, "Privileged", s->privileged);
	json_set_bool(o, "PublishAllPorts", s->publish_all);
	json_set_bool(o, "ReadonlyRootfs", s->read_only);
	set_list(o, "SecurityOpt", s->security_opt);
	if (tmpfs)
		json_set(o, "Tmpfs", tmpfs);
	set_text(o, "UTSMode", s->uts_mode);
	set_text(o, "UsernsMode", s->userns_mode);
	json_set_i64(o, "ShmSize", s->shm_size_bytes ? s->shm_size_bytes : 64 << 20);
	if (s->sysctls)
		json_set(o, "Sysctls", json_new_pairs(s->sysctls));
	json_set_string(o, "Runtime", s->runtime ? s->runtime : "havre");
	json_set_bool(o, "Init", s->init);
	if (s->annotations)
		json_set(o, "Annotations", json_new_pairs(s->annotations));
	set_resources(o, s);
	return o;
}

static const char *propagation(const struct container_mount *m)
{
	STRV_FOREACH (o, m->options)
		if (str_ends(*o, "private") || str_ends(*o, "shared") || str_ends(*o, "slave"))
			return *o;
	return m->type == MOUNT_BIND ? "rprivate" : "";
}

static struct json *mount_objects(struct engine *e, const struct container_spec *s)
{
	static const char *const types[] = {[MOUNT_BIND] = "bind",
					    [MOUNT_VOLUME] = "volume",
					    [MOUNT_TMPFS] = "tmpfs",
					    [MOUNT_IMAGE] = "image"};
	struct json *list = json_new_array();

	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct container_mount *m = &s->mounts[i];
		struct json *o = json_new_object();
		_cleanup_free_ char *mode = strv_join(m->options, ",");

		json_set_string(o, "Type", types[m->type]);
		if (m->type == MOUNT_VOLUME) {
			_cleanup_free_ char *path = xasprintf("%s/volumes/%s/_data", e->root, m->source);
			json_set_string(o, "Name", m->source);
			json_set_string(o, "Source", path);
			json_set_string(o, "Driver", "local");
		} else {
			set_text(o, "Source", m->source);
		}
		json_set_string(o, "Destination", m->target);
		set_text(o, "Mode", mode);
		json_set_bool(o, "RW",
			      !strv_contains(m->options, "ro") && !strv_contains(m->options, "readonly"));
		json_set_string(o, "Propagation", propagation(m));
		json_append(list, o);
	}
	return list;
}

struct err *container_inspect(struct engine *e, struct container *c, struct json **ret)
{
	_cleanup_json_ struct json *o = json_new_object();
	struct json *args = json_new_array(), *driver = json_new_object(), *settings = NULL;
	_cleanup_free_ char *name = xasprintf("/%s", c->name), *path = NULL;

	json_set_string(o, "Id", c->id);
	set_time(o, "Created", c->created_ns);
	set_text(o, "Path", c->command ? c->command[0] : NULL);
	for (char *const *a = c->command ? c->command + 1 : NULL; a && *a; a++)
		json_append(args, json_new_string(*a));
	json_set(o, "Args", args);
	json_set(o, "State", state_object(c));
	json_set_string(o, "Image", c->image.s);
	path = xasprintf("%s/resolv.conf", c->root_dir);
	json_set_string(o, "ResolvConfPath", path);
	free(path);
	path = xasprintf("%s/hostname", c->root_dir);
	json_set_string(o, "HostnamePath", path);
	free(path);
	path = xasprintf("%s/hosts", c->root_dir);
	json_set_string(o, "HostsPath", path);
	set_text(o, "LogPath", c->log_path);
	json_set_string(o, "Name", name);
	json_set_i64(o, "RestartCount", c->restarts);
	json_set_string(o, "Driver", "overlayfs");
	json_set_string(o, "Platform", "linux");
	json_set_string(o, "MountLabel", "");
	json_set_string(o, "ProcessLabel", "");
	json_set_string(o, "AppArmorProfile", "");
	json_set(o, "ExecIDs", NULL);
	json_set(o, "HostConfig", host_config_object(c));
	json_set_string(driver, "Name", "overlayfs");
	json_set(driver, "Data", NULL);
	json_set(o, "GraphDriver", driver);
	json_set(o, "Mounts", mount_objects(e, c->spec));
	json_set(o, "Config", config_object(c));
	TRY(network_settings(e, c, &settings));
	json_set(o, "NetworkSettings", settings);
	*ret = TAKE_PTR(o);
	return NULL;
}
