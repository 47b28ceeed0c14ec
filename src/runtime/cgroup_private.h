/* SPDX-License-Identifier: Apache-2.0 */
/* What the cgroup files share: the hierarchies of the machine, the group of one container in each, and its parsed
 * limits. */
#ifndef RUNTIME_CGROUP_PRIVATE_H
#define RUNTIME_CGROUP_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "runtime/cgroup.h"

enum cg_controller {
	CG_CPU,
	CG_CPUACCT,
	CG_CPUSET,
	CG_MEMORY,
	CG_DEVICES,
	CG_FREEZER,
	CG_BLKIO, /* "io" on v2 */
	CG_PIDS,
	CG_HUGETLB,
	CG_NET_CLS,
	CG_NET_PRIO,
	CG_PERF_EVENT,
	CG_RDMA,
	CG_MISC,
	CG_CONTROLLERS,
};
const char *cg_controller_name(enum cg_controller c, bool v2);
/* The bits of a list such as "rw,cpu,cpuacct" or "cpu memory io"; unknown words are skipped. */
unsigned cg_controllers_parse(const char *list);

/* One mounted hierarchy of this machine. */
#define CG_HIERARCHIES_MAX 24
struct cg_hierarchy {
	char *name; /* last component of the mount point's path; "" for pure v2 */
	char *mountpoint;
	char *own;            /* the caller's group, as /proc/self/cgroup says; NULL if not looked up */
	unsigned controllers; /* v1 only; a v2 group's are read from it */
	bool v2;
};
struct cg_machine {
	enum rt_cgroup_mode mode;
	struct cg_hierarchy h[CG_HIERARCHIES_MAX];
	size_t n;
};
_must_check_ struct err *cg_machine_get(const struct cg_machine **ret); /* detected once per process */
/* From the text of /proc/self/mountinfo. Public here for its test. */
void cg_machine_parse_mountinfo(const char *mountinfo, struct cg_machine *ret);
void cg_machine_release(struct cg_machine *m);

/* The container's group in one hierarchy. */
struct cg_group {
	char *dir;            /* mountpoint + path */
	unsigned controllers; /* v2: those enabled in the group, once read */
	bool controllers_read;
	size_t kept;     /* length of the part of `dir` that was there before us and stays after us */
	bool made;       /* `dir` itself was made by this process */
	bool removed;    /* by rt_cgroup_remove_empty */
	bool early;      /* there since rt_cgroup_create_v2 ... */
	bool early_made; /* ... which made it */
	int enter_fd;    /* `tasks` (v1) or `cgroup.procs` (v2), open between prepare_enter and free */
};
/* The systemd unit that the group belongs to (cgroup_systemd.c). */
struct systemd;
struct cg_resources;
struct cg_unit {
	char *name;     /* "havre-ID.scope" */
	char *parent;   /* the slice of a scope */
	bool user;      /* of the user's systemd, not the system's */
	char *subgroup; /* of the unit's group, which is then the container's; "" for the unit's own */
	struct strbuf properties; /* of the configuration's annotations; while it is made */
	struct systemd *manager;  /* connected while it is made, else NULL */
};
void cg_unit_free(struct cg_unit *u);
/* The unit's names from SLICE:PREFIX:NAME, and a slice's path below systemd's root ("" for that itself). Public here for their test. */
_must_check_ struct err *cg_unit_parse(const char *path, const char *id, bool user, struct cg_unit *u);
_must_check_ struct err *cg_slice_path(const char *slice, char **ret);
void cg_unit_to_json(const struct cg_unit *u, struct json *group);
_must_check_ struct err *cg_unit_from_json(const struct json_cursor *group, struct cg_unit **ret);
/* Before the group's files are written. */
_must_check_ struct err *cg_unit_update(struct rt_cgroup *cg, struct cg_resources *r);
/* Bounded; a systemd that does not answer is no error: it forgets a unit whose group has gone by itself. */
void cg_unit_stop(const struct cg_unit *u);

struct rt_cgroup {
	struct cg_unit *unit; /* NULL: the group is ours alone */
	enum rt_cgroup_mode mode;
	size_t n;
	struct rt_cgroup_hierarchy h[CG_HIERARCHIES_MAX];
	struct cg_group g[CG_HIERARCHIES_MAX]; /* of h[i] */
	int v2_fd;                             /* O_PATH of the v2 group, or of the sub-group to enter */
	char *delegate; /* the sub-group of the v2 group that the container is in (starts with '/'); NULL: the group itself */
	char *denied; /* why the caller may not use one of the hierarchies (rootless); NULL: it may use all */
};
/* Index of the v2 hierarchy, or of the v1 one with the controller; -1 if there is none. */
int cg_find_v2(const struct rt_cgroup *cg);
int cg_find_v1(const struct rt_cgroup *cg, enum cg_controller c);

