/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups: one container's group in whatever the machine has: v2, v1, or hybrid (v1 controllers plus a cgroup2
 * mount with few or none). runtime-spec 1.3 config-linux.md "Control groups".
 *
 * Speed (../shared/runtime.md): on v2 the container is cloned into the group (clone3 CLONE_INTO_CGROUP with rt_cgroup_clone_fd); on v1
 * a single-threaded process writes "0" into `tasks` of each hierarchy (rt_cgroup_enter_self), never a pid into cgroup.procs.
 */
#ifndef RUNTIME_CGROUP_H
#define RUNTIME_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

struct rt_cgroup;

/* How much a caller without privileges is spared. RT_ROOTLESS_AUTO looks: whoever is not user 0, or is root in a user
 * namespace that is not the first. Rootless means: a user namespace is made when the configuration has none (not for user 0),
 * and it goes without control groups that it may not make, with a warning, unless a limit needs them. */
enum rt_rootless { RT_ROOTLESS_AUTO, RT_ROOTLESS_TRUE, RT_ROOTLESS_FALSE };

enum rt_cgroup_mode { RT_CGROUP_NONE, RT_CGROUP_V1, RT_CGROUP_HYBRID, RT_CGROUP_V2 };
_must_check_ struct err *
rt_cgroup_detect(enum rt_cgroup_mode *ret); /* statfs and /proc/self/mountinfo, cached */

/* Plans the group: `path` is linux.cgroupsPath (absolute: below the mount; relative: below /havre; NULL or empty: /havre/ID).
 * Touches nothing. */
_must_check_ struct err *rt_cgroup_new(const char *path, const char *id, struct rt_cgroup **ret);
/* The same for a group that systemd makes: `path` is SLICE:PREFIX:NAME, for PREFIX-NAME.scope in SLICE (or for the slice NAME, when it ends
 * in .slice); NULL or empty: havre-ID.scope. `config` is config.json: its annotations can set the unit's properties. Asks systemd where its
 * groups are; ERR_UNREACHABLE without it. */
_must_check_ struct err *rt_cgroup_new_systemd(const char *path, const char *id,
					       const struct json_cursor *config, struct rt_cgroup **ret);
/* Makes such a group, which is not without a process: `pid`, which waits meanwhile, is in it afterwards. In place of rt_cgroup_create, prepare_enter
 * and enter_self. *ret_made: the group is ours to remove, also when an error follows. */
_must_check_ struct err *rt_cgroup_create_systemd(struct rt_cgroup *cg, const struct json_cursor *resources,
						  pid_t pid, bool *ret_made);
/* crun's run.oci.systemd.force_cgroup_v1, for an old systemd inside: where the machine has only v2, adds the v1 hierarchy name=systemd, which
 * somebody has mounted at `mountpoint`, to the planned group; the container then sees that one alone. */
_must_check_ struct err *rt_cgroup_force_v1(struct rt_cgroup *cg, const char *mountpoint);
/* crun's run.oci.delegate-cgroup: the container's processes are in this sub-group of the planned group, while limits, statistics and the
 * rest are of the group itself. ERR_UNSUPPORTED with v1. */
_must_check_ struct err *rt_cgroup_set_delegate(struct rt_cgroup *cg, const char *subgroup);
/* Gives the group that the container's processes are in, and only the files in it that the kernel calls safe to delegate, to a user.
 * Pure v2 alone; else nothing. */
_must_check_ struct err *rt_cgroup_chown(const struct rt_cgroup *cg, uid_t uid);
/* From and to the state file: which directories in which hierarchies. */
struct json *rt_cgroup_to_json(const struct rt_cgroup *cg);
_must_check_ struct err *rt_cgroup_from_json(const struct json_cursor *c, struct rt_cgroup **ret);
void rt_cgroup_free(struct rt_cgroup *cg);
DEFINE_CLEANUP(struct rt_cgroup *, rt_cgroup_free)

/* Checks linux.resources without touching anything: every error names its property. */
_must_check_ struct err *rt_cgroup_check_resources(const struct json_cursor *resources);
/* Makes the directories (remembering which are ours) and applies linux.resources (may be absent). On failure what was made is removed.
 * A group that exists and has processes is ERR_EXISTS. Rootless: hierarchies that may not be used are left out, and *ret_any says
 * whether one remains; why goes to warnings. */
_must_check_ struct err *rt_cgroup_create(struct rt_cgroup *cg, const struct json_cursor *resources,
					  enum rt_rootless rootless, bool *ret_any, char ***warnings);
/* In two parts, so that the first process can be cloned into the v2 group (if there is one) and get on while the many directories of v1 are
 * made: rt_cgroup_create then makes the rest. When that fails, and the process is gone, rt_cgroup_remove_v2 takes the v2 group away. */
bool rt_cgroup_has_v1(const struct rt_cgroup *cg);
_must_check_ struct err *rt_cgroup_create_v2(struct rt_cgroup *cg);
_must_check_ struct err *rt_cgroup_remove_v2(struct rt_cgroup *cg);
_must_check_ struct err *rt_cgroup_update(struct rt_cgroup *cg, const struct json_cursor *resources);
/* The v2 directory fd for CLONE_INTO_CGROUP, or -1 where there is none (borrowed). Hybrid has one too. */
int rt_cgroup_clone_fd(const struct rt_cgroup *cg);
/* Opens what rt_cgroup_enter_self needs; called by the parent so that the child needs no paths. `subgroups` (may be NULL): each
 * a path below the container's group, or "CONTROLLER[,…]:PATH" for those hierarchies alone; it must exist. The last one counts. */
