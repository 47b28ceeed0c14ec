/* SPDX-License-Identifier: Apache-2.0 */
/* Staying in front of a process: signals are forwarded, the terminal is passed through, the exit code comes back. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "base/str.h"
#include "oci.h"

struct err *console_socket_connect(const char *path, int *ret_fd)
{
	TRY_WRAP(fd_unix_connect(path, SOCK_STREAM, ret_fd), "console socket");
	return NULL;
}

struct err *pidfd_socket_send(const char *path, int pidfd)
{
	_cleanup_fd_ int sock = -1;
	TRY_WRAP(fd_unix_connect(path, SOCK_STREAM, &sock), "pidfd socket");
	return fd_send(sock, "pidfd", 5, &pidfd, 1);
}

unsigned listen_fds_count(void)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	uint64_t n = 0, whose = 0;
	if (!count)
		return 0;
	/* Meant for another process of the chain: not ours to pass on. */
	struct err *e = pid ? parse_u64(pid, "LISTEN_PID", 0, INT32_MAX, &whose) : NULL;
	if (!e && (!pid || whose == (uint64_t)getpid()))
		e = parse_u64(count, "LISTEN_FDS", 0, 65536, &n);
	err_free(e);
	return (unsigned)n;
}

const char *notify_address(void)
{
	const char *address = getenv("NOTIFY_SOCKET");
	return str_empty(address) ? NULL : address;
}

static const int forwarded[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
				SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGIO,   SIGPWR,  SIGWINCH};

static void forwarded_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(set, forwarded[i]);
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		sigaddset(set, s);
}

struct err *foreground_prepare(void)
{
	sigset_t set;
	forwarded_set(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_errno(errno, "cannot block signals");
	return NULL;
}

struct relay {
	int pidfd, console, signals;
	bool input, raw;
	struct rt_notify *notify; /* NULL: none */
	struct termios saved;
};

void foreground_resize(int console)
{
	struct winsize size;

	if (console >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		(void)ioctl(console, TIOCSWINSZ, &size);
}

void foreground_terminal(int console)
{
	struct termios mode;

	foreground_resize(console);
	/* Where our output is no terminal nobody wants the carriage returns of one; as with runc. */
	if (console < 0 || isatty(STDOUT_FILENO) || tcgetattr(console, &mode) < 0)
		return;
	mode.c_oflag &= ~(tcflag_t)ONLCR;
	(void)tcsetattr(console, TCSANOW, &mode);
}

static void raw_on(struct relay *r)
{
	struct termios raw;
	if (r->console < 0 || tcgetattr(STDIN_FILENO, &r->saved) < 0)
		return;
	raw = r->saved;
	cfmakeraw(&raw);
	r->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void raw_off(struct relay *r)
{
	if (r->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &r->saved);
}

static struct err *take_signal(struct relay *r)
{
	struct signalfd_siginfo info;
	if (read(r->signals, &info, sizeof(info)) != sizeof(info))
		return NULL;
	if (info.ssi_signo == SIGWINCH && r->console >= 0) {
		foreground_resize(r->console);
		return NULL;
	}
	struct err *e = process_signal(r->pidfd, (int)info.ssi_signo);
	if (e && e->errnum == ESRCH) { /* it ended just now: the next poll sees that */
		err_free(e);
		return NULL;
	}
	return e;
}

/* False at the end of `from`. */
static bool copy_some(int from, int to)
{
	char buffer[16384];
	ssize_t n = read(from, buffer, sizeof(buffer));
	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	struct err *e = fd_write_full(to, buffer, (size_t)n, "terminal");
	bool ok = !e;
	err_free(e);
	return ok;
}

/* The container goes on when its word does not get through. */
static void relay_notification(struct relay *r)
{
	struct err *e = rt_notify_take(r->notify);
	if (e)
		log_err(LOG_LEVEL_WARN, e);
	err_free(e);
}

static struct err *relay_loop(struct relay *r)
{
	while (true) {
		struct pollfd fds[] = {
			{.fd = r->pidfd, .events = POLLIN},
			{.fd = r->signals, .events = POLLIN},
			{.fd = r->console, .events = POLLIN},
			{.fd = r->console >= 0 && r->input ? STDIN_FILENO : -1, .events = POLLIN},
			{.fd = r->notify ? r->notify->socket : -1, .events = POLLIN},
		};
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for the container");
		if (fds[1].revents)
			TRY(take_signal(r));
		if (fds[4].revents)
			relay_notification(r);
		/* The last output is still in the terminal when the process has ended: it is drained first. */
		if (fds[2].revents) {
			if (!copy_some(r->console, STDOUT_FILENO))
				r->console = -1;
			continue;
		}
		if (fds[3].revents)
			r->input = copy_some(STDIN_FILENO, r->console);
		if (fds[0].revents)
			return NULL;
	}
}

struct err *foreground_wait(int pidfd, int console, struct rt_notify *notify, int *ret_code)
{
	_cleanup_fd_ int signals = -1;
	sigset_t set;
	int status;
	forwarded_set(&set);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_errno(errno, "cannot watch for signals");
	struct relay r = {
		.pidfd = pidfd, .console = console, .signals = signals, .input = true, .notify = notify};
	raw_on(&r);
	struct err *e = relay_loop(&r);
	raw_off(&r);
	if (e)
		return e;
	TRY(process_wait(pidfd, -1, &status));
	*ret_code = process_exit_code(status);
	return NULL;
}
