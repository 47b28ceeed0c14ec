/* SPDX-License-Identifier: Apache-2.0 */
#include "log_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/timestamp.h"

static struct err *open_file(struct log_file *l)
{
	struct stat st;
	_cleanup_fd_ int fd =
		open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW,
		     0600);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(errno, "cannot open the log %s", l->path);
	if (!S_ISREG(st.st_mode))
		return err_new(ERR_INVALID, "the log %s is not a regular file", l->path);
	l->size = (uint64_t)st.st_size;
	l->fd = TAKE_FD(fd);
	return NULL;
}

struct err *log_file_open(struct log_file *l, const char *path, uint64_t max_size, unsigned max_file)
{
	*l = (struct log_file){.fd = -1, .max_size = max_size, .max_file = max_file > 0 ? max_file : 1};
	l->path = xstrdup(path);
	return open_file(l);
}

static void fail(struct log_file *l, int errnum)
{
	if (!l->failed)
		l->failed = errnum;
}

/* Writes the pending entries. What a full disk cut off is taken back, so that the file stays whole lines. */
static void flush(struct log_file *l)
{
	size_t done = 0;

	while (done < l->pending.len && l->fd >= 0) {
		ssize_t n = write(l->fd, l->pending.data + done, l->pending.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fail(l, n < 0 ? errno : EIO);
			if (done > 0 && ftruncate(l->fd, (off_t)l->size) < 0)
				fail(l, errno);
			break;
		}
		done += (size_t)n;
	}
	if (done == l->pending.len)
		l->size += done;
	strbuf_release(&l->pending);
}

static void rotate(struct log_file *l)
{
	flush(l);
	fd_close(l->fd);
	if (l->max_file > 1) {
		for (unsigned k = l->max_file - 1; k >= 1; k--) {
			_cleanup_free_ char *to = xasprintf("%s.%u", l->path, k);
			_cleanup_free_ char *from =
				k > 1 ? xasprintf("%s.%u", l->path, k - 1) : xstrdup(l->path);
			if (rename(from, to) < 0 && errno != ENOENT)
				fail(l, errno);
		}
	} else if (unlink(l->path) < 0) {
		fail(l, errno);
	}
	struct err *e = open_file(l);
	if (e) {
		fail(l, e->errnum);
		err_free(e);
	}
}

/* What the entries of one read have in common: formatting the time for each costs more than the rest. */
struct entry_time {
	int stream;
	char time[TIMESTAMP_STRING_MAX];
};

static struct entry_time entry_time(int stream)
{
	struct entry_time t = {.stream = stream};

	timestamp_format(timestamp_now_ns(), t.time);
	return t;
}

static void put_entry(struct log_file *l, const struct entry_time *t, const char *text, size_t n)
{
	static const char *const streams[] = {"stdout", "stderr"};
	struct strbuf *b = &l->pending;

	if (l->format == LOG_K8S) {
		bool whole = n > 0 && text[n - 1] == '\n';
		strbuf_puts(b, t->time);
		strbuf_putc(b, ' ');
		strbuf_puts(b, streams[t->stream]);
		strbuf_puts(b, whole ? " F " : " P ");
		strbuf_append(b, text, n);
		if (!whole)
			strbuf_putc(b, '\n');
		return;
	}
	strbuf_puts(b, "{\"log\":");
	json_quote(b, text, n);
	strbuf_puts(b, ",\"stream\":\"");
	strbuf_puts(b, streams[t->stream]);
	strbuf_puts(b, "\",");
	if (l->extra)
		strbuf_puts(b, l->extra);
	strbuf_puts(b, "\"time\":\"");
	strbuf_puts(b, t->time);
	strbuf_puts(b, "\"}\n");
}

static void emit(struct log_file *l, const struct entry_time *t, const char *text, size_t n)
{
	size_t start = l->pending.len;

	if (l->format == LOG_JOURNAL) {
		log_journal_entry(l, t->stream, text, n);
		return;
	}
	put_entry(l, t, text, n);
	if (l->max_size > 0 && l->size + l->pending.len > l->max_size && l->size + start > 0) {
		/* The new entry begins the next file. */
		size_t len = l->pending.len - start;
		_cleanup_free_ char *entry = xstrndup(l->pending.data + start, len);
		l->pending.len = start;
		rotate(l);
		strbuf_append(&l->pending, entry, len);
	}
}

/* Where to cut an over-long line: not inside a UTF-8 sequence. */
static size_t cut_at(const char *s, size_t n)
{
	size_t at = n;

	while (at > 0 && n - at < 4 && ((unsigned char)s[at] & 0xC0) == 0x80)
		at--;
	return at > 0 && n - at < 4 ? at : n;
}

void log_file_write(struct log_file *l, int stream, const char *data, size_t size)
{
	struct strbuf *partial = &l->partial[stream];

	if (!l->path)
		return;
	struct entry_time tail = entry_time(stream);
	while (size > 0) {
		const char *nl = memchr(data, '\n', size);
		size_t n = nl ? (size_t)(nl - data) + 1 : size;

		if (partial->len > 0 || !nl) {
			size_t room = LOG_LINE_MAX - partial->len;
			if (n > room) {
				n = partial->len == 0 ? cut_at(data, room) : room;
				nl = NULL;
			}
			strbuf_append(partial, data, n);
			if (nl || partial->len >= LOG_LINE_MAX - 3) {
				emit(l, &tail, partial->data, partial->len);
				strbuf_release(partial);
			}
		} else {
			if (n > LOG_LINE_MAX)
				n = cut_at(data, LOG_LINE_MAX);
			emit(l, &tail, data, n);
		}
		data += n;
		size -= n;
	}
	flush(l);
}

void log_file_flush_partial(struct log_file *l)
{
	for (int stream = 0; l->path && stream < 2; stream++) {
		if (l->partial[stream].len == 0)
			continue;
		struct entry_time tail = entry_time(stream);
		emit(l, &tail, l->partial[stream].data, l->partial[stream].len);
		strbuf_release(&l->partial[stream]);
	}
	if (l->path)
		flush(l);
}

void log_file_release(struct log_file *l)
{
	fd_close(l->fd);
	free(l->path);
	free(l->extra);
	strbuf_release(&l->partial[0]);
	strbuf_release(&l->partial[1]);
	strbuf_release(&l->pending);
	*l = (struct log_file){.fd = -1};
}
