/* SPDX-License-Identifier: Apache-2.0 */
/* Running hooks: in order, the state on stdin, with their time-outs. config.md "POSIX-platform Hooks". */
#ifndef RUNTIME_HOOKS_H
#define RUNTIME_HOOKS_H

#include "base/error.h"
#include "spec.h"

/* Opens the files that hooks print to, where annotations name some: on the host, before there is anything of the container. */
_must_check_ struct err *hooks_open_output(struct spec_hooks *h);
void hooks_close_output(struct spec_hooks *h);
/* `state` is the printed state object. The first failure ends the row and is returned. `env` is what a hook without one of its own gets,
 * as with runc and crun: the runtime's, or inside of the container its process's; NULL is an empty one. */
_must_check_ struct err *hooks_run(const struct spec_hooks *h, enum spec_hook_kind kind, char *const *env,
				   const char *state);
/* All of them, whatever fails: that only warns (runtime.md "Lifecycle", 14). */
void hooks_run_poststop(const char *bundle, const struct spec_hooks *h, const char *state, char ***warnings);
/* For those of the runtime's namespaces: in the bundle, as runc's hooks find themselves. */
_must_check_ struct err *hooks_run_in(const char *bundle, const struct spec_hooks *h,
				      enum spec_hook_kind kind, const char *state);

#endif
