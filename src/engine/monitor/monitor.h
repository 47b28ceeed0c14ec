/* SPDX-License-Identifier: Apache-2.0 */
/* havre-monitor: the parent of one container's init, or of one exec's process. Owns its stdio or terminal, its log, the
 * attach socket, and its end. One thread, one epoll loop, no timer while the container runs.
 *
 * It is started by the engine with these fds: 3 the starter's socket, 4 the lock (RUN/containers/ID/monitor.lock, already
 * held), 5 the detached root mount, and with a network 6 its namespace, 7 the published ports, 8 and 9 the resolver's sockets; from 10 on
 * namespaces to join and mounts to bind, which config.json names (start_fds.h); an exec has only 3. The first frame on 3 is CONFIG, a JSON object:
 *
 *   mode          "run" or "exec"
 *   id, state_root, bundle      for the runtime library
 *   container_dir, run_dir      ROOT/containers/ID, RUN/containers/ID
 *   tty, stdin, stdin_once      what the container has
 *   want          STREAM_WANT_* of the starter; 0: it leaves after STARTED
 *   log           {format: json, k8s or journal, path, max_size, max_file, extra} (log_file.h); absent: none
 *   fds           how many there are from 4 on
 *   runtime       {path, run}: another OCI runtime, and the engine's run directory; absent: our own
 *   network       whether 6 to 9 are its own
 *   resolver      whether 8 and 9 are the resolver's
 *   systemd_cgroup  whether systemd makes the cgroup
 *   memory_limit  whether to look for processes killed for lack of memory
 *   cleanup       argv to run when auto-removal falls to us; absent: none
 *   process       exec: the process object
 *   events        ROOT/events.log
 *   restart       the policy; restarts, delay_ms: how it got here; revive: argv that starts it anew, with the lock as fd 3
 *   health        {probe: argv, interval_ms, start_period_ms, start_interval_ms}; absent: no health check
 *   exec_event    exec: the line of its end (event_log.h), without the exit code
 *
 * Invariants
 *  M1 The lock is held from before the runtime makes anything until nothing of the run is left but its record.
 *  M2 The record says "finished" before any client hears of the exit.
 *  M3 Memory is bounded: STREAM_WINDOW of input and CLIENT_QUEUE_MAX of output a client, CLIENTS_MAX clients.
 *  M4 Only the starter's own streams can make the container wait (as the pipe they stand for would).
 *
 * Decision: init gets no PR_SET_PDEATHSIG. If the monitor is killed, the container is killed by the next command that
 * meets it (E3), which also records the fact; a death signal would end it without anybody knowing why. */
#ifndef ENGINE_MONITOR_H
#define ENGINE_MONITOR_H

#include <stdint.h>
#include <sys/types.h>

#include "base/json.h"
#include "engine/stream.h"
#include "log_file.h"
#include "runtime/container.h"

#define MONITOR_FD_STARTER 3
#define MONITOR_FD_LOCK 4
#define MONITOR_FD_ROOTFS 5
/* Only for a container that joins a network namespace: */
#define MONITOR_FD_NETNS 6
#define MONITOR_FD_PORTS 7 /* a socket with the published ports in flight (network.h, N4) */
#define MONITOR_FD_DNS_UDP 8
#define MONITOR_FD_DNS_TCP 9
#define MONITOR_FD_JOINED 10
#define MONITOR_FDS_MAX 64u

#define CLIENTS_MAX 64u
#define CLIENT_QUEUE_MAX (256u << 10)  /* beyond it a client is dropped */
#define STARTER_QUEUE_HIGH (64u << 10) /* beyond it the container's output is left in its pipe */
#define LINGER_MS 2000                 /* how long clients have to take their last output */

struct monitor;
struct restart_policy;
struct oci_runtime;

struct source {
	int fd;
	uint32_t events; /* watched; 0: not in the epoll set */
	void (*ready)(struct monitor *m, struct source *s, uint32_t events);
};

