/* SPDX-License-Identifier: Apache-2.0 */
/* Attached streams without stdio: for a service that moves a container's streams to a connection and back (attach_run is for a terminal).
 * One thread reads (attach_fill, attach_next); the sending functions may be called from any thread. */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include "engine/engine.h"
#include "engine/stream.h"

int attach_socket(const struct attach *a); /* readable: attach_fill; borrowed */
pid_t attach_pid(const struct attach *a);  /* of the container's or the exec's process, as the monitor told */
/* Reads what is there without waiting. *ret_eof: the monitor is gone. */
_must_check_ struct err *attach_fill(struct attach *a, bool *ret_eof);
/* The next whole frame. Acknowledgements and the exit are noted on the way. */
_must_check_ struct err *attach_next(struct attach *a, struct stream_frame *ret, bool *ret_have);
bool attach_ended(const struct attach *a, int *ret_exit_code);
/* How many bytes of input the monitor takes now; 0: none, or there is no input. */
size_t attach_room(struct attach *a);
/* Before any input. docker's syntax; "" none. */
_must_check_ struct err *attach_detach_keys(struct attach *a, const char *keys);
/* At most attach_room bytes. *ret_detached: the detach keys were typed. */
_must_check_ struct err *attach_input(struct attach *a, const char *data, size_t size, bool *ret_detached);
_must_check_ struct err *attach_input_end(struct attach *a);
_must_check_ struct err *attach_resize(struct attach *a, unsigned rows, unsigned cols);

/* The terminal of a running container. */
_must_check_ struct err *container_resize(struct engine *e, struct container *c, unsigned rows,
					  unsigned cols);
/* As container_wait, until `stop` (a socket, -1: none) is closed by the other side: ERR_CANCELLED. */
_must_check_ struct err *container_wait_or(struct engine *e, struct container *c, enum wait_condition cond,
					   int stop, int *ret_code);

/* For a process that lives on: monitors that were left to themselves are its children, and this collects those that have ended. To be
 * called after SIGCHLD. */
void attach_reap(void);

#endif
