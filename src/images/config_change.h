/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration part of an image (image-spec config.md "config") being changed by Dockerfile instructions, as
 * `import --change` and `commit --change` take them. Variables ($X) are not expanded. */
#ifndef IMAGES_CONFIG_CHANGE_H
#define IMAGES_CONFIG_CHANGE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"

struct config_change {
	char **env, **cmd, **entrypoint, **ports, **volumes, **label_keys, **label_values, **on_build;
	char *user, *workdir, *stop_signal;
	struct json *health; /* docker's Healthcheck object */
	bool cmd_given; /* by an instruction; else ENTRYPOINT takes the command away, which was the old entrypoint's */
};
void config_change_release(struct config_change *c);
#define _cleanup_config_change_ _cleanup_(config_change_release)
/* "CMD [\"sh\"]", "ENV A=b C=\"d e\"", … . Anything that is not understood is ERR_INVALID or ERR_UNSUPPORTED quoting the instruction. */
_must_check_ struct err *config_change_apply(struct config_change *c, const char *instruction);
struct json *config_change_json(const struct config_change *c);

/* Starts from an existing configuration object, and puts the result back into it: what instructions cannot say stays as it is. */
_must_check_ struct err *config_change_load(struct config_change *c, const struct json_cursor *config);
void config_change_store(const struct config_change *c, struct json *config);

/* Private to config_change.c and config_health.c. json_words: the strings of a JSON array, or NULL. */
_must_check_ struct err *config_health_parse(const char *args, char **(*json_words)(const char *),
					     struct json **ret);

#endif
