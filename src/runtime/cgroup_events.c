/* SPDX-License-Identifier: Apache-2.0 */
/* What `events` prints of a group, in runc's form, and when the group runs out of memory. Files that are missing leave their values out. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "cgroup_private.h"

#define FILE_MAX 65536

static void set_number(struct json *o, const char *key, const char *dir, const char *file)
{
	uint64_t v;
	if (dir && cg_read_u64(dir, file, &v) == 0)
		json_set_u64(o, key, v);
}

/* "1 2 3", or "0-1,3" as ranges. Caller owns it; NULL when there is no such file. */
static struct json *number_list(const char *dir, const char *file)
{
	char text[4096];
	if (!dir || cg_read(dir, file, text, sizeof(text)) != 0)
		return NULL;
	struct json *array = json_new_array();
	for (char *at = text; *at;) {
		char *end;
		unsigned long long first = strtoull(at, &end, 10), last = first;
		if (end == at)
			break;
		if (*end == '-')
			last = strtoull(end + 1, &end, 10);
		/* Lists of processors and nodes are short; anything else has no ranges. */
		for (unsigned long long v = first; v <= last && v - first < 65536; v++)
			json_append(array, json_new_u64(v));
		at = end + strspn(end, " ,\n");
	}
	return array;
}

static void set_list(struct json *o, const char *key, const char *dir, const char *file)
{
	struct json *list = number_list(dir, file);
	if (list)
		json_set(o, key, list);
}

/* Every "key value" line of a file into `o`. */
static void set_flat(struct json *o, const char *dir, const char *file, char *text)
{
	if (!dir || cg_read(dir, file, text, FILE_MAX) != 0)
		return;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		char *blank = strchr(line, ' ');
		if (!blank)
			continue;
		*blank = '\0';
		json_set_u64(o, line, strtoull(blank + 1, NULL, 10));
	}
}

static uint64_t flat(const struct json *o, const char *key)
{
	struct json_cursor c = json_root((struct json *)(uintptr_t)o);
	uint64_t v = 0;
	err_free(json_get_u64(&c, key, JSON_OPTIONAL, UINT64_MAX, &v));
	return v;
}

/* -- cpu, pids ---------------------------------------------------------------------------------------------- */

static const char *v1_dir(const struct rt_cgroup *cg, enum cg_controller c)
{
	int i = cg_find_v1(cg, c);
	return i >= 0 ? cg->g[i].dir : NULL;
}

/* The group's directory in v2 if that has the controllers: in hybrid mode v1 has most, v2 the others. */
static const char *v2_dir(const struct rt_cgroup *cg)
{
	int i = cg_find_v2(cg);
	return i >= 0 ? cg->g[i].dir : NULL;
}

static struct json *throttling(struct json *stat, const char *time, uint64_t factor)
{
	struct json *o = json_new_object();
	json_set_u64(o, "periods", flat(stat, "nr_periods"));
	json_set_u64(o, "throttledPeriods", flat(stat, "nr_throttled"));
	json_set_u64(o, "throttledTime", flat(stat, time) * factor);
	return o;
}

static void pressure(struct json *o, const char *dir, const char *file)
{
	char text[512];
	if (cg_read(dir, file, text, sizeof(text)) != 0)
		return;
	struct json *psi = json_new_object();
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		char kind[8];
		double avg[3];
		unsigned long long total;
		if (sscanf(line, "%7s avg10=%lf avg60=%lf avg300=%lf total=%llu", kind, &avg[0], &avg[1],
			   &avg[2], &total) != 5)
			continue;
		struct json *one = json_new_object();
		json_set(one, "avg10", json_new_double(avg[0]));
		json_set(one, "avg60", json_new_double(avg[1]));
		json_set(one, "avg300", json_new_double(avg[2]));
		json_set_u64(one, "total", total);
		json_set(psi, kind, one);
	}
	json_set(o, "psi", psi);
}

