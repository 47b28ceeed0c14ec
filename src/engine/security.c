/* SPDX-License-Identifier: Apache-2.0 */
#include "security.h"

#include <fcntl.h>
#include <stdio.h>
#include <strings.h>

#include "private.h"
#include "runtime/seccomp.h"

#define PROFILE_MAX (1u << 20)

/* In the kernel's numbering. */
static const char *const all_capabilities[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};
#define N_CAPABILITIES ARRAY_SIZE(all_capabilities)

/* What docker grants, too. */
static const char *const default_capabilities[] = {
	"CHOWN",   "DAC_OVERRIDE",     "FOWNER",  "FSETID",     "KILL",  "SETGID",      "SETUID",
	"SETPCAP", "NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP",
};

static const char *bare_name(const char *name)
{
	return strncasecmp(name, "CAP_", 4) == 0 ? name + 4 : name;
}

/* Index of a capability; N_CAPABILITIES for ALL; -1 unknown. */
static int capability_index(const char *name)
{
	if (strcasecmp(name, "ALL") == 0)
		return N_CAPABILITIES;
	for (size_t i = 0; i < N_CAPABILITIES; i++)
		if (strcasecmp(bare_name(name), all_capabilities[i]) == 0)
			return (int)i;
	return -1;
}

static bool contains_all(char *const *list)
{
	STRV_FOREACH (name, list)
		if (capability_index(*name) == (int)N_CAPABILITIES)
			return true;
	return false;
}

/* What this process may give: its bounding set. A container manager inside a container has less than all. */
static uint64_t grantable(void)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	unsigned long long set = 0;
	struct err *e = file_read("/proc/self/status", 64 << 10, &text, &size);

	if (e) {
		err_free(e);
		return UINT64_MAX;
	}
	const char *line = strstr(text, "\nCapBnd:");
	if (!line || sscanf(line + 8, "%llx", &set) != 1)
		return UINT64_MAX;
	return set;
}

char **security_capabilities(const struct container_spec *s)
{
	bool granted[N_CAPABILITIES] = {0};
	char **list = NULL;
	uint64_t possible = grantable();

	if (s->privileged) {
		memset(granted, 1, sizeof(granted));
	} else if (!contains_all(s->cap_drop)) {
		for (size_t i = 0; i < ARRAY_SIZE(default_capabilities); i++)
			granted[capability_index(default_capabilities[i])] = true;
	}
	/* "add ALL" comes before single drops, and single adds come after "drop ALL". */
	STRV_FOREACH (name, s->cap_add) {
		int i = capability_index(*name);
		if (i == (int)N_CAPABILITIES)
			memset(granted, 1, sizeof(granted));
		else if (i >= 0)
			granted[i] = true;
	}
	STRV_FOREACH (name, s->cap_drop) {
		int i = capability_index(*name);
		if (i >= 0 && i < (int)N_CAPABILITIES)
			granted[i] = false;
	}
	for (size_t i = 0; i < N_CAPABILITIES; i++)
		if (granted[i] && (possible & (1ULL << i)))
			strv_push_take(&list, xasprintf("CAP_%s", all_capabilities[i]));
	return list;
}

/* -- security options --- */

/* "name=value" and docker's old "name:value"; NULL when it is another option. */
static const char *option_value(const char *option, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(option, name, n) != 0)
		return NULL;
	return option[n] == '=' || option[n] == ':' ? option + n + 1 : option[n] == '\0' ? "" : NULL;
}

static const char *find_option(const struct container_spec *s, const char *name)
{
	const char *value = NULL;

	STRV_FOREACH (o, s->security_opt) {
		const char *v = option_value(*o, name);
		if (v)
			value = v;
	}
	return value;
}

bool security_no_new_privileges(const struct container_spec *s)
{
	const char *v = find_option(s, "no-new-privileges");
	return v && !str_eq(v, "false");
}

bool security_system_paths_unconfined(const struct container_spec *s)
{
	return str_eq(find_option(s, "systempaths"), "unconfined");
}

/* The file becomes part of the stored specification. */
static struct err *embed_profile(char **option, const char *path)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json *profile = NULL, *resolved = NULL;
	size_t size;

	TRY_WRAP(file_read(path, PROFILE_MAX, &text, &size), "cannot read the seccomp profile");
	TRY_WRAP(json_parse(text, size, path, &profile), "invalid seccomp profile");
	TRY_WRAP(seccomp_profile_resolve(profile, NULL, &resolved), "invalid seccomp profile %s", path);
	_cleanup_free_ char *printed = json_print(profile, JSON_COMPACT);
	free(*option);
	*option = xasprintf("seccomp=%s", printed);
	return NULL;
}

static struct err *check_option(char **option)
{
	const char *v;

	if ((v = option_value(*option, "seccomp"))) {
		if (str_eq(v, "unconfined") || str_eq(v, "builtin") || *v == '{')
			return NULL;
		return embed_profile(option, v);
	}
	if ((v = option_value(*option, "no-new-privileges"))) {
		if (str_eq(v, "") || str_eq(v, "true") || str_eq(v, "false"))
			return NULL;
		return err_new(ERR_INVALID,
			       "invalid security option \"%.64s\": the value must be true or false", *option);
	}
	if ((v = option_value(*option, "systempaths")) && str_eq(v, "unconfined"))
		return NULL;
	if ((v = option_value(*option, "apparmor")) || (v = option_value(*option, "label"))) {
		if (str_eq(v, "unconfined") || str_eq(v, "disable"))
			return NULL;
		return err_new(
			ERR_UNSUPPORTED,
			"security option \"%.64s\": this version applies no AppArmor and SELinux profiles",
			*option);
	}
	return err_new(ERR_INVALID,
		       "unknown security option \"%.64s\": there are seccomp=unconfined|FILE, "
		       "no-new-privileges[=true|false], "
		       "systempaths=unconfined, apparmor=unconfined and label=disable",
		       *option);
}

struct err *security_check(struct container_spec *s)
{
	char *const *const lists[] = {s->cap_add, s->cap_drop};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		STRV_FOREACH (name, lists[i])
			if (capability_index(*name) < 0)
				return err_new(ERR_INVALID, "unknown capability \"%.64s\"", *name);
	for (char **o = s->security_opt; o && *o; o++)
		TRY(check_option(o));
	return NULL;
}

struct err *security_seccomp(const struct container_spec *s, char *const *capabilities, struct json **ret)
{
	const char *v = find_option(s, "seccomp");

	*ret = NULL;
	if (str_eq(v, "unconfined") || (s->privileged && !v))
		return NULL;
	if (!v || str_eq(v, "builtin")) {
		*ret = rt_seccomp_default_profile(capabilities);
		return NULL;
	}
	_cleanup_json_ struct json *profile = NULL;
	TRY(json_parse(v, strlen(v), "seccomp profile", &profile));
	return seccomp_profile_resolve(profile, capabilities, ret);
}
