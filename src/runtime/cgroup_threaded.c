/* SPDX-License-Identifier: Apache-2.0 */
/* Threaded v2 groups: their members are threads, so cgroup.procs cannot be read (EOPNOTSUPP); and a domain below one is invalid: it takes
 * no process. Nothing here runs for a container whose groups are ordinary domains. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "cgroup_private.h"

/* 0 for a thread that has ended. */
pid_t cg_process_of_thread(pid_t tid)
{
	char dir[32], text[1024];
	int pid = 0;

	snprintf(dir, sizeof(dir), "/proc/%d", (int)tid);
	if (cg_read(dir, "status", text, sizeof(text)) != 0)
		return 0;
	const char *line =
		strstr(text, "\nTgid:"); /* Name, which comes before it, has its line breaks escaped */
	return line && sscanf(line, "\nTgid: %d", &pid) == 1 ? pid : 0;
}

/* The closest group above `dir`, below the mount, that makes domains below it invalid. */
static char *threaded_ancestor(const char *dir, size_t mount)
{
	char type[64];
	_cleanup_free_ char *above = xstrdup(dir);

	for (char *slash = strrchr(above, '/'); slash && (size_t)(slash - above) > mount;
	     slash = strrchr(above, '/')) {
		*slash = '\0';
		if (cg_read(above, "cgroup.type", type, sizeof(type)) == 0 &&
		    (str_eq(type, "threaded") || str_eq(type, "domain threaded")))
			return TAKE_PTR(above);
	}
	return NULL;
}

struct err *cg_v2_explain(const struct rt_cgroup_hierarchy *h, struct err *e)
{
	if (!e || e->errnum != EOPNOTSUPP || !h->v2)
		return e;
	_cleanup_free_ char *dir = xasprintf("%s%s", h->mountpoint, h->path);
	_cleanup_free_ char *above = threaded_ancestor(dir, strlen(h->mountpoint));
	if (!above)
		return e;
	return err_wrap(
		e,
		"cgroup %s cannot have processes: %s above it is threaded, which allows only threads below; "
		"linux.cgroupsPath must name a group elsewhere",
		dir, above);
}

struct err *rt_cgroup_explain(const struct rt_cgroup *cg, struct err *e)
{
	int v2 = cg_find_v2(cg);

	return v2 < 0 ? e : cg_v2_explain(&cg->h[v2], e);
}
