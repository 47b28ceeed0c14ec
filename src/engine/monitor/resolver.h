/* SPDX-License-Identifier: Apache-2.0 */
/* The container's resolver at 127.0.0.11, inside its monitor: it answers the names of the networks the container is in and asks the host's
 * servers for all others. Its sockets were made in the container's namespace by the engine; what it asks goes out from ours.
 *
 *  R1 A name that a network of the container knows is never forwarded, whatever type is asked for (no data instead).
 *  R2 A container whose networks are all internal forwards nothing (CVE-2024-29018).
 *  R3 Nothing is kept between queries: the tables are read when somebody asks. No timer runs unless a server is waited for,
 *     or the memory of the last question is to be given back, once.
 *  R4 Bounded: RESOLVER_PENDING_MAX questions are out at once, RESOLVER_STREAMS_MAX connections are open; more are refused. */
#ifndef ENGINE_MONITOR_RESOLVER_H
#define ENGINE_MONITOR_RESOLVER_H

#include "monitor.h"

#define RESOLVER_PENDING_MAX 128u
#define RESOLVER_STREAMS_MAX 16u

void resolver_watch(struct monitor *m, int udp, int tcp);
/* How long epoll may wait, in ms; -1: for ever. Call resolver_expire afterwards. */
int resolver_timeout_ms(const struct monitor *m);
void resolver_expire(struct monitor *m);
void resolver_close(struct monitor *m);

#endif
