/* SPDX-License-Identifier: Apache-2.0 */
/* What turns a process in the right namespaces into the one that "process" describes. */
#ifndef RUNTIME_PROCESS_SETUP_H
#define RUNTIME_PROCESS_SETUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/inroot.h"
#include "spec.h"

/* In the parent, on the waiting child: what needs rights of the host (rlimits, OOM score, scheduling). What the machine does not let us have is
 * clamped and said in *warnings: without CAP_SYS_RESOURCE nobody can raise a hard limit or lower the OOM score. `rootless`:
 * the child sets the score itself. */
_must_check_ struct err *process_set_limits(const struct spec_process *p, int proc_fd, pid_t pid,
					    bool rootless, char ***warnings);
/* In the child, where the parent may not: what CAP_SYS_RESOURCE would be needed for is left out, as the parent said. */
_must_check_ struct err *process_set_own_oom_score(const struct spec_process *p, int proc_fd);
_must_check_ struct err *process_set_affinity(pid_t pid, const struct spec_set *cpus, const char *property);
/* Capabilities that nobody can grant are said in *warnings (config.md); `s` is the container's specification. */
_must_check_ struct err *process_check_capabilities(const struct spec_process *p, const struct spec *s,
						    char ***warnings);

/* In the child. Keyring, working directory, groups, ids, umask, capabilities but for the seccomp filter. */
_must_check_ struct err *process_new_keyring(const struct spec_process *p, int proc_fd);
_must_check_ struct err *process_enter_cwd(const struct inroot *root, const char *cwd, bool make);
_must_check_ struct err *process_become(const struct spec_process *p, const struct inroot *root);
_must_check_ struct err *process_set_memory_policy(const struct spec_memory_policy *m);
/* LSM labels for the next execve. */
_must_check_ struct err *process_check_labels(const struct spec *s,
					      const struct spec_process *p); /* in the parent */
_must_check_ struct err *process_set_labels(const struct spec_process *p, int proc_fd);

/* The program of args[0], looked up as the process itself would; kind ERR_EXEC with ENOENT or EACCES. Caller frees. */
_must_check_ struct err *process_find_program(const struct spec_process *p, char **ret_path);
/* Kind ERR_EXEC; callers of runc tell 126 from 127 by its words. */
/* `why` is NULL when execve itself has failed; else what came before it. */
_must_check_ struct err *process_exec_error(int errnum, const char *name, const char *why);
/* HOME from the root's etc/passwd, if env has none; "/" when the user is unknown. */
void process_set_home(struct spec_process *p, const struct inroot *root);

#endif
