/* SPDX-License-Identifier: Apache-2.0 */
/* container_update: limits, the restart policy and the published ports of a container that exists, and perhaps runs. */
#include <stdio.h>

#include "cgroup_driver.h"
#include "event.h"
#include "network/join.h"
#include "private.h"
#include "restart_policy.h"
#include "runtime/container.h"
#include "spec.h"

static bool is_up(const struct container *c)
{
	return c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED;
}

static struct err *merge_cpu(struct container_spec *s, const struct container_spec *u)
{
	if (u->nano_cpus && (s->cpu_period || s->cpu_quota))
		return err_new(ERR_INVALID, "conflicting options: --cpus cannot be updated as a CPU period "
					    "or quota has already been set");
	if ((u->cpu_period || u->cpu_quota) && s->nano_cpus)
		return err_new(ERR_INVALID, "conflicting options: the CPU period and quota cannot be updated "
					    "as --cpus has already been set");
	return NULL;
}

/* docker's rule: a limit that outgrows memory and swap together needs both. */
static struct err *check_swap(const struct container_spec *s, const struct container_spec *u)
{
	if (u->memory_bytes && !u->memory_swap_bytes && s->memory_swap_bytes > 0 &&
	    u->memory_bytes > s->memory_swap_bytes)
		return err_new(
			ERR_INVALID,
			"the memory limit should be smaller than the already set memory-swap limit; update "
			"--memory-swap at the same time");
	return NULL;
}

static struct err *merge(struct container_spec *s, const struct container_spec *u)
{
	static const size_t numbers[] = {
		offsetof(struct container_spec, memory_bytes),
		offsetof(struct container_spec, memory_swap_bytes),
		offsetof(struct container_spec, memory_reservation_bytes),
		offsetof(struct container_spec, nano_cpus),
		offsetof(struct container_spec, cpu_shares),
		offsetof(struct container_spec, cpu_period),
		offsetof(struct container_spec, cpu_quota),
		offsetof(struct container_spec, cpu_rt_period_us),
		offsetof(struct container_spec, cpu_rt_runtime_us),
		offsetof(struct container_spec, pids_limit),
		offsetof(struct container_spec, blkio_weight),
	};
	static const size_t texts[] = {
		offsetof(struct container_spec, cpuset_cpus),
		offsetof(struct container_spec, cpuset_mems),
		offsetof(struct container_spec, restart),
	};

	TRY(merge_cpu(s, u));
	TRY(check_swap(s, u));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int64_t v = *(const int64_t *)((const char *)u + numbers[i]);
		if (v != 0)
			*(int64_t *)((char *)s + numbers[i]) = v;
	}
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *v = *(char *const *)((const char *)u + texts[i]);
		char **at = (char **)((char *)s + texts[i]);
		if (!v)
			continue;
		free(*at);
		*at = xstrdup(v);
	}
	return NULL;
}

/* The group takes them at once. */
static struct err *apply(struct engine *e, const struct container *c, const struct container_spec *s)
{
	_cleanup_(rt_cgroup_freep) struct rt_cgroup *cgroup = NULL;
	_cleanup_json_ struct json *resources = NULL, *devices = NULL;

	TRY(spec_resources(s, &resources, &devices));
	json_remove(resources, "devices");
	TRY(container_cgroup(e, c, &cgroup));
	struct json_cursor root = json_root(resources);
	return rt_cgroup_update(cgroup, &root);
}

/* For the monitor of a run that began with another policy. */
static struct err *tell_monitor(const struct container *c, const char *policy)
{
	_cleanup_free_ char *path = xasprintf("%s/" RESTART_POLICY_FILE, c->root_dir);

	return file_replace_at(AT_FDCWD, path, policy, strlen(policy), 0600, FILE_DURABLE);
}

static struct err *store(struct engine *e, const struct container *c, const struct container_spec *s)
{
	_cleanup_json_ struct json *doc = container_spec_to_json(s);
	_cleanup_free_ char *text = json_print(doc, JSON_COMPACT);
	struct db *db;

	TRY(engine_db(e, &db));
	TRY(db_begin(db));
	struct err *error = db_run(db, NULL, "UPDATE containers SET spec=? WHERE id=?", "ss", text, c->id);
	if (!error)
		error = db_commit(db, true);
	if (error)
		db_rollback(db);
	return error;
}

static struct err *update(struct engine *e, struct container *c, const struct container_spec *u,
			  struct container_spec *s, char ***warnings)
{
	struct restart_policy policy;

	TRY(merge(s, u));
	TRY(restart_policy_parse(s->restart, &policy));
	if (u->restart && s->auto_remove && policy.kind != RESTART_NO)
		return err_new(ERR_INVALID, "the restart policy cannot be updated because the container is "
					    "to be removed (--rm) when it ends");
	TRY(limits_adjust(s, warnings));
	if (is_up(c))
		TRY(apply(e, c, s));
	if (u->restart)
		TRY(tell_monitor(c, s->restart));
	return store(e, c, s);
}

/* Changes a copy of the stored spec and puts it in the place of the old one. Under the lock that is returned. */
static struct err *begin(struct engine *e, struct container *c, struct container_spec *ret, int *ret_lock)
{
	_cleanup_json_ struct json *copy = NULL;

	TRY(container_lock(e, c, ret_lock));
	copy = container_spec_to_json(c->spec);
	return container_spec_from_json(copy, ret);
}

static struct err *finish(struct engine *e, struct container *c, struct container_spec *s, struct err *error)
{
	if (error) {
		container_spec_release(s);
		return err_wrap(error, "cannot update container %s", c->name);
	}
	container_spec_release(c->spec);
	*c->spec = *s;
	event_container(e, c, "update", NULL);
	return NULL;
}

struct err *container_update(struct engine *e, struct container *c, const struct container_spec *changes,
			     char ***warnings)
{
	_cleanup_fd_ int lock = -1;
	struct container_spec s = {0};

	TRY(begin(e, c, &s, &lock));
	return finish(e, c, &s, update(e, c, changes, &s, warnings));
}

static struct err *update_ports(struct engine *e, struct container *c, struct container_spec *s,
				char *const *add, char *const *remove)
{
	TRY(publish_edit(&s->publish, add, remove));
	if (is_up(c))
		TRY(network_update_ports(e, c, s));
	return store(e, c, s);
}

struct err *container_update_ports(struct engine *e, struct container *c, char *const *add,
				   char *const *remove)
{
	_cleanup_fd_ int lock = -1;
	struct container_spec s = {0};

	TRY(begin(e, c, &s, &lock));
	return finish(e, c, &s, update_ports(e, c, &s, add, remove));
}
