/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration that `spec` prints: a shell in all namespaces with docker's kind of confinement, as a text to read and change. */
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "runtime/cgroup.h"
#include "runtime/container.h"

#define CAPS "[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]"

static const char text[] =
	"{\"ociVersion\":\"1.2.1\","
	"\"process\":{\"terminal\":true,\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"],"
	"\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\"TERM=xterm\"],"
	"\"cwd\":\"/\","
	"\"capabilities\":{\"bounding\":" CAPS ",\"effective\":" CAPS ",\"permitted\":" CAPS "},"
	"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],"
	"\"noNewPrivileges\":true},"
	"\"root\":{\"path\":\"rootfs\",\"readonly\":true},"
	"\"hostname\":\"havre\","
	"\"mounts\":["
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
	"\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"
	"{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
	"\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]},"
	"{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},"
	"{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
	"{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]},"
	"{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"]}],"
	"\"linux\":{\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},"
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},"
	"{\"type\":\"mount\"},{\"type\":\"cgroup\"}],"
	"\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\",\"/proc/keys\",\"/proc/"
	"latency_stats\","
	"\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sched_debug\",\"/sys/firmware\",\"/proc/scsi\"],"
	"\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/"
	"sysrq-trigger\"]}}";

static void append_namespace(struct json *list, const char *type)
{
	struct json *o = json_new_object();
	json_set_string(o, "type", type);
	json_append(list, o);
}

static struct json *one_map(uint32_t host_id)
{
	struct json *list = json_new_array(), *map = json_new_object();
	json_set_u64(map, "containerID", 0);
	json_set_u64(map, "hostID", host_id);
	json_set_u64(map, "size", 1);
	json_append(list, map);
	return list;
}

static struct json *bind_sys(void)
{
	struct json *mount = json_new_object();
	char *options[] = {(char *)"rbind", (char *)"nosuid", (char *)"noexec",
			   (char *)"nodev", (char *)"ro",     NULL};
	json_set_string(mount, "destination", "/sys");
	json_set_string(mount, "type", "none");
	json_set_string(mount, "source", "/sys");
	json_set_strv(mount, "options", options);
	return mount;
}

/* An ordinary user has one id, no network to set up, and sees the host's /sys; gid=5 is not mapped there. */
static void make_rootless(struct json *document)
{
	struct json_cursor root = json_root(document), linux_, list, options;
	struct json *namespaces = json_new_array(), *mounts = json_new_array();
	static const char *const types[] = {"pid", "ipc", "uts", "mount", "cgroup", "user"};
	err_free(json_get_object(&root, "linux", JSON_OPTIONAL, &linux_));
	err_free(json_get_array(&root, "mounts", JSON_OPTIONAL, &list));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		append_namespace(namespaces, types[i]);
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor mount = json_at(&list, i);
		const char *destination = "";
		err_free(json_get_string(&mount, "destination", JSON_OPTIONAL, &destination));
		if (str_eq(destination, "/sys"))
			json_append(mounts, bind_sys());
		else
			json_append(mounts, json_ref(mount.value));
		if (!str_eq(destination, "/dev/pts"))
			continue;
		char *kept[] = {(char *)"nosuid",        (char *)"noexec",    (char *)"newinstance",
				(char *)"ptmxmode=0666", (char *)"mode=0620", NULL};
		err_free(json_get_array(&mount, "options", JSON_OPTIONAL, &options));
		json_set_strv(mount.value, "options", kept);
	}
	json_set(document, "mounts", mounts);
	json_set(linux_.value, "namespaces", namespaces);
	json_set(linux_.value, "uidMappings", one_map((uint32_t)geteuid()));
	json_set(linux_.value, "gidMappings", one_map((uint32_t)getegid()));
	json_remove(linux_.value, "resources");
}

static bool only_v2(void)
{
	enum rt_cgroup_mode mode = RT_CGROUP_NONE;
	err_free(rt_cgroup_detect(&mode));
	return mode == RT_CGROUP_V2;
}

/* As with runc: programs that look for v1's controllers by the paths in /proc/self/cgroup find them only outside of one. */
static void drop_cgroup_namespace(struct json *document)
{
	struct json_cursor root = json_root(document), linux_, list;
	struct json *kept = json_new_array();
	err_free(json_get_object(&root, "linux", JSON_OPTIONAL, &linux_));
	err_free(json_get_array(&linux_, "namespaces", JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor e = json_at(&list, i);
		const char *type = "";
		err_free(json_get_string(&e, "type", JSON_OPTIONAL, &type));
		if (!str_eq(type, "cgroup"))
			json_append(kept, json_ref(e.value));
	}
	json_set(linux_.value, "namespaces", kept);
}

struct json *rt_spec_default(bool rootless)
{
	struct json *document = NULL;
	struct err *e = json_parse(text, strlen(text), "the default configuration", &document);
	if (e) { /* our own constant: the unit test parses it */
		err_free(e);
		return json_new_object();
	}
	if (rootless)
		make_rootless(document);
	if (!only_v2())
		drop_cgroup_namespace(document);
	return document;
}
