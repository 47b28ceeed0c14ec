/* SPDX-License-Identifier: Apache-2.0 */
/* config-linux.md, but for resources and seccomp (cgroup.h and seccomp.h read those). */
#include <limits.h>
#include <linux/mempolicy.h>
#include <net/if.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/sysmacros.h>

#include "base/memory.h"
#include "base/str.h"
#include "namespaces.h"
#include "runtime/cgroup.h"
#include "spec.h"

static struct err *namespaces_parse(struct spec *s)
{
	struct json_cursor list;
	TRY(json_get_array(&s->linux_, "namespaces", JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor c = json_at(&list, i);
		const char *type, *path = NULL;
		size_t kind = 0;
		TRY(json_get_string(&c, "type", JSON_REQUIRED, &type));
		TRY(json_get_string(&c, "path", JSON_OPTIONAL, &path));
		while (kind < SPEC_NS_COUNT && strcmp(namespace_kinds[kind].type, type) != 0)
			kind++;
		if (kind == SPEC_NS_COUNT)
			return json_error_at(&c, "type", "\"%.100s\" is not a namespace", type);
		if (s->ns[kind].present)
			return json_error_at(&c, "type", "the %s namespace is given twice", type);
		if (path && *path && *path != '/')
			return json_error_at(&c, "path", "\"%.100s\" must be absolute", path);
		s->ns[kind] = (struct spec_namespace){.present = true, .path = str_empty(path) ? NULL : path};
	}
	return NULL;
}

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	return a < (uint64_t)b + b_size && b < (uint64_t)a + a_size;
}

static struct err *maps_parse(const struct json_cursor *object, const char *key, struct spec_id_map **ret,
			      size_t *ret_n)
{
	struct json_cursor list;
	TRY(json_get_array(object, key, JSON_OPTIONAL, &list));
	size_t n = json_array_len(&list);
	if (n > 340) /* the kernel's limit */
		return json_error(&list, "has more than 340 ranges");
	if (n)
		*ret = xnew_array(struct spec_id_map, n);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor c = json_at(&list, i);
		struct spec_id_map *m = &(*ret)[i];
		TRY(json_get_u32(&c, "containerID", JSON_REQUIRED, &m->container_id));
		TRY(json_get_u32(&c, "hostID", JSON_REQUIRED, &m->host_id));
		TRY(json_get_u32(&c, "size", JSON_REQUIRED, &m->size));
		if (!m->size)
			return json_error_at(&c, "size", "is 0");
		if ((uint64_t)m->container_id + m->size > UINT32_MAX ||
		    (uint64_t)m->host_id + m->size > UINT32_MAX)
			return json_error(&c, "the range ends beyond 4294967294");
		for (size_t k = 0; k < i; k++)
			if (overlap(m->container_id, m->size, (*ret)[k].container_id, (*ret)[k].size) ||
			    overlap(m->host_id, m->size, (*ret)[k].host_id, (*ret)[k].size))
				return json_error(&c, "the range overlaps with that of entry %zu", k);
		*ret_n = i + 1;
	}
	return NULL;
}

struct err *spec_id_maps_parse(const struct json_cursor *object, struct spec_id_maps *ret)
{
	TRY(maps_parse(object, "uidMappings", &ret->uid, &ret->n_uid));
	TRY(maps_parse(object, "gidMappings", &ret->gid, &ret->n_gid));
	if (!ret->n_uid != !ret->n_gid)
		return json_error_at(object, ret->n_uid ? "gidMappings" : "uidMappings",
				     "is missing: uidMappings and gidMappings must be given together");
	return NULL;
}

void spec_id_maps_release(struct spec_id_maps *m)
{
	free(m->uid);
	free(m->gid);
	*m = (struct spec_id_maps){0};
}

static struct err *id_maps_check(struct spec *s)
{
	TRY(spec_id_maps_parse(&s->linux_, &s->maps));
	const struct spec_namespace *user = &s->ns[SPEC_NS_USER];
	if (s->maps.n_uid && !user->present)
		return json_error_at(&s->linux_, "uidMappings", "needs a user namespace in linux.namespaces");
	if (user->present && !user->path && !s->maps.n_uid)
		return json_error_at(&s->linux_, "uidMappings",
				     "is missing: a new user namespace needs uidMappings and gidMappings");
	return NULL;
}

