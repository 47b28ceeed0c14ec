/* SPDX-License-Identifier: Apache-2.0 */
/* Private: saying that something happened. Nothing here fails: an event that cannot be written is lost. */
#ifndef ENGINE_EVENT_H
#define ENGINE_EVENT_H

#include "event_log.h"
#include "private.h"

struct endpoints; /* network/network_private.h */

char *event_path(const struct engine *e); /* ROOT/events.log; caller frees */
/* Attributes beyond the container's own follow as pairs of strings, NULL at the end. */
void event_container(struct engine *e, const struct container *c, const char *action, ...)
	__attribute__((sentinel));
/* The line alone; caller frees. */
char *event_container_line(const struct container *c, const char *action, ...) __attribute__((sentinel));
void event_other(struct engine *e, const char *type, const char *action, const char *id, ...)
	__attribute__((sentinel));

/* RUN/containers/ID/events (event_log.h): what the monitor says of the run. */
_must_check_ struct err *event_run_write(const struct container *c, const struct endpoints *endpoints);
/* Volumes and networks at the start. */
void event_run_begins(struct engine *e, const struct container *c, const struct endpoints *endpoints);
/* Its name or networks are others now. */
void event_run_changed(struct engine *e, const struct container *c);
/* For a monitor that could not say it. */
void event_run_ends(struct engine *e, const struct container *c, int exit_code);

#endif
