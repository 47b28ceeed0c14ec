/* SPDX-License-Identifier: Apache-2.0 */
#include "sysctl.h"

#include "base/memory.h"
#include "base/str.h"
#include "procfs.h"

struct err *sysctl_write_all(const struct spec *s, int proc_fd)
{
	for (size_t i = 0; i < s->n_sysctls; i++) {
		/* The files answer for the namespaces of the process that opens them, whoever mounted the procfs. */
		_cleanup_free_ char *path = xasprintf("sys/%s", s->sysctls[i].key);
		const char *value = s->sysctls[i].value;
		TRY_WRAP(procfs_write(proc_fd, path, value, strlen(value)), "linux.sysctl");
	}
	return NULL;
}
