/* SPDX-License-Identifier: Apache-2.0 */
/* Writing limits into v1 controllers. The order of writes matters in places: the comments say where the kernel insists. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "cgroup_private.h"

struct v1_group {
	enum cg_controller controller;
	const char *dir;
};

/* The v1 group that has the controller; NULL dir when v2 has it or nobody. */
static struct v1_group group_of(const struct rt_cgroup *cg, enum cg_controller c)
{
	int i = cg_find_v1(cg, c);

	return (struct v1_group){.controller = c, .dir = i < 0 ? NULL : cg->g[i].dir};
}

static struct err *write_property(struct v1_group g, const char *file, const char *value,
				  const char *property)
{
	int rc = cg_write(g.dir, file, value);

	return rc ? cg_write_error(rc, property, g.controller, g.dir, file, value) : NULL;
}

static struct err *write_number(struct v1_group g, const char *file, const struct cg_resources *r,
				enum cg_number n)
{
	char value[24];

	if (!cg_has(r, n))
		return NULL;
	snprintf(value, sizeof(value), "%lld", (long long)r->number[n]);
	return write_property(g, file, value, cg_number_property(n));
}

/* A new cpuset is empty, and a process cannot enter an empty one: it takes its parent's, from the nearest ancestor
 * that has some. */
static struct err *inherit_file(char *dir, size_t mount_len, const char *file)
{
	_cleanup_free_ char *text = xmalloc(PATH_MAX);
	int rc = cg_read(dir, file, text, PATH_MAX);

	if (rc)
		return err_errno(rc, "cannot read %s/%s", dir, file);
	if (*text)
		return NULL;
	char *slash = strrchr(dir, '/');
	if (!slash || (size_t)(slash - dir) < mount_len)
		return NULL;
	*slash = '\0';
	struct err *e = inherit_file(dir, mount_len, file);
	if (!e)
		rc = cg_read(dir, file, text, PATH_MAX);
	*slash = '/';
	if (e)
		return e;
	if (rc == 0)
		rc = cg_write(dir, file, text);
	return rc ? err_errno(rc, "cannot write %s to %s/%s", text, dir, file) : NULL;
}

struct err *cg_v1_inherit_cpuset(const struct rt_cgroup *cg)
{
	int i = cg_find_v1(cg, CG_CPUSET);

	if (i < 0)
		return NULL;
	_cleanup_free_ char *dir = xstrdup(cg->g[i].dir);
	char mems[256];
	size_t mount_len = strlen(cg->h[i].mountpoint);
	/* With cgroup.clone_children in the parent the kernel has filled in both. */
	if (cg_read(dir, "cpuset.mems", mems, sizeof(mems)) == 0 && mems[0])
		return NULL;
	char *slash = strrchr(dir, '/');
	if ((size_t)(slash - dir) > mount_len) {
		*slash = '\0';
		TRY(inherit_file(dir, mount_len, "cpuset.cpus"));
		TRY(inherit_file(dir, mount_len, "cpuset.mems"));
		/* The parent is of our making: the groups that follow need no copying. Best effort. */
		if (cg->g[i].kept >= mount_len && str_ends(dir, "/havre"))
			(void)cg_write(dir, "cgroup.clone_children", "1");
		*slash = '/';
	}
	TRY(inherit_file(dir, mount_len, "cpuset.cpus"));
	return inherit_file(dir, mount_len, "cpuset.mems");
}

static struct err *apply_cpuset(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	struct v1_group g = group_of(cg, CG_CPUSET);

	if (g.dir && r->cpus)
		TRY(write_property(g, "cpuset.cpus", r->cpus, "linux.resources.cpu.cpus"));
	if (g.dir && r->mems)
		TRY(write_property(g, "cpuset.mems", r->mems, "linux.resources.cpu.mems"));
	return NULL;
}

/* The kernel refuses a limit above the memory+swap limit and a memory+swap limit below the limit. Lowering must start with the
 * limit, raising with memory+swap: the first order is tried, EINVAL asks for the second. */
static struct err *apply_memory_and_swap(struct v1_group g, const struct cg_resources *r)
{
	int64_t swap = r->number[CG_MEMORY_SWAP];
	bool has_swap = cg_has(r, CG_MEMORY_SWAP);
	char limit[24], memsw[24];

