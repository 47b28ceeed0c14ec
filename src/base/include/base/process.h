/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: spawning without a shell, pidfds, waiting, and the identity of a process (pid plus start time),
 * which survives pid reuse in files. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct process_spawn {
	const char *path; /* executable, or NULL to execute `exec_fd` */
	int exec_fd;
	char *const *argv; /* borrowed */
	char *const *env;  /* NULL: ours */
	int stdio[3];      /* -1: /dev/null; otherwise borrowed */
	const int *fds;    /* more fds, given to the child as 3, 4, …; borrowed */
	size_t n_fds;
	bool new_session;
};
/* vfork-speed spawn. The failure of exec itself is reported here, kind ERR_EXEC. The child starts with
 * default signal dispositions and an empty mask; no other fd is inherited. */
_must_check_ struct err *process_spawn(const struct process_spawn *p, pid_t *ret_pid, int *ret_pidfd);

/* Waits for a child. Result as from wait(2): use WIFEXITED & co. timeout_ms < 0: forever; ERR_TIMEOUT
 * otherwise. */
_must_check_ struct err *process_wait(int pidfd, int timeout_ms, int *ret_status);
int process_exit_code(int wait_status); /* code, or 128 + signal */

/* Runs to the end with `input` on stdin (may be NULL), keeps at most `max_output` bytes of stdout (more is
 * ERR_LIMIT), stderr's last 4 KiB go into the error when the program fails; neither for a stdio that is given in `p`. For hooks and credential
 * helpers. */
_must_check_ struct err *process_run(const struct process_spawn *p, const char *input, size_t input_size,
				     int timeout_ms, size_t max_output, char **ret_output,
				     size_t *ret_output_size);

/* The executable file of that name in the directories of $PATH, absolute ones only; NULL: there is none. Caller frees. */
char *process_locate(const char *name);

_must_check_ struct err *process_pidfd_open(pid_t pid, int *ret_pidfd);
_must_check_ struct err *process_signal(int pidfd, int signum);
bool process_alive(
	int pidfd); /* false once it is a zombie or gone; works for processes that are not children */

/* Start time in clock ticks since boot (field 22 of /proc/PID/stat). With the pid it names a process for
 * good. */
_must_check_ struct err *process_start_time(pid_t pid, uint64_t *ret_ticks);
/* The same, and which of the signals 1 to 31 it ignores: bit N-1 for signal N. */
_must_check_ struct err *process_look(pid_t pid, uint64_t *ret_ticks, uint32_t *ret_ignored);
/* A pidfd of exactly that process; ERR_NOT_FOUND if it is gone, a zombie, or the pid is another's now. */
_must_check_ struct err *process_open_exact(pid_t pid, uint64_t start_ticks, int *ret_pidfd);

/* Signal names and numbers: "TERM", "SIGTERM", "15", "RTMIN+3", any case. */
_must_check_ struct err *signal_parse(const char *s, int *ret);
const char *signal_name(int signum); /* "SIGTERM"; "SIG?" for unknown ones */

#endif
