/* SPDX-License-Identifier: Apache-2.0 */
/* What a seccomp profile costs: from the text of a config.json to the filter that is loaded, as a container's start has it, each time in a
 * new process with a heap that nobody has touched.
 *
 *	seccomp CONFIG.JSON RUNS
 *
 * Prints the medians in µs: "PARSE COMPILE LOAD TOTAL INSTRUCTIONS". Built with the runtime (build/src/runtime/bench_seccomp). */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/timestamp.h"
#include "runtime/seccomp.h"

#define RUNS_MAX 10000

enum { PARSE, COMPILE, LOAD, TOTAL, INSTRUCTIONS, COLUMNS };
struct sample {
	int64_t column[COLUMNS]; /* ns */
};

static struct err *measure(const char *text, size_t size, struct sample *s)
{
	struct json *doc;
	struct json_cursor linux_, profile;
	struct rt_seccomp filter;
	int listener;
	int64_t start = timestamp_monotonic_ns();
	TRY(json_parse(text, size, "the configuration", &doc));
	int64_t parsed = timestamp_monotonic_ns();
	struct json_cursor root = json_root(doc);
	TRY(json_get_object(&root, "linux", JSON_REQUIRED, &linux_));
	TRY(json_get_object(&linux_, "seccomp", JSON_REQUIRED, &profile));
	TRY(rt_seccomp_compile(&profile, &filter));
	int64_t compiled = timestamp_monotonic_ns();
	TRY(rt_seccomp_load(&filter, &listener));
	int64_t loaded = timestamp_monotonic_ns();
	*s = (struct sample){{parsed - start, compiled - parsed, loaded - compiled, loaded - start,
			      (int64_t)filter.n_insns * 1000}};
	return NULL;
}

static int fail(struct err *e)
{
	fprintf(stderr, "seccomp: %s\n", err_text(e));
	return 1;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static int64_t times[COLUMNS][RUNS_MAX];
	int runs = argc == 3 ? (int)strtol(argv[2], NULL, 10) : 0;
	char *text;
	size_t size;
	if (runs < 1 || runs > RUNS_MAX) {
		fprintf(stderr, "usage: seccomp CONFIG.JSON RUNS\n");
		return 1;
	}
	struct err *e = file_read(argv[1], JSON_SIZE_MAX, &text, &size);
	if (e)
		return fail(e);
	struct sample *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; s != MAP_FAILED && i < runs; i++) {
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
			e = measure(text, size, s);
			if (e)
				fail(e);
			_exit(e != NULL); /* every filter allows it */
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
			return 1;
		for (int c = 0; c < COLUMNS; c++)
			times[c][i] = s->column[c];
	}
	for (int c = 0; c < COLUMNS; c++) {
		qsort(times[c], (size_t)runs, sizeof(times[c][0]), compare);
		printf("%.0f%c", (double)times[c][runs / 2] / 1000, c == COLUMNS - 1 ? '\n' : ' ');
	}
	return 0;
}
