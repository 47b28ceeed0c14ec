/* SPDX-License-Identifier: Apache-2.0 */
/* Runs commands and times them, from the call that makes the process to the one that takes its status: small itself, so that what it
 * measures is the command. It serves one request after the other:
 *
 *	request: the length of what follows (4 bytes, native), then strings that end with NUL: COUNT PROGRAM ARG…
 *	reply: "NANOSECONDS FAILED STATUS\n"
 *
 * COUNT copies run side by side; "{i}" in an argument is the number of the copy. They have /dev/null as stdin, stdout and stderr. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 65536
#define ARGS_MAX 256
#define COUNT_MAX 1000

static char request[REQUEST_MAX];
static char *args[COUNT_MAX][ARGS_MAX];
static pid_t pids[COUNT_MAX];

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static char *numbered(const char *arg, int i)
{
	const char *mark = strstr(arg, "{i}");
	char *out = NULL;

	must((mark ? asprintf(&out, "%.*s%d%s", (int)(mark - arg), arg, i, mark + 3)
		   : asprintf(&out, "%s", arg)) >= 0,
	     "spawn: memory");
	return out;
}

/* False at the end of the requests. */
static int take_request(uint32_t *ret_size)
{
	if (fread(ret_size, sizeof(*ret_size), 1, stdin) != 1)
		return 0;
	must(*ret_size > 0 && *ret_size < REQUEST_MAX && fread(request, 1, *ret_size, stdin) == *ret_size,
	     "spawn: request");
	request[*ret_size] = '\0';
	return 1;
}

static int prepare(uint32_t size)
{
	int count = atoi(request), n = 0;

	must(count > 0 && count <= COUNT_MAX, "spawn: count");
	for (char *arg = request + strlen(request) + 1; arg < request + size; arg += strlen(arg) + 1, n++) {
		must(n < ARGS_MAX - 1, "spawn: arguments");
		for (int i = 0; i < count; i++)
			args[i][n] = numbered(arg, i);
	}
	for (int i = 0; i < count; i++)
		args[i][n] = NULL;
	return count;
}

static void run(int count, const posix_spawn_file_actions_t *actions)
{
	int failed = 0, last = 0;
	int64_t start = now();

	for (int i = 0; i < count; i++)
		if (posix_spawn(&pids[i], args[i][0], actions, NULL, args[i], environ) != 0)
			pids[i] = -1;
	for (int i = 0; i < count; i++) {
		int status = 127 << 8;
		if (pids[i] > 0)
			waitpid(pids[i], &status, 0);
		failed += status != 0;
		last = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	printf("%lld %d %d\n", (long long)(now() - start), failed, last);
	fflush(stdout);
}

int main(void)
{
	posix_spawn_file_actions_t actions;
	uint32_t size;

	must(posix_spawn_file_actions_init(&actions) == 0, "spawn: memory");
	for (int fd = 0; fd < 3; fd++)
		must(posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0) == 0,
		     "spawn: memory");
	while (take_request(&size)) {
		int count = prepare(size);
		run(count, &actions);
		for (int i = 0; i < count; i++)
			for (char **p = args[i]; *p; p++)
				free(*p);
	}
	return 0;
}
