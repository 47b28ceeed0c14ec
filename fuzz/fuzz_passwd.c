/* SPDX-License-Identifier: Apache-2.0 */
/* user[:group] against account files of strangers. Input: spec, NUL, passwd, NUL, group. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "passwd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *first = memchr(data, 0, size);
	if (!first)
		return 0;
	const uint8_t *passwd = first + 1, *end = data + size;
	const uint8_t *second = memchr(passwd, 0, (size_t)(end - passwd));
	const uint8_t *group = second ? second + 1 : end;
	char *add[] = {(char *)(uintptr_t)data, NULL};
	/* Copies of the exact size, so that the sanitizer sees a read past the end. */
	size_t passwd_size = (size_t)((second ? second : end) - passwd), group_size = (size_t)(end - group);
	char *p = xmemdup(passwd, passwd_size), *g = xmemdup(group, group_size);
	struct user u;
	struct err *e = user_lookup((const char *)data, strchr((const char *)data, ':') ? NULL : add, p,
				    passwd_size, g, group_size, &u);

	if (e) {
		err_free(e);
	} else {
		if (u.uid > USER_ID_MAX || u.gid > USER_ID_MAX || !u.home)
			abort();
		user_release(&u);
	}
	free(p);
	free(g);
	return 0;
}
