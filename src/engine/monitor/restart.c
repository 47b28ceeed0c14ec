/* SPDX-License-Identifier: Apache-2.0 */
/* The restart policy at the end of a run (restart_policy.h). */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/timestamp.h"
#include "health_file.h"
#include "monitor.h"
#include "restart_policy.h"

static bool stopped_by_hand(const struct monitor *m)
{
	_cleanup_free_ char *path = xasprintf("%s/" RESTART_STOPPED_FILE, m->container_dir);
	return access(path, F_OK) == 0;
}

/* What an update said meanwhile (update.c). */
static void read_policy(struct monitor *m)
{
	_cleanup_free_ char *path = xasprintf("%s/" RESTART_POLICY_FILE, m->container_dir), *text = NULL;
	size_t size;
	struct err *e = file_read(path, 64, &text, &size);

	if (!e)
		e = restart_policy_parse(text, m->policy);
	err_free(e);
}

void restart_decide(struct monitor *m)
{
	read_policy(m);
	if (m->policy->kind == RESTART_NO || !m->revive || m->terminating || stopped_by_hand(m))
		return;
	bool unhealthy = m->policy->kind == RESTART_ON_UNHEALTHY && health_is_unhealthy(m->container_dir);
	m->restarting = restart_is_due(m->policy, m->exit_code, m->restarts, unhealthy);
	if (m->restarting)
		m->delay_ms = restart_delay_ms(m->delay_ms, timestamp_now_ns() - m->started_ns);
}

/* Waits the time out, with the lock. False: somebody stopped it meanwhile. */
bool restart_wait(struct monitor *m)
{
	int64_t until = timestamp_monotonic_ns() + m->delay_ms * 1000000LL;

	while (!m->terminating) {
		int64_t left = (until - timestamp_monotonic_ns() + 999999) / 1000000;
		if (left <= 0)
			break;
		monitor_step(m, (int)left);
		clients_reap(m);
	}
	return !m->terminating && !stopped_by_hand(m);
}

void restart_revive(struct monitor *m)
{
	struct process_spawn p = {.path = m->revive[0],
				  .argv = m->revive,
				  .stdio = {-1, -1, -1},
				  .fds = &m->lock_fd,
				  .n_fds = 1,
				  .new_session = true};

	err_free(process_spawn(&p, NULL, NULL));
}
