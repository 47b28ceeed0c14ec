/* SPDX-License-Identifier: Apache-2.0 */
/* killpoint [-f] N PROGRAM [ARG…]: runs the program and kills it with SIGKILL as it enters its N-th system call (counted from
 * 1, after execve). With -f the calls of all its descendants are counted too and whoever makes the N-th one is killed; the
 * others go on, untraced. N = 0 only counts.
 *
 * Prints "killed PID in call NUMBER" and exits with 99, or "ended after COUNT calls" and exits as the program did. A test
 * kills at 1, 2, 3, … until the program ends by itself, and looks at what is left each time. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_KILLED 99
#define TRACED_MAX 256

/* Every system call stops twice; which of the two a stop is must be known for each process. */
static struct {
	pid_t pid;
	bool inside;
} traced[TRACED_MAX];

static bool *inside_of(pid_t pid)
{
	for (size_t i = 0; i < TRACED_MAX; i++) {
		if (traced[i].pid == pid || traced[i].pid == 0) {
			traced[i].pid = pid;
			return &traced[i].inside;
		}
	}
	fprintf(stderr, "killpoint: more than %d processes\n", TRACED_MAX);
	exit(1);
}

static int kill_in_call(pid_t victim)
{
	struct __ptrace_syscall_info info = {0};

	ptrace(PTRACE_GET_SYSCALL_INFO, victim, sizeof(info), &info);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, __WALL);
	fprintf(stderr, "killpoint: killed %d in call %llu\n", (int)victim,
		(unsigned long long)info.entry.nr);
	return STATUS_KILLED;
}

static int trace(pid_t first, unsigned long n)
{
	unsigned long count = 0;
	int result = 0;

	while (true) {
		int status, deliver = 0;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0) {
			fprintf(stderr, "killpoint: ended after %lu calls\n", count);
			return result;
		}
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid == first) {
				result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
				/* Descendants that live on (a container) are not waited for: our end sets them free. */
				fprintf(stderr, "killpoint: ended after %lu calls\n", count);
				return result;
			}
			continue;
		}
		bool *inside = inside_of(pid);
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			*inside = !*inside;
			if (*inside && ++count == n)
				return kill_in_call(pid);
		} else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) {
			deliver = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, pid, 0, deliver);
	}
}

int main(int argc, char **argv)
{
	bool follow = argc > 1 && strcmp(argv[1], "-f") == 0;
	char **args = argv + 1 + follow;

	if (argc < 3 + follow) {
		fprintf(stderr, "usage: killpoint [-f] N PROGRAM [ARG...]\n");
		return 1;
	}
	char *end;
	unsigned long n = strtoul(args[0], &end, 10);
	if (*end) {
		fprintf(stderr, "killpoint: \"%s\" is not a number\n", args[0]);
		return 1;
	}
	int go[2];
	if (pipe(go) < 0) {
		fprintf(stderr, "killpoint: cannot make a pipe: %s\n", strerror(errno));
		return 1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		char byte;

		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		close(go[0]);
		execvp(args[1], args + 1);
		fprintf(stderr, "killpoint: cannot execute %s: %s\n", args[1], strerror(errno));
		_exit(127);
	}
	int status;
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
	if (follow)
		options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	/* Seized, not attached: when we end, a child that was just born goes on instead of stopping for ever. */
	if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, options) < 0) {
		fprintf(stderr, "killpoint: cannot trace: %s\n", strerror(errno));
		return 1;
	}
	close(go[0]);
	if (write(go[1], "x", 1) != 1)
		return 1;
	close(go[1]);
	/* Counting begins behind execve. */
	if (waitpid(pid, &status, 0) != pid || status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
		fprintf(stderr, "killpoint: %s did not start\n", args[1]);
		return 1;
	}
	*inside_of(pid) = true; /* the next stop is execve's exit */
	ptrace(PTRACE_SYSCALL, pid, 0, 0);
	return trace(pid, n);
}
