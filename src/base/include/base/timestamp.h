/* SPDX-License-Identifier: Apache-2.0 */
/* Times as nanoseconds since the epoch, and as RFC 3339 text (the form of image configs, state files and
 * logs). */
#ifndef BASE_TIMESTAMP_H
#define BASE_TIMESTAMP_H

#include <stdint.h>

#include "base/error.h"

#define TIMESTAMP_STRING_MAX 40

int64_t timestamp_now_ns(void);
int64_t timestamp_monotonic_ns(void);
/* UTC with trailing "Z"; fraction of nine digits (Go's RFC3339Nano without trimming), or none when `ns` is
 * whole seconds. */
void timestamp_format(int64_t ns, char ret[static TIMESTAMP_STRING_MAX]);
/* RFC 3339 with any offset and 0 to 9 fraction digits. */
_must_check_ struct err *timestamp_parse(const char *s, int64_t *ret_ns);

#endif
