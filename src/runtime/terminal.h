/* SPDX-License-Identifier: Apache-2.0 */
/* The container's terminal: a pair from the container's own devpts. runc's terminals.md describes the console socket. */
#ifndef RUNTIME_TERMINAL_H
#define RUNTIME_TERMINAL_H

#include "base/error.h"
#include "base/inroot.h"
#include "spec.h"

struct terminal {
	int master, slave;
};
/* A new pair with the size and owner the process wants. */
_must_check_ struct err *terminal_open(const struct inroot *root, const struct spec_process *p,
				       struct terminal *ret);
/* The slave becomes /dev/console inside. */
_must_check_ struct err *terminal_bind_console(const struct inroot *root, int slave);
/* The slave becomes the controlling terminal and stdin, stdout and stderr. The caller leads a session. */
_must_check_ struct err *terminal_take(int slave);
/* One message with the master and its name, as callers of runc expect it. */
_must_check_ struct err *terminal_send(int console_socket, int master);

#endif
