/* SPDX-License-Identifier: Apache-2.0 */
/* docker's words for objects: what the command line and the API show of them alike. */
#ifndef ENGINE_DESCRIBE_H
#define ENGINE_DESCRIBE_H

#include "engine/engine.h"

/* docker's STATUS: "Up 3 hours", "Exited (1) 2 days ago". Caller frees. */
char *container_status_text(const struct container *c);
/* " (healthy)", or "". Caller frees. */
char *container_health_text(const struct container *c);
/* "3 hours ago". Caller frees. */
char *ago(int64_t ns);
/* KEY=value of an image's configuration document. Caller frees with strv_free. */
char **image_labels(struct json *config_document);
/* "debian:12" of a canonical name. Caller frees. */
char *familiar_name(const char *canonical);
/* docker's inspect objects. */
struct json *image_inspect_json(struct store *s, const struct image *i);
struct json *volume_json(const struct volume *v);

#endif
