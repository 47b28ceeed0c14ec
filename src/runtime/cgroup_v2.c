/* SPDX-License-Identifier: Apache-2.0 */
/* Writing limits into a v2 group, and enabling controllers on the way to it. In hybrid mode the few controllers that v2 has
 * (hugetlb, say) are served here, the others by cgroup_v1.c. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "cgroup_private.h"

/* Which controllers the limits need. */
static unsigned controllers_needed(const struct cg_resources *r, const char *ret_property[CG_CONTROLLERS])
{
	unsigned need = 0;

#define NEED(c, property)                             \
	do {                                          \
		need |= 1u << (c);                    \
		if (!ret_property[c])                 \
			ret_property[c] = (property); \
	} while (0)
	static const struct {
		enum cg_number n;
		enum cg_controller c;
	} by_number[] = {
		{CG_MEMORY_LIMIT, CG_MEMORY},
		{CG_MEMORY_RESERVATION, CG_MEMORY},
		{CG_MEMORY_SWAP, CG_MEMORY},
		{CG_MEMORY_KERNEL_TCP, CG_MEMORY},
		{CG_MEMORY_SWAPPINESS, CG_MEMORY},
		{CG_CPU_SHARES, CG_CPU},
		{CG_CPU_QUOTA, CG_CPU},
		{CG_CPU_PERIOD, CG_CPU},
		{CG_CPU_BURST, CG_CPU},
		{CG_CPU_IDLE, CG_CPU},
		{CG_CPU_RT_RUNTIME, CG_CPU},
		{CG_CPU_RT_PERIOD, CG_CPU},
		{CG_PIDS_LIMIT, CG_PIDS},
		{CG_IO_WEIGHT, CG_BLKIO},
		{CG_IO_LEAF_WEIGHT, CG_BLKIO},
		{CG_NET_CLASS_ID, CG_NET_CLS},
	};
	for (size_t i = 0; i < ARRAY_SIZE(by_number); i++)
		if (cg_has(r, by_number[i].n))
			NEED(by_number[i].c, cg_number_property(by_number[i].n));
	if (r->disable_oom_killer)
		NEED(CG_MEMORY, "linux.resources.memory.disableOOMKiller");
	if (r->cpus)
		NEED(CG_CPUSET, "linux.resources.cpu.cpus");
	if (r->mems)
		NEED(CG_CPUSET, "linux.resources.cpu.mems");
	if (r->n_io)
		NEED(CG_BLKIO, "linux.resources.blockIO");
	if (r->n_hugepages)
		NEED(CG_HUGETLB, "linux.resources.hugepageLimits");
	if (r->n_priorities)
		NEED(CG_NET_PRIO, "linux.resources.network.priorities");
	if (r->n_rdma)
		NEED(CG_RDMA, "linux.resources.rdma");
	for (size_t i = 0; i < r->n_unified; i++) {
		_cleanup_free_ char *prefix = xstrndup(r->unified[i].file, strcspn(r->unified[i].file, "."));
		unsigned bits = cg_controllers_parse(prefix);
		for (unsigned c = 0; c < CG_CONTROLLERS; c++)
			if (bits >> c & 1)
				NEED((enum cg_controller)c, "linux.resources.unified");
	}
#undef NEED
	return need;
}

static unsigned read_controllers(const char *dir, const char *file)
{
	char text[256];

	return cg_read(dir, file, text, sizeof(text)) == 0 ? cg_controllers_parse(text) : 0;
}

/* Enables in one ancestor what is available and missing there; all in one write, singly when the kernel refuses some. Not when it
 * refuses all because there are processes (EBUSY): those of them that it would take singly make the group a threaded domain, in
 * which no container can be. */
