/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "base/fd.h"
#include "tar.h"

static struct err *file_next(struct byte_source *source, const uint8_t **ret_data, size_t *ret_size)
{
	struct file_source *f = (struct file_source *)source;

	*ret_data = f->buffer;
	TRY(fd_pread_full(f->fd, f->buffer, sizeof(f->buffer), f->at, "the archive", ret_size));
	f->at += (off_t)*ret_size;
	return NULL;
}

static struct err *file_skip(struct byte_source *source, uint64_t n)
{
	struct file_source *f = (struct file_source *)source;

	if (n > (uint64_t)f->end - (uint64_t)f->at)
		return err_new(ERR_CORRUPT, "the archive ends in the middle of an entry");
	f->at += (off_t)n;
	return NULL;
}

struct err *file_source_init(struct file_source *f, int fd, off_t from)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot stat the archive");
	f->source = (struct byte_source){.next = file_next, .skip = file_skip};
	f->fd = fd;
	f->at = from;
	f->end = MAX(st.st_size, from);
	return NULL;
}
