/* SPDX-License-Identifier: Apache-2.0 */
/* The systemd driver: the group of a container is that of a transient unit, made by systemd and delegated to us.
 *
 * Invariants
 * 1. The state file names the unit before systemd is asked for it; so `delete` finds whatever a killed maker has left.
 * 2. Only a unit that systemd has made for us is ever stopped by the one who makes it: another's of the same name is an error.
 * 3. Within the unit's group everything is done by the files, as in other groups, and the properties repeat it
 *    (systemd_properties.h).
 */
#include <ctype.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/dbus.h"
#include "base/file.h"
#include "base/memory.h"
#include "cgroup_private.h"
#include "systemd.h"
#include "systemd_properties.h"

#define TIMEOUT_MS 30000 /* of each step; a machine that boots a hundred containers at once has such queues */
#define STOP_TIMEOUT_MS 10000 /* nothing is alive in the unit any more */
#define UNIT_NAME_MAX 255

/* -- names ----------------------------------------------------------------------------------------------------- */

static bool is_slice(const char *unit)
{
	return str_ends(unit, ".slice");
}

/* What unit names may not contain becomes \xNN, as systemd-escape does it. */
static void put_escaped(struct strbuf *b, const char *s)
{
	for (; *s; s++)
		if (isalnum((unsigned char)*s) || strchr(":_.\\-@", *s))
			strbuf_putc(b, *s);
		else
			strbuf_printf(b, "\\x%02x", (unsigned char)*s);
}

struct err *cg_slice_path(const char *slice, char **ret)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	size_t n = strlen(slice);
	if (str_eq(slice, "-") || str_eq(slice, "-.slice")) {
		*ret = xstrdup("");
		return NULL;
	}
	if (!is_slice(slice) || n == strlen(".slice") || n > UNIT_NAME_MAX || strchr(slice, '/') ||
	    slice[0] == '-' || strstr(slice, "--") || strstr(slice, "-.slice"))
		return err_new(ERR_INVALID,
			       "linux.cgroupsPath: \"%.64s\" is not the name of a systemd slice, such as "
			       "machine.slice or a-b.slice",
			       slice);
	/* a-b.slice is in a.slice. */
	for (const char *dash = strchr(slice, '-'); dash; dash = strchr(dash + 1, '-'))
		strbuf_printf(&path, "/%.*s.slice", (int)(dash - slice), slice);
	strbuf_printf(&path, "/%s", slice);
	*ret = strbuf_take(&path);
	return NULL;
}

/* SLICE:PREFIX:NAME into the unit's names. */
struct err *cg_unit_parse(const char *path, const char *id, bool user, struct cg_unit *u)
{
	_cleanup_strbuf_ struct strbuf name = {0};
	_cleanup_free_ char *usual = xasprintf(":havre:%s", id), *slice = NULL;
	if (str_empty(path))
		path = usual;
	const char *first = strchr(path, ':'), *second = first ? strchr(first + 1, ':') : NULL;
	if (!second || strchr(second + 1, ':') || !second[1])
		return err_new(
			ERR_INVALID,
			"linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" "
			"for systemd cgroups, got \"%.200s\" instead",
			path);
	slice = xstrndup(path, (size_t)(first - path));
	if (second > first + 1 && !is_slice(second + 1)) {
		_cleanup_free_ char *prefix = xstrndup(first + 1, (size_t)(second - first - 1));
		put_escaped(&name, prefix);
		strbuf_putc(&name, '-');
	}
	put_escaped(&name, second + 1);
	if (!is_slice(second + 1))
		strbuf_puts(&name, ".scope");
	if (name.len > UNIT_NAME_MAX)
		return err_new(ERR_INVALID, "linux.cgroupsPath: the unit's name is longer than %d bytes",
			       UNIT_NAME_MAX);
	u->parent = !*slice              ? xstrdup(user ? "user.slice" : "system.slice")
		    : str_eq(slice, "-") ? xstrdup("-.slice")
					 : TAKE_PTR(slice);
	u->name = strbuf_take(&name);
	return NULL;
}

static struct err *unit_path(const struct cg_unit *u, char **ret)
{
	_cleanup_free_ char *parent = NULL;
	if (is_slice(u->name))
		return cg_slice_path(u->name, ret);
	TRY(cg_slice_path(u->parent, &parent));
	*ret = xasprintf("%s/%s", parent, u->name);
	return NULL;
}

