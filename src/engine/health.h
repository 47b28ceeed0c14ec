/* SPDX-License-Identifier: Apache-2.0 */
/* Private: health checks. What is asked for is docker's Healthcheck object, kept as text in the specification; the monitor says when
 * (monitor/health.c), container_health_probe does it. */
#ifndef ENGINE_HEALTH_H
#define ENGINE_HEALTH_H

#include "health_file.h"
#include "private.h"

struct health_config {
	char **command; /* to be executed; NULL: there is no check */
	int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries;
};
void health_config_release(struct health_config *h);
#define _cleanup_health_config_ _cleanup_(health_config_release)
/* With docker's defaults for what is not said. */
_must_check_ struct err *health_config_of(const struct container_spec *s, struct health_config *ret);
/* What the image says and the user does not. */
_must_check_ struct err *health_merge_image(const struct json_cursor *image_config, struct container_spec *s);
/* At a start: the results of the last run go, the status is "starting". */
_must_check_ struct err *health_reset(const struct container *c);
/* The monitor's "health" (monitor/monitor.h). */
_must_check_ struct err *health_monitor_config(struct engine *e, const struct container *c,
					       struct json *config);

#endif