	snprintf(limit, sizeof(limit), "%lld", (long long)r->number[CG_MEMORY_LIMIT]);
	/* No limit of memory without a word about swap: none of both, as the sum could not be below otherwise. */
	if (!has_swap && cg_has(r, CG_MEMORY_LIMIT) && r->number[CG_MEMORY_LIMIT] < 0)
		swap = -1;
	snprintf(memsw, sizeof(memsw), "%lld", (long long)swap);
	if (!cg_has(r, CG_MEMORY_LIMIT)) {
		return has_swap ? write_property(g, "memory.memsw.limit_in_bytes", memsw,
						 "linux.resources.memory.swap")
				: NULL;
	}
	int rc = cg_write(g.dir, "memory.limit_in_bytes", limit);
	if (rc == EINVAL && (has_swap || swap < 0)) {
		TRY(write_property(g, "memory.memsw.limit_in_bytes", memsw, "linux.resources.memory.swap"));
		return write_property(g, "memory.limit_in_bytes", limit, "linux.resources.memory.limit");
	}
	if (rc == EINVAL) {
		char current[32];
		if (cg_read(g.dir, "memory.memsw.limit_in_bytes", current, sizeof(current)) == 0)
			return err_new(ERR_INVALID,
				       "linux.resources.memory.limit: %s is above the limit of memory and "
				       "swap together (%s); give memory.swap too",
				       limit, current);
	}
	if (rc == EBUSY) {
		char usage[32] = "?";
		(void)cg_read(g.dir, "memory.usage_in_bytes", usage, sizeof(usage));
		return err_new(ERR_LIMIT, "linux.resources.memory.limit: %s is below the memory in use (%s)",
			       limit, usage);
	}
	if (rc)
		return cg_write_error(rc, "linux.resources.memory.limit", g.controller, g.dir,
				      "memory.limit_in_bytes", limit);
	if (has_swap)
		return write_property(g, "memory.memsw.limit_in_bytes", memsw, "linux.resources.memory.swap");
	return NULL;
}

static struct err *check_before_update(struct v1_group g, const struct cg_resources *r)
{
	uint64_t usage;

	if (!r->check_before_update || !cg_has(r, CG_MEMORY_LIMIT) || r->number[CG_MEMORY_LIMIT] < 0)
		return NULL;
	if (cg_read_u64(g.dir, "memory.usage_in_bytes", &usage) == 0 &&
	    usage > (uint64_t)r->number[CG_MEMORY_LIMIT])
		return err_new(ERR_LIMIT,
			       "linux.resources.memory.limit: %lld is below the memory in use (%llu)",
			       (long long)r->number[CG_MEMORY_LIMIT], (unsigned long long)usage);
	return NULL;
}

static struct err *apply_memory(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	struct v1_group g = group_of(cg, CG_MEMORY);

	if (!g.dir)
		return NULL;
	TRY(check_before_update(g, r));
	TRY(apply_memory_and_swap(g, r));
	TRY(write_number(g, "memory.soft_limit_in_bytes", r, CG_MEMORY_RESERVATION));
	TRY(write_number(g, "memory.kmem.tcp.limit_in_bytes", r, CG_MEMORY_KERNEL_TCP));
	TRY(write_number(g, "memory.swappiness", r, CG_MEMORY_SWAPPINESS));
	if (r->disable_oom_killer)
		TRY(write_property(g, "memory.oom_control", "1", "linux.resources.memory.disableOOMKiller"));
	return NULL;
}

/* Quota and period are checked together by the kernel (against the parent's share): when the new period does not fit
 * the old quota, the quota goes first. */
static struct err *apply_cpu_bandwidth(struct v1_group g, const struct cg_resources *r)
{
	char quota[24], period[24];

