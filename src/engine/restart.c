/* SPDX-License-Identifier: Apache-2.0 */
/* What restart policies need beside the monitor (restart_policy.h): the start of a container that is due, its cancelling, and the start of
 * everything after the machine's. */
#include <signal.h>
#include <unistd.h>

#include "base/process.h"
#include "private.h"
#include "restart_policy.h"

static char *mark_path(const struct container *c)
{
	return xasprintf("%s/" RESTART_STOPPED_FILE, c->root_dir);
}

struct err *restart_mark_stopped(const struct container *c, bool stopped)
{
	_cleanup_free_ char *path = mark_path(c);
	struct restart_policy policy;

	TRY(restart_policy_parse(c->spec->restart, &policy));
	if (policy.kind == RESTART_NO)
		return NULL;
	if (!stopped) {
		(void)unlink(path);
		return NULL;
	}
	return file_replace_at(AT_FDCWD, path, "", 0, 0600, FILE_DURABLE);
}

/* The record first: a start that is due, and waits for the lock that the caller has, reads there that it is no longer wanted. */
struct err *restart_cancel(struct engine *e, struct container *c)
{
	_cleanup_record_ struct record r = {0};
	_cleanup_fd_ int pidfd = -1;
	bool orphaned;

	TRY(restart_mark_stopped(c, true));
	TRY(record_read(c->root_dir, &r));
	if (!r.restarting)
		return NULL;
	/* While it waits, the record names the monitor itself. */
	struct err *gone = process_open_exact(r.pid, r.start_ticks, &pidfd);
	r.restarting = false;
	r.pid = 0;
	TRY(record_write(c->root_dir, &r, FILE_DURABLE));
	if (!gone)
		gone = process_signal(pidfd, SIGTERM);
	err_free(gone);
	TRY(monitor_wait_gone(c->run_dir, 10000));
	return container_derive(e, c, &orphaned);
}

/* Does not just wait: whoever has the container's lock may be waiting for us, who have the monitor's. *ret_lock -1: cancelled. */
static struct err *lock_to_revive(struct engine *e, const struct container *c, int *ret_lock)
{
	while (true) {
		_cleanup_record_ struct record r = {0};
		struct err *busy = container_lock_dir(e, c->id, true, ret_lock);
		if (!busy || busy->kind != ERR_BUSY)
			return busy;
		err_free(busy);
		TRY(record_read(c->root_dir, &r));
		if (!r.restarting)
			return NULL;
		usleep(2000);
	}
}

struct err *container_revive(struct engine *e, const char *id)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_record_ struct record r = {0};
	_cleanup_fd_ int lock = -1;
	bool orphaned;

	TRY(container_by_id(e, id, &c));
	TRY(lock_to_revive(e, c, &lock));
	if (lock < 0)
		return NULL;
	TRY(record_read(c->root_dir, &r));
	if (!r.restarting) /* somebody stopped or started it meanwhile */
		return NULL;
	TRY(container_derive(e, c, &orphaned));
	struct err *error = container_start_again(e, c, r.restarts + 1, r.delay_ms);
	if (!error)
		return NULL;
	r.restarting = false;
	r.pid = 0;
	free(r.error);
	r.error = err_text(error);
	err_free(record_write(c->root_dir, &r, FILE_DURABLE));
	return error;
}

/* After the start of the machine, as docker's daemon decides at its own. */
static bool is_due(const struct container *c)
{
	_cleanup_free_ char *path = mark_path(c);
	struct restart_policy policy;
	struct err *bad = restart_policy_parse(c->spec->restart, &policy);
	bool by_hand = access(path, F_OK) == 0;

	err_free(bad);
	if (bad || !c->started_ns || c->status != CONTAINER_EXITED)
		return false;
	switch (policy.kind) {
	case RESTART_ALWAYS:
		return true;
	case RESTART_UNLESS_STOPPED:
		return !by_hand;
	case RESTART_ON_FAILURE:
	case RESTART_ON_UNHEALTHY:
		return !by_hand && c->exit_code != 0; /* ended by the shutdown, or lost with the power: 137 */
	default:
		return false;
	}
}

struct err *engine_start_due(struct engine *e,
			     struct err *(*started)(void *user, struct container *c, struct err *failed),
			     void *user)
{
	struct container **list = NULL;
	struct err *error;
	size_t n = 0;

	TRY(container_list(e, true, &list, &n));
	error = NULL;
	/* The oldest first: what others lean on was mostly there before. */
	for (size_t i = n; i-- > 0;) {
		if (!error && is_due(list[i]))
			error = started(user, list[i], container_start(e, list[i], NULL, NULL));
		container_free(list[i]);
	}
	free(list);
	return error;
}
