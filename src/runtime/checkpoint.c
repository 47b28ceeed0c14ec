/* SPDX-License-Identifier: Apache-2.0 */
/* A running container into a directory of images. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/memory.h"
#include "base/process.h"
#include "container_private.h"
#include "criu_options.h"
#include "namespaces.h"

#define LOG_FILE "dump.log"
#define END_TIMEOUT_MS 10000
#define PROC_FILE_MAX (16u << 20)

struct dump {
	const struct rt_checkpoint *request;
	struct rt_container *c;
	struct spec *spec;
	struct criu_dirs dirs;
	struct strbuf options;
	unsigned version;
	int lock, status_fd;
};

static void dump_release(struct dump *x)
{
	criu_dirs_close(&x->dirs);
	strbuf_release(&x->options);
	fd_close(x->lock);
	fd_close(x->status_fd);
}

/* -- checks ------------------------------------------------------------------------------------------------- */

static struct err *check_status_fd(struct dump *x)
{
	int fd = x->request->status_fd;
	if (fd < 0)
		return NULL;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return err_errno(errno, "--status-fd %d", fd);
	if ((flags & O_ACCMODE) == O_RDONLY)
		return err_new(ERR_INVALID, "--status-fd %d: is not open for writing", fd);
	TRY(fd_set_cloexec(fd, true));
	x->status_fd = fd; /* ours from now on: whoever waits on it must see it closed */
	return NULL;
}

/* CRIU takes the parent as a path in the image directory. */
static struct err *check_parent(const struct dump *x)
{
	const char *parent = x->request->parent_path;
	struct stat st;
	if (!parent)
		return NULL;
	if (*parent == '/')
		return err_new(ERR_INVALID, "--parent-path %s: must be relative to --image-path", parent);
	if (fstatat(x->dirs.images, parent, &st, 0) < 0)
		return err_errno(errno, "--parent-path %s", parent);
	if (!S_ISDIR(st.st_mode))
		return err_new(ERR_INVALID, "--parent-path %s: is not a directory", parent);
	return NULL;
}

static struct err *put_page_server(struct dump *x)
{
	const char *server = x->request->page_server;
	const char *colon = server ? strrchr(server, ':') : NULL;
	_cleanup_strbuf_ struct strbuf message = {0};
	uint64_t port;
	if (!server)
		return NULL;
	if (!colon || colon == server)
		return err_new(ERR_INVALID, "--page-server %s: must be ADDRESS:PORT", server);
	TRY(parse_u64(colon + 1, "the port of --page-server", 1, 65535, &port));
	_cleanup_free_ char *address = xstrndup(server, (size_t)(colon - server));
	wire_put_string(&message, 1, address);
	wire_put_number(&message, 2, port);
	wire_put_bytes(&x->options, CRIU_OPT_PAGE_SERVER, message.data, message.len);
	return NULL;
}

static struct err *check(struct dump *x)
{
	const struct rt_checkpoint *k = x->request;
	TRY(rt_container_refresh(x->c));
	if (x->c->status != RT_RUNNING && x->c->status != RT_PAUSED)
		return err_new(ERR_STATE, "cannot checkpoint container %s: it is %s, not running", x->c->id,
			       rt_status_name(x->c->status));
	if (geteuid() != 0)
		return err_new(ERR_PERMISSION, "checkpoint and restore need root");
	TRY(rt_container_spec(x->c, &x->spec));
	TRY(check_status_fd(x));
	TRY(put_page_server(x));
	TRY(criu_get_version(&x->version));
	TRY(criu_dirs_open(&k->options, true, &x->dirs));
	TRY(check_parent(x));
	TRY(criu_check_options(&k->options, x->version));
	return k->pre_dump || k->parent_path ? criu_need_feature(CRIU_FEATURE_MEM_TRACK) : NULL;
}

/* -- the request -------------------------------------------------------------------------------------------- */

struct externals {
	struct inroot root;
	struct strbuf *out;
};

/* CRIU knows mounts by their real paths inside; the configuration's may lead over symlinks. False: nothing is there. */
static bool real_path(const struct inroot *root, const char *path, char *ret, size_t size,
		      bool *ret_directory)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	struct err *e = inroot_open_at(root, path, O_PATH, 0, &fd);
	if (e) {
		err_free(e);
		return false;
	}
	ssize_t n = readlink(fd_path(fd).s, ret, size - 1);
	if (n <= 0 || fstat(fd, &st) < 0)
		return false;
	ret[n] = '\0';
	*ret_directory = S_ISDIR(st.st_mode);
	return true;
}

/* Its name in the images is what a restore will find it by: the path of the configuration. */
static struct err *add_external(void *data, const char *inside, const char *host)
{
	struct externals *x = data;
	char path[PATH_MAX];
	bool directory;
	if (real_path(&x->root, inside, path, sizeof(path), &directory))
		wire_put_pair(x->out, CRIU_OPT_EXTERNAL_MOUNT, path, inside);
	return NULL;
}