	snprintf(quota, sizeof(quota), "%lld", (long long)r->number[CG_CPU_QUOTA]);
	snprintf(period, sizeof(period), "%lld", (long long)r->number[CG_CPU_PERIOD]);
	bool has_quota = cg_has(r, CG_CPU_QUOTA), has_burst = cg_has(r, CG_CPU_BURST), period_done = false;
	/* A burst above the quota is refused: an old burst goes before the quota shrinks. */
	if (has_burst && r->number[CG_CPU_BURST] == 0)
		TRY(write_number(g, "cpu.cfs_burst_us", r, CG_CPU_BURST));
	if (cg_has(r, CG_CPU_PERIOD)) {
		int rc = cg_write(g.dir, "cpu.cfs_period_us", period);
		if (rc && !(rc == EINVAL && has_quota))
			return cg_write_error(rc, cg_number_property(CG_CPU_PERIOD), g.controller, g.dir,
					      "cpu.cfs_period_us", period);
		period_done = rc == 0;
	}
	if (has_quota)
		TRY(write_property(g, "cpu.cfs_quota_us", quota, cg_number_property(CG_CPU_QUOTA)));
	if (cg_has(r, CG_CPU_PERIOD) && !period_done)
		TRY(write_property(g, "cpu.cfs_period_us", period, cg_number_property(CG_CPU_PERIOD)));
	if (has_burst && r->number[CG_CPU_BURST] > 0)
		TRY(write_number(g, "cpu.cfs_burst_us", r, CG_CPU_BURST));
	return NULL;
}

/* The runtime may not be longer than the period at any moment: a period that is shorter than the old runtime comes after the new one. */
static struct err *apply_cpu_realtime(struct v1_group g, const struct cg_resources *r)
{
	struct err *e = write_number(g, "cpu.rt_period_us", r, CG_CPU_RT_PERIOD);

	if (e && e->errnum == EINVAL && cg_has(r, CG_CPU_RT_RUNTIME)) {
		err_free(e);
		TRY(write_number(g, "cpu.rt_runtime_us", r, CG_CPU_RT_RUNTIME));
		return write_number(g, "cpu.rt_period_us", r, CG_CPU_RT_PERIOD);
	}
	TRY(e);
	return write_number(g, "cpu.rt_runtime_us", r, CG_CPU_RT_RUNTIME);
}

static struct err *apply_cpu(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	struct v1_group g = group_of(cg, CG_CPU);

	if (!g.dir)
		return NULL;
	TRY(write_number(g, "cpu.idle", r, CG_CPU_IDLE));
	/* An idle group has no shares: the kernel refuses to set them. */
	if (!cg_has(r, CG_CPU_IDLE) || r->number[CG_CPU_IDLE] == 0)
		TRY(write_number(g, "cpu.shares", r, CG_CPU_SHARES));
	TRY(apply_cpu_bandwidth(g, r));
	return apply_cpu_realtime(g, r);
}

static struct err *apply_pids(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	struct v1_group g = group_of(cg, CG_PIDS);
	char value[24] = "max";

	if (!g.dir || !cg_has(r, CG_PIDS_LIMIT))
		return NULL;
	if (r->number[CG_PIDS_LIMIT] > 0)
		snprintf(value, sizeof(value), "%lld", (long long)r->number[CG_PIDS_LIMIT]);
	return write_property(g, "pids.max", value, cg_number_property(CG_PIDS_LIMIT));
}

/* Weights belong to the I/O scheduler: CFQ's file up to Linux 4.20, BFQ's since. */
static struct err *write_weight(struct v1_group g, const char *cfq, const char *bfq, const char *value,
				const char *property)
{
	int rc = cg_write(g.dir, cfq, value);

	if (rc != ENOENT)
		return rc ? cg_write_error(rc, property, g.controller, g.dir, cfq, value) : NULL;
	return write_property(g, bfq, value, property);
}

static const struct {
	const char *cfq, *bfq;
} io_files[CG_IO_KINDS] = {
	[CG_IO_READ_BPS] = {"blkio.throttle.read_bps_device", NULL},
	[CG_IO_WRITE_BPS] = {"blkio.throttle.write_bps_device", NULL},
	[CG_IO_READ_IOPS] = {"blkio.throttle.read_iops_device", NULL},
	[CG_IO_WRITE_IOPS] = {"blkio.throttle.write_iops_device", NULL},
	[CG_IO_DEVICE_WEIGHT] = {"blkio.weight_device", "blkio.bfq.weight_device"},
	[CG_IO_DEVICE_LEAF_WEIGHT] = {"blkio.leaf_weight_device", NULL},
};

