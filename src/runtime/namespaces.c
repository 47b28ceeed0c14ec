/* SPDX-License-Identifier: Apache-2.0 */
/* Theory of operation
 *
 * Without namespaces to join one clone3 makes the child with all its new namespaces. With some, a helper does it: it shares our memory
 * and our fd table and stops us until it ends (CLONE_VM | CLONE_VFORK | CLONE_FILES), so it costs no page tables; it
 * joins the namespaces (its own nsproxy, credentials and file system state change, not ours), then clones the child as our child
 * (CLONE_PARENT) and ends. Joining a PID namespace only affects children, so the extra process is needed anyway.
 *
 * The kernel refuses setns to a time namespace from a process that shares its memory: the child does that one itself.
 */
#include "namespaces.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "clone3.h"
#include "procfs.h"

const struct namespace_kind namespace_kinds[SPEC_NS_COUNT] = {
	[SPEC_NS_USER] = {"user", "user", CLONE_NEWUSER},
	[SPEC_NS_MOUNT] = {"mount", "mnt", CLONE_NEWNS},
	[SPEC_NS_PID] = {"pid", "pid", CLONE_NEWPID},
	[SPEC_NS_NET] = {"network", "net", CLONE_NEWNET},
	[SPEC_NS_IPC] = {"ipc", "ipc", CLONE_NEWIPC},
	[SPEC_NS_UTS] = {"uts", "uts", CLONE_NEWUTS},
	[SPEC_NS_CGROUP] = {"cgroup", "cgroup", CLONE_NEWCGROUP},
	[SPEC_NS_TIME] = {"time", "time", CLONE_NEWTIME},
};

void namespace_join_close(struct namespace_join *j)
{
	for (size_t i = 0; i < SPEC_NS_COUNT; i++)
		fd_close(j->fds[i]);
	fd_close(j->pidfd);
}

bool namespace_join_any(const struct namespace_join *j)
{
	if (j->pidfd >= 0)
		return true;
	for (size_t i = 0; i < SPEC_NS_COUNT; i++)
		if (j->fds[i] >= 0)
			return true;
	return false;
}

static struct err *open_one(const char *path, const struct namespace_kind *kind, int *ret_fd)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open the %s namespace %s", kind->type, path);
	int type = ioctl(fd, NS_GET_NSTYPE);
	if (type < 0)
		return err_new(ERR_INVALID, "linux.namespaces: %s is not a namespace", path);
	if ((uint64_t)(unsigned)type != kind->flag)
		return err_new(ERR_INVALID, "linux.namespaces: %s is not a %s namespace", path, kind->type);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

/* Joining our own namespace is no change, but its sysctls would be the host's. */
static struct err *refuse_own(const struct namespace_kind *kind, int fd, const char *path)
{
	char own[32];
	struct stat a, b;
	snprintf(own, sizeof(own), "/proc/self/ns/%s", kind->proc);
	if (stat(own, &a) < 0 || fstat(fd, &b) < 0)
		return err_errno(errno, "cannot compare the %s namespace %s with ours", kind->type, path);
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return err_new(ERR_INVALID, "linux.sysctl: the %s namespace %s is the host's own", kind->type,
			       path);
	return NULL;
}

struct err *namespace_join_open(const struct spec *s, struct namespace_join *ret)
{
	struct namespace_join j = NAMESPACE_JOIN_NONE;
	for (size_t i = 0; i < SPEC_NS_COUNT; i++) {
		if (!s->ns[i].present || !s->ns[i].path)
			continue;
		struct err *e = open_one(s->ns[i].path, &namespace_kinds[i], &j.fds[i]);
		if (!e && s->sysctl_namespaces >> i & 1)
			e = refuse_own(&namespace_kinds[i], j.fds[i], s->ns[i].path);
		if (e) {
			namespace_join_close(&j);
			return e;
		}
	}
	*ret = j;
	return NULL;
}

struct helper {
	const struct namespace_clone *clone;
	pid_t pid;
	int pidfd;
	int errnum;
	const char *what; /* what failed; NULL: clone3 */
};

static long clone_child(const struct namespace_clone *c, uint64_t more_flags, int *pidfd)
{
	struct clone_args args = {
		.flags = c->flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | more_flags,
		.pidfd = (uintptr_t)pidfd,
		/* With CLONE_PARENT the signal is that of the caller itself. */
		.exit_signal = more_flags & CLONE_PARENT ? 0 : SIGCHLD,
	};
	if (c->cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)c->cgroup_fd;
	}
	return clone3(&args);
}

static bool join_one(struct helper *h, size_t i)
{
	if (setns(h->clone->join->fds[i], (int)namespace_kinds[i].flag) == 0)
		return true;
	h->errnum = errno;
	h->what = namespace_kinds[i].type;
	return false;
}

