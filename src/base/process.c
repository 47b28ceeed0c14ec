/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"

#define SPAWN_FDS_MAX 64
#define STDERR_KEPT 4096

/* The fds of the child in order, as copies above every target number, so that no dup2 overwrites a source. */
static struct err *collect_fds(const struct process_spawn *p, int *copies, size_t *ret_n)
{
	size_t n = 3 + p->n_fds;

	if (p->n_fds > SPAWN_FDS_MAX)
		return err_new(ERR_INTERNAL, "cannot give %zu file descriptors to a program", p->n_fds);
	for (size_t i = 0; i < n; i++) {
		int source = i < 3 ? p->stdio[i] : p->fds[i - 3];

		if (source < 0) {
			_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
			if (null < 0)
				return err_errno(errno, "cannot open /dev/null");
			TRY(fd_dup(null, (int)n, &copies[i]));
		} else {
			TRY(fd_dup(source, (int)n, &copies[i]));
		}
		*ret_n = i + 1;
	}
	return NULL;
}

struct err *process_spawn(const struct process_spawn *p, pid_t *ret_pid, int *ret_pidfd)
{
	int copies[3 + SPAWN_FDS_MAX];
	size_t n = 0;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t all, none;
	pid_t pid = -1;
	int exec_copy = -1;

	struct err *e = collect_fds(p, copies, &n);
	if (!e && !p->path)
		e = fd_dup(p->exec_fd, (int)(3 + p->n_fds), &exec_copy);
	if (e)
		goto out;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	for (size_t i = 0; i < n; i++)
		posix_spawn_file_actions_adddup2(&actions, copies[i], (int)i);
	/* Every fd of ours is close-on-exec; those that we inherited ourselves may not be. */
	if (exec_copy < 0)
		posix_spawn_file_actions_addclosefrom_np(&actions, (int)n);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, (short)(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
						(p->new_session ? POSIX_SPAWN_SETSID : 0)));
	struct fd_path exec_path = fd_path(exec_copy);
	const char *path = p->path ? p->path : exec_path.s;
	int status = posix_spawn(&pid, path, &actions, &attr, p->argv, p->env ? p->env : environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	if (status != 0) {
		e = err_errno(status, "cannot execute %s", p->path ? p->path : p->argv[0]);
		e->kind = ERR_EXEC;
		goto out;
	}
	if (ret_pidfd) {
		int pidfd;
		e = process_pidfd_open(pid, &pidfd); /* unreaped child: the pid is still its own */
		if (e)
			goto out;
		*ret_pidfd = pidfd;
	}
	if (ret_pid)
		*ret_pid = pid;
out:
	for (size_t i = 0; i < n; i++)
		close(copies[i]);
	fd_close(exec_copy);
	return e;
}

struct err *process_wait(int pidfd, int timeout_ms, int *ret_status)
{
	siginfo_t info = {0};

	if (timeout_ms >= 0) {
		int64_t end = timestamp_monotonic_ns() + (int64_t)timeout_ms * 1000000;
		while (true) {
			int64_t left = (end - timestamp_monotonic_ns()) / 1000000;
			struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
			int n = poll(&pfd, 1, (int)MAX(left, (int64_t)0));
			if (n > 0)
				break;
			if (n == 0)
				return err_new(ERR_TIMEOUT, "the process did not end within %d ms",
					       timeout_ms);
			if (errno != EINTR)
				return err_errno(errno, "cannot wait for a process");
		}
	}
	while (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0)
		if (errno != EINTR)
			return err_errno(errno, "cannot wait for a process");
	*ret_status = info.si_code == CLD_EXITED
			      ? (info.si_status & 0xff) << 8
			      : (info.si_status & 0x7f) | (info.si_code == CLD_DUMPED ? 0x80 : 0);
	return NULL;
}

