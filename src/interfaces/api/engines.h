/* SPDX-License-Identifier: Apache-2.0 */
/* An engine for each request that is being served: an engine's database connections belong to one thread at a time. Some are kept for the
 * next request. */
#ifndef API_ENGINES_H
#define API_ENGINES_H

#include "engine/engine.h"

void engines_init(const struct engine_options *o); /* borrowed for ever */
_must_check_ struct err *engines_take(struct engine **ret);
void engines_give(struct engine *e);
void engines_close(void);

#endif
