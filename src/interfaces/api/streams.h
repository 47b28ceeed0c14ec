/* SPDX-License-Identifier: Apache-2.0 */
/* A container's streams on a hijacked connection, and who waits for a container that has not been started. */
#ifndef API_STREAMS_H
#define API_STREAMS_H

#include "engine/session.h"
#include "exchange.h"

struct stream_choice {
	bool tty; /* raw; otherwise frames */
	bool stdin_, stdout_, stderr_;
	const char *detach_keys; /* NULL: docker's default */
};
/* A frame of docker's multiplexed stream: type 1 stdout, 2 stderr. */
_must_check_ struct err *stream_frame_send(int fd, int type, const void *data, size_t size);
/* Until the program ends, the client goes or detaches. *ret_exited: *ret_code is its status. */
_must_check_ struct err *streams_pump(struct exchange *x, struct attach *a, const struct stream_choice *s,
				      bool *ret_exited, int *ret_code);

/* docker's clients attach first and start then; the start gives the streams, which have been connected before the program's first
 * instruction, to the first who waits. Others attach by themselves. */
/* The container's log so far, on a hijacked connection (logs.c). */
_must_check_ struct err *container_send_logs(struct exchange *x, struct container *c,
					     const struct stream_choice *s);

struct waiter;
struct waiter *waiter_new(const struct container *c, const struct attach_options *o);
/* Waits until the container was started. *ret NULL: attach yourself; ERR_CANCELLED: the client has gone; ERR_STATE: the start failed. */
_must_check_ struct err *waiter_wait(struct waiter *w, struct engine *e, int client, struct attach **ret);
void waiter_free(struct waiter *w);
/* Starts the container for whoever waits. */
_must_check_ struct err *waiters_start(struct engine *e, struct container *c);

#endif
