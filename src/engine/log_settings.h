/* SPDX-License-Identifier: Apache-2.0 */
/* Private: --log-driver and --log-opt, and what of them the monitor is told.
 *
 *   json-file  docker's format, the default      max-size, max-file, labels, env, tag
 *   local      docker's name for a rotated file; ours is a json-file with 5 files of 20 MB   the same
 *   k8s-file   the format of container runtimes under Kubernetes (CRI)                         max-size, max-file
 *   journald   the machine's journal, by its socket                                          labels, env, tag
 *   none       nothing is kept */
#ifndef ENGINE_LOG_SETTINGS_H
#define ENGINE_LOG_SETTINGS_H

#include "private.h"

/* ERR_INVALID: an unknown driver, or an option that it does not have. */
_must_check_ struct err *log_settings_check(const struct container_spec *s);
/* Sets config's "log" (monitor/monitor.h); nothing with the driver none. */
_must_check_ struct err *log_settings_config(const struct container *c, struct json *config);
/* In a file of ours, which container_logs reads. */
bool log_settings_has_file(const struct container_spec *s);

#endif
