/* SPDX-License-Identifier: Apache-2.0 */
#include "start_fds.h"

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

void start_fds_init(struct start_fds *f)
{
	for (size_t i = 0; i < START_FDS_MAX; i++)
		f->fds[i] = -1;
	f->n_mounts = 0;
}

void start_fds_release(struct start_fds *f)
{
	for (size_t i = START_PIDNS; i < START_FDS_MAX; i++)
		fd_close(f->fds[i]);
}

size_t start_fds_count(const struct start_fds *f)
{
	size_t n = START_FDS_MAX;

	while (n > 0 && f->fds[n - 1] < 0)
		n--;
	return n;
}

char *start_fds_path(const struct start_fds *f, size_t place)
{
	return f->fds[place] < 0 ? NULL : xasprintf("/proc/self/fd/%zu", START_FD_FIRST + place);
}

struct err *start_fds_add_mount(struct start_fds *f, int fd, char **ret_path)
{
	size_t place = START_MOUNTS + f->n_mounts;

	if (place >= START_FDS_MAX) {
		fd_close(fd);
		return err_new(ERR_LIMIT,
			       "a container can have at most %d mounts of images and shared memory",
			       START_FDS_MAX - START_MOUNTS);
	}
	f->fds[place] = fd;
	f->n_mounts++;
	*ret_path = start_fds_path(f, place);
	return NULL;
}
