/* SPDX-License-Identifier: Apache-2.0 */
/* The default profile as data/seccomp_profile.py compiles it. Lists are strings one behind the other, ended by an empty one. */
#ifndef RUNTIME_SECCOMP_DEFAULT_H
#define RUNTIME_SECCOMP_DEFAULT_H

#include <stddef.h>
#include <stdint.h>

struct sc_default_rule {
	const char *names;
	const char *capabilities;      /* any of them is granted; NULL: no condition */
	const char *without;           /* none of them is granted */
	const char *architectures;     /* one of them is the native one */
	const char *not_architectures; /* none of them is */
	const char *action;
	const char *op; /* NULL: no condition on an argument */
	uint64_t value, value_two;
	uint32_t index, errno_ret;
};
extern const char sc_default_action[];
extern const uint32_t sc_default_errno;
extern const struct sc_default_rule sc_default_rules[];
extern const size_t sc_default_rule_count;

#endif
