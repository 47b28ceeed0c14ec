/* SPDX-License-Identifier: Apache-2.0 */
/* The life cycle of an OCI container (runtime-spec 1.3, runtime.md "Lifecycle") as a library. havre-runtime is a command
 * line over it; havre-monitor calls it in-process. The caller must be single-threaded: the library clones.
 *
 * State on disk: STATE_ROOT/ID/state.json (private to havre, replaced atomically), and a lock. The truth about a container is
 * the kernel: status is derived from the recorded process identity (pid + start time), the freezer, and the start
 * gate; the file never says "running".
 */
#ifndef RUNTIME_CONTAINER_H
#define RUNTIME_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "runtime/cgroup.h"

enum rt_status { RT_CREATING, RT_CREATED, RT_RUNNING, RT_PAUSED, RT_STOPPED };
const char *rt_status_name(enum rt_status s); /* the specification's words */

/* 1 to 255 characters of [a-zA-Z0-9_+.-], not "." or "..". ERR_INVALID otherwise. */
_must_check_ struct err *rt_id_check(const char *id);

struct rt_create {
	const char *state_root; /* directory of all containers' states; made when missing */
	const char *id;
	const char *bundle;      /* absolute path of the bundle directory */
	int *bundle_fd;          /* O_PATH of it, which is taken over; NULL: it is opened by its path */
	struct json *config;     /* parsed config.json, borrowed; NULL: read BUNDLE/config.json */
	const char *config_text; /* what `config` was parsed of: saved as it is; NULL: it is printed anew */
	int rootfs_fd; /* a detached mount (fsmount, open_tree) that becomes the root; -1: the spec's root.path */
	int stdio[3];        /* given to the container's process when it has no terminal; -1: ours */
	int console_socket;  /* connected unix socket that receives the terminal's master fd, or -1 */
	bool return_console; /* instead of a socket: hand the master to the caller in rt_container.console */
	unsigned preserve_fds; /* fds 3 … 3+n-1 are kept open in the container */
	unsigned
		listen_fds; /* of those, how many came by socket activation: sets LISTEN_FDS and LISTEN_PID */
	bool own_start;     /* only this process will call rt_container_start: no start gate on disk; the
				 * container ends with us until it was started */
	bool no_pivot, no_new_keyring, no_subreaper, systemd_cgroup, cgroup_disabled;
	bool notify;          /* the container gets a NOTIFY_SOCKET: runtime/notify.h */
	const char *pid_file; /* written before create returns; may be NULL */
	enum rt_rootless rootless;
};

struct rt_container {
	char *id, *state_root, *bundle;
	pid_t pid;            /* init, in our pid namespace */
	uint64_t start_ticks; /* its start time, see process_open_exact */
	int pidfd;            /* of init */
	int console;          /* terminal master when asked for, else -1 */
	int dir_fd;           /* STATE_ROOT/ID */
	enum rt_status status;
	int64_t created_ns;
	char *rootfs;        /* host path, "" when the root was a detached mount */
	struct json *config; /* the configuration it was made of; may be NULL until rt_container_config */
	struct rt_cgroup *cgroup;
	char **warnings; /* what the machine did not let us have, for the caller to show */
	int start_fd;    /* private: the start gate of own_start, else -1 */
	bool own_start;  /* private: there never was a start gate on disk */
	bool fresh;      /* private: `status` was looked up by rt_container_load, and not used yet */
	int state_fd;    /* private: state.json, as long as it can be written in place; else -1 */
	size_t state_size;
	struct spec *spec; /* private: `config` once it is parsed */
};

/* The configuration in c->config, read from the state directory when it is not there yet. */
_must_check_ struct err *rt_container_config(struct rt_container *c);

/* Gives the memory of both back, for a caller that stays. */
void rt_container_drop_config(struct rt_container *c);

