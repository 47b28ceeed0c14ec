/* SPDX-License-Identifier: Apache-2.0 */
/* The user namespace of an ordinary user, in which whole commands work: root inside is the user, and 1 and above are the user's subordinate
 * ids (subuid(5), subgid(5)). All commands that name one directory share one namespace, as long as a process of it lives: only a process
 * inside can look into containers of it. user_namespaces(7).
 *
 * Each process that is meant to keep the namespace has an entry PID.START-TICKS in the directory; entries of dead ones are removed by whoever
 * comes next, under a lock.
 */
#ifndef RUNTIME_PUBLIC_ROOTLESS_H
#define RUNTIME_PUBLIC_ROOTLESS_H

#include "base/error.h"

/* Enters the namespace, made when there is none; with a mount namespace of the caller's own. For a process with one thread. `dir` is made
 * when missing. Where there are no subordinate ids only the user's own is mapped, and warnings say why. What the kernel told at execve is
 * the ordinary user's still: the caller executes itself again. ERR_PERMISSION: the system forbids user namespaces. */
_must_check_ struct err *rt_rootless_enter(const char *dir, char ***warnings);
/* Adds the calling process to those that keep the namespace. */
_must_check_ struct err *rt_rootless_hold(const char *dir);

#endif
