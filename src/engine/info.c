/* SPDX-License-Identifier: Apache-2.0 */
/* engine_info: docker's object (GET /info), as far as it applies here. */
#include <linux/magic.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/timestamp.h"
#include "base/user.h"
#include "cgroup_driver.h"
#include "private.h"
#include "runtime/cgroup.h"

static char *os_name(void)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct err *e = file_read("/etc/os-release", 64 << 10, &text, &size);

	if (e) {
		err_free(e);
		return xstrdup("Linux");
	}
	_cleanup_strv_ char **lines = strv_split(text, "\n");
	STRV_FOREACH (line, lines) {
		if (!str_starts(*line, "PRETTY_NAME="))
			continue;
		char *value = *line + strlen("PRETTY_NAME=");
		size_t n = strlen(value);
		if (n >= 2 && (*value == '"' || *value == '\''))
			return xstrndup(value + 1, n - 2);
		return xstrdup(value);
	}
	return xstrdup("Linux");
}

static struct err *count_containers(struct engine *e, struct json *o)
{
	struct container **list;
	size_t n, running = 0, paused = 0;

	TRY(container_list(e, true, &list, &n));
	for (size_t i = 0; i < n; i++) {
		running += list[i]->status == CONTAINER_RUNNING;
		paused += list[i]->status == CONTAINER_PAUSED;
		container_free(list[i]);
	}
	free(list);
	json_set_u64(o, "Containers", n);
	json_set_u64(o, "ContainersRunning", running);
	json_set_u64(o, "ContainersPaused", paused);
	json_set_u64(o, "ContainersStopped", n - running - paused);
	return NULL;
}

/* docker's words for the common ones. */
static const char *file_system_name(const char *path)
{
	static const struct {
		long magic;
		const char *name;
	} names[] = {{EXT4_SUPER_MAGIC, "extfs"},
		     {XFS_SUPER_MAGIC, "xfs"},
		     {BTRFS_SUPER_MAGIC, "btrfs"},
		     {TMPFS_MAGIC, "tmpfs"},
		     {OVERLAYFS_SUPER_MAGIC, "overlayfs"},
		     {NFS_SUPER_MAGIC, "nfs"},
		     {F2FS_SUPER_MAGIC, "f2fs"},
		     {0x2fc12fc1, "zfs"},
		     {FUSE_SUPER_MAGIC, "fuse"},
		     {0x01021997, "9p"},
		     {0x6a656a63, "virtiofs"},
		     {(long)0xca451a4e, "bcachefs"}};
	struct statfs fs;

	for (size_t i = 0; statfs(path, &fs) == 0 && i < ARRAY_SIZE(names); i++)
		if ((long)fs.f_type == names[i].magic)
			return names[i].name;
	return "<unknown>";
}

static struct err *count_images(struct engine *e, struct json *o)
{
	struct store *store;
	struct image **list;
	size_t n;

	TRY(engine_store(e, &store));
	TRY(store_list_brief(store, &list, &n));
	for (size_t i = 0; i < n; i++)
		image_free(list[i]);
	free(list);
	json_set_u64(o, "Images", n);
	const char *driver, *reason;
	TRY(store_driver_name(store, &driver, &reason));
	json_set_string(o, "Driver", driver);
	struct json *status = json_new_array();
	char *const why[] = {(char *)"Chosen Because", (char *)reason, NULL},
		    *const backing[] = {(char *)"Backing Filesystem", (char *)file_system_name(e->root),
					NULL};
	json_append(status, json_new_strv(backing));
	json_append(status, json_new_strv(why));
	json_set(o, "DriverStatus", status);
	return NULL;
}

static void set_plugins(struct json *o)
{
	struct json *p = json_new_object();
	char *const volume[] = {(char *)"local", NULL},
		    *const network[] = {(char *)"host", (char *)"none", NULL},
		    *const log[] = {(char *)"json-file", (char *)"none", NULL};

	json_set_strv(p, "Volume", volume);
	json_set_strv(p, "Network", network);
	json_set(p, "Authorization", NULL);
	json_set_strv(p, "Log", log);
	json_set(o, "Plugins", p);
}

static void set_cgroups(struct json *o)
{
	static const char *const versions[] = {[RT_CGROUP_NONE] = "none",
					       [RT_CGROUP_V1] = "1",
					       [RT_CGROUP_HYBRID] = "1 (hybrid)",
					       [RT_CGROUP_V2] = "2"};
	enum rt_cgroup_mode mode = RT_CGROUP_NONE;
	bool v2;

	bool systemd = false;
	err_free(cgroup_driver_is_systemd(false, &systemd));
	err_free(rt_cgroup_detect(&mode));
	v2 = mode == RT_CGROUP_V2;
	json_set_string(o, "CgroupDriver",
			mode == RT_CGROUP_NONE ? "none"
			: systemd              ? "systemd"
					       : "cgroupfs");
	json_set_string(o, "CgroupVersion", versions[mode]);
	json_set_bool(o, "MemoryLimit", v2 || access("/sys/fs/cgroup/memory", F_OK) == 0);
	json_set_bool(o, "PidsLimit", v2 || access("/sys/fs/cgroup/pids", F_OK) == 0);
	json_set_bool(o, "CpuCfsQuota", v2 || access("/sys/fs/cgroup/cpu", F_OK) == 0);
	json_set_bool(o, "CPUShares", v2 || access("/sys/fs/cgroup/cpu", F_OK) == 0);
	json_set_bool(o, "CPUSet", v2 || access("/sys/fs/cgroup/cpuset", F_OK) == 0);
}

static void set_machine(struct json *o)
{
	_cleanup_free_ char *os = os_name();
	struct utsname u;
	struct sysinfo si;
	char now[TIMESTAMP_STRING_MAX];

	timestamp_format(timestamp_now_ns(), now);
	json_set_string(o, "SystemTime", now);
	if (uname(&u) == 0) {
		json_set_string(o, "KernelVersion", u.release);
		json_set_string(o, "Architecture", u.machine);
		json_set_string(o, "Name", u.nodename);
	}
	json_set_string(o, "OperatingSystem", os);
	json_set_string(o, "OSType", "linux");
	json_set_i64(o, "NCPU", sysconf(_SC_NPROCESSORS_ONLN));
	if (sysinfo(&si) == 0)
		json_set_u64(o, "MemTotal", (uint64_t)si.totalram * si.mem_unit);
}

struct err *engine_info(struct engine *e, struct json **ret)
{
	_cleanup_json_ struct json *o = json_new_object();
	struct json *security = json_new_array();

	TRY(count_containers(e, o));
	TRY(count_images(e, o));
	set_plugins(o);
	set_cgroups(o);
	set_machine(o);
	json_set_string(o, "LoggingDriver", "json-file");
	json_append(security, json_new_string("name=seccomp,profile=builtin"));
	if (!user_is_root())
		json_append(security, json_new_string("name=rootless"));
	json_set(o, "SecurityOptions", security);
	json_set_string(o, "HavreRootDir", e->root);
	json_set_string(o, "DockerRootDir", e->root);
	json_set_string(o, "HavreRunDir", e->run);
	json_set_string(o, "DefaultRuntime", "havre");
	json_set_string(o, "ServerVersion", HAVRE_VERSION);
	json_set_bool(o, "LiveRestoreEnabled", true); /* containers never depend on a daemon */
	json_set_bool(o, "Debug", false);
	*ret = TAKE_PTR(o);
	return NULL;
}
