/* SPDX-License-Identifier: Apache-2.0 */
/* The file descriptors of a start: the monitor gets them under fixed numbers (monitor/monitor.h), and the configuration names the
 * namespaces and mounts among them by path. */
#ifndef ENGINE_START_FDS_H
#define ENGINE_START_FDS_H

#include <stddef.h>

#include "base/error.h"

#define START_FD_FIRST 4 /* what the monitor has in its first place */
enum {
	START_LOCK,
	START_ROOTFS,
	START_NETNS,
	START_PORTS,
	START_DNS_UDP,
	START_DNS_TCP,
	START_PIDNS,
	START_IPCNS,
	START_UTSNS,
	START_USERNS,
	START_MOUNTS /* from here on: detached mounts, each the source of one bind mount */
};
#define START_FDS_MAX 48

struct start_fds {
	int fds[START_FDS_MAX]; /* -1: not there. Owned from START_PIDNS on, the others are borrowed. */
	size_t n_mounts;
};
void start_fds_init(struct start_fds *f);
void start_fds_release(struct start_fds *f);
size_t start_fds_count(const struct start_fds *f); /* up to the last that is there */
/* "/proc/self/fd/N" in the monitor; NULL when it is not there. Caller frees. */
char *start_fds_path(const struct start_fds *f, size_t place);
/* Takes a detached mount and answers its path in the monitor. ERR_LIMIT. */
_must_check_ struct err *start_fds_add_mount(struct start_fds *f, int fd, char **ret_path);

#endif
