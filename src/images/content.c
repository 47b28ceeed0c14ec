/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: written into ingest/, verified, synced, renamed (S1). The ingest file of a blob whose digest is
 * known beforehand is named after it and flocked by its writer; that lock is also what makes a second pull of
 * the same blob wait and then find it. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "content.h"

#define LOCK_POLL_MS 50
#define HOLE_MARGIN ((off_t)64 << 10)
#define WRITEBACK_STEP ((uint64_t)8 << 20)

struct blob_writer {
	struct store *store;
	struct digest expected; /* unset: found by writing */
	char *name;             /* below root_fd */
	int fd;
	uint64_t size, kept, flushed;
	struct digest_stream *hash;
};

struct blob_path blob_path(const struct digest *d)
{
	struct blob_path p;

	snprintf(p.s, sizeof(p.s), "blobs/%s/%s", digest_algorithm(d), digest_hex(d));
	return p;
}

bool blob_exists(struct store *s, const struct digest *d, uint64_t *ret_size)
{
	struct stat st;

	if (fstatat(s->root_fd, blob_path(d).s, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	return true;
}

struct err *store_blob_open(struct store *s, const struct digest *d, int *ret_fd)
{
	_cleanup_fd_ int fd =
		openat(s->root_fd, blob_path(d).s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return err_new(ERR_NOT_FOUND, "no blob %s in image store %s", d->s, s->root);
	if (fd < 0)
		return err_errno(errno, "cannot open blob %s in image store %s", d->s, s->root);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot stat blob %s", d->s);
	if (!S_ISREG(st.st_mode))
		return err_new(ERR_CORRUPT, "blob %s in image store %s is not a regular file", d->s, s->root);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

struct err *blob_damaged(struct store *s, const struct digest *d, const struct digest *got)
{
	return err_new(ERR_CORRUPT,
		       "blob %s in image store %s is damaged: its digest is %s; pull the image again, or run "
		       "havre system check --repair",
		       d->s, s->root, got->s);
}

struct err *blob_verify(struct store *s, const struct digest *d, bool (*cancelled)(void *), void *user)
{
	const size_t chunk = 1 << 20;
	_cleanup_free_ char *buf = xmalloc(chunk);
	_cleanup_(digest_stream_freep) struct digest_stream *hash = digest_stream_new_like(d);
	_cleanup_fd_ int fd = -1;
	struct digest got;
	size_t n;

	TRY(store_blob_open(s, d, &fd));
	do {
		if (cancelled && cancelled(user))
			return err_new(ERR_CANCELLED, "interrupted");
		TRY(fd_read_full(fd, buf, chunk, d->s, &n));
		digest_stream_update(hash, buf, n);
	} while (n == chunk);
	digest_stream_final(hash, &got);
	return digest_equal(&got, d) ? NULL : blob_damaged(s, d, &got);
}

struct err *blob_discard(struct store *s, const struct digest *d)
{
	if (unlinkat(s->root_fd, blob_path(d).s, 0) < 0 && errno != ENOENT)
		return err_errno(errno, "cannot remove the damaged blob %s from image store %s", d->s,
				 s->root);
	return NULL;
}

struct err *blob_discard_damaged(struct store *s, struct err *found, const struct digest *d)
{
	bool damaged = found && found->kind == ERR_CORRUPT;

	err_free(found);
	return damaged ? blob_discard(s, d) : NULL;
}

struct err *store_blob_read(struct store *s, const struct digest *d, size_t max, char **ret_data,
			    size_t *ret_size)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *data = NULL;
	size_t size;

	TRY(store_blob_open(s, d, &fd));
	TRY(file_read_fd(fd, d->s, max, &data, &size));
	_cleanup_(digest_stream_freep) struct digest_stream *hash = digest_stream_new_like(d);
	struct digest got;
	digest_stream_update(hash, data, size);
	digest_stream_final(hash, &got);
	if (!digest_equal(&got, d))
		return blob_damaged(s, d, &got);
	*ret_data = TAKE_PTR(data);
	*ret_size = size;
	return NULL;
}

/* -- writing
 * -------------------------------------------------------------------------------------------------- */

static void writer_free(struct blob_writer *w)
{
	fd_close(w->fd);
	digest_stream_free(w->hash);
	free(w->name);
	free(w);
}

static bool is_cancelled(const struct progress *progress)
{
	return progress && progress->cancelled && progress->cancelled(progress->user);
}

/* Locks the ingest file of a known digest. The file may be renamed or deleted by its present owner while we
 * wait: then the lock is on a file without a name, and the answer is to look again. *ret_fd -1: the blob is
 * there. */
static struct err *lock_ingest(struct blob_writer *w, const struct progress *progress, int *ret_fd)
{
	struct store *s = w->store;

	while (true) {
		if (blob_exists(s, &w->expected, NULL)) {
			*ret_fd = -1;
			return NULL;
		}
		_cleanup_fd_ int fd =
			openat(s->root_fd, w->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0)
			return err_errno(errno, "cannot write %s/%s", s->root, w->name);
		while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno != EWOULDBLOCK && errno != EINTR)
				return err_errno(errno, "cannot lock %s/%s", s->root, w->name);
			if (is_cancelled(progress))
				return err_new(ERR_CANCELLED, "interrupted");
			nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_MS * 1000000L}, NULL);
		}
		struct stat by_fd, by_name;
		if (fstat(fd, &by_fd) < 0)
			return err_errno(errno, "cannot stat %s/%s", s->root, w->name);
		if (fstatat(s->root_fd, w->name, &by_name, AT_SYMLINK_NOFOLLOW) < 0 ||
		    by_fd.st_ino != by_name.st_ino || by_fd.st_dev != by_name.st_dev)
			continue;
		/* The previous owner may have finished by another path between our look and the lock. */
		if (blob_exists(s, &w->expected, NULL)) {
			unlinkat(s->root_fd, w->name, 0);
			*ret_fd = -1;
			return NULL;
		}
		*ret_fd = TAKE_FD(fd);
		return NULL;
	}
}

