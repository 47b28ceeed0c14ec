/* SPDX-License-Identifier: Apache-2.0 */
/* havre-runtime: runc's command line over the runtime library. */
#ifndef OCI_OCI_H
#define OCI_OCI_H

#include "command/command.h"
#include "runtime/container.h"
#include "runtime/notify.h"

struct oci_options {
	const char *root, *log, *log_format, *log_level, *cgroup_manager, *rootless;
	bool debug, systemd_cgroup;
	enum rt_rootless rootless_mode;
};
extern struct oci_options oci_options;
extern const struct program oci_program;

extern const struct command oci_checkpoint, oci_restore;
extern const struct command oci_create, oci_delete, oci_events, oci_exec, oci_features, oci_kill, oci_list,
	oci_mounts_add, oci_mounts_remove, oci_pause, oci_ps, oci_resume, oci_run, oci_spec, oci_start,
	oci_state, oci_update;

/* The container named by the command's first argument. */
_must_check_ struct err *oci_load(const struct invocation *in, struct rt_container **ret);
/* Ids that match a regular expression (crun's --regex). */
_must_check_ struct err *oci_match(const char *pattern, char ***ret_ids);
/* Logs what the machine did not let the container have; takes the list. Quiet where nobody but the container's readers would see it. */
void oci_warn(struct rt_container *c);
/* The same when the container has ended, and stderr is ours alone. */
void oci_warn_ended(struct rt_container *c);
struct err *oci_print_json(const struct json *v);
/* With `force` it may run, and one that is not there is no error. */
_must_check_ struct err *oci_delete_container(const char *id, bool force);
/* A JSON file, or stdin for "-". */
_must_check_ struct err *oci_read_json(const char *path, struct json **ret);

/* -- linux.resources as callers write it (resource_names.c) -- */

/* A copy whose names have the specification's spelling, whatever case they were in. Caller owns it. */
struct json *oci_fold_resource_names(struct json *resources);

/* -- create and run (make.c) -- */
struct make_options {
	const char *bundle, *config, *console_socket, *pidfd_socket, *pid_file;
	bool no_pivot, no_new_keyring, no_subreaper, detach, keep;
	int64_t preserve_fds;
};
extern const struct flag make_flags[];
/* The flags as a request, with what it borrows. Starts with console -1. */
struct make_request {
	struct rt_create create;
	char *bundle;
	struct json *config;
	char *config_text;
	int console, bundle_fd;
};
#define MAKE_REQUEST_NONE                      \
	{                                      \
		.console = -1, .bundle_fd = -1 \
	}
void make_request_release(struct make_request *r);
_must_check_ struct err *make_request_fill(const struct invocation *in, const struct make_options *o,
					   bool foreground, struct make_request *ret);
_must_check_ struct err *make_container(const struct invocation *in, bool foreground,
					struct rt_container **ret);

/* -- consoles and waiting (foreground.c) -- */
_must_check_ struct err *console_socket_connect(const char *path, int *ret_fd);
_must_check_ struct err *pidfd_socket_send(const char *path, int pidfd);
/* LISTEN_FDS of socket activation meant for us; 0 otherwise. */
unsigned listen_fds_count(void);
/* NOTIFY_SOCKET of our environment; NULL when it is not set, or empty. */
const char *notify_address(void);
/* Blocks signals for foreground_wait; before the child is made. */
_must_check_ struct err *foreground_prepare(void);
/* The console gets the size of our own terminal, if stdin is one. Before the program may ask for it. */
void foreground_resize(int console);
/* The container's terminal, as ours is: its size, and what becomes of its line ends. -1: it has none. */
void foreground_terminal(int console);
/* Forwards signals (and the terminal, unless console is -1; and READY=1, unless notify is NULL) until the process ends; its exit
 * code. */
_must_check_ struct err *foreground_wait(int pidfd, int console, struct rt_notify *notify, int *ret_code);

#endif