_must_check_ struct err *rt_cgroup_prepare_enter(struct rt_cgroup *cg, char *const *subgroups);
/* When the kernel refuses to clone into the prepared v2 group: enter_self goes, with the caller's rights (those of the opener count), to
 * the group that `pid` is in, if that is below the container's; the container may have made sub-groups with controllers, and then
 * allows no processes beside them. 0: to the prepared one. */
_must_check_ struct err *rt_cgroup_prepare_enter_like(struct rt_cgroup *cg, pid_t pid);
/* An error of the clone into the prepared group, with the reason where the group itself is it (NULL: NULL). */
struct err *rt_cgroup_explain(const struct rt_cgroup *cg, struct err *e);
/* The process enters the v1 groups that were made after it was cloned into the v2 one: by their paths, so it must see the host's files. What
 * rt_cgroup_create left out is left out. */
_must_check_ struct err *rt_cgroup_enter_made(struct rt_cgroup *cg, enum rt_rootless rootless);
/* In the parent, after the clone: closes what was opened for it. */
void rt_cgroup_enter_done(struct rt_cgroup *cg);
/* The same for who closes more at a time: pointers to its fds, of which fd_close_all takes care; how many. */
#define RT_CGROUP_ENTER_FDS_MAX 25
size_t rt_cgroup_enter_fds(struct rt_cgroup *cg, int **fds);
/* In the child, single-threaded: moves itself into every v1 hierarchy; and into v2 unless it was cloned there. */
_must_check_ struct err *rt_cgroup_enter_self(struct rt_cgroup *cg, bool cloned_into_v2);

_must_check_ struct err *
rt_cgroup_signal_all(struct rt_cgroup *cg,
		     int signum); /* cgroup.kill for SIGKILL where it exists; frozen ones are thawed */
_must_check_ struct err *rt_cgroup_pids(struct rt_cgroup *cg, pid_t **ret_pids,
					size_t *ret_n); /* with sub-groups */
_must_check_ struct err *rt_cgroup_freeze(struct rt_cgroup *cg, bool frozen);
_must_check_ struct err *rt_cgroup_is_frozen(struct rt_cgroup *cg, bool *ret);
/* The group that tells the processes goes, if it is empty: then there are none to kill, and rt_cgroup_remove takes the others. */
_must_check_ bool rt_cgroup_remove_empty(struct rt_cgroup *cg);
/* Thaws the group and every group below, which its processes may have frozen: in v1 what is to be killed must run. */
_must_check_ struct err *rt_cgroup_thaw_all(struct rt_cgroup *cg);
/* Back into our v1 freezer group: out of a frozen one that somebody moved it to, so that it can die. */
void rt_cgroup_reclaim(struct rt_cgroup *cg, pid_t pid);
/* The v1 group above ours that somebody froze: ours cannot die before it is thawed, which is not for us to do. NULL if none; caller
 * frees. */
char *rt_cgroup_frozen_ancestor(const struct rt_cgroup *cg);
/* rmdir of the group and its sub-groups, waiting a bounded time for exiting processes. Absent is success. */
_must_check_ struct err *rt_cgroup_remove(struct rt_cgroup *cg);

/* Removes the empty parent of the groups that had no absolute path (it stays after the last of them, which makes the next
 * start faster). In use is success. */
_must_check_ struct err *rt_cgroup_remove_parent(void);

/* What `events --stats` and the engine show. Values that the machine cannot tell are UINT64_MAX. */
struct rt_cgroup_stats {
	uint64_t cpu_usage_ns, cpu_user_ns, cpu_system_ns, throttled_ns, throttled_periods, periods;
	/* memory_cache_bytes: inactive page cache, what docker subtracts from the memory in use. */
	uint64_t memory_bytes, memory_peak_bytes, memory_limit_bytes, memory_cache_bytes, swap_bytes,
		oom_kills;
	uint64_t pids, pids_limit;
	uint64_t io_read_bytes, io_write_bytes, io_reads, io_writes;
};
_must_check_ struct err *rt_cgroup_stats(struct rt_cgroup *cg, struct rt_cgroup_stats *ret);

/* The same as runc's `events --stats` prints it, with what only some machines know. */
struct json *rt_cgroup_stats_json(struct rt_cgroup *cg);

/* Tells when the kernel's out-of-memory killer had to work in the group: poll `fd`, then ask. `fd` is -1 where no memory controller is,
 * else the caller closes it; it borrows from `cg`. */
struct rt_cgroup_oom {
	int fd;
	const char *dir;
	bool counted;
	uint64_t kills;
};
_must_check_ struct err *rt_cgroup_oom_watch(struct rt_cgroup *cg, struct rt_cgroup_oom *ret);
bool rt_cgroup_oom_happened(struct rt_cgroup_oom *w);

/* The mounts of type "cgroup" inside a container: for each hierarchy the host mount's name and the group's path, so
 * that the mount code can build the tree. */
struct rt_cgroup_hierarchy {
	char *name;       /* "cpu,cpuacct", "systemd", "unified"; "" for pure v2 */
	char *mountpoint; /* on the host */
	char *path;       /* of the container's group below it, starts with '/' */
	bool v2;
};
_must_check_ struct err *rt_cgroup_hierarchies(const struct rt_cgroup *cg,
					       const struct rt_cgroup_hierarchy **ret, size_t *ret_n);

#endif
