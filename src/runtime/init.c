/* SPDX-License-Identifier: Apache-2.0 */
#include "init.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "capabilities.h"
#include "devices.h"
#include "hooks.h"
#include "mounts.h"
#include "network.h"
#include "process_setup.h"
#include "rootfs.h"
#include "seccomp_load.h"
#include "state.h"
#include "sync.h"
#include "sysctl.h"
#include "terminal.h"
#include "userns.h"

/* The parent went away, or decided against us: it knows why, and nobody else is listening. */
static _noreturn_ void vanish(void)
{
	_exit(1);
}

/* Handlers are reset by the clone; what our own caller ignores must not stay ignored in the container. */
static void heed_signals(void)
{
	for (int signum = 1; signum < 32; signum++)
		if (INIT_HEEDED >> (signum - 1) & 1)
			signal(signum, SIG_DFL);
}

static struct err *expect(int sync, enum sync_tag want)
{
	enum sync_tag tag;
	TRY(sync_receive(sync, &tag, NULL));
	if (tag == SYNC_SIGNALS) {
		heed_signals();
		TRY(sync_receive(sync, &tag, NULL));
	}
	if (tag == SYNC_EOF)
		vanish();
	if (tag != want)
		return err_new(ERR_INTERNAL, "unexpected message '%c' from the parent", tag);
	return NULL;
}

static void unblock_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static struct err *run_hooks(const struct init *in, enum spec_hook_kind kind, const char *status)
{
	if (!in->spec->hooks.n[kind])
		return NULL;
	/* "For hooks executed in the container namespace, it is the pid as seen by the container" (runtime.md "State"). */
	_cleanup_free_ char *state = state_for_hooks(in->spec, in->id, in->bundle, getpid(), status);
	/* Outside of the container's root there is only our caller's environment; inside it is that of the process. */
	char **env = kind == SPEC_HOOK_START_CONTAINER ? in->process->env : environ;
	return hooks_run(&in->spec->hooks, kind, env, state);
}

/* -- namespaces --------------------------------------------------------------------------------------------- */

static bool is_new(const struct spec *s, enum spec_ns ns)
{
	return s->ns[ns].present && !s->ns[ns].path;
}

