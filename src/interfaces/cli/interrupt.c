// SPDX-License-Identifier: Apache-2.0
/* Ctrl-C during long work: a flag that progress.cancelled reads. */
#include <signal.h>

#include "cli.h"

static volatile sig_atomic_t caught;

static void on_signal(int signum)
{
	caught = 1;
}

void interrupt_catch(void)
{
	/* Once: the second Ctrl-C ends us at once, should the work hang. The first must break blocking calls, hence no SA_RESTART. */
	struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};

	caught = 0;
	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
}

void interrupt_restore(void)
{
	struct sigaction a = {.sa_handler = SIG_DFL};

	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
}

bool interrupted(void)
{
	return caught;
}