static struct err *time_offset_parse(const struct json_cursor *offsets, const char *clock,
				     struct spec_time_offset *ret)
{
	struct json_cursor c;
	TRY(json_get_object(offsets, clock, JSON_OPTIONAL, &c));
	if (!c.value)
		return NULL;
	uint64_t nanoseconds = 0;
	TRY(json_get_i64(&c, "secs", JSON_OPTIONAL, INT64_MIN, INT64_MAX, &ret->seconds));
	TRY(json_get_u64(&c, "nanosecs", JSON_OPTIONAL, 999999999, &nanoseconds));
	ret->nanoseconds = (uint32_t)nanoseconds;
	ret->set = true;
	return NULL;
}

static struct err *time_offsets_parse(struct spec *s)
{
	struct json_cursor offsets, clock;
	TRY(json_get_object(&s->linux_, "timeOffsets", JSON_OPTIONAL, &offsets));
	struct json_iter it = json_iter(&offsets);
	while (json_next(&it, &clock))
		if (!str_eq(clock.key, "monotonic") && !str_eq(clock.key, "boottime"))
			return json_error(&clock, "this clock has no offset: only monotonic and boottime do");
	TRY(time_offset_parse(&offsets, "monotonic", &s->monotonic));
	TRY(time_offset_parse(&offsets, "boottime", &s->boottime));
	if ((s->monotonic.set || s->boottime.set) &&
	    (!s->ns[SPEC_NS_TIME].present || s->ns[SPEC_NS_TIME].path))
		return json_error(&offsets, "needs a new time namespace in namespaces");
	return NULL;
}

static struct err *device_parse(const struct json_cursor *c, struct spec_device *d)
{
	const char *type;
	int64_t major = 0, minor = 0;
	uint64_t mode = 0666;
	TRY(json_get_string(c, "path", JSON_REQUIRED, &d->path));
	if (d->path[0] != '/')
		return json_error_at(c, "path", "\"%.100s\" must be absolute", d->path);
	TRY(json_get_string(c, "type", JSON_REQUIRED, &type));
	if (strlen(type) != 1 || !strchr("cubp", *type))
		return json_error_at(c, "type", "\"%.100s\" must be c, u, b or p", type);
	d->type = *type == 'u' ? 'c' : *type;
	enum json_need need = d->type == 'p' ? JSON_OPTIONAL : JSON_REQUIRED;
	TRY(json_get_i64(c, "major", need, 0, 0xfff, &major));
	TRY(json_get_i64(c, "minor", need, 0, 0xfffff, &minor));
	TRY(json_get_u64(c, "fileMode", JSON_OPTIONAL, UINT32_MAX, &mode));
	TRY(json_get_u32(c, "uid", JSON_OPTIONAL, &d->uid));
	TRY(json_get_u32(c, "gid", JSON_OPTIONAL, &d->gid));
	d->major = (uint32_t)major;
	d->minor = (uint32_t)minor;
	d->mode = (uint32_t)mode & 07777; /* callers put S_IFCHR in as well */
	return NULL;
}

static struct err *devices_parse(struct spec *s)
{
	struct json_cursor list;
	TRY(json_get_array(&s->linux_, "devices", JSON_OPTIONAL, &list));
	size_t n = json_array_len(&list);
	if (n)
		s->devices = xnew_array(struct spec_device, n);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor c = json_at(&list, i);
		TRY(device_parse(&c, &s->devices[i]));
		s->n_devices = i + 1;
	}
	return NULL;
}

/* Only what belongs to a namespace of the container: anything else would change the host. sysctl(7) by namespace. */
static const char *const ipc_sysctls[] = {
	"kernel.msgmax",      "kernel.msgmnb",      "kernel.msgmni",      "kernel.sem",
	"kernel.shmall",      "kernel.shmmax",      "kernel.shmmni",      "kernel.shm_rmid_forced",
	"kernel.msg_next_id", "kernel.sem_next_id", "kernel.shm_next_id", "kernel.auto_msgmni",
};

