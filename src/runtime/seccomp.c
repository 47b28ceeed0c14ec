/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp (runtime-spec 1.3, config-linux.md "Seccomp") from JSON to a profile, and loading of the program.
 *
 * Where the specification leaves room, this is runc's reading, because profiles are written against it: rules whose action is the
 * default action have no effect; conditions that name one argument twice are alternatives; a call above the highest number
 * that the profile knows gets ENOSYS instead of a refusing default, so that libc falls back; without `flags`, SPEC_ALLOW.
 */
#include "runtime/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "seccomp_private.h"

#define ERRNO_MAX 4095 /* what SECCOMP_RET_ERRNO can say */
#define CONDITIONS_MAX 64
#define RULES_MAX 65536

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

static const struct {
	const char *name;
	uint32_t action;
	bool takes_errno;
} actions[] = {
	{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false},
	{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true},
	{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false},
	{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false},
	{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false},
	{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false},
	{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true},
	{"SCMP_ACT_LOG", SECCOMP_RET_LOG, false},
	{"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF, false},
};

static const struct {
	const char *name;
	enum sc_op op;
} operators[] = {
	{"SCMP_CMP_EQ", SC_EQ},
	{"SCMP_CMP_NE", SC_NE},
	{"SCMP_CMP_LT", SC_LT},
	{"SCMP_CMP_LE", SC_LE},
	{"SCMP_CMP_GT", SC_GT},
	{"SCMP_CMP_GE", SC_GE},
	{"SCMP_CMP_MASKED_EQ", SC_MASKED_EQ},
};

static const struct {
	const char *name;
	uint32_t flag;
} flag_names[] = {
	{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
	{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
	{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

void sc_profile_release(struct sc_profile *p)
{
	free(p->rules);
	free(p->entries);
	free(p->first);
	free(p->last);
	free(p->known);
	*p = (struct sc_profile){0};
}

/* `key` is the action, `errno_key` its errno. */
static struct err *parse_action(const struct json_cursor *obj, const char *key, const char *errno_key,
				uint32_t *ret)
{
	const char *name = NULL;
	struct json_cursor at;
	uint64_t number = EPERM;

	TRY(json_get_string(obj, key, JSON_REQUIRED, &name));
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(name, actions[i].name) != 0)
			continue;
		TRY(json_get(obj, errno_key, JSON_OPTIONAL, &at));
		if (at.value && !actions[i].takes_errno)
			return json_error(&at, "%s takes no errno", name);
		if (at.value)
			TRY(json_as_u64(&at, ERRNO_MAX, &number));
		*ret = actions[i].action | (actions[i].takes_errno ? (uint32_t)number : 0);
		return NULL;
	}
	TRY(json_get(obj, key, JSON_REQUIRED, &at));
	return json_error(&at, "unknown action %.40s", name);
}

static struct err *parse_condition(const struct json_cursor *c, struct sc_condition *ret)
{
	uint64_t index = 0;
	const char *op = NULL;
	struct sc_condition cond = {0};
	struct json_cursor at;

	TRY(json_get_u64(c, "index", JSON_REQUIRED, SC_ARGS - 1, &index));
	TRY(json_get_u64(c, "value", JSON_REQUIRED, UINT64_MAX, &cond.value));
	TRY(json_get_u64(c, "valueTwo", JSON_OPTIONAL, UINT64_MAX, &cond.masked));
	TRY(json_get_string(c, "op", JSON_REQUIRED, &op));
	cond.index = (uint8_t)index;
	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		if (strcmp(op, operators[i].name) == 0) {
			cond.op = (uint8_t)operators[i].op;
			*ret = cond;
			return NULL;
		}
	}
	TRY(json_get(c, "op", JSON_REQUIRED, &at));
	return json_error(&at, "unknown operator %.40s", op);
}

static uint32_t add_rule(struct sc_profile *p, uint32_t action, const struct sc_condition *conditions,
			 size_t n)
{
	GROW(p->rules, p->n_rules, p->cap_rules);
	struct sc_rule *r = &p->rules[p->n_rules];
	*r = (struct sc_rule){.action = action, .n_conditions = (uint8_t)n};
	if (n)
		memcpy(r->conditions, conditions, n * sizeof(*conditions));
	return (uint32_t)p->n_rules++;
}

/* One rule, or one for each condition when an argument is named twice. */
static struct err *parse_conditions(const struct json_cursor *rule, struct sc_profile *p, uint32_t action,
				    uint32_t *ret_first, uint32_t *ret_n)
{
	struct json_cursor list;
	struct sc_condition conditions[CONDITIONS_MAX];
	unsigned seen = 0;
	bool twice = false;

	TRY(json_get_array(rule, "args", JSON_OPTIONAL, &list));
	size_t n = json_array_len(&list);
	if (n > CONDITIONS_MAX)
		return json_error(&list, "has more than %d entries", CONDITIONS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor c = json_at(&list, i);
		TRY(parse_condition(&c, &conditions[i]));
		twice |= (seen >> conditions[i].index & 1) != 0;
		seen |= 1u << conditions[i].index;
	}
	*ret_first = (uint32_t)p->n_rules;
	if (!twice) {
		add_rule(p, action, conditions, n);
	} else {
		for (size_t i = 0; i < n; i++)
			add_rule(p, action, &conditions[i], 1);
	}
	*ret_n = (uint32_t)p->n_rules - *ret_first;
	return NULL;
}

static void add_entry(struct sc_profile *p, int row, uint32_t rule)
{
	GROW(p->entries, p->n_entries, p->cap_entries);
	int32_t e = (int32_t)p->n_entries++;

	p->entries[e] = (struct sc_entry){.rule = rule, .next = -1};
	if (p->first[row] < 0)
		p->first[row] = e;
	else
		p->entries[p->last[row]].next = e;
	p->last[row] = e;
}

static struct err *parse_rule(const struct json_cursor *rule, struct sc_profile *p, bool *ret_notify)
{
	struct json_cursor names;
	uint32_t action = 0, first = 0, n = 0;

	TRY(json_get_array(rule, "names", JSON_REQUIRED, &names));
	size_t n_names = json_array_len(&names);
	if (n_names == 0)
		return json_error(&names, "is empty");
	TRY(parse_action(rule, "action", "errnoRet", &action));
	if (p->n_rules > RULES_MAX || p->n_entries > RULES_MAX)
		return json_error(rule, "too many rules");
	TRY(parse_conditions(rule, p, action, &first, &n));
	bool notify = action == SECCOMP_RET_USER_NOTIF;
	*ret_notify |= notify;
	for (size_t i = 0; i < n_names; i++) {
		struct json_cursor at = json_at(&names, i);
		const char *name = NULL;

		TRY(json_as_string(&at, &name));
		int row = sc_row(name);
		if (row < 0)
			continue; /* newer than we are, or of another architecture */
		if (notify && strcmp(name, "write") == 0)
			return json_error(&at, "SCMP_ACT_NOTIFY cannot be used for the write syscall: the "
					       "runtime itself would wait for the answer");
		p->known[row] = 1;
		if (action == p->default_action)
			continue;
		for (uint32_t r = 0; r < n; r++)
			add_entry(p, row, first + r);
	}
	return NULL;
}

static struct err *parse_architectures(const struct json_cursor *c, bool foreign, struct sc_profile *p)
{
	struct json_cursor list;

	p->arches[p->n_arches++] = sc_arch_native();
	TRY(json_get_array(c, "architectures", JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor at = json_at(&list, i);
		const char *name = NULL;
		bool present = false;

		TRY(json_as_string(&at, &name));
		const struct sc_arch *a = sc_arch_by_name(name);
		if (sc_arch_without_table(name))
			continue;
		if (!a)
			return json_error(&at, "unknown architecture %.40s", name);
		/* One that cannot run on this machine needs no code: its calls cannot happen. */
		if (!foreign && !sc_arch_runs_here(a))
			continue;
		for (size_t j = 0; j < p->n_arches; j++)
			present |= p->arches[j] == a;
		if (!present && p->n_arches < ARRAY_SIZE(p->arches))
			p->arches[p->n_arches++] = a;
	}
	return NULL;
}

struct err *sc_flags_parse(const struct json_cursor *c, uint32_t *ret)
{
	struct json_cursor list;
	uint32_t flags = 0;

	TRY(json_get_array(c, "flags", JSON_OPTIONAL, &list));
	if (!list.value)
		flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor at = json_at(&list, i);
		const char *name = NULL;
		uint32_t flag = 0;

		TRY(json_as_string(&at, &name));
		for (size_t f = 0; f < ARRAY_SIZE(flag_names); f++)
			if (strcmp(name, flag_names[f].name) == 0)
				flag = flag_names[f].flag;
		if (!flag)
			return json_error(&at, "unknown flag %.60s", name);
		flags |= flag;
	}
	*ret = flags;
	return NULL;
}

static struct err *parse_settings(const struct json_cursor *c, const struct sc_profile *p,
				  struct rt_seccomp *s)
{
	const char *path = NULL, *metadata = NULL;
	struct json_cursor at;

	TRY(sc_flags_parse(c, &s->flags));
	TRY(json_get_string(c, "listenerPath", JSON_OPTIONAL, &path));
	TRY(json_get_string(c, "listenerMetadata", JSON_OPTIONAL, &metadata));
	if (p->default_action == SECCOMP_RET_USER_NOTIF) {
		TRY(json_get(c, "defaultAction", JSON_REQUIRED, &at));
		return json_error(&at, "SCMP_ACT_NOTIFY cannot be the default: the runtime itself would wait "
				       "for the answer");
	}
	if (!str_empty(metadata) && str_empty(path))
		return json_error(c, "listenerMetadata without listenerPath");
	s->listener_path = str_empty(path) ? NULL : xstrdup(path);
	s->listener_metadata = str_empty(metadata) ? NULL : xstrdup(metadata);
	return NULL;
}

static struct err *parse_profile(const struct json_cursor *c, bool foreign, struct sc_profile *p,
				 struct rt_seccomp *s)
{
	struct json_cursor rules;

	p->first = xmalloc(sc_row_count * sizeof(*p->first));
	p->last = xmalloc(sc_row_count * sizeof(*p->last));
	p->known = xcalloc(sc_row_count, 1);
	memset(p->first, 0xff, sc_row_count * sizeof(*p->first));
	TRY(parse_action(c, "defaultAction", "defaultErrnoRet", &p->default_action));
	uint32_t kind = p->default_action & SECCOMP_RET_ACTION_FULL;
	p->enosys_above = kind != SECCOMP_RET_ALLOW && kind != SECCOMP_RET_LOG && kind != SECCOMP_RET_TRACE &&
			  p->default_action != (SECCOMP_RET_ERRNO | ENOSYS);
	TRY(parse_architectures(c, foreign, p));
	TRY(json_get_array(c, "syscalls", JSON_OPTIONAL, &rules));
	for (size_t i = 0, n = json_array_len(&rules); i < n; i++) {
		struct json_cursor rule = json_at(&rules, i);
		TRY(parse_rule(&rule, p, &s->notify));
	}
	return parse_settings(c, p, s);
}

struct err *sc_profile_parse(const struct json_cursor *seccomp, bool foreign, struct sc_profile *ret,
			     struct rt_seccomp *ret_settings)
{
	struct sc_profile p = {0};
	struct rt_seccomp s = {0};

	struct err *e = json_kind(seccomp) == JSON_OBJECT ? parse_profile(seccomp, foreign, &p, &s)
							  : json_error(seccomp, "must be an object");
	if (e) {
		sc_profile_release(&p);
		rt_seccomp_release(&s);
		return e;
	}
	*ret = p;
	*ret_settings = s;
	return NULL;
}

struct err *rt_seccomp_compile(const struct json_cursor *seccomp, struct rt_seccomp *ret)
{
	_cleanup_(sc_profile_release) struct sc_profile p = {0};
	struct rt_seccomp s = {0};

	TRY(sc_profile_parse(seccomp, false, &p, &s));
	struct err *e = sc_bpf_build(&p, &s.insns, &s.n_insns);
	if (e) {
		rt_seccomp_release(&s);
		return e;
	}
	*ret = s;
	return NULL;
}

void rt_seccomp_release(struct rt_seccomp *s)
{
	free(s->insns);
	free(s->listener_path);
	free(s->listener_metadata);
	*s = (struct rt_seccomp){0};
}

struct err *rt_seccomp_load(const struct rt_seccomp *s, int *ret_listener)
{
	struct sock_fprog program = {.len = (unsigned short)s->n_insns, .filter = s->insns};
	uint32_t flags = s->flags;

	/* The caller has one thread: there is nothing to synchronise, and a listener does not go together with it. */
	flags &= ~(uint32_t)SECCOMP_FILTER_FLAG_TSYNC;
	if (s->notify)
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	else
		flags &= ~(uint32_t)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (rc < 0 && errno == EINVAL && (flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV))
		return err_new(
			ERR_UNSUPPORTED,
			"linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19");
	if (rc < 0)
		return err_errno(errno, "linux.seccomp: cannot load the filter of %zu instructions",
				 s->n_insns);
	*ret_listener = s->notify ? (int)rc : -1;
	return NULL;
}