int cg_v2_enable_in(const char *dir, unsigned wanted)
{
	unsigned missing = wanted & read_controllers(dir, "cgroup.controllers") &
			   ~read_controllers(dir, "cgroup.subtree_control");
	char text[256] = "";
	size_t len = 0;
	int failed = 0;

	if (!missing)
		return 0;
	for (unsigned c = 0; c < CG_CONTROLLERS; c++)
		if (missing >> c & 1)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s+%s", len ? " " : "",
						cg_controller_name((enum cg_controller)c, true));
	int refused = cg_write(dir, "cgroup.subtree_control", text);
	if (refused == 0 || refused == EBUSY)
		return refused;
	for (unsigned c = 0; c < CG_CONTROLLERS; c++) {
		if (!(missing >> c & 1))
			continue;
		snprintf(text, sizeof(text), "+%s", cg_controller_name((enum cg_controller)c, true));
		int rc = cg_write(dir, "cgroup.subtree_control", text);
		if (rc)
			failed = rc;
	}
	return failed;
}

struct err *cg_v2_enable(struct rt_cgroup *cg, unsigned wanted)
{
	int i = cg_find_v2(cg);
	struct cg_group *g = &cg->g[i];
	_cleanup_free_ char *dir = xstrdup(g->dir);
	size_t mount = strlen(cg->h[i].mountpoint);

	g->controllers = read_controllers(g->dir, "cgroup.controllers");
	g->controllers_read = true;
	/* In pure v2 everything that there is gets enabled, as later updates and statistics want it; but systemd's slices are its own
	 * (a delegated scope has the usual controllers). */
	unsigned enable = cg->mode == RT_CGROUP_V2 && !cg->unit ? ~0u : wanted;
	unsigned available = read_controllers(cg->h[i].mountpoint, "cgroup.controllers") & enable;
	if ((available & ~g->controllers) == 0)
		return NULL;
	for (size_t end = mount;;) {
		char saved = dir[end];
		dir[end] = '\0';
		int rc = cg_v2_enable_in(dir, enable);
		unsigned lacking = wanted & available & ~read_controllers(dir, "cgroup.subtree_control");
		if (lacking) {
			unsigned c = (unsigned)__builtin_ctz(lacking);
			const char *name = cg_controller_name((enum cg_controller)c, true);
			if (rc == EBUSY)
				return err_new(ERR_STATE,
					       "cannot enable the %s controller below cgroup %s: it has "
					       "processes of its own, and v2 allows either these or "
					       "sub-groups with controllers; move them to a sub-group",
					       name, dir);
			return cg_v2_explain(&cg->h[i],
					     err_errno(rc ? rc : EOPNOTSUPP,
						       "cannot enable the %s controller below cgroup %s",
						       name, dir));
		}
		dir[end] = saved;
		char *next = saved ? strchr(dir + end + 1, '/') : NULL;
		if (!next)
			break;
		end = (size_t)(next - dir);
	}
	g->controllers = read_controllers(g->dir, "cgroup.controllers");
	return NULL;
}

/* Every limit whose controller neither v1 nor v2 offers is an error, before anything is written. */
struct err *cg_check_available(struct rt_cgroup *cg, const struct cg_resources *r, unsigned *ret_v2)
{
	const char *property[CG_CONTROLLERS] = {0};
	unsigned need = controllers_needed(r, property);
	int v2 = cg_find_v2(cg);

	for (unsigned c = 0; c < CG_CONTROLLERS; c++)
		if (cg_find_v1(cg, (enum cg_controller)c) >= 0)
			need &= ~(1u << c);
	if (v2 >= 0 && (need || (cg->mode == RT_CGROUP_V2 && !r->update)))
		TRY(cg_v2_enable(cg, need));
	unsigned missing = need & ~(v2 >= 0 ? cg->g[v2].controllers : 0);
	if (missing && cg->denied) {
		unsigned c = (unsigned)__builtin_ctz(missing);
		return err_new(ERR_PERMISSION,
			       "%s: this user has no control group with the %s controller: %s", property[c],
			       cg_controller_name((enum cg_controller)c, cg->mode == RT_CGROUP_V2),
			       cg->denied);
	}
	if (missing) {
		unsigned c = (unsigned)__builtin_ctz(missing);
		return err_new(ERR_UNSUPPORTED, "%s: the %s controller is not available on this machine%s",
			       property[c],
			       cg_controller_name((enum cg_controller)c, cg->mode == RT_CGROUP_V2),
			       cg->mode == RT_CGROUP_NONE ? " (no control groups are mounted)" : "");
	}
	if (v2 < 0 && r->n_unified)
		return err_new(ERR_UNSUPPORTED,
			       "linux.resources.unified.%s: needs cgroup v2, this machine has %s",
			       r->unified[0].file, cg->n ? "v1" : "no control groups mounted");
	*ret_v2 = need;
	return NULL;
}

