/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of namespaces, and cloning a child into new and existing ones. namespaces(7), clone3(2). */
#ifndef RUNTIME_NAMESPACES_H
#define RUNTIME_NAMESPACES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "spec.h"

struct namespace_kind {
	const char *type; /* the specification's name */
	const char *proc; /* the name below /proc/PID/ns */
	uint64_t flag;    /* CLONE_NEW… */
};
extern const struct namespace_kind namespace_kinds[SPEC_NS_COUNT];

/* Namespaces to join: fds of single ones, or all of one process at once. */
struct namespace_join {
	int fds[SPEC_NS_COUNT]; /* -1: not joined */
	int pidfd;              /* >= 0: setns(pidfd, pidfd_flags) instead */
	uint64_t pidfd_flags;
};
#define NAMESPACE_JOIN_NONE                                          \
	(struct namespace_join)                                      \
	{                                                            \
		.fds = {-1, -1, -1, -1, -1, -1, -1, -1}, .pidfd = -1 \
	}
void namespace_join_close(struct namespace_join *j);
/* Opens linux.namespaces[].path, each checked to be a namespace of its kind. */
_must_check_ struct err *namespace_join_open(const struct spec *s, struct namespace_join *ret);
bool namespace_join_any(const struct namespace_join *j);

struct namespace_clone {
	const struct namespace_join *join;
	uint64_t flags;       /* CLONE_NEW… for clone3 */
	int cgroup_fd;        /* CLONE_INTO_CGROUP, or -1 */
	int (*child)(void *); /* runs in the child; its result is the exit status */
	void *argument;
};
/* The child is a child of the caller, whatever it joined. The caller must be single-threaded. */
_must_check_ struct err *namespace_clone(const struct namespace_clone *c, pid_t *ret_pid, int *ret_pidfd);

/* In the child: the time namespace, which a process sharing its memory (as the joining helper does) cannot enter. */
_must_check_ struct err *namespace_enter_time(const struct namespace_join *j);
/* In the child: a new time namespace with the offsets of the specification. */
_must_check_ struct err *namespace_unshare_time(const struct spec *s, int proc_fd);

#endif