static struct json *cpu_v1(const struct rt_cgroup *cg, char *text)
{
	const char *dir = v1_dir(cg, CG_CPUACCT);
	struct json *o = json_new_object(), *usage = json_new_object();
	_cleanup_json_ struct json *stat = json_new_object();
	set_number(usage, "total", dir, "cpuacct.usage");
	set_list(usage, "percpu", dir, "cpuacct.usage_percpu");
	set_list(usage, "percpu_kernel", dir, "cpuacct.usage_percpu_sys");
	set_list(usage, "percpu_user", dir, "cpuacct.usage_percpu_user");
	set_number(usage, "kernel", dir, "cpuacct.usage_sys");
	set_number(usage, "user", dir, "cpuacct.usage_user");
	set_flat(stat, v1_dir(cg, CG_CPU), "cpu.stat", text);
	json_set(o, "usage", usage);
	json_set(o, "throttling", throttling(stat, "throttled_time", 1));
	return o;
}

static struct json *cpu_v2(const char *dir, char *text)
{
	struct json *o = json_new_object(), *usage = json_new_object();
	_cleanup_json_ struct json *stat = json_new_object();
	set_flat(stat, dir, "cpu.stat", text);
	json_set_u64(usage, "total", flat(stat, "usage_usec") * 1000);
	json_set_u64(usage, "kernel", flat(stat, "system_usec") * 1000);
	json_set_u64(usage, "user", flat(stat, "user_usec") * 1000);
	json_set(o, "usage", usage);
	json_set(o, "throttling", throttling(stat, "throttled_usec", 1000));
	pressure(o, dir, "cpu.pressure");
	return o;
}

static struct json *cpuset_v1(const char *dir)
{
	static const char *const flags[][2] = {
		{"cpu_exclusive", "cpuset.cpu_exclusive"},
		{"mem_hardwall", "cpuset.mem_hardwall"},
		{"mem_exclusive", "cpuset.mem_exclusive"},
		{"memory_migrate", "cpuset.memory_migrate"},
		{"memory_spread_page", "cpuset.memory_spread_page"},
		{"memory_spread_slab", "cpuset.memory_spread_slab"},
		{"memory_pressure", "cpuset.memory_pressure"},
		{"sched_load_balance", "cpuset.sched_load_balance"},
	};
	struct json *o = json_new_object();
	set_list(o, "cpus", dir, "cpuset.cpus");
	set_list(o, "mems", dir, "cpuset.mems");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		set_number(o, flags[i][0], dir, flags[i][1]);
	return o;
}

static struct json *pids(const char *dir)
{
	struct json *o = json_new_object();
	uint64_t limit;
	set_number(o, "current", dir, "pids.current");
	if (dir && cg_read_u64(dir, "pids.max", &limit) == 0 && limit != UINT64_MAX)
		json_set_u64(o, "limit", limit);
	return o;
}

/* -- memory ------------------------------------------------------------------------------------------------- */

static struct json *memory_entry_v1(const char *dir, const char *prefix)
{
	static const char *const files[][2] = {
		{"limit", "limit_in_bytes"},
		{"usage", "usage_in_bytes"},
		{"max", "max_usage_in_bytes"},
		{"failcnt", "failcnt"},
	};
	struct json *o = json_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char file[64];
		snprintf(file, sizeof(file), "memory.%s%s", prefix, files[i][1]);
		set_number(o, files[i][0], dir, file);
	}
	return o;
}

static struct json *memory_v1(const char *dir, char *text)
{
	struct json *o = json_new_object(), *raw = json_new_object();
	_cleanup_json_ struct json *control = json_new_object();
	set_flat(raw, dir, "memory.stat", text);
	set_flat(control, dir, "memory.oom_control", text);
	json_set_u64(o, "cache", flat(raw, "cache"));
	json_set(o, "usage", memory_entry_v1(dir, ""));
	json_set(o, "swap", memory_entry_v1(dir, "memsw."));
	json_set(o, "kernel", memory_entry_v1(dir, "kmem."));
	json_set(o, "kernelTCP", memory_entry_v1(dir, "kmem.tcp."));
	json_set(o, "raw", raw);
	json_set_u64(o, "oomKills", flat(control, "oom_kill"));
	return o;
}