int process_exit_code(int wait_status)
{
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

char *process_locate(const char *name)
{
	const char *path = getenv("PATH");
	_cleanup_strv_ char **dirs = strv_split(path ? path : "/usr/local/bin:/usr/bin:/bin", ":");

	STRV_FOREACH (dir, dirs) {
		_cleanup_free_ char *file = xasprintf("%s/%s", *dir, name);
		if (**dir == '/' && access(file, X_OK) == 0)
			return TAKE_PTR(file);
	}
	return NULL;
}

/* -- process_run
 * ---------------------------------------------------------------------------------------------- */

struct run_io {
	int in, out, err; /* our ends; -1 once closed */
	const char *input;
	size_t input_left, max_output;
	struct strbuf output, errors;
};

static struct err *run_read(int *fd, struct strbuf *into, size_t *ret_n)
{
	char chunk[4096];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	*ret_n = 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return err_errno(errno, "cannot read a program's output");
	if (n == 0)
		fd_close(*fd);
	if (n > 0) {
		strbuf_append(into, chunk, (size_t)n);
		*ret_n = (size_t)n;
	}
	return NULL;
}

static struct err *run_step(struct run_io *io, const struct pollfd *pfds)
{
	size_t n;

	if (io->in >= 0 && pfds[0].revents) {
		ssize_t w = write(io->in, io->input, io->input_left);
		if (w > 0) {
			io->input += w;
			io->input_left -= (size_t)w;
		}
		/* A program that does not read its input is not an error. */
		if (io->input_left == 0 || (w < 0 && errno != EAGAIN && errno != EINTR))
			fd_close(io->in);
	}
	if (io->out >= 0 && pfds[1].revents) {
		TRY(run_read(&io->out, &io->output, &n));
		if (io->output.len > io->max_output)
			return err_new(ERR_LIMIT, "the program printed more than %zu bytes", io->max_output);
	}
	if (io->err >= 0 && pfds[2].revents) {
		TRY(run_read(&io->err, &io->errors, &n));
		if (io->errors.len > STDERR_KEPT) {
			memmove(io->errors.data, io->errors.data + io->errors.len - STDERR_KEPT, STDERR_KEPT);
			io->errors.len = STDERR_KEPT;
			io->errors.data[STDERR_KEPT] = '\0';
		}
	}
	return NULL;
}

static struct err *run_loop(struct run_io *io, int pidfd, int64_t deadline_ns)
{
	while (true) {
		struct pollfd pfds[] = {
			{.fd = io->in, .events = POLLOUT},
			{.fd = io->out, .events = POLLIN},
			{.fd = io->err, .events = POLLIN},
			{.fd = pidfd, .events = POLLIN},
		};
		int timeout = -1;

		if (deadline_ns) {
			int64_t left = deadline_ns - timestamp_monotonic_ns();
			if (left <= 0)
				return err_new(ERR_TIMEOUT, "the program ran into its time-out");
			timeout = (int)(left / 1000000) + 1;
		}
		int n = poll(pfds, ARRAY_SIZE(pfds), timeout);
		if (n < 0 && errno != EINTR)
			return err_errno(errno, "cannot poll");
		if (n <= 0)
			continue;
		/* The program is gone and its pipes are drained: a grandchild that keeps them open is not
		 * waited for. */
		if (pfds[3].revents && !pfds[0].revents && !pfds[1].revents && !pfds[2].revents)
			return NULL;
		TRY(run_step(io, pfds));
	}
}

static struct err *make_pipe(int ret[2])
{
	if (pipe2(ret, O_CLOEXEC) < 0)
		return err_errno(errno, "cannot make a pipe");
	return NULL;
}

/* "status 1", "signal 31 (bad system call)". Caller frees. */
static char *describe_end(int status)
{
	if (WIFEXITED(status))
		return xasprintf("status %d", WEXITSTATUS(status));
	char *text = xasprintf("signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	char *first = strchr(text, '(') + 1;
	*first = (char)tolower((unsigned char)*first);
	return text;
}

struct err *process_run(const struct process_spawn *p, const char *input, size_t input_size, int timeout_ms,
			size_t max_output, char **ret_output, size_t *ret_output_size)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, err_pipe[2] = {-1, -1}, status = 0;
	_cleanup_fd_ int pidfd = -1;
	struct process_spawn child = *p;
	struct run_io io = {.input = input, .input_left = input ? input_size : 0, .max_output = max_output};

	struct err *e = make_pipe(in);
	if (!e)
		e = make_pipe(out);
	if (!e)
		e = make_pipe(err_pipe);
	if (!e) {
		child.stdio[0] = in[0];
		child.stdio[1] = p->stdio[1] >= 0 ? p->stdio[1] : out[1];
		child.stdio[2] = p->stdio[2] >= 0 ? p->stdio[2] : err_pipe[1];
		e = process_spawn(&child, NULL, &pidfd);
	}
	fd_close(in[0]);
	fd_close(out[1]);
	fd_close(err_pipe[1]);
	io.in = in[1];
	io.out = out[0];
	io.err = err_pipe[0];
	if (!e) {
		void (*old)(int) = signal(SIGPIPE, SIG_IGN);
		e = fd_set_nonblock(io.in, true);
		if (!e && io.input_left == 0)
			fd_close(io.in);
		if (!e)
			e = run_loop(&io, pidfd,
				     timeout_ms >= 0
					     ? timestamp_monotonic_ns() + (int64_t)timeout_ms * 1000000
					     : 0);
		signal(SIGPIPE, old);
		if (e)
			(void)!process_signal(pidfd, SIGKILL);
		struct err *waited = process_wait(pidfd, -1, &status);
		if (waited && e)
			err_free(waited);
		else if (waited)
			e = waited;
	}
	fd_close(io.in);
	fd_close(io.out);
	fd_close(io.err);
	const char *name = p->path ? p->path : p->argv[0];
	if (!e && status != 0) {
		while (io.errors.len && isspace((unsigned char)io.errors.data[io.errors.len - 1]))
			io.errors.data[--io.errors.len] = '\0';
		_cleanup_free_ char *how = describe_end(status);
		e = err_new(ERR_SYSTEM, "%s failed with %s%s%s", name, how, io.errors.len ? ": " : "",
			    strbuf_str(&io.errors));
	} else if (e && e->kind != ERR_EXEC) {
		e = err_wrap(e, "running %s", name);
	}
	strbuf_release(&io.errors);
	if (!e && ret_output) {
		if (ret_output_size)
			*ret_output_size = io.output.len;
		*ret_output = strbuf_take(&io.output);
	}
	strbuf_release(&io.output);
	return e;
}

/* -- identity
 * ------------------------------------------------------------------------------------------------- */

struct err *process_pidfd_open(pid_t pid, int *ret_pidfd)
{
	int fd = pidfd_open(pid, 0);

	if (fd < 0)
		return err_errno(errno, "cannot open process %d", (int)pid);
	*ret_pidfd = fd;
	return NULL;
}

struct err *process_signal(int pidfd, int signum)
{
	if (pidfd_send_signal(pidfd, signum, NULL, 0) < 0)
		return err_errno(errno, "cannot send %s", signal_name(signum));
	return NULL;
}

bool process_alive(int pidfd)
{
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};

	/* A pidfd is readable from the moment the process has exited, also as a zombie. */
	return poll(&pfd, 1, 0) == 0;
}

