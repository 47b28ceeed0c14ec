/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers, and the table that finds them. A handler reads the request, calls the engine and answers; what it returns is answered as an
 * error. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "exchange.h"

typedef struct err *handler_fn(struct exchange *x);

/* Version prefix, route, handler, errors: everything between a request and its answer. */
void route(struct exchange *x);

/* system.c */
handler_fn handle_ping, handle_version, handle_info, handle_events, handle_df, handle_auth, handle_swarm,
	handle_no_list, handle_later, handle_build, handle_build_prune, handle_build_cancel;
/* container_list.c, container_create.c, container.c, archive.c */
handler_fn handle_container_list, handle_container_create, handle_container_inspect, handle_container_start,
	handle_container_stop, handle_container_restart, handle_container_kill, handle_container_pause,
	handle_container_unpause, handle_container_rename, handle_container_remove, handle_container_wait,
	handle_container_logs, handle_container_attach, handle_container_resize, handle_container_top,
	handle_container_prune, handle_container_changes, handle_container_export, handle_commit,
	handle_container_update, handle_container_stats;
/* archive.c */
handler_fn handle_archive_stat, handle_archive_get, handle_archive_put;
/* registry.c */
handler_fn handle_distribution;
/* exec.c */
handler_fn handle_exec_create, handle_exec_start, handle_exec_inspect, handle_exec_resize;
/* image.c, image_pull.c */
handler_fn handle_image_list, handle_image_inspect, handle_image_create, handle_image_remove,
	handle_image_tag, handle_image_history, handle_image_push, handle_image_load, handle_image_save,
	handle_image_save_one, handle_image_search, handle_image_prune;
/* network.c, volume.c */
handler_fn handle_network_list, handle_network_inspect, handle_network_create, handle_network_remove,
	handle_network_connect, handle_network_disconnect, handle_network_prune;
handler_fn handle_volume_list, handle_volume_inspect, handle_volume_create, handle_volume_remove,
	handle_volume_prune;

/* -- what handlers share ------------------------------------------------------------------------------------ */

/* The container of the route's first capture. */
_must_check_ struct err *find_container(struct exchange *x, struct container **ret);
/* KEY=VALUE of exchange_filters: does any of this key match (or is there none)? */
bool filter_any(char *const *filters, const char *key, bool (*match)(const void *, const char *),
		const void *object);
/* All label filters ("key", "key=value") against KEY=value. */
bool filter_labels(char *const *filters, char *const *labels);

#endif
