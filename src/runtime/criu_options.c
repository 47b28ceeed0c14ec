/* SPDX-License-Identifier: Apache-2.0 */
#include "criu_options.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"

#define LOG_LEVEL_DEBUG 4
#define DEFAULT_CONFIG_FILE "/etc/criu/runc.conf" /* what administrators of runc and crun have */

/* -- directories -------------------------------------------------------------------------------------------- */

void criu_dirs_close(struct criu_dirs *d)
{
	fd_close(d->images);
	fd_close(d->work);
	free(d->images_path);
	free(d->work_path);
}

static struct err *open_dir(const char *path, bool make, const char *flag, int *ret_fd, char **ret_absolute)
{
	if (make)
		TRY_WRAP(file_mkdir_p(path, 0700), "%s", flag);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "%s: cannot open %s", flag, path);
	char *absolute = realpath(path, NULL);
	if (!absolute)
		return err_errno(errno, "%s: cannot find %s", flag, path);
	*ret_absolute = absolute;
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

struct err *criu_dirs_open(const struct rt_criu_options *o, bool make, struct criu_dirs *ret)
{
	TRY(open_dir(o->image_path, make, "--image-path", &ret->images, &ret->images_path));
	return o->work_path ? open_dir(o->work_path, true, "--work-path", &ret->work, &ret->work_path) : NULL;
}

static struct err *move_dir(int fd, const char *path, pid_t pid)
{
	_cleanup_free_ char *inside = xasprintf("/proc/%d/root%s", pid, path);
	_cleanup_fd_ int moved = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (moved < 0 || dup3(moved, fd, O_CLOEXEC) < 0)
		return err_errno(errno, "cannot open %s for criu", path);
	return NULL;
}

struct err *criu_dirs_move(const struct criu_dirs *d, pid_t pid)
{
	TRY(move_dir(d->images, d->images_path, pid));
	return d->work >= 0 ? move_dir(d->work, d->work_path, pid) : NULL;
}

void criu_set_log(struct criu_talk *t, const struct criu_dirs *d, const char *file)
{
	t->log_dir = d->work >= 0 ? d->work_path : d->images_path;
	t->log_dir_fd = d->work >= 0 ? d->work : d->images;
	t->log_file = file;
	(void)unlinkat(t->log_dir_fd, file, 0); /* an old one must not explain a new failure */
}

/* -- options ------------------------------------------------------------------------------------------------ */

static void put_flag(struct strbuf *out, enum criu_option option, bool on)
{
	if (on)
		wire_put_number(out, option, 1);
}

void criu_put_options(struct strbuf *out, const struct rt_criu_options *o, const struct criu_dirs *d,
		      const char *log_file)
{
	static const unsigned char modes[] = {
		[RT_CRIU_CGROUPS_SOFT] = 3,
		[RT_CRIU_CGROUPS_FULL] = 4,
		[RT_CRIU_CGROUPS_STRICT] = 5,
		[RT_CRIU_CGROUPS_IGNORE] = 0,
	};
	/* Numbers of ours: CRIU opens them below /proc/PID/fd of whoever made its socket. */
	wire_put_number(out, CRIU_OPT_IMAGES_DIR_FD, (uint64_t)d->images);
	if (d->work >= 0)
		wire_put_number(out, CRIU_OPT_WORK_DIR_FD, (uint64_t)d->work);
	wire_put_number(out, CRIU_OPT_LOG_LEVEL, LOG_LEVEL_DEBUG);
	wire_put_string(out, CRIU_OPT_LOG_FILE, log_file);
	wire_put_number(out, CRIU_OPT_NOTIFY_SCRIPTS, 1);
	wire_put_number(out, CRIU_OPT_ORPHAN_PTS_MASTER, 1);
	wire_put_number(out, CRIU_OPT_MANAGE_CGROUPS, 1);
	wire_put_number(out, CRIU_OPT_MANAGE_CGROUPS_MODE, modes[o->manage_cgroups]);
	put_flag(out, CRIU_OPT_TCP_ESTABLISHED, o->tcp_established);
	put_flag(out, CRIU_OPT_TCP_CLOSE, o->tcp_close);
	put_flag(out, CRIU_OPT_EXT_UNIX_SK, o->ext_unix_sk);
	put_flag(out, CRIU_OPT_SHELL_JOB, o->shell_job);
	put_flag(out, CRIU_OPT_FILE_LOCKS, o->file_locks);
	put_flag(out, CRIU_OPT_AUTO_DEDUP, o->auto_dedup);
	put_flag(out, CRIU_OPT_LINK_REMAP, o->link_remap);
	put_flag(out, CRIU_OPT_LAZY_PAGES, o->lazy_pages);
	if (o->empty_network)
		wire_put_number(out, CRIU_OPT_EMPTY_NS, CLONE_NEWNET);
	if (o->network_lock != RT_CRIU_LOCK_DEFAULT)
		wire_put_number(out, CRIU_OPT_NETWORK_LOCK, o->network_lock); /* the same numbers */
}