struct client {
	struct source source; /* must be first */
	struct client *next;
	bool starter, greeted, lost, dead;
	bool stdin_done; /* sent STDIN_CLOSE */
	unsigned want;
	struct stream_parser parser;
	struct strbuf out; /* from out_offset: not yet sent */
	size_t out_offset;
	struct strbuf in; /* from in_offset: input not yet given to the container */
	size_t in_offset;
	int passed_fd; /* came with the last bytes; -1: none */
};

struct output {
	struct source source; /* must be first */
	int stream;           /* 0 stdout, 1 stderr */
};

struct monitor {
	int epoll_fd, lock_fd;
	struct source signals, listener,
		input; /* input: the container's stdin, or the terminal for writing */
	struct output outputs[2];
	bool input_closing; /* close it once what clients sent is through */
	struct client *clients;
	unsigned n_clients;
	struct log_file log;
	struct resolver *resolver; /* NULL: none */

	/* configuration */
	bool exec, tty, has_stdin, stdin_once, memory_limit, systemd_cgroup, network, resolver_sockets;
	char *id, *state_root, *bundle, *container_dir, *run_dir;
	char **cleanup;
	char *events, *exec_event; /* may be NULL */
	char **revive;
	struct restart_policy *policy; /* ../restart_policy.h */
	struct {
		char **probe; /* NULL: no health check */
		int64_t interval_ms, start_period_ms, start_interval_ms;
		int64_t next_ms, start_until_ms; /* monotonic */
		pid_t pid;                       /* of the probe; 0: none runs */
		bool healthy_once;
	} health;
	unsigned n_fds;
	struct oci_runtime *runtime; /* another one; NULL: our own */

	/* the process */
	struct rt_container *container;
	pid_t pid;
	int pidfd;
	bool exited, starter_removed;
	int exit_code;
	bool oom_killed;
	bool terminating; /* somebody asked us to end: nothing is started anew */
	bool restarting;
	unsigned restarts, delay_ms;
	int64_t started_ns;
	uint64_t start_ticks;
};

/* monitor.c */
int monitor_main(int argc, char **argv);
void monitor_watch(struct monitor *m, struct source *s, uint32_t events);
void monitor_step(struct monitor *m, int timeout_ms); /* waits once, and does what is due */

/* restart.c */
void restart_decide(struct monitor *m); /* m->restarting and m->delay_ms, once the exit code is known */
bool restart_wait(struct monitor *m);
void restart_revive(struct monitor *m);

/* health.c */
void health_begin(struct monitor *m);
int health_timeout_ms(const struct monitor *m); /* -1: nothing is due */
bool health_act(struct monitor *m);             /* begins a probe that is due */
bool health_reaped(struct monitor *m, pid_t pid, int status);

/* client.c */
struct client *client_add(struct monitor *m, int fd, bool starter);
void client_send(struct monitor *m, struct client *c, enum stream_frame_type type, const void *data,
		 size_t size);
void clients_broadcast(struct monitor *m, enum stream_frame_type type, unsigned want, const void *data,
		       size_t size);
void client_dismiss(struct monitor *m, struct client *c); /* once it has what is queued, it goes */
void clients_reap(struct monitor *m);                     /* frees the dead */
bool clients_congested(const struct monitor *m);          /* M4 */
bool clients_flushed(const struct monitor *m);
void client_listen_ready(struct monitor *m, struct source *s, uint32_t events);

/* stdio.c */
_must_check_ struct err *stdio_prepare(struct monitor *m, int ret_child[3]);
void stdio_watch(struct monitor *m); /* begins pumping */
void stdio_set_console(struct monitor *m, int console);
void stdio_update(struct monitor *m); /* reads or not, as M4 says; writes input when there is some */
void stdio_drain(struct monitor *m);  /* after the exit: what is still in the pipes */
void stdio_resize(struct monitor *m, unsigned rows, unsigned cols);

#endif
