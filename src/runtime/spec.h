/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a container (runtime-spec 1.3, config.md and config-linux.md) as checked C values.
 *
 * spec_parse reads the whole document once. Whatever is wrong in it is found here, before anything is made, and the error names the
 * property. What comes out is plain data: the cloned child reads it without parsing, and strings borrow from the document.
 *
 * Invariant: a property of the specification is either in these structs (and honoured), or refused by spec_parse by name.
 * Properties that the specification does not know are ignored, as it demands.
 */
#ifndef RUNTIME_SPEC_H
#define RUNTIME_SPEC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

enum spec_ns {
	SPEC_NS_USER, /* first: joining it gives the rights to join the others */
	SPEC_NS_MOUNT,
	SPEC_NS_PID,
	SPEC_NS_NET,
	SPEC_NS_IPC,
	SPEC_NS_UTS,
	SPEC_NS_CGROUP,
	SPEC_NS_TIME,
	SPEC_NS_COUNT,
};

struct spec_namespace {
	bool present;
	const char *path; /* join this one; NULL: make a new one */
};

struct spec_id_map {
	uint32_t container_id, host_id, size;
};

struct spec_id_maps {
	struct spec_id_map *uid, *gid;
	size_t n_uid, n_gid;
};

struct spec_rlimit {
	int resource;
	const char *name; /* "RLIMIT_NOFILE" */
	uint64_t soft, hard;
};

struct spec_capabilities {
	bool set; /* process.capabilities is there */
	uint64_t bounding, effective, inheritable, permitted, ambient;
	char **unknown; /* names that we do not know; owned */
};

/* <sched.h> of glibc has none, and <linux/sched.h> another name for the others. */
#define SCHED_DEADLINE_POLICY 6

/* As sched_setattr(2) takes it; glibc 2.36 has no struct for it. */
struct spec_scheduler {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max; /* always 0: the specification has flags for them, but no values */
};

/* CPUs or memory nodes, as the kernel takes them. */
#define SPEC_SET_MAX 1024
struct spec_set {
	bool given;
	unsigned long bits[SPEC_SET_MAX / (8 * sizeof(unsigned long))];
};

struct spec_process {
	bool terminal;
	uint16_t rows, columns; /* 0: not given */
	const char *cwd;
	char **args, **env; /* owned; args NULL: the configuration has no process */
	uint32_t uid, gid;
	bool has_umask;
	uint32_t umask;
	gid_t *additional_gids; /* owned */
	size_t n_additional_gids;
	struct spec_capabilities caps;
	struct spec_rlimit *rlimits; /* owned */
	size_t n_rlimits;
	const char *apparmor_profile, *selinux_label;
	bool keep_original_groups; /* run.oci.keep_original_groups */
	bool no_new_privileges, has_oom_score_adj, has_scheduler, has_io_priority;
	int oom_score_adj;
	int io_priority; /* as ioprio_set(2) takes it */
	struct spec_scheduler scheduler;
	struct spec_set cpu_initial, cpu_final; /* execCPUAffinity */
};

enum spec_idmap { SPEC_IDMAP_NONE, SPEC_IDMAP_ONE, SPEC_IDMAP_RECURSIVE };

struct spec_mount {
	const char *destination, *type, *source; /* type "bind" for binds; source NULL when absent */
	uint64_t attr_set, attr_clear;           /* MOUNT_ATTR_*, this mount only */
	uint64_t rec_set, rec_clear;             /* the same for the whole tree (rro, rnosuid, …) */
	unsigned long propagation; /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE; 0: not given */
	bool propagation_recursive;
	bool bind, recursive, remount;
	bool tmpcopyup, copy_symlink, src_nofollow, dest_nofollow;
	bool late_readonly; /* made read-only (attr_set does not say so) when all that is below it is made */
	enum spec_idmap idmap;
	struct spec_id_maps maps; /* own mappings of an idmapped mount */
	char **data;              /* options that go to the file system; owned */
};

struct spec_device {
	const char *path;
	char type; /* 'c', 'b', 'p' */
	uint32_t major, minor, mode, uid, gid;
};

