/* SPDX-License-Identifier: Apache-2.0 */
/* systemd's manager over D-Bus (org.freedesktop.systemd1(5)): the few methods that a control group driver needs. Each call has a time limit: an
 * overloaded or stopped systemd is an error, never a hang. */
#ifndef RUNTIME_SYSTEMD_H
#define RUNTIME_SYSTEMD_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

struct systemd;

/* The system's manager, or the user's: its private socket, where no bus is needed in between, else the bus. Time limits of this and all
 * later calls are timeout_ms each. ERR_UNREACHABLE says what was tried and what to do. */
_must_check_ struct err *systemd_connect(bool user, int timeout_ms, struct systemd **ret);
void systemd_free(struct systemd *s);
DEFINE_CLEANUP(struct systemd *, systemd_free)

/* A property of the manager itself, of type string. Caller frees. */
_must_check_ struct err *systemd_manager_property(struct systemd *s, const char *name, char **ret);

/* `properties`: the elements of an a(sv), marshalled from offset 0 (systemd_properties.h).
 * Starts a transient unit and waits for it; a failed unit of that name that was left behind is reset first. *ret_made is set once systemd
 * has accepted it, also when an error follows. ERR_EXISTS: somebody else's unit. */
_must_check_ struct err *systemd_start_unit(struct systemd *s, const char *unit,
					    const struct strbuf *properties, bool *ret_made);
_must_check_ struct err *systemd_set_properties(struct systemd *s, const char *unit,
						const struct strbuf *properties);
/* Stops the unit, waits, and forgets how it ended. A unit that is not there is success. */
_must_check_ struct err *systemd_stop_unit(struct systemd *s, const char *unit);
/* Lets systemd move a process into a unit's group: it may where we may not (between the groups of an ordinary user). */
_must_check_ struct err *systemd_attach_process(struct systemd *s, const char *unit, const char *subgroup,
						pid_t pid);

#endif
