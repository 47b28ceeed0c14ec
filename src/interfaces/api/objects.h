/* SPDX-License-Identifier: Apache-2.0 */
/* docker's objects in lists, and small values of requests. */
#ifndef API_OBJECTS_H
#define API_OBJECTS_H

#include "engine/engine.h"

struct json *container_row(struct engine *e, const struct container *c, bool size); /* GET /containers/json */
struct json *image_row(const struct image *i);                                      /* GET /images/json */
/* Seconds with an optional fraction since the epoch, or RFC 3339; NULL and "" are 0. */
_must_check_ struct err *moment_ns(const char *s, const char *what, int64_t *ret);
/* A member's members as KEY=value, or as their names alone. Appends to *ret. */
_must_check_ struct err *json_pairs(const struct json_cursor *o, const char *key, bool keys_only,
				    char ***ret);

#endif
