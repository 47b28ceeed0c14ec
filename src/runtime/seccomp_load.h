/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SECCOMP_LOAD_H
#define RUNTIME_SECCOMP_LOAD_H

#include "base/error.h"
#include "runtime/seccomp.h"

/* In the child, at the latest moment: loads the filter and sends the notify fd, if there is one, as SYNC_LISTENER. Once per process. */
_must_check_ struct err *seccomp_load(const struct rt_seccomp *filter, int sync);

#endif
