/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/stats.h"

#include <stdio.h>
#include <sys/sysinfo.h>

#include "base/timestamp.h"
#include "cgroup_driver.h"
#include "private.h"
#include "runtime/container.h"

#define NET_DEV_MAX (256u << 10)

static uint64_t known(uint64_t v)
{
	return v == UINT64_MAX ? 0 : v;
}

/* The lines of /proc/PID/net/dev: "  eth0: RX-BYTES packets errs drop fifo frame compressed multicast TX-BYTES …". */
static void read_network(const struct container *c, struct container_sample *s)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/net/dev", (int)c->pid), *text = NULL;
	size_t size;
	struct err *e = file_read(path, NET_DEV_MAX, &text, &size);
	_cleanup_strv_ char **lines = e ? NULL : strv_split(text, "\n");

	err_free(e); /* it has just ended */
	STRV_FOREACH (line, lines) {
		unsigned long long rx, tx;
		const char *name = *line + strspn(*line, " "), *colon = strchr(name, ':');
		if (!colon || str_starts(name, "lo:"))
			continue;
		if (sscanf(colon + 1, "%llu %*u %*u %*u %*u %*u %*u %*u %llu", &rx, &tx) == 2) {
			s->rx_bytes += rx;
			s->tx_bytes += tx;
		}
	}
}

static uint64_t machine_memory(void)
{
	struct sysinfo si;

	return sysinfo(&si) == 0 ? (uint64_t)si.totalram * si.mem_unit : 0;
}

struct err *container_sample(struct engine *e, const struct container *c, struct container_sample *ret)
{
	_cleanup_(rt_cgroup_freep) struct rt_cgroup *cgroup = NULL;
	struct container_sample s = {.taken_ns = timestamp_monotonic_ns()};
	struct rt_cgroup_stats now;

	if (c->status != CONTAINER_RUNNING && c->status != CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is not running", c->name);
	struct err *error = container_cgroup(e, c, &cgroup);
	if (!error)
		error = rt_cgroup_stats(cgroup, &now);
	if (error && error->kind == ERR_NOT_FOUND) {
		err_free(error);
		return err_new(ERR_STATE, "container %s is not running", c->name);
	}
	TRY(error);
	uint64_t memory = known(now.memory_bytes), cache = known(now.memory_cache_bytes),
		 all = machine_memory();
	s.cpu_ns = known(now.cpu_usage_ns);
	s.memory_bytes = memory > cache ? memory - cache : 0;
	s.memory_limit_bytes = MIN(now.memory_limit_bytes, all);
	s.read_bytes = known(now.io_read_bytes);
	s.write_bytes = known(now.io_write_bytes);
	s.pids = known(now.pids);
	if (!str_eq(c->spec->network, "host"))
		read_network(c, &s);
	*ret = s;
	return NULL;
}
