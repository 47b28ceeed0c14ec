/* SPDX-License-Identifier: Apache-2.0 */
#include "base/user.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/str.h"

bool user_is_root(void)
{
	return geteuid() == 0 && !getenv(USER_ROOTLESS_VARIABLE);
}

bool user_is_confined(void)
{
	static int known = -1; /* set to the same value by whoever comes first */
	unsigned long long inside, outside, count;
	char text[128];

	if (__atomic_load_n(&known, __ATOMIC_RELAXED) < 0) {
		int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		text[n > 0 ? n : 0] = '\0';
		/* The first one maps all ids to themselves; a child that does so, too, is as good as it. */
		bool first = n <= 0 || (sscanf(text, "%llu %llu %llu", &inside, &outside, &count) == 3 &&
					inside == 0 && outside == 0 && count >= UINT32_MAX);
		__atomic_store_n(&known, !first, __ATOMIC_RELAXED);
	}
	return known;
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
