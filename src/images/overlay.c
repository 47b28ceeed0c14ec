/* SPDX-License-Identifier: Apache-2.0 */
/* Two ways to the same mount.
 *
 * Linux >= 6.5: fsopen, fsconfig with one lowerdir+ for each layer, fsmount. A string of fsconfig has at most 255 bytes, and in upperdir
 * and workdir a backslash escapes: a path that does not fit is passed as /proc/self/fd/N.
 *
 * Linux 5.14 to 6.4: one lowerdir string, the layers separated by colons. fsconfig's 255 bytes are too few, and mount(2) takes a
 * page: 500 layers fit when each is a number. So a thread with a mount namespace and a working directory of its own mounts from
 * inside /proc/self/fd, where our fds are names like "12", takes a detached copy of the mount, and ends; the namespace goes with it.
 */
#include "overlay.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/user.h"

#ifndef MS_RDONLY
#define MS_RDONLY 1
#define MS_REC 16384
#define MS_PRIVATE (1 << 18)
#endif
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);

#define PARAM_MAX 255

bool overlay_userxattr(void)
{
	return user_is_confined();
}

static struct err *open_directory(const char *path, int *ret_fd)
{
	*ret_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno(errno, "cannot open directory %s", path) : NULL;
}

/* -- Linux >= 6.5 --------------------------------------------------------------------------------------------- */

/* What the kernel wrote about the last failure ("e overlay: …"), or nothing. */
static char *kernel_says(int fs)
{
	char text[512];
	ssize_t n = read(fs, text, sizeof(text) - 1);

	if (n < 3)
		return xstrdup("");
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return xasprintf(" (%s)", text + 2);
}

static struct err *set_option(int fs, const char *key, const char *value)
{
	long r = value ? syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0)
		       : syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, key, NULL, 0);
	if (r == 0)
		return NULL;
	int errnum = errno;
	_cleanup_free_ char *why = kernel_says(fs);
	return err_errno(errnum, "overlay option %s%s%s%s", key, value ? "=" : "", value ? value : "", why);
}

/* The kernel resolves the path now, so the fd behind a magic link is needed no longer. */
static struct err *set_path(int fs, const char *key, const char *path)
{
	_cleanup_fd_ int fd = -1;

	if (strlen(path) <= PARAM_MAX && !strpbrk(path, "\\:,"))
		return set_option(fs, key, path);
	TRY(open_directory(path, &fd));
	return set_option(fs, key, fd_path(fd).s);
}

static struct err *configure(int fs, const struct overlay *o)
{
	for (size_t i = 1; i < o->n_lower; i++)
		TRY(set_path(fs, "lowerdir+", o->lower[i]));
	if (o->upper) {
		TRY(set_path(fs, "upperdir", o->upper));
		TRY(set_path(fs, "workdir", o->work));
	}
	/* The layers of images know nothing of these; an upper directory that does could not be turned into a layer. */
	TRY(set_option(fs, "redirect_dir", "nofollow"));
	TRY(set_option(fs, "metacopy", "off"));
	if (o->upper)
		TRY(set_option(fs, "index", "off"));
	if (o->upper && o->is_volatile)
		TRY(set_option(fs, "volatile", NULL));
	if (overlay_userxattr())
		TRY(set_option(fs, "userxattr", NULL));
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		return NULL;
	int errnum = errno;
	_cleanup_free_ char *why = kernel_says(fs);
	return err_errno(errnum, "cannot make the overlay file system%s", why);
}

/* *ret_fd stays -1 when this kernel has no lowerdir+. */
static struct err *mount_by_parameters(const struct overlay *o, int *ret_fd)
{
	_cleanup_fd_ int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);

	if (fs < 0)
		return err_errno(errno, "cannot use overlayfs");
	struct err *e = set_path(fs, "lowerdir+", o->lower[0]);
	if (e && e->errnum == EINVAL) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	TRY(configure(fs, o));
	int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
			      o->read_only || !o->upper ? MOUNT_ATTR_RDONLY : 0);
	if (fd < 0)
		return err_errno(errno, "cannot mount the overlay file system");
	*ret_fd = fd;
	return NULL;
}