static struct err *make_unique(struct store *s, const char *prefix, char **ret)
{
	uint64_t nonce;

	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		return err_errno(errno, "cannot get random bytes");
	*ret = xasprintf("ingest/%s-%016" PRIx64, prefix, nonce);
	return NULL;
}

bool ingest_can_be_continued(const char *name)
{
	return !str_starts(name, "blob-");
}

/* A blob that came over several connections has holes where one of them was behind (pull_split.h). What is in front of the first may end in
 * the middle of a block, which reads as zeros: a little is given up. */
static struct err *drop_behind_hole(struct blob_writer *w)
{
	struct stat st;
	off_t hole = lseek(w->fd, 0, SEEK_HOLE);

	if (hole >= 0 && fstat(w->fd, &st) == 0 && hole < st.st_size) {
		off_t kept = hole & ~(off_t)(HOLE_MARGIN - 1);
		if (ftruncate(w->fd, kept > HOLE_MARGIN ? kept - HOLE_MARGIN : 0) < 0)
			return err_errno(errno, "cannot shorten %s/%s", w->store->root, w->name);
	}
	if (lseek(w->fd, 0, SEEK_SET) < 0)
		return err_errno(errno, "cannot read %s/%s", w->store->root, w->name);
	return NULL;
}

/* Hashes what an interrupted attempt left. Bytes that cannot be read are not worth an error: start from the
 * beginning. */
static struct err *take_over(struct blob_writer *w)
{
	TRY(drop_behind_hole(w));
	const size_t chunk = 1 << 20;
	_cleanup_free_ char *buf = xmalloc(chunk);

	while (true) {
		ssize_t n = read(w->fd, buf, chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return blob_writer_restart(w);
		if (n == 0)
			break;
		digest_stream_update(w->hash, buf, (size_t)n);
		w->size += (uint64_t)n;
	}
	w->kept = w->size;
	return NULL;
}

struct err *blob_writer_begin(struct store *s, const struct digest *expected, const struct progress *progress,
			      struct blob_writer **ret)
{
	TRY(store_check_writable(s));
	struct blob_writer *w = xnew(struct blob_writer);
	struct err *e;

	w->store = s;
	w->fd = -1;
	if (expected) {
		w->expected = *expected;
		w->name = xasprintf("ingest/%s-%s", digest_algorithm(expected), digest_hex(expected));
		e = lock_ingest(w, progress, &w->fd);
		if (!e && w->fd < 0) {
			writer_free(w);
			*ret = NULL;
			return NULL;
		}
		if (!e) {
			w->hash = digest_stream_new_like(expected);
			e = take_over(w);
		}
	} else {
		e = make_unique(s, "blob", &w->name);
		if (!e) {
			w->fd = openat(s->root_fd, w->name,
				       O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
			if (w->fd < 0)
				e = err_errno(errno, "cannot write %s/%s", s->root, w->name);
			else
				flock(w->fd, LOCK_EX);
		}
		w->hash = digest_stream_new_sha256();
	}
	if (e) {
		writer_free(w);
		return e;
	}
	*ret = w;
	return NULL;
}

int blob_writer_fd(const struct blob_writer *w)
{
	return w->fd;
}

uint64_t blob_writer_offset(const struct blob_writer *w)
{
	return w->size;
}

struct err *blob_writer_restart(struct blob_writer *w)
{
	digest_stream_free(w->hash);
	w->hash = w->expected.s[0] ? digest_stream_new_like(&w->expected) : digest_stream_new_sha256();
	w->size = w->kept = w->flushed = 0;
	if (ftruncate(w->fd, 0) < 0 || lseek(w->fd, 0, SEEK_SET) < 0)
		return err_errno(errno, "cannot empty %s/%s", w->store->root, w->name);
	return NULL;
}

/* Write-back starts now and goes on beside the network, so that the sync at the end has little left to do. */
static void write_back(struct blob_writer *w)
{
	if (w->size - w->flushed < WRITEBACK_STEP)
		return;
	sync_file_range(w->fd, (off_t)w->flushed, (off_t)(w->size - w->flushed), SYNC_FILE_RANGE_WRITE);
	w->flushed = w->size;
}

struct err *blob_writer_write(struct blob_writer *w, const void *data, size_t size)
{
	digest_stream_update(w->hash, data, size);
	TRY(blob_writer_write_at(w, data, size, w->size));
	w->size += size;
	write_back(w);
	return NULL;
}

struct err *blob_writer_write_at(struct blob_writer *w, const void *data, size_t size, uint64_t offset)
{
	TRY_WRAP(fd_pwrite_full(w->fd, data, size, (off_t)offset, w->name), "cannot write to image store %s",
		 w->store->root);
	return NULL;
}

struct err *blob_writer_advance(struct blob_writer *w, uint64_t to)
{
	const size_t chunk = (size_t)256 << 10;
	_cleanup_free_ char *buf = xmalloc(chunk);

