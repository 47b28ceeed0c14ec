/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "procfs.h"
#include "tree_copy.h"
#include "userns.h"

/* -- sources, opened by the parent -------------------------------------------------------------------------- */

static struct err *idmap(const struct spec *s, const struct spec_mount *m, int proc_fd, int fd)
{
	_cleanup_fd_ int userns = -1;
	TRY(userns_make(proc_fd, m->maps.n_uid ? &m->maps : &s->maps, &userns));
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
	unsigned flags = AT_EMPTY_PATH | (m->idmap == SPEC_IDMAP_RECURSIVE ? AT_RECURSIVE : 0);
	if (mount_setattr(fd, "", flags, &attr, sizeof(attr)) < 0)
		return err_errno(errno, "cannot map the ids of %s (does its file system support it?)",
				 m->source);
	return NULL;
}

static unsigned clone_flags(const struct spec_mount *m)
{
	return (m->recursive ? (unsigned)AT_RECURSIVE : 0) |
	       (m->src_nofollow ? (unsigned)AT_SYMLINK_NOFOLLOW : 0);
}

static struct err *open_source(const struct spec *s, const struct spec_mount *m, int bundle_fd, int proc_fd,
			       int *ret)
{
	_cleanup_fd_ int fd = -1;
	if (m->copy_symlink) {
		struct stat st;
		if (fstatat(bundle_fd, m->source, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			return NULL; /* the child copies it */
	}
	TRY(mount_clone(bundle_fd, m->source, clone_flags(m), &fd));
	if (m->idmap != SPEC_IDMAP_NONE)
		TRY(idmap(s, m, proc_fd, fd));
	*ret = TAKE_FD(fd);
	return NULL;
}

struct err *mounts_open_sources(const struct spec *s, int bundle_fd, int proc_fd, int *fds)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		fds[i] = -1;
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct spec_mount *m = &s->mounts[i];
		if (m->bind && !m->remount)
			TRY_WRAP(open_source(s, m, bundle_fd, proc_fd, &fds[i]), "cannot mount %s on %s",
				 m->source, m->destination);
	}
	return NULL;
}

/* -- in the child ------------------------------------------------------------------------------------------- */

static const char *const proc_targets[] = {
	"/proc/cpuinfo",
	"/proc/diskstats",
	"/proc/meminfo",
	"/proc/stat",
	"/proc/swaps",
	"/proc/uptime",
	"/proc/loadavg",
	"/proc/slabinfo",
	"/proc/net/dev",
	"/proc/sys/kernel/ns_last_pid",
	"/proc/sys/crypto/fips_enabled",
};

/* "/proc", however it is written: "proc/", "//proc", "/./proc". */
static bool is_at(const struct spec_mount *m, const char *name)
{
	const char *d = m->destination;
	size_t n = strlen(name);
	while (*d == '/' || (d[0] == '.' && (d[1] == '/' || !d[1])))
		d++;
	if (strncmp(d, name, n) != 0)
		return false;
	for (d += n; *d == '/' || (d[0] == '.' && d[-1] == '/' && (d[1] == '/' || !d[1]));)
		d++;
	return !*d;
}

static struct err *check_target(const struct spec_mount *m, int target, bool is_proc)
{
	struct stat st;
	bool on_proc = fd_is_fs(target, PROC_SUPER_MAGIC);
	bool on_root = on_proc && fstat(target, &st) == 0 && st.st_ino == 1;
	if (!is_proc && (on_root || is_at(m, "proc")))
		return err_new(ERR_INVALID, "%s is not a proc file system, and %s must be one",
			       m->source ? m->source : m->type, m->destination);
	if (!on_proc || on_root)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(proc_targets); i++)
		if (str_eq(m->destination, proc_targets[i]))
			return NULL;
	return err_new(ERR_INVALID,
		       "%s is inside a proc file system: mounting there could hide what the container's "
		       "confinement relies on",
		       m->destination);
}

