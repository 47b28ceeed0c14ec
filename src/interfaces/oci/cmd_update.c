/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "oci.h"

struct options {
	const char *resources;
	const char *blkio_weight, *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_rt_period,
		*cpu_rt_runtime, *cpu_idle;
	const char *cpuset_cpus, *cpuset_mems, *memory, *memory_reservation, *memory_swap, *pids_limit;
	const char *l3_cache_schema, *mem_bw_schema;
};

#define TEXT(field_, name_, metavar_, help_)                                                                 \
	{                                                                                                    \
		FLAG_STRING_FIELD(struct options, field_), .name = name_, .metavar = metavar_, .help = help_ \
	}

static const struct flag flags[] = {
	{FLAG_STRING_FIELD(struct options, resources), .name = "resources", .letter = 'r', .metavar = "FILE",
	 .values = "@file", .help = "A linux.resources object as a JSON file, or - for stdin"},
	TEXT(blkio_weight, "blkio-weight", "N", "Weight of block I/O, 10 to 1000"),
	TEXT(cpu_period, "cpu-period", "US", "Length of a CPU period in microseconds"),
	TEXT(cpu_quota, "cpu-quota", "US", "CPU time per period in microseconds; -1: unlimited"),
	TEXT(cpu_burst, "cpu-burst", "US", "CPU time that may be saved up, in microseconds"),
	TEXT(cpu_share, "cpu-share", "N", "Relative weight of CPU time"),
	TEXT(cpu_rt_period, "cpu-rt-period", "US", "Length of a real-time period in microseconds"),
	TEXT(cpu_rt_runtime, "cpu-rt-runtime", "US", "Real-time CPU time per period in microseconds"),
	TEXT(cpu_idle, "cpu-idle", "0|1", "Only run when nobody else wants the CPU"),
	TEXT(cpuset_cpus, "cpuset-cpus", "LIST", "CPUs that may be used"),
	TEXT(cpuset_mems, "cpuset-mems", "LIST", "Memory nodes that may be used"),
	TEXT(memory, "memory", "BYTES", "Memory limit; -1: unlimited"),
	TEXT(memory_reservation, "memory-reservation", "BYTES", "Memory that is not reclaimed first"),
	TEXT(memory_swap, "memory-swap", "BYTES", "Limit of memory and swap together; -1: unlimited"),
	TEXT(pids_limit, "pids-limit", "N", "Number of processes; -1: unlimited"),
	TEXT(l3_cache_schema, "l3-cache-schema", "SCHEMA",
	     "Intel RDT: parts of the L3 cache (L3:0=7f0;1=1f)"),
	TEXT(mem_bw_schema, "mem-bw-schema", "SCHEMA", "Intel RDT: memory bandwidth (MB:0=20;1=70)"),
	{.name = "kernel-memory",
	 .kind = FLAG_IGNORED,
	 .help = "Accepted and ignored: the kernel has no such limit any more"},
	{.name = "kernel-memory-tcp", .kind = FLAG_IGNORED, .help = "Accepted and ignored"},
	{0},
};

static struct json *section(struct json *resources, const char *key)
{
	struct json_cursor root = json_root(resources), c;
	struct err *e = json_get_object(&root, key, JSON_OPTIONAL, &c);
	err_free(e);
	if (!e && c.value)
		return c.value;
	struct json *o = json_new_object();
	json_set(resources, key, o);
	return o;
}

static struct err *set_number(struct json *resources, const char *text, const char *flag, const char *in,
			      const char *key)
{
	int64_t v;
	if (!text)
		return NULL;
	TRY(parse_i64(text, flag, -1, INT64_MAX, &v));
	json_set_i64(section(resources, in), key, v);
	return NULL;
}

static struct err *set_size(struct json *resources, const char *text, const char *flag, const char *key)
{
	uint64_t v;
	if (!text)
		return NULL;
	if (str_eq(text, "-1")) {
		json_set_i64(section(resources, "memory"), key, -1);
		return NULL;
	}
	TRY(parse_size(text, flag, &v));
	json_set_i64(section(resources, "memory"), key, (int64_t)v);
	return NULL;
}

static struct err *apply_flags(const struct options *o, struct json *r)
{
	TRY(set_number(r, o->blkio_weight, "--blkio-weight", "blockIO", "weight"));
	TRY(set_number(r, o->cpu_period, "--cpu-period", "cpu", "period"));
	TRY(set_number(r, o->cpu_quota, "--cpu-quota", "cpu", "quota"));
	TRY(set_number(r, o->cpu_burst, "--cpu-burst", "cpu", "burst"));
	TRY(set_number(r, o->cpu_share, "--cpu-share", "cpu", "shares"));
	TRY(set_number(r, o->cpu_rt_period, "--cpu-rt-period", "cpu", "realtimePeriod"));
	TRY(set_number(r, o->cpu_rt_runtime, "--cpu-rt-runtime", "cpu", "realtimeRuntime"));
	TRY(set_number(r, o->cpu_idle, "--cpu-idle", "cpu", "idle"));
	TRY(set_number(r, o->pids_limit, "--pids-limit", "pids", "limit"));
	TRY(set_size(r, o->memory, "--memory", "limit"));
	TRY(set_size(r, o->memory_reservation, "--memory-reservation", "reservation"));
	TRY(set_size(r, o->memory_swap, "--memory-swap", "swap"));
	if (o->cpuset_cpus)
		json_set_string(section(r, "cpu"), "cpus", o->cpuset_cpus);
	if (o->cpuset_mems)
		json_set_string(section(r, "cpu"), "mems", o->cpuset_mems);
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct options *o = in->options;
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	_cleanup_json_ struct json *given = NULL, *resources = NULL;
	TRY(oci_load(in, &c));
	if (c->status == RT_STOPPED || !c->cgroup)
		return err_new(ERR_STATE,
			       c->cgroup ? "container not running" : "the container has no cgroup");
	if (o->resources)
		TRY(oci_read_json(o->resources, &given));
	else
		given = json_new_object();
	struct json_cursor root = json_root(given);
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "the resources must be a JSON object");
	resources = oci_fold_resource_names(given);
	root = json_root(resources);
	TRY(apply_flags(o, resources));
	TRY(rt_cgroup_check_resources(&root));
	if (o->l3_cache_schema || o->mem_bw_schema)
		TRY(rt_container_update_rdt(c, o->l3_cache_schema, o->mem_bw_schema));
	return rt_cgroup_update(c->cgroup, &root);
}

const struct command oci_update = {
	.name = "update",
	.summary = "Change the resource limits of a container",
	.usage = "[OPTIONS] CONTAINER",
	.flags = flags,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
