/* SPDX-License-Identifier: Apache-2.0 */
/* Another OCI runtime in place of our own (--runtime runc, crun, runsc, a path), by runc's command line. Used by the monitor, which makes
 * the container with it, and by the commands that speak to a running one. Everything of it is under RUN/oci/NAME and in the run directory. */
#ifndef ENGINE_OCI_RUNTIME_H
#define ENGINE_OCI_RUNTIME_H

#include "base/error.h"

struct rt_cgroup;
struct oci_runtime {
	char *path; /* of the program */
	char *root; /* its state */
	char *log;  /* where it says why it failed; in the container's run directory */
};
void oci_runtime_release(struct oci_runtime *r);
#define _cleanup_oci_runtime_ _cleanup_(oci_runtime_release)

/* The program of a name or path; NULL for our own ("havre", "", NULL). docker's "io.containerd.NAME.v1" is NAME. ERR_NOT_FOUND. */
_must_check_ struct err *oci_runtime_find(const char *name, char **ret_path);
/* That of a container: `run` is the engine's run directory, `run_dir` the container's. */
void oci_runtime_of(const char *path, const char *run, const char *run_dir, struct oci_runtime *ret);
/* Runs it to its end; stdio NULL: none. A failure has the runtime's own words, and kind ERR_EXEC when the container's program is to blame. */
_must_check_ struct err *oci_runtime_call(const struct oci_runtime *r, char *const *args, const int *stdio);
/* The cgroup of its container, by the configuration that it was given: in the file system, or a unit of systemd's. NULL in *ret: none. */
_must_check_ struct err *oci_runtime_cgroup(const char *run_dir, const char *id, struct rt_cgroup **ret);

#endif