static struct err *write_property(const char *dir, enum cg_controller c, const char *file, const char *value,
				  const char *property)
{
	int rc = cg_write(dir, file, value);

	return rc ? cg_write_error(rc, property, c, dir, file, value) : NULL;
}

static void format_limit(int64_t v, char *buf, size_t size)
{
	if (v < 0)
		snprintf(buf, size, "max");
	else
		snprintf(buf, size, "%lld", (long long)v);
}

/* v1 and the specification count memory and swap together, v2 swap alone. */
static struct err *apply_swap(const char *dir, const struct cg_resources *r)
{
	const char *property = cg_number_property(CG_MEMORY_SWAP);
	int64_t swap = r->number[CG_MEMORY_SWAP], limit = r->number[CG_MEMORY_LIMIT];
	char value[24];

	if (!cg_has(r, CG_MEMORY_SWAP)) {
		/* Unlimited memory without a word about swap means unlimited swap too. */
		if (cg_has(r, CG_MEMORY_LIMIT) && limit < 0)
			swap = -1;
		else
			return NULL;
	} else if (swap > 0) {
		if (!cg_has(r, CG_MEMORY_LIMIT)) {
			uint64_t current = UINT64_MAX;
			if (r->update)
				(void)cg_read_u64(dir, "memory.max", &current);
			if (current == UINT64_MAX)
				return err_new(ERR_INVALID,
					       "%s: cannot be limited while memory.limit is unlimited",
					       property);
			limit = (int64_t)current;
		}
		if (swap < limit)
			return err_new(ERR_INVALID,
				       "%s: is memory and swap together, so it must be at least memory.limit "
				       "(%lld), is %lld",
				       property, (long long)limit, (long long)swap);
		swap -= limit;
	}
	format_limit(swap, value, sizeof(value));
	int rc = cg_write(dir, "memory.swap.max", value);
	/* A kernel without swap accounting cannot swap more than it is allowed only when that is nothing or everything. */
	if (rc == ENOENT && (swap < 0 || !cg_has(r, CG_MEMORY_SWAP)))
		return NULL;
	return rc ? cg_write_error(rc, property, CG_MEMORY, dir, "memory.swap.max", value) : NULL;
}

static struct err *apply_memory(const char *dir, const struct cg_resources *r)
{
	char value[24];

	if (cg_has(r, CG_MEMORY_SWAPPINESS))
		return err_new(ERR_UNSUPPORTED, "%s: cgroup v2 has no swappiness per group",
			       cg_number_property(CG_MEMORY_SWAPPINESS));
	if (r->disable_oom_killer)
		return err_new(ERR_UNSUPPORTED, "linux.resources.memory.disableOOMKiller: cgroup v2 cannot "
						"disable the OOM killer of a group");
	if (cg_has(r, CG_MEMORY_LIMIT) && r->check_before_update && r->number[CG_MEMORY_LIMIT] >= 0) {
		uint64_t usage;
		if (cg_read_u64(dir, "memory.current", &usage) == 0 &&
		    usage > (uint64_t)r->number[CG_MEMORY_LIMIT])
			return err_new(ERR_LIMIT, "%s: %lld is below the memory in use (%llu)",
				       cg_number_property(CG_MEMORY_LIMIT),
				       (long long)r->number[CG_MEMORY_LIMIT], (unsigned long long)usage);
	}
	TRY(apply_swap(dir, r));
	if (cg_has(r, CG_MEMORY_LIMIT)) {
		format_limit(r->number[CG_MEMORY_LIMIT], value, sizeof(value));
		TRY(write_property(dir, CG_MEMORY, "memory.max", value, cg_number_property(CG_MEMORY_LIMIT)));
	}
	if (cg_has(r, CG_MEMORY_RESERVATION)) {
		format_limit(r->number[CG_MEMORY_RESERVATION], value, sizeof(value));
		TRY(write_property(dir, CG_MEMORY, "memory.low", value,
				   cg_number_property(CG_MEMORY_RESERVATION)));
	}
	return NULL;
}

