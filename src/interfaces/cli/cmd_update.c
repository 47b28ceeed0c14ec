// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"
#include "cli.h"
#include "commands.h"

struct update_flags {
	int64_t blkio_weight, cpu_period, cpu_quota, cpu_rt_period, cpu_rt_runtime, cpu_shares, nano_cpus,
		memory, memory_reservation, memory_swap, pids_limit;
	const char *cpuset_cpus, *cpuset_mems, *restart;
	char **publish_add, **publish_rm;
};

struct update {
	const struct container_spec *limits; /* NULL: as they are */
	const struct update_flags *flags;
};

static struct err *update_one(struct engine *e, struct container *c, void *user)
{
	_cleanup_strv_ char **warnings = NULL;
	const struct update *u = user;
	struct err *failed = u->limits ? container_update(e, c, u->limits, &warnings) : NULL;

	STRV_FOREACH (w, warnings)
		cli_warn("%s", *w);
	TRY(failed);
	if (u->flags->publish_add || u->flags->publish_rm)
		return container_update_ports(e, c, u->flags->publish_add, u->flags->publish_rm);
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct update_flags *f = in->options;
	struct container_spec u = {
		.blkio_weight = f->blkio_weight,
		.cpu_period = f->cpu_period,
		.cpu_quota = f->cpu_quota,
		.cpu_rt_period_us = f->cpu_rt_period,
		.cpu_rt_runtime_us = f->cpu_rt_runtime,
		.cpu_shares = f->cpu_shares,
		.nano_cpus = f->nano_cpus,
		.memory_bytes = f->memory,
		.memory_reservation_bytes = f->memory_reservation,
		.memory_swap_bytes = f->memory_swap,
		.pids_limit = f->pids_limit,
		.cpuset_cpus = (char *)(uintptr_t)f->cpuset_cpus,
		.cpuset_mems = (char *)(uintptr_t)f->cpuset_mems,
		.restart = (char *)(uintptr_t)f->restart,
	};
	static const struct update_flags nothing;

	if (memcmp(f, &nothing, sizeof(nothing)) == 0)
		return usage_error(in, "you must provide one or more flags when using this command");
	struct update_flags limits = *f;
	limits.publish_add = limits.publish_rm = NULL;
	bool any = memcmp(&limits, &nothing, sizeof(nothing)) != 0;
	return cli_each_container(in, true, ret_status, update_one,
				  &(struct update){.limits = any ? &u : NULL, .flags = f});
}

#define F struct update_flags
static const struct flag flags[] = {
	{FLAG_INT_FIELD(F, blkio_weight), .name = "blkio-weight", .min = 0, .max = 1000,
	 .help = "Weight of block I/O, 10 to 1000"},
	{FLAG_INT_FIELD(F, cpu_period), .name = "cpu-period", .metavar = "µs", .min = 0, .max = 1000000,
	 .help = "Period of the CPU quota"},
	{FLAG_INT_FIELD(F, cpu_quota), .name = "cpu-quota", .metavar = "µs", .min = -1, .max = INT64_MAX,
	 .help = "CPU time allowed in each period"},
	{FLAG_INT_FIELD(F, cpu_rt_period), .name = "cpu-rt-period", .metavar = "µs", .min = 0, .max = 1000000,
	 .help = "Period of real-time scheduling (cgroup v1)"},
	{FLAG_INT_FIELD(F, cpu_rt_runtime), .name = "cpu-rt-runtime", .metavar = "µs", .min = 0,
	 .max = 1000000, .help = "Real-time CPU time in each period (cgroup v1)"},
	{FLAG_INT_FIELD(F, cpu_shares), .name = "cpu-shares", .letter = 'c', .min = 0, .max = 262144,
	 .help = "CPU weight (1024 is one share)"},
	{FLAG_NANO_FIELD(F, nano_cpus), .name = "cpus", .help = "Number of CPUs, may be a fraction"},
	{FLAG_STRING_FIELD(F, cpuset_cpus), .name = "cpuset-cpus", .metavar = "list",
	 .help = "CPUs to run on (0-3, 0,1)"},
	{FLAG_STRING_FIELD(F, cpuset_mems), .name = "cpuset-mems", .metavar = "list",
	 .help = "Memory nodes to use (0-3, 0,1)"},
	{FLAG_SIZE_FIELD(F, memory), .name = "memory", .letter = 'm', .help = "Memory limit"},
	{FLAG_SIZE_FIELD(F, memory_reservation), .name = "memory-reservation", .help = "Soft memory limit"},
	{FLAG_SIZE_FIELD(F, memory_swap), .name = "memory-swap", .min = -1,
	 .help = "Limit of memory plus swap; -1: unlimited swap"},
	{FLAG_INT_FIELD(F, pids_limit), .name = "pids-limit", .min = -1, .max = INT64_MAX,
	 .help = "Limit of processes; -1: none"},
	{FLAG_LIST_FIELD(F, publish_add), .name = "publish-add", .metavar = "port",
	 .help = "Publish another port: [ADDRESS:][PORT:]PORT[/PROTOCOL]"},
	{FLAG_LIST_FIELD(F, publish_rm), .name = "publish-rm", .metavar = "port",
	 .help = "Publish a port no longer: PORT[/PROTOCOL], or as it was published"},
	{FLAG_STRING_FIELD(F, restart), .name = "restart", .metavar = "policy",
	 .help = "When to start it anew: no, on-failure[:N], always, unless-stopped, on-unhealthy",
	 .values = "no on-failure always unless-stopped on-unhealthy"},
	{.kind = FLAG_SIZE,
	 .name = "kernel-memory",
	 .traits = FLAG_HIDDEN,
	 .refusal = "the kernel has no such limit any more; --memory covers it"},
	{0},
};

const struct command cmd_update = {
	.name = "update",
	.aliases = ALIASES("container update"),
	.summary = "Change limits, the restart policy and the published ports of containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.help = "A running container has the new limits and ports at once, and they are kept for its next "
		"start. "
		"Connections over a port\nthat is published no longer go on until they end.",
	.flags = flags,
	.options_size = sizeof(struct update_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run,
};