/* Others first: with the rights that we have now. What that does not allow is tried again with those of the user namespace. */
static bool join_fds(struct helper *h)
{
	const struct namespace_join *j = h->clone->join;
	bool again[SPEC_NS_COUNT] = {false};
	for (size_t i = 0; i < SPEC_NS_COUNT; i++) {
		if (i == SPEC_NS_USER || i == SPEC_NS_TIME || j->fds[i] < 0)
			continue;
		/* The mount namespace goes last: everything else was opened already, but it changes what "/" is. */
		if (!join_one(h, i)) {
			if (j->fds[SPEC_NS_USER] < 0)
				return false;
			again[i] = true;
		}
	}
	if (j->fds[SPEC_NS_USER] >= 0 && !join_one(h, SPEC_NS_USER))
		return false;
	for (size_t i = 0; i < SPEC_NS_COUNT; i++)
		if (again[i] && !join_one(h, i))
			return false;
	return true;
}

static int helper_main(void *argument)
{
	struct helper *h = argument;
	const struct namespace_join *j = h->clone->join;
	if (j->pidfd >= 0) {
		if (setns(j->pidfd, (int)(j->pidfd_flags & ~(uint64_t)CLONE_NEWTIME)) < 0) {
			h->errnum = errno;
			h->what = "container's";
			return 1;
		}
	} else if (!join_fds(h)) {
		return 1;
	}
	long pid = clone_child(h->clone, CLONE_PARENT, &h->pidfd);
	if (pid == 0)
		_exit(h->clone->child(h->clone->argument));
	if (pid < 0) {
		h->errnum = errno;
		h->what = NULL;
		return 1;
	}
	h->pid = (pid_t)pid;
	return 0;
}

#define HELPER_STACK_SIZE (512u * 1024) /* the child goes on using its copy */

static struct err *clone_failed(int errnum)
{
	if (errnum == EPERM)
		return err_errno(errnum, "cannot make the container's namespaces (no CAP_SYS_ADMIN?)");
	if (errnum == ENOSPC)
		return err_errno(
			errnum,
			"cannot make the container's namespaces (a limit in /proc/sys/user is reached)");
	return err_errno(errnum, "cannot make the container's process");
}

static struct err *clone_with_helper(const struct namespace_clone *c, pid_t *ret_pid, int *ret_pidfd)
{
	struct helper h = {.clone = c, .pidfd = -1};
	char *stack = mmap(NULL, HELPER_STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (stack == MAP_FAILED)
		return err_errno(errno, "cannot allocate a stack");
	/* exit_signal must be SIGCHLD: the child inherits it through CLONE_PARENT. */
	int pid = clone(helper_main, stack + HELPER_STACK_SIZE,
			CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &h);
	int clone_errno = errno;
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	munmap(stack, HELPER_STACK_SIZE);
	if (pid < 0)
		return clone_failed(clone_errno);
	if (h.pid <= 0) {
		if (h.what)
			return err_errno(h.errnum, "cannot join the %s namespace%s", h.what,
					 c->join->pidfd >= 0 ? "s" : "");
		return clone_failed(h.errnum ? h.errnum : ECHILD);
	}
	*ret_pid = h.pid;
	*ret_pidfd = h.pidfd;
	return NULL;
}

struct err *namespace_clone(const struct namespace_clone *c, pid_t *ret_pid, int *ret_pidfd)
{
	if (c->join && namespace_join_any(c->join))
		return clone_with_helper(c, ret_pid, ret_pidfd);
	int pidfd = -1;
	long pid = clone_child(c, 0, &pidfd);
	if (pid == 0)
		_exit(c->child(c->argument));
	if (pid < 0)
		return clone_failed(errno);
	*ret_pid = (pid_t)pid;
	*ret_pidfd = pidfd;
	return NULL;
}

struct err *namespace_enter_time(const struct namespace_join *j)
{
	int fd = j->pidfd >= 0 && j->pidfd_flags & CLONE_NEWTIME ? j->pidfd : j->fds[SPEC_NS_TIME];
	if (fd >= 0 && setns(fd, CLONE_NEWTIME) < 0)
		return err_errno(errno, "cannot join the time namespace");
	return NULL;
}

struct err *namespace_unshare_time(const struct spec *s, int proc_fd)
{
	/* Not with clone3: a process that starts in a time namespace freezes its offsets. */
	if (unshare(CLONE_NEWTIME) < 0)
		return err_errno(errno, "cannot make a time namespace");
	_cleanup_strbuf_ struct strbuf text = {0};
	if (s->monotonic.set)
		strbuf_printf(&text, "monotonic %lld %u\n", (long long)s->monotonic.seconds,
			      s->monotonic.nanoseconds);
	if (s->boottime.set)
		strbuf_printf(&text, "boottime %lld %u\n", (long long)s->boottime.seconds,
			      s->boottime.nanoseconds);
	if (text.len)
		TRY_WRAP(procfs_write_self(proc_fd, "self/timens_offsets", text.data), "linux.timeOffsets");
	_cleanup_fd_ int fd = openat(proc_fd, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
		return err_errno(errno, "cannot enter the new time namespace");
	return NULL;
}
