/* SPDX-License-Identifier: Apache-2.0 */
/* From a profile to a classic BPF program.
 *
 * The number space of an architecture is cut into ranges with one answer each (most profiles: a few dozen), and the program is
 * a balanced binary search over the starts of the ranges. A range is an action, or the argument rules of one call.
 *
 * The program is made backwards, from its last instruction to its first: jumps of BPF lead only forwards and at most 255
 * instructions far, so what a jump leads to exists already, and one that would be too far gets a stepping stone right behind
 * it (a copy of the return, or a long jump). A "target" is the count of instructions behind and including the instruction meant.
 */
#include <linux/seccomp.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"
#include "seccomp_private.h"

#define FAR 250 /* leaves room for the stepping stones of one branch */
#define RETS_MAX 64

#define OFFSET_NR ((uint32_t)offsetof(struct seccomp_data, nr))
#define OFFSET_ARCH ((uint32_t)offsetof(struct seccomp_data, arch))

typedef size_t target;

struct builder {
	const struct sc_profile *profile;
	struct sock_filter *insns; /* last one first */
	size_t n, cap;
	struct {
		uint32_t action;
		target at;
	} rets[RETS_MAX]; /* the latest return of each action */
	size_t n_rets;
};

static target push(struct builder *b, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	GROW(b->insns, b->n, b->cap);
	b->insns[b->n++] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
	return b->n;
}

static size_t distance(const struct builder *b, target t)
{
	return b->n - t;
}

static target emit_ret(struct builder *b, uint32_t action)
{
	size_t i = 0;

	while (i < b->n_rets && b->rets[i].action != action)
		i++;
	if (i < b->n_rets && distance(b, b->rets[i].at) <= FAR)
		return b->rets[i].at;
	target t = push(b, BPF_RET | BPF_K, action, 0, 0);
	if (i == b->n_rets && i < RETS_MAX)
		b->n_rets++;
	if (i < RETS_MAX) {
		b->rets[i].action = action;
		b->rets[i].at = t;
	}
	return t;
}

/* A target near enough for a branch that is emitted next. */
static target near(struct builder *b, target t)
{
	if (distance(b, t) <= FAR)
		return t;
	struct sock_filter at = b->insns[t - 1];
	if (at.code == (BPF_RET | BPF_K))
		return emit_ret(b, at.k);
	return push(b, BPF_JMP | BPF_JA, (uint32_t)distance(b, t), 0, 0);
}

static target emit_branch(struct builder *b, uint16_t op, uint32_t k, target yes, target no)
{
	if (yes == no)
		return yes;
	yes = near(b, yes);
	no = near(b, no);
	return push(b, BPF_JMP | op | BPF_K, k, (uint8_t)distance(b, yes), (uint8_t)distance(b, no));
}

/* Instructions without a jump of their own run into the one behind them. */
static target emit_straight(struct builder *b, uint16_t code, uint32_t k, target next)
{
	if (next != b->n)
		push(b, BPF_JMP | BPF_JA, (uint32_t)distance(b, next), 0, 0);
	return push(b, code, k, 0, 0);
}

static target emit_load(struct builder *b, uint32_t offset, target next)
{
	return emit_straight(b, BPF_LD | BPF_W | BPF_ABS, offset, next);
}

static uint32_t arg_offset(const struct sc_arch *a, unsigned index, bool high)
{
	bool little_endian = (a->audit & 0x40000000u) != 0;
	uint32_t base = (uint32_t)(offsetof(struct seccomp_data, args) + index * sizeof(uint64_t));

	return base + (high == little_endian ? 4 : 0);
}

/* argument >= or > value, as two 32-bit comparisons. */
static target emit_order(struct builder *b, const struct sc_arch *a, const struct sc_condition *c,
			 uint16_t low_op, target yes, target no)
{
	uint32_t high = (uint32_t)(c->value >> 32), low = (uint32_t)c->value;

	target t = emit_branch(b, low_op, low, yes, no);
	t = emit_load(b, arg_offset(a, c->index, false), t);
	if (!a->wide_args)
		return t;
	t = emit_branch(b, BPF_JEQ, high, t, no);
	t = emit_branch(b, BPF_JGT, high, yes, t);
	return emit_load(b, arg_offset(a, c->index, true), t);
}

