/* SPDX-License-Identifier: Apache-2.0 */
/* Private: writing ROOT/events.log, what happened to containers, images, volumes and networks (engine/events.h has the readers). The monitor
 * uses this too, so it needs base alone.
 *
 * A line is docker's event as JSON. Lines are appended by one write(2) each, from many processes. A file that has grown to EVENT_LOG_MAX becomes
 * events.log.1 by rename, and what that was is gone: the bound is twice as much. Nothing waits for the disk, and an event that cannot be
 * written is lost without failing what it tells of.
 *
 * Times in a file are in order but for processes that write at the same moment. */
#ifndef ENGINE_EVENT_LOG_H
#define ENGINE_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/json.h"

#define EVENT_LOG_MAX ((off_t)4 << 20)
#define EVENT_LINE_MAX ((size_t)256 << 10)

/* {"Type":…,"Action":…,"Actor":{"ID":…,"Attributes":{…}}} without the time, which event_log_write adds. `from` (containers: the image) may be
 * NULL; attributes are borrowed. Caller frees. */
char *event_line(const char *type, const char *action, const char *id, const char *from,
		 const struct json *attributes);
/* Writes such lines (NULL-terminated list) with the time of now. `path` is ROOT/events.log. */
void event_log_write(const char *path, char *const *lines);

/* One line of event_line's with additional attributes (key, value, …, NULL). */
void event_tell(const char *path, const char *line, char *const *pairs);

/* A run's own events. RUN_DIR/events has the container's line with an empty action, then lines that are due at the end. */
#define EVENT_RUN_FILE "events"
/* Writes the container's line with this action and additional attributes (key, value, …, NULL; may be NULL), and at the end of the run what
 * is due then. Silent when there is no such file. */
void event_run_tell(const char *path, const char *run_dir, const char *action, char *const *pairs, bool end);

#endif
