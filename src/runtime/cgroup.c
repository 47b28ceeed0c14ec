/* SPDX-License-Identifier: Apache-2.0 */
/* The group of one container: planning, making, entering, and its form in the state file.
 *
 * Invariants:
 * 1. A group's directory is mountpoint + path, and path is clean: absolute, no "." or "..", no empty component.
 * 2. Nothing outside the group and the ancestors that we made is ever changed, except cgroup.subtree_control of a v2
 *    ancestor.
 * 3. DEFAULT_PARENT stays when it is empty: making and removing the first cpuset group of a machine patches kernel text (a
 *    static key), which costs 0.2 ms, at times 10 ms. rt_cgroup_remove_parent removes it.
 */
#include "runtime/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "cgroup_private.h"
#include "rootless.h"

#define DEFAULT_PARENT "/havre"

int cg_find_v2(const struct rt_cgroup *cg)
{
	for (size_t i = 0; i < cg->n; i++)
		if (cg->h[i].v2)
			return (int)i;
	return -1;
}

int cg_find_v1(const struct rt_cgroup *cg, enum cg_controller c)
{
	for (size_t i = 0; i < cg->n; i++)
		if (!cg->h[i].v2 && (cg->g[i].controllers >> c & 1))
			return (int)i;
	return -1;
}

int cg_open(const char *dir, const char *file, int flags)
{
	char path[PATH_MAX];
	size_t d = strlen(dir), f = strlen(file);

	if (d + 1 + f >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(path, dir, d);
	path[d] = '/';
	memcpy(path + d + 1, file, f + 1);
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW);
}