static target emit_masked_word(struct builder *b, uint32_t offset, uint32_t mask, uint32_t value, target yes,
			       target no)
{
	if (mask == 0)
		return value == 0 ? yes : no;
	target t = emit_branch(b, BPF_JEQ, value, yes, no);
	if (mask != UINT32_MAX)
		t = emit_straight(b, BPF_ALU | BPF_AND | BPF_K, mask, t);
	return emit_load(b, offset, t);
}

static target emit_masked(struct builder *b, const struct sc_arch *a, const struct sc_condition *c,
			  uint64_t mask, uint64_t value, target yes, target no)
{
	target t =
		emit_masked_word(b, arg_offset(a, c->index, false), (uint32_t)mask, (uint32_t)value, yes, no);

	if (!a->wide_args)
		return t;
	return emit_masked_word(b, arg_offset(a, c->index, true), (uint32_t)(mask >> 32),
				(uint32_t)(value >> 32), t, no);
}

static target emit_condition(struct builder *b, const struct sc_arch *a, const struct sc_condition *c,
			     target yes, target no)
{
	switch ((enum sc_op)c->op) {
	case SC_EQ:
		return emit_masked(b, a, c, UINT64_MAX, c->value, yes, no);
	case SC_NE:
		return emit_masked(b, a, c, UINT64_MAX, c->value, no, yes);
	case SC_MASKED_EQ:
		return emit_masked(b, a, c, c->value, c->masked, yes, no);
	case SC_GE:
		return emit_order(b, a, c, BPF_JGE, yes, no);
	case SC_GT:
		return emit_order(b, a, c, BPF_JGT, yes, no);
	case SC_LT:
		return emit_order(b, a, c, BPF_JGE, no, yes);
	case SC_LE:
		return emit_order(b, a, c, BPF_JGT, no, yes);
	}
	return no;
}

static target emit_rule(struct builder *b, const struct sc_arch *a, const struct sc_rule *r, target no)
{
	target t = emit_ret(b, r->action);

	for (size_t i = r->n_conditions; i-- > 0;)
		t = emit_condition(b, a, &r->conditions[i], t, no);
	return t;
}

/* The action of a call that has a rule without conditions: the first of them decides, rules with conditions have no say
 * (libseccomp's order of precedence). */
static const struct sc_rule *unconditional(const struct sc_profile *p, int row)
{
	for (int32_t e = p->first[row]; e >= 0; e = p->entries[e].next)
		if (p->rules[p->entries[e].rule].n_conditions == 0)
			return &p->rules[p->entries[e].rule];
	return NULL;
}

/* Calls that an old ABI can also make through socketcall(2) or ipc(2), by the number in its first argument. */
static const struct {
	const char *name;
	bool ipc;
	uint8_t number;
} multiplexed[] = {
	{"socket", false, 1},      {"bind", false, 2},        {"connect", false, 3},
	{"listen", false, 4},      {"accept", false, 5},      {"getsockname", false, 6},
	{"getpeername", false, 7}, {"socketpair", false, 8},  {"send", false, 9},
	{"recv", false, 10},       {"sendto", false, 11},     {"recvfrom", false, 12},
	{"shutdown", false, 13},   {"setsockopt", false, 14}, {"getsockopt", false, 15},
	{"sendmsg", false, 16},    {"recvmsg", false, 17},    {"accept4", false, 18},
	{"recvmmsg", false, 19},   {"sendmmsg", false, 20},   {"semop", true, 1},
	{"semget", true, 2},       {"semctl", true, 3},       {"semtimedop", true, 4},
	{"msgsnd", true, 11},      {"msgrcv", true, 12},      {"msgget", true, 13},
	{"msgctl", true, 14},      {"shmat", true, 21},       {"shmdt", true, 22},
	{"shmget", true, 23},      {"shmctl", true, 24},
};

