/* SPDX-License-Identifier: Apache-2.0 */
/* When to probe the container's health. The probe itself is a process, `havre healthcheck run`, which also keeps the results: between two
 * probes there is nothing but a time in our epoll loop. The next one is due an interval after the end of the last one, as docker has it. */
#include <stdio.h>
#include <sys/wait.h>

#include "base/process.h"
#include "base/timestamp.h"
#include "monitor.h"

static void plan(struct monitor *m)
{
	int64_t now = timestamp_monotonic_ns() / 1000000;
	/* Until it was healthy once, the start period has an interval of its own. */
	bool starting = !m->health.healthy_once && now < m->health.start_until_ms;

	m->health.next_ms = now + (starting ? m->health.start_interval_ms : m->health.interval_ms);
}

void health_begin(struct monitor *m)
{
	if (!m->health.probe)
		return;
	m->health.start_until_ms = timestamp_monotonic_ns() / 1000000 + m->health.start_period_ms;
	plan(m);
}

int health_timeout_ms(const struct monitor *m)
{
	if (!m->health.probe || m->health.pid > 0)
		return -1;
	int64_t left = m->health.next_ms - timestamp_monotonic_ns() / 1000000;
	return left < 0 ? 0 : (int)(left > INT32_MAX ? INT32_MAX : left);
}

bool health_reaped(struct monitor *m, pid_t pid, int status)
{
	if (m->health.pid != pid)
		return false;
	m->health.pid = 0;
	if (process_exit_code(status) == 0)
		m->health.healthy_once = true;
	plan(m);
	return true;
}

bool health_act(struct monitor *m)
{
	struct process_spawn p = {.path = m->health.probe ? m->health.probe[0] : NULL,
				  .argv = m->health.probe,
				  .stdio = {-1, -1, -1}};

	if (health_timeout_ms(m) != 0 || m->exited)
		return false;
	struct err *e = process_spawn(&p, &m->health.pid, NULL);
	if (e)
		plan(m);
	err_free(e);
	return true;
}
