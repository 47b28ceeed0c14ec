/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a bus, or to a peer such as systemd's private socket. Nothing in it waits longer than the caller's deadline: the
 * other side may be overloaded, stopped, or not what it seems. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/dbus.h"
#include "base/fd.h"
#include "base/memory.h"
#include "base/timestamp.h"

#define LINE_MAX_BYTES 512 /* of the authentication; a server's guid has 32 characters */

static struct err *wait_ready(int fd, short events, int64_t deadline_ns)
{
	while (true) {
		struct pollfd p = {.fd = fd, .events = events};
		int64_t left_ms = (deadline_ns - timestamp_monotonic_ns() + 999999) / 1000000;
		if (left_ms <= 0)
			return err_new(ERR_TIMEOUT, "no answer in time");
		int n = poll(&p, 1, (int)MIN(left_ms, (int64_t)3600000));
		if (n > 0)
			return NULL;
		if (n < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for an answer");
	}
}

static struct err *write_all(int fd, const void *data, size_t size, int64_t deadline_ns)
{
	const char *p = data;
	while (size > 0) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			TRY(wait_ready(fd, POLLOUT, deadline_ns));
		else if (n < 0 && errno != EINTR)
			return err_wrap_kind(err_errno(errno, "cannot send"), ERR_UNREACHABLE,
					     "the other side broke off");
		if (n > 0) {
			p += n;
			size -= (size_t)n;
		}
	}
	return NULL;
}

static struct err *read_all(int fd, void *data, size_t size, int64_t deadline_ns)
{
	char *p = data;
	while (size > 0) {
		TRY(wait_ready(fd, POLLIN, deadline_ns));
		ssize_t n = recv(fd, p, size, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return err_new(ERR_UNREACHABLE, "the other side closed the connection");
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_errno(errno, "cannot receive");
		if (n > 0) {
			p += n;
			size -= (size_t)n;
		}
	}
	return NULL;
}

/* A full backlog is EAGAIN for a non-blocking socket, and nothing tells when there is room again. */
static struct err *connect_socket(const char *path, int64_t deadline_ns, int *ret)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timespec pause = {.tv_nsec = 1000000};
	if (strlen(path) >= sizeof(address.sun_path))
		return err_new(ERR_LIMIT, "the path %s is too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(errno, "cannot make a socket");
	while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return err_errno(errno, "cannot connect to %s", path);
		if (timestamp_monotonic_ns() >= deadline_ns)
			return err_new(ERR_TIMEOUT, "%s accepts no connection in time", path);
		nanosleep(&pause, NULL);
		pause.tv_nsec = MIN(pause.tv_nsec * 2, 100000000L);
	}
	*ret = TAKE_FD(fd);
	return NULL;
}

/* Byte by byte: what follows the line belongs to the messages, and it is one short line. */
static struct err *read_line(int fd, char *line, int64_t deadline_ns)
{
	for (size_t n = 0; n < LINE_MAX_BYTES - 1; n++) {
		TRY(read_all(fd, line + n, 1, deadline_ns));
		if (line[n] == '\n') {
			line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
			return NULL;
		}
	}
	return err_new(ERR_CORRUPT, "the authentication has a line of more than %d bytes", LINE_MAX_BYTES);
}

/* EXTERNAL: the server knows from the socket who we are. We do not say it, as our uid may be another one on its side of a user
 * namespace. All in one piece, BEGIN too, before it has agreed: systemd overlooks a message that it reads together with BEGIN, until the next
 * one comes. Our first message comes after its agreement, which comes after it has read this. */
static struct err *authenticate(int fd, int64_t deadline_ns)
{
	static const char all[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
	char line[LINE_MAX_BYTES];
	TRY(write_all(fd, all, sizeof(all) - 1, deadline_ns));
	TRY(read_line(fd, line, deadline_ns));
	if (str_eq(line, "DATA") || str_eq(line, "DATA "))
		TRY(read_line(fd, line, deadline_ns));
	if (!str_starts(line, "OK"))
		return err_new(ERR_PERMISSION, "authentication refused: it answers \"%.40s\"", line);
	return NULL;
}

static struct err *say_hello(struct dbus_connection *c, int64_t deadline_ns)
{
	static const struct dbus_call hello = {.destination = "org.freedesktop.DBus",
					       .path = "/org/freedesktop/DBus",
					       .interface = "org.freedesktop.DBus",
					       .member = "Hello"};
	struct dbus_message m;
	TRY(dbus_ask(c, &hello, NULL, deadline_ns, &m));
	if (m.type == DBUS_ERROR)
		return err_new(ERR_PERMISSION, "the bus does not let us in: %.80s", m.error_name);
	return NULL;
}

struct err *dbus_connect(const char *socket_path, bool bus, int64_t deadline_ns, struct dbus_connection *ret)
{
	struct dbus_connection c = {.fd = -1};
	struct err *e = connect_socket(socket_path, deadline_ns, &c.fd);
	if (e)
		return e;
	e = authenticate(c.fd, deadline_ns);
	if (!e && bus)
		e = say_hello(&c, deadline_ns);
	if (e) {
		dbus_disconnect(&c);
		return err_wrap(e, "%s", socket_path);
	}
	*ret = c;
	return NULL;
}

void dbus_disconnect(struct dbus_connection *c)
{
	fd_close(c->fd);
	strbuf_release(&c->in);
}

struct err *dbus_receive(struct dbus_connection *c, int64_t deadline_ns, struct dbus_message *ret)
{
	uint8_t header[DBUS_HEADER_SIZE];
	size_t size;
	TRY(read_all(c->fd, header, sizeof(header), deadline_ns));
	TRY(dbus_message_size(header, &size));
	strbuf_reset(&c->in);
	strbuf_append(&c->in, header, sizeof(header));
	strbuf_reserve(&c->in, size - sizeof(header));
	TRY(read_all(c->fd, c->in.data + sizeof(header), size - sizeof(header), deadline_ns));
	c->in.len = size;
	c->in.data[size] = '\0';
	return dbus_message_parse((const uint8_t *)c->in.data, size, ret);
}

struct err *dbus_ask(struct dbus_connection *c, const struct dbus_call *call, const struct strbuf *body,
		     int64_t deadline_ns, struct dbus_message *ret)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	struct dbus_message m;
	dbus_call_encode(call, ++c->serial, body, &out);
	TRY(write_all(c->fd, out.data, out.len, deadline_ns));
	do
		TRY(dbus_receive(c, deadline_ns, &m));
	while ((m.type != DBUS_RETURN && m.type != DBUS_ERROR) || m.reply_serial != c->serial);
	*ret = m;
	return NULL;
}
