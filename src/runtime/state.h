/* SPDX-License-Identifier: Apache-2.0 */
/* STATE_ROOT/ID: state.json (who the container is), config.json (what it was made of), start.sock (the start gate).
 *
 * Invariants
 *  S1 The directory exists before anything else of a container does, and goes last: whatever is left after a crash is found by it.
 *  S2 state.json names the cgroup before it is made, and the process before it may outlive its maker.
 *  S3 The directory is locked (flock) while a container is made, started or removed; readers take no lock.
 *  S4 A directory whose state.json is missing or unreadable belongs to a maker that died early: nothing else exists of it.
 */
#ifndef RUNTIME_STATE_H
#define RUNTIME_STATE_H

#include "base/error.h"
#include "base/json.h"
#include "runtime/container.h"
#include "spec.h"

#define STATE_ROOT_DEFAULT "/run/havre-runtime"
#define STATE_GATE "start.sock"

/* Under the lock (S3). */
_must_check_ struct err *state_write(struct rt_container *c);
/* Removes the directory with all that is in it. */
_must_check_ struct err *state_remove(const struct rt_container *c);
/* Fills pid, start_ticks, bundle, rootfs, created_ns, cgroup from dir_fd. */
_must_check_ struct err *state_read(struct rt_container *c);

/* The specification's state object; pid 0 is left out. */
struct json *state_object(const char *oci_version, const char *id, const char *bundle, pid_t pid,
			  const char *status, const struct json_cursor *config);
/* The same, printed: what hooks get. Caller frees. */
char *state_for_hooks(const struct spec *s, const char *id, const char *bundle, pid_t pid,
		      const char *status);

#endif