enum spec_hook_kind {
	SPEC_HOOK_PRESTART,
	SPEC_HOOK_CREATE_RUNTIME,
	SPEC_HOOK_CREATE_CONTAINER,
	SPEC_HOOK_START_CONTAINER,
	SPEC_HOOK_POSTSTART,
	SPEC_HOOK_POSTSTOP,
	SPEC_HOOK_COUNT,
};
extern const char *const spec_hook_names[SPEC_HOOK_COUNT];

struct spec_hook {
	const char *path;
	char **args, **env; /* owned; args NULL: only the path */
	int timeout_ms;     /* -1: none */
};

struct spec_hooks {
	const char *stdout_path, *stderr_path; /* run.oci.hooks.stdout and .stderr; NULL: not given */
	int stdout_fd, stderr_fd;              /* hooks_open_output; -1: not open */
	struct spec_hook *list[SPEC_HOOK_COUNT];
	size_t n[SPEC_HOOK_COUNT];
};

struct spec_pair {
	const char *key, *value; /* key is owned */
};

struct spec_time_offset {
	bool set;
	int64_t seconds;
	uint32_t nanoseconds;
};

struct spec_memory_policy {
	bool set;
	int mode; /* MPOL_* with the mode flags */
	struct spec_set nodes;
};

struct spec_rdt {
	bool set, monitoring;
	const char *clos_id; /* NULL: the container's own group, named after its id; "/": the default group */
	const char *l3_cache, *mem_bw;
	char **schemata; /* lines; owned */
};

struct spec {
	struct json *document;
	struct json_cursor root, linux_, seccomp, resources; /* for those who read their part themselves */
	const char *oci_version;
	struct spec_process process;
	const char *root_path; /* as given, maybe relative to the bundle; NULL when absent */
	bool root_readonly;
	const char *hostname, *domainname;
	struct spec_mount *mounts;
	size_t n_mounts;
	struct spec_hooks hooks;
	struct spec_namespace ns[SPEC_NS_COUNT];
	struct spec_id_maps maps;
	struct spec_time_offset monotonic, boottime;
	struct spec_device *devices;
	size_t n_devices;
	const char *cgroups_path;
	const char *
		delegate_cgroup; /* run.oci.delegate-cgroup: the sub-group for the container's processes; NULL: none */
	const char *force_cgroup_v1; /* run.oci.systemd.force_cgroup_v1: where the hierarchy is mounted */
	struct spec_pair *sysctls;
	size_t n_sysctls;
	unsigned sysctl_namespaces;       /* bits of enum spec_ns: whose sysctls they are */
	unsigned long rootfs_propagation; /* 0: not given */
	bool rootfs_propagation_recursive;
	char **masked_paths, **readonly_paths;
	const char *mount_label,
		*mount_context_type; /* "context" unless run.oci.mount_context_type says otherwise */
	bool has_personality;
	unsigned long personality;
	struct spec_pair *net_devices; /* host name, name inside */
	size_t n_net_devices;
	struct spec_memory_policy memory_policy;
	struct spec_rdt rdt;
};

/* `document` is referenced. A root.path that is absent is allowed here: the caller may have a root of its own. */
_must_check_ struct err *spec_parse(struct json *document, struct spec **ret);
void spec_free(struct spec *s);
DEFINE_CLEANUP(struct spec *, spec_free)

/* A "process" object by itself, as `exec` takes it. `ret` is zeroed by the caller; release it also after an error. */
_must_check_ struct err *spec_process_parse(const struct json_cursor *c, struct spec_process *ret);
void spec_process_release(struct spec_process *p);

/* Pieces of spec_parse, one per file. */
_must_check_ struct err *spec_linux_parse(struct spec *s);
_must_check_ struct err *spec_mounts_parse(struct spec *s);
/* The annotations that crun gave a meaning to. */
_must_check_ struct err *spec_annotations_parse(struct spec *s);
_must_check_ struct err *spec_hooks_parse(const struct json_cursor *root, struct spec_hooks *ret);
_must_check_ struct err *spec_rdt_parse(struct spec *s);
/* A list like "0-3,7" of a member of an object; an empty one counts as not given. */
_must_check_ struct err *spec_set_parse(const struct json_cursor *object, const char *key,
					struct spec_set *ret);
_must_check_ struct err *spec_id_maps_parse(const struct json_cursor *object, struct spec_id_maps *ret);
void spec_hooks_release(struct spec_hooks *h);
void spec_id_maps_release(struct spec_id_maps *m);

#endif
