/* SPDX-License-Identifier: Apache-2.0 */
/* What a container is given for sd_notify(3) while it is made; notify.h has the whole of it. */
#ifndef RUNTIME_NOTIFY_SETUP_H
#define RUNTIME_NOTIFY_SETUP_H

#include "runtime/notify.h"

/* Adds the environment variable and the mount to a configuration. One that it has already is replaced, as with runc and crun. */
_must_check_ struct err *notify_configure(const struct rt_container *c, struct json *config);
/* The directory that is mounted, in the state directory. */
_must_check_ struct err *notify_make_dir(const struct rt_container *c);

#endif
