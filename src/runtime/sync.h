/* SPDX-License-Identifier: Apache-2.0 */
/* What a container's first process and its maker (later: its starter) say to each other over a stream socket: one byte, a tag,
 * perhaps with an fd; after SYNC_ERROR an error frame (base/error.h).
 *
 *   parent                     child
 *   SYNC_SIGNALS       ->               signals are ignored, by inheritance, that are not to be (only then; before anything else)
 *   SYNC_GO            ->               id maps are written (only with a new user namespace)
 *   SYNC_GO            ->               the child is in its cgroup (only when systemd makes it)
 *   SYNC_GO            ->               the cgroup is made (only with v1: the child is at work meanwhile)
 *                      <-  SYNC_HOOKS   run prestart and createRuntime hooks (only when there are any)
 *   SYNC_GO            ->
 *                      <-  SYNC_CONSOLE the terminal's master (only when the caller wants it)
 *                      <-  SYNC_CREATED everything is made
 *   SYNC_GO            ->               the state is on disk: from now on the child may outlive us
 *   SYNC_START         ->               over the same socket, or over a connection to the gate
 *                      <-  SYNC_LISTENER the seccomp notify fd (only with one)
 *                      <-  SYNC_EXEC    next comes execve; end of file after this is its success
 *   SYNC_ERROR at any point from the child ends it. End of file before SYNC_GO ends the child.
 */
#ifndef RUNTIME_SYNC_H
#define RUNTIME_SYNC_H

#include "base/error.h"

enum sync_tag {
	SYNC_EOF = 0,
	SYNC_SIGNALS = 'i',
	SYNC_GO = 'g',
	SYNC_HOOKS = 'h',
	SYNC_CONSOLE = 't',
	SYNC_CREATED = 'c',
	SYNC_START = 's',
	SYNC_LISTENER = 'l',
	SYNC_EXEC = 'x',
	SYNC_ERROR = 'e',
};

_must_check_ struct err *sync_send(int sock, enum sync_tag tag);
/* With write(2), which every seccomp filter allows that a program can live with; send(2) may be refused, or answered by an agent. */
_must_check_ struct err *sync_write(int sock, enum sync_tag tag);
_must_check_ struct err *sync_send_fd(int sock, enum sync_tag tag, int fd);
/* SYNC_ERROR and what went wrong; failures of sending are ignored: nobody is listening then. */
void sync_send_error(int sock, const struct err *e);
/* SYNC_EOF at the end. A reported error is returned as our own. *ret_fd is -1 when none came; may be NULL when none is expected. */
_must_check_ struct err *sync_receive(int sock, enum sync_tag *ret_tag, int *ret_fd);

#endif