static enum target_link link_at_target(const struct spec_mount *m)
{
	if (str_eq(m->type, "proc") || str_eq(m->type, "sysfs") || is_at(m, "dev") || is_at(m, "proc") ||
	    is_at(m, "sys"))
		return TARGET_LINK_REFUSED;
	return m->dest_nofollow ? TARGET_LINK_COVERED : TARGET_LINK_FOLLOWED;
}

static bool is_on_root(const struct spec_mount *m)
{
	const char *d = m->destination + strspn(m->destination, "/");
	return !*d || str_eq(d, ".");
}

/* What was just mounted over the root is the root from here on: `ms->root` names it by the same number. Lookups from the old one would not
 * see it. */
static struct err *replace_root(const struct mounts *ms, const struct spec_mount *m, int fd)
{
	if (is_on_root(m) && dup3(fd, ms->root->fd, O_CLOEXEC) < 0)
		return err_errno(errno, "cannot take the mount for the root");
	return NULL;
}

static struct err *target_open(const struct mounts *ms, const struct spec_mount *m, bool directory,
			       bool is_proc, int *ret_fd)
{
	_cleanup_fd_ int fd = -1;
	if (is_on_root(m)) { /* of a container that is being made: pivot_root comes later */
		if (!ms->ret_kernel || !directory)
			return err_new(ERR_INVALID, "the destination is the root itself");
		return fd_dup(ms->root->fd, 3, ret_fd);
	}
	TRY(mount_target(ms->root, m->destination, directory, link_at_target(m), &fd));
	TRY(check_target(m, fd, is_proc));
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

/* Attributes and propagation of a detached mount, in as few calls as they take. */
static struct err *apply_attributes(const struct spec *s, const struct spec_mount *m, int fd, bool attr_done)
{
	uint64_t propagation = m->propagation;
	bool propagation_rec = m->propagation_recursive;
	if (!propagation && m->bind && s->rootfs_propagation != MS_SHARED) {
		/* A clone of a shared mount is its peer: what the container mounts there would appear on the host. */
		propagation = MS_SLAVE;
		propagation_rec = true;
	}
	uint64_t set = attr_done ? 0 : m->attr_set, clear = attr_done ? 0 : m->attr_clear;
	if (m->rec_set || m->rec_clear || (propagation && propagation_rec))
		TRY(mount_change(fd, AT_RECURSIVE, m->rec_set, m->rec_clear,
				 propagation_rec ? propagation : 0, m->destination));
	if (set || clear || (propagation && !propagation_rec))
		TRY(mount_change(fd, 0, set, clear, propagation_rec ? 0 : propagation, m->destination));
	return NULL;
}

static struct err *copy_symlink(const struct mounts *ms, const struct spec_mount *m)
{
	char target[4096];
	_cleanup_fd_ int parent = -1;
	_cleanup_free_ char *name = NULL;
	ssize_t n = readlinkat(ms->bundle_fd, m->source, target, sizeof(target) - 1);
	if (n < 0)
		return err_errno(errno, "cannot read the symlink %s", m->source);
	target[n] = '\0';
	TRY(mount_make_parent(ms->root, m->destination, &parent, &name));
	if (symlinkat(target, parent, name) < 0) {
		char have[4096];
		ssize_t k = readlinkat(parent, name, have, sizeof(have));
		if (k != n || memcmp(have, target, (size_t)n) != 0)
			return err_errno(EEXIST, "cannot make the symlink %s", m->destination);
	}
	return NULL;
}

/* Where the fd of this mount is kept for the masks: the last one at a place is the one that is seen. */
static int *kernel_slot(const struct mounts *ms, const struct spec_mount *m)
{
	if (!ms->ret_kernel)
		return NULL;
	if (is_at(m, "dev"))
		return str_eq(m->type, "tmpfs") && !m->tmpcopyup ? &ms->ret_kernel->dev : NULL;
	return is_at(m, "proc") ? &ms->ret_kernel->proc : is_at(m, "sys") ? &ms->ret_kernel->sys : NULL;
}

/* The source as we see it, where the parent has no right to bind: by its path on the host, because a directory fd of the parent's
 * belongs to another mount namespace. *ret stays -1 for a symlink that is to be copied. */
static struct err *open_own_source(const struct mounts *ms, const struct spec_mount *m, int *ret)
{
	struct stat st;
	if (m->copy_symlink && fstatat(ms->bundle_fd, m->source, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode))
		return NULL;
	if (m->idmap != SPEC_IDMAP_NONE)
		return err_new(
			ERR_PERMISSION,
			"only root can map the ids of a mount of the host (option idmap, uidMappings)");
	_cleanup_free_ char *path =
		m->source[0] == '/' ? xstrdup(m->source) : xasprintf("%s/%s", ms->bundle, m->source);
	return mount_clone(AT_FDCWD, path, clone_flags(m), ret);
}

/* CVE-2023-25809: a recursive bind of the host's /sys, read-only or not, brings the host's control groups along; those delegated to the
 * user would be writable, and with them the limits of everything that the user runs. */
static struct err *protect_cgroups(const struct mounts *ms, const char *destination)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *path = xasprintf("%s/fs/cgroup", destination);
	struct err *e = inroot_open_at(ms->root, path, O_PATH | O_DIRECTORY, 0, &fd);
	if (e) { /* no such thing in this kernel's sysfs */
		err_free(e);
		return NULL;
	}
	if (fd_is_fs(fd, SYSFS_MAGIC)) /* nothing is mounted there */
		return NULL;
	return mount_change(fd, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0, path);
}