/* -- the unit's form in the state file -------------------------------------------------------------------------- */

void cg_unit_free(struct cg_unit *u)
{
	if (!u)
		return;
	free(u->name);
	free(u->parent);
	free(u->subgroup);
	strbuf_release(&u->properties);
	systemd_free(u->manager);
	free(u);
}
DEFINE_CLEANUP(struct cg_unit *, cg_unit_free)

void cg_unit_to_json(const struct cg_unit *u, struct json *group)
{
	struct json *o = json_new_object();
	json_set_string(o, "name", u->name);
	json_set_string(o, "parent", u->parent);
	json_set_string(o, "subgroup", u->subgroup);
	json_set_bool(o, "user", u->user);
	json_set(group, "unit", o);
}

struct err *cg_unit_from_json(const struct json_cursor *group, struct cg_unit **ret)
{
	struct json_cursor o;
	const char *name = NULL, *parent = NULL, *subgroup = NULL;
	bool user = false;
	TRY(json_get_object(group, "unit", JSON_OPTIONAL, &o));
	if (!o.value)
		return NULL;
	TRY(json_get_string(&o, "name", JSON_REQUIRED, &name));
	TRY(json_get_string(&o, "parent", JSON_REQUIRED, &parent));
	TRY(json_get_string(&o, "subgroup", JSON_REQUIRED, &subgroup));
	TRY(json_get_bool(&o, "user", JSON_REQUIRED, &user));
	struct cg_unit *u = xnew(struct cg_unit);
	*u = (struct cg_unit){.name = xstrdup(name),
			      .parent = xstrdup(parent),
			      .subgroup = xstrdup(subgroup),
			      .user = user};
	*ret = u;
	return NULL;
}

/* -- planning ---------------------------------------------------------------------------------------------------- */

/* Whose systemd: in a user namespace root may be an ordinary user, or the root of a container that has a systemd. */
static bool users_systemd(void)
{
	return geteuid() != 0 ||
	       (cg_may_go_without(RT_ROOTLESS_AUTO) && access("/run/systemd/private", W_OK) < 0);
}

/* crun's annotation: the container's group is one below the unit's. */
static struct err *read_subgroup(const struct json_cursor *config, char **ret)
{
	struct json_cursor notes;
	const char *value = "";
	TRY(json_get_object(config, "annotations", JSON_OPTIONAL, &notes));
	if (notes.value)
		TRY(json_get_string(&notes, "run.oci.systemd.subgroup", JSON_OPTIONAL, &value));
	if (!*value) {
		*ret = xstrdup("");
		return NULL;
	}
	TRY_WRAP(cg_clean_path(value, ret), "annotations: run.oci.systemd.subgroup");
	return NULL;
}

static struct err *plan_unit(const char *path, const char *id, const struct json_cursor *config,
			     struct cg_unit **ret)
{
	_cleanup_(cg_unit_freep) struct cg_unit *u = xnew(struct cg_unit);
	u->user = users_systemd();
	TRY(cg_unit_parse(path, id, u->user, u));
	TRY(read_subgroup(config, &u->subgroup));
	_cleanup_free_ char *description = xasprintf("havre container %s", id);
	systemd_property_string(&u->properties, "Description", description);
	TRY(systemd_properties_annotations(&u->properties, config));
	*ret = TAKE_PTR(u);
	return NULL;
}

struct err *rt_cgroup_new_systemd(const char *path, const char *id, const struct json_cursor *config,
				  struct rt_cgroup **ret)
{
	_cleanup_free_ char *root = NULL, *below = NULL, *full = NULL, *clean = NULL;
	_cleanup_(cg_unit_freep) struct cg_unit *u = NULL;
	const struct cg_machine *m;

