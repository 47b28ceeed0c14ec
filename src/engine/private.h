/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's own files share. */
#ifndef ENGINE_PRIVATE_H
#define ENGINE_PRIVATE_H

#include <sys/stat.h>

#include "base/db.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/memory.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/stream.h"
#include "record.h"

struct engine {
	char *root, *run;
	char *monitor, *init, *program, *storage_driver; /* as given, may be NULL */
	const char *storage_reason;
	const void *embedded_image;
	size_t embedded_image_size;
	const char *embedded_reference;
	struct db *db;       /* opened on first use: engine_db */
	struct store *store; /* opened on first use: engine_store */
};

_must_check_ struct err *engine_db(struct engine *e, struct db **ret);
/* RUN/runtime: the state root given to the runtime library. Caller frees. */
/* Where the processes of an ordinary user's namespace are noted. Caller frees. */
char *engine_rootless_dir(const struct engine *e);
char *engine_state_root(const struct engine *e);

/* -- spec_codec.c: container_spec as JSON and back --- */
struct json *container_spec_to_json(const struct container_spec *s);
_must_check_ struct err *container_spec_from_json(struct json *doc, struct container_spec *ret);

/* -- names.c --- */
char *name_generate(void);                             /* "adjective_noun" */
_must_check_ struct err *name_check(const char *name); /* [a-zA-Z0-9][a-zA-Z0-9_.-]+, at most 128 */
void id_generate(char ret[static 65]);                 /* 64 lower-case hex digits */

/* -- status.c: what is happening (E2, E3) --- */
bool monitor_alive(const char *run_dir);
/* Fills status, pid, times, exit code and error of `c`. Takes no lock; *ret_orphaned: its monitor died (E3). */
_must_check_ struct err *container_derive(struct engine *e, struct container *c, bool *ret_orphaned);
/* E3: under the lock, kills what is left of a run without a monitor and completes its record; an auto_remove container is removed
 * (status CONTAINER_REMOVING). Somebody else holding the lock is success: they meet it too. */
_must_check_ struct err *container_recover(struct engine *e, struct container *c);
/* E4. After acquiring, checks that the row still exists (ERR_NOT_FOUND), recovers an orphan, and derives `c` again. */
_must_check_ struct err *container_lock(struct engine *e, struct container *c, int *ret_lock_fd);
_must_check_ struct err *container_lock_dir(struct engine *e, const char *id, bool try_only,
					    int *ret_lock_fd);
/* Waits until the monitor's lock is free (its end, after which nothing of a run remains). */
_must_check_ struct err *monitor_wait_gone(const char *run_dir, int timeout_ms);

/* -- state.c --- */
_must_check_ struct err *container_insert(struct engine *e, struct container *c);
_must_check_ struct err *container_by_id(struct engine *e, const char *id, struct container **ret);
/* Containers, or the sandboxes of pods. */
_must_check_ struct err *container_list_kind(struct engine *e, bool all, bool sandboxes,
					     struct container ***ret, size_t *ret_n);
bool container_row_exists(struct engine *e, const char *id, struct err **ret_err);
struct container *container_new(struct engine *e, const char *id);

/* -- restart.c --- */
/* Whether its last end was asked for by hand. */
_must_check_ struct err *restart_mark_stopped(const struct container *c, bool stopped);
/* Under the container's lock: one that waits to be started anew does not wait any more. */
_must_check_ struct err *restart_cancel(struct engine *e, struct container *c);
/* start.c: under its lock, and with the monitor's in our hands. */
_must_check_ struct err *container_start_again(struct engine *e, struct container *c, unsigned restarts,
					       unsigned delay_ms);
_must_check_ struct err *container_mount_root(struct engine *e, struct store *store,
					      const struct container *c, unsigned flags,
					      int *ret_fd); /* enum snapshot_mount_flags */
/* "PROGRAM --root … --run …", for what monitors run. */
_must_check_ struct err *engine_own_command(struct engine *e, char ***argv);

/* -- create.c --- */
/* What the image's configuration says and the spec does not. */
_must_check_ struct err *container_merge_image(const struct image *image, struct container_spec *s);

/* -- lifecycle.c --- */
/* SIGKILL until it has ended and its monitor, too. */
/* Ends it as a stop does, without the mark that it was by hand. */
_must_check_ struct err *container_end(struct engine *e, struct container *c);
_must_check_ struct err *container_kill_and_wait(struct engine *e, struct container *c);

/* -- remove.c --- */
/* Row first, then everything else; under the lock, not running. */
_must_check_ struct err *container_destroy(struct engine *e, struct container *c, bool volumes);
/* container_remove, for sandboxes of pods, too. */
_must_check_ struct err *container_remove_any(struct engine *e, struct container *c, bool force,
					      bool volumes);
