/* SPDX-License-Identifier: Apache-2.0 */
/* config.md "Process" with its POSIX and Linux parts. */
#include <limits.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sched.h>
#include <strings.h>
#include <sys/resource.h>

#include "base/memory.h"
#include "base/str.h"
#include "capabilities.h"
#include "spec.h"

struct name_value {
	const char *name;
	int value;
};

static const struct name_value rlimit_names[] = {
	{"RLIMIT_AS", RLIMIT_AS},
	{"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
};

static const struct name_value policy_names[] = {
	{"SCHED_OTHER", SCHED_OTHER},
	{"SCHED_FIFO", SCHED_FIFO},
	{"SCHED_RR", SCHED_RR},
	{"SCHED_BATCH", SCHED_BATCH},
	{"SCHED_ISO", 4},
	{"SCHED_IDLE", SCHED_IDLE},
	{"SCHED_DEADLINE", SCHED_DEADLINE_POLICY},
};

static const struct name_value sched_flag_names[] = {
	{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
	{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
	{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
	{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
	{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
	{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
	{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

static const struct name_value io_class_names[] = {
	{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
	{"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
	{"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
};

static int lookup(const struct name_value *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0)
			return (int)i;
	return -1;
}

static struct err *user_parse(const struct json_cursor *process, struct spec_process *p)
{
	struct json_cursor user, umask_c, gids;
	/* runc's callers may leave it out: root then. */
	TRY(json_get_object(process, "user", JSON_OPTIONAL, &user));
	if (!user.value)
		return NULL;
	TRY(json_get_u32(&user, "uid", JSON_OPTIONAL, &p->uid));
	TRY(json_get_u32(&user, "gid", JSON_OPTIONAL, &p->gid));
	/* (uid_t)-1 means "unchanged" to the kernel: it would leave the process root. */
	if (p->uid == UINT32_MAX || p->gid == UINT32_MAX)
		return json_error_at(&user, p->uid == UINT32_MAX ? "uid" : "gid",
				     "4294967295 is not a user or group id");
	TRY(json_get(&user, "umask", JSON_OPTIONAL, &umask_c));
	if (umask_c.value) {
		uint64_t v = 0;
		TRY(json_as_u64(&umask_c, 0777, &v));
		p->umask = (uint32_t)v;
		p->has_umask = true;
	}
	TRY(json_get_array(&user, "additionalGids", JSON_OPTIONAL, &gids));
	size_t n = json_array_len(&gids);
	if (n > 65536) /* NGROUPS_MAX */
		return json_error(&gids, "has more than 65536 groups");
	if (n)
		p->additional_gids = xnew_array(gid_t, n);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor c = json_at(&gids, i);
		uint64_t v = 0;
		TRY(json_as_u64(&c, UINT32_MAX - 1, &v));
		p->additional_gids[i] = (gid_t)v;
		p->n_additional_gids = i + 1;
	}
	return NULL;
}

static struct err *capability_set_parse(const struct json_cursor *caps, const char *key, uint64_t *ret,
					char ***unknown)
{
	struct json_cursor list;
	TRY(json_get_array(caps, key, JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor c = json_at(&list, i);
		const char *name;
		TRY(json_as_string(&c, &name));
		int number = capability_number(name);
		/* Unknown names warn (config.md): a newer caller may know more capabilities than we do. */
		if (number >= 0)
			*ret |= UINT64_C(1) << number;
		else if (!strv_contains(*unknown, name))
			strv_push(unknown, name);
	}
	return NULL;
}

static struct err *capabilities_parse(const struct json_cursor *process, struct spec_capabilities *ret)
{
	struct json_cursor caps;
	TRY(json_get_object(process, "capabilities", JSON_OPTIONAL, &caps));
	/* Absent means none at all: runc and crun drop everything then, and so must a drop-in. */
	ret->set = true;
	if (!caps.value)
		return NULL;
	TRY(capability_set_parse(&caps, "bounding", &ret->bounding, &ret->unknown));
	TRY(capability_set_parse(&caps, "effective", &ret->effective, &ret->unknown));
	TRY(capability_set_parse(&caps, "inheritable", &ret->inheritable, &ret->unknown));
	TRY(capability_set_parse(&caps, "permitted", &ret->permitted, &ret->unknown));
	TRY(capability_set_parse(&caps, "ambient", &ret->ambient, &ret->unknown));
	return NULL;
}

static struct err *rlimits_parse(const struct json_cursor *process, struct spec_process *p)
{
	struct json_cursor list;
	TRY(json_get_array(process, "rlimits", JSON_OPTIONAL, &list));
	size_t n = json_array_len(&list);
	if (n > ARRAY_SIZE(rlimit_names))
		return json_error(&list, "has more entries than there are limits");
	if (n)
		p->rlimits = xnew_array(struct spec_rlimit, n);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor c = json_at(&list, i);
		const char *type;
		TRY(json_get_string(&c, "type", JSON_REQUIRED, &type));
		int at = lookup(rlimit_names, ARRAY_SIZE(rlimit_names), type);
		if (at < 0)
			return json_error_at(&c, "type", "\"%.100s\" is not a resource limit", type);
		struct spec_rlimit *r = &p->rlimits[i];
		r->resource = rlimit_names[at].value;
		r->name = rlimit_names[at].name;
		TRY(json_get_u64(&c, "soft", JSON_REQUIRED, UINT64_MAX, &r->soft));
		TRY(json_get_u64(&c, "hard", JSON_REQUIRED, UINT64_MAX, &r->hard));
		if (r->soft > r->hard)
			return json_error_at(&c, "soft", "the soft limit is above the hard limit");
		for (size_t k = 0; k < i; k++)
			if (p->rlimits[k].resource == r->resource)
				return json_error_at(&c, "type", "%s is given twice", type);
		p->n_rlimits = i + 1;
	}
	return NULL;
}

static struct err *deadline_needs(const struct json_cursor *c, const char *name)
{
	struct json_cursor value;
	TRY(json_get(c, name, JSON_OPTIONAL, &value));
	if (!value.value)
		return json_error_at(c, name, "is missing: sched_setattr: `SCHED_DEADLINE` requires `%s`",
				     name);
	return NULL;
}

/* sched(7), and the kernel's __checkparam_dl: 1,024 ns are what its arithmetic can tell from 0, and bit 63 is its sign. */
static struct err *deadline_check(const struct json_cursor *c, const struct spec_scheduler *s)
{
	static const char who[] = "sched_setattr: `SCHED_DEADLINE`";
	TRY(deadline_needs(c, "runtime"));
	TRY(deadline_needs(c, "deadline"));
	if (!s->runtime)
		return json_error_at(c, "runtime", "%s runtime must be greater than 0", who);
	if (s->runtime < 1024 || s->runtime > INT64_MAX)
		return json_error_at(c, "runtime", "%s runtime %llu must be between 1024 and %lld", who,
				     (unsigned long long)s->runtime, (long long)INT64_MAX);
	if (s->runtime > s->deadline)
		return json_error_at(c, "runtime", "%s runtime %llu must be <= deadline %llu", who,
				     (unsigned long long)s->runtime, (unsigned long long)s->deadline);
	if (s->period && s->deadline > s->period)
		return json_error_at(c, "deadline", "%s deadline %llu must be <= period %llu", who,
				     (unsigned long long)s->deadline, (unsigned long long)s->period);
	return NULL;
}

/* What sched_setattr would refuse with a bare EINVAL, or silently drop. */
static struct err *scheduler_check(const struct json_cursor *c, const struct spec_scheduler *s)
{
	bool real_time = s->policy == SCHED_FIFO || s->policy == SCHED_RR;
	bool deadline = s->policy == SCHED_DEADLINE_POLICY;
	if (s->priority && !real_time)
		return json_error_at(c, "priority", "is for SCHED_FIFO and SCHED_RR only");
	if (!s->priority && real_time)
		return json_error_at(c, "priority", "must be 1 to 99 with SCHED_FIFO and SCHED_RR");
	if (s->runtime && !deadline)
		return json_error_at(c, "runtime", "is for SCHED_DEADLINE only");
	if (s->deadline && !deadline)
		return json_error_at(c, "deadline", "is for SCHED_DEADLINE only");
	if (s->period && !deadline)
		return json_error_at(c, "period", "is for SCHED_DEADLINE only");
	return deadline ? deadline_check(c, s) : NULL;
}

static struct err *scheduler_parse(const struct json_cursor *process, struct spec_process *p)
{
	struct json_cursor c, flags;
	const char *policy;
	int64_t nice = 0, priority = 0;
	TRY(json_get_object(process, "scheduler", JSON_OPTIONAL, &c));
	if (!c.value)
		return NULL;
	TRY(json_get_string(&c, "policy", JSON_REQUIRED, &policy));
	int at = lookup(policy_names, ARRAY_SIZE(policy_names), policy);
	if (at < 0)
		return json_error_at(&c, "policy", "\"%.100s\" is not a scheduling policy", policy);
	TRY(json_get_i64(&c, "nice", JSON_OPTIONAL, -20, 19, &nice));
	TRY(json_get_i64(&c, "priority", JSON_OPTIONAL, 0, 99, &priority));
	struct spec_scheduler *s = &p->scheduler;
	*s = (struct spec_scheduler){.size = sizeof(*s),
				     .policy = (uint32_t)policy_names[at].value,
				     .nice = (int32_t)nice,
				     .priority = (uint32_t)priority};
	TRY(json_get_u64(&c, "runtime", JSON_OPTIONAL, UINT64_MAX, &s->runtime));
	TRY(json_get_u64(&c, "deadline", JSON_OPTIONAL, UINT64_MAX, &s->deadline));
	TRY(json_get_u64(&c, "period", JSON_OPTIONAL, UINT64_MAX, &s->period));
	TRY(json_get_array(&c, "flags", JSON_OPTIONAL, &flags));
	for (size_t i = 0, n = json_array_len(&flags); i < n; i++) {
		struct json_cursor f = json_at(&flags, i);
		const char *name;
		TRY(json_as_string(&f, &name));
		at = lookup(sched_flag_names, ARRAY_SIZE(sched_flag_names), name);
		if (at < 0)
			return json_error(&f, "\"%s\" is not a scheduler flag", name);
		s->flags |= (uint64_t)sched_flag_names[at].value;
	}
	TRY(scheduler_check(&c, s));
	p->has_scheduler = true;
	return NULL;
}

static struct err *io_priority_parse(const struct json_cursor *process, struct spec_process *p)
{
	struct json_cursor c;
	const char *class;
	int64_t priority = 0;
	TRY(json_get_object(process, "ioPriority", JSON_OPTIONAL, &c));
	if (!c.value)
		return NULL;
	TRY(json_get_string(&c, "class", JSON_REQUIRED, &class));
	int at = lookup(io_class_names, ARRAY_SIZE(io_class_names), class);
	if (at < 0)
		return json_error_at(&c, "class", "\"%.100s\" is not an I/O priority class", class);
	TRY(json_get_i64(&c, "priority", JSON_OPTIONAL, 0, 7, &priority));
	p->io_priority = io_class_names[at].value << IOPRIO_CLASS_SHIFT | (int)priority;
	p->has_io_priority = true;
	return NULL;
}

static struct err *console_size_parse(const struct json_cursor *process, struct spec_process *p)
{
	struct json_cursor c;
	uint64_t rows = 0, columns = 0;
	if (!p->terminal) /* "Runtimes MUST ignore consoleSize" */
		return NULL;
	TRY(json_get_object(process, "consoleSize", JSON_OPTIONAL, &c));
	if (!c.value)
		return NULL;
	TRY(json_get_u64(&c, "height", JSON_REQUIRED, USHRT_MAX, &rows));
	TRY(json_get_u64(&c, "width", JSON_REQUIRED, USHRT_MAX, &columns));
	p->rows = (uint16_t)rows;
	p->columns = (uint16_t)columns;
	return NULL;
}

static struct err *strings_parse(const struct json_cursor *c, struct spec_process *p)
{
	TRY(json_get_string(c, "cwd", JSON_REQUIRED, &p->cwd));
	if (p->cwd[0] != '/')
		return json_error_at(c, "cwd", "\"%.100s\" must be absolute", p->cwd);
	TRY(json_get_strv(c, "args", JSON_REQUIRED, &p->args));
	if (!p->args || !p->args[0])
		return json_error_at(c, "args", "is empty: there is nothing to run");
	struct json_cursor list;
	TRY(json_get_array(c, "args", JSON_REQUIRED, &list));
	if (!*p->args[0]) {
		struct json_cursor first = json_at(&list, 0);
		return json_error(&first, "is empty: there is nothing to run");
	}
	TRY(json_get_strv(c, "env", JSON_OPTIONAL, &p->env));
	TRY(json_get_array(c, "env", JSON_OPTIONAL, &list));
	for (size_t i = 0; p->env && p->env[i]; i++) {
		struct json_cursor entry = json_at(&list, i);
		if (!strchr(p->env[i], '=') || p->env[i][0] == '=')
			return json_error(&entry, "\"%.100s\" is not NAME=value", p->env[i]);
	}
	env_drop_repeated(p->env);
	return NULL;
}

struct err *spec_set_parse(const struct json_cursor *object, const char *key, struct spec_set *ret)
{
	const char *list = NULL;
	const size_t word = 8 * sizeof(ret->bits[0]);
	TRY(json_get_string(object, key, JSON_OPTIONAL, &list));
	_cleanup_strv_ char **ranges = strv_split(list ? list : "", ", ");
	STRV_FOREACH (r, ranges) {
		uint64_t first, last;
		char *dash = strchr(*r, '-');
		if (dash)
			*dash = '\0';
		struct err *e = parse_u64(*r, "number", 0, SPEC_SET_MAX - 1, &first);
		last = first;
		if (!e && dash)
			e = parse_u64(dash + 1, "number", first, SPEC_SET_MAX - 1, &last);
		if (e) {
			err_free(e);
			return json_error_at(object, key,
					     "\"%.100s\" is not a list like 0-3,7 of numbers up to %d", list,
					     SPEC_SET_MAX - 1);
		}
		for (uint64_t n = first; n <= last; n++)
			ret->bits[n / word] |= 1UL << n % word;
		ret->given = true;
	}
	return NULL;
}

static struct err *affinity_parse(const struct json_cursor *process, struct spec_process *p)
{
	struct json_cursor c;
	TRY(json_get_object(process, "execCPUAffinity", JSON_OPTIONAL, &c));
	if (!c.value)
		return NULL;
	TRY(spec_set_parse(&c, "initial", &p->cpu_initial));
	return spec_set_parse(&c, "final", &p->cpu_final);
}

struct err *spec_process_parse(const struct json_cursor *c, struct spec_process *p)
{
	int64_t oom = 0;
	struct json_cursor oom_c;
	TRY(strings_parse(c, p));
	TRY(json_get_bool(c, "terminal", JSON_OPTIONAL, &p->terminal));
	TRY(console_size_parse(c, p));
	TRY(user_parse(c, p));
	TRY(capabilities_parse(c, &p->caps));
	TRY(rlimits_parse(c, p));
	TRY(json_get_string(c, "apparmorProfile", JSON_OPTIONAL, &p->apparmor_profile));
	TRY(json_get_string(c, "selinuxLabel", JSON_OPTIONAL, &p->selinux_label));
	if (str_empty(p->apparmor_profile))
		p->apparmor_profile = NULL;
	if (str_empty(p->selinux_label))
		p->selinux_label = NULL;
	TRY(json_get_bool(c, "noNewPrivileges", JSON_OPTIONAL, &p->no_new_privileges));
	TRY(json_get(c, "oomScoreAdj", JSON_OPTIONAL, &oom_c));
	if (oom_c.value) {
		TRY(json_as_i64(&oom_c, -1000, 1000, &oom));
		p->oom_score_adj = (int)oom;
		p->has_oom_score_adj = true;
	}
	TRY(scheduler_parse(c, p));
	TRY(io_priority_parse(c, p));
	return affinity_parse(c, p);
}

void spec_process_release(struct spec_process *p)
{
	strv_free(p->args);
	strv_free(p->env);
	free(p->additional_gids);
	free(p->rlimits);
	strv_free(p->caps.unknown);
	*p = (struct spec_process){0};
}
