/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: closing, whole reads and writes, passing them over unix sockets. Every fd that havre
 * makes is close-on-exec. -1 means "none". */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

static inline void fd_closep(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
		*fd = -1;
	}
}
/* Closes all that are not -1 and sets them to -1. Neighbours take one system call together. */
void fd_close_all(int *const *fds, size_t n);
#define _cleanup_fd_ _cleanup_(fd_closep)
#define fd_close(fd) fd_closep(&(fd))

/* Whole buffer or error; EINTR is retried; `what` names the file in errors. fd_read_full returns the bytes
 * read in *ret_n: fewer than asked only at end of file. */
_must_check_ struct err *fd_write_full(int fd, const void *data, size_t size, const char *what);
_must_check_ struct err *fd_read_full(int fd, void *data, size_t size, const char *what, size_t *ret_n);
_must_check_ struct err *fd_pwrite_full(int fd, const void *data, size_t size, off_t offset,
					const char *what);
_must_check_ struct err *fd_pread_full(int fd, void *data, size_t size, off_t offset, const char *what,
				       size_t *ret_n);

_must_check_ struct err *fd_set_cloexec(int fd, bool on);
_must_check_ struct err *fd_set_nonblock(int fd, bool on);
/* A copy at `min_fd` or above, close-on-exec. */
_must_check_ struct err *fd_dup(int fd, int min_fd, int *ret_fd);
/* "/proc/self/fd/N" for calls that take only paths. */
struct fd_path {
	char s[40];
};
struct fd_path fd_path(int fd);

/* One message with up to 16 fds over a unix socket (SCM_RIGHTS). Received fds are close-on-exec and owned by
 * the caller; more than `max_fds` or a truncated message is an error and closes what came. *ret_size 0 with
 * no fds means end of file. */
_must_check_ struct err *fd_send(int sock, const void *data, size_t size, const int *fds, size_t n_fds);
_must_check_ struct err *fd_receive(int sock, void *data, size_t size, size_t *ret_size, int *ret_fds,
				    size_t max_fds, size_t *ret_n_fds);

/* socketpair(AF_UNIX, SOCK_STREAM or SOCK_SEQPACKET), close-on-exec. */
_must_check_ struct err *fd_socketpair(int type, int ret_fds[2]);
/* Unix sockets whose path may be longer than sun_path (bound and connected through /proc/self/fd of the
 * directory). The listener's file is made with mode 0600. */
_must_check_ struct err *fd_unix_listen(const char *path, int type, int *ret_fd);
_must_check_ struct err *fd_unix_connect(const char *path, int type, int *ret_fd);

#endif
