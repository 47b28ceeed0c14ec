/* SPDX-License-Identifier: Apache-2.0 */
/* linux.intelRdt: groups of the kernel's resctrl file system (config-linux.md "IntelRdt"; kernel: filesystems/resctrl.rst).
 *
 * Which directories belong to a container follows from its configuration and id alone, so nothing about them is in state.json, and a
 * maker that was killed leaves nothing that `delete` would not find:
 *   ROOT/ID                     when closID is absent; made by us, and removed
 *   ROOT/CLOSID                 when it is given; made when missing, never removed
 *   GROUP/mon_groups/ID         with enableMonitoring; made by us, and removed
 */
#ifndef RUNTIME_RESCTRL_H
#define RUNTIME_RESCTRL_H

#include <sys/types.h>

#include "base/error.h"
#include "spec.h"

/* The mounted resctrl file system; ERR_UNSUPPORTED when there is none. */
_must_check_ struct err *resctrl_open(int proc_fd, int *ret_fd);
/* Makes the container's groups. After a failure nothing of them is left. */
_must_check_ struct err *resctrl_make(int root, const struct spec_rdt *r, const char *id);
/* Puts a process into them. */
_must_check_ struct err *resctrl_join(int root, const struct spec_rdt *r, const char *id, pid_t pid);
/* Writes l3_cache and mem_bw, those that are set, into the container's class of service, whoever else is in it. */
_must_check_ struct err *resctrl_update(int root, const struct spec_rdt *r, const char *id);
/* Removes those that are ours; absent ones are fine. */
_must_check_ struct err *resctrl_remove(int root, const struct spec_rdt *r, const char *id);

/* Whether `file`, the contents of a schemata file, has all the values of the lines in `wanted`. */
bool resctrl_schema_matches(const char *file, const char *wanted);

#endif
