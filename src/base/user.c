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

bool user_map_is_whole(const char *uid_map)
{
	unsigned long long inside, outside, count;

	return sscanf(uid_map, "%llu %llu %llu", &inside, &outside, &count) == 3 && inside == 0 &&
	       outside == 0 && count >= UINT32_MAX;
}

bool user_is_confined(void)
{
	static int known = -1; /* set to the same value by whoever comes first */
	char text[128];

	if (__atomic_load_n(&known, __ATOMIC_RELAXED) < 0) {
		int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		text[n > 0 ? n : 0] = '\0';
		__atomic_store_n(&known, n > 0 && !user_map_is_whole(text), __ATOMIC_RELAXED);
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
