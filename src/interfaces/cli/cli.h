/* SPDX-License-Identifier: Apache-2.0 */
/* What havre's commands share. Each command is a file cmd_NAME.c with one struct command; program.c lists them. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "command/command.h"
#include "engine/describe.h"
#include "engine/engine.h"
#include "engine/mount_spec.h"

/* -- the program (program.c) -------------------------------------------------------------------------------- */

extern const struct program havre_program;

/* havre itself is linked statically, starts in half the time and runs the commands with the trait COMMAND_LOCAL; any other command it
 * passes on to havre-transfer, the same program linked for loading libraries (base/library.h). A command that can go either way has the
 * trait and calls cli_transfer before it has done anything.
 *
 * The whole program. `transfer`: this is the static one, and where it cannot go on it continues as that program beside it; NULL: it can
 * load libraries. Returns the exit status. */
int cli_main(int argc, char **argv, const char *transfer);
/* Starts over as havre-transfer, with the command line that we were given. Returns NULL where there is no need to. */
_must_check_ struct err *cli_transfer(void);
bool cli_is_static(void);

/* The engine with the global flags' directories; opened once, closed by cli_close. Borrowed. */
_must_check_ struct err *cli_engine(struct engine **ret);
_must_check_ struct err *cli_store(struct store **ret);
/* The global flags that were given, for another program of ours. */
void cli_global_arguments(char ***args);
/* Before exit: closes the engine. */
void cli_close(void);

/* Prints "havre: warning: …" on stderr. */
void cli_warn(const char *fmt, ...) _printf_(1, 2);
/* Each argument is a container: runs f, prints the argument when `print` and f succeeded, reports errors and goes on. The status is 1
 * when one failed. (container_choice.c) */
_must_check_ struct err *
cli_each_container(struct invocation *in, bool print, int *ret_status,
		   struct err *(*f)(struct engine *e, struct container *c, void *user), void *user);
/* One line from the terminal; a secret is not shown while it is typed. Caller frees. (cmd_login.c) */
_must_check_ struct err *cli_ask(const char *question, bool secret, char **ret);
/* Prints the warning and asks; anything but y is no, and so is the end of the input. (cmd_prune.c) */
bool cli_confirm(const char *warning);
/* Names and ids for the shell's completion. */
void cli_complete(const struct program *p, const char *topic, const char *prefix);

/* -- what was asked to be made (create_flags.c, mount_spec.c, env_file.c) -------------------------------------- */

struct create_options {
	/* Borrowed from argv. */
	const char *name, *platform, *workdir, *user, *hostname, *domainname, *entrypoint, *ip, *ip6,
		*mac_address, *pid, *ipc, *uts, *cgroupns, *userns, *cpuset_cpus, *cpuset_mems, *stop_signal,
		*cgroup_parent, *log_driver, *cidfile, *pull, *restart, *runtime, *signature_policy;
	char **env, **env_files, **labels, **label_files, **annotations, **group_add, **cap_add, **cap_drop,
		**security_opt, **volumes, **mounts, **tmpfs, **ulimits, **sysctls, **devices,
		**device_cgroup_rules, **add_hosts, **dns, **log_opts, **attach, **networks,
		**network_aliases, **links, **publish, **expose, **dns_search, **dns_options;
	bool tty, interactive, auto_remove, init, read_only, privileged, quiet, no_healthcheck, publish_all;
	int64_t memory, memory_swap, memory_reservation, nano_cpus, cpu_shares, cpu_period, cpu_quota,
		pids_limit, shm_size, oom_score_adj, stop_timeout;
	/* create_more.c */
	const char *volume_driver;
	char **blkio_weight_devices, **device_read_bps, **device_write_bps, **device_read_iops,
		**device_write_iops, **volumes_from;
	int64_t blkio_weight, cpu_rt_period, cpu_rt_runtime, memory_swappiness;
	bool oom_kill_disable;
	const char *timezone, *umask, *pod, *gpus;
	char **unset_env, **secrets;
	const char *subuid_name, *subgid_name;
	char **uid_map, **gid_map;
	bool rootfs, replace, unset_env_all;
	const char *health_cmd, *health_interval, *health_timeout, *health_start_period,
		*health_start_interval;
	int64_t health_retries;
};
#define CREATE_OPTIONS_DEFAULT .stop_timeout = -1, .pull = "missing", .memory_swappiness = -1
extern const struct flag create_flags[]; /* offsets into struct create_options, which must come first */

/* args: image and command. *ret is empty on failure. */
_must_check_ struct err *create_spec(const struct create_options *o, char *const *args,
				     struct container_spec *ret);

/* The part of create_spec that is in create_more.c: block I/O, cgroup v1's limits, what podman adds. */
_must_check_ struct err *create_fill_more(const struct create_options *o, struct container_spec *s);

/* Lines NAME=value or NAME (taken from `environment`, dropped when unset), comments and empty lines. Appends to *env. */
_must_check_ struct err *env_file_parse(const char *text, size_t size, const char *what,
					char *const *environment, char ***env);
