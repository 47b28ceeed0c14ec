/* SPDX-License-Identifier: Apache-2.0 */
#include "base/user.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/str.h"

bool user_is_root(void)
{
	return geteuid() == 0 && !getenv(USER_ROOTLESS_VARIABLE);
}

uid_t user_id(void)
{
	const char *known = getenv(USER_ROOTLESS_VARIABLE);
	uint64_t uid;

	if (geteuid() != 0 || !known)
		return geteuid();
	struct err *e = parse_u64(known, USER_ROOTLESS_VARIABLE, 0, UINT32_MAX - 1, &uid);
	if (e) {
		err_free(e);
		return geteuid();
	}
	return (uid_t)uid;
}
