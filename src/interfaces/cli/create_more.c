// SPDX-License-Identifier: Apache-2.0
/* What create and run know beside the daily flags: checked values, and their place in the specification. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/moment.h"
#include "cli.h"

#define WEIGHT_MIN 10
#define WEIGHT_MAX 1000

static struct err *check_weight(int64_t weight, const char *flag)
{
	if (weight != 0 && (weight < WEIGHT_MIN || weight > WEIGHT_MAX))
		return err_new(ERR_INVALID, "%s: the weight must be between %d and %d", flag, WEIGHT_MIN,
			       WEIGHT_MAX);
	return NULL;
}

/* DEVICE:VALUE becomes DEVICE:NUMBER, so that the engine reads numbers alone. */
static struct err *add_device_limit(const char *flag, const char *text, bool size, char ***list)
{
	const char *colon = strrchr(text, ':');
	uint64_t number;

	if (!colon || colon == text || text[0] != '/')
		return err_new(ERR_INVALID, "%s \"%.128s\": write /dev/NAME:%s", flag, text,
			       size ? "SIZE" : "NUMBER");
	if (size)
		TRY(parse_size(colon + 1, flag, &number));
	else
		TRY(parse_u64(colon + 1, flag, 0, INT64_MAX, &number));
	if (str_eq(flag, "--blkio-weight-device"))
		TRY(check_weight((int64_t)MIN(number, (uint64_t)INT64_MAX), flag));
	strv_push_take(list, xasprintf("%.*s:%llu", (int)(colon - text), text, (unsigned long long)number));
	return NULL;
}

static struct err *fill_block_io(const struct create_options *o, struct container_spec *s)
{
	const struct {
		const char *flag;
		char *const *from;
		char ***to;
		bool size;
	} lists[] = {
		{"--blkio-weight-device", o->blkio_weight_devices, &s->blkio_weight_devices, false},
		{"--device-read-bps", o->device_read_bps, &s->device_read_bps, true},
		{"--device-write-bps", o->device_write_bps, &s->device_write_bps, true},
		{"--device-read-iops", o->device_read_iops, &s->device_read_iops, false},
		{"--device-write-iops", o->device_write_iops, &s->device_write_iops, false},
	};

	TRY(check_weight(o->blkio_weight, "--blkio-weight"));
	s->blkio_weight = o->blkio_weight;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		STRV_FOREACH (text, lists[i].from)
			TRY(add_device_limit(lists[i].flag, *text, lists[i].size, lists[i].to));
	return NULL;
}

/* docker's object. */
static struct err *fill_health(const struct create_options *o, struct container_spec *s)
{
	const struct {
		const char *flag, *key, *text;
	} durations[] = {{"--health-interval", "Interval", o->health_interval},
			 {"--health-timeout", "Timeout", o->health_timeout},
			 {"--health-start-period", "StartPeriod", o->health_start_period},
			 {"--health-start-interval", "StartInterval", o->health_start_interval}};
	_cleanup_json_ struct json *health = json_new_object();
	bool any = o->health_retries > 0;

	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		int64_t ns;
		if (!durations[i].text)
			continue;
		TRY(duration_parse(durations[i].text, durations[i].flag, &ns));
		if (ns > 0 && ns < 1000000)
			return err_new(ERR_INVALID, "%s cannot be less than 1ms", durations[i].flag);
		json_set_i64(health, durations[i].key, ns);
		any = true;
	}
	if (o->health_retries > 0)
		json_set_i64(health, "Retries", o->health_retries);
	if (o->no_healthcheck && (any || o->health_cmd))
		return err_new(ERR_INVALID, "--no-healthcheck conflicts with --health-* options");
	if (!any && !o->health_cmd && !o->no_healthcheck)
		return NULL;
	if (o->no_healthcheck || o->health_cmd) {
		bool none = o->no_healthcheck || str_eq(o->health_cmd, "none");
		char *const test[] = {(char *)(none ? "NONE" : "CMD-SHELL"),
				      none ? NULL : (char *)(uintptr_t)o->health_cmd, NULL};
		json_set_strv(health, "Test", test);
	}
	s->health = json_print(health, JSON_COMPACT);
	return NULL;
}

struct err *create_fill_more(const struct create_options *o, struct container_spec *s)
{
	if (!str_empty(o->volume_driver) && !str_eq(o->volume_driver, "local"))
		return err_new(ERR_UNSUPPORTED, "--volume-driver %s: the only driver is local",
			       o->volume_driver);
	TRY(fill_block_io(o, s));
	if (o->cpu_rt_runtime > 0 && o->cpu_rt_period > 0 && o->cpu_rt_runtime > o->cpu_rt_period)
		return err_new(ERR_INVALID, "--cpu-rt-runtime is more than --cpu-rt-period");
	s->cpu_rt_period_us = o->cpu_rt_period;
	s->cpu_rt_runtime_us = o->cpu_rt_runtime;
	s->memory_swappiness = (int)o->memory_swappiness + 1;
	s->oom_kill_disable = o->oom_kill_disable;
	s->volumes_from = strv_dup(o->volumes_from);
	s->restart = xstrdup_null(o->restart);
	TRY(fill_health(o, s));
	s->timezone = xstrdup_null(o->timezone);
	s->gpus = xstrdup_null(o->gpus);
	s->runtime = xstrdup_null(o->runtime);
	s->uid_map = strv_dup(o->uid_map);
	s->gid_map = strv_dup(o->gid_map);
	s->subuid_name = xstrdup_null(o->subuid_name);
	s->subgid_name = xstrdup_null(o->subgid_name);
	s->pod = xstrdup_null(o->pod);
	s->umask = xstrdup_null(o->umask);
	s->unset_env = strv_dup(o->unset_env);
	s->unset_env_all = o->unset_env_all;
	s->secrets = strv_dup(o->secrets);
	if (o->rootfs) {
		s->rootfs = realpath(s->image, NULL);
		if (!s->rootfs)
			return err_errno(errno, "--rootfs: cannot use %s", s->image);
	}
	if (o->replace && !o->name)
		return err_new(ERR_INVALID, "--replace needs --name: it removes the container of that name");
	return NULL;
}
