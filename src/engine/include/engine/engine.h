/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: what a container is to its user. Joins images and runtime; the command line and later the APIs call it.
 *
 * State
 *   ROOT/engine.db              names, ids, configuration as given (SQLite)
 *   ROOT/containers/ID/         lock, log, state.json (start and exit record), hosts/hostname/resolv.conf
 *   ROOT/volumes/NAME/_data     volumes
 *   ROOT/images/                the image store
 *   RUN/containers/ID/          bundle config.json, monitor's lock and socket (volatile)
 *   RUN/runtime/ID/             the runtime library's state (volatile)
 *
 * Invariants
 *  E1 A container exists exactly when it has a row. Directories and snapshots without a row are garbage and removed by whoever meets
 *     them under the container's lock.
 *  E2 The row says what was asked for, never what is happening: running, exited, exit code come from the monitor's lock, the
 *     kernel and the exit record.
 *  E3 A container whose monitor is gone (its lock is free) and that has no exit record for this run is "exited" with code 137 and
 *     the error "monitor died"; the next command that meets it kills what is left of it and writes that record.
 *  E4 Verbs on one container are serialised by its lock; listing and inspecting take no lock.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "images/store.h"

struct engine;

struct engine_options {
	const char *root; /* NULL: /var/lib/havre, or $XDG_DATA_HOME/havre */
	const char *run;  /* NULL: /run/havre, or $XDG_RUNTIME_DIR/havre */
	const char *
		storage_driver; /* of new images (store_set_driver); NULL: $HAVRE_STORAGE_DRIVER, or the default */
	const char *monitor; /* path of havre-monitor; NULL: beside this program */
	const char *init;    /* path of havre-init; NULL: beside this program */
	const char *program; /* path of havre, which monitors run for clean-up; NULL: this program */
	/* An archive inside the program (docker- or oci-archive) that engine_ensure_image loads, through a memfd, when its reference is asked
	 * for and not in the store. Borrowed; NULL: none. */
	const void *embedded_image;
	size_t embedded_image_size;
	const char *embedded_reference; /* "havre/hello:latest" */
};
_must_check_ struct err *engine_open(const struct engine_options *o, struct engine **ret);
void engine_close(struct engine *e);
DEFINE_CLEANUP(struct engine *, engine_close)
_must_check_ struct err *engine_store(struct engine *e,
				      struct store **ret); /* opened on first use; borrowed */

/* -- what to make ------------------------------------------------------------------------------------------- */

struct container_mount {
	enum { MOUNT_BIND, MOUNT_VOLUME, MOUNT_TMPFS, MOUNT_IMAGE } type;
	char *source;   /* host path, volume name or image; NULL for tmpfs and anonymous volumes */
	char *target;   /* absolute */
	char **options; /* "ro", "rshared", "size=64m", … as given after the second colon */
	char *subpath;  /* volume: the part that is mounted; NULL: all of it */
	char **volume_options,
		**volume_labels; /* volume: what it is made with when it is not there; KEY=value */
	bool create_source;      /* bind: make a missing host directory (-v does, --mount does not) */
	bool anonymous; /* volume: its name was generated; goes with the container's removal (with volumes) */
};

void container_mount_release(struct container_mount *m);

/* Everything `create` and `run` take. Zero or NULL means "not given": the image's value, then the default. Owns everything it points to
 * (container_spec_release). */