/* Memory and swap together, as v1's memsw is, which callers expect. */
static struct json *swap_v2(const char *dir)
{
	struct json *o = json_new_object();
	uint64_t memory, swap, memory_max, swap_max;
	if (cg_read_u64(dir, "memory.current", &memory) || cg_read_u64(dir, "memory.swap.current", &swap) ||
	    cg_read_u64(dir, "memory.max", &memory_max) || cg_read_u64(dir, "memory.swap.max", &swap_max))
		return o;
	bool unlimited = memory_max == UINT64_MAX || swap_max == UINT64_MAX;
	json_set_u64(o, "limit", unlimited ? UINT64_MAX : memory_max + swap_max);
	json_set_u64(o, "usage", memory + swap);
	return o;
}

static struct json *memory_v2(const char *dir, char *text)
{
	struct json *o = json_new_object(), *raw = json_new_object(), *usage = json_new_object();
	_cleanup_json_ struct json *events = json_new_object();
	set_flat(raw, dir, "memory.stat", text);
	set_flat(events, dir, "memory.events", text);
	set_number(usage, "limit", dir, "memory.max");
	set_number(usage, "usage", dir, "memory.current");
	set_number(usage, "max", dir, "memory.peak");
	json_set_u64(usage, "failcnt", flat(events, "max"));
	json_set_u64(o, "cache", flat(raw, "file"));
	json_set(o, "usage", usage);
	json_set(o, "swap", swap_v2(dir));
	json_set(o, "raw", raw);
	json_set_u64(o, "oomKills", flat(events, "oom_kill"));
	pressure(o, dir, "memory.pressure");
	return o;
}

/* -- block I/O and huge pages ------------------------------------------------------------------------------- */

static void append_io(struct json *list, unsigned major, unsigned minor, const char *op, uint64_t value)
{
	struct json *o = json_new_object();
	json_set_u64(o, "major", major);
	json_set_u64(o, "minor", minor);
	json_set_string(o, "op", op);
	json_set_u64(o, "value", value);
	json_append(list, o);
}

/* "8:0 Read 4096" lines; the "Total 4096" at the end has no device. */
static struct json *io_v1(const char *dir, const char *file, char *text)
{
	struct json *list = json_new_array();
	if (!dir || cg_read(dir, file, text, FILE_MAX) != 0)
		return list;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		unsigned major, minor;
		char op[16];
		unsigned long long value;
		if (sscanf(line, "%u:%u %15s %llu", &major, &minor, op, &value) == 4)
			append_io(list, major, minor, op, value);
	}
	return list;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" lines. */
static void io_v2(const char *dir, char *text, struct json *bytes, struct json *operations)
{
	static const struct {
		const char *key, *op;
		bool is_bytes;
	} keys[] = {{" rbytes=", "Read", true},
		    {" wbytes=", "Write", true},
		    {" rios=", "Read", false},
		    {" wios=", "Write", false}};
	if (cg_read(dir, "io.stat", text, FILE_MAX) != 0)
		return;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		unsigned major, minor;
		if (sscanf(line, "%u:%u ", &major, &minor) != 2)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			const char *at = strstr(line, keys[i].key);
			if (at)
				append_io(keys[i].is_bytes ? bytes : operations, major, minor, keys[i].op,
					  strtoull(at + strlen(keys[i].key), NULL, 10));
		}
	}
}

static struct json *blkio(const struct rt_cgroup *cg, char *text)
{
	struct json *o = json_new_object(), *bytes, *operations;
	if (cg->mode == RT_CGROUP_V2) {
		bytes = json_new_array();
		operations = json_new_array();
		io_v2(v2_dir(cg), text, bytes, operations);
		pressure(o, v2_dir(cg), "io.pressure");
	} else {
		const char *dir = v1_dir(cg, CG_BLKIO);
		bytes = io_v1(dir, "blkio.throttle.io_service_bytes_recursive", text);
		operations = io_v1(dir, "blkio.throttle.io_serviced_recursive", text);
	}
	json_set(o, "ioServiceBytesRecursive", bytes);
	json_set(o, "ioServicedRecursive", operations);
	return o;
}

