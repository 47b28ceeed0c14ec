/* SPDX-License-Identifier: Apache-2.0 */
/* Private: restart policies, docker's and one of our own. The monitor decides at the end of a run, waits with its lock held (state
 * "restarting"), and then hands the lock to `havre container revive ID`, which starts the container anew. Nothing waits for a container that
 * was stopped by hand: the mark of that is a file in the container's directory.
 *
 *   no              never
 *   on-failure[:N]  when it ended with another code than 0, N times at most
 *   always          whenever it ended by itself; with `system start` also after a stop by hand
 *   unless-stopped  whenever it ended by itself
 *   on-unhealthy    as on-failure, and it is ended when its health check finds it unhealthy */
#ifndef ENGINE_RESTART_POLICY_H
#define ENGINE_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Below ROOT/containers/ID: the mark of a stop by hand, and a policy that came after the start. */
#define RESTART_STOPPED_FILE "stopped"
#define RESTART_POLICY_FILE "restart-policy"
#define RESTART_DELAY_FIRST_MS 100
#define RESTART_DELAY_MAX_MS 60000
#define RESTART_RAN_WELL_NS 10000000000LL /* after so long the delay begins anew */

enum restart_kind {
	RESTART_NO,
	RESTART_ON_FAILURE,
	RESTART_ALWAYS,
	RESTART_UNLESS_STOPPED,
	RESTART_ON_UNHEALTHY
};
struct restart_policy {
	enum restart_kind kind;
	unsigned max; /* of on-failure; 0: no limit */
};
/* NULL and "" are "no". */
_must_check_ struct err *restart_policy_parse(const char *s, struct restart_policy *ret);
const char *restart_policy_name(const struct restart_policy *p); /* docker's */
bool restart_is_due(const struct restart_policy *p, int exit_code, unsigned restarts, bool unhealthy);
/* docker's back-off: doubled each time. */
unsigned restart_delay_ms(unsigned last_ms, int64_t ran_ns);

#endif
