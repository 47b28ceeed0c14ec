/* SPDX-License-Identifier: Apache-2.0 */
/* features.md and features-linux.md: what this runtime understands, whatever the machine can do. */
#include "base/memory.h"
#include "base/str.h"
#include "capabilities.h"
#include "mount_options.h"
#include "namespaces.h"
#include "runtime/container.h"
#include "seccomp_syscalls.h"

static struct json *enabled(bool yes)
{
	struct json *o = json_new_object();
	json_set_bool(o, "enabled", yes);
	return o;
}

static struct json *words(const char *list)
{
	_cleanup_strv_ char **v = strv_split(list, " ");
	return json_new_strv(v);
}

static struct json *seccomp(void)
{
	struct json *o = enabled(true);
	json_set(o, "actions",
		 words("SCMP_ACT_ALLOW SCMP_ACT_ERRNO SCMP_ACT_KILL SCMP_ACT_KILL_PROCESS "
		       "SCMP_ACT_KILL_THREAD SCMP_ACT_LOG "
		       "SCMP_ACT_NOTIFY SCMP_ACT_TRACE SCMP_ACT_TRAP"));
	json_set(o, "operators",
		 words("SCMP_CMP_EQ SCMP_CMP_GE SCMP_CMP_GT SCMP_CMP_LE SCMP_CMP_LT SCMP_CMP_MASKED_EQ "
		       "SCMP_CMP_NE"));
	struct json *archs = json_new_array();
	for (size_t i = 0; i < sc_arch_count(); i++)
		json_append(archs, json_new_string(sc_arch_at(i)->name));
	json_set(o, "archs", archs);
	static const char flags[] =
		"SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_SPEC_ALLOW SECCOMP_FILTER_FLAG_LOG "
		"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";
	json_set(o, "knownFlags", words(flags));
	json_set(o, "supportedFlags", words(flags));
	return o;
}

static struct json *linux_features(void)
{
	struct json *o = json_new_object(), *extensions = json_new_object(), *cgroup = json_new_object();
	struct json *namespaces = json_new_array(), *caps = json_new_array(), *policy = json_new_object();
	for (size_t i = 0; i < SPEC_NS_COUNT; i++)
		json_append(namespaces, json_new_string(namespace_kinds[i].type));
	for (size_t i = 0; i < CAPABILITY_COUNT; i++)
		json_append(caps, json_new_string(capability_names[i]));
	json_set_bool(cgroup, "v1", true);
	json_set_bool(cgroup, "v2", true);
	json_set_bool(cgroup, "systemd", true);
	json_set_bool(cgroup, "systemdUser", true);
	json_set_bool(cgroup, "rdma", true);
	json_set(extensions, "idmap", enabled(true));
	json_set(policy, "modes",
		 words("MPOL_DEFAULT MPOL_BIND MPOL_INTERLEAVE MPOL_LOCAL MPOL_PREFERRED MPOL_PREFERRED_MANY "
		       "MPOL_WEIGHTED_INTERLEAVE"));
	json_set(policy, "flags", words("MPOL_F_NUMA_BALANCING MPOL_F_RELATIVE_NODES MPOL_F_STATIC_NODES"));
	json_set(o, "namespaces", namespaces);
	json_set(o, "capabilities", caps);
	json_set(o, "cgroup", cgroup);
	json_set(o, "seccomp", seccomp());
	json_set(o, "apparmor", enabled(true));
	json_set(o, "selinux", enabled(true));
	struct json *rdt = enabled(true);
	json_set_bool(rdt, "schemata", true);
	json_set_bool(rdt, "monitoring", true);
	json_set(o, "intelRdt", rdt);
	json_set(o, "mountExtensions", extensions);
	json_set(o, "netDevices", enabled(true));
	json_set(o, "memoryPolicy", policy);
	return o;
}

struct json *rt_features(void)
{
	struct json *o = json_new_object(), *options = json_new_array(), *notes = json_new_object();
	json_set_string(o, "ociVersionMin", "1.0.0");
	json_set_string(o, "ociVersionMax", "1.3.0");
	json_set(o, "hooks",
		 words("prestart createRuntime createContainer startContainer poststart poststop"));
	for (unsigned i = 0; mount_option_name(i); i++)
		json_append(options, json_new_string(mount_option_name(i)));
	json_set(o, "mountOptions", options);
	json_set(o, "linux", linux_features());
	json_set_string(notes, "org.havre.runtime.version", HAVRE_VERSION);
	json_set_string(notes, "org.opencontainers.runc.checkpoint.enabled",
			"true"); /* callers look for runc's name */
	json_set(o, "annotations", notes);
	/* They change what happens on the host: engines should not let an image set them. A dot at the end makes a prefix. */
	json_set(o, "potentiallyUnsafeConfigAnnotations",
		 words("org.criu.config org.systemd.property. run.oci."));
	return o;
}
