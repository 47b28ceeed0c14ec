/* SPDX-License-Identifier: Apache-2.0 */
/* A further process in a running container: into all its namespaces at once through the pidfd of its first process. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "container_private.h"
#include "init.h"
#include "process_setup.h"
#include "procfs.h"
#include "resctrl.h"
#include "rootless.h"

struct exec {
	const struct rt_exec *request;
	struct rt_container *c;
	struct spec *spec; /* of `c` */
	struct spec_process process;
	struct namespace_join join;
	struct rt_seccomp filter;
	struct init init;
	int proc_fd, sync[2];
	struct rt_process result;
};

static void exec_release(struct exec *x)
{
	spec_process_release(&x->process);
	rt_seccomp_release(&x->filter);
	fd_close(x->proc_fd);
	fd_close(x->sync[0]);
	fd_close(x->sync[1]);
	fd_close(x->result.pidfd);
	fd_close(x->result.console);
}

static struct err *check(struct exec *x)
{
	const struct rt_exec *r = x->request;
	struct json_cursor process = json_root(r->process);
	/* Without a lock a second look right after the first is worth nothing. */
	if (!x->c->fresh)
		TRY(rt_container_refresh(x->c));
	x->c->fresh = false;
	if (x->c->status == RT_STOPPED || x->c->status == RT_CREATING)
		return err_new(ERR_STATE, "cannot exec in a stopped container: container not running");
	if (x->c->status == RT_PAUSED && !r->ignore_paused)
		return err_new(ERR_STATE,
			       "cannot exec in a paused container (use --ignore-paused to override)");
	TRY_WRAP(spec_process_parse(&process, &x->process), "process");
	TRY(rt_container_check_stdio(&x->process, r->console_socket, r->return_console));
	TRY(rt_container_spec(x->c, &x->spec));
	x->process.keep_original_groups = x->spec->process.keep_original_groups;
	TRY(process_check_capabilities(&x->process, x->spec, &x->c->warnings));
	TRY(process_check_labels(NULL, &x->process));
	return rt_container_seccomp(x->spec, &x->filter, &x->init.seccomp);
}

static struct err *set_home(struct exec *x)
{
	_cleanup_inroot_ struct inroot root = INROOT_NONE;
	char path[64];
	if (!str_empty(env_get(x->process.env, "HOME")))
		return NULL;
	snprintf(path, sizeof(path), "%d/root", x->c->pid);
	root.fd = openat(x->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root.fd < 0)
		return err_errno(errno, "cannot open the container's root");
	process_set_home(&x->process, &root);
	return NULL;
}

static struct err *clone_child(struct exec *x)
{
	const struct rt_exec *r = x->request;
	struct rt_container *c = x->c;
	if (c->cgroup)
		TRY(rt_cgroup_prepare_enter(c->cgroup, r->cgroups));
	int cgroup_fd = c->cgroup ? rt_cgroup_clone_fd(c->cgroup) : -1;
	x->join.pidfd = c->pidfd;
	for (size_t i = 0; i < SPEC_NS_COUNT; i++)
		if (x->spec->ns[i].present)
			x->join.pidfd_flags |= namespace_kinds[i].flag;
	TRY(fd_socketpair(SOCK_STREAM, x->sync));
	x->init = (struct init){
		.spec = x->spec,
		.process = &x->process,
		.join = &x->join,
		.id = c->id,
		.bundle = c->bundle,
		.sync = x->sync[1],
		.parent_sync = x->sync[0],
		.gate = -1,
		.proc_fd = x->proc_fd,
		.bundle_fd = -1,
		.root_tree = -1,
		.cgroup = c->cgroup,
		.cloned_into_cgroup = cgroup_fd >= 0,
		.seccomp = x->init.seccomp,
		.stdio = {r->stdio[0], r->stdio[1], r->stdio[2]},
		.console_socket = r->console_socket,
		.return_console = r->return_console,
		.join_userns = x->spec->ns[SPEC_NS_USER].present,
		.preserve_fds = r->preserve_fds,
		.listen_fds = r->listen_fds,
		.rootless = x->process.has_oom_score_adj && rootless_confined(x->proc_fd),
	};
	struct namespace_clone clone = {
		.join = &x->join,
		.cgroup_fd = cgroup_fd,
		.child = init_exec_main,
		.argument = &x->init,
	};
	/* The child appears among the container's processes: init.h says why not dumpable. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(errno, "cannot become undumpable");
	struct err *e = namespace_clone(&clone, &x->result.pid, &x->result.pidfd);
	/* A group that the container owns and has divided: EBUSY; or one that we may not write to any more as a member of its user
	 * namespace, into which the clone is made: EACCES. This way is slower (a grace period), so it comes second. */
	if (e && cgroup_fd >= 0 && (e->errnum == EACCES || e->errnum == EBUSY || e->errnum == EOPNOTSUPP)) {
		err_free(e);
		TRY(rt_cgroup_prepare_enter_like(c->cgroup, r->cgroups ? 0 : c->pid));
		x->init.cloned_into_cgroup = false;
		clone.cgroup_fd = -1;
		e = namespace_clone(&clone, &x->result.pid, &x->result.pidfd);
	}
	if (e)
		return e;
	fd_close(x->sync[1]);
	if (c->cgroup)
		rt_cgroup_enter_done(c->cgroup);
	return NULL;
}

