/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources (runtime-spec 1.3, config-linux.md "Control groups") from JSON to struct cg_resources. Every check that
 * does not need the machine is here; nothing here touches the machine. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "cgroup_private.h"

/* The numbers. `unset`: callers in Go send this value for "not given". */
static const struct number_property {
	const char *object, *key, *path;
	int64_t min, max;
	bool zero_is_unset;
} number_properties[CG_NUMBERS] = {
#define NUMBER(object, key, min, max, zero_is_unset)                                    \
	{                                                                               \
		object, key, "linux.resources." object "." key, min, max, zero_is_unset \
	}
	[CG_MEMORY_LIMIT] = NUMBER("memory", "limit", -1, INT64_MAX, true),
	[CG_MEMORY_RESERVATION] = NUMBER("memory", "reservation", -1, INT64_MAX, true),
	[CG_MEMORY_SWAP] = NUMBER("memory", "swap", -1, INT64_MAX, true),
	[CG_MEMORY_KERNEL_TCP] = NUMBER("memory", "kernelTCP", -1, INT64_MAX, true),
	[CG_MEMORY_SWAPPINESS] = NUMBER("memory", "swappiness", 0, 100, false),
	[CG_CPU_SHARES] = NUMBER("cpu", "shares", 0, INT64_MAX, true),
	[CG_CPU_QUOTA] = NUMBER("cpu", "quota", -1, INT64_MAX / 1000, true),
	[CG_CPU_PERIOD] = NUMBER("cpu", "period", 0, 1000000, true),
	[CG_CPU_BURST] = NUMBER("cpu", "burst", 0, INT64_MAX / 1000, false),
	[CG_CPU_RT_RUNTIME] = NUMBER("cpu", "realtimeRuntime", -1, INT64_MAX / 1000, true),
	[CG_CPU_RT_PERIOD] = NUMBER("cpu", "realtimePeriod", 0, INT64_MAX / 1000, true),
	[CG_CPU_IDLE] = NUMBER("cpu", "idle", 0, 1, false),
	[CG_PIDS_LIMIT] = NUMBER("pids", "limit", -1, INT64_MAX, false),
	[CG_IO_WEIGHT] = NUMBER("blockIO", "weight", 0, 1000, true),
	[CG_IO_LEAF_WEIGHT] = NUMBER("blockIO", "leafWeight", 0, 1000, true),
	[CG_NET_CLASS_ID] = NUMBER("network", "classID", 0, UINT32_MAX, true),
#undef NUMBER
};

const char *cg_number_property(enum cg_number n)
{
	return number_properties[n].path;
}

const char *const cg_io_property[CG_IO_KINDS] = {
	[CG_IO_READ_BPS] = "throttleReadBpsDevice",   [CG_IO_WRITE_BPS] = "throttleWriteBpsDevice",
	[CG_IO_READ_IOPS] = "throttleReadIOPSDevice", [CG_IO_WRITE_IOPS] = "throttleWriteIOPSDevice",
	[CG_IO_DEVICE_WEIGHT] = "weightDevice",       [CG_IO_DEVICE_LEAF_WEIGHT] = "weightDevice",
};

void cg_resources_release(struct cg_resources *r)
{
	free(r->cpus);
	free(r->mems);
	free(r->devices);
	free(r->io);
	for (size_t i = 0; i < r->n_hugepages; i++)
		free(r->hugepages[i].size);
	free(r->hugepages);
	for (size_t i = 0; i < r->n_priorities; i++)
		free(r->priorities[i].name);
	free(r->priorities);
	for (size_t i = 0; i < r->n_rdma; i++)
		free(r->rdma[i].device);
	free(r->rdma);
	for (size_t i = 0; i < r->n_unified; i++) {
		free(r->unified[i].file);
		free(r->unified[i].value);
	}
	free(r->unified);
	*r = (struct cg_resources){0};
}

static struct err *get_list(const struct json_cursor *obj, const char *key, struct json_cursor *ret,
			    size_t *ret_n)
{
	TRY(json_get_array(obj, key, JSON_OPTIONAL, ret));
	*ret_n = json_array_len(ret);
	if (*ret_n > CG_RESOURCE_ITEMS_MAX)
		return json_error(ret, "has more than %d entries", CG_RESOURCE_ITEMS_MAX);
	return NULL;
}

