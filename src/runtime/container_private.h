/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the container_*.c files: one per verb. */
#ifndef RUNTIME_CONTAINER_PRIVATE_H
#define RUNTIME_CONTAINER_PRIVATE_H

#include "runtime/container.h"
#include "runtime/seccomp.h"
#include "spec.h"
#include "sync.h"

struct rt_container *rt_container_new(const char *state_root, const char *id);
/* Locks STATE_ROOT/ID for a change (state.h, S3); released by closing *ret_fd. */
_must_check_ struct err *rt_container_lock(const struct rt_container *c, int *ret_fd);
/* The gate of a waiting container, connected; ERR_STATE when nobody is waiting behind it. */
_must_check_ struct err *rt_container_gate_connect(const struct rt_container *c, int *ret_fd);
/* Parsed once; borrowed from `c`. */
_must_check_ struct err *rt_container_spec(struct rt_container *c, struct spec **ret);

/* The same through dir_fd itself: without a call more, for who is alone with it. Until rt_container_unlock_dir, or until the fd and the
 * copies that children have are closed. */
_must_check_ struct err *rt_container_lock_dir(const struct rt_container *c);
void rt_container_unlock_dir(const struct rt_container *c);
/* Making: the directory, locked by rt_container_lock_dir, and the configuration in it. *ret_made is also set when what comes after the
 * mkdir fails. */
_must_check_ struct err *rt_container_make_dir(struct rt_container *c, bool *ret_made);
/* `text` is that of c->config; NULL: it is printed. */
_must_check_ struct err *rt_container_save_config(const struct rt_container *c, const char *text);

/* Starting: from SYNC_START to the result of execve. */
_must_check_ struct err *rt_container_await_exec(struct rt_container *c, const struct spec *s, int sync,
						 pid_t pid);
/* Compiles linux.seccomp if there is one; *ret is set then. */
/* Who is sent the notify fd: linux.seccomp.listenerPath or an annotation; NULL: nobody. */
_must_check_ struct err *rt_container_seccomp_receiver(const struct spec *s, const char **ret);
_must_check_ struct err *rt_container_seccomp(const struct spec *s, struct rt_seccomp *filter,
					      const struct rt_seccomp **ret);
_must_check_ struct err *rt_container_write_pid_file(const char *path, pid_t pid);
_must_check_ struct err *rt_container_check_stdio(const struct spec_process *p, int console_socket,
						  bool return_console);
/* To every process of the container. */
_must_check_ struct err *rt_container_signal_all(struct rt_container *c, int signum);
/* Runs the poststop hooks, when the container's process is gone; failures go to c->warnings. */
void rt_container_poststop(struct rt_container *c, struct spec *s);
/* Kills what is left of the container and waits, bounded. */
_must_check_ struct err *rt_container_destroy(struct rt_container *c);

#endif
