/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a container's log (monitor/log_file.h has the format), from any place, through rotation, and following without
 * polling: inotify tells of writes, renames and the end; the monitor's socket tells of its death.
 *
 * A file is identified by its inode. Rotation renames container.log to .1, .1 to .2, …, so the file after the one in hand is the one
 * with the next lower number; when ours has dropped off the end, the oldest there is. */
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_entry.h"
#include "private.h"

#define ENTRY_MAX (1u << 20) /* a longer line is damage */
#define FILES_MAX 1001u

typedef struct err *(*line_fn)(void *user, int stream, int64_t time_ns, const char *data, size_t size);

struct reader {
	const char *path;
	const struct log_options *o;
	line_fn line;
	void *user;
	int fd;
	struct log_entry entry;
	struct strbuf detailed; /* attributes and text, for --details */
	struct strbuf partial;  /* the beginning of an entry that is not whole yet */
	bool skipping;          /* inside a line beyond ENTRY_MAX */
	bool past_until;
};

static char *file_name(const struct reader *r, unsigned number)
{
	return number == 0 ? xstrdup(r->path) : xasprintf("%s.%u", r->path, number);
}

static struct err *entry(struct reader *r, const char *text, size_t n)
{
	struct log_entry *e = &r->entry;

	if (!log_entry_parse(text, n, e)) /* cut off by a power loss: the others are still worth reading */
		return NULL;
	if (r->o->since_ns && e->time_ns < r->o->since_ns)
		return NULL;
	if (r->o->until_ns && e->time_ns > r->o->until_ns) {
		r->past_until = true;
		return NULL;
	}
	if (e->stream == 0 ? !r->o->stdout_ : !r->o->stderr_)
		return NULL;
	if (!r->o->details)
		return r->line(r->user, e->stream + 1, e->time_ns, strbuf_str(&e->text), e->text.len);
	strbuf_reset(&r->detailed);
	strbuf_append(&r->detailed, strbuf_str(&e->attributes), e->attributes.len);
	strbuf_putc(&r->detailed, ' ');
	strbuf_append(&r->detailed, strbuf_str(&e->text), e->text.len);
	return r->line(r->user, e->stream + 1, e->time_ns, r->detailed.data, r->detailed.len);
}

static struct err *feed(struct reader *r, const char *data, size_t size)
{
	while (size > 0 && !r->past_until) {
		const char *nl = memchr(data, '\n', size);
		size_t n = nl ? (size_t)(nl - data) : size;

		if (r->skipping) {
			r->skipping = !nl;
		} else if (nl && r->partial.len == 0) {
			TRY(entry(r, data, n));
		} else {
			strbuf_append(&r->partial, data, n);
			if (nl) {
				TRY(entry(r, r->partial.data, r->partial.len));
				strbuf_reset(&r->partial);
			} else if (r->partial.len > ENTRY_MAX) {
				strbuf_release(&r->partial);
				r->skipping = true;
			}
		}
		data += n + (nl ? 1 : 0);
		size -= n + (nl ? 1 : 0);
	}
	return NULL;
}

static struct err *read_to_end(struct reader *r)
{
	char chunk[32768];

	while (!r->past_until) {
		ssize_t n = read(r->fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(errno, "cannot read the log %s", r->path);
		if (n == 0)
			break;
		TRY(feed(r, chunk, (size_t)n));
	}
	return NULL;
}

/* The number of the oldest file there is; false: none at all. */
static bool oldest(const struct reader *r, unsigned *ret)
{
	bool found = false;

	for (unsigned k = 0; k < FILES_MAX; k++) {
		_cleanup_free_ char *name = file_name(r, k);
		if (access(name, F_OK) == 0) {
			*ret = k;
			found = true;
		} else if (k > 0) {
			break;
		}
	}
	return found;
}

static bool same_file(int fd, const char *path)
{
	struct stat a, b;
	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static struct err *open_number(struct reader *r, unsigned number, bool *ret_opened)
{
	_cleanup_free_ char *name = file_name(r, number);
	struct stat st;
	/* A FIFO of that name must not stop us. */
	int fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);

	*ret_opened = fd >= 0;
	if (fd < 0)
		return errno == ENOENT ? NULL : err_errno(errno, "cannot open the log %s", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		*ret_opened = false;
		return err_new(ERR_INVALID, "the log %s is not a regular file", name);
	}
	fd_close(r->fd);
	r->fd = fd;
	strbuf_reset(&r->partial);
	return NULL;
}

/* Steps to the file after the one in hand. *ret_moved false: it is the newest. */
static struct err *next_file(struct reader *r, bool *ret_moved)
{
	*ret_moved = false;
	for (unsigned k = 0; k < FILES_MAX; k++) {
		_cleanup_free_ char *name = file_name(r, k);
		if (r->fd >= 0 && same_file(r->fd, name)) {
			if (k == 0)
				return NULL;
			return open_number(r, k - 1, ret_moved);
		}
		if (k > 0 && access(name, F_OK) < 0)
			break;
	}
	unsigned first;
	return oldest(r, &first) ? open_number(r, first, ret_moved) : NULL;
}

static struct err *read_all(struct reader *r)
{
	bool moved = true;

