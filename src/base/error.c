/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

#define ENCODED_DEPTH_MAX 32
#define ENCODED_MESSAGE_MAX 8192u
#define ENCODED_SIZE_MAX (ENCODED_DEPTH_MAX * (ENCODED_MESSAGE_MAX + 12))

static const char *const kind_names[] = {
	[ERR_INVALID] = "invalid",
	[ERR_NOT_FOUND] = "not-found",
	[ERR_EXISTS] = "exists",
	[ERR_STATE] = "state",
	[ERR_BUSY] = "busy",
	[ERR_PERMISSION] = "permission",
	[ERR_UNAUTHORIZED] = "unauthorized",
	[ERR_UNREACHABLE] = "unreachable",
	[ERR_CORRUPT] = "corrupt",
	[ERR_LIMIT] = "limit",
	[ERR_NO_SPACE] = "no-space",
	[ERR_UNSUPPORTED] = "unsupported",
	[ERR_TIMEOUT] = "timeout",
	[ERR_CANCELLED] = "cancelled",
	[ERR_EXEC] = "exec",
	[ERR_SYSTEM] = "system",
	[ERR_INTERNAL] = "internal",
};

const char *err_kind_name(enum err_kind kind)
{
	if (kind < ERR_INVALID || kind > ERR_INTERNAL)
		return "unknown";
	return kind_names[kind];
}

enum err_kind err_kind_from_errno(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ESRCH:
	case ENXIO:
	case ENODEV:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION;
	case ENOSPC:
	case EDQUOT:
	case ENOMEM:
		return ERR_NO_SPACE;
	case EBUSY:
	case EAGAIN:
	case ETXTBSY:
		return ERR_BUSY;
	case ENOSYS:
	case EOPNOTSUPP:
		return ERR_UNSUPPORTED;
	case EINVAL:
	case ENOTDIR:
	case EISDIR:
	case ENAMETOOLONG:
	case ELOOP:
		return ERR_INVALID;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ECONNRESET:
		return ERR_UNREACHABLE;
	default:
		return ERR_SYSTEM;
	}
}

static struct err *err_make(enum err_kind kind, int errnum, char *message, struct err *cause)
{
	struct err *e = xnew(struct err);

	e->kind = kind;
	e->errnum = errnum;
	e->message = message;
	e->cause = cause;
	return e;
}

struct err *err_new(enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *message = xvasprintf(fmt, ap);
	va_end(ap);
	return err_make(kind, 0, message, NULL);
}

struct err *err_errno(int errnum, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *message = xvasprintf(fmt, ap);
	va_end(ap);
	return err_make(err_kind_from_errno(errnum), errnum, message, NULL);
}

struct err *err_wrap(struct err *cause, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *message = xvasprintf(fmt, ap);
	va_end(ap);
	return err_make(cause->kind, cause->errnum, message, cause);
}

struct err *err_wrap_kind(struct err *cause, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *message = xvasprintf(fmt, ap);
	va_end(ap);
	return err_make(kind, cause->errnum, message, cause);
}

void err_free(struct err *e)
{
	while (e) {
		struct err *cause = e->cause;

		free(e->message);
		free(e);
		e = cause;
	}
}

/* The C library's words in small letters: they continue a sentence, and callers of runc look for them as Go writes them. */
static void put_errno(struct strbuf *out, int errnum)
{
	const char *text = strerror(errnum);
	bool word = text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z');

	strbuf_printf(out, ": %c%s", word ? text[0] - 'A' + 'a' : text[0], text + 1);
}

char *err_text(const struct err *e)
{
	struct strbuf out = {0};

	for (; e; e = e->cause) {
		strbuf_puts(&out, e->message);
		if (e->cause)
			strbuf_puts(&out, ": ");
		else if (e->errnum)
			put_errno(&out, e->errnum);
	}
	return strbuf_take(&out);
}

static void put_u32(struct strbuf *out, uint32_t v)
{
	strbuf_append(out, &v, sizeof(v));
}

void err_encode(const struct err *e, unsigned char **ret_data, size_t *ret_size)
{
	struct strbuf out = {0};

	for (int depth = 0; e && depth < ENCODED_DEPTH_MAX; e = e->cause, depth++) {
		size_t len = MIN(strlen(e->message), (size_t)ENCODED_MESSAGE_MAX);

		put_u32(&out, (uint32_t)e->kind);
		put_u32(&out, (uint32_t)e->errnum);
		put_u32(&out, (uint32_t)len);
		strbuf_append(&out, e->message, len);
	}
	*ret_size = out.len;
	*ret_data = (unsigned char *)strbuf_take(&out);
}

struct err *err_decode(const unsigned char *data, size_t size)
{
	struct err *first = NULL, **tail = &first;

	for (int depth = 0; size > 0; depth++) {
		uint32_t head[3];

		if (depth >= ENCODED_DEPTH_MAX || size < sizeof(head))
			goto damaged;
		memcpy(head, data, sizeof(head));
		data += sizeof(head);
		size -= sizeof(head);
		if (head[0] < ERR_INVALID || head[0] > ERR_INTERNAL || head[2] > ENCODED_MESSAGE_MAX ||
		    head[2] > size)
			goto damaged;
		*tail = err_make((enum err_kind)head[0], (int)head[1], xstrndup((const char *)data, head[2]),
				 NULL);
		tail = &(*tail)->cause;
		data += head[2];
		size -= head[2];
	}
	if (first)
		return first;
damaged:
	err_free(first);
	return err_new(ERR_INTERNAL, "damaged error report from another process");
}

struct err *err_send(int fd, const struct err *e)
{
	_cleanup_free_ unsigned char *data = NULL;
	_cleanup_strbuf_ struct strbuf frame = {0};
	size_t size = 0;

	if (e)
		err_encode(e, &data, &size);
	/* One write: a frame of a few hundred bytes is never torn by the death of the sender. */
	put_u32(&frame, (uint32_t)size);
	strbuf_append(&frame, data, size);
	return fd_write_full(fd, frame.data, frame.len, "error report");
}

struct err *err_receive(int fd, const char *peer, struct err **ret_reported)
{
	uint32_t size;
	size_t n;

	TRY(fd_read_full(fd, &size, sizeof(size), peer, &n));
	if (n == 0)
		return err_new(ERR_INTERNAL, "%s ended without a report", peer);
	if (n != sizeof(size) || size > ENCODED_SIZE_MAX)
		return err_new(ERR_INTERNAL, "damaged error report from %s", peer);
	if (size == 0) {
		*ret_reported = NULL;
		return NULL;
	}
	_cleanup_free_ unsigned char *data = xmalloc(size);
	TRY(fd_read_full(fd, data, size, peer, &n));
	if (n != size)
		return err_new(ERR_INTERNAL, "%s died while reporting an error", peer);
	*ret_reported = err_decode(data, size);
	return NULL;
}