/* hugetlb.2MB.current (v2) or hugetlb.2MB.usage_in_bytes (v1), by the sizes that the directory has files for. */
static struct json *hugetlb(const char *dir, bool v2)
{
	const char *suffix = v2 ? ".current" : ".usage_in_bytes";
	struct json *o = json_new_object();
	DIR *d = dir ? opendir(dir) : NULL;
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		const char *size = entry->d_name + strlen("hugetlb.");
		if (strncmp(entry->d_name, "hugetlb.", strlen("hugetlb.")) != 0)
			continue;
		size_t n = strcspn(size, ".");
		if (strcmp(size + n, suffix) != 0)
			continue;
		_cleanup_free_ char *name = xstrndup(size, n);
		_cleanup_free_ char *max = xasprintf("hugetlb.%s.max_usage_in_bytes", name);
		_cleanup_free_ char *failures = xasprintf("hugetlb.%s.failcnt", name);
		struct json *one = json_new_object();
		set_number(one, "usage", dir, entry->d_name);
		set_number(one, "max", dir, max);
		set_number(one, "failcnt", dir, failures);
		json_set(o, name, one);
	}
	if (d)
		closedir(d);
	return o;
}

/* ----------------------------------------------------------------------------------------------------------- */

struct json *rt_cgroup_stats_json(struct rt_cgroup *cg)
{
	_cleanup_free_ char *text = xmalloc(FILE_MAX);
	bool v2 = cg->mode == RT_CGROUP_V2;
	const char *unified = v2_dir(cg), *huge = v1_dir(cg, CG_HUGETLB);
	struct json *o = json_new_object();
	json_set(o, "cpu", v2 ? cpu_v2(unified, text) : cpu_v1(cg, text));
	json_set(o, "cpuset", cpuset_v1(v1_dir(cg, CG_CPUSET)));
	json_set(o, "memory", v2 ? memory_v2(unified, text) : memory_v1(v1_dir(cg, CG_MEMORY), text));
	json_set(o, "pids", pids(v2 ? unified : v1_dir(cg, CG_PIDS)));
	json_set(o, "blkio", blkio(cg, text));
	json_set(o, "hugetlb", huge ? hugetlb(huge, false) : hugetlb(unified, true));
	json_set(o, "intel_rdt", json_new_object());
	json_set(o, "network_interfaces", NULL);
	return o;
}

/* v1 tells through an eventfd that is registered beside the group. */
static struct err *watch_v1(const char *dir, int *ret_fd)
{
	_cleanup_fd_ int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			 control = cg_open(dir, "memory.oom_control", O_RDONLY);
	char text[32];
	if (event < 0 || control < 0)
		return err_errno(errno, "cannot watch for a lack of memory");
	snprintf(text, sizeof(text), "%d %d", event, control);
	int r = cg_write(dir, "cgroup.event_control", text);
	if (r)
		return err_errno(r, "cannot watch for a lack of memory");
	*ret_fd = TAKE_FD(event);
	return NULL;
}

static uint64_t kills(const char *dir)
{
	char text[4096];
	if (cg_read(dir, "memory.events", text, sizeof(text)) != 0)
		return 0;
	const char *at = strstr(text, "oom_kill ");
	return at ? strtoull(at + strlen("oom_kill "), NULL, 10) : 0;
}

struct err *rt_cgroup_oom_watch(struct rt_cgroup *cg, struct rt_cgroup_oom *ret)
{
	const char *v1 = v1_dir(cg, CG_MEMORY), *v2 = cg->mode == RT_CGROUP_V2 ? v2_dir(cg) : NULL;
	*ret = (struct rt_cgroup_oom){.fd = -1};
	if (v1) {
		TRY(watch_v1(v1, &ret->fd));
		ret->dir = v1;
		return NULL;
	}
	if (!v2)
		return NULL;
	_cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	_cleanup_free_ char *path = xasprintf("%s/memory.events", v2);
	if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY) < 0) {
		if (errno == ENOENT) /* no memory controller: nothing to tell */
			return NULL;
		return err_errno(errno, "cannot watch for a lack of memory");
	}
	*ret = (struct rt_cgroup_oom){.fd = TAKE_FD(fd), .dir = v2, .counted = true, .kills = kills(v2)};
	return NULL;
}

bool rt_cgroup_oom_happened(struct rt_cgroup_oom *w)
{
	char buffer[4096];
	if (read(w->fd, buffer, sizeof(buffer)) <= 0)
		return false;
	/* v1's eventfd also tells that the group was removed. */
	if (!w->counted)
		return cg_read(w->dir, "memory.oom_control", buffer, sizeof(buffer)) == 0;
	uint64_t before = w->kills;
	w->kills = kills(w->dir);
	return w->kills > before;
}