/* Pieces of planning and making that the drivers have in common. */
struct rt_cgroup *cg_new(enum rt_cgroup_mode mode);
void cg_add(struct rt_cgroup *cg, const char *name, const char *mountpoint, const char *path, bool v2,
	    unsigned controllers);
_must_check_ struct err *cg_clean_path(const char *path, char **ret);
/* Makes what is missing of the groups; with `taken` it may be there and have processes. Rootless: what may not be
 * made is left out. */
_must_check_ struct err *cg_make_groups(struct rt_cgroup *cg, bool taken, enum rt_rootless rootless);
_must_check_ struct err *cg_open_v2(struct rt_cgroup *cg);
_must_check_ struct err *cg_open_v2_at(struct rt_cgroup *cg, const char *dir);
_must_check_ struct err *cg_apply(struct rt_cgroup *cg, const struct cg_resources *r);
/* cgroup_delegate.c. The directory that the container's processes enter in hierarchy i; caller frees. */
char *cg_entered(const struct rt_cgroup *cg, int i);
/* The delegated sub-group, once the group is there; and, once it has no processes of its own, the controllers for what is below. What
 * the kernel refuses of these the container has not. */
_must_check_ struct err *cg_delegate_make(const struct rt_cgroup *cg);
void cg_delegate_enable(const struct rt_cgroup *cg);
/* cgroup_rootless.c: hierarchies that an unprivileged caller may not use are left out, the reason goes to cg->denied. False when the
 * caller has all rights. */
bool cg_may_go_without(enum rt_rootless rootless);
void cg_leave_out(struct rt_cgroup *cg, size_t i, struct err *why); /* takes `why` */
/* v2: whether the kernel would let us put a process into the group that is to be made. */
_must_check_ struct err *cg_v2_of(pid_t pid,
				  char **ret); /* the group of a process (0: the caller), as /proc says */
_must_check_ struct err *cg_v2_may_enter(const struct rt_cgroup_hierarchy *h);

/* Files of a group. Values are written with one write(2), as the kernel wants them; the result is 0 or an errno. */
int cg_write(const char *dir, const char *file, const char *value);
/* The first `size - 1` bytes, NUL-terminated, without the trailing newline. */
int cg_read(const char *dir, const char *file, char *buf, size_t size);
int cg_read_u64(const char *dir, const char *file, uint64_t *ret); /* "max" is UINT64_MAX */
/* An open file of a group, O_CLOEXEC; -1 with errno. */
int cg_open(const char *dir, const char *file, int flags);
/* Error of a write that a property asked for: names property, value, file and controller. */
_must_check_ struct err *cg_write_error(int errnum, const char *property, enum cg_controller c,
					const char *dir, const char *file, const char *value);

/* Parsed linux.resources. Values that are absent, or that callers use for "not set" (0 where zero makes no sense), have no
 * bit in `set`. */
enum cg_number {
	CG_MEMORY_LIMIT,
	CG_MEMORY_RESERVATION,
	CG_MEMORY_SWAP,
	CG_MEMORY_KERNEL_TCP,
	CG_MEMORY_SWAPPINESS,
	CG_CPU_SHARES,
	CG_CPU_QUOTA,
	CG_CPU_PERIOD,
	CG_CPU_BURST,
	CG_CPU_RT_RUNTIME,
	CG_CPU_RT_PERIOD,
	CG_CPU_IDLE,
	CG_PIDS_LIMIT,
	CG_IO_WEIGHT,
	CG_IO_LEAF_WEIGHT,
	CG_NET_CLASS_ID,
	CG_NUMBERS,
};
const char *cg_number_property(enum cg_number n); /* "linux.resources.memory.limit" */

struct cg_device_rule {
	bool allow;
	char type;            /* 'a' (both), 'b', 'c' */
	int64_t major, minor; /* -1: any */
	unsigned access;      /* CG_DEV_* */
	int index;            /* in linux.resources.devices; -1: one of the default rules */
};
/* The kernel's BPF_DEVCG_ACC_* values. */
#define CG_DEV_MKNOD 1u
#define CG_DEV_READ 2u
#define CG_DEV_WRITE 4u
#define CG_DEV_ALL 7u

