/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify(3) out of a container: a socket of its own inside, and READY=1 from there handed on to our caller's NOTIFY_SOCKET.
 *
 * As runc has it: with rt_create.notify the container gets NOTIFY_SOCKET=/run/notify/notify.sock and a read-only bind of
 * STATE_ROOT/ID/notify on /run/notify. The socket appears in there just before the start; whoever started waits (or, in front of the
 * container, listens meanwhile) for READY=1. Only that word is handed on: a container must not tell the host's service manager to
 * watch other processes or to keep file descriptors.
 *
 * Threat model: what is sent is untrusted, and file descriptors sent along are dropped by the kernel, since nobody asks for
 * them. The container cannot change the directory (read-only, and root's), but a startContainer hook or an exec in a created container may
 * run before the socket is bound: it is made through the fd of the directory, and gets its mode by bind itself, not by a path.
 */
#ifndef RUNTIME_NOTIFY_H
#define RUNTIME_NOTIFY_H

#include <stdbool.h>

#include "runtime/container.h"

struct rt_notify {
	int socket; /* the container's; -1: not (or no longer) listening */
	int host;   /* connected to our caller's */
};
#define RT_NOTIFY_NONE ((struct rt_notify){-1, -1})

/* Before rt_container_start. `address` is what NOTIFY_SOCKET says: an absolute path, or "@" and an abstract name. Nothing is opened for
 * a container that was created without. */
_must_check_ struct err *rt_notify_open(const struct rt_container *c, const char *address,
					struct rt_notify *ret);
void rt_notify_close(struct rt_notify *n);
/* Takes one message, when `socket` is readable; hands READY=1 on and stops listening then. */
_must_check_ struct err *rt_notify_take(struct rt_notify *n);
/* Waits until the container is ready, or has ended. Then our caller's service manager watches the container instead of
 * us (MAINPID), and has read that before we return (BARRIER, 30 seconds at most). */
_must_check_ struct err *rt_notify_wait(struct rt_notify *n, const struct rt_container *c);

#endif
