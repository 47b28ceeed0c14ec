/* SPDX-License-Identifier: Apache-2.0 */
#include "sync.h"

#include <sys/socket.h>

#include "base/fd.h"

struct err *sync_send(int sock, enum sync_tag tag)
{
	unsigned char byte = (unsigned char)tag;
	/* Not a signal when the other side is gone: our caller may want to tell what happened. */
	while (send(sock, &byte, 1, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return err_errno(errno, "cannot talk to the container's process");
	return NULL;
}

struct err *sync_write(int sock, enum sync_tag tag)
{
	unsigned char byte = (unsigned char)tag;
	return fd_write_full(sock, &byte, 1, "the container's maker");
}

struct err *sync_send_fd(int sock, enum sync_tag tag, int fd)
{
	unsigned char byte = (unsigned char)tag;
	return fd_send(sock, &byte, 1, &fd, 1);
}

void sync_send_error(int sock, const struct err *e)
{
	struct err *ignored = sync_write(sock, SYNC_ERROR);
	if (!ignored)
		ignored = err_send(sock, e);
	err_free(ignored);
}

struct err *sync_receive(int sock, enum sync_tag *ret_tag, int *ret_fd)
{
	unsigned char byte = 0;
	size_t size = 0, n_fds = 0;
	int fd = -1;
	struct err *e = fd_receive(sock, &byte, 1, &size, &fd, 1, &n_fds);
	if (e && (e->errnum == ECONNRESET || e->errnum == EPIPE)) { /* unread bytes of ours when it died */
		err_free(e);
		size = 0;
	} else if (e) {
		return e;
	}
	if (size && byte == SYNC_ERROR) {
		struct err *reported = NULL;
		fd_close(fd);
		TRY(err_receive(sock, "the container's process", &reported));
		return reported ? reported
				: err_new(ERR_INTERNAL, "the container's process reported an empty error");
	}
	*ret_tag = size ? (enum sync_tag)byte : SYNC_EOF;
	if (ret_fd)
		*ret_fd = fd;
	else
		fd_close(fd);
	return NULL;
}