static bool is_whole_sys(const struct spec_mount *m)
{
	return m->recursive && str_starts(m->source, "/sys") && !m->source[4 + strspn(m->source + 4, "/.")];
}

static struct err *make_bind(const struct mounts *ms, const struct spec_mount *m, int source)
{
	_cleanup_fd_ int own = -1, target = -1;
	struct stat st;
	if (!ms->sources)
		TRY(open_own_source(ms, m, &own));
	if (source < 0 && own < 0)
		return copy_symlink(ms, m);
	/* In a user namespace our own clone has the mount flags locked that the host set; the parent's has not, until mount_lock. Only where we have no
	 * right to walk to the source (or its ids are mapped) the parent's is used. */
	if (own < 0 && ms->new_userns && m->idmap == SPEC_IDMAP_NONE && m->source[0] == '/') {
		struct err *e = mount_clone(AT_FDCWD, m->source, clone_flags(m), &own);
		if (e && e->errnum != EACCES)
			return e;
		err_free(e);
	}
	int fd = own >= 0 ? own : source;
	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot stat %s", m->source);
	TRY(apply_attributes(ms->spec, m, fd, false));
	if (own < 0 && ms->spec->ns[SPEC_NS_USER].present) {
		TRY(mount_lock(fd, m->recursive, m->destination));
		if (m->propagation) /* the copy that locks it changes that */
			TRY(apply_attributes(ms->spec, m, fd, false));
	}
	TRY(target_open(ms, m, S_ISDIR(st.st_mode), fd_is_fs(fd, PROC_SUPER_MAGIC), &target));
	TRY(mount_attach(fd, target, m->destination));
	TRY(replace_root(ms, m, fd));
	if (ms->new_userns && is_whole_sys(m))
		TRY(protect_cgroups(ms, m->destination));
	int *kept = kernel_slot(ms, m);
	if (!kept)
		return NULL;
	fd_closep(kept);
	return fd_dup(fd, 3, kept);
}

/* A tmpfs that nobody else sees, stacked over the root; our working directory is in it. Lookups from the root's fd do not meet it. */
static struct err *enter_scratch(const struct inroot *root)
{
	_cleanup_fd_ int fd = -1;
	char *none[] = {NULL};
	TRY(mount_new("tmpfs", "scratch", none, 0, &fd));
	TRY(mount_attach(fd, root->fd, "a scratch directory"));
	if (fchdir(fd) < 0 || mkdir("m", 0700) < 0)
		return err_errno(errno, "cannot use a scratch directory");
	return NULL;
}