/* Not with clone3: the namespace's root is the group we are in at that moment. */
static struct err *unshare_cgroup(const struct init *in)
{
	if (in->first && is_new(in->spec, SPEC_NS_CGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return err_errno(errno, "cannot make a cgroup namespace");
	return NULL;
}

static struct err *enter_cgroup(const struct init *in)
{
	if (in->moved_into_cgroup)
		TRY(expect(in->sync, SYNC_GO));
	else if (in->cgroup)
		TRY(rt_cgroup_enter_self(in->cgroup, in->cloned_into_cgroup));
	return unshare_cgroup(in);
}

/* Once it is made. Before what the cgroup namespace shows itself in: the cgroup file systems; and before hooks, which its limits hold for. */
static struct err *enter_cgroup_late(const struct init *in)
{
	if (!in->cgroup_waits)
		return NULL;
	TRY(expect(in->sync, SYNC_GO));
	TRY(rt_cgroup_enter_made(in->cgroup, in->cgroup_rootless));
	return unshare_cgroup(in);
}

static bool mounts_cgroup(const struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (str_starts(s->mounts[i].type ? s->mounts[i].type : "", "cgroup"))
			return true;
	return false;
}

static struct err *become_root(const struct init *in)
{
	TRY(userns_become_root(in->process));
	/* Dumpable until now where our parent has no rights but over what is its own: it had to write our id maps. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(errno, "cannot become undumpable");
	return NULL;
}

static struct err *set_up_namespaces(const struct init *in)
{
	const struct spec *s = in->spec;
	if (is_new(s, SPEC_NS_USER))
		TRY(expect(in->sync, SYNC_GO));
	if (s->ns[SPEC_NS_USER].present)
		TRY(become_root(in));
	if (!in->cgroup_waits)
		TRY(enter_cgroup(in));
	if (setsid() < 0)
		return err_errno(errno, "cannot make a session");
	if (!in->no_new_keyring)
		TRY(process_new_keyring(in->process, in->proc_fd));
	TRY(namespace_enter_time(in->join));
	if (is_new(s, SPEC_NS_TIME))
		TRY(namespace_unshare_time(s, in->proc_fd));
	if (s->hostname && sethostname(s->hostname, strlen(s->hostname)) < 0)
		return err_errno(errno, "cannot set the hostname to %s", s->hostname);
	if (s->domainname && setdomainname(s->domainname, strlen(s->domainname)) < 0)
		return err_errno(errno, "cannot set the domainname to %s", s->domainname);
	if (is_new(s, SPEC_NS_NET))
		TRY(network_loopback_up());
	return NULL;
}

/* -- the last steps, common to the first process and to further ones ---------------------------------------- */

/* The user must be able to open /dev/stdout again. Pipes and terminals of ours are given away; devices of the host are not. */
static void give_stdio(const struct spec_process *p)
{
	struct stat st;
	for (int fd = 0; p->uid && fd < 3; fd++)
		if (fstat(fd, &st) == 0 && st.st_uid != p->uid &&
		    (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) ||
		     (S_ISCHR(st.st_mode) && major(st.st_rdev) == 136)))
			(void)!fchown(
				fd, p->uid,
				(gid_t)-1); /* refused on read-only file systems and in user namespaces */
}

static struct err *connect_stdio(const struct init *in)
{
	for (int fd = 0; fd < 3; fd++)
		if (in->stdio[fd] >= 0 && in->stdio[fd] != fd && dup2(in->stdio[fd], fd) < 0)
			return err_errno(errno, "cannot connect stdin, stdout and stderr");
	return NULL;
}

static struct err *limit_fds(const struct init *in)
{
	/* Below stay those that our caller opened for the container. What is ours among them is close-on-exec from the start (CVE-2024-21626);
	 * numbers that nobody opened are no error, as with crun. */
	if (close_range(3 + in->preserve_fds, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_errno(errno, "cannot mark file descriptors close-on-exec");
	return NULL;
}

/* sd_listen_fds(3) compares LISTEN_PID with its own pid, which only the process itself knows in its PID namespace. */
static void announce_listen_fds(const struct init *in)
{
	char text[16];
	if (!in->listen_fds)
		return;
	snprintf(text, sizeof(text), "%u", in->listen_fds);
	env_set(&in->process->env, "LISTEN_FDS", text);
	snprintf(text, sizeof(text), "%d", getpid());
	env_set(&in->process->env, "LISTEN_PID", text);
}

static struct err *execute(const struct init *in, const struct inroot *root, int sync, bool first)
{
	struct spec_process *p = in->process;
	_cleanup_free_ char *program = NULL;
	if (in->rootless)
		TRY(process_set_own_oom_score(p, in->proc_fd));
	TRY(process_set_labels(p, in->proc_fd));
	TRY(process_set_memory_policy(&in->spec->memory_policy));
	if (in->spec->has_personality && personality(in->spec->personality) < 0)
		return err_errno(errno, "linux.personality: cannot set it");
	give_stdio(p);
	TRY(limit_fds(in)); /* here, since many a filter does not know close_range yet */
	/* Without no_new_privs the kernel wants CAP_SYS_ADMIN for a filter, which the process may be about to lose; with it
	 * the filter goes last, so that it need not allow what we still do. */
	if (in->seccomp && !p->no_new_privileges)
		TRY(seccomp_load(in->seccomp, sync));
	TRY(process_become(p, root));
	bool hooks = first && in->spec->hooks.n[SPEC_HOOK_START_CONTAINER];
	/* These hooks are programs of the container: they are under its filter, as with runc. */
	if (in->seccomp && p->no_new_privileges && hooks)
		TRY(seccomp_load(in->seccomp, sync));
	if (hooks)
		TRY(run_hooks(in, SPEC_HOOK_START_CONTAINER, "created"));
	/* A path needs no search, and execve says itself what is wrong with it; but behind a filter it may not get the word out. */
	if (strchr(p->args[0], '/') && !in->seccomp)
		program = xstrdup(p->args[0]);
	else
		TRY(process_find_program(p, &program));
	announce_listen_fds(in);
	if (in->seccomp && p->no_new_privileges && !hooks)
		TRY(seccomp_load(in->seccomp, sync));
	TRY(sync_write(sync, SYNC_EXEC));
	execve(program, p->args, p->env ? p->env : (char *[]){NULL});
	return process_exec_error(errno, p->args[0], NULL);
}

/* -- the first process -------------------------------------------------------------------------------------- */

static struct err *set_up_terminal(const struct init *in, const struct inroot *root)
{
	_cleanup_fd_ int master = -1, slave = -1;
	struct terminal t;
	if (!in->process->terminal)
		return connect_stdio(in);
	TRY(terminal_open(root, in->process, &t));
	master = t.master;
	slave = t.slave;
	if (in->first)
		TRY(terminal_bind_console(root, slave));
	if (in->return_console)
		TRY(sync_send_fd(in->sync, SYNC_CONSOLE, master));
	else
		TRY(terminal_send(in->console_socket, master));
	return terminal_take(slave);
}

/* A working directory that is missing is made as long as the root can be written to. Why it could not be is said when it is entered. */
static void make_cwd(const struct init *in, const struct inroot *root)
{
	_cleanup_fd_ int made = -1;
	if (in->spec->root_readonly && !str_eq(in->process->cwd, "/"))
		err_free(inroot_mkdir_p(root, in->process->cwd, 0755, &made));
}

#define FDS_LEFT_MAX 16 /* well below every limit of open files */

static struct err *make_root(const struct init *in, const struct inroot *root)
{
	const struct spec *s = in->spec;
	struct mounts_kernel kernel = MOUNTS_KERNEL_NONE; /* left to close_range and execve */
	struct mounts mounts = {
		.spec = s,
		.root = root,
		.sources = in->sources,
		.bundle_fd = in->bundle_fd,
		.bundle = in->bundle,
		.cgroup = in->cgroup,
		.new_userns = s->ns[SPEC_NS_USER].present,
		.ret_kernel = &kernel,
	};
	/* A clone of the host's: its flags are not the container's to change (mounts.h, M6). One of our own has them locked already. */
	mount_leave_fds(FDS_LEFT_MAX);
	if (in->root_tree >= 0 && s->ns[SPEC_NS_USER].present)
		TRY(mount_lock(root->fd, true, "/"));
	TRY(rootfs_attach(s, root->fd));
	bool with_cgroup = mounts_cgroup(s);
	if (with_cgroup)
		TRY(enter_cgroup_late(in));
	mode_t old = umask(0); /* the process's own comes with its user */
	TRY(mounts_make(&mounts));
	TRY(devices_make(s, root, kernel.dev, in->device_tree));
	if (!with_cgroup)
		TRY(enter_cgroup_late(in));
	if (s->hooks.n[SPEC_HOOK_CREATE_CONTAINER])
		umask(old);
	if (s->hooks.n[SPEC_HOOK_PRESTART] || s->hooks.n[SPEC_HOOK_CREATE_RUNTIME]) {
		TRY(sync_send(in->sync, SYNC_HOOKS));
		TRY(expect(in->sync, SYNC_GO));
	}
	if (s->hooks.n[SPEC_HOOK_CREATE_CONTAINER] && fchdir(root->fd) < 0) /* as runc has it */
		return err_errno(errno, "cannot enter the container's root");
	TRY(run_hooks(in, SPEC_HOOK_CREATE_CONTAINER, "creating"));
	TRY(sysctl_write_all(s, in->proc_fd));
	TRY(set_up_terminal(in, root));
	process_set_home(in->process, root);
	make_cwd(in, root);
	TRY(mounts_finish(&mounts));
	TRY(rootfs_mask(s, root, &kernel));
	return rootfs_pivot(s, root, in->no_pivot);
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The wait may be long, and our maker's caller may wait for the end of its pipes: only what is still needed stays open. */
static struct err *close_unneeded(const struct init *in, const struct inroot *root, int sync)
{
	const struct spec_hooks *h = &in->spec->hooks;
	int keep[] = {sync, in->gate, in->proc_fd, root->fd, h->stdout_fd, h->stderr_fd};
	unsigned from = 3 + in->preserve_fds;
	qsort(keep, ARRAY_SIZE(keep), sizeof(keep[0]), compare_fds);
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		if (keep[i] < 0) /* not open */
			continue;
		if ((unsigned)keep[i] > from && close_range(from, (unsigned)keep[i] - 1, 0) < 0)
			return err_errno(errno, "cannot close file descriptors");
		from = MAX(from, (unsigned)keep[i] + 1);
	}
	if (close_range(from, ~0U, 0) < 0)
		return err_errno(errno, "cannot close file descriptors");
	return NULL;
}

/* Waits to be started: over the socket that we have, or by whoever connects to the gate. *sync is then where the result goes. */
static struct err *wait_for_start(const struct init *in, const struct inroot *root, int *sync)
{
	TRY(sync_send(*sync, SYNC_CREATED));
	if (in->gate < 0)
		return expect(*sync, SYNC_START);
	TRY(expect(*sync, SYNC_GO));
	TRY(close_unneeded(in, root, *sync));
	while (true) {
		enum sync_tag tag = SYNC_EOF;
		int connection = accept4(in->gate, NULL, NULL, SOCK_CLOEXEC);
		if (connection < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (connection < 0)
			return err_errno(errno, "cannot wait for the start");
		/* Who only looks whether we are still waiting (container.c) hangs up without a word. */
		err_free(sync_receive(connection, &tag, NULL));
		if (tag == SYNC_START) {
			dup3(connection, *sync, O_CLOEXEC);
			close(connection);
			close(in->gate);
			return NULL;
		}
		close(connection);
	}
}

/* Early words for the most usual mistakes: create can still fail, and callers answer 126 or 127 only then. The binding
 * look-up is made as the process's user, who may reach what we cannot: only what holds for everybody counts. */
static struct err *check_program(const struct spec_process *p)
{
	_cleanup_free_ char *program = NULL;
	struct stat st;
	const char *name = p->args[0];
	bool searched = !strchr(name, '/'), absolute = name[0] == '/';
	struct err *e = process_find_program(p, &program);
	if (e && e->errnum == ENOENT && (searched || absolute))
		return e;
	if (e && e->errnum == EACCES && absolute && stat(name, &st) == 0 &&
	    (S_ISDIR(st.st_mode) || !(st.st_mode & 0111)))
		return e;
	err_free(e);
	return NULL;
}

static struct err *init_run(const struct init *in, int *sync)
{
	struct inroot root = {.fd = in->root_tree};
	TRY(set_up_namespaces(in));
	if (root.fd < 0)
		TRY_WRAP(mount_clone(AT_FDCWD, in->root_path, AT_RECURSIVE, &root.fd), "root.path");
	TRY(make_root(in, &root));
	if (in->gate >= 0 && in->process->args) /* otherwise the start follows at once, and says it */
		TRY(check_program(in->process));
	TRY(wait_for_start(in, &root, sync));
	return execute(in, &root, *sync, true);
}

static int finish(const struct init *in, struct err *e, int sync)
{
	sync_send_error(sync, e);
	err_free(e);
	return 1;
}

int init_main(void *argument)
{
	const struct init *in = argument;
	int sync = in->sync;
	memory_map_code();
	close(in->parent_sync);
	close(in->lock);
	unblock_signals();
	/* Without hooks there is time until the parent says whether it is needed (SYNC_SIGNALS). */
	if (in->spec->hooks.n[SPEC_HOOK_CREATE_CONTAINER])
		heed_signals();
	struct err *e = init_run(in, &sync);
	return finish(in, e, sync);
}

/* -- further processes -------------------------------------------------------------------------------------- */

static struct err *exec_run(const struct init *in)
{
	_cleanup_inroot_ struct inroot root = INROOT_NONE;
	if (in->join_userns)
		TRY(become_root(in));
	TRY(enter_cgroup(in));
	if (setsid() < 0)
		return err_errno(errno, "cannot make a session");
	TRY(process_new_keyring(in->process, in->proc_fd));
	TRY(namespace_enter_time(in->join));
	TRY(inroot_open("/", &root));
	TRY(set_up_terminal(in, &root));
	TRY(sync_send(in->sync, SYNC_CREATED));
	TRY(expect(in->sync, SYNC_GO));
	return execute(in, &root, in->sync, false);
}

int init_exec_main(void *argument)
{
	const struct init *in = argument;
	memory_map_code();
	close(in->parent_sync);
	unblock_signals();
	heed_signals();
	return finish(in, exec_run(in), in->sync);
}
