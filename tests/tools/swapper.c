/* SPDX-License-Identifier: Apache-2.0 */
/* swapper MICROSECONDS A B [A B…]: exchanges each A with its B again and again, with a random pause of at most so many microseconds
 * between two exchanges, until SIGTERM; then prints how many exchanges there were. The attacker in tests of races: a
 * second process that changes paths while a program works on them. Prints "swapping" when it has begun. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

static volatile sig_atomic_t ended;

static void on_end(int signum)
{
	ended = signum;
}

int main(int argc, char **argv)
{
	unsigned long count = 0, pause_max_us = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;

	if (argc < 4 || argc % 2) {
		fprintf(stderr, "usage: swapper MICROSECONDS A B [A B...]\n");
		return 1;
	}
	signal(SIGTERM, on_end);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_TIMERSLACK, 1);
	puts("swapping");
	fflush(stdout);
	while (!ended) {
		for (int i = 2; i + 1 < argc; i += 2)
			/* One of them may not be there for the moment: whoever is attacked removes and makes things. */
			count += renameat2(AT_FDCWD, argv[i], AT_FDCWD, argv[i + 1], RENAME_EXCHANGE) == 0;
		if (pause_max_us) {
			struct timespec t = {.tv_nsec = (long)((unsigned long)rand() % pause_max_us) * 1000};
			nanosleep(&t, NULL);
		}
	}
	printf("%lu\n", count);
	return 0;
}
