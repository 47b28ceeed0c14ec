/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities as 64-bit masks, by the raw system calls. capabilities(7). */
#ifndef RUNTIME_CAPABILITIES_H
#define RUNTIME_CAPABILITIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "spec.h"

#define CAPABILITY_COUNT 41
extern const char *const capability_names[CAPABILITY_COUNT]; /* "CAP_CHOWN", by number */

/* "CAP_NET_RAW", any case; -1 for an unknown name. */
int capability_number(const char *name);

/* The masks of the calling process. */
_must_check_ struct err *capabilities_get(uint64_t *ret_permitted, uint64_t *ret_effective);
/* Drops from the bounding set what `caps` does not have: needs CAP_SETPCAP, so before the user changes. */
_must_check_ struct err *capabilities_limit_bounding(const struct spec_capabilities *caps);
/* Sets the other four. What the process cannot be granted is left out, as the specification demands since 1.1. */
_must_check_ struct err *capabilities_apply(const struct spec_capabilities *caps);

#endif