static enum spec_ns sysctl_namespace(const char *dotted)
{
	for (size_t i = 0; i < ARRAY_SIZE(ipc_sysctls); i++)
		if (str_eq(dotted, ipc_sysctls[i]))
			return SPEC_NS_IPC;
	if (str_starts(dotted, "fs.mqueue."))
		return SPEC_NS_IPC;
	if (str_starts(dotted, "net."))
		return SPEC_NS_NET;
	if (str_eq(dotted, "kernel.domainname") || str_eq(dotted, "kernel.hostname"))
		return SPEC_NS_UTS;
	if (str_starts(dotted, "user."))
		return SPEC_NS_USER;
	return SPEC_NS_COUNT;
}

static struct err *sysctl_check(struct spec *s, const struct json_cursor *c, const char *path,
				const char *value)
{
	_cleanup_free_ char *dotted = xstrdup(path);
	/* A name whose first separator is a slash is written with slashes, so that names of interfaces may have dots. */
	for (char *p = dotted; *p; p++)
		if (*p == '/')
			*p = '.';
	if (strstr(path, "..") || dotted[0] == '.' || !*path || strstr(path, "//"))
		return json_error(c, "contains an invalid path: is not the name of a sysctl");
	enum spec_ns ns = sysctl_namespace(dotted);
	if (ns == SPEC_NS_COUNT)
		return json_error(c, "this sysctl belongs to the whole machine, not to a container");
	if (!s->ns[ns].present)
		return json_error(c, "needs a %s namespace of the container's own", namespace_kinds[ns].type);
	if (str_eq(dotted, "kernel.hostname"))
		return json_error(c, "is not allowed as it conflicts with the OCI \"hostname\" field");
	if (str_eq(dotted, "kernel.domainname") && s->domainname && !str_eq(value, s->domainname))
		return json_error(c, "conflicts with the OCI \"domainname\" field, which is \"%s\"",
				  s->domainname);
	s->sysctl_namespaces |= 1u << ns;
	return NULL;
}

static struct err *sysctls_parse(struct spec *s)
{
	struct json_cursor object, c;
	TRY(json_get_object(&s->linux_, "sysctl", JSON_OPTIONAL, &object));
	size_t cap = 0;
	struct json_iter it = json_iter(&object);
	while (json_next(&it, &c)) {
		const char *value;
		TRY(json_as_string(&c, &value));
		char *path = xstrdup(c.key);
		GROW(s->sysctls, s->n_sysctls, cap);
		s->sysctls[s->n_sysctls++] = (struct spec_pair){.key = path, .value = value};
		char *slash = strchr(path, '/'), *dot = strchr(path, '.');
		bool dots = dot && (!slash || dot < slash);
		for (char *p = path; dots && *p; p++) /* as sysctl(8): with dots, a slash stands for a dot */
			*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
		TRY(sysctl_check(s, &c, path, value));
	}
	return NULL;
}

static const struct {
	const char *name;
	unsigned long flag;
	bool recursive;
} propagations[] = {
	{"private", MS_PRIVATE, false},       {"rprivate", MS_PRIVATE, true},
	{"slave", MS_SLAVE, false},           {"rslave", MS_SLAVE, true},
	{"shared", MS_SHARED, false},         {"rshared", MS_SHARED, true},
	{"unbindable", MS_UNBINDABLE, false}, {"runbindable", MS_UNBINDABLE, true},
};

static struct err *propagation_parse(struct spec *s)
{
	const char *name = NULL;
	TRY(json_get_string(&s->linux_, "rootfsPropagation", JSON_OPTIONAL, &name));
	if (str_empty(name))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(propagations); i++)
		if (str_eq(propagations[i].name, name)) {
			s->rootfs_propagation = propagations[i].flag;
			s->rootfs_propagation_recursive = propagations[i].recursive;
			return NULL;
		}
	return json_error_at(&s->linux_, "rootfsPropagation", "\"%.100s\" is not a mount propagation", name);
}