/* -- Linux < 6.5 ---------------------------------------------------------------------------------------------- */

struct mount_job {
	const struct overlay *o;
	int *fds; /* n_lower + 2, -1: none */
	int fd;
	struct err *error;
};

static struct err *build_options(const struct overlay *o, int *fds, struct strbuf *options)
{
	size_t n = 0;

	strbuf_puts(options, "redirect_dir=nofollow,metacopy=off");
	if (overlay_userxattr())
		strbuf_puts(options, ",userxattr");
	if (o->upper) {
		TRY(open_directory(o->upper, &fds[n]));
		strbuf_printf(options, ",index=off,upperdir=%d", fds[n++]);
		TRY(open_directory(o->work, &fds[n]));
		strbuf_printf(options, ",workdir=%d%s", fds[n++], o->is_volatile ? ",volatile" : "");
	}
	strbuf_puts(options, ",lowerdir=");
	for (size_t i = 0; i < o->n_lower; i++) {
		TRY(open_directory(o->lower[i], &fds[n]));
		strbuf_printf(options, "%s%d", i ? ":" : "", fds[n++]);
	}
	return NULL;
}

static struct err *mount_in_thread(struct mount_job *job)
{
	const struct overlay *o = job->o;
	_cleanup_strbuf_ struct strbuf options = {0};
	_cleanup_free_ char *target = NULL;
	unsigned long flags = o->read_only || !o->upper ? MS_RDONLY : 0;

	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(errno, "cannot make a mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(errno, "cannot make the mounts of a mount namespace private");
	/* In this order: overlayfs wants directories of mounts of this namespace, and relative paths are still the caller's. */
	TRY(build_options(o, job->fds, &options));
	target = realpath(o->target, NULL);
	if (!target || chdir("/proc/self/fd") < 0)
		return err_errno(errno, "cannot find %s or enter /proc/self/fd", o->target);
	if (mount("overlay", target, "overlay", flags, options.data) < 0)
		return err_errno(errno, "cannot mount the overlay file system on %s", target);
	job->fd = (int)syscall(SYS_open_tree, AT_FDCWD, target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return job->fd < 0 ? err_errno(errno, "cannot detach the overlay file system") : NULL;
}

static void *mount_thread(void *user)
{
	struct mount_job *job = user;

	job->error = mount_in_thread(job);
	return NULL;
}

static struct err *mount_by_string(const struct overlay *o, int *ret_fd)
{
	size_t n = o->n_lower + 2;
	_cleanup_free_ int *fds = xnew_array(int, n);
	struct mount_job job = {.o = o, .fds = fds, .fd = -1};
	pthread_t thread;
	sigset_t all, before;

	memset(fds, 0xff, n * sizeof(*fds));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&thread, NULL, mount_thread, &job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return err_errno(r, "cannot start a thread");
	pthread_join(thread, NULL);
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (!job.error)
		*ret_fd = job.fd;
	return job.error;
}

struct err *overlay_mount_fd(const struct overlay *o, int *ret_fd)
{
	int fd = -1;

	if (o->n_lower > OVERLAY_LAYERS_MAX)
		return err_new(ERR_LIMIT, "there are %zu layers, overlayfs takes at most %d", o->n_lower,
			       OVERLAY_LAYERS_MAX);
	if (o->n_lower == 0 || (o->n_lower == 1 && !o->upper))
		return err_new(ERR_INVALID, "an overlay of one directory");
	/* The old way can be asked for, so that tests on new kernels reach it. */
	if (!getenv("HAVRE_TEST_OLD_OVERLAY"))
		TRY(mount_by_parameters(o, &fd));
	if (fd < 0)
		TRY(mount_by_string(o, &fd));
	*ret_fd = fd;
	return NULL;
}