/* Masked files are binds of /dev/null, which a restore finds under that name. Masked directories are tmpfs, and dumped. */
static void put_masked(struct dump *x, struct externals *to)
{
	char path[PATH_MAX];
	bool directory;
	STRV_FOREACH (p, x->spec->masked_paths)
		if (real_path(&to->root, *p, path, sizeof(path), &directory) && !directory)
			wire_put_pair(to->out, CRIU_OPT_EXTERNAL_MOUNT, path, "/dev/null");
}

static struct err *put_mounts(struct dump *x)
{
	_cleanup_fd_ int fd = -1;
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/root", x->c->pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open the container's root");
	struct externals to = {.root = {.fd = fd}, .out = &x->options};
	TRY(criu_each_external(x->spec, x->c->bundle, x->c->cgroup, add_external, &to));
	put_masked(x, &to);
	return NULL;
}

/* A namespace that the configuration names by its path is not ours to dump. */
static struct err *put_namespaces(struct dump *x)
{
	static const size_t kinds[] = {SPEC_NS_NET, SPEC_NS_PID};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *path = x->spec->ns[kinds[i]].path;
		struct stat st;
		if (!path)
			continue;
		if (stat(path, &st) < 0)
			return err_errno(errno, "linux.namespaces: %s", path);
		TRY(criu_need_version(x->version, kinds[i] == SPEC_NS_NET ? 31100 : 31500,
				      "a namespace that is given by its path"));
		_cleanup_free_ char *external =
			xasprintf("%s[%llu]:%s", namespace_kinds[kinds[i]].proc,
				  (unsigned long long)st.st_ino, criu_external_ns_key(kinds[i]));
		wire_put_string(&x->options, CRIU_OPT_EXTERNAL, external);
	}
	return NULL;
}

/* CRIU freezes by the cgroup where it can: all at once, and those that are born meanwhile. */
static struct err *put_freezer(struct dump *x)
{
	const struct rt_cgroup_hierarchy *h = NULL;
	size_t n = 0;
	if (x->c->cgroup)
		TRY(rt_cgroup_hierarchies(x->c->cgroup, &h, &n));
	for (size_t i = 0; i < n; i++) {
		bool v2_only = n == 1 && h[i].v2 && x->version >= 31400;
		if (!v2_only && !str_eq(h[i].name, "freezer"))
			continue;
		_cleanup_free_ char *path = xasprintf("%s%s", h[i].mountpoint, h[i].path);
		wire_put_string(&x->options, CRIU_OPT_FREEZE_CGROUP, path);
		return NULL;
	}
	return NULL;
}

static struct err *put_request(struct dump *x)
{
	const struct rt_checkpoint *k = x->request;
	struct strbuf *out = &x->options;
	criu_put_options(out, &k->options, &x->dirs, LOG_FILE);
	TRY(criu_put_config_file(out, x->spec));
	wire_put_number(out, CRIU_OPT_PID, (uint64_t)x->c->pid);
	if (*x->c->rootfs)
		wire_put_string(out, CRIU_OPT_ROOT, x->c->rootfs);
	if (k->leave_running)
		wire_put_number(out, CRIU_OPT_LEAVE_RUNNING, 1);
	if (k->tcp_skip_in_flight)
		wire_put_number(out, CRIU_OPT_TCP_SKIP_IN_FLIGHT, 1);
	if (k->parent_path)
		wire_put_string(out, CRIU_OPT_PARENT_IMAGE, k->parent_path);
	if (k->parent_path || k->pre_dump)
		wire_put_number(out, CRIU_OPT_TRACK_MEMORY, 1);
	/* Since 3.15 there is a notification instead. */
	if (x->status_fd >= 0 && x->version < 31500)
		wire_put_number(out, CRIU_OPT_STATUS_FD, (uint64_t)x->status_fd);
	TRY(put_namespaces(x));
	TRY(put_freezer(x));
	return k->pre_dump ? NULL : put_mounts(x); /* only memory */
}

/* -- doing it ----------------------------------------------------------------------------------------------- */

/* Is the mount with that id one of the container's? */
static struct err *has_mount(const struct dump *x, unsigned id, bool *ret)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/mountinfo", x->c->pid), *text = NULL;
	size_t size;
	TRY(file_read(path, PROC_FILE_MAX, &text, &size));
	*ret = false;
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strtoul(line, NULL, 10) == id)
			*ret = true;
	}
	return NULL;
}

static bool is_terminal(const struct stat *st)
{
	/* Unix98 slaves; CRIU treats them by itself, with --shell-job. */
	return S_ISCHR(st->st_mode) && major(st->st_rdev) >= 136 && major(st->st_rdev) <= 143;
}

/* A file that the container got from outside (somebody's log file; the host's /dev/null) is no file of its mounts. CRIU leaves it out
 * when it is told so, and a restore puts in its place what it gets itself. *name is replaced by CRIU's word for it then. */
