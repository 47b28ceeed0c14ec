/* SPDX-License-Identifier: Apache-2.0 */
/* failpoint ERRNO N PROGRAM [ARG…]: runs the program and lets the N-th system call that it or a descendant makes fail with that
 * error, without being executed; all others are left alone. Calls are counted from 1, behind execve, over all processes in the order in which
 * they enter them. Calls without which a process cannot even end, or that cannot fail, are not counted. N = 0 only counts.
 *
 * Prints "failpoint: failed call NUMBER of PID" or "failpoint: COUNT calls" on stderr and exits as the program did. Descendants that
 * live on are let go. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACED_MAX 256

enum where { OUTSIDE, INSIDE, INSIDE_FAILING };

static struct {
	pid_t pid;
	enum where where;
} traced[TRACED_MAX];

static enum where *where_of(pid_t pid)
{
	for (size_t i = 0; i < TRACED_MAX; i++) {
		if (traced[i].pid == pid || traced[i].pid == 0) {
			traced[i].pid = pid;
			return &traced[i].where;
		}
	}
	fprintf(stderr, "failpoint: more than %d processes\n", TRACED_MAX);
	exit(125);
}

/* A failing exit_group is never seen by a program in the wild; rt_sigreturn would be the tool's own doing. */
static bool is_counted(long number)
{
	static const long not_counted[] = {
		SYS_exit,        SYS_exit_group,      SYS_rt_sigreturn,    SYS_brk,    SYS_munmap,
		SYS_close,       SYS_getpid,          SYS_gettid,          SYS_getuid, SYS_geteuid,
		SYS_umask,       SYS_set_tid_address, SYS_set_robust_list, SYS_rseq,   SYS_rt_sigprocmask,
		SYS_rt_sigaction};
	for (size_t i = 0; i < sizeof(not_counted) / sizeof(not_counted[0]); i++)
		if (number == not_counted[i])
			return false;
	return true;
}

/* At the entry: the call's number becomes one that does not exist. At the exit: the answer becomes the error. */
#ifdef __x86_64__
static void set_number(pid_t pid, long number)
{
	struct user_regs_struct r;
	ptrace(PTRACE_GETREGS, pid, 0, &r);
	r.orig_rax = (unsigned long long)number;
	ptrace(PTRACE_SETREGS, pid, 0, &r);
}

static void set_result(pid_t pid, long result)
{
	struct user_regs_struct r;
	ptrace(PTRACE_GETREGS, pid, 0, &r);
	r.rax = (unsigned long long)result;
	ptrace(PTRACE_SETREGS, pid, 0, &r);
}
#else
#include <elf.h>
#include <sys/uio.h>

static void set_number(pid_t pid, long number)
{
	int n = (int)number;
	struct iovec iov = {&n, sizeof(n)};
	ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &iov);
}

static void set_result(pid_t pid, long result)
{
	struct user_regs_struct r;
	struct iovec iov = {&r, sizeof(r)};
	ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov);
	r.regs[0] = (unsigned long long)result;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &iov);
}
#endif

static unsigned long count, target;
static int error;

static void on_call(pid_t pid)
{
	enum where *where = where_of(pid);
	struct __ptrace_syscall_info info = {0};

	if (*where != OUTSIDE) {
		if (*where == INSIDE_FAILING)
			set_result(pid, -error);
		*where = OUTSIDE;
		return;
	}
	*where = INSIDE;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY || !is_counted((long)info.entry.nr) || ++count != target)
		return;
	fprintf(stderr, "failpoint: failed call %llu of %d\n", (unsigned long long)info.entry.nr, (int)pid);
	set_number(pid, -1);
	*where = INSIDE_FAILING;
}

static int trace(pid_t first)
{
	while (true) {
		int status, deliver = 0;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0)
			return 125;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			*where_of(pid) = OUTSIDE;
			if (pid != first)
				continue;
			fprintf(stderr, "failpoint: %lu calls\n", count);
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			on_call(pid);
		else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP)
			deliver = WSTOPSIG(status);
		ptrace(PTRACE_SYSCALL, pid, 0, deliver);
	}
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: failpoint ERRNO N PROGRAM [ARG...]\n");
		return 125;
	}
	error = (int)strtol(argv[1], NULL, 10);
	target = strtoul(argv[2], NULL, 10);
	int go[2];
	if (pipe(go) < 0)
		return 125;
	pid_t pid = fork();
	if (pid == 0) {
		char byte;

		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(125);
		close(go[0]);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	int status;
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		       PTRACE_O_TRACECLONE;
	if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, options) < 0) {
		fprintf(stderr, "failpoint: cannot trace: %s\n", strerror(errno));
		return 125;
	}
	close(go[0]);
	if (write(go[1], "x", 1) != 1)
		return 125;
	close(go[1]);
	if (waitpid(pid, &status, 0) != pid || status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
		fprintf(stderr, "failpoint: %s did not start\n", argv[3]);
		return 125;
	}
	*where_of(pid) = INSIDE; /* the next stop is execve's exit */
	ptrace(PTRACE_SYSCALL, pid, 0, 0);
	return trace(pid);
}
