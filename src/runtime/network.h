/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtime itself does in a network namespace: loopback up, and linux.netDevices moved in. */
#ifndef RUNTIME_NETWORK_H
#define RUNTIME_NETWORK_H

#include <sys/types.h>

#include "base/error.h"
#include "spec.h"

_must_check_ struct err *network_loopback_up(void);
/* In the parent: moves the host's interfaces into the namespace of `pid`, under their new names, keeping addresses. */
_must_check_ struct err *network_move_devices(const struct spec *s, int proc_fd, pid_t pid);

#endif