/* Directories and snapshots without a row (E1). */
_must_check_ struct err *engine_collect_garbage(struct engine *e);

/* -- volume.c --- */
_must_check_ struct err *volume_name_check(const char *name);
/* Makes ROOT/volumes/NAME/_data when missing. Returns the path. */
_must_check_ struct err *volume_ensure(struct engine *e, const char *name, char **ret_path);
bool volume_name_is_generated(const char *name);
/* All but `links`. ERR_NOT_FOUND. */
_must_check_ struct err *volume_read(struct engine *e, const char *name, struct volume *ret);
/* For one with options: the mount that stands for its _data (*ret_type NULL: none). Caller frees. */
_must_check_ struct err *volume_mount(const struct volume *v, char **ret_type, char **ret_source,
				      char **ret_options);
/* Fills an empty volume with what the image has at `target`. */
_must_check_ struct err *volume_copy_up(const char *volume_path, const struct inroot *rootfs,
					const char *target);
/* A directory `name` in `to` with a copy of `from`, whose attributes `st` are. */
_must_check_ struct err *volume_copy_tree(int from, int to, const char *name, const struct stat *st);
/* Whether a container has it, also one that is being made. In a transaction. */
_must_check_ struct err *volume_is_wanted(struct db *db, const char *name, bool *ret);
_must_check_ struct err *volume_remove(struct engine *e, const char *name);

/* -- mounted.c --- */
/* A clone of the mount that container_mount made, for a start. */
_must_check_ struct err *container_mount_clone(struct engine *e, const struct container *c, int *ret_fd);

/* -- volumes_from.c --- */
/* Appends the mounts of the containers in s->volumes_from; what `s` mounts itself has precedence. */
_must_check_ struct err *volumes_from(struct engine *e, struct container_spec *s);

/* -- start.c --- */
/* Starts havre-monitor in a mode ("run", "exec") with fds from 4 on, gives it its configuration and waits for the start. */
_must_check_ struct err *monitor_spawn(struct engine *e, const char *mode, const int *fds, size_t n_fds,
				       struct json *config, bool has_stdin, struct attach **ret);

/* -- limits.c: what this machine can give --- */
/* Removes from the spec what cannot be had, one warning each. */
_must_check_ struct err *limits_adjust(struct container_spec *s, char ***warnings);

/* -- attach.c --- */
struct attach *attach_new(int fd, bool has_stdin, pid_t monitor /* our child, or 0 */);
/* Connects to a running container's monitor with STREAM_WANT_*; 0 only learns of the exit. */
_must_check_ struct err *attach_connect(struct container *c, unsigned want, struct attach **ret);
_must_check_ struct err *attach_wait_started(struct attach *a); /* STARTED, or the error that was reported */
/* Waits for EXIT, ignoring other frames. ERR_TIMEOUT after timeout_ms (-1: never), ERR_UNREACHABLE when the monitor dies. */
_must_check_ struct err *attach_wait_exit(struct attach *a, int timeout_ms, int *ret_code);
/* The same, and up to `max` bytes of the program's output are appended to `output`. */
_must_check_ struct err *attach_wait_output(struct attach *a, int timeout_ms, struct strbuf *output,
					    size_t max, int *ret_code);
/* The same, until `stop` (a socket; -1: none) is closed by its other side: ERR_CANCELLED. */
_must_check_ struct err *attach_wait_exit_or(struct attach *a, int timeout_ms, int stop, int *ret_code);
int attach_fd(struct attach *a);
bool attach_exited(const struct attach *a);
/* Says that the removal was done, and waits for the monitor's end. */
void attach_removed(struct attach *a);

/* -- spec.c: the OCI configuration --- */
struct start_fds;
struct spec_input {
	struct engine *engine;
	const struct container *c;
	const struct inroot *rootfs;
	unsigned rows, cols;
	struct start_fds *fds; /* gets mounts that are made for it; joined namespaces are in it. NULL: none */
	const char *shm;       /* path of a mount that becomes /dev/shm; NULL: its own */
	const char *netns;     /* path of a network namespace to join; NULL: a new one, or the host's */
	const char *etc_dir;   /* of hosts, hostname and resolv.conf; NULL: the container's own */
	bool systemd_cgroup;
};
_must_check_ struct err *spec_generate(const struct spec_input *in, struct json **ret);
/* Options of a mount that would fail at start. */
_must_check_ struct err *spec_mount_check(const struct container_mount *m);
/* A process object for exec, on top of the container's own. */
_must_check_ struct err *spec_exec_process(struct engine *e, const struct container *c,
					   const struct exec_spec *x, const struct inroot *rootfs,
					   struct json **ret);

#endif
