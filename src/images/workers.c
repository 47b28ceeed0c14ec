/* SPDX-License-Identifier: Apache-2.0 */
#include "workers.h"

#include <signal.h>

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct workers *all = w->all;
	_cleanup_(http_client_freep) struct http_client *own = NULL;
	struct err *e = NULL;

	if (!w->client && all->registry)
		e = registry_client_new(all->registry, &own);
	all->run(all->user, w->client ? w->client : own, e);
	return NULL;
}

/* Signals are the main thread's business: a handler that runs in a worker would find it waiting somewhere else. */
struct err *workers_start(struct workers *w, size_t wanted)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (w->n = 0; w->n < MIN(wanted, (size_t)WORKERS_MAX); w->n++) {
		struct worker *one = &w->v[w->n];
		*one = (struct worker){.all = w, .client = w->n == 0 ? w->client : NULL};
		if (pthread_create(&one->thread, NULL, worker_main, one) != 0)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w->n ? NULL : err_new(ERR_SYSTEM, "cannot start a thread");
}

void workers_join(struct workers *w)
{
	for (size_t i = 0; i < w->n; i++)
		pthread_join(w->v[i].thread, NULL);
	w->n = 0;
}

/* -- progress ------------------------------------------------------------------------------------------------- */

static void update(void *user, const char *id, enum progress_phase phase, uint64_t done, uint64_t total)
{
	struct shared_progress *p = user;

	if (!p->out || !p->out->update)
		return;
	pthread_mutex_lock(&p->mutex);
	p->out->update(p->out->user, id, phase, done, total);
	pthread_mutex_unlock(&p->mutex);
}

static void message(void *user, const char *text)
{
	struct shared_progress *p = user;

	if (!p->out || !p->out->message)
		return;
	pthread_mutex_lock(&p->mutex);
	p->out->message(p->out->user, text);
	pthread_mutex_unlock(&p->mutex);
}

static bool cancelled(void *user)
{
	struct shared_progress *p = user;

	if (__atomic_load_n(&p->stop, __ATOMIC_RELAXED))
		return true;
	if (!p->out || !p->out->cancelled)
		return false;
	pthread_mutex_lock(&p->mutex);
	bool answer = p->out->cancelled(p->out->user);
	pthread_mutex_unlock(&p->mutex);
	return answer;
}

void shared_progress_init(struct shared_progress *p, const struct progress *out)
{
	*p = (struct shared_progress){.out = out, .progress = {update, message, cancelled, p}};
	pthread_mutex_init(&p->mutex, NULL);
}

void shared_progress_stop(struct shared_progress *p)
{
	__atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
}

void shared_progress_release(struct shared_progress *p)
{
	pthread_mutex_destroy(&p->mutex);
}