static struct err *parse_numbers(const struct json_cursor *c, struct cg_resources *r)
{
	struct json_cursor object = {0};
	const char *current = NULL;

	for (unsigned n = 0; n < CG_NUMBERS; n++) {
		const struct number_property *p = &number_properties[n];
		struct json_cursor value;

		if (!current || strcmp(current, p->object) != 0)
			TRY(json_get_object(c, p->object, JSON_OPTIONAL, &object));
		current = p->object;
		if (!object.value)
			continue;
		TRY(json_get(&object, p->key, JSON_OPTIONAL, &value));
		if (!value.value)
			continue;
		int64_t v = 0;
		TRY(json_as_i64(&value, p->min, p->max, &v));
		if (v == 0 && p->zero_is_unset)
			continue;
		r->number[n] = v;
		r->set |= 1u << n;
	}
	return NULL;
}

static struct err *check_cpu_list(const struct json_cursor *cpu, const char *key, char **ret)
{
	const char *s = NULL;

	TRY(json_get_string(cpu, key, JSON_OPTIONAL, &s));
	if (str_empty(s))
		return NULL;
	struct json_cursor c;
	TRY(json_get(cpu, key, JSON_OPTIONAL, &c));
	if (strlen(s) > 4000)
		return json_error(&c, "is longer than 4000 bytes");
	/* Numbers and ranges with commas between them: "0-3,7", also "0-31:2/8" of the kernel's list format. */
	if (s[strspn(s, "0123456789,-:/ \n")] != '\0' || !isdigit((unsigned char)s[strspn(s, " ,\n")]))
		return json_error(&c, "must be a list such as 0-3,7, is \"%.40s\"", s);
	*ret = xstrdup(s);
	return NULL;
}

static struct err *check_memory(const struct json_cursor *c, struct cg_resources *r)
{
	struct json_cursor memory, swap;

	TRY(json_get_object(c, "memory", JSON_OPTIONAL, &memory));
	if (!memory.value)
		return NULL;
	/* Kernel memory is accounted with the rest since long, and hierarchical use is all that there is: both
	 * are accepted and have no effect, as the specification allows. */
	int64_t kernel = 0;
	bool use_hierarchy = true;
	TRY(json_get_i64(&memory, "kernel", JSON_OPTIONAL, -1, INT64_MAX, &kernel));
	TRY(json_get_bool(&memory, "useHierarchy", JSON_OPTIONAL, &use_hierarchy));
	TRY(json_get_bool(&memory, "disableOOMKiller", JSON_OPTIONAL, &r->disable_oom_killer));
	TRY(json_get_bool(&memory, "checkBeforeUpdate", JSON_OPTIONAL, &r->check_before_update));
	TRY(json_get(&memory, "swap", JSON_OPTIONAL, &swap));
	if (cg_has(r, CG_MEMORY_SWAP) && r->number[CG_MEMORY_SWAP] > 0 && cg_has(r, CG_MEMORY_LIMIT)) {
		if (r->number[CG_MEMORY_LIMIT] < 0)
			return json_error(&swap, "cannot be limited while memory.limit is unlimited");
		if (r->number[CG_MEMORY_SWAP] < r->number[CG_MEMORY_LIMIT])
			return json_error(&swap,
					  "is memory and swap together, so it must be at least memory.limit "
					  "(%lld), is %lld",
					  (long long)r->number[CG_MEMORY_LIMIT],
					  (long long)r->number[CG_MEMORY_SWAP]);
	}
	return NULL;
}

static struct err *check_cpu(const struct json_cursor *c, struct cg_resources *r)
{
	struct json_cursor cpu, at;

