/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/memory.h"

#define FDS_MAX 16

struct err *fd_write_full(int fd, const void *data, size_t size, const char *what)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_errno(errno, "cannot write %s", what);
		}
		p += n;
		size -= (size_t)n;
	}
	return NULL;
}

struct err *fd_read_full(int fd, void *data, size_t size, const char *what, size_t *ret_n)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)data + done, size - done);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_errno(errno, "cannot read %s", what);
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_n = done;
	return NULL;
}

struct err *fd_pwrite_full(int fd, const void *data, size_t size, off_t offset, const char *what)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = pwrite(fd, p, size, offset);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_errno(errno, "cannot write %s", what);
		}
		p += n;
		offset += n;
		size -= (size_t)n;
	}
	return NULL;
}

struct err *fd_pread_full(int fd, void *data, size_t size, off_t offset, const char *what, size_t *ret_n)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)data + done, size - done, offset + (off_t)done);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_errno(errno, "cannot read %s", what);
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_n = done;
	return NULL;
}

static int compare_fds(const void *a, const void *b)
{
	return **(int *const *)a - **(int *const *)b;
}

void fd_close_all(int *const *fds, size_t n)
{
	if (n == 0)
		return;
	int **sorted = xnew_array(int *, n);
	int saved = errno;

	memcpy(sorted, fds, n * sizeof(*fds));
	qsort(sorted, n, sizeof(*sorted), compare_fds);
	for (size_t i = 0, end; i < n; i = end) {
		end = i + 1;
		int first = *sorted[i], last = first;
		if (first < 0)
			continue;
		while (end < n && *sorted[end] <= last + 1)
			last = *sorted[end++];
		if (first == last || close_range((unsigned)first, (unsigned)last, 0) < 0)
			for (int fd = first; fd <= last; fd++)
				close(fd);
	}
	for (size_t i = 0; i < n; i++)
		*sorted[i] = -1;
	free(sorted);
	errno = saved;
}

struct err *fd_set_cloexec(int fd, bool on)
{
	if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0)
		return err_errno(errno, "cannot change the flags of file descriptor %d", fd);
	return NULL;
}

struct err *fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		return err_errno(errno, "cannot change the flags of file descriptor %d", fd);
	return NULL;
}

struct err *fd_dup(int fd, int min_fd, int *ret_fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, min_fd);

	if (copy < 0)
		return err_errno(errno, "cannot duplicate file descriptor %d", fd);
	*ret_fd = copy;
	return NULL;
}

struct fd_path fd_path(int fd)
{
	struct fd_path p;

	snprintf(p.s, sizeof(p.s), "/proc/self/fd/%d", fd);
	return p;
}

struct err *fd_send(int sock, const void *data, size_t size, const int *fds, size_t n_fds)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds > FDS_MAX)
		return err_new(ERR_INTERNAL, "cannot send %zu file descriptors at once", n_fds);
	if (n_fds) {
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	while (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return err_errno(errno, "cannot send file descriptors");
	return NULL;
}

struct err *fd_receive(int sock, void *data, size_t size, size_t *ret_size, int *ret_fds, size_t max_fds,
		       size_t *ret_n_fds)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control)};
	int fds[FDS_MAX];
	size_t n_fds = 0;
	ssize_t n;

	while ((n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC)) < 0)
		if (errno != EINTR)
			return err_errno(errno, "cannot receive file descriptors");
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && n_fds < FDS_MAX; i++)
			memcpy(&fds[n_fds++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n_fds > max_fds) {
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
		return err_new(ERR_INVALID, "the other side sent a message larger than expected");
	}
	if (n_fds)
		memcpy(ret_fds, fds, n_fds * sizeof(int));
	if (ret_n_fds)
		*ret_n_fds = n_fds;
	*ret_size = (size_t)n;
	return NULL;
}

struct err *fd_socketpair(int type, int ret_fds[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		return err_errno(errno, "cannot make a socket pair");
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return NULL;
}

/* sun_path holds 108 bytes: a longer path goes through its directory's fd. *ret_dir keeps that fd open for
 * the caller. */
static struct err *unix_address(const char *path, struct sockaddr_un *addr, int *ret_dir)
{
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) < sizeof(addr->sun_path)) {
		memcpy(addr->sun_path, path, strlen(path) + 1);
		return NULL;
	}
	_cleanup_free_ char *dir_copy = xstrdup(path);
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	_cleanup_fd_ int dir = open(dirname(dir_copy), O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_errno(errno, "cannot open the directory of socket %s", path);
	int n = snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(addr->sun_path))
		return err_new(ERR_INVALID, "the name of socket %s is too long", path);
	*ret_dir = TAKE_FD(dir);
	return NULL;
}

struct err *fd_unix_listen(const char *path, int type, int *ret_fd)
{
	_cleanup_fd_ int dir = -1;
	struct sockaddr_un addr;
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(errno, "cannot make a unix socket");
	TRY(unix_address(path, &addr, &dir));
	/* The mode of a socket file is that of the socket's inode at bind time: no moment with a wider one.
	 */
	if (fchmod(fd, 0600) < 0)
		return err_errno(errno, "cannot set the mode of socket %s", path);
	unlink(addr.sun_path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_errno(errno, "cannot bind socket %s", path);
	if (listen(fd, 128) < 0)
		return err_errno(errno, "cannot listen on socket %s", path);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

struct err *fd_unix_connect(const char *path, int type, int *ret_fd)
{
	_cleanup_fd_ int dir = -1;
	struct sockaddr_un addr;
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(errno, "cannot make a unix socket");
	TRY(unix_address(path, &addr, &dir));
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		if (errno != EINTR)
			return err_errno(errno, "cannot connect to socket %s", path);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}
