/* SPDX-License-Identifier: Apache-2.0 */
/* Pods: containers that share a sandbox. A pod is its sandbox: a container without an image whose one small process (havre-init) keeps
 * the network, IPC and UTS namespaces, and on request the PID namespace, that its containers join. What is true of containers (engine.h,
 * E1 to E4) is true of sandboxes, and Kubernetes' pod sandbox is the same object.
 *
 * Invariants
 *  P1 A pod exists exactly when its sandbox has a row; its containers are those whose specification names its id.
 *  P2 A container of a pod runs in the namespaces of a sandbox that ran when it started; starting it starts the sandbox.
 *  P3 The sandbox is removed last: a pod whose removal was killed is there, with fewer containers.
 */
#ifndef ENGINE_POD_H
#define ENGINE_POD_H

#include "engine/engine.h"

/* `s`: name, labels, hostname, networks, published ports, name servers, hosts, sysctls; pod_share: of net, ipc, uts, pid. */
_must_check_ struct err *pod_create(struct engine *e, const struct container_spec *s, char ***warnings,
				    struct container **ret);
/* By name, id, or unique prefix of an id. ERR_NOT_FOUND "no such pod". */
_must_check_ struct err *pod_find(struct engine *e, const char *what, struct container **ret);
_must_check_ struct err *pod_list(struct engine *e, struct container ***ret,
				  size_t *ret_n); /* newest first */
/* Its containers, oldest first, without the sandbox. */
_must_check_ struct err *pod_members(struct engine *e, const struct container *pod, struct container ***ret,
				     size_t *ret_n);
void containers_free(struct container **list, size_t n);
/* podman's word: Created, Running, Degraded, Paused, Exited. A literal. */
const char *pod_status(const struct container *pod, struct container *const *members, size_t n);
/* ERR_STATE when a container of it runs and not force. */
_must_check_ struct err *pod_remove(struct engine *e, struct container *pod, bool force, int timeout_s);
_must_check_ struct err *pod_inspect(struct engine *e, struct container *pod, struct json **ret);

#endif