struct err *criu_put_config_file(struct strbuf *out, const struct spec *s)
{
	const char *file = DEFAULT_CONFIG_FILE;
	struct json_cursor notes;
	TRY(json_get_object(&s->root, "annotations", JSON_OPTIONAL, &notes));
	if (notes.value)
		TRY(json_get_string(&notes, "org.criu.config", JSON_OPTIONAL, &file));
	if (*file)
		wire_put_string(out, CRIU_OPT_CONFIG_FILE, file);
	return NULL;
}

struct err *criu_check_options(const struct rt_criu_options *o, unsigned version)
{
	/* 3.0 is the first that can be asked for its version by RPC. */
	TRY(criu_need_version(version, 30000, "havre"));
	if (o->network_lock == RT_CRIU_LOCK_NFTABLES)
		TRY(criu_need_version(version, 31600, "--network-lock nftables"));
	if (o->network_lock == RT_CRIU_LOCK_SKIP)
		TRY(criu_need_version(version, 31900, "--network-lock skip"));
	return o->lazy_pages ? criu_need_feature(CRIU_FEATURE_LAZY_PAGES) : NULL;
}

/* -- what is outside ---------------------------------------------------------------------------------------- */

static struct err *each_hierarchy(const struct spec_mount *m, const struct rt_cgroup *cg,
				  criu_external_fn *add, void *data)
{
	const struct rt_cgroup_hierarchy *h = NULL;
	size_t n = 0;
	if (cg)
		TRY(rt_cgroup_hierarchies(cg, &h, &n));
	bool v2_only = n == 1 && h[0].v2 && !*h[0].name;
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *host = xasprintf("%s%s", h[i].mountpoint, h[i].path);
		_cleanup_free_ char *inside =
			v2_only ? xstrdup(m->destination) : xasprintf("%s/%s", m->destination, h[i].name);
		TRY(add(data, inside, host));
	}
	return NULL;
}

struct err *criu_each_external(const struct spec *s, const char *bundle, const struct rt_cgroup *cg,
			       criu_external_fn *add, void *data)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct spec_mount *m = &s->mounts[i];
		if (m->remount)
			continue;
		if (m->bind) {
			_cleanup_free_ char *host = *m->source == '/' ? xstrdup(m->source)
								      : xasprintf("%s/%s", bundle, m->source);
			TRY(add(data, m->destination, host));
		} else if ((str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2")) &&
			   !s->ns[SPEC_NS_CGROUP].present) {
			/* With a namespace of its own CRIU finds the container's group by itself. */
			TRY(each_hierarchy(m, cg, add, data));
		}
	}
	/* Where device nodes may not be made they are binds of the host's. */
	for (size_t i = 0; i < s->n_devices; i++)
		TRY(add(data, s->devices[i].path, s->devices[i].path));
	return NULL;
}

const char *criu_external_ns_key(size_t kind)
{
	return kind == SPEC_NS_NET ? "extRootNetNS" : kind == SPEC_NS_PID ? "extRootPidNS" : NULL;
}