	TRY(json_get_object(c, "cpu", JSON_OPTIONAL, &cpu));
	if (!cpu.value)
		return NULL;
	TRY(check_cpu_list(&cpu, "cpus", &r->cpus));
	TRY(check_cpu_list(&cpu, "mems", &r->mems));
	if (cg_has(r, CG_CPU_PERIOD) && r->number[CG_CPU_PERIOD] < 1000) {
		TRY(json_get(&cpu, "period", JSON_OPTIONAL, &at));
		return json_error(&at, "must be 1000 to 1000000 microseconds, is %lld",
				  (long long)r->number[CG_CPU_PERIOD]);
	}
	if (cg_has(r, CG_CPU_QUOTA) && r->number[CG_CPU_QUOTA] > 0 && r->number[CG_CPU_QUOTA] < 1000) {
		TRY(json_get(&cpu, "quota", JSON_OPTIONAL, &at));
		return json_error(&at, "must be at least 1000 microseconds, is %lld",
				  (long long)r->number[CG_CPU_QUOTA]);
	}
	if (cg_has(r, CG_CPU_BURST) && cg_has(r, CG_CPU_QUOTA) && r->number[CG_CPU_QUOTA] > 0 &&
	    r->number[CG_CPU_BURST] > r->number[CG_CPU_QUOTA]) {
		TRY(json_get(&cpu, "burst", JSON_OPTIONAL, &at));
		return json_error(&at, "must not exceed cpu.quota (%lld), is %lld",
				  (long long)r->number[CG_CPU_QUOTA], (long long)r->number[CG_CPU_BURST]);
	}
	return NULL;
}

static struct err *parse_device(const struct json_cursor *c, int index, struct cg_device_rule *ret)
{
	struct cg_device_rule d = {
		.type = 'a', .major = -1, .minor = -1, .access = CG_DEV_ALL, .index = index};
	const char *type = NULL, *access = NULL;
	struct json_cursor at;

	TRY(json_get_bool(c, "allow", JSON_REQUIRED, &d.allow));
	TRY(json_get_string(c, "type", JSON_OPTIONAL, &type));
	if (!str_empty(type)) {
		if (strlen(type) != 1 || !strchr("abcu", type[0])) {
			TRY(json_get(c, "type", JSON_OPTIONAL, &at));
			return json_error(&at, "must be a, b or c, is \"%.20s\"", type);
		}
		d.type = type[0] == 'u' ? 'c' : type[0];
	}
	TRY(json_get_i64(c, "major", JSON_OPTIONAL, -1, (1 << 12) - 1, &d.major));
	TRY(json_get_i64(c, "minor", JSON_OPTIONAL, -1, (1 << 20) - 1, &d.minor));
	TRY(json_get_string(c, "access", JSON_OPTIONAL, &access));
	if (!str_empty(access)) {
		d.access = 0;
		for (const char *p = access; *p; p++) {
			if (!strchr("rwm", *p)) {
				TRY(json_get(c, "access", JSON_OPTIONAL, &at));
				return json_error(&at, "must consist of r, w and m, is \"%.20s\"", access);
			}
			d.access |= *p == 'r' ? CG_DEV_READ : *p == 'w' ? CG_DEV_WRITE : CG_DEV_MKNOD;
		}
	}
	*ret = d;
	return NULL;
}

static struct err *parse_devices(const struct json_cursor *c, struct cg_resources *r)
{
	struct json_cursor list;
	size_t n;

	TRY(get_list(c, "devices", &list, &n));
	if (n == 0)
		return NULL;
	r->devices = xnew_array(struct cg_device_rule, n);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor e = json_at(&list, i);
		TRY(parse_device(&e, (int)i, &r->devices[i]));
		r->n_devices++;
	}
	return NULL;
}

static void add_io(struct cg_resources *r, size_t *cap, struct cg_io_device d)
{
	GROW(r->io, r->n_io, *cap);
	r->io[r->n_io++] = d;
}

static struct err *parse_io_device(const struct json_cursor *e, enum cg_io_kind kind, int index,
				   struct cg_resources *r, size_t *cap)
{
	int64_t major = 0, minor = 0;
	struct cg_io_device d = {.kind = kind, .index = index};