static struct err *apply_io(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	struct v1_group g = group_of(cg, CG_BLKIO);
	char value[64], property[80];

	if (!g.dir)
		return NULL;
	if (cg_has(r, CG_IO_WEIGHT)) {
		snprintf(value, sizeof(value), "%lld", (long long)r->number[CG_IO_WEIGHT]);
		TRY(write_weight(g, "blkio.weight", "blkio.bfq.weight", value,
				 cg_number_property(CG_IO_WEIGHT)));
	}
	TRY(write_number(g, "blkio.leaf_weight", r, CG_IO_LEAF_WEIGHT));
	for (size_t i = 0; i < r->n_io; i++) {
		const struct cg_io_device *d = &r->io[i];

		snprintf(value, sizeof(value), "%u:%u %llu", d->major, d->minor,
			 (unsigned long long)d->value);
		snprintf(property, sizeof(property), "linux.resources.blockIO.%s[%d]",
			 cg_io_property[d->kind], d->index);
		if (io_files[d->kind].bfq)
			TRY(write_weight(g, io_files[d->kind].cfq, io_files[d->kind].bfq, value, property));
		else
			TRY(write_property(g, io_files[d->kind].cfq, value, property));
	}
	return NULL;
}

/* The controller keeps a copy of the parent's permissions until "a" is denied; rules then add exceptions. Through one fd, a
 * write each. */
static int write_device_rule(int fd, char type, const struct cg_device_rule *d)
{
	char value[80], major[24] = "*", minor[24] = "*";

	if (d->major >= 0)
		snprintf(major, sizeof(major), "%lld", (long long)d->major);
	if (d->minor >= 0)
		snprintf(minor, sizeof(minor), "%lld", (long long)d->minor);
	snprintf(value, sizeof(value), "%c %s:%s %s%s%s", type, major, minor,
		 d->access & CG_DEV_READ ? "r" : "", d->access & CG_DEV_WRITE ? "w" : "",
		 d->access & CG_DEV_MKNOD ? "m" : "");
	return write(fd, value, strlen(value)) < 0 ? errno : 0;
}

static int write_device_types(int fd, const struct cg_device_rule *d)
{
	/* For the kernel "a" is everything, numbers and access or not: with any of them it is "b" and "c". */
	bool all = d->type == 'a' && d->major < 0 && d->minor < 0 && d->access == CG_DEV_ALL;

	if (all)
		return write(fd, "a", 1) < 0 ? errno : 0;
	if (d->type != 'a')
		return write_device_rule(fd, d->type, d);
	int rc = write_device_rule(fd, 'b', d);
	return rc ? rc : write_device_rule(fd, 'c', d);
}

static struct err *write_rules(struct v1_group g, const struct cg_device_rule *rules, size_t n, int allow,
			       int deny)
{
	if (allow < 0 || deny < 0)
		return err_errno(errno,
				 "linux.resources.devices: cannot open devices.allow and devices.deny of %s",
				 g.dir);
	for (size_t i = 0; i < n; i++) {
		int rc = write_device_types(rules[i].allow ? allow : deny, &rules[i]);
		/* In a group that is restricted itself, a default that is not possible is not needed either. */
		if (rc == EPERM && rules[i].index < 0)
			continue;
		if (rc == EPERM && rules[i].allow)
			return err_new(ERR_PERMISSION,
				       "linux.resources.devices[%d]: the parent group of %s does not allow "
				       "this device itself",
				       rules[i].index, g.dir);
		if (rc)
			return err_errno(rc, "linux.resources.devices[%d]: cannot write the rule to %s",
					 rules[i].index, g.dir);
	}
	return NULL;
}

static struct err *write_devices(struct v1_group g, const struct cg_device_rule *rules, size_t n)
{
	int allow = cg_open(g.dir, "devices.allow", O_WRONLY);
	int deny = allow < 0 ? -1 : cg_open(g.dir, "devices.deny", O_WRONLY);
	struct err *e = write_rules(g, rules, n, allow, deny);

