/* SPDX-License-Identifier: Apache-2.0 */
/* The default profile for a set of capabilities and this machine, as a linux.seccomp object of the specification: any
 * OCI runtime can be given it. */
#include "seccomp_default.h"

#include <string.h>

#include "base/str.h"
#include "runtime/seccomp.h"
#include "seccomp_syscalls.h"

#define LIST_FOREACH(s, list) for (const char *s = (list); s && *s; s += strlen(s) + 1)

static bool any_granted(const char *list, char *const *capabilities)
{
	LIST_FOREACH(name, list)
	if (strv_contains(capabilities, name))
		return true;
	return false;
}

static bool list_has(const char *list, const char *s)
{
	LIST_FOREACH(name, list)
	if (strcmp(name, s) == 0)
		return true;
	return false;
}

/* The native architecture and those that its kernels run beside it. */
static const char *architectures_here(void)
{
	switch (sc_arch_native()->column) {
	case SC_X86_64:
		return "SCMP_ARCH_X86_64\0SCMP_ARCH_X86\0SCMP_ARCH_X32\0";
	case SC_AARCH64:
		return "SCMP_ARCH_AARCH64\0SCMP_ARCH_ARM\0";
	case SC_RISCV64:
		return "SCMP_ARCH_RISCV64\0";
	case SC_PPC64:
		return "SCMP_ARCH_PPC64LE\0";
	case SC_S390X:
		return "SCMP_ARCH_S390X\0";
	case SC_SPARC64:
		return "SCMP_ARCH_SPARC64\0";
	case SC_LOONGARCH64:
		return "SCMP_ARCH_LOONGARCH64\0";
	case SC_X86:
		return "SCMP_ARCH_X86\0";
	default:
		return "SCMP_ARCH_ARM\0";
	}
}

static bool applies(const struct sc_default_rule *r, const char *arches, char *const *capabilities)
{
	bool arch_matches = !r->architectures;

	LIST_FOREACH(a, arches)
	{
		if (list_has(r->architectures, a))
			arch_matches = true;
		if (list_has(r->not_architectures, a))
			return false;
	}
	if (r->capabilities && !any_granted(r->capabilities, capabilities))
		return false;
	return arch_matches && !any_granted(r->without, capabilities);
}

static struct json *new_rule(const struct sc_default_rule *r, struct json *names)
{
	struct json *rule = json_new_object();

	json_set(rule, "names", names);
	json_set_string(rule, "action", r->action);
	if (r->errno_ret)
		json_set_u64(rule, "errnoRet", r->errno_ret);
	if (r->op) {
		struct json *arg = json_new_object(), *args = json_new_array();

		json_set_u64(arg, "index", r->index);
		json_set_u64(arg, "value", r->value);
		if (r->value_two || strcmp(r->op, "SCMP_CMP_MASKED_EQ") == 0)
			json_set_u64(arg, "valueTwo", r->value_two);
		json_set_string(arg, "op", r->op);
		json_append(args, arg);
		json_set(rule, "args", args);
	}
	return rule;
}

struct json *rt_seccomp_default_profile(char *const *capabilities)
{
	struct json *profile = json_new_object(), *arches = json_new_array(), *rules = json_new_array();
	struct json *allowed =
		json_new_array(); /* all that is allowed without a condition on arguments, as one rule */
	const char *here = architectures_here();

	json_set_string(profile, "defaultAction", sc_default_action);
	json_set_u64(profile, "defaultErrnoRet", sc_default_errno);
	LIST_FOREACH(a, here)
	json_append(arches, json_new_string(a));
	json_set(profile, "architectures", arches);
	for (size_t i = 0; i < sc_default_rule_count; i++) {
		const struct sc_default_rule *r = &sc_default_rules[i];

		if (!applies(r, here, capabilities))
			continue;
		bool plain = !r->op && strcmp(r->action, "SCMP_ACT_ALLOW") == 0;
		struct json *names = plain ? allowed : json_new_array();
		LIST_FOREACH(name, r->names)
		json_append(names, json_new_string(name));
		if (!plain)
			json_append(rules, new_rule(r, names));
	}
	static const struct sc_default_rule allow = {.action = "SCMP_ACT_ALLOW"};
	json_append(rules, new_rule(&allow, allowed));
	json_set(profile, "syscalls", rules);
	return profile;
}
