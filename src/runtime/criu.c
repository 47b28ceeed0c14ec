/* SPDX-License-Identifier: Apache-2.0 */
#include "criu.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/timestamp.h"

#define STALL_TIMEOUT_S 120
#define END_TIMEOUT_MS 10000
#define QUESTION_TIMEOUT_S 30 /* for what it answers at once */
#define MESSAGE_MAX 65536     /* CRIU's own limit for what it sends is far below */
#define LOG_TAIL 65536
#define LINES_QUOTED 3

static char *find_program(void)
{
	const char *path = getenv("PATH");
	_cleanup_strv_ char **dirs =
		strv_split(path && *path ? path : "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin", ":");
	STRV_FOREACH (d, dirs) {
		char *candidate = xasprintf("%s/criu", *d);
		if (access(candidate, X_OK) == 0)
			return candidate;
		free(candidate);
	}
	return NULL;
}

/* -- starting and ending ------------------------------------------------------------------------------------ */

/* Copies above every target number first, so that no dup2 overwrites a source. */
static struct err *place_fds(const int *sources, size_t n)
{
	_cleanup_free_ int *copies = xnew_array(int, n);
	for (size_t i = 0; i < n; i++)
		TRY(fd_dup(sources[i], (int)n + 1, &copies[i]));
	for (size_t i = 0; i < n; i++)
		if (dup2(copies[i], (int)i) < 0)
			return err_errno(errno, "cannot connect file descriptor %zu of criu", i);
	return NULL;
}

static struct err *child_prepare(const struct criu_start *s, const struct criu *c, int sock, int *report)
{
	_cleanup_free_ int *fds = xnew_array(int, CRIU_FIRST_FD + s->n_fds);
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;
	for (int i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null < 0)
		return err_errno(errno, "cannot open /dev/null");
	if (s->prepare)
		TRY(s->prepare(s->data));
	for (int i = 0; i < 3; i++)
		fds[i] = s->stdio[i] >= 0 ? s->stdio[i] : i ? c->output : null;
	fds[3] = sock;
	for (size_t i = 0; i < s->n_fds; i++)
		fds[CRIU_FIRST_FD + i] = s->fds[i];
	int moved;
	TRY(fd_dup(*report, CRIU_FIRST_FD + (int)s->n_fds + 1, &moved));
	*report = moved;
	TRY(place_fds(fds, CRIU_FIRST_FD + s->n_fds));
	if (close_range(CRIU_FIRST_FD + (unsigned)s->n_fds, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_errno(errno, "cannot close file descriptors");
	return NULL;
}

static _Noreturn void child(const struct criu_start *s, const struct criu *c, const char *program, int sock,
			    int report)
{
	char *const argv[] = {(char *)"criu", (char *)"swrk", (char *)"3", NULL};
	struct err *e = child_prepare(s, c, sock, &report);
	if (!e) {
		execv(program, argv);
		e = err_errno(errno, "cannot execute %s", program);
	}
	err_free(err_send(report, e));
	_exit(127);
}

struct err *criu_spawn(const struct criu_start *s, struct criu *ret)
{
	_cleanup_(criu_stop) struct criu c = CRIU_NONE;
	_cleanup_free_ char *program = find_program();
	_cleanup_fd_ int theirs = -1, report = -1;
	int pair[2], pipe_fds[2];
	char byte;
	if (!program)
		return err_new(ERR_NOT_FOUND, "criu is not installed: checkpoint and restore need the "
					      "program of the package \"criu\" in PATH");
	c.output = memfd_create("criu-output", MFD_CLOEXEC);
	if (c.output < 0)
		return err_errno(errno, "cannot keep the output of criu");
	TRY(fd_socketpair(SOCK_SEQPACKET, pair));
	c.sock = pair[0];
	theirs = pair[1];
	TRY(fd_socketpair(SOCK_STREAM, pipe_fds));
	report = pipe_fds[0];
	c.pid = fork();
	if (c.pid < 0) {
		close(pipe_fds[1]);
		return err_errno(errno, "cannot start criu");
	}
	if (c.pid == 0)
		child(s, &c, program, theirs, pipe_fds[1]);
	close(pipe_fds[1]);
	TRY(process_pidfd_open(c.pid, &c.pidfd));
	/* Closed by the execve, or an error comes. */
	ssize_t n;
	while ((n = recv(report, &byte, 1, MSG_PEEK)) < 0 && errno == EINTR)
		;
	if (n != 0) {
		struct err *reported = NULL;
		TRY(err_receive(report, "criu", &reported));
		return reported ? reported : err_new(ERR_INTERNAL, "criu reported no error");
	}
	*ret = c;
	c = CRIU_NONE;
	return NULL;
}

void criu_stop(struct criu *c)
{
	int status;
	/* It sees that we hung up and puts right what it was about: it frees the frozen, and kills the half restored. */
	fd_close(c->sock);
	if (c->pidfd >= 0) {
		struct err *late = process_wait(c->pidfd, END_TIMEOUT_MS, &status);
		if (late) {
			err_free(late);
			err_free(process_signal(c->pidfd, SIGKILL));
			err_free(process_wait(c->pidfd, END_TIMEOUT_MS, &status));
		}
	} else if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, &status, 0);
	}
	fd_close(c->pidfd);
	fd_close(c->output);
	c->pid = 0;
}

