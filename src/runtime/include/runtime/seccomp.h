/* SPDX-License-Identifier: Apache-2.0 */
/* Seccomp filters: linux.seccomp of the specification to BPF by our own generator (range-compressed binary search over
 * system call numbers, argument rules, every action and flag), and loading. */
#ifndef RUNTIME_SECCOMP_H
#define RUNTIME_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

struct rt_seccomp {
	struct sock_filter *insns;
	size_t n_insns;
	uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
	bool notify;    /* a rule uses SCMP_ACT_NOTIFY */
	char *listener_path, *listener_metadata;
};

/* Compiles; unknown system call names are ignored as runc does (they exist in other architectures' profiles), everything else
 * that is wrong is an error naming its property. */
_must_check_ struct err *rt_seccomp_compile(const struct json_cursor *seccomp, struct rt_seccomp *ret);
void rt_seccomp_release(struct rt_seccomp *s);
/* Loads into the calling process. *ret_listener is the notify fd or -1. no_new_privs or CAP_SYS_ADMIN is the caller's duty. */
_must_check_ struct err *rt_seccomp_load(const struct rt_seccomp *s, int *ret_listener);

/* System call numbers by AUDIT_ARCH_*; -1 unknown. */
int rt_syscall_number(uint32_t audit_arch, const char *name);

/* The default profile of havre (data/seccomp-default.json compiled into the program) as a linux.seccomp object for a set of granted
 * capabilities (names, "CAP_…"). */
struct json *rt_seccomp_default_profile(char *const *capabilities);

#endif