static bool is_permissive(uint32_t action)
{
	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

/* Whether the row is a multiplexer without rules of its own, and some call behind it has one. */
static bool stands_for_others(const struct sc_profile *p, const struct sc_arch *a, int row)
{
	if (!a->multiplexed || p->first[row] >= 0)
		return false;
	bool ipc = str_eq(sc_row_name(row), "ipc");
	if (!ipc && !str_eq(sc_row_name(row), "socketcall"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(multiplexed); i++) {
		int behind = multiplexed[i].ipc == ipc ? sc_row(multiplexed[i].name) : -1;
		if (behind >= 0 && p->first[behind] >= 0)
			return true;
	}
	return false;
}

/* The rules of the calls behind a multiplexer. Their arguments are in memory there, where a filter cannot look: a rule with conditions
 * counts as a whole when it restricts, and not at all when it permits. */
static target emit_multiplexer(struct builder *b, const struct sc_arch *a, bool ipc, target no)
{
	const struct sc_profile *p = b->profile;

	for (size_t i = 0; i < ARRAY_SIZE(multiplexed); i++) {
		int row = multiplexed[i].ipc == ipc ? sc_row(multiplexed[i].name) : -1;
		if (row < 0 || p->first[row] < 0)
			continue;
		const struct sc_rule *r = unconditional(p, row);
		for (int32_t e = p->first[row]; !r && e >= 0; e = p->entries[e].next)
			if (!is_permissive(p->rules[p->entries[e].rule].action))
				r = &p->rules[p->entries[e].rule];
		if (!r)
			continue;
		struct sc_rule by_number = {.action = r->action,
					    .n_conditions = 1,
					    .conditions = {{.op = SC_EQ, .value = multiplexed[i].number}}};
		no = emit_rule(b, a, &by_number, no);
	}
	return no;
}

/* Rules of a call in the order of the document, then the default. */
static target emit_rules(struct builder *b, const struct sc_arch *a, int row)
{
	const struct sc_profile *p = b->profile;
	size_t n = 0;
	target t = emit_ret(b, p->default_action);

	if (a->multiplexed && (row == sc_row("socketcall") || row == sc_row("ipc")))
		t = emit_multiplexer(b, a, row == sc_row("ipc"), t);
	for (int32_t e = p->first[row]; e >= 0; e = p->entries[e].next)
		n++;
	_cleanup_free_ uint32_t *order = xnew_array(uint32_t, n + 1);
	n = 0;
	for (int32_t e = p->first[row]; e >= 0; e = p->entries[e].next)
		order[n++] = p->entries[e].rule;
	while (n-- > 0)
		t = emit_rule(b, a, &p->rules[order[n]], t);
	return t;
}

struct range {
	uint32_t start;
	uint32_t action;
	const struct sc_arch *arch; /* of `row` */
	int row;                    /* -1: `action`; otherwise the argument rules of this call */
};
struct ranges {
	struct range *r;
	size_t n, cap;
};

static void add_range(struct ranges *list, uint32_t start, uint32_t action, const struct sc_arch *arch,
		      int row)
{
	if (list->n && list->r[list->n - 1].start == start)
		list->n--;
	if (list->n && row < 0 && list->r[list->n - 1].row < 0 && list->r[list->n - 1].action == action)
		return;
	GROW(list->r, list->n, list->cap);
	list->r[list->n++] = (struct range){.start = start, .action = action, .arch = arch, .row = row};
}

#define ENOSYS_ACTION (SECCOMP_RET_ERRNO | ENOSYS)

/* The highest number that the profile names, below `limit`; -1 without any. */
static int64_t highest_known(const struct sc_profile *p, const struct sc_arch *a, int64_t limit)
{
	int64_t highest = -1;

	for (const uint16_t *row = sc_order[a->column]; *row != 0xffff; row++) {
		int64_t number = p->known[*row] ? sc_row_number(*row, a->column) : limit;
		if (number < limit)
			highest = number;
	}
	return highest;
}

static void add_arch_ranges(const struct sc_profile *p, const struct sc_arch *a, struct ranges *list)
{
	uint32_t first = a->column == SC_X32 ? SC_X32_BIT : 0;
	int64_t private_start = a->column == SC_ARM ? (int64_t)SC_ARM_PRIVATE : INT64_MAX;
	int64_t last = p->enosys_above ? highest_known(p, a, private_start) : -1;
	uint32_t between = p->default_action;

	add_range(list, first, between, a, -1);
	if (a->column == SC_S390X && p->enosys_above) {
		/* Number 0 stands for every call that the kernel does not know. */
		add_range(list, 0, ENOSYS_ACTION, a, -1);
		add_range(list, 1, between, a, -1);
	}
	for (const uint16_t *row = sc_order[a->column]; *row != 0xffff; row++) {
		uint32_t number = (uint32_t)sc_row_number(*row, a->column);
		if (last >= 0 && number > last) {
			/* The profile's highest number may belong to a rule that changes nothing. */
			add_range(list, (uint32_t)last + 1, ENOSYS_ACTION, a, -1);
			between = ENOSYS_ACTION;
			last = -1;
		}
		if (p->first[*row] < 0 && !stands_for_others(p, a, *row))
			continue;
		const struct sc_rule *r = unconditional(p, *row);
		add_range(list, number, r ? r->action : 0, a, r ? -1 : *row);
		add_range(list, number + 1, between, a, -1);
	}
	if (last >= 0)
		add_range(list, (uint32_t)last + 1, ENOSYS_ACTION, a, -1);
}

static target emit_search(struct builder *b, const struct ranges *list, size_t low, size_t high)
{
	if (low == high) {
		const struct range *r = &list->r[low];
		return r->row < 0 ? emit_ret(b, r->action) : emit_rules(b, r->arch, r->row);
	}
	size_t middle = (low + high + 1) / 2;
	target right = emit_search(b, list, middle, high);
	target left = emit_search(b, list, low, middle - 1);
	return emit_branch(b, BPF_JGE, list->r[middle].start, right, left);
}

/* All of one AUDIT_ARCH_*: for x86-64 that can be two, told apart by a bit of the number. */
static target emit_arch(struct builder *b, const struct sc_arch *const *arches, size_t n)
{
	struct ranges list = {0};
	const struct sc_arch *plain = NULL, *x32 = NULL;

	for (size_t i = 0; i < n; i++) {
		if (arches[i]->column == SC_X32)
			x32 = arches[i];
		else
			plain = arches[i];
	}
	if (plain)
		add_arch_ranges(b->profile, plain, &list);
	else
		add_range(&list, 0, SECCOMP_RET_KILL_THREAD, NULL, -1);
	if (x32)
		add_arch_ranges(b->profile, x32, &list);
	else if (plain && plain->column == SC_X86_64) {
		add_range(&list, SC_X32_BIT, SECCOMP_RET_KILL_THREAD, NULL, -1);
		/* Negative numbers without the bit are not x32: they are unknown calls. */
		if (b->profile->enosys_above && highest_known(b->profile, plain, INT64_MAX) >= 0) {
			add_range(&list, 0x80000000u, ENOSYS_ACTION, NULL, -1);
			add_range(&list, 0x80000000u | SC_X32_BIT, SECCOMP_RET_KILL_THREAD, NULL, -1);
		}
	}
	/* -1 is what a tracer leaves to skip a call. */
	if (plain && plain->column == SC_X86_64 && !x32)
		add_range(&list, UINT32_MAX, b->profile->default_action, NULL, -1);
	target t = emit_load(b, OFFSET_NR, emit_search(b, &list, 0, list.n - 1));
	free(list.r);
	return t;
}

struct err *sc_bpf_build(const struct sc_profile *p, struct sock_filter **ret, size_t *ret_n)
{
	struct builder b = {.profile = p};
	target no = emit_ret(&b, SECCOMP_RET_KILL_THREAD);
	bool done[ARRAY_SIZE(p->arches)] = {0};
	struct {
		uint32_t audit;
		target at;
	} sections[ARRAY_SIZE(p->arches)];
	size_t n_sections = 0;

	for (size_t i = 0; i < p->n_arches; i++) {
		const struct sc_arch *same[2];
		size_t n = 0;

		for (size_t j = i; j < p->n_arches && !done[i]; j++) {
			if (p->arches[j]->audit == p->arches[i]->audit && n < ARRAY_SIZE(same)) {
				same[n++] = p->arches[j];
				done[j] = j != i;
			}
		}
		if (done[i])
			continue;
		sections[n_sections].audit = p->arches[i]->audit;
		sections[n_sections++].at = emit_arch(&b, same, n);
	}
	for (size_t i = n_sections; i-- > 0;)
		no = emit_branch(&b, BPF_JEQ, sections[i].audit, sections[i].at, no);
	emit_load(&b, OFFSET_ARCH, no);
	if (b.n > BPF_MAXINSNS) {
		free(b.insns);
		return err_new(
			ERR_LIMIT,
			"linux.seccomp: the profile makes a program of %zu instructions, the kernel takes %d",
			b.n, BPF_MAXINSNS);
	}
	for (size_t i = 0; i < b.n / 2; i++) {
		struct sock_filter swap = b.insns[i];
		b.insns[i] = b.insns[b.n - 1 - i];
		b.insns[b.n - 1 - i] = swap;
	}
	*ret = b.insns;
	*ret_n = b.n;
	return NULL;
}