/* -- what it said before it failed -------------------------------------------------------------------------- */

/* "(00.210232) Error (criu/files-reg.c:1790): Can't …" without the time and the word. */
static const char *trim_line(char *line)
{
	char *p = strstr(line, "Error (");
	return p ? p + strlen("Error ") : line;
}

/* The last error lines, but for the one that only says that it all failed; NULL when there are none. */
static char *quote_errors(char *text)
{
	const char *kept[LINES_QUOTED] = {NULL}, *final = NULL;
	size_t n = 0;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		/* Other programs' errors, of ip for one, are there too: what matters is what CRIU makes of them. */
		if (!strstr(line, "Error ("))
			continue;
		/* Harmless, and the first of every log where RLIMIT_NOFILE cannot be raised. */
		if (strstr(line, "Can't setup RLIMIT_NOFILE for self"))
			continue;
		if (str_ends(line, "FAILED."))
			final = trim_line(line);
		else
			kept[n++ % LINES_QUOTED] = trim_line(line);
	}
	if (!n)
		return final ? xstrdup(final) : NULL;
	struct strbuf out = {0};
	for (size_t i = n > LINES_QUOTED ? n - LINES_QUOTED : 0; i < n; i++) {
		if (out.len)
			strbuf_puts(&out, "; ");
		strbuf_puts(&out, kept[i % LINES_QUOTED]);
	}
	return strbuf_take(&out);
}

static char *read_tail(int fd)
{
	struct stat st;
	size_t n = 0;
	char *text = xmalloc(LOG_TAIL + 1);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		*text = '\0';
		return text;
	}
	off_t from = st.st_size > LOG_TAIL ? st.st_size - LOG_TAIL : 0;
	err_free(fd_pread_full(fd, text, LOG_TAIL, from, "log", &n));
	text[n] = '\0';
	return text;
}

static char *errors_of(int fd)
{
	_cleanup_free_ char *text = read_tail(fd);
	return quote_errors(text);
}

static const char *type_name(enum criu_type type)
{
	switch (type) {
	case CRIU_DUMP:
		return "dump";
	case CRIU_PRE_DUMP:
		return "pre-dump";
	case CRIU_RESTORE:
		return "restore";
	case CRIU_CHECK:
		return "check";
	case CRIU_FEATURE_CHECK:
		return "feature check";
	case CRIU_VERSION:
		return "version check";
	case CRIU_NOTIFY:
		break;
	}
	return "request";
}

