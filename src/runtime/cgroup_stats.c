/* SPDX-License-Identifier: Apache-2.0 */
/* What a group has used. A file that is missing leaves its values at UINT64_MAX: controllers come and go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cgroup_private.h"

#define STAT_MAX 65536

/* "key value" lines: the value of `key`, or `otherwise`. */
static uint64_t flat_key(const char *text, const char *key, uint64_t otherwise)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (strncmp(line, key, n) == 0 && line[n] == ' ')
			return strtoull(line + n + 1, NULL, 10);
	return otherwise;
}

static uint64_t scaled(uint64_t v, uint64_t factor)
{
	return v == UINT64_MAX ? v : v * factor;
}

static uint64_t number(const char *dir, const char *file)
{
	uint64_t v;

	return cg_read_u64(dir, file, &v) ? UINT64_MAX : v;
}

/* v1 writes "no limit" as the largest multiple of the page size. */
static uint64_t v1_limit(uint64_t v)
{
	return v >= (uint64_t)INT64_MAX - 65536 ? UINT64_MAX : v;
}

/* "8:0 Read 4096" lines, summed over the devices. */
static uint64_t v1_io_sum(const char *text, const char *operation)
{
	uint64_t sum = 0;

	for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		char op[16];
		unsigned long long v;
		if (sscanf(line, "%*u:%*u %15s %llu", op, &v) == 2 && strcmp(op, operation) == 0)
			sum += v;
	}
	return sum;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 …" lines, summed over the devices. */
static uint64_t v2_io_sum(const char *text, const char *key)
{
	uint64_t sum = 0;
	size_t n = strlen(key);

	for (const char *at = strstr(text, key); at; at = strstr(at + n, key))
		if (at > text && at[-1] == ' ')
			sum += strtoull(at + n, NULL, 10);
	return sum;
}

static void v1_stats(const struct rt_cgroup *cg, char *text, struct rt_cgroup_stats *s)
{
	int i = cg_find_v1(cg, CG_CPUACCT);

	if (i >= 0) {
		s->cpu_usage_ns = number(cg->g[i].dir, "cpuacct.usage");
		s->cpu_user_ns = number(cg->g[i].dir, "cpuacct.usage_user");
		s->cpu_system_ns = number(cg->g[i].dir, "cpuacct.usage_sys");
	}
	i = cg_find_v1(cg, CG_CPU);
	if (i >= 0 && cg_read(cg->g[i].dir, "cpu.stat", text, STAT_MAX) == 0) {
		s->periods = flat_key(text, "nr_periods", UINT64_MAX);
		s->throttled_periods = flat_key(text, "nr_throttled", UINT64_MAX);
		s->throttled_ns = flat_key(text, "throttled_time", UINT64_MAX);
	}
	i = cg_find_v1(cg, CG_MEMORY);
	if (i >= 0) {
		const char *dir = cg->g[i].dir;
		s->memory_bytes = number(dir, "memory.usage_in_bytes");
		s->memory_peak_bytes = number(dir, "memory.max_usage_in_bytes");
		s->memory_limit_bytes = v1_limit(number(dir, "memory.limit_in_bytes"));
		if (cg_read(dir, "memory.stat", text, STAT_MAX) == 0) {
			s->memory_cache_bytes = flat_key(text, "total_inactive_file", UINT64_MAX);
			s->swap_bytes = flat_key(text, "total_swap", UINT64_MAX);
		}
		if (cg_read(dir, "memory.oom_control", text, STAT_MAX) == 0)
			s->oom_kills = flat_key(text, "oom_kill", UINT64_MAX);
	}
	i = cg_find_v1(cg, CG_PIDS);
	if (i >= 0) {
		s->pids = number(cg->g[i].dir, "pids.current");
		s->pids_limit = number(cg->g[i].dir, "pids.max");
	}
	i = cg_find_v1(cg, CG_BLKIO);
	if (i >= 0 &&
	    cg_read(cg->g[i].dir, "blkio.throttle.io_service_bytes_recursive", text, STAT_MAX) == 0) {
		s->io_read_bytes = v1_io_sum(text, "Read");
		s->io_write_bytes = v1_io_sum(text, "Write");
	}
	if (i >= 0 && cg_read(cg->g[i].dir, "blkio.throttle.io_serviced_recursive", text, STAT_MAX) == 0) {
		s->io_reads = v1_io_sum(text, "Read");
		s->io_writes = v1_io_sum(text, "Write");
	}
}

static void v2_stats(const char *dir, char *text, struct rt_cgroup_stats *s)
{
	if (cg_read(dir, "cpu.stat", text, STAT_MAX) == 0) {
		s->cpu_usage_ns = scaled(flat_key(text, "usage_usec", UINT64_MAX), 1000);
		s->cpu_user_ns = scaled(flat_key(text, "user_usec", UINT64_MAX), 1000);
		s->cpu_system_ns = scaled(flat_key(text, "system_usec", UINT64_MAX), 1000);
		s->periods = flat_key(text, "nr_periods", UINT64_MAX);
		s->throttled_periods = flat_key(text, "nr_throttled", UINT64_MAX);
		s->throttled_ns = scaled(flat_key(text, "throttled_usec", UINT64_MAX), 1000);
	}
	s->memory_bytes = number(dir, "memory.current");
	s->memory_peak_bytes = number(dir, "memory.peak");
	s->memory_limit_bytes = number(dir, "memory.max");
	s->swap_bytes = number(dir, "memory.swap.current");
	if (cg_read(dir, "memory.stat", text, STAT_MAX) == 0)
		s->memory_cache_bytes = flat_key(text, "inactive_file", UINT64_MAX);
	if (cg_read(dir, "memory.events", text, STAT_MAX) == 0)
		s->oom_kills = flat_key(text, "oom_kill", UINT64_MAX);
	s->pids = number(dir, "pids.current");
	s->pids_limit = number(dir, "pids.max");
	if (cg_read(dir, "io.stat", text, STAT_MAX) == 0) {
		s->io_read_bytes = v2_io_sum(text, "rbytes=");
		s->io_write_bytes = v2_io_sum(text, "wbytes=");
		s->io_reads = v2_io_sum(text, "rios=");
		s->io_writes = v2_io_sum(text, "wios=");
	}
}

struct err *rt_cgroup_stats(struct rt_cgroup *cg, struct rt_cgroup_stats *ret)
{
	_cleanup_free_ char *text = xmalloc(STAT_MAX);
	struct rt_cgroup_stats s;
	int v2 = cg_find_v2(cg);

	memset(&s, 0xff, sizeof(s));
	if (cg->mode == RT_CGROUP_V2)
		v2_stats(cg->g[v2].dir, text, &s);
	else
		v1_stats(cg, text, &s);
	*ret = s;
	return NULL;
}
