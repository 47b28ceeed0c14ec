/* SPDX-License-Identifier: Apache-2.0 */
#include "process_setup.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "capabilities.h"
#include "procfs.h"

/* -- in the parent ------------------------------------------------------------------------------------------ */

static struct err *set_rlimit(const struct spec_rlimit *r, pid_t pid, char ***warnings)
{
	struct rlimit want = {.rlim_cur = r->soft, .rlim_max = r->hard}, have;
	if (prlimit(pid, (enum __rlimit_resource)r->resource, &want, NULL) == 0)
		return NULL;
	if (errno != EPERM || prlimit(pid, (enum __rlimit_resource)r->resource, NULL, &have) < 0)
		return err_errno(errno, "process.rlimits: cannot set %s", r->name);
	want.rlim_max = MIN(want.rlim_max, have.rlim_max);
	want.rlim_cur = MIN(want.rlim_cur, want.rlim_max);
	if (prlimit(pid, (enum __rlimit_resource)r->resource, &want, NULL) < 0)
		return err_errno(errno, "process.rlimits: cannot set %s", r->name);
	strv_push_take(warnings,
		       xasprintf("%s is limited to %llu: raising a hard limit needs CAP_SYS_RESOURCE",
				 r->name, (unsigned long long)want.rlim_max));
	return NULL;
}

static void warn_oom_score(int score, char ***warnings)
{
	strv_push_take(warnings,
		       xasprintf("oomScoreAdj %d is not set: lowering it needs CAP_SYS_RESOURCE", score));
}

static struct err *set_oom_score(int proc_fd, pid_t pid, int score, char ***warnings)
{
	char path[64], value[16];
	snprintf(path, sizeof(path), "%d/oom_score_adj", pid);
	int n = snprintf(value, sizeof(value), "%d", score);
	struct err *e = procfs_write(proc_fd, path, value, (size_t)n);
	if (!e || e->kind != ERR_PERMISSION)
		return e;
	err_free(e);
	warn_oom_score(score, warnings);
	return NULL;
}

/* A child starts with our score; going below it is what needs a capability. */
static void expect_oom_score(int proc_fd, int score, char ***warnings)
{
	char text[16];
	_cleanup_fd_ int fd = openat(proc_fd, "self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return;
	text[n - 1] = '\0'; /* the newline */
	int64_t ours = 0;
	err_free(parse_i64(text, "score", -1000, 1000, &ours));
	if (score < ours)
		warn_oom_score(score, warnings);
}

struct err *process_set_own_oom_score(const struct spec_process *p, int proc_fd)
{
	char value[16];
	if (!p->has_oom_score_adj)
		return NULL;
	snprintf(value, sizeof(value), "%d", p->oom_score_adj);
	struct err *e = procfs_write_self(proc_fd, "self/oom_score_adj", value);
	if (!e || e->kind != ERR_PERMISSION)
		return e;
	err_free(e);
	return NULL;
}

/* EPERM has two reasons beside a missing CAP_SYS_NICE, and the kernel says neither (sched(7)). */
static struct err *scheduler_error(int errnum, const struct spec_scheduler *s, pid_t pid)
{
	cpu_set_t cpus;
	bool all = sched_getaffinity(pid, sizeof(cpus), &cpus) < 0 ||
		   CPU_COUNT(&cpus) >= sysconf(_SC_NPROCESSORS_ONLN);
	if (errnum == EPERM && s->policy == SCHED_DEADLINE_POLICY && !all)
		return err_errno(errnum, "process.scheduler: process scheduler can't be used together with "
					 "AllowedCPUs (SCHED_DEADLINE needs all CPUs, "
					 "linux.resources.cpu.cpus allows some)");
	if (errnum == EPERM && (s->policy == SCHED_FIFO || s->policy == SCHED_RR))
		return err_errno(errnum, "process.scheduler: cannot set it (a real-time policy needs "
					 "CAP_SYS_NICE and, on cgroup v1, "
					 "linux.resources.cpu.realtimeRuntime)");
	return err_errno(errnum, "process.scheduler: cannot set it");
}

struct err *process_set_limits(const struct spec_process *p, int proc_fd, pid_t pid, bool rootless,
			       char ***warnings)
{
	for (size_t i = 0; i < p->n_rlimits; i++)
		TRY(set_rlimit(&p->rlimits[i], pid, warnings));
	if (p->has_oom_score_adj && rootless)
		expect_oom_score(proc_fd, p->oom_score_adj, warnings);
	else if (p->has_oom_score_adj)
		TRY(set_oom_score(proc_fd, pid, p->oom_score_adj, warnings));
	if (p->has_scheduler && syscall(SYS_sched_setattr, pid, &p->scheduler, 0) < 0)
		return scheduler_error(errno, &p->scheduler, pid);
	if (p->has_io_priority &&
	    syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, pid, p->io_priority) < 0)
		return err_errno(errno, "process.ioPriority: cannot set it");
	return NULL;
}