/* log2 and 2^x to about 1e-12, enough to round as libm does (the test compares every value): libm would be one more
 * library to load at every start. */
static double log_two(double x)
{
	double result = 0, bit = 0.5;

	while (x >= 2) {
		x /= 2;
		result += 1;
	}
	for (int i = 0; i < 46; i++) {
		x *= x;
		if (x >= 2) {
			x /= 2;
			result += bit;
		}
		bit /= 2;
	}
	return result;
}

static double ten_to_the(double x)
{
	double term = 1, sum = 1, t = x * 2.302585092994045684 / 16;

	for (int i = 1; i < 24; i++) {
		term *= t / i;
		sum += term;
	}
	for (int i = 0; i < 4; i++)
		sum *= sum;
	return sum;
}

/* shares 2 … 262144, default 1024, to weight 1 … 10000, default 100: the curve through these three points that runc and
 * crun agreed on. */
uint64_t cg_v2_weight(uint64_t shares)
{
	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	double l = log_two((double)shares);
	double weight = ten_to_the((l * l + 125 * l) / 612 - 7.0 / 34);
	uint64_t whole = (uint64_t)weight;
	return weight - (double)whole > 1e-7 ? whole + 1 : whole;
}

static struct err *apply_cpu_max(const char *dir, const struct cg_resources *r)
{
	char value[64], old[64] = "max 100000";
	bool quota = cg_has(r, CG_CPU_QUOTA), period = cg_has(r, CG_CPU_PERIOD),
	     burst = cg_has(r, CG_CPU_BURST);
	char burst_text[24];

	snprintf(burst_text, sizeof(burst_text), "%lld", (long long)r->number[CG_CPU_BURST]);
	/* A burst above the quota is refused: a smaller burst goes before the quota, a larger one after it. */
	int rc = burst ? cg_write(dir, "cpu.max.burst", burst_text) : 0;
	bool burst_later = rc == EINVAL && quota;
	if (rc && !burst_later)
		return cg_write_error(rc, cg_number_property(CG_CPU_BURST), CG_CPU, dir, "cpu.max.burst",
				      burst_text);
	if (quota || period) {
		char quota_text[32] = "max", period_text[32] = "100000";

		if (r->update && (!quota || !period) && cg_read(dir, "cpu.max", old, sizeof(old)) == 0)
			(void)sscanf(old, "%31s %31s", quota_text, period_text);
		if (quota)
			format_limit(r->number[CG_CPU_QUOTA], quota_text, sizeof(quota_text));
		if (period)
			snprintf(period_text, sizeof(period_text), "%lld",
				 (long long)r->number[CG_CPU_PERIOD]);
		snprintf(value, sizeof(value), "%s %s", quota_text, period_text);
		TRY(write_property(dir, CG_CPU, "cpu.max", value,
				   cg_number_property(quota ? CG_CPU_QUOTA : CG_CPU_PERIOD)));
	}
	if (burst_later)
		TRY(write_property(dir, CG_CPU, "cpu.max.burst", burst_text,
				   cg_number_property(CG_CPU_BURST)));
	return NULL;
}

static struct err *apply_cpu(const char *dir, const struct cg_resources *r)
{
	char value[24];

