/* SPDX-License-Identifier: Apache-2.0 */
/* What the cloned child does, from its first instruction to execve. Everything it needs was prepared by its parent and
 * arrives with the copy of the address space and the fd table.
 *
 * Threat model: from the moment the child joins a namespace that a container's processes are in, they may try to trace it or to use its fds
 * and its executable. So: it is not dumpable (set by the parent before the clone: CVE-2016-9962), every fd is
 * close-on-exec and a last close_range catches the inherited ones (CVE-2024-21626), and its executable is not writable
 * from there (executable.h, CVE-2019-5736).
 */
#ifndef RUNTIME_INIT_H
#define RUNTIME_INIT_H

#include <signal.h>
#include <stdbool.h>

#include "base/error.h"
#include "namespaces.h"
#include "runtime/cgroup.h"
#include "runtime/seccomp.h"
#include "spec.h"

struct init {
	const struct spec *spec;
	struct spec_process *process;
	const struct namespace_join *join;
	const char *id, *bundle;
	int sync, parent_sync; /* the child's end; the parent's, which the child closes */
	int lock; /* the state directory's: the child must not hold it (flock belongs to the open file) */
	int gate; /* listening socket that `start` connects to; -1: the start comes over sync */
	int proc_fd, bundle_fd;
	int root_tree;            /* detached mount of the root; -1: the child makes it of root_path */
	const char *root_path;    /* on the host */
	const int *sources;       /* mounts_open_sources */
	int device_tree;          /* devices_prepare, or -1 */
	struct rt_cgroup *cgroup; /* NULL: none */
	bool cloned_into_cgroup, moved_into_cgroup;
	enum rt_rootless cgroup_rootless;
	bool cgroup_waits; /* the rest of the cgroup is made while the child is at work: a SYNC_GO tells */
	const struct rt_seccomp *seccomp; /* NULL: none */
	int stdio[3], console_socket;
	bool return_console, no_pivot, no_new_keyring, join_userns;
	bool first;    /* the container's first process, not one of exec */
	bool rootless; /* our parent may not set everything from outside: see rootless.h */
	unsigned preserve_fds, listen_fds;
};

/* Signals that a container's process must not ignore only because our caller does; bit N-1 for signal N. */
#define INIT_SIGNAL(n) (1u << ((n)-1))
#define INIT_HEEDED                                                                                  \
	(INIT_SIGNAL(SIGHUP) | INIT_SIGNAL(SIGINT) | INIT_SIGNAL(SIGQUIT) | INIT_SIGNAL(SIGPIPE) |   \
	 INIT_SIGNAL(SIGTERM) | INIT_SIGNAL(SIGCHLD) | INIT_SIGNAL(SIGTSTP) | INIT_SIGNAL(SIGTTIN) | \
	 INIT_SIGNAL(SIGTTOU) | INIT_SIGNAL(SIGXFSZ))

int init_main(void *init);      /* the first process of a container */
int init_exec_main(void *init); /* a further process */

#endif
