/* SPDX-License-Identifier: Apache-2.0 */
/* What was asked for against what this machine can give: wrong values are errors, limits that the kernel does not have are
 * taken out with a warning each. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "private.h"
#include "runtime/cgroup.h"
#include "ulimit.h"

#define MEMORY_MIN (6 << 20) /* docker's: below it the start itself fails for lack of memory */

static bool has_sys_resource(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[0].effective & (1u << CAP_SYS_RESOURCE);
}

static void warn(char ***warnings, const char *text)
{
	strv_push(warnings, text);
}

static struct err *check_memory(struct container_spec *s, enum rt_cgroup_mode mode, char ***warnings)
{
	if (s->memory_bytes < 0 || (s->memory_bytes > 0 && s->memory_bytes < MEMORY_MIN))
		return err_new(ERR_INVALID, "memory limit %lld is too small: the minimum is 6 MiB",
			       (long long)s->memory_bytes);
	if (s->memory_reservation_bytes < 0 ||
	    (s->memory_bytes > 0 && s->memory_reservation_bytes > s->memory_bytes))
		return err_new(ERR_INVALID, "memory reservation must not be larger than the memory limit");
	if (s->memory_swap_bytes > 0 && s->memory_bytes == 0)
		return err_new(ERR_INVALID,
			       "memory-swap needs a memory limit as well (it is the sum of memory and swap)");
	if (s->memory_swap_bytes > 0 && s->memory_swap_bytes < s->memory_bytes)
		return err_new(ERR_INVALID, "memory-swap is the sum of memory and swap: it must not be "
					    "smaller than the memory limit");
	if (s->memory_swap_bytes < -1)
		return err_new(ERR_INVALID, "memory-swap must be a size, or -1 for no limit on swap");
	bool asked = s->memory_swap_bytes != 0;
	if (s->memory_bytes > 0 && s->memory_swap_bytes == 0)
		s->memory_swap_bytes = s->memory_bytes > INT64_MAX / 2 ? -1 : 2 * s->memory_bytes;
	if (s->memory_swap_bytes != 0 && mode != RT_CGROUP_V2 &&
	    access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) < 0 &&
	    access("/sys/fs/cgroup/memory", F_OK) == 0) {
		/* The file exists in every group below the root, or in none. */
		_cleanup_free_ char *text = NULL;
		size_t size;
		struct err *e = file_read("/proc/swaps", 64 << 10, &text, &size);
		bool swap = !e && strchr(text, '\n') && strchr(text, '\n')[1];
		err_free(e);
		s->memory_swap_bytes = 0;
		if (asked || swap)
			warn(warnings,
			     "the kernel does not support limiting swap: memory is limited without swap");
	}
	return NULL;
}

static struct err *check_cpu(struct container_spec *s, char ***warnings)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (s->nano_cpus != 0 && (s->cpu_period != 0 || s->cpu_quota != 0))
		return err_new(ERR_INVALID,
			       "--cpus cannot be combined with --cpu-period and --cpu-quota: it sets both");
	if (s->nano_cpus < 0 || s->nano_cpus > cpus * 1000000000LL)
		return err_new(ERR_INVALID,
			       "--cpus must be between 0.01 and %ld.00, as there are only %ld CPUs available",
			       cpus, cpus);
	if (s->nano_cpus > 0 && s->nano_cpus < 10000000)
		return err_new(ERR_INVALID, "--cpus must be at least 0.01");
	if (s->cpu_period != 0 && (s->cpu_period < 1000 || s->cpu_period > 1000000))
		return err_new(ERR_INVALID, "--cpu-period must be between 1000 and 1000000 microseconds");
	if (s->cpu_quota > 0 && s->cpu_quota < 1000)
		return err_new(ERR_INVALID, "--cpu-quota must be at least 1000 microseconds");
	if (s->cpu_shares < 0)
		return err_new(ERR_INVALID, "--cpu-shares must not be negative");
	return NULL;
}

/* Without CAP_SYS_RESOURCE the hard limits of this process are the highest there are. */
static struct err *check_ulimits(struct container_spec *s, bool can_raise, char ***warnings)
{
	for (char **u = s->ulimits; u && *u; u++) {
		struct ulimit l;
		struct rlimit own;

		TRY(ulimit_parse(*u, &l));
		if (can_raise || getrlimit((__rlimit_resource_t)l.resource, &own) < 0 ||
		    l.hard <= own.rlim_max)
			continue;
		_cleanup_free_ char *text = xasprintf("cannot raise ulimit %s over %llu here (no "
						      "CAP_SYS_RESOURCE): that is what the container gets",
						      l.name, (unsigned long long)own.rlim_max);
		warn(warnings, text);
		free(*u);
		*u = xasprintf("%s=%llu:%llu", l.name,
			       (unsigned long long)MIN(l.soft, (uint64_t)own.rlim_max),
			       (unsigned long long)own.rlim_max);
	}
	return NULL;
}

