/* SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

#define COPY_SIZE ((size_t)1 << 20)

struct err *spool_nameless(const char *dir, int *ret)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
		_cleanup_free_ char *name = xasprintf("%s/.havre-XXXXXX", dir);
		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0)
			unlink(name);
	}
	if (fd < 0)
		return err_errno(errno, "cannot make a temporary file in %s", dir);
	*ret = fd;
	return NULL;
}

struct err *spool_new(const char *dir, const struct digest *expected, struct spool **ret)
{
	int fd;

	TRY(spool_nameless(dir, &fd));
	struct spool *s = xnew(struct spool);
	s->fd = fd;
	s->where = xstrdup(dir);
	if (expected)
		s->expected = *expected;
	s->hash = expected ? digest_stream_new_like(expected) : digest_stream_new_sha256();
	*ret = s;
	return NULL;
}

void spool_free(struct spool *s)
{
	if (!s)
		return;
	fd_close(s->fd);
	digest_stream_free(s->hash);
	free(s->where);
	free(s);
}

struct err *spool_write(struct spool *s, const void *data, size_t size)
{
	digest_stream_update(s->hash, data, size);
	TRY_WRAP(fd_write_full(s->fd, data, size, "a temporary file"), "cannot keep content in %s", s->where);
	s->size += size;
	return NULL;
}

struct err *spool_restart(struct spool *s)
{
	digest_stream_free(s->hash);
	s->hash = digest_is_set(&s->expected) ? digest_stream_new_like(&s->expected)
					      : digest_stream_new_sha256();
	s->size = 0;
	if (ftruncate(s->fd, 0) < 0 || lseek(s->fd, 0, SEEK_SET) < 0)
		return err_errno(errno, "cannot empty a temporary file in %s", s->where);
	return NULL;
}

struct err *spool_take(struct spool *s, int fd, uint64_t offset, uint64_t size, const char *what,
		       const struct progress *progress)
{
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);

	for (uint64_t at = 0; at < size;) {
		size_t n;
		if (progress && progress->cancelled && progress->cancelled(progress->user))
			return err_new(ERR_CANCELLED, "interrupted");
		TRY(fd_pread_full(fd, buf, (size_t)MIN((uint64_t)COPY_SIZE, size - at), (off_t)(offset + at),
				  what, &n));
		if (n == 0)
			return err_new(ERR_CORRUPT, "%s ends after %" PRIu64 " of %" PRIu64 " bytes", what,
				       at, size);
		TRY(spool_write(s, buf, n));
		at += n;
	}
	return NULL;
}

struct err *spool_finish(struct spool *s, uint64_t size, struct digest *ret_digest)
{
	struct digest got;

	digest_stream_final(s->hash, &got);
	if (size != UINT64_MAX && s->size != size)
		return err_new(ERR_CORRUPT, "%s has %" PRIu64 " bytes, not the %" PRIu64 " of its manifest",
			       digest_is_set(&s->expected) ? s->expected.s : "content", s->size, size);
	if (digest_is_set(&s->expected) && !digest_equal(&got, &s->expected))
		return err_new(ERR_CORRUPT, "%s: the content received has digest %s", s->expected.s, got.s);
	if (lseek(s->fd, 0, SEEK_SET) < 0)
		return err_errno(errno, "cannot read a temporary file in %s", s->where);
	if (ret_digest)
		*ret_digest = got;
	return NULL;
}

/* -- its place ------------------------------------------------------------------------------------------------ */

/* Another file system, or a file that has lost its name: the bytes are written once more. */
static struct err *copy_to(struct spool *s, int dirfd, const char *name)
{
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);
	_cleanup_fd_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	uint64_t at = 0;

	if (fd < 0)
		return err_errno(errno, "cannot make %s", name);
	while (true) {
		size_t n;
		TRY(fd_pread_full(s->fd, buf, COPY_SIZE, (off_t)at, "a temporary file", &n));
		if (n == 0)
			break;
		TRY(fd_write_full(fd, buf, n, name));
		at += n;
	}
	return fdatasync(fd) < 0 ? err_errno(errno, "cannot sync %s", name) : NULL;
}

struct err *spool_place(struct spool *s, int dirfd, const char *name, bool keep)
{
	const char *slash = strrchr(name, '/');
	uint64_t nonce;

	if (keep && faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return NULL;
	if (fdatasync(s->fd) < 0)
		return err_errno(errno, "cannot sync a file in %s", s->where);
	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		return err_errno(errno, "cannot get random bytes");
	_cleanup_free_ char *temporary = xasprintf(
		"%.*s.havre-%016" PRIx64, slash ? (int)(slash - name) + 1 : 0, slash ? name : "", nonce);
	struct err *e = NULL;
	if (linkat(AT_FDCWD, fd_path(s->fd).s, dirfd, temporary, AT_SYMLINK_FOLLOW) < 0)
		e = copy_to(s, dirfd, temporary);
	if (!e && renameat(dirfd, temporary, dirfd, name) < 0)
		e = err_errno(errno, "cannot make %s", name);
	if (e)
		unlinkat(dirfd, temporary, 0);
	return e;
}
