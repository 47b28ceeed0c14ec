/* SPDX-License-Identifier: Apache-2.0 */
/* linux.sysctl: which are allowed is decided by spec_linux.c; here they are written, in the container's namespaces. */
#ifndef RUNTIME_SYSCTL_H
#define RUNTIME_SYSCTL_H

#include "base/error.h"
#include "spec.h"

_must_check_ struct err *sysctl_write_all(const struct spec *s, int proc_fd);

#endif