struct container_spec {
	char *name, *image, *platform;
	char **command;    /* arguments after the image */
	char **entrypoint; /* NULL: the image's; empty vector element "" clears it */
	char **env; /* NAME=value, already merged from --env-file; NAME alone was resolved by the interface */
	char **labels; /* KEY=value */
	char **annotations;
	char *workdir, *user, *hostname, *domainname;
	char **group_add;
	bool tty, open_stdin, stdin_once, auto_remove, init, read_only, privileged;
	char **cap_add, **cap_drop, **security_opt;
	struct container_mount *mounts;
	size_t n_mounts;
	char *network; /* "none", "host", "container:NAME" or the first network's name; NULL: the default */
	char **networks; /* all of them, as given (NAME, NAME:option=value,…, name=NAME,option=value,…); NULL: `network` alone */
	char *ip, *ip6, *mac_address; /* in the first network, as network_aliases and links */
	char **network_aliases, **links /* NAME[:ALIAS] */;
	char **publish; /* [ADDRESS:][PORT[-PORT]:]PORT[-PORT][/PROTOCOL] */
	char **expose;  /* PORT[-PORT][/PROTOCOL], the image's too */
	bool publish_all;
	char **dns_search, **dns_options;
	char *pid_mode, *ipc_mode, *uts_mode, *cgroupns_mode, *userns_mode;
	int64_t memory_bytes, memory_swap_bytes, memory_reservation_bytes, nano_cpus, cpu_shares, cpu_period,
		cpu_quota;
	char *cpuset_cpus, *cpuset_mems;
	int64_t pids_limit, shm_size_bytes;
	char **ulimits, **sysctls, **devices, **device_cgroup_rules, **add_hosts, **dns;
	int oom_score_adj;
	char *stop_signal;
	int stop_timeout_s; /* -1: default 10 */
	char *cgroup_parent;
	char *log_driver; /* "json-file" (default) or "none" */
	char **log_opts;
	/* Block I/O: DEVICE:NUMBER, bytes or operations a second; weights 10 to 1000. */
	int64_t blkio_weight;
	char **blkio_weight_devices, **device_read_bps, **device_write_bps, **device_read_iops,
		**device_write_iops;
	/* Of cgroup v1 alone; limits_adjust takes them out elsewhere, with a warning. */
	int64_t cpu_rt_period_us, cpu_rt_runtime_us;
	int memory_swappiness; /* plus 1; 0: not given */
	bool oom_kill_disable;
	char **uid_map, **gid_map;       /* CONTAINER:HOST:SIZE; of a user namespace of its own */
	char *subuid_name, *subgid_name; /* whose ranges in /etc/subuid and /etc/subgid become the maps */
	char *runtime; /* another OCI runtime: its name or path for container_create, its path in the row; NULL: our own */
	char *pod; /* the pod it is in: its name for container_create, its id in the row (engine/pod.h) */
	char **pod_share;       /* of a pod's sandbox, and of nothing else: net, ipc, uts, pid */
	char *rootfs;           /* a directory that is the root, instead of an image */
	char *timezone, *umask; /* "local" or Area/City; octal */
	char **unset_env;       /* names of variables that are taken out, the image's too */
	bool unset_env_all;     /* all but those given here */
	char **secrets;         /* NAME[,type=mount|env][,target=…][,uid=…][,gid=…][,mode=…] */
	char *gpus;             /* docker's --gpus: container_create makes devices of it */
	char **volumes_from;    /* CONTAINER[:ro|rw]; after container_create their mounts are in `mounts` */
	char *restart;          /* no, on-failure[:N], always, unless-stopped, on-unhealthy; NULL: no */
	char *health; /* docker's Healthcheck object as text; NULL: the image's. Times are in ns, {"Test":["NONE"]} is none */
	enum { PULL_MISSING, PULL_ALWAYS, PULL_NEVER } pull;
	const char *signature_policy; /* for the pull; NULL: the usual one. Borrowed, not kept */
};
void container_spec_release(struct container_spec *s);

/* -- containers --------------------------------------------------------------------------------------------- */

enum container_status {
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_EXITED,
	CONTAINER_REMOVING,
	CONTAINER_DEAD,
	CONTAINER_RESTARTING /* ended, and its restart policy waits to start it anew */
};
const char *container_status_name(enum container_status s);

struct container {
	char id[65];
	char *name, *image_name;
	struct digest image;
	int64_t created_ns, started_ns, finished_ns; /* 0: not yet */
	enum container_status status;
	int exit_code;
	bool oom_killed;
	unsigned restarts; /* by its restart policy, since it was started by hand */
	char *error;       /* why the last start failed, or NULL */
	pid_t pid;         /* 0 when not running */
	char **command;    /* what runs: entrypoint and arguments */
	char **labels;
	struct container_spec *spec; /* as stored: what was asked for, with the image's values merged */
	char *root_dir;              /* ROOT/containers/ID */
	char *run_dir;               /* RUN/containers/ID */
	char *log_path;              /* NULL with log driver none */
};
void container_free(struct container *c);
DEFINE_CLEANUP(struct container *, container_free)
#define _cleanup_container_ _cleanup_(container_freep)

