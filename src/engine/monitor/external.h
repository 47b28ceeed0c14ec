/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's use of another OCI runtime (oci_runtime.h). What our own takes as fds it needs as paths: the monitor has a mount namespace
 * of its own, in which the root is at BUNDLE/rootfs and each detached mount at BUNDLE/mount.N; they end with it. Namespaces are named
 * through /proc/PID/fd of the monitor. Init becomes the monitor's child, which is a subreaper. */
#ifndef ENGINE_MONITOR_EXTERNAL_H
#define ENGINE_MONITOR_EXTERNAL_H

#include "monitor.h"

/* create: fills m->pid, pidfd and, with a terminal, its master. */
_must_check_ struct err *external_create(struct monitor *m, const int stdio[3], int *ret_console);
_must_check_ struct err *external_start(struct monitor *m);
_must_check_ struct err *external_exec(struct monitor *m, struct json *process, const int stdio[3],
				       int *ret_console);
/* Everything of it, also what runs. */
_must_check_ struct err *external_delete(struct monitor *m);

#endif
