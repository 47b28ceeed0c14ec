/* SPDX-License-Identifier: Apache-2.0 */
/* What a run leaves in the host's network stack and how it is taken back: used by the monitor at the container's end, and by the engine when
 * the monitor died. Uses base only. In RUN/containers/ID:
 *   network.rules   a finished nfnetlink batch that deletes the elements of its published ports; it is there before they are
 *   network.rules.before   while they change: the same for the ports of before
 *   network.conf    lines "names NETWORK PATH" (a name table it stands in), "link NAME[:ALIAS]", "internal" (nothing is forwarded), "dns ADDRESS" (servers to ask),
 *                   "process PID START-TICKS" (to be ended)
 * A name table (RUN/networks/NETWORK.names) has a line for each endpoint: CONTAINER IPV4|- IPV6|- NAME…; it is replaced under PATH.lock. */
#ifndef ENGINE_NETWORK_UNDO_H
#define ENGINE_NETWORK_UNDO_H

#include <stdbool.h>

#include "base/error.h"

#define NETWORK_RULES "network.rules"
#define NETWORK_RULES_BEFORE "network.rules.before"
#define NETWORK_CONF "network.conf"
#define NETWORK_FILE_MAX (16u << 20)

/* Whether there is something to undo. */
bool network_left(const char *run_dir);
/* Idempotent; does what can be done. */
void network_undo(const char *run_dir, const char *container_id);
/* Replaces the container's line in a name table; line NULL: takes it out. The line ends with its newline. */
_must_check_ struct err *names_replace(const char *path, const char *container_id, const char *line);

#endif
