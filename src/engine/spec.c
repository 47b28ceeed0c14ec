/* SPDX-License-Identifier: Apache-2.0 */
/* From a stored container to the OCI configuration its monitor runs (runtime-spec 1.3). spec_process.c, spec_mounts.c and
 * spec_resources.c hold the parts. */
#include "spec.h"
#include "base/user.h"

#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cdi.h"
#include "cgroup_driver.h"
#include "namespace_join.h"
#include "runtime/cgroup.h"
#include "security.h"
#include "userns.h"

/* What is hidden from unprivileged containers, as docker hides it. */
static char *const masked_paths[] = {(char *)"/proc/asound",
				     (char *)"/proc/acpi",
				     (char *)"/proc/interrupts",
				     (char *)"/proc/kcore",
				     (char *)"/proc/keys",
				     (char *)"/proc/latency_stats",
				     (char *)"/proc/timer_list",
				     (char *)"/proc/timer_stats",
				     (char *)"/proc/sched_debug",
				     (char *)"/proc/scsi",
				     (char *)"/sys/firmware",
				     (char *)"/sys/devices/virtual/powercap",
				     NULL};
static char *const readonly_paths[] = {(char *)"/proc/bus",           (char *)"/proc/fs",
				       (char *)"/proc/irq",           (char *)"/proc/sys",
				       (char *)"/proc/sysrq-trigger", NULL};

static void add_namespace(struct json *list, const char *type, const char *path)
{
	struct json *o = json_new_object();

	json_set_string(o, "type", type);
	if (path)
		json_set_string(o, "path", path);
	json_append(list, o);
}

bool spec_private_cgroupns(const struct container_spec *s)
{
	enum rt_cgroup_mode mode = RT_CGROUP_NONE;

	if (s->cgroupns_mode)
		return str_eq(s->cgroupns_mode, "private");
	err_free(rt_cgroup_detect(&mode));
	return mode == RT_CGROUP_V2 && !s->privileged; /* docker's default, too */
}

static struct json *namespaces(const struct spec_input *in)
{
	const struct container_spec *s = in->c->spec;
	struct json *list = json_new_array();
	const struct {
		const char *type, *mode;
		int place;
	} kinds[] = {{"uts", s->uts_mode, START_UTSNS},
		     {"pid", s->pid_mode, START_PIDNS},
		     {"ipc", s->ipc_mode, START_IPCNS}};

	add_namespace(list, "mount", NULL);
	if (in->netns || !str_eq(s->network, "host"))
		add_namespace(list, "network", in->netns);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_free_ char *path = in->fds ? start_fds_path(in->fds, (size_t)kinds[i].place) : NULL;
		if (!str_eq(kinds[i].mode, "host"))
			add_namespace(list, kinds[i].type, path);
	}
	if (spec_private_cgroupns(s))
		add_namespace(list, "cgroup", NULL);
	_cleanup_free_ char *userns = in->fds ? start_fds_path(in->fds, START_USERNS) : NULL;
	if (userns || userns_wanted(s))
		add_namespace(list, "user", userns);
	return list;
}

static struct json *sysctls(const struct spec_input *in)
{
	const struct container_spec *s = in->c->spec;
	struct json *o = json_new_object();
	bool own_network =
		!str_eq(s->network, "host") && !str_starts(s->network ? s->network : "", "container:");

	/* Inside its own network namespace a container may bind low ports and ping, whoever it runs as. */
	if (own_network && !(in->netns && userns_wanted(s))) { /* else netns_open_to_users did that */
		json_set_string(o, "net.ipv4.ip_unprivileged_port_start", "0");
		/* Both ends must be ids that are mapped: in a user's own namespace that is certain of 0 only. */
		json_set_string(o, "net.ipv4.ping_group_range",
				user_is_root() && !userns_wanted(s) ? "0 2147483647" : "0 0");
	}
	STRV_FOREACH (p, s->sysctls) {
		const char *eq = strchr(*p, '=');
		if (!eq)
			continue;
		_cleanup_free_ char *name = xstrndup(*p, (size_t)(eq - *p));
		json_set_string(o, name, eq + 1);
	}
	return o;
}

static struct err *linux_section(const struct spec_input *in, char *const *capabilities, struct json **ret)
{
	const struct container_spec *s = in->c->spec;
	_cleanup_json_ struct json *o = json_new_object(), *seccomp = NULL;
	struct json *resources, *devices, *mappings;

	json_set(o, "namespaces", namespaces(in));
	json_set(o, "sysctl", sysctls(in));
	if (userns_wanted(s)) {
		TRY(userns_mappings(s->uid_map, &mappings));
		json_set(o, "uidMappings", mappings);
		TRY(userns_mappings(s->gid_map, &mappings));
		json_set(o, "gidMappings", mappings);
	}
	_cleanup_free_ char *path = NULL;
	TRY(cgroup_driver_path(in->c, in->systemd_cgroup, &path));
	json_set_string(o, "cgroupsPath", path);
	TRY(spec_resources(s, &resources, &devices));
	json_set(o, "resources", resources);
	json_set(o, "devices", devices);
	if (!s->privileged && !security_system_paths_unconfined(s)) {
		json_set_strv(o, "maskedPaths", masked_paths);
		json_set_strv(o, "readonlyPaths", readonly_paths);
	}
	TRY(security_seccomp(s, capabilities, &seccomp));
	if (seccomp)
		json_set(o, "seccomp", TAKE_PTR(seccomp));
	*ret = TAKE_PTR(o);
	return NULL;
}

char *spec_hostname(const struct container *c)
{
	if (c->spec->hostname)
		return xstrdup(c->spec->hostname);
	if (c->spec->pod_share)
		return xstrndup(c->name, 63);
	if (str_eq(c->spec->network, "host") || str_eq(c->spec->uts_mode, "host")) {
		struct utsname u;
		if (uname(&u) == 0)
			return xstrdup(u.nodename);
	}
	return xstrndup(c->id, 12);
}

struct err *spec_generate(const struct spec_input *in, struct json **ret)
{
	const struct container_spec *s = in->c->spec;
	_cleanup_json_ struct json *doc = json_new_object();
	_cleanup_strv_ char **capabilities = security_capabilities(s);
	_cleanup_free_ char *hostname = spec_hostname(in->c);
	struct json *root = json_new_object(), *part;

	json_set_string(doc, "ociVersion", "1.2.1");
	json_set_string(root, "path",
			"rootfs"); /* required by the format; the monitor has the root as an fd */
	json_set_bool(root, "readonly", s->read_only);
	json_set(doc, "root", root);
	if (!str_eq(s->uts_mode, "host") && !mode_container(s->uts_mode)) {
		json_set_string(doc, "hostname", hostname);
		if (s->domainname)
			json_set_string(doc, "domainname", s->domainname);
	}
	TRY(spec_process(in, capabilities, hostname, &part));
	json_set(doc, "process", part);
	TRY(spec_mounts(in, &part));
	json_set(doc, "mounts", part);
	TRY(linux_section(in, capabilities, &part));
	json_set(doc, "linux", part);
	if (s->annotations)
		json_set(doc, "annotations", json_new_pairs(s->annotations));
	TRY(cdi_apply(s->devices, doc));
	*ret = TAKE_PTR(doc);
	return NULL;
}