	while (moved && !r->past_until) {
		TRY(read_to_end(r));
		TRY(next_file(r, &moved));
		if (!moved) /* what came between the end of file and the look */
			TRY(read_to_end(r));
	}
	return NULL;
}

/* -- tail --- */

/* Counts backwards: the offset at which the last *left lines of the file begin; *left becomes what is still missing. */
static struct err *tail_offset(int fd, const char *path, int64_t *left, off_t *ret)
{
	char block[8192];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot look at the log %s", path);
	off_t at = st.st_size;
	bool last = true; /* the newline that ends the last line begins no line */
	while (at > 0) {
		size_t want = (size_t)MIN(at, (off_t)sizeof(block)), got;
		at -= (off_t)want;
		TRY(fd_pread_full(fd, block, want, at, path, &got));
		for (size_t i = got; i > 0; i--) {
			if (block[i - 1] != '\n')
				continue;
			if (last) {
				last = false;
			} else if (--*left == 0) {
				*ret = at + (off_t)i;
				return NULL;
			}
		}
	}
	if (!last)
		(*left)--; /* the first line has no newline before it */
	*ret = 0;
	return NULL;
}

static struct err *seek_tail(struct reader *r, int64_t tail)
{
	unsigned k = 0;
	bool opened;

	TRY(open_number(r, 0, &opened));
	if (!opened)
		return NULL;
	if (tail == 0) {
		(void)lseek(r->fd, 0, SEEK_END);
		return NULL;
	}
	while (true) {
		off_t offset = 0;
		TRY(tail_offset(r->fd, r->path, &tail, &offset));
		(void)lseek(r->fd, offset, SEEK_SET);
		if (tail <= 0)
			return NULL;
		TRY(open_number(r, ++k, &opened));
		if (!opened)
			return NULL; /* the file in hand stays the oldest, at its beginning */
	}
}

/* -- follow --- */

static bool ended(struct engine *e, struct container *c)
{
	bool orphaned;
	struct err *error = container_derive(e, c, &orphaned);

	if (error) {
		err_free(error);
		return true;
	}
	return orphaned || (c->status != CONTAINER_RUNNING && c->status != CONTAINER_PAUSED);
}

static struct err *follow(struct engine *e, struct container *c, struct reader *r, int inotify)
{
	struct attach *a = NULL;
	struct err *error = NULL;
	char events[4096];

	err_free(attach_connect(c, 0, &a)); /* without it, it has ended: which is looked at next */
	while (!error && !r->past_until) {
		bool over = !a || ended(e, c);
		error = read_all(r);
		if (error || over)
			break;
		struct pollfd p[3] = {{.fd = inotify, .events = POLLIN},
				      {.fd = attach_fd(a), .events = POLLIN},
				      {.fd = r->o->stop > 0 ? r->o->stop : -1, .events = POLLRDHUP}};
		if (poll(p, 3, -1) < 0 && errno != EINTR)
			error = err_errno(errno, "cannot wait for the log");
		if (p[2].revents)
			break;
		if (p[0].revents)
			(void)!read(inotify, events, sizeof(events));
		if (p[1].revents) { /* EXIT comes after the last entry was written; so does the end of file */
			attach_free(a);
			a = NULL;
		}
	}
	attach_free(a);
	return error;
}

struct err *container_logs(struct engine *e, struct container *c, const struct log_options *o, line_fn line,
			   void *user)
{
	struct reader r = {.path = c->log_path, .o = o, .line = line, .user = user, .fd = -1};
	_cleanup_fd_ int inotify = -1;
	struct err *error;
	bool moved;

	if (str_eq(c->spec->log_driver, "journald"))
		return err_new(ERR_UNSUPPORTED,
			       "the log of container %s is in the journal: journalctl CONTAINER_ID_FULL=%s",
			       c->name, c->id);
	if (!c->log_path)
		return err_new(ERR_UNSUPPORTED, "container %s has no log: it was made with --log-driver none",
			       c->name);
	if (o->follow) { /* before the first read, so that nothing falls between */
		inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (inotify < 0 ||
		    inotify_add_watch(inotify, c->root_dir,
				      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR) < 0)
			return err_errno(errno, "cannot follow the log of container %s", c->name);
	}
	error = o->tail >= 0 ? seek_tail(&r, o->tail) : next_file(&r, &moved);
	if (!error && r.fd >= 0)
		error = read_all(&r);
	if (!error && o->follow && (c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED))
		error = follow(e, c, &r, inotify);
	fd_close(r.fd);
	strbuf_release(&r.partial);
	strbuf_release(&r.entry.text);
	strbuf_release(&r.entry.attributes);
	strbuf_release(&r.detailed);
	return error;
}
