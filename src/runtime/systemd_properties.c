/* SPDX-License-Identifier: Apache-2.0 */
#include "systemd_properties.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/dbus.h"
#include "base/file.h"
#include "base/memory.h"
#include "gvariant.h"

static void begin(struct strbuf *p, const char *name, const char *signature)
{
	dbus_align(p, 8);
	dbus_put_string(p, name);
	dbus_put_signature(p, signature);
}

void systemd_property_string(struct strbuf *p, const char *name, const char *value)
{
	begin(p, name, "s");
	dbus_put_string(p, value);
}

void systemd_property_bool(struct strbuf *p, const char *name, bool value)
{
	begin(p, name, "b");
	dbus_put_bool(p, value);
}

void systemd_property_u64(struct strbuf *p, const char *name, uint64_t value)
{
	begin(p, name, "t");
	dbus_put_u64(p, value);
}

void systemd_property_strv(struct strbuf *p, const char *name, const char *value)
{
	begin(p, name, "as");
	struct dbus_array a = dbus_array_open(p, 4);
	dbus_put_string(p, value);
	dbus_array_close(p, a);
}

void systemd_property_pid(struct strbuf *p, pid_t pid)
{
	begin(p, "PIDs", "au");
	struct dbus_array a = dbus_array_open(p, 4);
	dbus_put_u32(p, (uint32_t)pid);
	dbus_array_close(p, a);
}

/* -- numbers --------------------------------------------------------------------------------------------------- */

/* -1 is no limit, for which systemd has the largest number. */
static void limit(struct strbuf *p, const struct cg_resources *r, enum cg_number n, const char *name)
{
	if (cg_has(r, n))
		systemd_property_u64(p, name, (uint64_t)r->number[n]);
}

#define DEFAULT_PERIOD_US 100000u
#define QUOTA_STEP_US \
	10000u /* systemd keeps a share of a second in such steps: rounded down it would be less than asked for */

static void quota(struct strbuf *p, int64_t quota_us, uint64_t period_us)
{
	uint64_t per_second = UINT64_MAX;
	if (period_us)
		systemd_property_u64(p, "CPUQuotaPeriodUSec", period_us);
	else
		period_us = DEFAULT_PERIOD_US;
	if (quota_us > 0 && !__builtin_mul_overflow((uint64_t)quota_us, 1000000u, &per_second)) {
		per_second /= period_us;
		per_second = (per_second + QUOTA_STEP_US - 1) / QUOTA_STEP_US * QUOTA_STEP_US;
	}
	systemd_property_u64(p, "CPUQuotaPerSecUSec", per_second);
}

static void cpu(struct strbuf *p, const struct cg_resources *r, bool v2)
{
	bool idle = cg_has(r, CG_CPU_IDLE) && r->number[CG_CPU_IDLE] == 1;
	if (cg_has(r, CG_CPU_SHARES) && !idle) {
		uint64_t shares = (uint64_t)r->number[CG_CPU_SHARES];
		if (v2)
			systemd_property_u64(p, "CPUWeight", cg_v2_weight(shares));
		else /* systemd refuses what the kernel would clamp */
			systemd_property_u64(p, "CPUShares", MIN(MAX(shares, (uint64_t)2), (uint64_t)262144));
	}
	if (cg_has(r, CG_CPU_QUOTA) || cg_has(r, CG_CPU_PERIOD))
		quota(p, cg_has(r, CG_CPU_QUOTA) ? r->number[CG_CPU_QUOTA] : -1,
		      cg_has(r, CG_CPU_PERIOD) ? (uint64_t)r->number[CG_CPU_PERIOD] : 0);
}

static void memory_v2(struct strbuf *p, const struct cg_resources *r)
{
	int64_t swap = r->number[CG_MEMORY_SWAP], memory = r->number[CG_MEMORY_LIMIT];
	limit(p, r, CG_MEMORY_LIMIT, "MemoryMax");
	limit(p, r, CG_MEMORY_RESERVATION, "MemoryLow");
	if (cg_has(r, CG_MEMORY_SWAP) && swap < 0)
		systemd_property_u64(p, "MemorySwapMax", UINT64_MAX);
	else if (cg_has(r, CG_MEMORY_SWAP) && cg_has(r, CG_MEMORY_LIMIT) && swap >= memory && memory >= 0)
		systemd_property_u64(p, "MemorySwapMax", (uint64_t)(swap - memory));
}

