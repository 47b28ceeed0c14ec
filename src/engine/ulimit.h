/* SPDX-License-Identifier: Apache-2.0 */
/* "nofile=1024:2048" of --ulimit. */
#ifndef ENGINE_ULIMIT_H
#define ENGINE_ULIMIT_H

#include <stdint.h>

#include "base/error.h"

struct ulimit {
	const char *name;      /* "nofile"; static */
	const char *spec_name; /* "RLIMIT_NOFILE"; static */
	int resource;
	uint64_t soft, hard; /* RLIM_INFINITY for -1 and "unlimited" */
};
_must_check_ struct err *ulimit_parse(const char *s, struct ulimit *ret);

#endif