	TRY(plan_unit(path, id, config, &u));
	TRY(unit_path(u, &below));
	TRY(cg_machine_get(&m));
	if (u->user && m->mode != RT_CGROUP_V2)
		return err_new(
			ERR_UNSUPPORTED,
			"an ordinary user can have control groups of systemd only on a machine whose control "
			"groups are all v2");
	TRY(systemd_connect(u->user, TIMEOUT_MS, &u->manager));
	/* Where its groups begin: "" for the host's, deeper for a user's or for that of a container. */
	TRY(systemd_manager_property(u->manager, "ControlGroup", &root));
	full = xasprintf("%s%s%s", root, below, u->subgroup);
	TRY_WRAP(cg_clean_path(full, &clean), "systemd's ControlGroup");
	struct rt_cgroup *cg = cg_new(m->mode);
	for (size_t i = 0; i < m->n; i++)
		cg_add(cg, m->h[i].name, m->h[i].mountpoint, clean, m->h[i].v2, m->h[i].controllers);
	cg->unit = TAKE_PTR(u);
	*ret = cg;
	return NULL;
}

struct err *rt_cgroup_force_v1(struct rt_cgroup *cg, const char *mountpoint)
{
	struct statfs fs;
	int v2 = cg_find_v2(cg);
	if (cg->mode != RT_CGROUP_V2 || v2 < 0)
		return NULL; /* it is there anyway */
	if (mountpoint[0] != '/' || statfs(mountpoint, &fs) < 0 ||
	    (unsigned long)fs.f_type != CGROUP_SUPER_MAGIC)
		return err_new(ERR_INVALID,
			       "annotations: run.oci.systemd.force_cgroup_v1: %s is not a mount of cgroup "
			       "v1: mkdir it and "
			       "mount -t cgroup -o none,name=systemd,xattr cgroup on it",
			       mountpoint);
	_cleanup_free_ char *path = xstrdup(cg->h[v2].path);
	cg_add(cg, "systemd", mountpoint, path, false, 0);
	return NULL;
}

/* -- making ------------------------------------------------------------------------------------------------------ */

static struct err *start_unit(struct cg_unit *u, const struct cg_resources *r, bool v2, pid_t pid,
			      bool *ret_made)
{
	_cleanup_strbuf_ struct strbuf p = {0};
	if (is_slice(u->name)) {
		systemd_property_strv(&p, "Wants", u->parent);
	} else {
		systemd_property_string(&p, "Slice", u->parent);
		systemd_property_bool(&p, "Delegate", true);
		systemd_property_pid(&p, pid);
	}
	systemd_property_bool(&p, "CPUAccounting", true);
	systemd_property_bool(&p, "MemoryAccounting", true);
	systemd_property_bool(&p, "TasksAccounting", true);
	systemd_property_bool(&p, v2 ? "IOAccounting" : "BlockIOAccounting", true);
	systemd_property_bool(&p, "DefaultDependencies", false);
	/* Nobody looks at a scope that failed (for want of memory, say), so it need not be kept for that. */
	systemd_property_string(&p, "CollectMode", "inactive-or-failed");
	TRY(systemd_properties_resources(&p, r, v2));
	/* Last: the configuration's own word wins. */
	dbus_align(&p, 8);
	strbuf_append(&p, u->properties.data, u->properties.len);
	struct err *e = systemd_start_unit(u->manager, u->name, &p, ret_made);
	return e ? err_wrap(e, "cannot make the systemd unit %s", u->name) : NULL;
}

static bool is_in(pid_t pid, const char *path)
{
	char file[32];
	_cleanup_free_ char *text = NULL, *line = xasprintf("0::%s\n", path);
	size_t size;
	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	struct err *e = file_read(file, 1u << 20, &text, &size);
	if (e) {
		err_free(e);
		return false;
	}
	const char *found = strstr(text, line);
	return found && (found == text || found[-1] == '\n');
}

/* systemd puts it into the hierarchies that it uses, and never into a sub-group or a slice. */
static struct err *move_process(struct rt_cgroup *cg, pid_t pid)
{
	const struct cg_unit *u = cg->unit;
	char text[16];
	snprintf(text, sizeof(text), "%d", (int)pid);
	for (size_t i = 0; i < cg->n; i++) {
		bool v2 = cg->h[i].v2;
		if (v2 && !cg->delegate && is_in(pid, cg->h[i].path))
			continue;
		_cleanup_free_ char *dir = cg_entered(cg, (int)i);
		int rc = cg_write(dir, "cgroup.procs", text);
		if (rc == EACCES && v2) {
			_cleanup_free_ char *below =
				xasprintf("%s%s", u->subgroup, cg->delegate ? cg->delegate : "");
			TRY(systemd_attach_process(u->manager, u->name, *below ? below : "/", pid));
		} else if (rc) {
			return err_errno(rc, "cannot move the container's process into cgroup %s", dir);
		}
	}
	return NULL;
}