/* For options that fsconfig cannot take (overlay's lowerdir): mount(2). It knows names only, and those in the container's root others can
 * change (M2): so it mounts where only we are, and from there the mount is taken to its target like all others. */
static struct err *make_by_mount2(const struct mounts *ms, const struct spec_mount *m, int target)
{
	_cleanup_fd_ int made = -1;
	_cleanup_free_ char *data = strv_join(m->data, ",");
	if (strlen(data) >= 4096)
		return err_new(ERR_LIMIT, "the options are longer than 4095 bytes");
	if (ms->ret_kernel)
		ms->ret_kernel->in_dev = false;
	TRY(enter_scratch(ms->root));
	struct err *e = NULL;
	if (mount(m->source ? m->source : m->type, "m", m->type, 0, data) < 0)
		e = err_errno(errno, "cannot mount %s", m->type);
	else if ((made = open("m", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		e = err_errno(errno, "cannot open the new %s", m->type);
	if (!e)
		e = apply_attributes(ms->spec, m, made, false);
	if (!e)
		e = mount_attach(made, target, m->destination);
	if ((umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) && !e)
		e = err_errno(errno, "cannot leave the scratch directory");
	return e;
}

/* Where a user namespace may not mount the real thing (its network, IPC or PID namespace belongs to the host), the host's is
 * bound. Read-only, and all that is mounted below, too: cgroups that are delegated to the user must not be writable
 * (CVE-2023-25809). */
static struct err *bind_instead(const struct mounts *ms, const struct spec_mount *m, struct err *why,
				int *ret_fd)
{
	bool sysfs = str_eq(m->type, "sysfs"), proc = str_eq(m->type, "proc");
	const char *host = sysfs ? "/sys" : proc ? "/proc" : str_eq(m->type, "mqueue") ? "/dev/mqueue" : NULL;
	if (!host || why->kind != ERR_PERMISSION)
		return why;
	/* The host's would show the host's processes under the numbers of the container's. */
	if (proc && ms->spec->ns[SPEC_NS_PID].present)
		return err_wrap(
			why, "the kernel allows a new proc only to who sees all of an old one: is a part of "
			     "/proc masked here, as in a container? (bind /proc and share the PID "
			     "namespace, or unmask it)");
	struct err *e = mount_clone(AT_FDCWD, host, AT_RECURSIVE, ret_fd);
	if (e) {
		err_free(e);
		return why;
	}
	err_free(why);
	uint64_t set = (m->attr_set & ~(uint64_t)MOUNT_ATTR__ATIME) | (sysfs ? MOUNT_ATTR_RDONLY : 0);
	return mount_change(*ret_fd, AT_RECURSIVE, set, 0, MS_SLAVE, m->destination);
}

/* Those have one instance for many mounts: their superblock is not ours to make read-only. */
static bool is_virtual(const char *type)
{
	static const char *const types[] = {"proc",    "sysfs",    "tmpfs",   "devpts",     "mqueue",
					    "cgroup2", "debugfs",  "tracefs", "securityfs", "bpf",
					    "ramfs",   "devtmpfs", "overlay"};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_eq(types[i], type))
			return true;
	return false;
}

static bool has_context(char *const *data)
{
	STRV_FOREACH (d, data)
		if (str_starts(*d, "context=") || str_starts(*d, "fscontext=") ||
		    str_starts(*d, "defcontext=") || str_starts(*d, "rootcontext="))
			return true;
	return false;
}

/* Terminals belong to group 5 (tty) by everybody's default, which a user namespace with few ids has not: then to its root. A number is
 * refused for no other reason. */
static bool drop_gid(char **data)
{
	for (char **d = data; *d; d++) {
		if (!str_starts(*d, "gid=") || (*d)[4 + strspn(*d + 4, "0123456789")])
			continue;
		free(*d);
		for (char **p = d; *p; p++)
			p[0] = p[1];
		return true;
	}
	return false;
}

/* -- the short way, for a container that is being made ------------------------------------------------------ */

/* The entry of the new /dev that `m` goes on; NULL when it goes elsewhere. */
static const char *name_in_dev(const struct mounts *ms, const struct spec_mount *m)
{
	const char *name = m->destination + strlen("/dev/");
	if (ms->ret_kernel->dev < 0 || !str_starts(m->destination, "/dev/") || !*name || strchr(name, '/') ||
	    str_eq(name, ".") || str_eq(name, ".."))
		return NULL;
	return name;
}

/* Other mounts may cover the new /dev, or lead around it: then it is a directory like others. */
static void forget_dev(const struct mounts *ms, const struct spec_mount *m)
{
	bool keep = name_in_dev(ms, m) || is_at(m, "proc") || is_at(m, "sys") || is_at(m, "sys/fs/cgroup");
	if (keep)
		return;
	fd_close(ms->ret_kernel->dev);
	ms->ret_kernel->in_dev = false;
}

static bool has_short_way(const struct mounts *ms, const struct spec_mount *m)
{
	/* It changes the working directory, which hooks see. */
	return ms->ret_kernel && !is_on_root(m) && !m->tmpcopyup && !m->propagation && !m->rec_set &&
	       !m->rec_clear && str_empty(ms->spec->mount_label) &&
	       !ms->spec->hooks.n[SPEC_HOOK_CREATE_CONTAINER];
}

static bool enter(const struct mounts *ms, int dir, bool is_dev)
{
	if (is_dev && ms->ret_kernel->in_dev)
		return true;
	bool entered = fchdir(dir) == 0;
	ms->ret_kernel->in_dev = entered && is_dev;
	return entered;
}

static bool make_in_dev(const struct mounts *ms, const struct spec_mount *m)
{
	const char *name = name_in_dev(ms, m);
	int dev = ms->ret_kernel->dev;
	return name && mkdirat(dev, name, 0755) == 0 && enter(ms, dev, true) && mount_in_place(m, name);
}

/* ----------------------------------------------------------------------------------------------------------- */

/* A tmpfs without a mode gets that of the directory that it covers, as with runc and crun: a /tmp stays one for everybody. *ret is NULL
 * where there is none yet. Caller frees. */
static char *covered_mode(const struct mounts *ms, const struct spec_mount *m)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	if (!str_eq(m->type, "tmpfs"))
		return NULL;
	STRV_FOREACH (d, m->data)
		if (str_starts(*d, "mode="))
			return NULL;
	struct err *e = inroot_open_at(ms->root, m->destination, O_PATH | O_DIRECTORY, 0, &fd);
	if (e || fstat(fd, &st) < 0) {
		err_free(e);
		return NULL;
	}
	return xasprintf("mode=%o", st.st_mode & 07777);
}

static struct err *make_filesystem(const struct mounts *ms, const struct spec_mount *m)
{
	_cleanup_(mount_fd_done) int target = -1;
	_cleanup_fd_ int fd = -1;
	int *kept = kernel_slot(ms, m);
	bool short_way = has_short_way(ms, m);
	if (short_way && make_in_dev(ms, m))
		return NULL;
	_cleanup_free_ char *mode = covered_mode(ms, m);
	short_way = short_way && !mode;
	TRY(target_open(ms, m, true, str_eq(m->type, "proc"), &target));
	/* Where the fd is wanted it does not serve: mount(2) gives none. */
	if (short_way && !kept && enter(ms, target, false) && mount_in_place(m, "."))
		return NULL;
	_cleanup_strv_ char **data = strv_dup(m->data);
	if (mode)
		strv_push_take(&data, TAKE_PTR(mode));
	if (m->attr_set & MOUNT_ATTR_RDONLY && !is_virtual(m->type))
		strv_push(&data, "ro");
	if (!str_empty(ms->spec->mount_label) && !has_context(data) &&
	    (str_eq(m->type, "tmpfs") || str_eq(m->type, "mqueue") || str_eq(m->type, "devpts")))
		strv_push_take(&data,
			       xasprintf("%s=%s", ms->spec->mount_context_type, ms->spec->mount_label));
	struct err *e = mount_new(m->type, m->source, data, (unsigned)m->attr_set, &fd);
	if (e && e->errnum == EINVAL && str_eq(m->type, "devpts") && drop_gid(data)) {
		err_free(e);
		e = mount_new(m->type, m->source, data, (unsigned)m->attr_set, &fd);
	}
	if (e && e->errnum == E2BIG) {
		err_free(e);
		return make_by_mount2(ms, m, target);
	}
	if (e)
		e = bind_instead(ms, m, e, &fd);
	if (e)
		return e;
	if (m->tmpcopyup) {
		_cleanup_fd_ int from = -1, to = -1;
		TRY(inroot_open_at(ms->root, m->destination, O_RDONLY | O_DIRECTORY, 0, &from));
		to = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (to < 0)
			return err_errno(errno, "cannot open the new tmpfs");
		if (m->attr_set & MOUNT_ATTR_RDONLY)
			TRY(mount_change(fd, 0, 0, MOUNT_ATTR_RDONLY, 0, m->destination));
		TRY_WRAP(tree_copy(from, to), "cannot fill the tmpfs (tmpcopyup)");
		if (m->attr_set & MOUNT_ATTR_RDONLY)
			TRY(mount_change(fd, 0, MOUNT_ATTR_RDONLY, 0, 0, m->destination));
	}
	TRY(apply_attributes(ms->spec, m, fd, true));
	TRY(mount_attach(fd, target, m->destination));
	TRY(replace_root(ms, m, fd));
	if (kept) {
		fd_closep(kept);
		*kept = TAKE_FD(fd);
		ms->ret_kernel->in_dev = false;
	}
	return NULL;
}

/* -- cgroup ------------------------------------------------------------------------------------------------- */

static struct err *bind_hierarchy(const struct rt_cgroup_hierarchy *h, const struct spec_mount *m, int dir,
				  const char *name)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *path = xasprintf("%s%s", h->mountpoint, h->path);
	TRY(mount_clone(AT_FDCWD, path, 0, &fd));
	TRY(mount_change(fd, 0, m->attr_set & ~(uint64_t)MOUNT_ATTR__ATIME, 0, MS_PRIVATE, m->destination));
	if (!name)
		return mount_attach(fd, dir, m->destination);
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return err_errno(errno, "cannot make %s/%s", m->destination, name);
	/* `dir` is our own empty tmpfs: the name in it is what we just made. */
	if (move_mount(fd, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot attach the mount on %s/%s", m->destination, name);
	return NULL;
}

/* "cpu,cpuacct" is also reached as "cpu" and as "cpuacct". */
static struct err *link_controllers(int dir, const char *name)
{
	_cleanup_strv_ char **parts = strchr(name, ',') ? strv_split(name, ",") : NULL;
	STRV_FOREACH (p, parts)
		if (symlinkat(name, dir, *p) < 0 && errno != EEXIST)
			return err_errno(errno, "cannot link controller %s", *p);
	return NULL;
}

static struct err *make_cgroup_tmpfs(const struct mounts *ms, const struct spec_mount *m,
				     const struct rt_cgroup_hierarchy *h, size_t n)
{
	_cleanup_fd_ int target = -1, fd = -1;
	char *data[] = {(char *)"mode=755", NULL};
	unsigned attributes = (unsigned)(m->attr_set & ~(uint64_t)MOUNT_ATTR_RDONLY);
	TRY(target_open(ms, m, true, false, &target));
	TRY(mount_new("tmpfs", "cgroup", data, attributes, &fd));
	TRY(mount_attach(fd, target, m->destination));
	for (size_t i = 0; i < n; i++) {
		if (!*h[i].name)
			continue; /* v2 beside a v1 hierarchy that a container wants instead */
		TRY(bind_hierarchy(&h[i], m, fd, h[i].name));
		TRY(link_controllers(fd, h[i].name));
	}
	if (m->attr_set & MOUNT_ATTR_RDONLY)
		TRY(mount_change(fd, 0, MOUNT_ATTR_RDONLY, 0, 0, m->destination));
	return apply_attributes(ms->spec, m, fd, true);
}

static struct err *make_cgroup2(const struct mounts *ms, const struct spec_mount *m,
				const struct rt_cgroup_hierarchy *h)
{
	_cleanup_fd_ int target = -1, fd = -1;
	TRY(target_open(ms, m, true, false, &target));
	/* With a cgroup namespace a new mount shows exactly the container's group; without one it would show all. */
	if (ms->spec->ns[SPEC_NS_CGROUP].present && !ms->spec->ns[SPEC_NS_CGROUP].path) {
		struct err *e = mount_new("cgroup2", "cgroup", NULL, (unsigned)m->attr_set, &fd);
		if (!e) {
			TRY(apply_attributes(ms->spec, m, fd, true));
			return mount_attach(fd, target, m->destination);
		}
		if (e->kind != ERR_PERMISSION && e->errnum != EBUSY)
			return e;
		err_free(e);
	}
	return bind_hierarchy(h, m, target, NULL);
}

static struct err *make_cgroup(const struct mounts *ms, const struct spec_mount *m)
{
	const struct rt_cgroup_hierarchy *h = NULL;
	size_t n = 0;
	if (ms->cgroup)
		TRY(rt_cgroup_hierarchies(ms->cgroup, &h, &n));
	if (n == 1 && h[0].v2 && !*h[0].name)
		return make_cgroup2(ms, m, h);
	return make_cgroup_tmpfs(ms, m, h, n);
}

/* ----------------------------------------------------------------------------------------------------------- */

static struct err *make_remount(const struct mounts *ms, const struct spec_mount *m)
{
	_cleanup_fd_ int target = -1;
	TRY(inroot_open_at(ms->root, m->destination, O_PATH, 0, &target));
	return apply_attributes(ms->spec, m, target, false);
}

static struct err *make(const struct mounts *ms, size_t i)
{
	const struct spec_mount *m = &ms->spec->mounts[i];
	if (m->remount)
		return make_remount(ms, m);
	if (m->bind)
		return make_bind(ms, m, ms->sources ? ms->sources[i] : -1);
	if (str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2"))
		return make_cgroup(ms, m);
	return make_filesystem(ms, m);
}

struct err *mounts_make_one(const struct mounts *ms, size_t i)
{
	const struct spec_mount *m = &ms->spec->mounts[i];
	TRY_WRAP(make(ms, i), "cannot mount %s on %s", m->source ? m->source : m->type, m->destination);
	return NULL;
}

struct err *mounts_make(const struct mounts *ms)
{
	for (size_t i = 0; i < ms->spec->n_mounts; i++) {
		if (ms->ret_kernel)
			forget_dev(ms, &ms->spec->mounts[i]);
		TRY(mounts_make_one(ms, i));
	}
	return NULL;
}

struct err *mounts_finish(const struct mounts *ms)
{
	for (size_t i = 0; i < ms->spec->n_mounts; i++) {
		const struct spec_mount *m = &ms->spec->mounts[i];
		_cleanup_fd_ int fd = -1;
		if (!m->late_readonly)
			continue;
		TRY(inroot_open_at(ms->root, m->destination, O_PATH | O_DIRECTORY, 0, &fd));
		TRY(mount_change(fd, 0, MOUNT_ATTR_RDONLY, 0, 0, m->destination));
	}
	return NULL;
}