	TRY(json_get_i64(e, "major", JSON_REQUIRED, 0, (1 << 12) - 1, &major));
	TRY(json_get_i64(e, "minor", JSON_REQUIRED, 0, (1 << 20) - 1, &minor));
	d.major = (unsigned)major;
	d.minor = (unsigned)minor;
	if (kind < CG_IO_DEVICE_WEIGHT) {
		TRY(json_get_u64(e, "rate", JSON_REQUIRED, UINT64_MAX, &d.value));
		add_io(r, cap, d);
		return NULL;
	}
	TRY(json_get_u64(e, "weight", JSON_OPTIONAL, 1000, &d.value));
	if (d.value)
		add_io(r, cap, d);
	d.kind = CG_IO_DEVICE_LEAF_WEIGHT;
	d.value = 0;
	TRY(json_get_u64(e, "leafWeight", JSON_OPTIONAL, 1000, &d.value));
	if (d.value)
		add_io(r, cap, d);
	return NULL;
}

static struct err *parse_block_io(const struct json_cursor *c, struct cg_resources *r)
{
	struct json_cursor io, at;
	size_t cap = 0;

	TRY(json_get_object(c, "blockIO", JSON_OPTIONAL, &io));
	if (!io.value)
		return NULL;
	if (cg_has(r, CG_IO_WEIGHT) && r->number[CG_IO_WEIGHT] < 10) {
		TRY(json_get(&io, "weight", JSON_OPTIONAL, &at));
		return json_error(&at, "must be 10 to 1000, is %lld", (long long)r->number[CG_IO_WEIGHT]);
	}
	for (unsigned kind = 0; kind <= CG_IO_DEVICE_WEIGHT; kind++) {
		struct json_cursor list;
		size_t n;

		TRY(get_list(&io, cg_io_property[kind], &list, &n));
		for (size_t i = 0; i < n; i++) {
			struct json_cursor e = json_at(&list, i);
			TRY(parse_io_device(&e, (enum cg_io_kind)kind, (int)i, r, &cap));
		}
	}
	return NULL;
}

static bool is_page_size(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	return digits > 0 && digits < 8 && s[0] != '0' && strchr("KMG", s[digits]) && s[digits] &&
	       str_eq(s + digits + 1, "B");
}

static struct err *parse_hugepages(const struct json_cursor *c, struct cg_resources *r)
{
	struct json_cursor list;
	size_t n;

	TRY(get_list(c, "hugepageLimits", &list, &n));
	r->hugepages = n ? xnew_array(struct cg_hugepage, n) : NULL;
	for (size_t i = 0; i < n; i++) {
		struct json_cursor e = json_at(&list, i), at;
		const char *size = NULL;
		uint64_t limit = 0;

		TRY(json_get_string(&e, "pageSize", JSON_REQUIRED, &size));
		if (!is_page_size(size)) {
			TRY(json_get(&e, "pageSize", JSON_REQUIRED, &at));
			return json_error(&at, "must be a size such as 2MB or 1GB, is \"%.20s\"", size);
		}
		TRY(json_get_u64(&e, "limit", JSON_REQUIRED, UINT64_MAX, &limit));
		r->hugepages[r->n_hugepages++] =
			(struct cg_hugepage){.size = xstrdup(size), .limit = limit, .index = (int)i};
	}
	return NULL;
}

static struct err *parse_network(const struct json_cursor *c, struct cg_resources *r)
{
	struct json_cursor network, list;
	size_t n;

	TRY(json_get_object(c, "network", JSON_OPTIONAL, &network));
	if (!network.value)
		return NULL;
	TRY(get_list(&network, "priorities", &list, &n));
	r->priorities = n ? xnew_array(struct cg_net_priority, n) : NULL;
	for (size_t i = 0; i < n; i++) {
		struct json_cursor e = json_at(&list, i), at;
		const char *name = NULL;
		uint32_t priority = 0;

		TRY(json_get_string(&e, "name", JSON_REQUIRED, &name));
		if (!*name || strlen(name) > 15 || strpbrk(name, " \n/")) {
			TRY(json_get(&e, "name", JSON_REQUIRED, &at));
			return json_error(&at, "must be the name of a network interface, is \"%.20s\"", name);
		}
		TRY(json_get_u32(&e, "priority", JSON_REQUIRED, &priority));
		r->priorities[r->n_priorities++] =
			(struct cg_net_priority){.name = xstrdup(name), .priority = priority};
	}
	return NULL;
}