static struct err *create(struct rt_cgroup *cg, const struct cg_resources *r, pid_t pid, bool *ret_made)
{
	TRY(start_unit(cg->unit, r, cg->mode == RT_CGROUP_V2, pid, ret_made));
	TRY(cg_make_groups(cg, true, RT_ROOTLESS_FALSE));
	TRY(cg_delegate_make(cg));
	TRY(move_process(cg, pid)); /* out of a delegated group that gets sub-groups with controllers */
	TRY(cg_open_v2(cg));
	TRY(cg_apply(cg, r));
	cg_delegate_enable(cg);
	return NULL;
}

struct err *rt_cgroup_create_systemd(struct rt_cgroup *cg, const struct json_cursor *resources, pid_t pid,
				     bool *ret_made)
{
	_cleanup_cg_resources_ struct cg_resources r = {0};
	TRY(cg_resources_parse(resources, &r));
	struct err *e = create(cg, &r, pid, ret_made);
	systemd_free(TAKE_PTR(cg->unit->manager));
	return e;
}

/* -- later --------------------------------------------------------------------------------------------------------- */

static void complete(struct cg_resources *r, enum cg_number n, int64_t value)
{
	if (cg_has(r, n) || value < 0)
		return;
	r->number[n] = value;
	r->set |= 1u << n;
}

/* A property can say two things of the specification at once: what is not to change is read from the group. */
static void complete_update(const struct rt_cgroup *cg, struct cg_resources *r)
{
	int v2 = cg_find_v2(cg), v1 = cg_find_v1(cg, CG_CPU);
	bool quota = cg_has(r, CG_CPU_QUOTA), period = cg_has(r, CG_CPU_PERIOD);
	char text[64];
	long long now_quota = -1, now_period = -1;
	uint64_t memory;
	if (quota != period && v1 >= 0) {
		if (cg_read(cg->g[v1].dir, "cpu.cfs_quota_us", text, sizeof(text)) == 0)
			(void)sscanf(text, "%lld", &now_quota);
		if (cg_read(cg->g[v1].dir, "cpu.cfs_period_us", text, sizeof(text)) == 0)
			(void)sscanf(text, "%lld", &now_period);
	} else if (quota != period && v2 >= 0 && cg_read(cg->g[v2].dir, "cpu.max", text, sizeof(text)) == 0) {
		if (sscanf(text, "%lld %lld", &now_quota, &now_period) != 2)
			(void)sscanf(text, "max %lld", &now_period);
	}
	complete(r, CG_CPU_QUOTA, quota == period ? -1 : now_quota);
	complete(r, CG_CPU_PERIOD, quota == period ? -1 : now_period);
	if (cg_has(r, CG_MEMORY_SWAP) && v2 >= 0 && cg->mode == RT_CGROUP_V2 &&
	    cg_read_u64(cg->g[v2].dir, "memory.max", &memory) == 0 && memory <= INT64_MAX)
		complete(r, CG_MEMORY_LIMIT, (int64_t)memory);
}

struct err *cg_unit_update(struct rt_cgroup *cg, struct cg_resources *r)
{
	_cleanup_(systemd_freep) struct systemd *manager = NULL;
	_cleanup_strbuf_ struct strbuf p = {0};
	complete_update(cg, r);
	TRY(systemd_properties_resources(&p, r, cg->mode == RT_CGROUP_V2));
	if (p.len == 0)
		return NULL;
	TRY(systemd_connect(cg->unit->user, TIMEOUT_MS, &manager));
	return systemd_set_properties(manager, cg->unit->name, &p);
}

void cg_unit_stop(const struct cg_unit *u)
{
	_cleanup_(systemd_freep) struct systemd *manager = NULL;
	struct err *e = systemd_connect(u->user, STOP_TIMEOUT_MS, &manager);
	if (!e)
		e = systemd_stop_unit(manager, u->name);
	err_free(e);
}