/* Makes the container; the image must be present (pulling is the interface's duty, with its progress: see engine_ensure_image). Warnings for
 * the user (a limit the kernel does not have) are appended to *warnings. */
_must_check_ struct err *container_create(struct engine *e, const struct container_spec *s, char ***warnings,
					  struct container **ret);
/* By full id, name, or unique prefix of an id. ERR_NOT_FOUND: "no such container: …". */
_must_check_ struct err *container_find(struct engine *e, const char *what, struct container **ret);
_must_check_ struct err *container_list(struct engine *e, bool all, struct container ***ret,
					size_t *ret_n); /* newest first */

/* Attached streams of a starting or running container, or of an exec: one unix socket, framed both ways (engine/stream.h). */
struct attach;
struct attach_options {
	bool stdin_, stdout_, stderr_;
	unsigned rows, cols; /* of the terminal at start; 0: unknown */
};

/* Spawns the monitor, which makes and starts the container. With `attach_opts` the streams are connected before the program's
 * first instruction and *ret_attach is set. The starter's streams lose nothing: when it is slow, the container's writes wait, as in a
 * pipe. Later attachments never slow the container down: one that does not read is dropped.
 * Fails with ERR_EXEC when the program cannot be executed. An auto_remove container that failed to start is already removed.
 *
 * Auto-removal: the starter owes it after ATTACH_EXITED (container_finish). When it is gone by then, the monitor runs
 * `PROGRAM --root … --run … container cleanup ID`, a hidden command that calls container_cleanup. */
_must_check_ struct err *container_start(struct engine *e, struct container *c,
					 const struct attach_options *attach_opts,
					 struct attach **ret_attach);
/* To be called after attach_run of a container one has started: removes it if it is auto_remove (with its anonymous volumes), tells
 * the monitor and waits for its end. */
_must_check_ struct err *container_finish(struct engine *e, struct container *c, struct attach *a);
/* For the hidden command: removes the container if it is auto_remove and over. An absent one is success. */
_must_check_ struct err *container_cleanup(struct engine *e, const char *id);
_must_check_ struct err *container_attach(struct engine *e, struct container *c,
					  const struct attach_options *o, struct attach **ret);
_must_check_ struct err *container_stop(struct engine *e, struct container *c,
					int timeout_s /* -1: its own */, const char *signal);
_must_check_ struct err *container_kill(struct engine *e, struct container *c, int signum);
_must_check_ struct err *container_pause(struct engine *e, struct container *c, bool paused);
_must_check_ struct err *container_restart(struct engine *e, struct container *c, int timeout_s,
					   const char *signal); /* as container_stop's */
/* Changes what is set in `changes` of limits (memory, CPU, pids, block I/O) and the restart policy, of a running one at once. */
_must_check_ struct err *container_update(struct engine *e, struct container *c,
					  const struct container_spec *changes, char ***warnings);
/* Publishes more ports and no longer those that `remove` means (PORT, or more of what -p said), of a running one at once. */
_must_check_ struct err *container_update_ports(struct engine *e, struct container *c, char *const *add,
						char *const *remove);
_must_check_ struct err *container_remove(struct engine *e, struct container *c, bool force, bool volumes);
_must_check_ struct err *container_rename(struct engine *e, struct container *c, const char *name);
enum wait_condition { WAIT_NOT_RUNNING, WAIT_NEXT_EXIT, WAIT_REMOVED };
_must_check_ struct err *container_wait(struct engine *e, struct container *c, enum wait_condition cond,
					int *ret_code);
_must_check_ struct err *container_top(struct engine *e, struct container *c, char *const *ps_args,
				       struct json **ret);
_must_check_ struct err *container_inspect(struct engine *e, struct container *c,
					   struct json **ret); /* docker's inspect object */

