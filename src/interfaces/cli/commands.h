/* SPDX-License-Identifier: Apache-2.0 */
/* Every command of havre; each lives in cmd_NAME.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "command/command.h"

/* Images changed without running them. */
extern const struct command cmd_image_config, cmd_image_insert, cmd_image_repack, cmd_image_unpack;

extern const struct command cmd_attach, cmd_cleanup, cmd_container_inspect, cmd_create, cmd_exec,
	cmd_image_inspect, cmd_images, cmd_import, cmd_info, cmd_inspect, cmd_kill, cmd_load, cmd_login,
	cmd_logout, cmd_logs, cmd_pause, cmd_ps, cmd_pull, cmd_push, cmd_rename, cmd_restart, cmd_rm, cmd_rmi,
	cmd_run, cmd_save, cmd_start, cmd_stop, cmd_tag, cmd_top, cmd_unpause, cmd_version, cmd_wait;
/* Between places. */
extern const struct command cmd_image_copy, cmd_image_delete, cmd_image_list_tags, cmd_image_sync;
/* Lists of images. */
extern const struct command cmd_manifest_add, cmd_manifest_annotate, cmd_manifest_create, cmd_manifest_exists,
	cmd_manifest_inspect, cmd_manifest_push, cmd_manifest_remove, cmd_manifest_rm;
/* What is kept. */
extern const struct command cmd_container_prune, cmd_history, cmd_image_prune, cmd_image_tree,
	cmd_system_check, cmd_system_df, cmd_system_prune, cmd_system_service, cmd_volume_create,
	cmd_volume_inspect, cmd_volume_ls, cmd_volume_prune, cmd_volume_rm;

/* What a container has written. */
extern const struct command cmd_commit, cmd_cp, cmd_diff, cmd_export;
/* Registries and trust. */
extern const struct command cmd_search, cmd_generate_sigstore_key, cmd_image_sign, cmd_image_trust,
	cmd_image_verify, cmd_standalone_sign, cmd_standalone_verify;

/* The life of containers. */
extern const struct command cmd_events, cmd_generate_systemd, cmd_healthcheck_run, cmd_revive, cmd_stats,
	cmd_system_start, cmd_update;

#define ALIASES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* docker's words for things that one machine does not have (cmd_context.c). */
extern const struct command cmd_config, cmd_context_inspect, cmd_context_ls, cmd_context_show,
	cmd_context_use, cmd_node, cmd_plugin, cmd_service, cmd_stack, cmd_swarm, cmd_trust;

/* Mounts of this machine's, and the end of everything. */
extern const struct command cmd_image_exists, cmd_untag;
extern const struct command cmd_image_mount, cmd_image_unmount, cmd_mount, cmd_system_reset, cmd_unmount,
	cmd_unshare, cmd_volume_clone, cmd_volume_exists, cmd_volume_export, cmd_volume_import,
	cmd_volume_rename;

/* Pods. */
extern const struct command cmd_pod_create, cmd_pod_exists, cmd_pod_inspect, cmd_pod_kill, cmd_pod_logs,
	cmd_pod_ls, cmd_pod_pause, cmd_pod_prune, cmd_pod_restart, cmd_pod_rm, cmd_pod_start, cmd_pod_stop,
	cmd_pod_top, cmd_pod_unpause;

/* Secrets. */
extern const struct command cmd_secret_create, cmd_secret_exists, cmd_secret_inspect, cmd_secret_ls,
	cmd_secret_rm;

/* Networks. */
extern const struct command cmd_network_connect, cmd_network_create, cmd_network_disconnect,
	cmd_network_inspect, cmd_network_ls, cmd_network_prune, cmd_network_rm, cmd_port;

#endif
