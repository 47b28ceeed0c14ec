/* SPDX-License-Identifier: Apache-2.0 */
/* container_spec as JSON (the `spec` column of engine.db) and back, from one table of its fields. Unset fields are left
 * out, unknown members are ignored: an older and a newer havre read each other's rows. */
#include <stddef.h>

#include "private.h"

enum field_type { FIELD_STRING, FIELD_STRV, FIELD_BOOL, FIELD_I64, FIELD_INT };

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
};

#define F(type, member)                                                \
	{                                                              \
#member, type, offsetof(struct container_spec, member) \
	}
static const struct field fields[] = {
	F(FIELD_STRING, name),
	F(FIELD_STRING, image),
	F(FIELD_STRING, platform),
	F(FIELD_STRV, command),
	F(FIELD_STRV, entrypoint),
	F(FIELD_STRV, env),
	F(FIELD_STRV, labels),
	F(FIELD_STRV, annotations),
	F(FIELD_STRING, workdir),
	F(FIELD_STRING, user),
	F(FIELD_STRING, hostname),
	F(FIELD_STRING, domainname),
	F(FIELD_STRV, group_add),
	F(FIELD_BOOL, tty),
	F(FIELD_BOOL, open_stdin),
	F(FIELD_BOOL, stdin_once),
	F(FIELD_BOOL, auto_remove),
	F(FIELD_BOOL, init),
	F(FIELD_BOOL, read_only),
	F(FIELD_BOOL, privileged),
	F(FIELD_STRV, cap_add),
	F(FIELD_STRV, cap_drop),
	F(FIELD_STRV, security_opt),
	F(FIELD_STRING, network),
	F(FIELD_STRING, pid_mode),
	F(FIELD_STRING, ipc_mode),
	F(FIELD_STRING, uts_mode),
	F(FIELD_STRING, cgroupns_mode),
	F(FIELD_STRING, userns_mode),
	F(FIELD_I64, memory_bytes),
	F(FIELD_I64, memory_swap_bytes),
	F(FIELD_I64, memory_reservation_bytes),
	F(FIELD_I64, nano_cpus),
	F(FIELD_I64, cpu_shares),
	F(FIELD_I64, cpu_period),
	F(FIELD_I64, cpu_quota),
	F(FIELD_STRING, cpuset_cpus),
	F(FIELD_STRING, cpuset_mems),
	F(FIELD_I64, pids_limit),
	F(FIELD_I64, shm_size_bytes),
	F(FIELD_STRV, ulimits),
	F(FIELD_STRV, sysctls),
	F(FIELD_STRV, devices),
	F(FIELD_STRV, device_cgroup_rules),
	F(FIELD_STRV, add_hosts),
	F(FIELD_STRV, dns),
	F(FIELD_INT, oom_score_adj),
	F(FIELD_STRING, stop_signal),
	F(FIELD_INT, stop_timeout_s),
	F(FIELD_STRING, cgroup_parent),
	F(FIELD_STRING, log_driver),
	F(FIELD_STRV, log_opts),
	F(FIELD_STRV, networks),
	F(FIELD_STRING, ip),
	F(FIELD_STRING, ip6),
	F(FIELD_STRING, mac_address),
	F(FIELD_STRV, network_aliases),
	F(FIELD_STRV, links),
	F(FIELD_STRV, publish),
	F(FIELD_STRV, expose),
	F(FIELD_BOOL, publish_all),
	F(FIELD_STRV, dns_search),
	F(FIELD_STRV, dns_options),
	F(FIELD_I64, blkio_weight),
	F(FIELD_STRV, blkio_weight_devices),
	F(FIELD_STRV, device_read_bps),
	F(FIELD_STRV, device_write_bps),
	F(FIELD_STRV, device_read_iops),
	F(FIELD_STRV, device_write_iops),
	F(FIELD_I64, cpu_rt_period_us),
	F(FIELD_I64, cpu_rt_runtime_us),
	F(FIELD_INT, memory_swappiness),
	F(FIELD_BOOL, oom_kill_disable),
	F(FIELD_STRV, volumes_from),
	F(FIELD_STRING, gpus),
	F(FIELD_STRING, restart),
	F(FIELD_STRING, health),
	F(FIELD_STRING, runtime),
	F(FIELD_STRV, uid_map),
	F(FIELD_STRV, gid_map),
	F(FIELD_STRING, subuid_name),
	F(FIELD_STRING, subgid_name),
	F(FIELD_STRING, pod),
	F(FIELD_STRV, pod_share),
	F(FIELD_STRING, rootfs),
	F(FIELD_STRING, timezone),
	F(FIELD_STRING, umask),
	F(FIELD_STRV, unset_env),
	F(FIELD_BOOL, unset_env_all),
	F(FIELD_STRV, secrets),
};
#undef F

static const char *const mount_types[] = {
	[MOUNT_BIND] = "bind", [MOUNT_VOLUME] = "volume", [MOUNT_TMPFS] = "tmpfs", [MOUNT_IMAGE] = "image"};

struct json *container_spec_to_json(const struct container_spec *s)
{
	struct json *doc = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *name = fields[i].name;
		const void *at = (const char *)s + fields[i].offset;