	for (unsigned n = CG_CPU_RT_RUNTIME; n <= CG_CPU_RT_PERIOD; n++)
		if (cg_has(r, (enum cg_number)n))
			return err_new(ERR_UNSUPPORTED, "%s: cgroup v2 has no limits for realtime scheduling",
				       cg_number_property((enum cg_number)n));
	bool idle = cg_has(r, CG_CPU_IDLE) && r->number[CG_CPU_IDLE] == 1;
	if (cg_has(r, CG_CPU_IDLE))
		TRY(write_property(dir, CG_CPU, "cpu.idle", idle ? "1" : "0",
				   cg_number_property(CG_CPU_IDLE)));
	if (cg_has(r, CG_CPU_SHARES) && !idle) {
		snprintf(value, sizeof(value), "%llu",
			 (unsigned long long)cg_v2_weight((uint64_t)r->number[CG_CPU_SHARES]));
		TRY(write_property(dir, CG_CPU, "cpu.weight", value, cg_number_property(CG_CPU_SHARES)));
	}
	return apply_cpu_max(dir, r);
}

/* BFQ's file takes the specification's range; io.weight is 1 to 10000 with the same default of 100. */
static struct err *write_io_weight(const char *dir, const char *device, uint64_t weight, const char *property)
{
	char value[64];

	snprintf(value, sizeof(value), "%s%s%llu", device, *device ? " " : "", (unsigned long long)weight);
	int rc = cg_write(dir, "io.bfq.weight", value);
	if (rc != ENOENT)
		return rc ? cg_write_error(rc, property, CG_BLKIO, dir, "io.bfq.weight", value) : NULL;
	uint64_t converted = 1 + (MAX(weight, (uint64_t)10) - 10) * 9999 / 990;
	snprintf(value, sizeof(value), "%s %llu", *device ? device : "default",
		 (unsigned long long)converted);
	return write_property(dir, CG_BLKIO, "io.weight", value, property);
}

static struct err *apply_io(const char *dir, const struct cg_resources *r)
{
	static const char *const keys[] = {"rbps", "wbps", "riops", "wiops"};
	char value[64], property[80], device[32];

	if (cg_has(r, CG_IO_LEAF_WEIGHT))
		return err_new(ERR_UNSUPPORTED, "%s: cgroup v2 has no leaf weight",
			       cg_number_property(CG_IO_LEAF_WEIGHT));
	if (cg_has(r, CG_IO_WEIGHT))
		TRY(write_io_weight(dir, "", (uint64_t)r->number[CG_IO_WEIGHT],
				    cg_number_property(CG_IO_WEIGHT)));
	for (size_t i = 0; i < r->n_io; i++) {
		const struct cg_io_device *d = &r->io[i];

		snprintf(property, sizeof(property), "linux.resources.blockIO.%s[%d]",
			 cg_io_property[d->kind], d->index);
		snprintf(device, sizeof(device), "%u:%u", d->major, d->minor);
		if (d->kind == CG_IO_DEVICE_LEAF_WEIGHT)
			return err_new(ERR_UNSUPPORTED, "%s: cgroup v2 has no leaf weight", property);
		if (d->kind == CG_IO_DEVICE_WEIGHT) {
			TRY(write_io_weight(dir, device, d->value, property));
			continue;
		}
		/* Zero is how v1 removes a throttle. */
		if (d->value == 0)
			snprintf(value, sizeof(value), "%s %s=max", device, keys[d->kind]);
		else
			snprintf(value, sizeof(value), "%s %s=%llu", device, keys[d->kind],
				 (unsigned long long)d->value);
		TRY(write_property(dir, CG_BLKIO, "io.max", value, property));
	}
	return NULL;
}

static struct err *apply_hugepages(const char *dir, const struct cg_resources *r)
{
	for (size_t i = 0; i < r->n_hugepages; i++) {
		const struct cg_hugepage *h = &r->hugepages[i];
		char file[64], value[24], property[64];

		snprintf(property, sizeof(property), "linux.resources.hugepageLimits[%d]", h->index);
		snprintf(value, sizeof(value), "%llu", (unsigned long long)h->limit);
		snprintf(file, sizeof(file), "hugetlb.%s.max", h->size);
		TRY(write_property(dir, CG_HUGETLB, file, value, property));
		snprintf(file, sizeof(file), "hugetlb.%s.rsvd.max", h->size);
		int rc = cg_write(dir, file, value);
		if (rc && rc != ENOENT)
			return cg_write_error(rc, property, CG_HUGETLB, dir, file, value);
	}
	return NULL;
}