struct err *process_set_affinity(pid_t pid, const struct spec_set *cpus, const char *property)
{
	if (sched_setaffinity(pid, sizeof(cpus->bits), (const cpu_set_t *)(const void *)cpus->bits) < 0)
		return err_errno(errno, "process.execCPUAffinity.%s: cannot use these CPUs", property);
	return NULL;
}

static void warn_of_each(uint64_t set, const char *before, const char *after, char ***warnings)
{
	for (int cap = 0; set && cap < CAPABILITY_COUNT; cap++)
		if (set >> cap & 1)
			strv_push_take(warnings, xasprintf("%s%s%s", before, capability_names[cap], after));
}

struct err *process_check_capabilities(const struct spec_process *p, const struct spec *s, char ***warnings)
{
	uint64_t have = 0, effective;
	const struct spec_capabilities *c = &p->caps;
	STRV_FOREACH (name, c->unknown)
		strv_push_take(warnings,
			       xasprintf("process.capabilities: %s is not known and ignored", *name));
	warn_of_each(c->ambient & ~(c->inheritable & c->permitted),
		     "process.capabilities.ambient: can't raise ambient capability ",
		     ": it is not both permitted and inheritable", warnings);
	if (s->ns[SPEC_NS_USER].present) /* in its own user namespace the container has them all */
		return NULL;
	TRY(capabilities_get(&have, &effective));
	warn_of_each((c->bounding | c->effective | c->permitted | c->inheritable | c->ambient) & ~have,
		     "process.capabilities: ", " cannot be granted: the runtime itself does not have it",
		     warnings);
	return NULL;
}

/* -- labels ------------------------------------------------------------------------------------------------- */

/* Anybody may open these files of itself. So the process need not become dumpable for it, not even for a moment: in exec, the container's
 * root may be looking at its fds. */
static struct err *write_attribute(int proc_fd, const char *name, const char *value)
{
	char path[64];
	snprintf(path, sizeof(path), "self/attr/%s", name);
	return procfs_write(proc_fd, path, value, strlen(value));
}

/* In the kernel, and not switched off at boot. */
static bool apparmor_enabled(void)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct err *e = file_read("/sys/module/apparmor/parameters/enabled", 16, &text, &size);
	err_free(e);
	return !e && text[0] == 'Y';
}

struct err *process_check_labels(const struct spec *s, const struct spec_process *p)
{
	if (p->apparmor_profile && !apparmor_enabled())
		return err_new(ERR_UNSUPPORTED,
			       "process.apparmorProfile is \"%s\", but this kernel has no AppArmor",
			       p->apparmor_profile);
	bool selinux = p->selinux_label || (s && !str_empty(s->mount_label));
	if (selinux && access("/sys/fs/selinux/enforce", F_OK) < 0)
		return err_new(ERR_UNSUPPORTED, "%s is \"%s\", but SELinux is not enabled on this machine",
			       p->selinux_label ? "process.selinuxLabel" : "linux.mountLabel",
			       p->selinux_label ? p->selinux_label : s->mount_label);
	return NULL;
}

