/* SPDX-License-Identifier: Apache-2.0 */
/* What happened: docker's events, kept in ROOT/events.log and events.log.1 (a few megabytes) by everything that does something, and read
 * from there by the command line and by the API. docker's types, actions and attributes:
 *
 *   container  create start die kill stop restart pause unpause rename update attach detach resize destroy oom commit copy export top
 *              exec_create exec_start exec_die health_status
 *   image      pull push tag untag delete load save import
 *   volume     create mount unmount destroy
 *   network    create connect disconnect destroy
 */
#ifndef ENGINE_EVENTS_H
#define ENGINE_EVENTS_H

#include "base/json.h"
#include "engine/engine.h"

struct event_query {
	int64_t since_ns; /* 0: only what happens from now on */
	int64_t until_ns; /* 0: for ever; in the future: waits until then */
	/* KEY=VALUE: container, image, label, network, volume (name, id or the beginning of one), event, type, scope, daemon. Several of one key:
	 * any; several keys: all. Borrowed. */
	char *const *filters;
};
/* ERR_INVALID: a filter of another name or form. */
_must_check_ struct err *events_check_filters(char *const *filters);
/* Calls event() for each that matches, with docker's object (borrowed), in the order of the file, until until_ns or until event() fails, whose
 * error it returns, or until `stop` (an fd, may be -1) can be read. */
_must_check_ struct err *events_read(struct engine *e, const struct event_query *q, int stop,
				     struct err *(*event)(void *user, struct json *event), void *user);

#endif