int cg_write(const char *dir, const char *file, const char *value)
{
	_cleanup_fd_ int fd = cg_open(dir, file, O_WRONLY);

	if (fd < 0)
		return errno;
	while (write(fd, value, strlen(value)) < 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

int cg_read(const char *dir, const char *file, char *buf, size_t size)
{
	_cleanup_fd_ int fd = cg_open(dir, file, O_RDONLY);
	size_t got = 0;

	if (fd < 0)
		return errno;
	while (got < size - 1) {
		ssize_t n = read(fd, buf + got, size - 1 - got);
		if (n < 0 && errno == EINTR)
			continue;
		/* ENODEV: the group went between open and read; that it is not there is what matters. */
		if (n < 0)
			return errno == ENODEV ? ENOENT : errno;
		got += (size_t)n;
		/* The kernel shows these files whole as long as there is room: less than that is the end. */
		if (got < size - 1)
			break;
	}
	while (got > 0 && buf[got - 1] == '\n')
		got--;
	buf[got] = '\0';
	return 0;
}

int cg_read_u64(const char *dir, const char *file, uint64_t *ret)
{
	char text[64], *end;
	int errnum = cg_read(dir, file, text, sizeof(text));

	if (errnum)
		return errnum;
	if (str_eq(text, "max")) {
		*ret = UINT64_MAX;
		return 0;
	}
	errno = 0;
	uint64_t v = strtoull(text, &end, 10);
	if (errno || end == text || *end)
		return EINVAL;
	*ret = v;
	return 0;
}

struct err *cg_write_error(int errnum, const char *property, enum cg_controller c, const char *dir,
			   const char *file, const char *value)
{
	if (errnum == ENOENT)
		return err_new(ERR_UNSUPPORTED, "%s: the %s controller of this kernel has no %s", property,
			       cg_controller_name(c, false), file);
	return err_errno(errnum, "%s: cannot write %s to %s/%s", property, value, dir, file);
}

/* Lexical: a control group path has no symlinks, and ".." must not lead out of what was asked for. */
struct err *cg_clean_path(const char *path, char **ret)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	_cleanup_strv_ char **parts = strv_split(path, "/");

	STRV_FOREACH (p, parts) {
		if (str_eq(*p, "."))
			continue;
		if (str_eq(*p, ".."))
			return err_new(ERR_INVALID, "linux.cgroupsPath: %s must not contain ..", path);
		strbuf_putc(&out, '/');
		strbuf_puts(&out, *p);
	}
	if (out.len == 0)
		return err_new(ERR_INVALID, "linux.cgroupsPath: %s is the root group, name one below it",
			       path);
	if (out.len > PATH_MAX / 2 || strpbrk(out.data, "\n"))
		return err_new(ERR_INVALID, "linux.cgroupsPath: too long, or has a line break");
	*ret = strbuf_take(&out);
	return NULL;
}

/* Where groups without an absolute path go. Root: DEFAULT_PARENT of the mount. Others can only hope to have been given their own
 * group; in v2 that has processes, so it cannot have children with controllers, and they go beside it. */
static struct err *default_parent(const struct cg_hierarchy *h, char **ret)
{
	_cleanup_free_ char *own = NULL;

	if (!rootless_user()) {
		*ret = xstrdup(DEFAULT_PARENT);
		return NULL;
	}
	if (h->v2)
		TRY(cg_v2_of(0, &own));
	else
		own = xstrdup(h->own ? h->own : "/");
	char *end = h->v2 ? strrchr(own, '/') : own + strlen(own) - (str_ends(own, "/") ? 1 : 0);
	*end = '\0';
	*ret = xasprintf("%s" DEFAULT_PARENT, own);
	return NULL;
}

void cg_add(struct rt_cgroup *cg, const char *name, const char *mountpoint, const char *path, bool v2,
	    unsigned controllers)
{
	size_t i = cg->n++;

	cg->h[i] = (struct rt_cgroup_hierarchy){
		.name = xstrdup(name), .mountpoint = xstrdup(mountpoint), .path = xstrdup(path), .v2 = v2};
	cg->g[i] = (struct cg_group){
		.dir = xasprintf("%s%s", mountpoint, path), .controllers = controllers, .enter_fd = -1};
	cg->g[i].kept = strlen(cg->g[i].dir);
}

struct rt_cgroup *cg_new(enum rt_cgroup_mode mode)
{
	struct rt_cgroup *cg = xnew(struct rt_cgroup);

	cg->v2_fd = -1;
	cg->mode = mode;
	return cg;
}

struct err *rt_cgroup_new(const char *path, const char *id, struct rt_cgroup **ret)
{
	const struct cg_machine *m;

	TRY(cg_machine_get(&m));
	_cleanup_(rt_cgroup_freep) struct rt_cgroup *cg = cg_new(m->mode);
	for (size_t i = 0; i < m->n; i++) {
		const struct cg_hierarchy *h = &m->h[i];
		_cleanup_free_ char *full = NULL, *clean = NULL;

		if (!str_empty(path) && path[0] == '/') {
			full = xstrdup(path);
		} else {
			_cleanup_free_ char *parent = NULL;
			TRY(default_parent(h, &parent));
			full = xasprintf("%s/%s", parent, str_empty(path) ? id : path);
		}
		TRY(cg_clean_path(full, &clean));
		cg_add(cg, h->name, h->mountpoint, clean, h->v2, h->controllers);
	}
	*ret = TAKE_PTR(cg);
	return NULL;
}

void rt_cgroup_free(struct rt_cgroup *cg)
{
	if (!cg)
		return;
	for (size_t i = 0; i < cg->n; i++) {
		free(cg->h[i].name);
		free(cg->h[i].mountpoint);
		free(cg->h[i].path);
		free(cg->g[i].dir);
	}
	rt_cgroup_enter_done(cg);
	cg_unit_free(cg->unit);
	free(cg->delegate);
	free(cg->denied);
	free(cg);
}

struct json *rt_cgroup_to_json(const struct rt_cgroup *cg)
{
	struct json *out = json_new_object();
	struct json *list = json_new_array();

	json_set_u64(out, "mode", cg->mode);
	if (cg->delegate)
		json_set_string(out, "delegate", cg->delegate);
	for (size_t i = 0; i < cg->n; i++) {
		struct json *h = json_new_object();

		json_set_string(h, "name", cg->h[i].name);
		json_set_string(h, "mountpoint", cg->h[i].mountpoint);
		json_set_string(h, "path", cg->h[i].path);
		json_set_bool(h, "v2", cg->h[i].v2);
		json_set_u64(h, "kept", cg->g[i].kept);
		if (!cg->h[i].v2)
			json_set_u64(h, "controllers", cg->g[i].controllers);
		json_append(list, h);
	}
	json_set(out, "hierarchies", list);
	if (cg->unit)
		cg_unit_to_json(cg->unit, out);
	return out;
}

struct err *rt_cgroup_from_json(const struct json_cursor *c, struct rt_cgroup **ret)
{
	struct json_cursor list;
	const char *delegate = NULL;
	uint64_t mode = 0;

	TRY(json_get_u64(c, "mode", JSON_REQUIRED, RT_CGROUP_V2, &mode));
	_cleanup_(rt_cgroup_freep) struct rt_cgroup *cg = cg_new((enum rt_cgroup_mode)mode);
	TRY(cg_unit_from_json(c, &cg->unit));
	TRY(json_get_string(c, "delegate", JSON_OPTIONAL, &delegate));
	if (delegate)
		TRY_WRAP(cg_clean_path(delegate, &cg->delegate), "the state file");
	TRY(json_get_array(c, "hierarchies", JSON_REQUIRED, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor h = json_at(&list, i);
		const char *name = NULL, *mountpoint = NULL, *path = NULL;
		uint64_t controllers = 0, kept = 0;
		bool v2 = false;

		if (i == CG_HIERARCHIES_MAX)
			return json_error(&list, "has more than %d entries", CG_HIERARCHIES_MAX);
		TRY(json_get_string(&h, "name", JSON_REQUIRED, &name));
		TRY(json_get_string(&h, "mountpoint", JSON_REQUIRED, &mountpoint));
		TRY(json_get_string(&h, "path", JSON_REQUIRED, &path));
		TRY(json_get_bool(&h, "v2", JSON_REQUIRED, &v2));
		TRY(json_get_u64(&h, "kept", JSON_REQUIRED, PATH_MAX, &kept));
		TRY(json_get_u64(&h, "controllers", JSON_OPTIONAL, UINT32_MAX, &controllers));
		_cleanup_free_ char *clean = NULL;
		TRY_WRAP(cg_clean_path(path, &clean), "the state file");
		if (mountpoint[0] != '/')
			return json_error(&h, "mountpoint is not absolute");
		cg_add(cg, name, mountpoint, clean, v2, (unsigned)controllers);
		cg->g[i].kept = (size_t)MIN(kept, (uint64_t)strlen(cg->g[i].dir));
	}
	*ret = TAKE_PTR(cg);
	return NULL;
}

struct err *rt_cgroup_hierarchies(const struct rt_cgroup *cg, const struct rt_cgroup_hierarchy **ret,
				  size_t *ret_n)
{
	*ret = cg->h;
	*ret_n = cg->n;
	return NULL;
}

/* The part of `dir` that stays when the group goes. */
static size_t kept_length(const struct rt_cgroup_hierarchy *h, size_t existing)
{
	const char *parent = DEFAULT_PARENT "/";
	size_t mount = strlen(h->mountpoint);
	const char *at = strstr(h->path, parent);

	if (at && mount + (size_t)(at - h->path) + strlen(DEFAULT_PARENT) > existing)
		return mount + (size_t)(at - h->path) + strlen(DEFAULT_PARENT);
	return existing;
}

/* Makes the directory and its missing ancestors. */
static int make_group(const struct rt_cgroup_hierarchy *h, struct cg_group *g)
{
	if (mkdir(g->dir, 0755) == 0) {
		g->made = true;
		g->kept = kept_length(h, (size_t)(strrchr(g->dir, '/') - g->dir));
		return 0;
	}
	if (errno != ENOENT)
		return errno;
	size_t mount = strlen(h->mountpoint), existing = mount;
	for (char *slash = strchr(g->dir + mount + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		int rc = mkdir(g->dir, 0755) == 0 ? 0 : errno;
		if (rc == EEXIST)
			existing = strlen(g->dir);
		if (slash)
			*slash = '/';
		g->made |= rc == 0;
		if (!slash || (rc && rc != EEXIST)) {
			g->kept = kept_length(h, existing);
			return rc;
		}
	}
}

static struct err *check_empty(const struct rt_cgroup_hierarchy *h, const struct cg_group *g)
{
	char text[256];

	if (cg_read(g->dir, "cgroup.procs", text, sizeof(text)) == 0 && text[0])
		return err_new(
			ERR_EXISTS,
			"container's cgroup is not empty: %s exists already and has processes (pid %.*s)",
			g->dir, (int)strcspn(text, "\n"), text);
	if (h->v2 && cg_read(g->dir, "cgroup.events", text, sizeof(text)) == 0 && strstr(text, "populated 1"))
		return err_new(ERR_EXISTS,
			       "container's cgroup is not empty: %s exists already and has processes in its "
			       "sub-groups",
			       g->dir);
	return NULL;
}

/* What is frozen would take our process in and never let it go on. */
static struct err *check_thawed(const struct rt_cgroup_hierarchy *h, const struct cg_group *g)
{
	char text[32];

	if (cg_read(g->dir, h->v2 ? "cgroup.freeze" : "freezer.state", text, sizeof(text)) != 0)
		return NULL; /* a hierarchy without the freezer */
	return str_starts(text, h->v2 ? "1" : "FR")
		       ? err_new(ERR_STATE,
				 "container's cgroup unexpectedly frozen: %s exists already and is frozen; "
				 "thaw or remove it",
				 g->dir)
		       : NULL;
}

static struct err *make_one(const struct rt_cgroup_hierarchy *h, struct cg_group *g, bool taken,
			    bool rootless)
{
	if (g->early)
		return NULL;
	if (rootless && h->v2 && !taken) /* else systemd moves the process */
		TRY(cg_v2_may_enter(h));
	int rc = make_group(h, g);
	if (rc == EEXIST) {
		if (!taken)
			TRY(check_empty(h, g));
		TRY(check_thawed(h, g));
		rc = 0;
	}
	if (rc == EROFS)
		return err_new(ERR_PERMISSION, "cannot make cgroup %s: %s is mounted read-only", g->dir,
			       h->mountpoint);
	return rc ? cg_v2_explain(h, err_errno(rc, "cannot make cgroup %s", g->dir)) : NULL;
}

struct err *cg_make_groups(struct rt_cgroup *cg, bool taken, enum rt_rootless rootless)
{
	bool user = rootless_user();

	for (size_t i = 0; i < cg->n;) {
		struct err *e = make_one(&cg->h[i], &cg->g[i], taken, user);
		if (e && e->kind == ERR_PERMISSION && cg_may_go_without(rootless))
			cg_leave_out(cg, i, e);
		else if (e)
			return e;
		else
			i++;
	}
	return cg_v1_inherit_cpuset(cg);
}

struct err *cg_open_v2_at(struct rt_cgroup *cg, const char *dir)
{
	fd_close(cg->v2_fd);
	cg->v2_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return cg->v2_fd < 0 ? err_errno(errno, "cannot open cgroup %s", dir) : NULL;
}

struct err *cg_open_v2(struct rt_cgroup *cg)
{
	int v2 = cg_find_v2(cg);

	return v2 < 0 ? NULL : cg_open_v2_at(cg, cg->g[v2].dir);
}

struct err *cg_apply(struct rt_cgroup *cg, const struct cg_resources *r)
{
	unsigned v2;

	TRY(cg_check_available(cg, r, &v2));
	TRY(cg_v1_apply(cg, r));
	return cg_v2_apply(cg, r, v2);
}

static struct err *make_and_apply(struct rt_cgroup *cg, const struct cg_resources *r,
				  enum rt_rootless rootless)
{
	TRY(cg_make_groups(cg, false, rootless));
	if (cg->v2_fd < 0)
		TRY(cg_open_v2(cg));
	TRY(cg_apply(cg, r));
	TRY(cg_delegate_make(cg));
	cg_delegate_enable(cg);
	return NULL;
}

bool rt_cgroup_has_v1(const struct rt_cgroup *cg)
{
	return cg->n > (cg_find_v2(cg) >= 0 ? 1u : 0u);
}

struct err *rt_cgroup_create_v2(struct rt_cgroup *cg)
{
	int v2 = cg_find_v2(cg);

	if (v2 < 0)
		return NULL;
	TRY(make_one(&cg->h[v2], &cg->g[v2], false, false));
	cg->g[v2].early = true;
	cg->g[v2].early_made = cg->g[v2].made;
	return cg_open_v2(cg);
}

struct err *rt_cgroup_create(struct rt_cgroup *cg, const struct json_cursor *resources,
			     enum rt_rootless rootless, bool *ret_any, char ***warnings)
{
	_cleanup_cg_resources_ struct cg_resources r = {0};

	TRY(cg_resources_parse(resources, &r));
	size_t wanted = cg->n;
	r.rootless = rootless;
	struct err *e = make_and_apply(cg, &r, rootless);
	if (!e) {
		*ret_any = cg->n > 0 || !wanted;
		if (cg->denied)
			strv_push_take(warnings, xasprintf("%s: %s",
							   cg->n ? "some control groups are missing"
								 : "there is no control group, so no "
								   "pause, statistics and limits",
							   cg->denied));
		return NULL;
	}
	for (size_t i = cg->n; i-- > 0;) {
		char *dir = cg->g[i].dir;
		if (!cg->g[i].made)
			continue;
		for (size_t len = strlen(dir); len > cg->g[i].kept; len = strlen(dir)) {
			if (rmdir(dir) < 0 && errno != ENOENT)
				break;
			*strrchr(dir, '/') = '\0';
		}
		cg->g[i].made = false;
		free(dir);
		cg->g[i].dir = xasprintf("%s%s", cg->h[i].mountpoint, cg->h[i].path);
	}
	return e;
}

struct err *rt_cgroup_update(struct rt_cgroup *cg, const struct json_cursor *resources)
{
	_cleanup_cg_resources_ struct cg_resources r = {0};

	TRY(cg_resources_parse(resources, &r));
	r.update = true;
	if (cg->v2_fd < 0)
		TRY(cg_open_v2(cg));
	if (cg->unit)
		TRY(cg_unit_update(cg, &r));
	return cg_apply(cg, &r);
}

int rt_cgroup_clone_fd(const struct rt_cgroup *cg)
{
	return cg->v2_fd;
}

struct subgroup {
	unsigned controllers; /* 0: of every hierarchy */
	char *path;
};

struct subgroups {
	struct subgroup *list;
	size_t n;
};

static void subgroups_release(struct subgroups *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->list[i].path);
	free(s->list);
}

/* "PATH" enters that sub-group in every hierarchy, "CONTROLLER[,…]:PATH" only in those hierarchies. */
static struct err *parse_subgroup(const char *text, struct subgroup *ret)
{
	const char *path = text, *colon = strchr(text, ':');

	if (colon) {
		_cleanup_free_ char *list = xstrndup(text, (size_t)(colon - text));
		ret->controllers = cg_controllers_parse(list);
		if (ret->controllers == 0)
			return err_new(ERR_INVALID, "--cgroup %s: unknown controller %s", text, list);
		path = colon + 1;
	}
	if (path[strspn(path, "/.")] == '\0' && !strstr(path, "..")) {
		ret->path = xstrdup(""); /* "/" is the container's group itself */
		return NULL;
	}
	struct err *e = cg_clean_path(path, &ret->path);
	if (e) {
		err_free(e);
		return err_new(
			ERR_INVALID,
			"--cgroup: bad sub cgroup path: %s is not a sub cgroup path: it must not contain ..",
			path);
	}
	return NULL;
}

static struct err *parse_subgroups(char *const *texts, struct subgroups *s)
{
	size_t cap = 0;

	STRV_FOREACH (t, texts) {
		GROW(s->list, s->n, cap);
		s->list[s->n] = (struct subgroup){0};
		TRY(parse_subgroup(*t, &s->list[s->n++]));
	}
	return NULL;
}

/* The path below the container's group, or "". */
static const char *subgroup_of(const struct subgroups *s, const struct cg_group *g)
{
	for (size_t i = s->n; i-- > 0;)
		if (s->list[i].controllers == 0 || s->list[i].controllers & g->controllers)
			return s->list[i].path;
	return "";
}

struct err *rt_cgroup_prepare_enter(struct rt_cgroup *cg, char *const *subgroups)
{
	_cleanup_(subgroups_release) struct subgroups subs = {0};

	TRY(parse_subgroups(subgroups, &subs));
	for (size_t i = 0; i < cg->n; i++) {
		struct cg_group *g = &cg->g[i];
		const char *sub = !subgroups && cg->delegate ? cg->delegate : subgroup_of(&subs, g);
		_cleanup_free_ char *joined = *sub ? xasprintf("%s%s", g->dir, sub) : NULL;
		const char *dir = joined ? joined : g->dir;

		fd_close(g->enter_fd);
		if (cg->h[i].v2) {
			if (joined || cg->v2_fd < 0)
				TRY_WRAP(cg_open_v2_at(cg, dir),
					 "error adding pid 0 (the new process) to cgroups");
			continue;
		}
		g->enter_fd = cg_open(dir, "tasks", O_WRONLY);
		if (g->enter_fd < 0)
			return err_errno(
				errno,
				"error adding pid 0 (the new process) to cgroups: cannot open cgroup %s",
				dir);
	}
	return NULL;
}

struct err *rt_cgroup_enter_self(struct rt_cgroup *cg, bool cloned_into_v2)
{
	for (size_t i = 0; i < cg->n; i++) {
		struct cg_group *g = &cg->g[i];

		if (cg->h[i].v2) {
			if (cloned_into_v2)
				continue;
			if (g->enter_fd < 0)
				g->enter_fd = openat(cg->v2_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
		}
		/* "0" is the writer. For one thread of itself the kernel needs no lock against forks and exits, and so no grace
		 * period (5 to 14 ms): that is why it is `tasks`, and why the process must be single-threaded. */
		if (write(g->enter_fd, "0", 1) < 0)
			return err_errno(errno, "error adding pid %d to cgroups: cannot enter cgroup %s",
					 (int)getpid(), g->dir);
		/* Left to close_range and execve: in both of its callers the process is about to do one of them. */
	}
	return NULL;
}

struct err *rt_cgroup_enter_made(struct rt_cgroup *cg, enum rt_rootless rootless)
{
	for (size_t i = 0; i < cg->n; i++) {
		struct cg_group *g = &cg->g[i];

		if (cg->h[i].v2) /* that is where we were cloned into */
			continue;
		g->enter_fd = cg_open(g->dir, "tasks", O_WRONLY);
		if (g->enter_fd >= 0 && write(g->enter_fd, "0", 1) == 1)
			continue;
		struct err *e = err_errno(errno, "cannot enter cgroup %s", g->dir);
		if (!cg_may_go_without(rootless))
			return e;
		err_free(e); /* our parent was not allowed to make it, and has said so */
	}
	return NULL;
}

_Static_assert(RT_CGROUP_ENTER_FDS_MAX == CG_HIERARCHIES_MAX + 1, "one for each hierarchy, and the v2 group");

size_t rt_cgroup_enter_fds(struct rt_cgroup *cg, int **fds)
{
	fds[0] = &cg->v2_fd;
	for (size_t i = 0; i < cg->n; i++)
		fds[i + 1] = &cg->g[i].enter_fd;
	return cg->n + 1;
}

void rt_cgroup_enter_done(struct rt_cgroup *cg)
{
	int *fds[RT_CGROUP_ENTER_FDS_MAX];

	fd_close_all(fds, rt_cgroup_enter_fds(cg, fds));
}

struct err *rt_cgroup_remove_parent(void)
{
	const struct cg_machine *m;

	TRY(cg_machine_get(&m));
	for (size_t i = 0; i < m->n; i++) {
		_cleanup_free_ char *parent = NULL;
		TRY(default_parent(&m->h[i], &parent));
		_cleanup_free_ char *dir = xasprintf("%s%s", m->h[i].mountpoint, parent);
		if (rmdir(dir) < 0 && errno != ENOENT && errno != EBUSY && errno != ENOTEMPTY)
			return err_errno(errno, "cannot remove cgroup %s", dir);
	}
	return NULL;
}