struct err *process_set_labels(const struct spec_process *p, int proc_fd)
{
	if (p->apparmor_profile) {
		_cleanup_free_ char *value = xasprintf("exec %s", p->apparmor_profile);
		struct err *e = write_attribute(proc_fd, "apparmor/exec", value);
		if (e && e->errnum == ENOENT) { /* before 5.8: one file for whichever module is the first */
			err_free(e);
			e = write_attribute(proc_fd, "exec", value);
		}
		if (e)
			return err_wrap(e, "process.apparmorProfile: unable to apply apparmor profile `%s`%s",
					p->apparmor_profile,
					e->errnum == ENOENT ? ": profile not loaded" : "");
	}
	if (p->selinux_label)
		TRY_WRAP(write_attribute(proc_fd, "exec", p->selinux_label), "process.selinuxLabel \"%s\"",
			 p->selinux_label);
	return NULL;
}

/* -- in the child ------------------------------------------------------------------------------------------- */

struct err *process_new_keyring(const struct spec_process *p, int proc_fd)
{
	struct err *e = NULL;
	/* The keyring is the program's: with another label it could not use it. */
	if (p->selinux_label)
		TRY_WRAP(write_attribute(proc_fd, "keycreate", p->selinux_label),
			 "process.selinuxLabel \"%s\"", p->selinux_label);
	/* Anonymous: a name would be shared with, and found by, whoever uses the same one. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0 && errno != ENOSYS)
		e = err_errno(errno, "cannot make a session keyring (--no-new-keyring goes without)");
	if (!e && p->selinux_label)
		e = write_attribute(proc_fd, "keycreate", "");
	return e;
}

/* A path that leads nowhere inside the root is what a leaked directory fd looks like (CVE-2024-21626). */
static struct err *check_cwd(const char *cwd)
{
	char path[4096];
	long n = syscall(SYS_getcwd, path, sizeof(path));
	if (n < 0 &&
	    errno == ERANGE) /* longer than we care for, but reachable: the kernel says ENOENT otherwise */
		return NULL;
	if (n <= 0 || path[0] != '/')
		return err_new(ERR_INVALID, "process.cwd \"%s\" is outside the container's root", cwd);
	return NULL;
}

struct err *process_enter_cwd(const struct inroot *root, const char *cwd, bool make)
{
	_cleanup_fd_ int fd = -1;
	if (str_eq(cwd, "/")) {
		if (fchdir(root->fd) < 0)
			return err_errno(errno, "process.cwd \"/\": cannot change to it");
		return NULL; /* the root cannot be outside of itself */
	}
	struct err *e = inroot_open_at(root, cwd, O_PATH | O_DIRECTORY, 0, &fd);
	if (e && e->errnum == ENOENT && make) {
		err_free(e);
		e = inroot_mkdir_p(root, cwd, 0755, &fd);
	}
	if (!e && fchdir(fd) < 0)
		e = err_errno(errno, "cannot change to it");
	if (e)
		return err_wrap(e, "process.cwd \"%s\"", cwd);
	return check_cwd(cwd);
}

static struct err *set_groups(const struct spec_process *p)
{
	if (p->keep_original_groups)
		return NULL;
	if (setgroups(p->n_additional_gids, p->additional_gids) == 0)
		return NULL;
	/* In a user namespace of an ordinary user groups cannot be set at all: fine, unless some are wanted. */
	if (errno == EPERM && !p->n_additional_gids)
		return NULL;
	return err_errno(errno, "process.user.additionalGids: cannot set them%s",
			 errno == EINVAL ? " (is one not mapped?)"
			 : errno == EPERM
				 ? " (an ordinary user whose group ids are not mapped by newgidmap cannot "
				   "set groups: leave them out, or give the user a range in /etc/subgid)"
				 : "");
}

struct err *process_become(const struct spec_process *p, const struct inroot *root)
{
	/* With the rights of root first, which may be needed to walk there; else, as on a network file system that trusts only the
	 * user, as the user. */
	struct err *cwd = process_enter_cwd(root, p->cwd, true);
	if (cwd && cwd->errnum != EACCES)
		return cwd;
	struct err *e = NULL;
	if (!(e = capabilities_limit_bounding(&p->caps)) && !(e = set_groups(p))) {
		/* The capabilities survive the change of the user until they are set below. */
		if (p->uid && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
			e = err_errno(errno, "cannot keep capabilities");
		else if (setresgid(p->gid, p->gid, p->gid) < 0)
			e = err_errno(errno, "process.user.gid: cannot become group %u%s", p->gid,
				      errno == EINVAL ? ": it is not mapped in the user namespace" : "");
		else if (setresuid(p->uid, p->uid, p->uid) < 0)
			e = err_errno(errno, "process.user.uid: cannot become user %u%s", p->uid,
				      errno == EINVAL ? ": it is not mapped in the user namespace" : "");
	}
	if (!e && cwd) {
		err_free(cwd);
		cwd = NULL;
		e = process_enter_cwd(root, p->cwd, false);
	}
	err_free(cwd);
	if (e)
		return e;
	umask(p->has_umask ? p->umask : 022);
	TRY(capabilities_apply(&p->caps));
	/* The change of ids made us undumpable if we were not already; execve will decide anew. */
	if (p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(errno, "cannot set no_new_privs");
	return NULL;
}

struct err *process_set_memory_policy(const struct spec_memory_policy *m)
{
	if (!m->set)
		return NULL;
	const unsigned long *nodes = m->nodes.given ? m->nodes.bits : NULL;
	if (syscall(SYS_set_mempolicy, m->mode, nodes, nodes ? SPEC_SET_MAX + 1 : 0) < 0)
		return err_errno(errno, "linux.memoryPolicy: cannot set it");
	return NULL;
}

/* -- the program -------------------------------------------------------------------------------------------- */

/* 0, or why it cannot be executed. */
static int probe(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	/* With the effective ids and capabilities, which are the process's by now. */
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? errno : 0;
}

struct err *process_exec_error(int errnum, const char *name, const char *why)
{
	/* In the small letters of runc's language: dockerd answers 126 and 127 by these very words. */
	_cleanup_free_ char *reason = xstrdup(strerror(errnum));
	if (*reason >= 'A' && *reason <= 'Z')
		*reason = (char)(*reason - 'A' + 'a');
	struct err *e = err_new(ERR_EXEC, "%s", reason);
	e = why ? err_wrap(e, "exec: \"%s\"%s", name, why) : err_wrap(e, "exec %s", name);
	e->errnum = errnum;
	return e;
}

struct err *process_find_program(const struct spec_process *p, char **ret_path)
{
	const char *name = p->args[0];
	if (strchr(name, '/')) {
		int errnum = probe(name);
		/* Callers look for strerror's words to answer 126 or 127. */
		if (errnum)
			return process_exec_error(errnum == EISDIR ? EACCES : errnum, name, "");
		*ret_path = xstrdup(name);
		return NULL;
	}
	const char *search = env_get(p->env, "PATH");
	_cleanup_strv_ char **dirs = strv_split(search ? search : "", ":");
	int worst = 0;
	STRV_FOREACH (d, dirs) {
		_cleanup_free_ char *path = xasprintf("%s/%s", *d, name);
		int errnum = probe(path);
		if (!errnum) {
			*ret_path = TAKE_PTR(path);
			return NULL;
		}
		if (errnum == EACCES)
			worst = EACCES;
	}
	return worst ? process_exec_error(worst, name, "")
		     : process_exec_error(ENOENT, name, ": executable file not found in $PATH");
}

/* -- HOME --------------------------------------------------------------------------------------------------- */

#define PASSWD_MAX (8u << 20)

/* The sixth field of the line whose third is `uid`. */
static char *find_home(char *text, uint32_t uid)
{
	char *rest = text, *line;
	while ((line = strsep(&rest, "\n"))) {
		char *fields[7] = {0}, *p = line;
		size_t n = 0;
		while (n < 7 && p)
			fields[n++] = strsep(&p, ":");
		uint64_t id;
		if (n < 6)
			continue;
		struct err *e = parse_u64(fields[2], "uid", 0, UINT32_MAX, &id);
		if (e)
			err_free(e);
		else if (id == uid)
			return fields[5];
	}
	return NULL;
}

void process_set_home(struct spec_process *p, const struct inroot *root)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	if (!str_empty(env_get(p->env, "HOME")))
		return;
	struct err *e = inroot_read_file(root, "/etc/passwd", PASSWD_MAX, &text, &size);
	char *home = e ? NULL : find_home(text, p->uid);
	err_free(e);
	env_set(&p->env, "HOME", str_empty(home) ? "/" : home);
}