		switch (fields[i].type) {
		case FIELD_STRING:
			if (*(char *const *)at)
				json_set_string(doc, name, *(char *const *)at);
			break;
		case FIELD_STRV:
			if (*(char **const *)at)
				json_set_strv(doc, name, *(char **const *)at);
			break;
		case FIELD_BOOL:
			if (*(const bool *)at)
				json_set_bool(doc, name, true);
			break;
		case FIELD_I64:
			if (*(const int64_t *)at)
				json_set_i64(doc, name, *(const int64_t *)at);
			break;
		case FIELD_INT:
			if (*(const int *)at)
				json_set_i64(doc, name, *(const int *)at);
			break;
		}
	}
	if (s->n_mounts > 0) {
		struct json *mounts = json_new_array();
		for (size_t i = 0; i < s->n_mounts; i++) {
			const struct container_mount *m = &s->mounts[i];
			struct json *o = json_new_object();
			json_set_string(o, "type", mount_types[m->type]);
			if (m->source)
				json_set_string(o, "source", m->source);
			json_set_string(o, "target", m->target);
			if (m->options)
				json_set_strv(o, "options", m->options);
			if (m->subpath)
				json_set_string(o, "subpath", m->subpath);
			if (m->volume_options)
				json_set_strv(o, "volume_options", m->volume_options);
			if (m->volume_labels)
				json_set_strv(o, "volume_labels", m->volume_labels);
			if (m->create_source)
				json_set_bool(o, "create_source", true);
			if (m->anonymous)
				json_set_bool(o, "anonymous", true);
			json_append(mounts, o);
		}
		json_set(doc, "mounts", mounts);
	}
	return doc;
}

static struct err *get_string(const struct json_cursor *obj, const char *key, enum json_need need, char **ret)
{
	const char *s = NULL;

	TRY(json_get_string(obj, key, need, &s));
	*ret = xstrdup_null(s);
	return NULL;
}

static struct err *decode_mount(const struct json_cursor *o, struct container_mount *m)
{
	const char *type = NULL;
	size_t t = 0;

	TRY(json_get_string(o, "type", JSON_REQUIRED, &type));
	while (t < ARRAY_SIZE(mount_types) && !str_eq(mount_types[t], type))
		t++;
	if (t == ARRAY_SIZE(mount_types))
		return json_error(o, "unknown mount type \"%s\"", type);
	m->type = (int)t;
	TRY(get_string(o, "source", JSON_OPTIONAL, &m->source));
	TRY(get_string(o, "target", JSON_REQUIRED, &m->target));
	TRY(json_get_strv(o, "options", JSON_OPTIONAL, &m->options));
	TRY(get_string(o, "subpath", JSON_OPTIONAL, &m->subpath));
	TRY(json_get_strv(o, "volume_options", JSON_OPTIONAL, &m->volume_options));
	TRY(json_get_strv(o, "volume_labels", JSON_OPTIONAL, &m->volume_labels));
	TRY(json_get_bool(o, "create_source", JSON_OPTIONAL, &m->create_source));
	return json_get_bool(o, "anonymous", JSON_OPTIONAL, &m->anonymous);
}

static struct err *decode(struct json *doc, struct container_spec *s)
{
	struct json_cursor root = json_root(doc), mounts;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *name = fields[i].name;
		void *at = (char *)s + fields[i].offset;
		int64_t n = 0;

		switch (fields[i].type) {
		case FIELD_STRING:
			TRY(get_string(&root, name, JSON_OPTIONAL, at));
			break;
		case FIELD_STRV:
			TRY(json_get_strv(&root, name, JSON_OPTIONAL, at));
			break;
		case FIELD_BOOL:
			TRY(json_get_bool(&root, name, JSON_OPTIONAL, at));
			break;
		case FIELD_I64:
			TRY(json_get_i64(&root, name, JSON_OPTIONAL, INT64_MIN, INT64_MAX, at));
			break;
		case FIELD_INT:
			TRY(json_get_i64(&root, name, JSON_OPTIONAL, INT32_MIN, INT32_MAX, &n));
			*(int *)at = (int)n;
			break;
		}
	}
	TRY(json_get_array(&root, "mounts", JSON_OPTIONAL, &mounts));
	size_t n = json_array_len(&mounts);
	s->mounts = n > 0 ? xnew_array(struct container_mount, n) : NULL;
	for (size_t i = 0; i < n; i++) {
		struct json_cursor m = json_at(&mounts, i);
		s->n_mounts = i + 1;
		TRY(decode_mount(&m, &s->mounts[i]));
	}
	return NULL;
}

struct err *container_spec_from_json(struct json *doc, struct container_spec *ret)
{
	struct container_spec s = {0};
	struct err *e = decode(doc, &s);

	if (e) {
		container_spec_release(&s);
		return err_wrap_kind(e, ERR_CORRUPT, "cannot understand a stored container");
	}
	*ret = s;
	return NULL;
}

void container_mount_release(struct container_mount *m)
{
	free(m->source);
	free(m->target);
	free(m->subpath);
	strv_free(m->options);
	strv_free(m->volume_options);
	strv_free(m->volume_labels);
	*m = (struct container_mount){0};
}

void container_spec_release(struct container_spec *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		void *at = (char *)s + fields[i].offset;
		if (fields[i].type == FIELD_STRING)
			free(*(char **)at);
		else if (fields[i].type == FIELD_STRV)
			strv_free(*(char ***)at);
	}
	for (size_t i = 0; i < s->n_mounts; i++)
		container_mount_release(&s->mounts[i]);
	free(s->mounts);
	*s = (struct container_spec){0};
}
