/* SPDX-License-Identifier: Apache-2.0 */
/* Private: ROOT/containers/ID/health.json, docker's State.Health: Status, FailingStreak and the last five results in Log. Removed at each
 * start; written by the probe, read by everybody. */
#ifndef ENGINE_HEALTH_FILE_H
#define ENGINE_HEALTH_FILE_H

#include <stdbool.h>

#include "base/json.h"

#define HEALTH_FILE "health.json"
#define HEALTH_LOG_MAX 5
#define HEALTH_OUTPUT_MAX 4096 /* bytes of one result that are kept */

/* *ret NULL: there is none yet. */
_must_check_ struct err *health_file_read(const char *container_dir, struct json **ret);
bool health_is_unhealthy(const char *container_dir);

#endif