static bool controller_missing(enum rt_cgroup_mode mode, const char *v1_file, const char *v2_controller)
{
	if (mode == RT_CGROUP_NONE)
		return true;
	if (mode != RT_CGROUP_V2) {
		_cleanup_free_ char *path = xasprintf("/sys/fs/cgroup/%s", v1_file);
		return access(path, F_OK) < 0;
	}
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct err *e = file_read("/sys/fs/cgroup/cgroup.controllers", 4096, &text, &size);
	if (e) {
		err_free(e);
		return true;
	}
	_cleanup_strv_ char **have = strv_split(text, " \n");
	return !strv_contains(have, v2_controller);
}

/* docker's way with what this kernel cannot do: a warning, and the container starts without it. */
static void drop_missing(struct container_spec *s, enum rt_cgroup_mode mode, char ***warnings)
{
	bool v2 = mode == RT_CGROUP_V2, weight, throttle;

	/* On v1 a file of every group but the root; havre's own is made by the first container. */
	weight = v2 ? !controller_missing(mode, "", "io")
		    : access("/sys/fs/cgroup/blkio/havre/blkio.bfq.weight", F_OK) == 0 ||
				 access("/sys/fs/cgroup/blkio/blkio.weight", F_OK) == 0 ||
				 access("/sys/fs/cgroup/blkio/blkio.bfq.weight", F_OK) == 0;
	throttle = !controller_missing(mode, "blkio/blkio.throttle.read_bps_device", "io");
	if ((s->blkio_weight || s->blkio_weight_devices) && !weight) {
		warn(warnings, "the kernel has no weights of block I/O here: --blkio-weight is not applied");
		s->blkio_weight = 0;
		strv_free(s->blkio_weight_devices);
		s->blkio_weight_devices = NULL;
	}
	char ***limits[] = {&s->device_read_bps, &s->device_write_bps, &s->device_read_iops,
			    &s->device_write_iops};
	for (size_t i = 0; i < ARRAY_SIZE(limits) && !throttle; i++) {
		if (*limits[i])
			warn(warnings, "the kernel cannot limit block I/O here: a --device-read or "
				       "--device-write limit is not applied");
		strv_free(*limits[i]);
		*limits[i] = NULL;
	}
	if (s->memory_swappiness && (v2 || controller_missing(mode, "memory/memory.swappiness", "memory"))) {
		warn(warnings, "--memory-swappiness is not applied: it is a setting of cgroup v1, which v2 "
			       "does not have; use --memory-swap");
		s->memory_swappiness = 0;
	}
	if (s->oom_kill_disable && (v2 || controller_missing(mode, "memory/memory.oom_control", "memory"))) {
		warn(warnings, "--oom-kill-disable is not applied: it is a setting of cgroup v1, which v2 "
			       "does not have; use --oom-score-adj");
		s->oom_kill_disable = false;
	} else if (s->oom_kill_disable && !s->memory_bytes) {
		warn(warnings, "--oom-kill-disable without a memory limit is dangerous: the machine may run "
			       "out of memory");
	}
}

static struct err *check_realtime(const struct container_spec *s, enum rt_cgroup_mode mode)
{
	if ((s->cpu_rt_period_us || s->cpu_rt_runtime_us) &&
	    (mode == RT_CGROUP_V2 || controller_missing(mode, "cpu/cpu.rt_runtime_us", "cpu")))
		return err_new(
			ERR_UNSUPPORTED,
			"--cpu-rt-period and --cpu-rt-runtime: this kernel has no real-time group scheduling "
			"(CONFIG_RT_GROUP_SCHED, with cgroup v1)");
	return NULL;
}

struct err *limits_adjust(struct container_spec *s, char ***warnings)
{
	enum rt_cgroup_mode mode;
	bool can_raise = s->ulimits || s->oom_score_adj < 0 ? has_sys_resource() : true;

	TRY(rt_cgroup_detect(&mode));
	TRY(check_memory(s, mode, warnings));
	TRY(check_cpu(s, warnings));
	TRY(check_ulimits(s, can_raise, warnings));
	TRY(check_realtime(s, mode));
	drop_missing(s, mode, warnings);
	if ((s->memory_bytes || s->memory_reservation_bytes) &&
	    controller_missing(mode, "memory", "memory")) {
		warn(warnings, "the kernel has no memory controller here: the memory limit is not applied");
		s->memory_bytes = s->memory_swap_bytes = s->memory_reservation_bytes = 0;
	}
	if (s->pids_limit > 0 && controller_missing(mode, "pids", "pids")) {
		warn(warnings,
		     "the kernel has no pids controller here: the limit on processes is not applied");
		s->pids_limit = 0;
	}
	if ((s->nano_cpus || s->cpu_quota > 0 || s->cpu_period) &&
	    controller_missing(mode, "cpu/cpu.cfs_quota_us", "cpu")) {
		warn(warnings, "the kernel cannot limit CPU time here: --cpus is not applied");
		s->nano_cpus = s->cpu_quota = s->cpu_period = 0;
	}
	if (s->oom_score_adj < -1000 || s->oom_score_adj > 1000)
		return err_new(ERR_INVALID, "--oom-score-adj must be between -1000 and 1000");
	if (s->oom_score_adj < 0 && !can_raise) {
		warn(warnings, "cannot lower oom_score_adj here (no CAP_SYS_RESOURCE): it stays as it is");
		s->oom_score_adj = 0;
	}
	if (s->shm_size_bytes < 0)
		return err_new(ERR_INVALID, "--shm-size must not be negative");
	return NULL;
}
