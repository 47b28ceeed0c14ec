/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time and durations as users of docker write them: --since, --until, --filter until=, --health-interval. */
#ifndef BASE_MOMENT_H
#define BASE_MOMENT_H

#include <stdint.h>

#include "base/error.h"

/* Go's durations: "1h30m", "10s", "500ms". `what` names the setting in the error. */
_must_check_ struct err *duration_parse(const char *s, const char *what, int64_t *ret_ns);
/* When: RFC 3339, a local date, seconds since the epoch (with a fraction), or how long ago ("10m", "24h"). */
_must_check_ struct err *moment_parse(const char *s, const char *what, int64_t *ret_ns);

#endif
