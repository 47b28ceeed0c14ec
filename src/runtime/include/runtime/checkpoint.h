/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint and restore of containers, by CRIU (criu.org), which must be installed: the program `criu`, version 3.0 or newer.
 *
 * What a checkpoint is: a directory of CRIU's images, with the links of the first process's stdin, stdout and stderr in descriptors.json
 * as runc and crun write it. File systems are not part of it: the restored container gets the root and the mounts of its bundle.
 */
#ifndef RUNTIME_CHECKPOINT_H
#define RUNTIME_CHECKPOINT_H

#include "runtime/container.h"

enum rt_criu_cgroups {
	RT_CRIU_CGROUPS_SOFT,
	RT_CRIU_CGROUPS_FULL,
	RT_CRIU_CGROUPS_STRICT,
	RT_CRIU_CGROUPS_IGNORE
};
enum rt_criu_network_lock {
	RT_CRIU_LOCK_DEFAULT,
	RT_CRIU_LOCK_IPTABLES,
	RT_CRIU_LOCK_NFTABLES,
	RT_CRIU_LOCK_SKIP
};

/* What both directions have. Zero is the default. */
struct rt_criu_options {
	const char *image_path; /* made when missing by a checkpoint */
	const char *work_path;  /* logs and the like; NULL: the image path */
	bool tcp_established, tcp_close, ext_unix_sk, shell_job, file_locks, auto_dedup, link_remap,
		lazy_pages;
	bool empty_network; /* --empty-ns network */
	enum rt_criu_cgroups manage_cgroups;
	enum rt_criu_network_lock network_lock;
};

struct rt_checkpoint {
	struct rt_criu_options options;
	const char *parent_path; /* of an earlier pre-dump, relative to the image path; may be NULL */
	const char *page_server; /* "ADDRESS:PORT", or NULL */
	bool leave_running, pre_dump, tcp_skip_in_flight;
	int status_fd; /* gets a zero byte when the lazy pages can be fetched; -1: none */
};

/* The container is stopped then, unless it was left running or this was a pre-dump; the caller deletes it, or a restore under its id
 * takes its place. On failure it goes on running. */
_must_check_ struct err *rt_container_checkpoint(struct rt_container *c, const struct rt_checkpoint *k);

/* It stopped because it was checkpointed. */
bool rt_container_is_checkpointed(const struct rt_container *c);

struct rt_restore {
	struct rt_criu_options options;
	/* state_root, id, bundle, config, stdio (-1: ours), console_socket, return_console, preserve_fds, pid_file, no_pivot,
	 * cgroup_disabled, systemd_cgroup as for rt_container_create; the others are not used. */
	struct rt_create create;
	const char *lsm_profile, *lsm_mount_context; /* may be NULL */
};

/* A container in the place of one that create and start have made: the process is our child. prestart and createRuntime hooks are run,
 * when its namespaces are there. On failure nothing remains. */
_must_check_ struct err *rt_container_restore(const struct rt_restore *r, struct rt_container **ret);

#endif