enum cg_io_kind {
	CG_IO_READ_BPS,
	CG_IO_WRITE_BPS,
	CG_IO_READ_IOPS,
	CG_IO_WRITE_IOPS,
	CG_IO_DEVICE_WEIGHT,
	CG_IO_DEVICE_LEAF_WEIGHT,
	CG_IO_KINDS,
};
struct cg_io_device {
	enum cg_io_kind kind;
	unsigned major, minor;
	uint64_t value;
	int index;
};
struct cg_hugepage {
	char *size; /* "2MB" */
	uint64_t limit;
	int index;
};
struct cg_net_priority {
	char *name;
	uint32_t priority;
};
struct cg_rdma {
	char *device;
	int64_t handles, objects; /* -1: not given */
};
struct cg_unified {
	char *file, *value;
};
struct cg_resources {
	unsigned set; /* 1 << enum cg_number */
	int64_t number[CG_NUMBERS];
	bool disable_oom_killer, check_before_update;
	enum rt_rootless rootless; /* whether device rules that the caller may not load are left out */
	bool update; /* limits of a group that is in use: values there may be read, and defaults do not apply */
	char *cpus, *mems; /* NULL: not set */
	struct cg_device_rule *devices;
	size_t n_devices;
	struct cg_io_device *io;
	size_t n_io;
	struct cg_hugepage *hugepages;
	size_t n_hugepages;
	struct cg_net_priority *priorities;
	size_t n_priorities;
	struct cg_rdma *rdma;
	size_t n_rdma;
	struct cg_unified *unified;
	size_t n_unified;
};
#define CG_RESOURCE_ITEMS_MAX 4096 /* entries of any one list */
static inline bool cg_has(const struct cg_resources *r, enum cg_number n)
{
	return r->set >> n & 1;
}
_must_check_ struct err *cg_resources_parse(const struct json_cursor *c, struct cg_resources *ret);
void cg_resources_release(struct cg_resources *r);
#define _cleanup_cg_resources_ _cleanup_(cg_resources_release)
extern const char *const cg_io_property[CG_IO_KINDS];

/* What every container may use besides what its configuration says: null, zero, full, random, urandom, tty, ptmx, the pts devices, and
 * making any node. Borrowed. */
const struct cg_device_rule *cg_devices_default(size_t *ret_n);

/* Writing limits. */
_must_check_ struct err *cg_v1_apply(const struct rt_cgroup *cg, const struct cg_resources *r);
_must_check_ struct err *cg_v1_inherit_cpuset(const struct rt_cgroup *cg);
/* Enables controllers on the way from the mount to the group. `wanted` are those that must be there in the end. */
_must_check_ struct err *cg_v2_enable(struct rt_cgroup *cg, unsigned wanted);
/* Enables below one group what is available and missing there; an errno when some of it was refused. */
int cg_v2_enable_in(const char *dir, unsigned wanted);
/* Every limit whose controller neither v1 nor v2 offers is an error naming both, before anything is written; enables what v2
 * has to serve (*ret_v2: bits of enum cg_controller). */
_must_check_ struct err *cg_check_available(struct rt_cgroup *cg, const struct cg_resources *r,
					    unsigned *ret_v2);
_must_check_ struct err *cg_v2_apply(const struct rt_cgroup *cg, const struct cg_resources *r, unsigned need);
_must_check_ struct err *cg_apply_rdma(const char *dir,
				       const struct cg_resources *r); /* the same file in v1 and v2 */
uint64_t cg_v2_weight(uint64_t shares);                               /* cpu.weight of v1's cpu.shares */

/* The v2 device filter. */
struct bpf_insn;
/* NULL program (n 0): everything is allowed, none is needed. Caller frees. */
void cg_devices_bpf_build(const struct cg_device_rule *rules, size_t n, struct bpf_insn **ret, size_t *ret_n);
/* Replaces the filter of ours that is attached to the group, if any. */
_must_check_ struct err *cg_devices_bpf_apply(int cgroup_fd, const struct cg_device_rule *rules, size_t n);

/* cgroup_threaded.c */
pid_t cg_process_of_thread(pid_t tid);
/* An error of the kernel for the v2 group (EOPNOTSUPP) with the threaded group that is the reason, if one is. */
struct err *cg_v2_explain(const struct rt_cgroup_hierarchy *h, struct err *e);
/* Walks a group and its sub-groups, the deepest first. */
typedef struct err *(*cg_walk_fn)(const char *dir, void *data);
_must_check_ struct err *cg_walk(const char *dir, cg_walk_fn fn, void *data);
/* Waits until cgroup.events of the v2 group says `key` `value`, at most timeout_ms; ERR_TIMEOUT. */
_must_check_ struct err *cg_v2_wait_event(const char *dir, const char *key, bool value, int timeout_ms);

#endif
