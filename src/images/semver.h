/* SPDX-License-Identifier: Apache-2.0 */
/* Private: Semantic Versioning 2.0.0, and the constraints that people write on versions: "1.2.x", "^1.2", "~1.2.3", ">= 1.2, < 3", "1.2 - 1.4",
 * "a || b". As in the Go library that skopeo uses, a version with a pre-release fits only a constraint that has one. */
#ifndef IMAGES_SEMVER_H
#define IMAGES_SEMVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct semver {
	uint64_t v[3];
	unsigned n; /* how many of them were given, 1 to 3; the others are 0 */
	char pre[128];
};
/* "v1.2.3-rc.1+build"; a leading v and missing parts are taken. False: not a version. */
bool semver_parse(const char *s, struct semver *ret);
int semver_compare(const struct semver *a, const struct semver *b);
/* ERR_INVALID: the constraint makes no sense. A `version` that is none fits nothing. */
_must_check_ struct err *semver_fits(const char *constraint, const char *version, bool *ret);

#endif