/* `how` says how it failed: "criu dump failed", "criu was killed …". Takes it. */
static struct err *failure(const struct criu *c, const struct criu_talk *t, enum err_kind kind, char *how,
			   const char *message)
{
	_cleanup_free_ char *text = how, *errors = NULL;
	_cleanup_fd_ int log = -1;
	if (t->log_dir)
		log = openat(t->log_dir_fd, t->log_file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	errors = errors_of(log);
	if (!errors)
		errors = errors_of(c->output);
	if (!errors && message && *message)
		errors = xstrdup(message);
	if (log >= 0)
		return err_new(kind, "%s: %s (log: %s/%s)", text, errors ? errors : "no error is logged",
			       t->log_dir, t->log_file);
	return err_new(kind, "%s%s%s", text, errors ? ": " : "", errors ? errors : "");
}

static struct err *broken_off(const struct criu *c, const struct criu_talk *t)
{
	int status = 0;
	siginfo_t info = {0};
	const char *name = type_name(t->type);
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
	(void)poll(&p, 1, 2000);
	if (waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid)
		status = info.si_status;
	if (info.si_pid && info.si_code != CLD_EXITED)
		return failure(c, t, ERR_SYSTEM,
			       xasprintf("criu was killed by %s during its %s", signal_name(status), name),
			       NULL);
	return failure(c, t, ERR_SYSTEM, xasprintf("criu ended without an answer to its %s", name), NULL);
}

/* -- talking ------------------------------------------------------------------------------------------------ */

static struct err *stall_limit_s(const struct criu_talk *t, uint64_t *ret)
{
	const char *set = getenv("HAVRE_CRIU_TIMEOUT");
	bool question = t->type == CRIU_VERSION || t->type == CRIU_FEATURE_CHECK || t->type == CRIU_CHECK;
	*ret = question ? QUESTION_TIMEOUT_S : STALL_TIMEOUT_S;
	if (set && *set)
		TRY(parse_u64(set, "HAVRE_CRIU_TIMEOUT", 0, 1000000, ret));
	if (t->endless)
		*ret = 0;
	return NULL;
}

/* Changes while it works: its input and output, its log, what its helpers do. */
static uint64_t progress(const struct criu *c, const struct criu_talk *t)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/io", c->pid), *io = NULL;
	uint64_t sum = t->progress ? t->progress(t->data) : 0;
	size_t size = 0;
	struct stat st;
	if (t->log_dir && fstatat(t->log_dir_fd, t->log_file, &st, AT_SYMLINK_NOFOLLOW) == 0)
		sum += (uint64_t)st.st_size;
	err_free(file_read(path, 4096, &io, &size));
	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + (unsigned char)io[i];
	return sum;
}

