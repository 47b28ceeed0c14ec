/* SPDX-License-Identifier: Apache-2.0 */
/* The generator against libseccomp (which only this test links): random profiles, both programs interpreted over every system call
 * number and over arguments around the values of the rules. */
#include <seccomp.h>

#include "seccomp_interpret.h"

static const struct {
	const char *name;
	uint32_t scmp;
	uint32_t ours;
} test_actions[] = {
	{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, SECCOMP_RET_ALLOW},
	{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(1), SECCOMP_RET_ERRNO | 1},
	{"SCMP_ACT_KILL", SCMP_ACT_KILL, SECCOMP_RET_KILL_THREAD},
	{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS},
	{"SCMP_ACT_TRAP", SCMP_ACT_TRAP, SECCOMP_RET_TRAP},
	{"SCMP_ACT_TRACE", SCMP_ACT_TRACE(1), SECCOMP_RET_TRACE | 1},
	{"SCMP_ACT_LOG", SCMP_ACT_LOG, SECCOMP_RET_LOG},
};
static const struct {
	const char *name;
	enum scmp_compare op;
} test_ops[] = {
	{"SCMP_CMP_EQ", SCMP_CMP_EQ},
	{"SCMP_CMP_NE", SCMP_CMP_NE},
	{"SCMP_CMP_LT", SCMP_CMP_LT},
	{"SCMP_CMP_LE", SCMP_CMP_LE},
	{"SCMP_CMP_GT", SCMP_CMP_GT},
	{"SCMP_CMP_GE", SCMP_CMP_GE},
	{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};
static const struct {
	const char *name;
	uint32_t token;
} test_arches[] = {
	{"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},   {"SCMP_ARCH_X86", SCMP_ARCH_X86},
	{"SCMP_ARCH_X32", SCMP_ARCH_X32},         {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
	{"SCMP_ARCH_ARM", SCMP_ARCH_ARM},         {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
	{"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
};

static bool is_multiplexed(const char *name)
{
	static const char *const names[] = {
		"socket",     "bind",    "connect",    "listen",  "accept",     "getsockname", "getpeername",
		"socketpair", "send",    "recv",       "sendto",  "recvfrom",   "shutdown",    "setsockopt",
		"getsockopt", "sendmsg", "recvmsg",    "accept4", "recvmmsg",   "sendmmsg",    "semop",
		"semget",     "semctl",  "semtimedop", "msgsnd",  "msgrcv",     "msgget",      "msgctl",
		"shmat",      "shmdt",   "shmget",     "shmctl",  "socketcall", "ipc",         NULL};

	return strv_contains((char *const *)names, name);
}

/* A name that both know, with the same number on every architecture of the test. */
static bool agreed(const char *name)
{
	/* A rule has to survive the way through the number of the native architecture, too. */
	char *back = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, seccomp_syscall_resolve_name(name));
	bool same = back && strcmp(back, name) == 0;
	free(back);
	if (!same)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(test_arches); i++) {
		int theirs = seccomp_syscall_resolve_name_arch(test_arches[i].token, name);
		int64_t ours = sc_row_number(sc_row(name), sc_arch_by_name(test_arches[i].name)->column);
		if (theirs == __NR_SCMP_ERROR || (theirs >= 0 ? ours != theirs : ours >= 0))
			return false;
	}
	return true;
}

static uint64_t random_u64(void)
{
	switch (random() % 4) {
	case 0:
		return (uint64_t)(random() % 8);
	case 1:
		return (uint64_t)random() << 32;
	case 2:
		return UINT32_MAX - (uint64_t)(random() % 3) + (uint64_t)(random() % 3);
	default:
		return (uint64_t)random() << 33 ^ (uint64_t)random();
	}
}

struct trial {
	struct strbuf json;
	scmp_filter_ctx ctx;
	uint32_t default_action;
	uint32_t arches[8];
	size_t n_arches;
	int64_t highest[8];
	uint64_t values[4096];
	size_t n_values;
	int touched[4096]; /* rows with argument rules */
	size_t n_touched;
};

static void note_name(struct trial *t, const char *name)
{
	for (size_t i = 0; i < t->n_arches; i++) {
		int64_t number = seccomp_syscall_resolve_name_arch(t->arches[i], name);
		/* libseccomp knows the private calls of ARM, ours treats them apart from the order of numbers. */
		if (number > t->highest[i] && !(t->arches[i] == SCMP_ARCH_ARM && number >= 0xf0000))
			t->highest[i] = number;
	}
}

static void add_rule(struct trial *t, const char *name, size_t action, size_t n_args, bool first)
{
	struct scmp_arg_cmp args[6];
	unsigned used = 0;

	strbuf_printf(&t->json, "%s{\"names\":[\"%s\"],\"action\":\"%s\",\"args\":[", first ? "" : ",", name,
		      test_actions[action].name);
	for (size_t i = 0; i < n_args; i++) {
		size_t op = n_args > 1 ? random() % 2 * (ARRAY_SIZE(test_ops) - 1)
				       : (size_t)random() % ARRAY_SIZE(test_ops);
		unsigned index = (unsigned)random() % 6;
		uint64_t value = random_u64(), two = random_u64() & value;

		while (used >> index & 1)
			index = (unsigned)random() % 6;
		used |= 1u << index;
		args[i] = (struct scmp_arg_cmp){.arg = index,
						.op = test_ops[op].op,
						.datum_a = value,
						.datum_b = test_ops[op].op == SCMP_CMP_MASKED_EQ ? two : 0};
		strbuf_printf(&t->json, "%s{\"index\":%u,\"value\":%llu,\"valueTwo\":%llu,\"op\":\"%s\"}",
			      i ? "," : "", index, (unsigned long long)value, (unsigned long long)two,
			      test_ops[op].name);
		if (t->n_values + 2 < ARRAY_SIZE(t->values)) {
			t->values[t->n_values++] = value;
			t->values[t->n_values++] = two;
		}
	}
	strbuf_puts(&t->json, "]}");
	note_name(t, name);
	if (n_args && t->n_touched < ARRAY_SIZE(t->touched))
		t->touched[t->n_touched++] = sc_row(name);
	if (test_actions[action].ours == t->default_action)
		return;
	int rc = seccomp_rule_add_array(t->ctx, test_actions[action].scmp, seccomp_syscall_resolve_name(name),
					(unsigned)n_args, args);
	if (rc < 0) {
		printf("# libseccomp refuses %s with %zu arguments: %s\n", name, n_args, strerror(-rc));
		CHECK(rc == 0);
	}
}

static size_t export_program(scmp_filter_ctx ctx, struct sock_filter *out, size_t max)
{
	FILE *f = tmpfile();

	CHECK(f && seccomp_export_bpf(ctx, fileno(f)) == 0);
	CHECK(lseek(fileno(f), 0, SEEK_SET) == 0);
	ssize_t n = read(fileno(f), out, max * sizeof(*out));
	CHECK(n > 0);
	fclose(f);
	return (size_t)n / sizeof(*out);
}

static bool is_permissive_default(uint32_t action)
{
	uint32_t kind = action & SECCOMP_RET_ACTION_FULL;

	return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
}

/* libseccomp's answer, with ENOSYS before it as runc puts it. */
static uint32_t expected(const struct trial *t, const struct sock_filter *theirs, size_t n,
			 const struct seccomp_data *data)
{
	if (!is_permissive_default(t->default_action)) {
		for (size_t i = 0; i < t->n_arches; i++) {
			const struct sc_arch *a = sc_arch_by_name(test_arches[0].name);
			for (size_t k = 0; k < ARRAY_SIZE(test_arches); k++)
				if (test_arches[k].token == t->arches[i])
					a = sc_arch_by_name(test_arches[k].name);
			bool x32 = a->column == SC_X32, number_x32 = ((unsigned)data->nr & SC_X32_BIT) != 0;
			if (a->audit != data->arch || (a->audit == AUDIT_ARCH_X86_64 && x32 != number_x32))
				continue;
			if (t->highest[i] >= 0 && (uint32_t)data->nr > (uint32_t)t->highest[i])
				return SECCOMP_RET_ERRNO | ENOSYS;
		}
	}
	return interpret(theirs, n, data);
}

static void compare(struct trial *t, const struct sock_filter *ours, size_t n_ours,
		    const struct sock_filter *theirs, size_t n_theirs, uint32_t audit, uint32_t nr,
		    int rounds)
{
	/* ARM's private calls: for runc they are the highest numbers, so that no ENOSYS is left; ours looks below them. */
	if (audit == AUDIT_ARCH_ARM && nr - 0xf0000 < 16 && !is_permissive_default(t->default_action))
		return;
	for (int r = 0; r < rounds; r++) {
		struct seccomp_data data = {.nr = (int)nr, .arch = audit};
		for (size_t a = 0; a < 6; a++) {
			data.args[a] = t->n_values && random() % 4 ? t->values[(size_t)random() % t->n_values]
								   : random_u64();
			if (random() % 3 == 0)
				data.args[a] += (uint64_t)(random() % 3) - 1;
		}
		uint32_t got = interpret(ours, n_ours, &data), want = expected(t, theirs, n_theirs, &data);
		if (got != want) {
			printf("# arch %#x nr %#x args %llx %llx %llx %llx %llx %llx: got %#x, libseccomp "
			       "%#x\n# %s\n",
			       audit, nr, (unsigned long long)data.args[0], (unsigned long long)data.args[1],
			       (unsigned long long)data.args[2], (unsigned long long)data.args[3],
			       (unsigned long long)data.args[4], (unsigned long long)data.args[5], got, want,
			       t->json.len < 3000 ? t->json.data : "(long)");
			CHECK(got == want);
		}
	}
}

static void run_trial(const int *usable, size_t n_usable, int size)
{
	struct trial *t = xnew(struct trial);
	size_t chosen = (size_t)random() % ARRAY_SIZE(test_actions);
	bool with_conditions = random() % 3 != 0;
	size_t conditions_max = random() % 2 ? 3 : 1;
	uint8_t *taken = xcalloc(sc_row_count, 1);

	t->default_action = test_actions[chosen].ours;
	t->ctx = seccomp_init(test_actions[chosen].scmp);
	CHECK(t->ctx);
	strbuf_printf(&t->json, "{\"defaultAction\":\"%s\",\"architectures\":[\"SCMP_ARCH_X86_64\"",
		      test_actions[chosen].name);
	t->arches[t->n_arches++] = SCMP_ARCH_X86_64;
	for (size_t i = 1; i < ARRAY_SIZE(test_arches); i++) {
		/* Conditions for more than one architecture are another thing that libseccomp 2.5.4 gets wrong: where it shares
		 * instructions between them it does not always load what they compare. */
		if (random() % 2 || with_conditions)
			continue;
		CHECK(seccomp_arch_add(t->ctx, test_arches[i].token) == 0);
		t->arches[t->n_arches++] = test_arches[i].token;
		strbuf_printf(&t->json, ",\"%s\"", test_arches[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(t->highest); i++)
		t->highest[i] = -1;
	strbuf_puts(&t->json, "],\"syscalls\":[");
	for (int i = 0; i < size; i++) {
		const char *name = sc_row_name(usable[(size_t)random() % n_usable]);
		bool mux = is_multiplexed(name);
		size_t action = (size_t)random() % 3 ? 0 : (size_t)random() % ARRAY_SIZE(test_actions);

		if (taken[sc_row(name)])
			name = sc_row_name(usable[0]), mux = is_multiplexed(name);
		if (taken[sc_row(name)]++)
			break;
		size_t n_args =
			mux || !with_conditions || random() % 4 ? 0 : 1 + (size_t)random() % conditions_max;
		add_rule(t, name, action, n_args, i == 0);
		/* No second rule with conditions for one call: libseccomp 2.5.4 gets some of these wrong (it compares an argument that
		 * it forgot to reload). rules_mean_what_they_say has them. */
	}
	strbuf_puts(&t->json, "]}");

	struct json *doc = parse(t->json.data);
	struct json_cursor c = json_root(doc);
	struct sc_profile p;
	struct rt_seccomp settings;
	struct sock_filter *ours, *theirs = xnew_array(struct sock_filter, 65536);
	size_t n_ours, n_theirs = export_program(t->ctx, theirs, 65536);
	CHECK_OK(sc_profile_parse(&c, true, &p, &settings));
	CHECK_OK(sc_bpf_build(&p, &ours, &n_ours));

	static const uint32_t audits[] = {AUDIT_ARCH_X86_64,
					  AUDIT_ARCH_I386,
					  AUDIT_ARCH_AARCH64,
					  AUDIT_ARCH_ARM,
					  AUDIT_ARCH_RISCV64,
					  AUDIT_ARCH_PPC64LE,
					  AUDIT_ARCH_S390X,
					  0,
					  12345};
	for (size_t a = 0; a < ARRAY_SIZE(audits); a++) {
		for (uint32_t nr = 0; nr < 620; nr++) {
			compare(t, ours, n_ours, theirs, n_theirs, audits[a], nr, 1);
			compare(t, ours, n_ours, theirs, n_theirs, audits[a], nr | SC_X32_BIT, 1);
		}
		static const uint32_t odd[] = {UINT32_MAX, UINT32_MAX - 1, 0x3fffffff, 0x7fffffff,
					       0x80000000, 0xf0000,        0xf0001,    0xf0005,
					       0xf0006,    0xf0010,        100000};
		for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
			compare(t, ours, n_ours, theirs, n_theirs, audits[a], odd[i], 1);
	}
	for (size_t i = 0; i < t->n_touched; i++)
		for (size_t k = 0; k < ARRAY_SIZE(test_arches); k++) {
			const struct sc_arch *a = sc_arch_by_name(test_arches[k].name);
			int64_t nr = sc_row_number(t->touched[i], a->column);
			if (nr >= 0)
				compare(t, ours, n_ours, theirs, n_theirs, a->audit, (uint32_t)nr, 40);
		}
	free(ours);
	free(theirs);
	rt_seccomp_release(&settings);
	sc_profile_release(&p);
	json_unref(doc);
	seccomp_release(t->ctx);
	strbuf_release(&t->json);
	free(taken);
	free(t);
}

TEST(equals_libseccomp)
{
	int *usable = xnew_array(int, sc_row_count);
	size_t n = 0;
	const char *rounds = getenv("SECCOMP_ROUNDS");

	for (int row = 0; row < sc_row_count; row++)
		if (agreed(sc_row_name(row)))
			usable[n++] = row;
	printf("# %zu of %d names are the same in libseccomp\n", n, sc_row_count);
	CHECK(n > 300);
	for (int i = 0; i < (rounds ? strtol(rounds, NULL, 10) : 60); i++) {
		srandom((unsigned)i);
		static const int sizes[] = {1, 3, 20, 120, 300};
		run_trial(usable, n, sizes[random() % 5]);
	}
	free(usable);
}

UNIT_MAIN