struct err *cg_apply_rdma(const char *dir, const struct cg_resources *r)
{
	for (size_t i = 0; i < r->n_rdma; i++) {
		const struct cg_rdma *d = &r->rdma[i];
		char handles[40] = "", objects[40] = "", value[160], property[120];

		if (d->handles >= 0)
			snprintf(handles, sizeof(handles), " hca_handle=%lld", (long long)d->handles);
		if (d->objects >= 0)
			snprintf(objects, sizeof(objects), " hca_object=%lld", (long long)d->objects);
		snprintf(value, sizeof(value), "%s%s%s", d->device, handles, objects);
		snprintf(property, sizeof(property), "linux.resources.rdma.%s", d->device);
		TRY(write_property(dir, CG_RDMA, "rdma.max", value, property));
	}
	return NULL;
}

/* Whether the kernel has the controller that a file is named after, known to us or not. */
static bool is_available(const struct rt_cgroup *cg, const char *file)
{
	char text[1024];
	int v2 = cg_find_v2(cg);
	_cleanup_free_ char *name = xstrndup(file, strcspn(file, "."));
	if (str_eq(name, "cgroup") || v2 < 0 ||
	    cg_read(cg->h[v2].mountpoint, "cgroup.controllers", text, sizeof(text)) != 0)
		return true;
	_cleanup_strv_ char **names = strv_split(text, " ");
	STRV_FOREACH (n, names)
		if (str_eq(*n, name))
			return true;
	return false;
}

/* A value of several lines is a write for each: such files take one entry at a time. */
static struct err *apply_unified(const struct rt_cgroup *cg, const char *dir, const struct cg_resources *r)
{
	for (size_t i = 0; i < r->n_unified; i++) {
		_cleanup_free_ char *property = xasprintf("linux.resources.unified.%s", r->unified[i].file);
		_cleanup_strv_ char **lines = strv_split(r->unified[i].value, "\n");

		STRV_FOREACH (line, lines) {
			int rc = cg_write(dir, r->unified[i].file, *line);
			if (rc == ENOENT && cg->mode != RT_CGROUP_V2)
				return err_new(
					ERR_INVALID,
					"%s: invalid configuration: its controller is not one of cgroup v2 "
					"on this machine (%s has no such file)",
					property, dir);
			if (rc == ENOENT && !is_available(cg, r->unified[i].file))
				return err_new(ERR_UNSUPPORTED,
					       "%s: the requested cgroup controller `%.*s` is not available",
					       property, (int)strcspn(r->unified[i].file, "."),
					       r->unified[i].file);
			if (rc)
				return err_errno(rc, "%s: cannot write %s to %s/%s", property, *line, dir,
						 r->unified[i].file);
		}
	}
	return NULL;
}

static struct err *apply_rest(const struct rt_cgroup *cg, int i, unsigned need, const struct cg_resources *r)
{
	const char *dir = cg->g[i].dir;
	char value[24];

	if (need >> CG_CPUSET & 1) {
		if (r->cpus)
			TRY(write_property(dir, CG_CPUSET, "cpuset.cpus", r->cpus,
					   "linux.resources.cpu.cpus"));
		if (r->mems)
			TRY(write_property(dir, CG_CPUSET, "cpuset.mems", r->mems,
					   "linux.resources.cpu.mems"));
	}
	if ((need >> CG_PIDS & 1) && cg_has(r, CG_PIDS_LIMIT)) {
		format_limit(r->number[CG_PIDS_LIMIT], value, sizeof(value));
		TRY(write_property(dir, CG_PIDS, "pids.max", value, cg_number_property(CG_PIDS_LIMIT)));
	}
	if (need >> CG_BLKIO & 1)
		TRY(apply_io(dir, r));
	if (need >> CG_HUGETLB & 1)
		TRY(apply_hugepages(dir, r));
	return NULL;
}