static struct err *parse_rdma(const struct json_cursor *c, struct cg_resources *r)
{
	struct json_cursor rdma, device;

	TRY(json_get_object(c, "rdma", JSON_OPTIONAL, &rdma));
	struct json_iter it = json_iter(&rdma);
	size_t cap = 0;
	while (json_next(&it, &device)) {
		int64_t handles = -1, objects = -1;

		if (r->n_rdma == CG_RESOURCE_ITEMS_MAX)
			return json_error(&rdma, "has more than %d entries", CG_RESOURCE_ITEMS_MAX);
		if (!*device.key || strlen(device.key) > 64 || strpbrk(device.key, " \n/"))
			return json_error(&device, "is not the name of an RDMA device");
		if (json_kind(&device) != JSON_OBJECT)
			return json_error(&device, "must be an object");
		TRY(json_get_i64(&device, "hcaHandles", JSON_OPTIONAL, 0, UINT32_MAX, &handles));
		TRY(json_get_i64(&device, "hcaObjects", JSON_OPTIONAL, 0, UINT32_MAX, &objects));
		if (handles < 0 && objects < 0)
			return json_error(&device, "needs hcaHandles or hcaObjects");
		GROW(r->rdma, r->n_rdma, cap);
		r->rdma[r->n_rdma++] = (struct cg_rdma){
			.device = xstrdup(device.key), .handles = handles, .objects = objects};
	}
	return NULL;
}

static struct err *parse_unified(const struct json_cursor *c, struct cg_resources *r)
{
	struct json_cursor unified, member;

	TRY(json_get_object(c, "unified", JSON_OPTIONAL, &unified));
	struct json_iter it = json_iter(&unified);
	size_t cap = 0;
	while (json_next(&it, &member)) {
		const char *value = NULL;

		if (r->n_unified == CG_RESOURCE_ITEMS_MAX)
			return json_error(&unified, "has more than %d entries", CG_RESOURCE_ITEMS_MAX);
		if (!*member.key || strlen(member.key) > 128 || strchr(member.key, '/') ||
		    member.key[0] == '.' || !strchr(member.key, '.'))
			return json_error(&member,
					  "is not the name of a control group file, such as memory.high: the "
					  "specified key has not the form CONTROLLER.VALUE `%.64s`",
					  member.key);
		TRY(json_as_string(&member, &value));
		if (strlen(value) > 65536)
			return json_error(&member, "is longer than 65536 bytes");
		GROW(r->unified, r->n_unified, cap);
		r->unified[r->n_unified++] =
			(struct cg_unified){.file = xstrdup(member.key), .value = xstrdup(value)};
	}
	return NULL;
}

static struct err *parse_all(const struct json_cursor *c, struct cg_resources *r)
{
	TRY(parse_numbers(c, r));
	/* 0 is a limit since 1.3, and to the processes of the group it is the same as 1: none may fork. But with 1 the kernel
	 * lets us clone the first one into it. */
	if (cg_has(r, CG_PIDS_LIMIT) && r->number[CG_PIDS_LIMIT] == 0)
		r->number[CG_PIDS_LIMIT] = 1;
	TRY(check_memory(c, r));
	TRY(check_cpu(c, r));
	TRY(parse_devices(c, r));
	TRY(parse_block_io(c, r));
	TRY(parse_hugepages(c, r));
	TRY(parse_network(c, r));
	TRY(parse_rdma(c, r));
	return parse_unified(c, r);
}

struct err *cg_resources_parse(const struct json_cursor *c, struct cg_resources *ret)
{
	_cleanup_cg_resources_ struct cg_resources r = {0};

	if (c && c->value) {
		if (json_kind(c) != JSON_OBJECT)
			return json_error(c, "must be an object");
		TRY(parse_all(c, &r));
	}
	*ret = r;
	r = (struct cg_resources){0};
	return NULL;
}

struct err *rt_cgroup_check_resources(const struct json_cursor *resources)
{
	_cleanup_cg_resources_ struct cg_resources r = {0};

	return cg_resources_parse(resources, &r);
}
