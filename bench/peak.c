/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a command and prints its peak memory in kB, with that of the children it waited for. A program of its own because the
 * kernel counts the memory of whoever called execve as the command's: here that is next to nothing, in Python 15 MB. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;

	if (argc < 2)
		return 125;
	pid_t pid = fork();
	if (pid == 0) {
		/* What the command leaves running, as create does, must not keep our caller's pipe open. */
		int null = open("/dev/null", O_RDWR);
		for (int fd = 0; fd < 3; fd++)
			dup2(null, fd);
		execv(argv[1], argv + 1);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0)
		return 125;
	fprintf(stderr, "\npeak %ld\n", usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