struct exec_spec {
	char **command, **env;
	char *workdir, *user;
	bool tty, stdin_, privileged, detach;
	bool quiet;          /* no events */
	unsigned rows, cols; /* of the terminal; 0: unknown */
};
/* ret_attach is not used when detached. */
_must_check_ struct err *container_exec(struct engine *e, struct container *c, const struct exec_spec *x,
					struct attach **ret_attach);

struct log_options {
	bool follow, timestamps, stdout_, stderr_, details;
	int64_t tail;               /* -1: all */
	int64_t since_ns, until_ns; /* 0: none */
	int stop;                   /* following ends when this socket is closed by its other side; 0: none */
};
/* Calls line() for each entry (stream: 1 stdout, 2 stderr); with follow until the container ends or line() fails. */
_must_check_ struct err *container_logs(struct engine *e, struct container *c, const struct log_options *o,
					struct err *(*line)(void *user, int stream, int64_t time_ns,
							    const char *data, size_t size),
					void *user);

/* -- what a container has written (commit.c; images/snapshot.h) ------------------------------------------------- */

struct container_commit_options {
	const struct reference *name; /* of the image; may be NULL */
	const char *author, *message; /* may be NULL */
	char *const *changes;         /* Dockerfile instructions; may be NULL */
	bool pause;                   /* a running container is frozen meanwhile */
	const struct progress *progress;
};
/* An image of the container's image, its changes and its configuration. */
_must_check_ struct err *container_commit(struct engine *e, struct container *c,
					  const struct container_commit_options *o, struct digest *ret_id);
/* Its whole file system as a tar. */
_must_check_ struct err *container_export(struct engine *e, struct container *c, int fd);
/* Bytes that it has written, by walking its files; and those of its image in addition. */
_must_check_ struct err *container_size(struct engine *e, const struct container *c, uint64_t *ret_own,
					uint64_t *ret_whole);
struct snapshot_change;
_must_check_ struct err *container_changes(struct engine *e, struct container *c,
					   struct snapshot_change **ret, size_t *ret_n);

/* -- its root file system on this machine (mounted.c) ---------------------------------------------------------- */

/* Mounts it, unless it is mounted, until container_unmount or the container's removal. Caller frees the path. */
_must_check_ struct err *container_mount(struct engine *e, struct container *c, char **ret_path);
bool container_mounted(struct engine *e, const struct container *c, char **ret_path /* may be NULL */);
/* force: detached, also when it is in use. One that is not mounted is success. */
_must_check_ struct err *container_unmount(struct engine *e, const char *id, bool force);
/* The same of an image, read-only (mounted_image.c). It cannot be removed meanwhile. */
_must_check_ struct err *image_mount(struct engine *e, const struct image *image, char **ret_path);
bool image_mounted(struct engine *e, const struct image *image, char **ret_path /* may be NULL */);
_must_check_ struct err *image_unmount(struct engine *e, const struct image *image, bool force);

/* -- restart policies and health checks (restart.c, health.c) ---------------------------------------------------- */

/* For the hidden command that a monitor runs: starts a container whose restart is due. */
_must_check_ struct err *container_revive(struct engine *e, const char *id);
/* After the machine has started: starts what its restart policy wants running, the oldest first, and calls started() for each, which owns
 * `failed` (NULL: it runs) and whose error ends it all. */
_must_check_ struct err *
engine_start_due(struct engine *e,
		 struct err *(*started)(void *user, struct container *c, struct err *failed), void *user);
/* Runs the container's health check once and records its result. *ret_status: healthy, unhealthy or starting. ERR_INVALID: it has none. */
_must_check_ struct err *container_health_probe(struct engine *e, struct container *c, bool *ret_success,
						const char **ret_status);
/* docker's State.Health; NULL: no health check, or never started. */
_must_check_ struct err *container_health(const struct container *c, struct json **ret);

/* -- attached streams ----------------------------------------------------------------------------------------- */

