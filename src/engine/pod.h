/* SPDX-License-Identifier: Apache-2.0 */
/* A container's side of its pod (engine/pod.h). */
#ifndef ENGINE_POD_PRIVATE_H
#define ENGINE_POD_PRIVATE_H

#include "engine/pod.h"
#include "private.h"

/* s->pod, a name, becomes the pod's id, and its namespaces the container's. */
_must_check_ struct err *pod_join(struct engine *e, struct container_spec *s);
/* Before a container of the pod starts: the sandbox runs. */
_must_check_ struct err *pod_start_sandbox(struct engine *e, const char *pod_id);
static inline bool is_sandbox(const struct container *c)
{
	return c->spec->pod_share != NULL;
}

#endif
