/* SPDX-License-Identifier: Apache-2.0 */
/* A parsed seccomp profile, between its JSON (seccomp.c) and its program (seccomp_bpf.c). */
#ifndef RUNTIME_SECCOMP_PRIVATE_H
#define RUNTIME_SECCOMP_PRIVATE_H

#include <linux/filter.h>

#include "base/error.h"
#include "runtime/seccomp.h"
#include "seccomp_syscalls.h"

enum sc_op { SC_EQ, SC_NE, SC_LT, SC_LE, SC_GT, SC_GE, SC_MASKED_EQ };

struct sc_condition {
	uint8_t index;
	uint8_t op;
	uint64_t value;  /* the mask of SC_MASKED_EQ */
	uint64_t masked; /* what the masked argument must be */
};
#define SC_ARGS 6
struct sc_rule {
	uint32_t action; /* SECCOMP_RET_* with data */
	uint8_t n_conditions;
	struct sc_condition conditions[SC_ARGS]; /* all must hold */
};
/* One rule of one system call; those of a call form a list in the order of the document. */
struct sc_entry {
	uint32_t rule;
	int32_t next; /* -1: last */
};
struct sc_profile {
	uint32_t default_action;
	bool enosys_above; /* answer ENOSYS above the highest number that the profile knows */
	const struct sc_arch *arches[32];
	size_t n_arches;
	struct sc_rule *rules;
	size_t n_rules, cap_rules;
	struct sc_entry *entries;
	size_t n_entries, cap_entries;
	int32_t *first, *last; /* by row of the system call table; -1: no rule */
	uint8_t *known;        /* by row: named by the profile, if only by a rule that changes nothing */
};
void sc_profile_release(struct sc_profile *p);

/* The program for the profile's architectures; anything else is killed. Caller frees. More than BPF_MAXINSNS is ERR_LIMIT. */
_must_check_ struct err *sc_bpf_build(const struct sc_profile *p, struct sock_filter **ret, size_t *ret_n);
/* `foreign`: keep architectures that cannot run on this machine (for tests). */
_must_check_ struct err *sc_profile_parse(const struct json_cursor *seccomp, bool foreign,
					  struct sc_profile *ret, struct rt_seccomp *ret_settings);

/* `flags` of linux.seccomp as SECCOMP_FILTER_FLAG_*. */
_must_check_ struct err *sc_flags_parse(const struct json_cursor *seccomp, uint32_t *ret);

#endif
