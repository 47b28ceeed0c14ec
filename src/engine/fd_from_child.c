/* SPDX-License-Identifier: Apache-2.0 */
#include "fd_from_child.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

static void child(int sock, struct err *(*make)(void *user, int *ret_fd), void *user)
{
	int fd = -1;
	struct err *error = make(user, &fd);

	err_free(err_send(sock, error));
	if (!error)
		err_free(fd_send(sock, "", 1, &fd, 1));
	_exit(0);
}

struct err *fd_from_child(struct err *(*make)(void *user, int *ret_fd), void *user, int *ret_fd)
{
	_cleanup_fd_ int ours = -1, theirs = -1;
	struct err *reported = NULL;
	int pair[2], fd = -1;
	size_t n = 0, size;
	char byte;

	TRY(fd_socketpair(SOCK_STREAM, pair));
	ours = pair[0];
	theirs = pair[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(errno, "cannot fork");
	if (pid == 0)
		child(theirs, make, user);
	close(TAKE_FD(theirs));
	struct err *error = err_receive(ours, "the helper", &reported);
	if (!error && !reported)
		error = fd_receive(ours, &byte, 1, &size, &fd, 1, &n);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	if (!error && reported)
		error = reported;
	else if (!error && n != 1)
		error = err_new(ERR_INTERNAL, "the helper sent no file descriptor");
	TRY(error);
	*ret_fd = fd;
	return NULL;
}