/* Until it says something, hangs up or ends: what it restored may hold its end of the socket. */
static struct err *await_message(const struct criu *c, const struct criu_talk *t, bool *ret_ended)
{
	uint64_t limit_s, last = progress(c, t);
	int64_t since = timestamp_monotonic_ns();
	TRY(stall_limit_s(t, &limit_s));
	while (true) {
		struct pollfd p[] = {{.fd = c->sock, .events = POLLIN}, {.fd = c->pidfd, .events = POLLIN}};
		int n = poll(p, ARRAY_SIZE(p), limit_s ? 500 : -1);
		if (n > 0) {
			*ret_ended = !p[0].revents;
			return NULL;
		}
		if (n < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for criu");
		uint64_t now = progress(c, t);
		if (now != last)
			since = timestamp_monotonic_ns();
		last = now;
		if (limit_s && timestamp_monotonic_ns() - since > (int64_t)limit_s * 1000000000) {
			err_free(process_signal(c->pidfd, SIGKILL));
			return failure(c, t, ERR_TIMEOUT,
				       xasprintf("criu was killed: its %s made no progress for %llu s "
						 "(HAVRE_CRIU_TIMEOUT sets the limit)",
						 type_name(t->type), (unsigned long long)limit_s),
				       NULL);
		}
	}
}

static struct err *send_request(const struct criu *c, enum criu_type type, const struct strbuf *options,
				const struct strbuf *features, bool notified)
{
	_cleanup_strbuf_ struct strbuf request = {0};
	wire_put_number(&request, 1, type);
	if (options)
		wire_put_bytes(&request, 2, strbuf_str(options), options->len);
	if (notified)
		wire_put_number(&request, 3, 1);
	if (features)
		wire_put_bytes(&request, 5, strbuf_str(features), features->len);
	return fd_send(c->sock, request.data, request.len, NULL, 0);
}

static struct err *receive(const struct criu *c, const struct criu_talk *t, struct criu_response *ret,
			   int *ret_fd)
{
	_cleanup_free_ char *buffer = xmalloc(MESSAGE_MAX);
	size_t size = 0, n_fds = 0;
	int fd = -1;
	bool ended = false;
	TRY(await_message(c, t, &ended));
	if (ended)
		return broken_off(c, t);
	struct err *e = fd_receive(c->sock, buffer, MESSAGE_MAX, &size, &fd, 1, &n_fds);
	if (e && e->errnum == ECONNRESET) { /* it ended with words of ours unread */
		err_free(e);
		size = n_fds = 0;
		e = NULL;
	}
	if (e)
		return err_wrap(e, "cannot receive from criu");
	if (size == 0 && n_fds == 0)
		return broken_off(c, t);
	e = criu_response_parse(buffer, size, ret);
	if (e) {
		fd_close(fd);
		return e;
	}
	*ret_fd = fd;
	return NULL;
}

static struct err *refused(const struct criu *c, const struct criu_talk *t, const struct criu_response *r)
{
	enum err_kind kind = r->cr_errno == EPERM ? ERR_PERMISSION : ERR_SYSTEM;
	return failure(c, t, kind, xasprintf("criu %s failed", type_name(t->type)), r->message);
}

struct err *criu_talk(struct criu *c, const struct criu_talk *t, struct criu_response *ret)
{
	struct err *sent = send_request(c, t->type, t->options, t->features, false);
	if (sent && (sent->errnum == EPIPE || sent->errnum == ECONNRESET)) {
		err_free(sent);
		return broken_off(c, t);
	}
	TRY(sent);
	while (true) {
		_cleanup_fd_ int fd = -1;
		struct criu_response r = {0};
		TRY(receive(c, t, &r, &fd));
		if (!r.success)
			return refused(c, t, &r);
		if (r.type == t->type) {
			*ret = r;
			return NULL;
		}
		if (r.type != CRIU_NOTIFY)
			return err_new(ERR_CORRUPT, "criu answers request %d with %llu", (int)t->type,
				       (unsigned long long)r.type);
		if (t->notify)
			TRY_WRAP(t->notify(t->data, &r, fd), "criu's notification \"%s\"", r.script);
		TRY(send_request(c, CRIU_NOTIFY, NULL, NULL, true));
	}
}

/* -- questions ---------------------------------------------------------------------------------------------- */

static struct err *ask(enum criu_type type, const struct strbuf *features, struct criu_response *ret)
{
	_cleanup_(criu_stop) struct criu c = CRIU_NONE;
	struct criu_start start = {.stdio = {-1, -1, -1}};
	struct criu_talk talk = {.type = type, .features = features, .log_dir_fd = -1};
	TRY(criu_spawn(&start, &c));
	return criu_talk(&c, &talk, ret);
}

struct err *criu_get_version(unsigned *ret)
{
	struct criu_response r;
	TRY(ask(CRIU_VERSION, NULL, &r));
	const struct criu_version *v = &r.version;
	if (!v->major)
		return err_new(ERR_CORRUPT, "criu does not say its version");
	*ret = (unsigned)(v->major * 10000 +
			  (v->from_git ? (v->minor + 1) * 100 : v->minor * 100 + v->sublevel));
	return NULL;
}

struct err *criu_need_version(unsigned have, unsigned need, const char *what)
{
	if (have >= need)
		return NULL;
	return err_new(ERR_UNSUPPORTED, "%s needs criu %u.%u or newer; this is criu %u.%u.%u", what,
		       need / 10000, need / 100 % 100, have / 10000, have / 100 % 100, have % 100);
}

struct err *criu_need_feature(enum criu_feature feature)
{
	static const char *const names[] = {
		[CRIU_FEATURE_MEM_TRACK] = "tracking of changed memory (CONFIG_MEM_SOFT_DIRTY), which "
					   "--pre-dump and --parent-path need",
		[CRIU_FEATURE_LAZY_PAGES] = "userfaultfd (CONFIG_USERFAULTFD), which --lazy-pages needs",
	};
	_cleanup_strbuf_ struct strbuf features = {0};
	struct criu_response r;
	wire_put_number(&features, feature, 1);
	TRY(ask(CRIU_FEATURE_CHECK, &features, &r));
	if (r.features & (1ULL << feature))
		return NULL;
	return err_new(ERR_UNSUPPORTED, "criu finds that this kernel lacks %s", names[feature]);
}

struct err *criu_explain(struct err *e)
{
	struct criu_response r;
	struct err *check = ask(CRIU_CHECK, NULL, &r);
	if (!check)
		return e;
	_cleanup_free_ char *text = err_text(check);
	err_free(check);
	return err_wrap(e, "this kernel is not all that criu needs (%s)", text);
}
