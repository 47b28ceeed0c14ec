/* SPDX-License-Identifier: Apache-2.0 */
/* Steps through a command and all its children instruction by instruction, and writes down where they were: offsets into the first
 * program, in units of 16 bytes, one a line. Other programs that are executed run freely. For hot.py; a thousand times slower.
 *
 *	steps OUT PROGRAM [ARG…] */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 64
#define UNIT 16
#define UNITS_MAX (1u << 20)

static struct process {
	pid_t pid;
	uint64_t base; /* where the program is loaded; 0: not known yet */
	bool free;     /* another program */
} processes[PROCESSES_MAX];
static int n_processes;
static bool seen[UNITS_MAX];
static struct stat program;

static struct process *find(pid_t pid)
{
	for (int i = 0; i < n_processes; i++)
		if (processes[i].pid == pid)
			return &processes[i];
	if (n_processes == PROCESSES_MAX) {
		fprintf(stderr, "steps: too many processes\n");
		exit(1);
	}
	processes[n_processes].pid = pid;
	return &processes[n_processes++];
}

static void look(struct process *p)
{
	char path[64];
	uint64_t entry[2];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)p->pid);
	p->free = stat(path, &st) < 0 || st.st_ino != program.st_ino;
	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)p->pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && read(fd, entry, sizeof(entry)) == sizeof(entry) && entry[0] != AT_NULL)
		if (entry[0] == AT_PHDR)
			p->base = entry[1] - sizeof(Elf64_Ehdr);
	close(fd);
}

static void visit(const struct process *p)
{
#ifdef __x86_64__
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, p->pid, NULL, &regs) == 0 &&
	    regs.rip - p->base < UNIT * (uint64_t)UNITS_MAX)
		seen[(regs.rip - p->base) / UNIT] = true;
#else
#error "where is the program counter?"
#endif
}

static void handle(pid_t pid, int status)
{
	struct process *p = find(pid);
	int sig = WSTOPSIG(status), event = status >> 16;

	if (sig == SIGTRAP && event == PTRACE_EVENT_EXEC)
		look(p);
	else if (sig == SIGTRAP && !event && !p->base)
		look(p);
	else if (sig == SIGTRAP && !event)
		visit(p);
	if (sig == SIGTRAP || sig == SIGSTOP)
		sig = 0;
	ptrace(p->free ? PTRACE_CONT : PTRACE_SINGLESTEP, pid, NULL, sig);
}

/* What the first process leaves behind goes on without us, at full speed. */
static void let_go(pid_t first)
{
	int status;

	for (int i = 0; i < n_processes; i++) {
		pid_t pid = processes[i].pid;
		if (pid == first || kill(pid, SIGSTOP) < 0)
			continue;
		while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status) &&
		       WSTOPSIG(status) != SIGSTOP)
			handle(pid, status);
		ptrace(PTRACE_DETACH, pid, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	int status = 0, result = 1;
	pid_t first = argc < 3 || stat(argv[2], &program) < 0 ? -1 : fork();

	if (first == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (first < 0 || waitpid(first, &status, 0) < 0)
		return 125;
	find(first)->free = true; /* until it executes the program */
	ptrace(PTRACE_SETOPTIONS, first, NULL,
	       PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC);
	ptrace(PTRACE_CONT, first, NULL, NULL);
	while (true) {
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0)
			break;
		if (WIFSTOPPED(status)) {
			handle(pid, status);
		} else if (pid == first) {
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			let_go(first);
			break;
		}
	}
	FILE *out = fopen(argv[1], "w");
	for (unsigned i = 0; out && i < UNITS_MAX; i++)
		if (seen[i])
			fprintf(out, "%x\n", i * UNIT);
	return out && fclose(out) == 0 ? result : 125;
}