/* -- cpusets --------------------------------------------------------------------------------------------------- */

#define CPUS_MAX 8192

/* "0-3,7" as a bit mask of bytes, the lowest first. The kernel's strides (0-31:2/8) have no place there: false. */
static bool parse_cpu_list(const char *s, uint8_t mask[CPUS_MAX / 8], size_t *ret_bytes)
{
	*ret_bytes = 0;
	while (*(s += strspn(s, ", \n"))) {
		char *end;
		if (!isdigit((unsigned char)*s))
			return false;
		unsigned long first = strtoul(s, &end, 10), last = first;
		if (*end == '-' && isdigit((unsigned char)end[1]))
			last = strtoul(end + 1, &end, 10);
		if ((*end && !strchr(", \n", *end)) || first > last || last >= CPUS_MAX)
			return false;
		for (unsigned long i = first; i <= last; i++)
			mask[i / 8] |= (uint8_t)(1u << i % 8);
		*ret_bytes = MAX(*ret_bytes, (size_t)last / 8 + 1);
		s = end;
	}
	return *ret_bytes > 0;
}

static void cpu_mask(struct strbuf *p, const char *name, const char *list)
{
	uint8_t mask[CPUS_MAX / 8] = {0};
	size_t n;
	if (!list || !parse_cpu_list(list, mask, &n))
		return; /* the file alone has it, and the kernel judges it */
	begin(p, name, "ay");
	struct dbus_array a = dbus_array_open(p, 1);
	strbuf_append(p, mask, n);
	dbus_array_close(p, a);
}

/* -- unified --------------------------------------------------------------------------------------------------- */

static bool unified_number(const char *s, uint64_t *ret)
{
	char *end;
	*ret = UINT64_MAX;
	if (str_eq(s, "max"))
		return true;
	errno = 0;
	*ret = strtoull(s, &end, 10);
	return isdigit((unsigned char)*s) && !errno && (*end == '\0' || *end == '\n');
}

static void unified_cpu_max(struct strbuf *p, const char *value)
{
	char quota_text[24], extra;
	unsigned long long period = 0;
	uint64_t max;
	int n = sscanf(value, "%23s %llu %c", quota_text, &period, &extra);
	if ((n == 1 || (n == 2 && period > 0)) && unified_number(quota_text, &max))
		quota(p, max > INT64_MAX ? -1 : (int64_t)max, n == 2 ? period : 0);
}

static void unified(struct strbuf *p, const struct cg_resources *r)
{
	static const struct {
		const char *file, *property;
	} numbers[] = {
		{"cpu.weight", "CPUWeight"},          {"memory.high", "MemoryHigh"},
		{"memory.low", "MemoryLow"},          {"memory.min", "MemoryMin"},
		{"memory.max", "MemoryMax"},          {"pids.max", "TasksMax"},
		{"memory.swap.max", "MemorySwapMax"},
	};
	for (size_t i = 0; i < r->n_unified; i++) {
		const char *file = r->unified[i].file, *value = r->unified[i].value;
		uint64_t number;
		for (size_t k = 0; k < ARRAY_SIZE(numbers); k++)
			if (str_eq(file, numbers[k].file) && unified_number(value, &number))
				systemd_property_u64(p, numbers[k].property, number);
		if (str_eq(file, "cpu.max"))
			unified_cpu_max(p, value);
		if (str_eq(file, "cpuset.cpus"))
			cpu_mask(p, "AllowedCPUs", value);
		if (str_eq(file, "cpuset.mems"))
			cpu_mask(p, "AllowedMemoryNodes", value);
	}
}

/* -- devices --------------------------------------------------------------------------------------------------- */

