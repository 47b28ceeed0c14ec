/* SPDX-License-Identifier: Apache-2.0 */
#include "engines.h"

#include <pthread.h>

#define KEPT 4

static struct {
	pthread_mutex_t lock;
	const struct engine_options *options;
	struct engine *kept[KEPT];
	size_t n;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

void engines_init(const struct engine_options *o)
{
	all.options = o;
}

struct err *engines_take(struct engine **ret)
{
	pthread_mutex_lock(&all.lock);
	struct engine *e = all.n ? all.kept[--all.n] : NULL;
	pthread_mutex_unlock(&all.lock);
	if (!e)
		return engine_open(all.options, ret);
	*ret = e;
	return NULL;
}

void engines_give(struct engine *e)
{
	pthread_mutex_lock(&all.lock);
	bool kept = all.n < KEPT;
	if (kept)
		all.kept[all.n++] = e;
	pthread_mutex_unlock(&all.lock);
	if (!kept)
		engine_close(e);
}

void engines_close(void)
{
	while (all.n)
		engine_close(all.kept[--all.n]);
}
