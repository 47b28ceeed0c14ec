/* SPDX-License-Identifier: Apache-2.0 */
/* Replays a fuzz target over its seeds without libFuzzer: each seed as it is, cut at many lengths, and with bytes damaged in
 * a way that is the same in every run. Each seed is one TAP line and runs in its own process, so that a crash, a leak (in a
 * sanitized build) or an endless loop is one failure. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED_MAX (1U << 20)
#define CUTS 48
#define DAMAGES 160
#define SEED_TIMEOUT_S 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the child is at, so that the parent can say which input it died of. */
struct progress {
	unsigned variant;
	size_t size;
	uint8_t data[SEED_MAX];
};
static struct progress *progress;

static void try(const uint8_t *data, size_t size)
{
	/* An allocation of exactly the size: reading past the end is then seen by the sanitizer. */
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		_exit(2);
	if (size > 0)
		memcpy(copy, data, size);
	progress->variant++;
	progress->size = size;
	if (size > 0)
		memcpy(progress->data, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15U; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

static void damage(uint8_t *data, size_t *size, uint64_t *state)
{
	static const uint8_t special[] = {0,   1,   0x7f, 0x80, 0xff, '"',  '/', '.',
					  ':', '-', '9',  '{',  '[',  '\n', ' ', '='};
	unsigned times = 1 + (unsigned)(next_random(state) % 4);

	while (times-- > 0 && *size > 0) {
		size_t at = next_random(state) % *size, length = 1 + next_random(state) % 8;

		if (length > *size - at)
			length = *size - at;
		switch (next_random(state) % 5) {
		case 0:
			data[at] ^= (uint8_t)(1U << (next_random(state) % 8));
			break;
		case 1:
			data[at] = special[next_random(state) % sizeof(special)];
			break;
		case 2: /* remove */
			memmove(data + at, data + at + length, *size - at - length);
			*size -= length;
			break;
		case 3: /* repeat */
			if (*size + length <= SEED_MAX) {
				memmove(data + at + length, data + at, *size - at);
				*size += length;
			}
			break;
		default: /* copy from elsewhere */
			memmove(data + at, data + next_random(state) % (*size - length + 1), length);
			break;
		}
	}
}

static void replay(const uint8_t *seed, size_t size)
{
	uint8_t *work = malloc(SEED_MAX);
	uint64_t state = size;

	if (!work)
		_exit(2);
	for (size_t i = 0; i < size; i++)
		state = state * 31 + seed[i];
	try(seed, size);
	for (size_t i = 0; i < CUTS && i < size; i++)
		try(seed, size <= CUTS ? i : size * i / CUTS);
	for (unsigned i = 0; i < DAMAGES; i++) {
		size_t length = size;

		if (size > 0)
			memcpy(work, seed, size);
		damage(work, &length, &state);
		try(work, length);
	}
	free(work);
}

static int explain(int status)
{
	if (WIFSIGNALED(status))
		printf("# ended by signal %d (%s)", WTERMSIG(status),
		       WTERMSIG(status) == SIGALRM ? "too slow" : strsignal(WTERMSIG(status)));
	else
		printf("# ended with status %d", WEXITSTATUS(status));
	printf(" in variant %u, input of %zu bytes, in hexadecimal:\n# ", progress->variant, progress->size);
	for (size_t i = 0; i < progress->size && i < 2048; i++)
		printf("%02x", progress->data[i]);
	printf("\n");
	return 1;
}

static int replay_file(int dir_fd, const char *name)
{
	static uint8_t seed[SEED_MAX];
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC), status = 0;
	ssize_t n = fd < 0 ? -1 : read(fd, seed, sizeof(seed));

	if (n < 0) {
		printf("# cannot read %s: %s\n", name, strerror(errno));
		return 1;
	}
	close(fd);
	progress->variant = 0;
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		printf("# cannot fork: %s\n", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		alarm(SEED_TIMEOUT_S);
#ifndef __SANITIZE_ADDRESS__ /* its shadow memory is address space too */
		setrlimit(RLIMIT_AS, &(struct rlimit){1UL << 30, 1UL << 30});
#endif
		/* What the parser prints is no concern of ours and must not look like TAP. */
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDOUT_FILENO);
		replay(seed, (size_t)n);
		exit(0); /* not _exit: the leak checker runs at exit */
	}
	waitpid(pid, &status, 0);
	return status == 0 ? 0 : explain(status);
}

int main(int argc, char **argv)
{
	struct dirent **entries = NULL;
	int n = argc == 2 ? scandir(argv[1], &entries, NULL, alphasort) : -1, seeds = 0, at = 0, failed = 0;

	if (n < 0) {
		fprintf(stderr, "usage: %s DIRECTORY-OF-SEEDS (which must exist)\n", argv[0]);
		return 2;
	}
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int dir_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (progress == MAP_FAILED || dir_fd < 0) {
		perror("fuzz replay");
		return 2;
	}
	for (int i = 0; i < n; i++)
		seeds += entries[i]->d_name[0] != '.';
	printf("1..%d\n", seeds);
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.') {
			int bad = replay_file(dir_fd, entries[i]->d_name);

			printf("%s %d - %s\n", bad ? "not ok" : "ok", ++at, entries[i]->d_name);
			failed += bad;
		}
		free(entries[i]);
	}
	free(entries);
	close(dir_fd);
	return failed != 0;
}
