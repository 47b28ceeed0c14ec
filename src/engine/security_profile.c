/* SPDX-License-Identifier: Apache-2.0 */
/* Seccomp profiles from files. Two formats are in use: the runtime specification's linux.seccomp object, and docker's, whose
 * rules carry conditions (includes, excludes: capabilities, architectures, minimal kernel) and whose architectures are
 * in archMap. The second is resolved here for a container's capabilities and this machine. */
#include <stdio.h>
#include <sys/utsname.h>

#include "private.h"
#include "security.h"

#if defined(__x86_64__)
#define NATIVE_ARCH "amd64"
#define NATIVE_SCMP "SCMP_ARCH_X86_64"
#elif defined(__aarch64__)
#define NATIVE_ARCH "arm64"
#define NATIVE_SCMP "SCMP_ARCH_AARCH64"
#else
#define NATIVE_ARCH "unknown"
#define NATIVE_SCMP ""
#endif

static struct err *kernel_at_least(const struct json_cursor *condition, bool *ret)
{
	const char *version = NULL;
	unsigned major, minor, own_major = 0, own_minor = 0;
	struct utsname u;

	*ret = true;
	TRY(json_get_string(condition, "minKernel", JSON_OPTIONAL, &version));
	if (!version)
		return NULL;
	if (sscanf(version, "%u.%u", &major, &minor) != 2)
		return json_error(condition, "minKernel \"%.32s\" is not a kernel version", version);
	uname(&u);
	(void)sscanf(u.release, "%u.%u", &own_major, &own_minor);
	*ret = own_major > major || (own_major == major && own_minor >= minor);
	return NULL;
}

static bool all_in(char *const *wanted, char *const *have)
{
	STRV_FOREACH (s, wanted)
		if (!strv_contains(have, *s))
			return false;
	return true;
}

static bool any_in(char *const *wanted, char *const *have)
{
	STRV_FOREACH (s, wanted)
		if (strv_contains(have, *s))
			return true;
	return false;
}

/* "includes": every part must hold; "excludes": no part may hold. Absent ones do not matter. */
static struct err *rule_applies(const struct json_cursor *rule, char *const *capabilities, bool *ret)
{
	struct json_cursor condition;

	*ret = true;
	for (int i = 0; i < 2; i++) {
		_cleanup_strv_ char **caps = NULL, **arches = NULL;
		bool include = i == 0, kernel;

		TRY(json_get_object(rule, include ? "includes" : "excludes", JSON_OPTIONAL, &condition));
		if (!condition.value)
			continue;
		TRY(json_get_strv(&condition, "caps", JSON_OPTIONAL, &caps));
		TRY(json_get_strv(&condition, "arches", JSON_OPTIONAL, &arches));
		TRY(kernel_at_least(&condition, &kernel));
		bool arch_matches = strv_contains(arches, NATIVE_ARCH);
		if (include)
			*ret = *ret && all_in(caps, capabilities) && (!arches || arch_matches) && kernel;
		else
			*ret = *ret && !any_in(caps, capabilities) && !arch_matches;
	}
	return NULL;
}

static struct err *resolve_arch_map(const struct json_cursor *map, struct json *out)
{
	struct json *list = json_new_array();

	for (size_t i = 0, n = json_array_len(map); i < n; i++) {
		struct json_cursor entry = json_at(map, i);
		const char *arch = NULL;
		_cleanup_strv_ char **sub = NULL;
		struct err *e = json_get_string(&entry, "architecture", JSON_REQUIRED, &arch);

		if (!e)
			e = json_get_strv(&entry, "subArchitectures", JSON_OPTIONAL, &sub);
		if (e) {
			json_unref(list);
			return e;
		}
		if (!str_eq(arch, NATIVE_SCMP))
			continue;
		json_append(list, json_new_string(arch));
		STRV_FOREACH (s, sub)
			json_append(list, json_new_string(*s));
	}
	json_set(out, "architectures", list);
	return NULL;
}

/* A copy of the members that the specification knows. */
static void copy_members(const struct json_cursor *from, const char *const *names, struct json *to)
{
	for (; *names; names++) {
		struct json_cursor c;
		struct err *e = json_get(from, *names, JSON_OPTIONAL, &c);
		if (!e && c.value)
			json_set(to, *names, json_deep_copy(c.value));
		err_free(e);
	}
}

static struct err *resolve_rules(const struct json_cursor *rules, char *const *capabilities, struct json *out)
{
	static const char *const members[] = {"names", "action", "errnoRet", "args", NULL};

	for (size_t i = 0, n = json_array_len(rules); i < n; i++) {
		struct json_cursor rule = json_at(rules, i);
		const char *name = NULL, *action = NULL;
		bool applies;

		TRY(json_get_string(&rule, "action", JSON_REQUIRED, &action));
		TRY(rule_applies(&rule, capabilities, &applies));
		if (!applies)
			continue;
		struct json *o = json_new_object();
		copy_members(&rule, members, o);
		json_append(out, o);
		TRY(json_get_string(&rule, "name", JSON_OPTIONAL, &name)); /* docker's older form */
		if (name) {
			char *const names[] = {(char *)(uintptr_t)name, NULL};
			json_set_strv(o, "names", names);
		}
	}
	return NULL;
}

struct err *seccomp_profile_resolve(struct json *profile, char *const *capabilities, struct json **ret)
{
	static const char *const members[] = {"defaultAction",
					      "defaultErrnoRet",
					      "architectures",
					      "flags",
					      "listenerPath",
					      "listenerMetadata",
					      NULL};
	struct json_cursor root = json_root(profile), map, rules;
	const char *action = NULL;
	_cleanup_json_ struct json *out = json_new_object();

	TRY(json_get_string(&root, "defaultAction", JSON_REQUIRED, &action));
	TRY(json_get_array(&root, "archMap", JSON_OPTIONAL, &map));
	TRY(json_get_array(&root, "syscalls", JSON_OPTIONAL, &rules));
	copy_members(&root, members, out);
	if (map.value)
		TRY(resolve_arch_map(&map, out));
	struct json *list = json_new_array();
	json_set(out, "syscalls", list);
	TRY(resolve_rules(&rules, capabilities, list));
	*ret = TAKE_PTR(out);
	return NULL;
}
