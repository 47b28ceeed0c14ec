/* SPDX-License-Identifier: Apache-2.0 */
/* Random profiles of every shape, action, operator and architecture against a plain evaluator of what the specification (and runc's
 * reading of it, see seccomp.c) says of one call. libseccomp 2.5 compiles several of these shapes wrongly, so it cannot judge them. */
#include "seccomp_interpret.h"

#define ARCHES_MAX 5
#define RULES 30
#define NAMES_MAX 3

struct rule {
	int rows[NAMES_MAX];
	size_t n_rows;
	uint32_t action;
	struct sc_condition conditions[4];
	size_t n_conditions;
	bool alternatives; /* an argument is named twice */
};
struct profile {
	uint32_t default_action;
	const struct sc_arch *arches[ARCHES_MAX];
	size_t n_arches;
	struct rule rules[RULES];
	size_t n_rules;
};

/* -- the evaluator ------------------------------------------------------------------------------------------- */

static bool holds(const struct sc_condition *c, bool wide, const __u64 *args)
{
	uint64_t arg = args[c->index], value = c->value, masked = c->masked;

	if (!wide) {
		arg = (uint32_t)arg;
		value = (uint32_t)value;
		masked = (uint32_t)masked;
	}
	switch ((enum sc_op)c->op) {
	case SC_EQ:
		return arg == value;
	case SC_NE:
		return arg != value;
	case SC_LT:
		return arg < value;
	case SC_LE:
		return arg <= value;
	case SC_GT:
		return arg > value;
	case SC_GE:
		return arg >= value;
	case SC_MASKED_EQ:
		return (arg & value) == masked;
	}
	return false;
}

static bool rule_holds(const struct rule *r, bool wide, const __u64 *args)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_conditions; i++)
		n += holds(&r->conditions[i], wide, args);
	return r->alternatives ? n > 0 : n == r->n_conditions;
}

static bool names(const struct rule *r, const struct sc_arch *a, int64_t number)
{
	for (size_t i = 0; i < r->n_rows; i++)
		if (sc_row_number(r->rows[i], a->column) == number)
			return true;
	return false;
}

static bool is_permissive(uint32_t action)
{
	uint32_t kind = action & SECCOMP_RET_ACTION_FULL;

	return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
}

static int64_t highest_named(const struct profile *p, const struct sc_arch *a)
{
	int64_t highest = -1;

	for (size_t r = 0; r < p->n_rules; r++)
		for (size_t i = 0; i < p->rules[r].n_rows; i++) {
			int64_t number = sc_row_number(p->rules[r].rows[i], a->column);
			if (number > highest && !(a->column == SC_ARM && number >= SC_ARM_PRIVATE))
				highest = number;
		}
	return highest;
}

static const struct sc_arch *arch_of(const struct profile *p, uint32_t audit, uint32_t nr)
{
	bool x32 = audit == AUDIT_ARCH_X86_64 && nr & SC_X32_BIT;

	for (size_t i = 0; i < p->n_arches; i++)
		if (p->arches[i]->audit == audit && (p->arches[i]->column == SC_X32) == x32)
			return p->arches[i];
	return NULL;
}

static uint32_t evaluate(const struct profile *p, uint32_t audit, uint32_t nr, const __u64 *args)
{
	const struct sc_arch *a = arch_of(p, audit, nr);
	if (!a)
		return SECCOMP_RET_KILL_THREAD;
	int64_t highest = highest_named(p, a);
	if (!is_permissive(p->default_action)) {
		if (highest >= 0 && (int64_t)nr > highest)
			return SECCOMP_RET_ERRNO | ENOSYS;
		if ((a->audit == AUDIT_ARCH_S390X || a->audit == AUDIT_ARCH_S390) && nr == 0)
			return SECCOMP_RET_ERRNO | ENOSYS;
	}
	const struct rule *decides = NULL;
	for (size_t i = p->n_rules; i-- > 0;) {
		const struct rule *r = &p->rules[i];
		if (r->action != p->default_action && names(r, a, nr) && rule_holds(r, a->wide_args, args) &&
		    (r->n_conditions == 0 || !decides || decides->n_conditions > 0))
			decides = r;
	}
	return decides ? decides->action : p->default_action;
}

/* -- random profiles ----------------------------------------------------------------------------------------- */