static bool covers(const struct cg_device_rule *d, const struct cg_device_rule *entry)
{
	return (d->type == 'a' || d->type == entry->type) && (d->major < 0 || d->major == entry->major) &&
	       (d->minor < 0 || d->minor == entry->minor);
}

/* Rules may take back what earlier ones gave; a list of what is allowed can only show that where the later rule covers the earlier
 * one whole. Where it does not, the list is wider, and the group's own filter is what decides. */
bool systemd_device_list(const struct cg_device_rule *rules, size_t n, struct cg_device_rule **ret,
			 size_t *ret_n)
{
	struct cg_device_rule *list = n ? xnew_array(struct cg_device_rule, 2 * n) : NULL;
	size_t count = 0;
	bool all = false;
	for (size_t i = 0; i < n; i++) {
		struct cg_device_rule d = rules[i];
		if (d.type == 'a' && d.major < 0 && d.minor < 0 && d.access == CG_DEV_ALL) {
			all = d.allow;
			count = 0;
			continue;
		}
		for (size_t k = 0; k < count; k++) /* whole or in part, it is said anew */
			if (covers(&d, &list[k]))
				list[k].access &= ~d.access;
		if (!d.allow)
			continue;
		bool both = d.type == 'a';
		for (unsigned t = 0; t < (both ? 2u : 1u); t++) {
			d.type = both ? "bc"[t] : d.type;
			struct cg_device_rule *same = NULL;
			for (size_t k = 0; k < count && !same; k++)
				if (list[k].type == d.type && list[k].major == d.major &&
				    list[k].minor == d.minor)
					same = &list[k];
			if (same)
				same->access |= d.access;
			else
				list[count++] = d;
		}
	}
	*ret_n = 0;
	for (size_t k = 0; k < count; k++)
		if (list[k].access)
			list[(*ret_n)++] = list[k];
	*ret = list;
	return all;
}

/* systemd names all devices of one kind by the driver's name in /proc/devices. "" when no such driver is there: then there is no
 * such device either. Caller frees. */
static char *driver_name(const char *devices, char type, int64_t major)
{
	const char *line = strstr(devices, type == 'b' ? "Block devices:" : "Character devices:");
	for (line = line ? strchr(line, '\n') : NULL; line && line[1] && line[1] != '\n';
	     line = strchr(line + 1, '\n')) {
		char *end;
		long long number = strtoll(line + 1, &end, 10);
		if (number == major && *end == ' ')
			return xstrndup(end + 1, strcspn(end + 1, "\n"));
	}
	return xstrdup("");
}

static char *device_name(const char *devices, const struct cg_device_rule *d)
{
	const char *kind = d->type == 'b' ? "block" : "char";
	if (d->major >= 0 && d->minor >= 0)
		return xasprintf("/dev/%s/%lld:%lld", kind, (long long)d->major, (long long)d->minor);
	if (d->major < 0)
		return xasprintf("%s-*", kind);
	_cleanup_free_ char *driver = driver_name(devices, d->type, d->major);
	return *driver ? xasprintf("%s-%s", kind, driver) : NULL;
}

static struct err *devices(struct strbuf *p, const struct cg_resources *r)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ struct cg_device_rule *list = NULL;
	size_t n_defaults, n, size, n_own = r->n_devices;
	if (r->update && n_own == 0)
		return NULL;
	TRY(file_read("/proc/devices", 1u << 20, &text, &size));
	const struct cg_device_rule *defaults = cg_devices_default(&n_defaults);
	_cleanup_free_ struct cg_device_rule *rules = xnew_array(struct cg_device_rule, n_own + n_defaults);
	if (n_own)
		memcpy(rules, r->devices, n_own * sizeof(*rules));
	memcpy(rules + n_own, defaults, n_defaults * sizeof(*rules));
	bool all = systemd_device_list(rules, n_own + n_defaults, &list, &n);
	systemd_property_string(p, "DevicePolicy", all ? "auto" : "strict");
	/* What is sent is added to what is there; an empty list first takes that away. */
	begin(p, "DeviceAllow", "a(ss)");
	dbus_array_close(p, dbus_array_open(p, 8));
	if (all)
		return NULL;
	begin(p, "DeviceAllow", "a(ss)");
	struct dbus_array a = dbus_array_open(p, 8);
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *name = device_name(text, &list[i]);
		char access[4], *to = access;
		if (!name)
			continue;
		if (list[i].access & CG_DEV_READ)
			*to++ = 'r';
		if (list[i].access & CG_DEV_WRITE)
			*to++ = 'w';
		if (list[i].access & CG_DEV_MKNOD)
			*to++ = 'm';
		*to = '\0';
		dbus_align(p, 8);
		dbus_put_string(p, name);
		dbus_put_string(p, access);
	}
	dbus_array_close(p, a);
	return NULL;
}