	fd_close_all((int *[]){&allow, &deny}, 2);
	return e;
}

static struct err *apply_devices(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	static const struct cg_device_rule deny_all = {
		.type = 'a', .major = -1, .minor = -1, .access = CG_DEV_ALL, .index = -1};
	struct v1_group g = group_of(cg, CG_DEVICES);
	size_t n_defaults;
	const struct cg_device_rule *defaults = cg_devices_default(&n_defaults);

	if (!g.dir)
		return NULL;
	if (r->update)
		return r->n_devices ? write_devices(g, r->devices, r->n_devices) : NULL;
	/* Rules before the last one that sets everything are moot; a group that allows everything needs nothing more. */
	size_t first = 0;
	for (size_t i = 0; i < r->n_devices; i++) {
		const struct cg_device_rule *d = &r->devices[i];
		if (d->type == 'a' && d->major < 0 && d->minor < 0 && d->access == CG_DEV_ALL)
			first = i;
	}
	_cleanup_free_ struct cg_device_rule *rules =
		xnew_array(struct cg_device_rule, r->n_devices + n_defaults + 1);
	size_t n = 0;
	bool all_first = r->n_devices > 0 && r->devices[first].type == 'a' && r->devices[first].major < 0 &&
			 r->devices[first].minor < 0 && r->devices[first].access == CG_DEV_ALL;
	if (!all_first)
		rules[n++] = deny_all;
	for (size_t i = first; i < r->n_devices; i++)
		rules[n++] = r->devices[i];
	for (size_t i = 0; i < n_defaults; i++)
		if (!(all_first && r->devices[first].allow))
			rules[n++] = defaults[i];
	struct err *e = write_devices(g, rules, n);
	/* As with the filter of v2: who runs in a user namespace makes no nodes of devices anyway. */
	if (e && e->kind == ERR_PERMISSION && cg_may_go_without(r->rootless)) {
		err_free(e);
		return NULL;
	}
	return e;
}

static struct err *apply_hugepages(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	struct v1_group g = group_of(cg, CG_HUGETLB);

	for (size_t i = 0; g.dir && i < r->n_hugepages; i++) {
		const struct cg_hugepage *h = &r->hugepages[i];
		char file[64], value[24], property[64];

		snprintf(property, sizeof(property), "linux.resources.hugepageLimits[%d]", h->index);
		snprintf(value, sizeof(value), "%llu", (unsigned long long)h->limit);
		snprintf(file, sizeof(file), "hugetlb.%s.limit_in_bytes", h->size);
		TRY(write_property(g, file, value, property));
		/* Reservations are limited as well since 5.7; a page size without the file has no reservations. */
		snprintf(file, sizeof(file), "hugetlb.%s.rsvd.limit_in_bytes", h->size);
		int rc = cg_write(g.dir, file, value);
		if (rc && rc != ENOENT)
			return cg_write_error(rc, property, g.controller, g.dir, file, value);
	}
	return NULL;
}

static struct err *apply_network(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	struct v1_group cls = group_of(cg, CG_NET_CLS), prio = group_of(cg, CG_NET_PRIO);

	if (cls.dir)
		TRY(write_number(cls, "net_cls.classid", r, CG_NET_CLASS_ID));
	for (size_t i = 0; prio.dir && i < r->n_priorities; i++) {
		char value[48], property[64];

		snprintf(value, sizeof(value), "%s %u", r->priorities[i].name, r->priorities[i].priority);
		snprintf(property, sizeof(property), "linux.resources.network.priorities[%zu]", i);
		TRY(write_property(prio, "net_prio.ifpriomap", value, property));
	}
	return NULL;
}

struct err *cg_v1_apply(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	TRY(apply_cpuset(cg, r));
	TRY(apply_cpu(cg, r));
	TRY(apply_memory(cg, r));
	TRY(apply_pids(cg, r));
	TRY(apply_devices(cg, r));
	TRY(apply_io(cg, r));
	TRY(apply_hugepages(cg, r));
	struct v1_group rdma = group_of(cg, CG_RDMA);
	if (rdma.dir)
		TRY(cg_apply_rdma(rdma.dir, r));
	return apply_network(cg, r);
}