	while (w->size < to) {
		ssize_t n = pread(w->fd, buf, MIN((uint64_t)chunk, to - w->size), (off_t)w->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(n < 0 ? errno : EIO, "cannot read %s/%s", w->store->root, w->name);
		digest_stream_update(w->hash, buf, (size_t)n);
		w->size += (uint64_t)n;
	}
	write_back(w);
	return NULL;
}

void blob_writer_abort(struct blob_writer *w, bool keep)
{
	if (!w)
		return;
	if (!keep || !digest_is_set(&w->expected) || w->size == 0)
		unlinkat(w->store->root_fd, w->name, 0);
	else if (ftruncate(w->fd, (off_t)w->size) < 0) /* what is behind has holes */
		unlinkat(w->store->root_fd, w->name, 0);
	writer_free(w);
}

static struct err *commit(struct blob_writer *w, uint64_t size, struct digest *ret_digest)
{
	struct store *s = w->store;
	struct digest got;

	digest_stream_final(w->hash, &got);
	if (size != UINT64_MAX && size != w->size)
		return err_new(ERR_CORRUPT, "%s has %" PRIu64 " bytes, expected %" PRIu64,
			       digest_is_set(&w->expected) ? w->expected.s : "a blob", w->size, size);
	if (digest_is_set(&w->expected) && !digest_equal(&got, &w->expected))
		return err_new(ERR_CORRUPT, "%s: the content received has digest %s", w->expected.s, got.s);
	if (fdatasync(w->fd) < 0)
		return err_errno(errno, "cannot sync blob %s in image store %s", got.s, s->root);
	struct blob_path path = blob_path(&got);
	if (renameat(s->root_fd, w->name, s->root_fd, path.s) < 0)
		return err_errno(errno, "cannot move blob %s into image store %s", got.s, s->root);
	_cleanup_free_ char *dir = xasprintf("blobs/%s", digest_algorithm(&got));
	TRY(file_sync_dir(s->root_fd, dir));
	*ret_digest = got;
	return NULL;
}

struct err *blob_writer_commit(struct blob_writer *w, uint64_t size, struct digest *ret_digest, int *ret_fd)
{
	struct digest got;
	struct err *e = commit(w, size, &got);

	if (!e && ret_fd)
		e = store_blob_open(w->store, &got, ret_fd);
	if (e) {
		blob_writer_abort(w, false);
		return e;
	}
	if (ret_digest)
		*ret_digest = got;
	writer_free(w);
	return NULL;
}

struct err *blob_put(struct store *s, const void *data, size_t size, struct digest *ret)
{
	struct digest d;
	struct blob_writer *w;

	digest_of(data, size, &d);
	TRY(blob_writer_begin(s, &d, NULL, &w));
	if (w) {
		struct err *e = blob_writer_restart(w);
		if (!e)
			e = blob_writer_write(w, data, size);
		if (e) {
			blob_writer_abort(w, false);
			return e;
		}
		TRY(blob_writer_commit(w, size, NULL, NULL));
	}
	*ret = d;
	return NULL;
}

struct err *ingest_directory(struct store *s, char **ret_name, int *ret_fd)
{
	_cleanup_free_ char *name = NULL;

	TRY(store_check_writable(s));
	TRY(make_unique(s, "layer", &name));
	if (mkdirat(s->root_fd, name, 0700) < 0)
		return err_errno(errno, "cannot make directory %s/%s", s->root, name);
	int fd = openat(s->root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno(errno, "cannot open directory %s/%s", s->root, name);
	flock(fd, LOCK_EX);
	*ret_name = TAKE_PTR(name);
	*ret_fd = fd;
	return NULL;
}