static struct err *paths_parse(const struct spec *s, const char *key, char ***ret)
{
	struct json_cursor list;
	TRY(json_get_strv(&s->linux_, key, JSON_OPTIONAL, ret));
	TRY(json_get_array(&s->linux_, key, JSON_OPTIONAL, &list));
	for (size_t i = 0; *ret && (*ret)[i]; i++) {
		struct json_cursor entry = json_at(&list, i);
		if ((*ret)[i][0] != '/')
			return json_error(&entry, "\"%.100s\" must be absolute", (*ret)[i]);
	}
	return NULL;
}

static struct err *personality_parse(struct spec *s)
{
	struct json_cursor c, flags;
	const char *domain;
	TRY(json_get_object(&s->linux_, "personality", JSON_OPTIONAL, &c));
	if (!c.value)
		return NULL;
	TRY(json_get_string(&c, "domain", JSON_REQUIRED, &domain));
	if (!str_eq(domain, "LINUX") && !str_eq(domain, "LINUX32"))
		return json_error_at(&c, "domain", "\"%.100s\" must be LINUX or LINUX32", domain);
	TRY(json_get_array(&c, "flags", JSON_OPTIONAL, &flags));
	if (json_array_len(&flags))
		return json_error(&flags, "no flags are defined by the specification");
	s->has_personality = true;
	s->personality = str_eq(domain, "LINUX32") ? PER_LINUX32 : PER_LINUX;
	return NULL;
}

static bool is_interface_name(const char *name)
{
	size_t n = strlen(name);
	return n && n < IFNAMSIZ && !strpbrk(name, "/: \t\n\v\f\r") && !str_eq(name, ".") &&
	       !str_eq(name, "..");
}

/* A percent sign only as the kernel takes it: one "%d", which it replaces by the first free number. */
static bool is_template(const char *name)
{
	const char *percent = strchr(name, '%');
	return !percent || (percent[1] == 'd' && !strchr(percent + 1, '%'));
}

static struct err *net_devices_parse(struct spec *s)
{
	struct json_cursor object, c;
	TRY(json_get_object(&s->linux_, "netDevices", JSON_OPTIONAL, &object));
	size_t cap = 0;
	struct json_iter it = json_iter(&object);
	while (json_next(&it, &c)) {
		const char *name = c.key;
		TRY(json_get_string(&c, "name", JSON_OPTIONAL, &name));
		if (str_empty(name))
			name = c.key;
		if (!is_interface_name(c.key) || strchr(c.key, '%'))
			return json_error(&c, "is not the name of a network interface");
		if (!is_interface_name(name) || !is_template(name))
			return json_error_at(&c, "name", "\"%.100s\" is not the name of a network interface",
					     name);
		for (size_t i = 0; i < s->n_net_devices; i++)
			if (str_eq(s->net_devices[i].value, name) && !strchr(name, '%'))
				return json_error_at(&c, "name", "\"%s\" is given to %s already", name,
						     s->net_devices[i].key);
		GROW(s->net_devices, s->n_net_devices, cap);
		s->net_devices[s->n_net_devices++] = (struct spec_pair){.key = xstrdup(c.key), .value = name};
	}
	if (s->n_net_devices && !s->ns[SPEC_NS_NET].present)
		return json_error(&object, "unable to move network devices without a NET namespace in "
					   "linux.namespaces");
	return NULL;
}