static struct err *put_outside_file(struct dump *x, int fd, char **name)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fdinfo/%d", x->c->pid, fd), *text = NULL;
	size_t size;
	struct stat st;
	bool inside;
	TRY(file_read(path, PROC_FILE_MAX, &text, &size));
	const char *field = strstr(text, "mnt_id:");
	if (!field)
		return NULL;
	unsigned id = (unsigned)strtoul(field + strlen("mnt_id:"), NULL, 10);
	TRY(has_mount(x, id, &inside));
	_cleanup_free_ char *link = xasprintf("/proc/%d/fd/%d", x->c->pid, fd);
	if (inside || stat(link, &st) < 0 || is_terminal(&st))
		return NULL;
	free(*name);
	*name = xasprintf("file[%x:%llx]", id, (unsigned long long)st.st_ino);
	wire_put_string(&x->options, CRIU_OPT_EXTERNAL, *name);
	return NULL;
}

/* CRIU's name for what the first process has there; "" when it closed it. */
static struct err *descriptor_name(struct dump *x, int fd, char **ret)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd/%d", x->c->pid, fd), *name = NULL;
	char link[PATH_MAX];
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	if (n < 0 && errno != ENOENT)
		return err_errno(errno, "cannot read the container's file descriptor %d", fd);
	name = xstrndup(link, (size_t)MAX(n, 0));
	if (*name == '/')
		TRY(put_outside_file(x, fd, &name));
	*ret = TAKE_PTR(name);
	return NULL;
}

static struct err *write_list(const struct dump *x, const char *file, const struct json *list)
{
	_cleanup_free_ char *text = json_print(list, JSON_COMPACT);
	return file_replace_at(x->dirs.images, file, text, strlen(text), 0600, FILE_VOLATILE);
}

/* What the first process has as stdin, stdout and stderr, and from 3 on without a gap: the restore connects its own. */
static struct err *put_descriptors(struct dump *x)
{
	_cleanup_json_ struct json *stdio = json_new_array(), *preserved = json_new_array();
	for (int i = 0; i < 3 + CRIU_PRESERVED_MAX; i++) {
		_cleanup_free_ char *name = NULL;
		TRY(descriptor_name(x, i, &name));
		if (i >= 3 && !*name)
			break;
		json_append(i < 3 ? stdio : preserved, json_new_string(name));
	}
	TRY(write_list(x, CRIU_DESCRIPTORS, stdio));
	return write_list(x, CRIU_PRESERVED, preserved);
}

static struct err *notified(void *data, const struct criu_response *r, int fd)
{
	struct dump *x = data;
	if (str_eq(r->script, "status-ready") && x->status_fd >= 0) {
		TRY(fd_write_full(x->status_fd, "", 1, "--status-fd"));
		fd_close(x->status_fd);
	}
	return NULL;
}

static struct err *talk(struct dump *x)
{
	_cleanup_(criu_stop) struct criu criu = CRIU_NONE;
	const struct rt_checkpoint *k = x->request;
	struct criu_start start = {.stdio = {-1, -1, -1}};
	struct criu_talk t = {
		.type = k->pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP,
		.options = &x->options,
		.notify = notified,
		.data = x,
		.endless = k->options.lazy_pages, /* it serves the pages until somebody has them all */
	};
	struct criu_response r;
	criu_set_log(&t, &x->dirs, LOG_FILE);
	TRY(criu_spawn(&start, &criu));
	return criu_talk(&criu, &t, &r);
}

/* It goes on as before, also when CRIU died in the middle. */
static struct err *undo(struct dump *x, struct err *e, bool was_paused)
{
	if (x->c->cgroup && !was_paused)
		err_free(rt_cgroup_freeze(x->c->cgroup, false));
	bool kernel = e->kind == ERR_SYSTEM || e->kind == ERR_PERMISSION;
	return kernel ? criu_explain(e) : e;
}

/* CRIU has killed them all; their parents reap them. */
static struct err *await_end(struct dump *x)
{
	struct pollfd p = {.fd = x->c->pidfd, .events = POLLIN};
	int n;
	while ((n = poll(&p, 1, END_TIMEOUT_MS)) < 0 && errno == EINTR)
		;
	if (n == 0)
		return err_new(ERR_TIMEOUT, "container %s was checkpointed, but does not end", x->c->id);
	return rt_container_refresh(x->c);
}

struct err *rt_container_checkpoint(struct rt_container *c, const struct rt_checkpoint *k)
{
	_cleanup_(dump_release) struct dump x = {
		.request = k,
		.c = c,
		.dirs = CRIU_DIRS_NONE,
		.lock = -1,
		.status_fd = -1,
	};
	TRY(rt_container_lock(c, &x.lock));
	TRY(check(&x));
	bool was_paused = c->status == RT_PAUSED;
	TRY(put_request(&x));
	if (!k->pre_dump)
		TRY(put_descriptors(&x));
	struct err *e = talk(&x);
	if (e)
		return undo(&x, e, was_paused);
	if (k->pre_dump || k->leave_running)
		return NULL;
	TRY(await_end(&x));
	return file_replace_at(c->dir_fd, STATE_CHECKPOINTED, "", 0, 0600, FILE_VOLATILE);
}

bool rt_container_is_checkpointed(const struct rt_container *c)
{
	return faccessat(c->dir_fd, STATE_CHECKPOINTED, F_OK, 0) == 0;
}
