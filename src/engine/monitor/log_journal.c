/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's native protocol: a datagram an entry, lines of NAME=value (systemd's JOURNAL_NATIVE_PROTOCOL). */
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd.h"
#include "log_file.h"

#define SEND_TIMEOUT_S 1 /* a journal that hangs costs entries, not the container's time */

struct err *log_journal_open(struct log_file *l)
{
	struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};

	fd_close(l->fd);
	TRY_WRAP(fd_unix_connect(l->path, SOCK_DGRAM, &l->fd), "cannot reach the journal at %s", l->path);
	(void)setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	return NULL;
}

void log_journal_entry(struct log_file *l, int stream, const char *text, size_t n)
{
	struct strbuf *b = &l->pending;
	bool whole = n > 0 && text[n - 1] == '\n';

	/* syslog's levels, as docker gives them: informational, and errors */
	strbuf_printf(b, "PRIORITY=%d\n%s%sMESSAGE=", stream == 0 ? 6 : 3, l->extra ? l->extra : "",
		      whole ? "" : "CONTAINER_PARTIAL_MESSAGE=true\n");
	strbuf_append(b, text, whole ? n - 1 : n);
	strbuf_putc(b, '\n');
	for (int i = 0; i < 2; i++) {
		if (l->fd >= 0 && send(l->fd, b->data, b->len, MSG_NOSIGNAL) >= 0)
			break;
		int errnum = l->fd < 0 ? ENOTCONN : errno;
		/* It was started anew meanwhile. */
		struct err *e = i == 0 && (errnum == ECONNREFUSED || errnum == ENOTCONN)
					? log_journal_open(l)
					: err_errno(errnum, "journal");
		if (e && !l->failed)
			l->failed = errnum;
		bool stop = e;
		err_free(e);
		if (stop)
			break;
	}
	strbuf_reset(b);
}