_must_check_ struct err *env_file_read(const char *path, char *const *environment, char ***env);
/* -e: NAME=value, or NAME taken from environment. */
_must_check_ struct err *env_argument(const char *s, char *const *environment, char ***env);

/* -- output (format.c, filter.c, image_json.c) ---------------------------------------------------------------- */

struct format_field {
	const char *name, *header;
};
struct format_table {
	const struct format_field *fields; /* ends with a zero row; what {{.X}} may be and its heading */
	const char *columns;               /* "{{.ID}}\t{{.Image}}" */
};
/* Prints rows (an array of objects) to stdout. format: NULL or "table": the default columns under their headings; "json": an object a line;
 * "table TEMPLATE"; TEMPLATE. `label` answers {{.Label "key"}} for row i (NULL: it has none); it
 * may be NULL. */
_must_check_ struct err *format_rows(const char *format, const struct format_table *t, struct json *rows,
				     char *(*label)(void *user, size_t row, const char *key), void *user);
/* An array of objects as `inspect` prints it: NULL: indented; "json"; or a template for each (cmd_inspect.c). */
_must_check_ struct err *print_objects(const char *format, struct json *all);
/* One object: "json" or a template; the newline is added. */
_must_check_ struct err *format_object(const char *format, struct json *object);
/* 12 digits of a "sha256:…" or plain id; a static ring of buffers. */
const char *short_id(const char *id);
/* "\"cmd arg\"" shortened to 20 columns unless no_trunc. Caller frees. */
char *command_text(char *const *command, bool no_trunc);
/* A string's date as docker prints CreatedAt: "2006-01-02 15:04:05 -0700 MST". Caller frees. */
char *local_date(int64_t ns);

/* --filter key=value, several of one key: any of them must match; several keys: all. */
struct filter {
	const char *key, *value;
};
struct filters {
	struct filter *items;
	size_t n;
	char **text; /* owns what items point to */
};
/* known: words separated by blanks. */
_must_check_ struct err *filters_parse(char *const *list, const char *known, struct filters *ret);
void filters_release(struct filters *f);
#define _cleanup_filters_ _cleanup_(filters_release)
/* Does any filter of this key match (or is there none)? */
bool filters_match(const struct filters *f, const char *key,
		   bool (*match)(const void *object, const char *value), const void *object);
bool filters_have(const struct filters *f, const char *key);
/* All filters "label" and none of "label!" match. */
bool filters_labels(const struct filters *f, char *const *labels);

/* -- files that are written (output_file.c) --------------------------------------------------------------------- */

/* Calls write(fd) for standard output when path is NULL (refused on a terminal), for a device or pipe as it is, or for a new file beside
 * `path`, synced and renamed to it on success: a full disk never leaves half a file under its name. */
_must_check_ struct err *cli_write_output(const char *path, struct err *(*write)(void *user, int fd),
					  void *user);

/* -- pulling and loading (progress.c, interrupt.c) -------------------------------------------------------------- */

/* Shows progress on fd: redrawn bars on a terminal, lines otherwise, nothing when quiet. */
enum progress_work {
	PROGRESS_PULL,
	PROGRESS_PUSH,
	PROGRESS_COPY, /* messages, and bars on a terminal */
	PROGRESS_LOAD, /* from a file, which is quick: says nothing when fd is no terminal */
};
struct progress_display;
/* intro: text printed before the first sign of work (a pull that finds nothing to do prints none); may be NULL. */
struct progress_display *progress_display_new(int fd, enum progress_work work, bool quiet, const char *intro);
const struct progress *progress_display_callbacks(struct progress_display *d);
/* Draws the last state and leaves the cursor below. */
void progress_display_finish(struct progress_display *d);
void progress_display_free(struct progress_display *d);
DEFINE_CLEANUP(struct progress_display *, progress_display_free)
#define _cleanup_progress_display_ _cleanup_(progress_display_freep)

/* From here on SIGINT and SIGTERM set a flag instead of ending us; a second one ends us. */
void interrupt_catch(void);
void interrupt_restore(void);
bool interrupted(void);

/* Makes sure of the image and shows how; what is printed goes to stderr. */
_must_check_ struct err *cli_ensure_image(struct engine *e, const struct container_spec *s, bool quiet,
					  struct image **ret);

/* -- attached streams (attach.c) ---------------------------------------------------------------------------- */

struct stream_options {
	bool tty, stdin_, stdout_, stderr_, sig_proxy;
	const char *detach_keys; /* NULL: default */
};
/* Pumps until the end. *ret_code: the program's status; 0 after detaching. */
_must_check_ struct err *cli_pump(struct attach *a, const struct stream_options *o, bool *ret_detached,
				  int *ret_code);
/* -t with an input that is no terminal is refused as docker does. */
_must_check_ struct err *cli_check_tty(bool tty, bool stdin_);

#endif