/* Everything up to the start gate: namespaces, mounts, pivot, cgroup with limits, create hooks. On failure nothing remains: no process, no
 * cgroup, no mount, no state directory. ERR_EXISTS: the id is taken. */
_must_check_ struct err *rt_container_create(const struct rt_create *c, struct rt_container **ret);
/* Opens the gate: startContainer hooks, execve; waits for the result of execve and reports its failure as ERR_EXEC; poststart hooks.
 * ERR_STATE unless created. */
_must_check_ struct err *rt_container_start(struct rt_container *c);
_must_check_ struct err *rt_container_load(const char *state_root, const char *id, struct rt_container **ret);
_must_check_ struct err *rt_container_refresh(struct rt_container *c); /* status from the kernel */
/* Its processes, also those that exec made and those of sub-groups. Caller frees. */
_must_check_ struct err *rt_container_pids(struct rt_container *c, pid_t **ret_pids, size_t *ret_n);
/* Signals init, or every process of the cgroup; SIGKILL goes to all of them, too, where there is no PID namespace to end with init. ERR_STATE "container not running" when it is stopped. */
_must_check_ struct err *rt_container_kill(struct rt_container *c, int signum, bool all);
/* Removes cgroup and state and runs poststop hooks. ERR_STATE unless stopped, created (whose waiting process ends) or
 * force (which kills first). Idempotent after a crash. */
_must_check_ struct err *rt_container_delete(struct rt_container *c, bool force);
_must_check_ struct err *rt_container_pause(struct rt_container *c);
_must_check_ struct err *rt_container_resume(struct rt_container *c);
/* The specification's state object (state.md "State"), with rootfs, created and owner as runc prints them. */
_must_check_ struct err *rt_container_state_json(struct rt_container *c, struct json **ret);
_must_check_ struct err *rt_container_list(const char *state_root, char ***ret_ids);
void rt_container_free(struct rt_container *c); /* the object, not the container */
DEFINE_CLEANUP(struct rt_container *, rt_container_free)

struct rt_exec {
	struct json *process; /* a "process" object of the specification; borrowed */
	int stdio[3];
	int console_socket;
	bool return_console;
	unsigned preserve_fds, listen_fds; /* as in rt_create */
	const char *pid_file;
	char *const
		*cgroups; /* sub-cgroups of the container's as rt_cgroup_prepare_enter takes them, or NULL */
	bool ignore_paused;
};
struct rt_process {
	pid_t pid;
	int pidfd;
	int console; /* -1 without return_console */
};
/* A further process inside. Returns once execve succeeded (ERR_EXEC otherwise); the process is our child. */
_must_check_ struct err *rt_container_exec(struct rt_container *c, const struct rt_exec *e,
					   struct rt_process *ret);

/* Adds the mounts of a JSON array (the specification's "mounts") to a container that was created, all or none; or unmounts their
 * destinations. The configuration stays as it is: they are gone with the container. ERR_STATE unless it runs. */
_must_check_ struct err *rt_container_change_mounts(struct rt_container *c, struct json *mounts, bool remove);

/* Changes what is given (else NULL) of l3CacheSchema and memBwSchema in the class of service of a container with linux.intelRdt: both,
 * or nothing. ERR_UNSUPPORTED without a resctrl file system. */
_must_check_ struct err *rt_container_update_rdt(struct rt_container *c, const char *l3_cache,
						 const char *mem_bw);

/* Protects the executable of this process from being written through /proc/PID/exe by what it is about to run
 * (CVE-2019-5736): executes itself again from a read-only clone of its file's mount, or from a sealed copy in memory. Does
 * nothing when it runs from such a one, or from a read-only mount, already. To be called first in main(). */
_must_check_ struct err *rt_executable_protect(char *const *argv);

/* What `features` prints (features.md). */
struct json *rt_features(void);

/* The default configuration `spec` prints (argv "sh", terminal true). */
struct json *rt_spec_default(bool rootless);

#endif
