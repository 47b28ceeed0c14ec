/* SPDX-License-Identifier: Apache-2.0 */
/* One conversation with CRIU: `criu swrk FD`, a request over a SEQPACKET socket, notifications in between, the answer.
 *
 * Invariants
 *  C1 CRIU is our child and is gone, reaped, when criu_stop returns: whatever it does, it cannot outlive the conversation.
 *  C2 It is never waited for without end: when it neither says anything nor reads, writes or logs for two minutes (or
 *     what HAVRE_CRIU_TIMEOUT says, in seconds; 0 is for ever), it is killed.
 *  C3 What it printed or logged is part of the error.
 */
#ifndef RUNTIME_CRIU_H
#define RUNTIME_CRIU_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"
#include "criu_wire.h"

struct criu_start {
	int stdio[3];   /* -1: stdin is /dev/null, the others are kept for errors */
	const int *fds; /* given to it as CRIU_FIRST_FD, +1, …; borrowed */
	size_t n_fds;
	/* Runs in the child before CRIU is executed; may be NULL. */
	struct err *(*prepare)(void *data);
	void *data;
};
#define CRIU_FIRST_FD 4

struct criu {
	pid_t pid;
	int pidfd, sock, output;
};
#define CRIU_NONE                                      \
	(struct criu)                                  \
	{                                              \
		.pidfd = -1, .sock = -1, .output = -1, \
	}

/* ERR_NOT_FOUND with the package's name when there is no criu in PATH. */
_must_check_ struct err *criu_spawn(const struct criu_start *s, struct criu *ret);
void criu_stop(struct criu *c);

struct criu_talk {
	enum criu_type type;
	const struct strbuf *options, *features; /* encoded; may be NULL */
	/* Called for each notification; `fd` is what came with it, or -1 (borrowed). Failure ends the conversation. */
	struct err *(*notify)(void *data, const struct criu_response *r, int fd);
	uint64_t (*progress)(void *data); /* a number that changes while its helpers work; may be NULL */
	void *data;
	bool endless;        /* it may rightly be silent for as long as it wants */
	const char *log_dir; /* where `log_file` is written; NULL: no log */
	int log_dir_fd;
	const char *log_file;
};
/* The final answer, which is a success; otherwise an error that says what CRIU said. */
_must_check_ struct err *criu_talk(struct criu *c, const struct criu_talk *t, struct criu_response *ret);

/* As one number: 3.17.1 is 31701. Fails with what CRIU says when it cannot run on this kernel. */
_must_check_ struct err *criu_get_version(unsigned *ret);
_must_check_ struct err *criu_need_version(unsigned have, unsigned need, const char *what);
/* ERR_UNSUPPORTED that names what the kernel lacks. */
_must_check_ struct err *criu_need_feature(enum criu_feature feature);
/* After a failure: `e` again, with what `criu check` finds missing in this kernel, if it finds something. */
_must_check_ struct err *criu_explain(struct err *e);

#endif
