/* SPDX-License-Identifier: Apache-2.0 */
#include "blob_feed.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"

void blob_feed_init(struct blob_feed *f, uint64_t total)
{
	*f = (struct blob_feed){.fd = -1, .total = total};
	pthread_mutex_init(&f->mutex, NULL);
	pthread_cond_init(&f->changed, NULL);
}

void blob_feed_release(struct blob_feed *f)
{
	fd_close(f->fd);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->mutex);
}

/* A file description of our own: a duplicate would share the writer's lock on the file and keep it after the writer is done, while another
 * process that waits for it has what we wait for. */
void blob_feed_open(struct blob_feed *f, int fd)
{
	int own = open(fd_path(fd).s, O_RDONLY | O_CLOEXEC);

	pthread_mutex_lock(&f->mutex);
	if (own < 0 || f->fd >= 0)
		f->state = FEED_ABANDONED;
	else
		f->fd = TAKE_FD(own);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
	fd_close(own);
}

void blob_feed_set_available(struct blob_feed *f, uint64_t bytes)
{
	pthread_mutex_lock(&f->mutex);
	f->available = bytes;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

void blob_feed_end(struct blob_feed *f, bool complete)
{
	pthread_mutex_lock(&f->mutex);
	if (f->state == FEED_OPEN)
		f->state = complete ? FEED_COMPLETE : FEED_ABANDONED;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

bool blob_feed_wait(struct blob_feed *f)
{
	pthread_mutex_lock(&f->mutex);
	while (f->state == FEED_OPEN && f->available == 0)
		pthread_cond_wait(&f->changed, &f->mutex);
	bool readable = f->state != FEED_ABANDONED && f->fd >= 0;
	pthread_mutex_unlock(&f->mutex);
	return readable;
}

struct err *blob_feed_read(void *feed, void *buf, size_t size, size_t *ret_n)
{
	struct blob_feed *f = feed;

	pthread_mutex_lock(&f->mutex);
	while (f->state == FEED_OPEN && f->available <= f->offset && f->offset < f->total)
		pthread_cond_wait(&f->changed, &f->mutex);
	bool abandoned = f->state == FEED_ABANDONED;
	uint64_t there = f->available > f->offset ? f->available - f->offset : 0;
	there = MIN(there, f->total - f->offset);
	pthread_mutex_unlock(&f->mutex);
	if (abandoned)
		return err_new(ERR_UNREACHABLE, "the blob was not received whole");
	ssize_t n;
	do
		n = pread(f->fd, buf, MIN(there, (uint64_t)size), (off_t)f->offset);
	while (n < 0 && errno == EINTR);
	if (n < 0 || (n == 0 && there > 0))
		return err_errno(n < 0 ? errno : EIO, "cannot read what was received");
	f->offset += (uint64_t)n;
	*ret_n = (size_t)n;
	return NULL;
}