/* The number in field `n` of /proc/PID/stat, counted from 1; the second field is the name in parentheses, which may contain anything:
 * fields are counted from the last one. */
static bool stat_field(const char *text, int n, unsigned long long *ret)
{
	const char *p = strrchr(text, ')');

	for (int field = 2; p && field < n; field++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, " %llu", ret) == 1;
}

struct err *process_look(pid_t pid, uint64_t *ret_ticks, uint32_t *ret_ignored)
{
	char path[40], text[1024];
	unsigned long long ticks, ignored;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno == ENOENT ? ESRCH : errno, "cannot open %s", path);
	ssize_t n = read(fd, text, sizeof(text) - 1); /* one line, which comes whole */
	if (n < 0)
		return err_errno(errno, "cannot read %s", path);
	text[n] = '\0';
	if (!stat_field(text, 22, &ticks) || !stat_field(text, 33, &ignored))
		return err_new(ERR_SYSTEM, "cannot understand %s", path);
	*ret_ticks = ticks;
	*ret_ignored = (uint32_t)ignored;
	return NULL;
}

struct err *process_start_time(pid_t pid, uint64_t *ret_ticks)
{
	uint32_t ignored;

	return process_look(pid, ret_ticks, &ignored);
}

struct err *process_open_exact(pid_t pid, uint64_t start_ticks, int *ret_pidfd)
{
	_cleanup_fd_ int fd = -1;
	uint64_t ticks;

	struct err *e = process_pidfd_open(pid, &fd);
	if (!e)
		e = process_start_time(pid, &ticks);
	if (e) {
		if (e->errnum == ESRCH || e->errnum == EINVAL)
			e->kind = ERR_NOT_FOUND;
		return e;
	}
	if (ticks != start_ticks || !process_alive(fd))
		return err_new(ERR_NOT_FOUND, "process %d has ended", (int)pid);
	*ret_pidfd = TAKE_FD(fd);
	return NULL;
}

/* -- signals
 * -------------------------------------------------------------------------------------------------- */

struct err *signal_parse(const char *s, int *ret)
{
	const char *name = s;
	uint64_t n;

	if (isdigit((unsigned char)*s)) {
		TRY(parse_u64(s, "signal", 0, 64, &n));
		*ret = (int)n;
		return NULL;
	}
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *known = sigabbrev_np(i);
		if (known && strcasecmp(known, name) == 0) {
			*ret = i;
			return NULL;
		}
	}
	bool from_min = strncasecmp(name, "RTMIN", 5) == 0;
	if (from_min || strncasecmp(name, "RTMAX", 5) == 0) {
		uint64_t offset = 0;
		const char *rest = name + 5;

		if (*rest == '\0' || (*rest == (from_min ? '+' : '-') && isdigit((unsigned char)rest[1]))) {
			if (*rest)
				TRY(parse_u64(rest + 1, "signal", 0, (uint64_t)(SIGRTMAX - SIGRTMIN),
					      &offset));
			*ret = from_min ? SIGRTMIN + (int)offset : SIGRTMAX - (int)offset;
			return NULL;
		}
	}
	/* Names that the C library knows under another word. */
	static const struct {
		const char *name;
		int signum;
	} aliases[] = {{"CLD", SIGCHLD}, {"IOT", SIGABRT}, {"POLL", SIGIO}, {"UNUSED", SIGSYS}};
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (strcasecmp(aliases[i].name, name) == 0) {
			*ret = aliases[i].signum;
			return NULL;
		}
	}
	return err_new(ERR_INVALID, "unknown signal \"%.32s\"", s);
}

const char *signal_name(int signum)
{
	static _Thread_local char name[24];
	const char *abbreviation = sigabbrev_np(signum);

	if (abbreviation)
		snprintf(name, sizeof(name), "SIG%s", abbreviation);
	else if (signum >= SIGRTMIN && signum <= SIGRTMAX)
		snprintf(name, sizeof(name), "SIGRTMIN+%d", signum - SIGRTMIN);
	else
		return "SIG?";
	return name;
}