static struct err *apply_devices(const struct rt_cgroup *cg, const struct cg_resources *r)
{
	size_t n_defaults, n = r->n_devices;

	if (cg_find_v1(cg, CG_DEVICES) >= 0 || (r->update && n == 0))
		return NULL;
	const struct cg_device_rule *defaults = cg_devices_default(&n_defaults);
	_cleanup_free_ struct cg_device_rule *rules = xnew_array(struct cg_device_rule, n + n_defaults);
	if (n)
		memcpy(rules, r->devices, n * sizeof(*rules));
	memcpy(rules + n, defaults, n_defaults * sizeof(*rules));
	struct err *e = cg_devices_bpf_apply(cg->v2_fd, rules, n + n_defaults);
	/* Nodes of devices cannot be made in a user namespace, so there is nothing to protect that is not bound on purpose. */
	if (e && e->kind == ERR_PERMISSION &&
	    (r->rootless == RT_ROOTLESS_TRUE || cg_may_go_without(RT_ROOTLESS_AUTO))) {
		err_free(e);
		return NULL;
	}
	return e;
}

static struct err *apply_all(const struct rt_cgroup *cg, int i, const struct cg_resources *r, unsigned need)
{
	const char *dir = cg->g[i].dir;

	if (need >> CG_MEMORY & 1)
		TRY(apply_memory(dir, r));
	if (need >> CG_CPU & 1)
		TRY(apply_cpu(dir, r));
	TRY(apply_rest(cg, i, need, r));
	if (need >> CG_RDMA & 1)
		TRY(cg_apply_rdma(dir, r));
	TRY(apply_unified(cg, dir, r));
	return apply_devices(cg, r);
}

/* When somebody else enables controllers in our parent in this moment, the kernel lists them before their files can be seen. A write that
 * changes nothing waits for its end. */
struct err *cg_v2_apply(const struct rt_cgroup *cg, const struct cg_resources *r, unsigned need)
{
	int i = cg_find_v2(cg);

	if (i < 0)
		return NULL;
	struct err *e = apply_all(cg, i, r, need);
	if (!e || r->update || (e->kind != ERR_UNSUPPORTED && e->errnum != ENOENT))
		return e;
	const char *dir = cg->g[i].dir;
	_cleanup_free_ char *parent = xstrndup(dir, (size_t)(strrchr(dir, '/') - dir));
	if (cg_write(parent, "cgroup.subtree_control", need >> CG_MEMORY & 1 ? "+memory" : "+pids") != 0)
		return e;
	err_free(e);
	return apply_all(cg, i, r, need);
}

static bool event_is(int fd, const char *key, bool value)
{
	char text[512], want[64];

	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return !value && errno == ENODEV; /* the group is gone */
	text[n] = '\0';
	snprintf(want, sizeof(want), "%s %d", key, value);
	return strstr(text, want) != NULL;
}

struct err *cg_v2_wait_event(const char *dir, const char *key, bool value, int timeout_ms)
{
	_cleanup_fd_ int fd = cg_open(dir, "cgroup.events", O_RDONLY);
	int64_t deadline = timestamp_monotonic_ns() + (int64_t)timeout_ms * 1000000;

	if (fd < 0)
		return err_errno(errno, "cannot open cgroup.events of %s", dir);
	while (!event_is(fd, key, value)) {
		struct pollfd p = {.fd = fd, .events = POLLPRI};
		int64_t left = deadline - timestamp_monotonic_ns();

		if (left <= 0)
			return err_new(ERR_TIMEOUT, "cgroup %s did not become %s%s within %d ms", dir,
				       value ? "" : "not ", key, timeout_ms);
		if (poll(&p, 1, (int)(left / 1000000) + 1) < 0 && errno != EINTR)
			return err_errno(errno, "waiting for cgroup %s", dir);
	}
	return NULL;
}