struct err *systemd_properties_resources(struct strbuf *p, const struct cg_resources *r, bool v2)
{
	cpu(p, r, v2);
	if (v2)
		memory_v2(p, r);
	else
		limit(p, r, CG_MEMORY_LIMIT, "MemoryLimit");
	limit(p, r, CG_PIDS_LIMIT, "TasksMax");
	if (cg_has(r, CG_IO_WEIGHT)) /* 10 to 1000, and 1 to 10000 where 100 is the default of both */
		systemd_property_u64(p, v2 ? "IOWeight" : "BlockIOWeight",
				     v2 ? 1 + ((uint64_t)r->number[CG_IO_WEIGHT] - 10) * 9999 / 990
					: (uint64_t)r->number[CG_IO_WEIGHT]);
	cpu_mask(p, "AllowedCPUs", r->cpus);
	cpu_mask(p, "AllowedMemoryNodes", r->mems);
	if (v2)
		unified(p, r);
	return devices(p, r);
}

/* -- annotations ----------------------------------------------------------------------------------------------- */

#define ANNOTATION_PREFIX "org.systemd.property."

/* As runc: TimeoutStopSec is what people write, TimeoutStopUSec what the bus has. */
static struct err *put_seconds(struct strbuf *p, const struct json_cursor *c, const char *name,
			       const struct gvariant *v)
{
	_cleanup_free_ char *us = xasprintf("%.*sUSec", (int)(strlen(name) - 3), name);
	if (!v->numeric || !(v->number >= 0) || v->number > 1e13)
		return json_error(c, "must be a number of seconds");
	systemd_property_u64(p, us, (uint64_t)(v->number * 1e6));
	return NULL;
}

static struct err *put_annotation(struct strbuf *p, const struct json_cursor *c)
{
	static const char *const ours[] = {"Slice", "PIDs"};
	const char *name = c->key + strlen(ANNOTATION_PREFIX), *text;
	size_t n = strlen(name);
	struct gvariant v;
	for (size_t i = 0; i < n; i++)
		if (!isalpha((unsigned char)name[i]))
			n = 0;
	if (n < 4 || n > 100)
		return json_error(c, "is not the name of a systemd property, such as TimeoutStopUSec");
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (str_eq(name, ours[i]))
			return json_error(c, "cannot be set: linux.cgroupsPath decides about it");
	TRY(json_as_string(c, &text));
	struct err *e = gvariant_parse(text, &v);
	if (e) {
		_cleanup_free_ char *why = err_text(e);
		err_free(e);
		return json_error(c, "is not a value in GVariant's text format: %s", why);
	}
	if (n > 4 && str_ends(name, "Sec") && islower((unsigned char)name[n - 4])) {
		e = put_seconds(p, c, name, &v);
	} else {
		begin(p, name, v.type);
		gvariant_put(&v, p);
	}
	gvariant_release(&v);
	return e;
}

struct err *systemd_properties_annotations(struct strbuf *p, const struct json_cursor *config)
{
	struct json_cursor notes, member;
	TRY(json_get_object(config, "annotations", JSON_OPTIONAL, &notes));
	struct json_iter it = json_iter(&notes);
	while (json_next(&it, &member))
		if (str_starts(member.key, ANNOTATION_PREFIX))
			TRY(put_annotation(p, &member));
	return NULL;
}