static const struct {
	const char *name;
	int value;
} policies[] =
	{
		{"MPOL_DEFAULT", MPOL_DEFAULT},  {"MPOL_PREFERRED", MPOL_PREFERRED},
		{"MPOL_BIND", MPOL_BIND},        {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
		{"MPOL_LOCAL", MPOL_LOCAL},      {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY},
		{"MPOL_WEIGHTED_INTERLEAVE", 6},
},
  policy_flags[] = {
	  {"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
	  {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
	  {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
};

/* set_mempolicy(2) answers all of these with a bare EINVAL. */
static struct err *memory_policy_check(const struct json_cursor *c, int mode,
				       const struct spec_memory_policy *m)
{
	const int both = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;
	bool without = mode == MPOL_DEFAULT || mode == MPOL_LOCAL;
	if (without && m->nodes.given)
		return json_error_at(c, "nodes",
				     "must be absent: with this mode they are to set_mempolicy(2) an "
				     "invalid argument");
	if (!without && mode != MPOL_PREFERRED && !m->nodes.given)
		return json_error_at(c, "nodes", "is missing: this mode needs at least one");
	if ((m->mode & both) == both)
		return json_error_at(c, "flags",
				     "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
	if (m->mode & MPOL_F_NUMA_BALANCING && mode != MPOL_BIND && mode != MPOL_PREFERRED_MANY)
		return json_error_at(c, "flags",
				     "MPOL_F_NUMA_BALANCING is for MPOL_BIND and MPOL_PREFERRED_MANY only");
	return NULL;
}

static struct err *memory_policy_parse(struct spec *s)
{
	struct json_cursor c, flags;
	const char *mode = NULL;
	TRY(json_get_object(&s->linux_, "memoryPolicy", JSON_OPTIONAL, &c));
	struct json_iter members = json_iter(&c);
	if (!json_next(&members, &flags)) /* absent; or {}, which runc takes for the default policy */
		return NULL;
	TRY(json_get_string(&c, "mode", JSON_OPTIONAL, &mode));
	if (!mode)
		return json_error_at(&c, "mode", "invalid memory policy mode: is missing");
	size_t at = 0;
	while (at < ARRAY_SIZE(policies) && !str_eq(policies[at].name, mode))
		at++;
	if (at == ARRAY_SIZE(policies))
		return json_error_at(&c, "mode", "invalid memory policy mode \"%.100s\"", mode);
	s->memory_policy.mode = policies[at].value;
	TRY(json_get_array(&c, "flags", JSON_OPTIONAL, &flags));
	for (size_t i = 0, n = json_array_len(&flags); i < n; i++) {
		struct json_cursor f = json_at(&flags, i);
		const char *name;
		TRY(json_as_string(&f, &name));
		size_t k = 0;
		while (k < ARRAY_SIZE(policy_flags) && !str_eq(policy_flags[k].name, name))
			k++;
		if (k == ARRAY_SIZE(policy_flags))
			return json_error(&f, "invalid memory policy flag \"%s\"", name);
		s->memory_policy.mode |= policy_flags[k].value;
	}
	TRY_WRAP(spec_set_parse(&c, "nodes", &s->memory_policy.nodes), "invalid memory policy nodes");
	TRY(memory_policy_check(&c, policies[at].value, &s->memory_policy));
	s->memory_policy.set = true;
	return NULL;
}

struct err *spec_linux_parse(struct spec *s)
{
	TRY(json_get_object(&s->root, "linux", JSON_OPTIONAL, &s->linux_));
	if (!s->linux_.value)
		return json_error_at(&s->root, "linux",
				     "is missing: a container needs at least a mount namespace");
	TRY(namespaces_parse(s));
	if (!s->ns[SPEC_NS_MOUNT].present)
		return json_error_at(&s->linux_, "namespaces",
				     "has no {\"type\": \"mount\"}: without one the container's mounts would "
				     "be the host's");
	if (s->hostname && !s->ns[SPEC_NS_UTS].present)
		return json_error_at(&s->root, "hostname", "needs a uts namespace in linux.namespaces");
	if (s->domainname && !s->ns[SPEC_NS_UTS].present)
		return json_error_at(&s->root, "domainname", "needs a uts namespace in linux.namespaces");
	TRY(id_maps_check(s));
	TRY(time_offsets_parse(s));
	TRY(devices_parse(s));
	TRY(json_get_string(&s->linux_, "cgroupsPath", JSON_OPTIONAL, &s->cgroups_path));
	TRY(sysctls_parse(s));
	TRY(propagation_parse(s));
	TRY(paths_parse(s, "maskedPaths", &s->masked_paths));
	TRY(paths_parse(s, "readonlyPaths", &s->readonly_paths));
	TRY(json_get_string(&s->linux_, "mountLabel", JSON_OPTIONAL, &s->mount_label));
	TRY(personality_parse(s));
	TRY(net_devices_parse(s));
	TRY(memory_policy_parse(s));
	TRY(json_get_object(&s->linux_, "seccomp", JSON_OPTIONAL, &s->seccomp));
	TRY(json_get_object(&s->linux_, "resources", JSON_OPTIONAL, &s->resources));
	if (s->resources.value)
		TRY(rt_cgroup_check_resources(&s->resources));
	return spec_rdt_parse(s);
}