static size_t below(size_t n)
{
	return (size_t)random() % n;
}

static uint64_t near_value(uint64_t v)
{
	static const uint64_t few[] = {0, 1,         UINT32_MAX, 1ull << 32, UINT64_MAX, (1ull << 32) + 5,
				       5, 1ull << 63};

	if (random() % 2)
		return v + below(3) - 1;
	return few[below(ARRAY_SIZE(few))];
}

static const struct {
	const char *name;
	uint32_t action;
	bool takes_errno;
} actions[] = {
	{"ALLOW", SECCOMP_RET_ALLOW, false},
	{"ERRNO", SECCOMP_RET_ERRNO, true},
	{"KILL", SECCOMP_RET_KILL_THREAD, false},
	{"KILL_THREAD", SECCOMP_RET_KILL_THREAD, false},
	{"KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false},
	{"TRAP", SECCOMP_RET_TRAP, false},
	{"TRACE", SECCOMP_RET_TRACE, true},
	{"LOG", SECCOMP_RET_LOG, false},
	{"NOTIFY", SECCOMP_RET_USER_NOTIF, false}, /* last: no default */
};

static uint32_t random_action(struct strbuf *text, const char *key, const char *errno_key, size_t n)
{
	static const unsigned numbers[] = {0, 1, 38, 4095, 77};
	size_t i = below(n);
	uint32_t action = actions[i].action;

	strbuf_printf(text, "\"%s\":\"SCMP_ACT_%s\"", key, actions[i].name);
	if (actions[i].takes_errno && random() % 3) {
		unsigned number = numbers[below(ARRAY_SIZE(numbers))];
		strbuf_printf(text, ",\"%s\":%u", errno_key, number);
		return action | number;
	}
	return actions[i].takes_errno ? action | EPERM : action;
}

static void random_conditions(struct rule *r, struct strbuf *text)
{
	static const char *const ops[] = {"EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"};
	unsigned seen = 0;

	r->n_conditions = random() % 2 ? below(ARRAY_SIZE(r->conditions)) : 0;
	strbuf_puts(text, ",\"args\":[");
	for (size_t i = 0; i < r->n_conditions; i++) {
		struct sc_condition *c = &r->conditions[i];
		*c = (struct sc_condition){.index = (uint8_t)below(SC_ARGS),
					   .op = (uint8_t)below(ARRAY_SIZE(ops))};
		c->value = near_value((uint64_t)random() << below(34));
		c->masked = random() % 4 ? near_value(c->value) & c->value : near_value(c->value);
		r->alternatives |= (seen >> c->index & 1) != 0;
		seen |= 1u << c->index;
		strbuf_printf(text,
			      "%s{\"index\":%u,\"op\":\"SCMP_CMP_%s\",\"value\":%llu,\"valueTwo\":%llu}",
			      i ? "," : "", c->index, ops[c->op], (unsigned long long)c->value,
			      (unsigned long long)c->masked);
	}
	strbuf_puts(text, "]");
}

/* Calls that have a second way through socketcall(2) or ipc(2) are another test's. */
static bool has_one_way(const char *name)
{
	static const char *const parts[] = {"sock",    "send",   "recv",        "accept",   "bind",
					    "connect", "listen", "getpeername", "shutdown", "sem",
					    "msg",     "shm",    "ipc"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strstr(name, parts[i]))
			return false;
	return strcmp(name, "write") != 0; /* may not notify */
}

static void make_profile(struct profile *p, struct strbuf *text)
{
	*p = (struct profile){.arches = {sc_arch_native()}, .n_arches = 1, .n_rules = 1 + below(RULES)};
	strbuf_puts(text, "{\"listenerPath\":\"/run/agent\",");
	p->default_action = random_action(text, "defaultAction", "defaultErrnoRet", ARRAY_SIZE(actions) - 1);
	strbuf_puts(text, ",\"architectures\":[");
	for (size_t i = 0, n = below(ARCHES_MAX); i < n; i++) {
		const struct sc_arch *a = sc_arch_at(below(sc_arch_count()));
		strbuf_printf(text, "%s\"%s\"", i ? "," : "", a->name);
		bool present = false;
		for (size_t k = 0; k < p->n_arches; k++)
			present |= p->arches[k] == a;
		if (!present)
			p->arches[p->n_arches++] = a;
	}
	strbuf_puts(text, "],\"syscalls\":[");
	int pool[12]; /* few, so that calls have several rules */
	for (size_t i = 0; i < ARRAY_SIZE(pool); i++)
		do
			pool[i] = (int)below(sc_row_count);
		while (!has_one_way(sc_row_name(pool[i])));
	for (size_t i = 0; i < p->n_rules; i++) {
		struct rule *r = &p->rules[i];
		strbuf_printf(text, "%s{\"names\":[\"no_such_call\"", i ? "," : "");
		r->n_rows = 1 + below(NAMES_MAX);
		for (size_t k = 0; k < r->n_rows; k++) {
			r->rows[k] = pool[below(ARRAY_SIZE(pool))];
			strbuf_printf(text, ",\"%s\"", sc_row_name(r->rows[k]));
		}
		strbuf_puts(text, "],");
		r->action = random_action(text, "action", "errnoRet", ARRAY_SIZE(actions));
		random_conditions(r, text);
		strbuf_puts(text, "}");
	}
	strbuf_puts(text, "]}");
}

/* -- the comparison ------------------------------------------------------------------------------------------ */

static void compare(const struct profile *p, const struct sock_filter *insns, size_t n, uint32_t audit,
		    uint32_t nr, const char *text)
{
	bool swapped = ((audit & __AUDIT_ARCH_LE) != 0) != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
	__u64 args[SC_ARGS];
	struct seccomp_data data = {.nr = (int)nr, .arch = audit};

	for (size_t i = 0; i < SC_ARGS; i++) {
		const struct rule *r = &p->rules[below(p->n_rules)];
		args[i] = near_value(r->n_conditions ? r->conditions[below(r->n_conditions)].value : 0);
		/* A machine of the other byte order has the words of an argument the other way round. */
		data.args[i] = swapped ? args[i] << 32 | args[i] >> 32 : args[i];
	}
	uint32_t got = interpret(insns, n, &data), want = evaluate(p, audit, nr, args);
	if (got != want) {
		printf("# arch %#x nr %#x args %llx %llx %llx %llx %llx %llx: got %#x, expected %#x\n# %s\n",
		       audit, nr, (unsigned long long)args[0], (unsigned long long)args[1],
		       (unsigned long long)args[2], (unsigned long long)args[3], (unsigned long long)args[4],
		       (unsigned long long)args[5], got, want, text);
		CHECK(got == want);
	}
}

static void run_trial(void)
{
	struct profile p;
	_cleanup_strbuf_ struct strbuf text = {0};

	make_profile(&p, &text);
	_cleanup_json_ struct json *doc = parse(text.data);
	struct json_cursor c = json_root(doc);
	struct sc_profile parsed;
	struct rt_seccomp settings;
	struct sock_filter *insns;
	size_t n;

	CHECK_OK(sc_profile_parse(&c, true, &parsed, &settings));
	CHECK_OK(sc_bpf_build(&parsed, &insns, &n));
	for (size_t i = 0; i < sc_arch_count(); i++) {
		const struct sc_arch *a = sc_arch_at(i);
		for (uint32_t nr = 0; nr < 500; nr += 1 + (uint32_t)below(12))
			compare(&p, insns, n, a->audit, nr | (a->column == SC_X32 ? SC_X32_BIT : 0),
				text.data);
		for (size_t r = 0; r < p.n_rules; r++)
			for (size_t k = 0; k < 12; k++) {
				int64_t nr = sc_row_number(p.rules[r].rows[k % p.rules[r].n_rows], a->column);
				if (nr >= 0 && !(a->column == SC_ARM && nr >= SC_ARM_PRIVATE))
					compare(&p, insns, n, a->audit, (uint32_t)nr, text.data);
			}
	}
	compare(&p, insns, n, 12345, 1, text.data);
	free(insns);
	rt_seccomp_release(&settings);
	sc_profile_release(&parsed);
}

TEST(programs_say_what_the_rules_say)
{
	const char *rounds = getenv("SECCOMP_ROUNDS");

	for (int i = 0; i < (rounds ? (int)strtol(rounds, NULL, 10) : 300); i++) {
		srandom((unsigned)i);
		run_trial();
	}
}

UNIT_MAIN
