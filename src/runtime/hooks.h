/* SPDX-License-Identifier: Apache-2.0 */
/* Running hooks: in order, the state on stdin, with their time-outs. config.md "POSIX-platform Hooks". */
#ifndef RUNTIME_HOOKS_H
#define RUNTIME_HOOKS_H

#include "base/error.h"
#include "spec.h"

/* Opens the files that hooks print to, where annotations name some: on the host, before there is anything of the container. */
_must_check_ struct err *hooks_open_output(struct spec_hooks *h);
void hooks_close_output(struct spec_hooks *h);
/* `state` is the printed state object. The first failure ends the row and is returned. */
_must_check_ struct err *hooks_run(const struct spec_hooks *h, enum spec_hook_kind kind, const char *state);
/* For those of the runtime's namespaces: in the bundle, as runc's hooks find themselves. */
_must_check_ struct err *hooks_run_in(const char *bundle, const struct spec_hooks *h,
				      enum spec_hook_kind kind, const char *state);

#endif