/* Pumps our stdio and the container's streams until the program ends, the user detaches or the monitor is lost. */
struct attach_pump {
	int in, out, err;        /* our fds; -1: not connected */
	bool tty;                /* raw terminal, sizes forwarded */
	bool sig_proxy;          /* our signals go to the program */
	const char *detach_keys; /* "ctrl-p,ctrl-q" default; "" none */
};
enum attach_end { ATTACH_EXITED, ATTACH_DETACHED, ATTACH_LOST };
_must_check_ struct err *attach_run(struct attach *a, const struct attach_pump *p, enum attach_end *ret_end,
				    int *ret_exit_code);
void attach_free(struct attach *a);
DEFINE_CLEANUP(struct attach *, attach_free)

/* -- volumes ------------------------------------------------------------------------------------------------- */

struct volume {
	char *name, *path;
	bool generated; /* its name was made for a volume without one */
	size_t links;   /* containers that have it (volume_list) */
	int64_t created_ns;
	char **labels, **options; /* KEY=value; options of docker's driver "local": type, device, o */
};
void volume_release(struct volume *v);
/* name NULL: one is made up. A volume of that name that exists already is success, unless other options are asked for (ERR_EXISTS). */
_must_check_ struct err *volume_create(struct engine *e, const char *name, char *const *labels,
				       char *const *options, char **ret_name);
_must_check_ struct err *volume_find(struct engine *e, const char *name,
				     struct volume *ret); /* ERR_NOT_FOUND */
/* ERR_STATE names the containers that have it; ERR_NOT_FOUND. */
_must_check_ struct err *volume_delete(struct engine *e, const char *name);
_must_check_ struct err *volume_list(struct engine *e, struct volume **ret, size_t *ret_n); /* by name */
void volumes_free(struct volume *v, size_t n);
uint64_t volume_bytes(const struct volume *v); /* of its files, by walking them */
/* Its data as a tar, and a tar laid over its data. ERR_UNSUPPORTED for one that is mounted from elsewhere. */
_must_check_ struct err *volume_export(struct engine *e, const char *name, int fd);
_must_check_ struct err *volume_import(struct engine *e, const char *name, int fd);
/* A copy of its data under another name; without labels. ERR_EXISTS. */
_must_check_ struct err *volume_clone(struct engine *e, const char *from, const char *to);
/* ERR_STATE while a container has it, ERR_EXISTS. */
_must_check_ struct err *volume_rename(struct engine *e, const char *from, const char *to);
/* Unless a container has it, also one that is being made. */
_must_check_ struct err *volume_remove_unused(struct engine *e, const char *name, bool *ret_removed);

/* -- the whole ------------------------------------------------------------------------------------------------ */

/* For an ordinary user: goes on as root of the user's own namespace, the one of this engine's containers; the caller then executes itself
 * again (runtime/rootless.h). */
_must_check_ struct err *engine_enter_rootless(struct engine *e, char ***warnings);

/* Where a program of ours is: `configured`, or else `name` beside the running program, or else (NULL) the running program. Caller frees. */
_must_check_ struct err *engine_program_path(const char *configured, const char *name, char **ret);

/* Pulls when the policy asks for it, or loads the image that is embedded in the program for its own reference. */
_must_check_ struct err *engine_ensure_image(struct engine *e, const struct container_spec *s,
					     const struct progress *progress, struct image **ret);
/* ERR_STATE when a container uses the image and not force. */
_must_check_ struct err *engine_remove_image(struct engine *e, const char *what, bool force,
					     char ***ret_lines);
/* The image's files and a config.json for them in a directory: an OCI bundle (images/edit.h). */
_must_check_ struct err *engine_unpack_image(struct engine *e, const struct image *image, int dirfd,
					     const struct progress *progress);
/* Removes all that is kept: containers, pods, networks, volumes, images, secrets. What cannot be removed is an error, and the rest is. */
_must_check_ struct err *engine_reset(struct engine *e);
_must_check_ struct err *engine_info(struct engine *e, struct json **ret); /* docker info's object */

/* Looks for damage in what is kept, and repairs it (images/check.h). Opens the store by itself, because it may not be possible to. */
struct engine_check_options {
	bool quick, repair;
	bool (*cancelled)(void *); /* may be NULL */
};
struct check_report;
_must_check_ struct err *engine_check(struct engine *e, const struct engine_check_options *o,
				      struct check_report *ret);

#endif
