/* SPDX-License-Identifier: Apache-2.0 */
/* havre-init: PID 1 of a container made with --init. Starts the program, forwards every signal to it, reaps whatever is
 * orphaned into its care, and ends as the program ends (its code, or 128 + the signal).
 *
 *   havre-init [--] PROGRAM [ARGUMENT…]
 *   havre-init --                         the sandbox of a pod: no program, until it is told to end
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what, const char *name)
{
	const char *why = strerror(errno);

	dprintf(2, "havre-init: %s %s: %s\n", what, name, why);
}

/* Forks the program in a process group of its own that is in the terminal's foreground: Ctrl-C reaches it and not us. */
static pid_t start(char **argv, const sigset_t *old_mask, int report)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (setpgid(0, 0) == 0)
		(void)tcsetpgrp(0, getpid()); /* fails without a terminal; SIGTTOU is blocked here */
	sigprocmask(SIG_SETMASK, old_mask, NULL);
	execvp(argv[0], argv);
	int errnum = errno;
	(void)!write(report, &errnum, sizeof(errnum));
	_exit(127);
}

/* The program's exit status once it has ended, else -1. */
static int reap(pid_t program)
{
	int status, code = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == program)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return code;
}

/* Does nothing but reap, also the processes of a pod that shares its pid namespace. */
static int keep(const sigset_t *set)
{
	while (1) {
		int signum = sigwaitinfo(set, NULL);
		if (signum == SIGCHLD)
			(void)reap(-1);
		else if (signum == SIGTERM || signum == SIGINT || signum == SIGQUIT)
			return 0;
	}
}

int main(int argc, char **argv)
{
	sigset_t set, old;
	int report[2], errnum = 0;

	argv++;
	if (*argv && strcmp(*argv, "--") == 0)
		argv++;
	bool sandbox = argc == 2 && !*argv;
	if (argc < 2 || (!*argv && !sandbox)) {
		dprintf(2, "usage: havre-init [--] PROGRAM [ARGUMENT...]\n");
		return 125;
	}
	sigfillset(&set);
	/* Faults are ours, not messages for the program. */
	const int faults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&set, faults[i]);
	sigprocmask(SIG_SETMASK, &set, &old);
	if (sandbox)
		return keep(&set);
	if (pipe2(report, O_CLOEXEC) < 0) {
		fail("cannot start", *argv);
		return 125;
	}
	pid_t program = start(argv, &old, report[1]);
	if (program < 0) {
		fail("cannot start", *argv);
		return 125;
	}
	close(report[1]);
	if (read(report[0], &errnum, sizeof(errnum)) == (ssize_t)sizeof(errnum)) {
		errno = errnum;
		fail("cannot execute", *argv);
		return errnum == ENOENT ? 127 : 126;
	}
	close(report[0]);
	while (1) {
		int signum = sigwaitinfo(&set, NULL);
		if (signum == SIGCHLD) {
			int code = reap(program);
			if (code >= 0)
				return code;
		} else if (signum > 0 && signum != SIGTTIN && signum != SIGTTOU) {
			(void)kill(program, signum);
		}
	}
}