static struct err *attend(struct exec *x)
{
	while (true) {
		_cleanup_fd_ int fd = -1;
		enum sync_tag tag;
		TRY(sync_receive(x->sync[0], &tag, &fd));
		switch (tag) {
		case SYNC_CONSOLE:
			x->result.console = TAKE_FD(fd);
			break;
		case SYNC_CREATED:
			return NULL;
		case SYNC_EOF:
			return err_new(ERR_SYSTEM, "the process died while it was set up");
		default:
			return err_new(ERR_INTERNAL, "unexpected message '%c' from the process", tag);
		}
	}
}

/* execCPUAffinity.initial is the runtime's own until the process is in the container's cgroup: it is inherited. */
static struct err *clone_on_cpus(struct exec *x)
{
	cpu_set_t before;
	if (!x->process.cpu_initial.given)
		return clone_child(x);
	if (sched_getaffinity(0, sizeof(before), &before) < 0)
		return err_errno(errno, "cannot read our CPU affinity");
	TRY(process_set_affinity(0, &x->process.cpu_initial, "initial"));
	struct err *e = clone_child(x);
	sched_setaffinity(0, sizeof(before), &before);
	return e;
}

static struct err *set_final_affinity(struct exec *x)
{
	struct spec_set all = {.given = true};
	if (x->process.cpu_final.given)
		return process_set_affinity(x->result.pid, &x->process.cpu_final, "final");
	if (!x->process.cpu_initial.given)
		return NULL;
	memset(all.bits, 0xff, sizeof(all.bits)); /* the kernel reduces it to the CPUs of the cgroup */
	return process_set_affinity(x->result.pid, &all, "final");
}

static struct err *join_resctrl(struct exec *x)
{
	_cleanup_fd_ int root = -1;
	if (!x->spec->rdt.set)
		return NULL;
	TRY(resctrl_open(x->proc_fd, &root));
	return resctrl_join(root, &x->spec->rdt, x->c->id, x->result.pid);
}

static struct err *run(struct exec *x)
{
	TRY(clone_on_cpus(x));
	TRY(attend(x));
	TRY(set_final_affinity(x));
	TRY(join_resctrl(x));
	TRY(process_set_limits(&x->process, x->proc_fd, x->result.pid, x->init.rootless, &x->c->warnings));
	TRY(rt_container_write_pid_file(x->request->pid_file, x->result.pid));
	TRY(sync_send(x->sync[0], SYNC_GO));
	return rt_container_await_exec(x->c, x->spec, x->sync[0], x->result.pid);
}

struct err *rt_container_exec(struct rt_container *c, const struct rt_exec *r, struct rt_process *ret)
{
	_cleanup_(exec_release) struct exec x = {
		.request = r,
		.c = c,
		.join = NAMESPACE_JOIN_NONE,
		.proc_fd = -1,
		.sync = {-1, -1},
		.result = {.pidfd = -1, .console = -1},
	};
	TRY(check(&x));
	TRY(procfs_open(&x.proc_fd));
	TRY(set_home(&x));
	struct err *e = run(&x);
	if (e) {
		int status;
		if (x.result.pidfd >= 0) {
			err_free(process_signal(x.result.pidfd, SIGKILL));
			err_free(process_wait(x.result.pidfd, 10000, &status));
		}
		return e;
	}
	*ret = (struct rt_process){x.result.pid, TAKE_FD(x.result.pidfd), TAKE_FD(x.result.console)};
	return NULL;
}
