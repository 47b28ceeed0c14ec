/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/files.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "fd_from_child.h"
#include "images/snapshot.h"
#include "passwd.h"
#include "private.h"
#include "spec.h"

struct container_files {
	struct inroot root;
	int lock;      /* -1: it runs */
	int namespace; /* keeps the mounts alive; -1: it runs */
};

const struct inroot *container_files_root(const struct container_files *f)
{
	return &f->root;
}

void container_files_close(struct container_files *f)
{
	if (!f)
		return;
	inroot_close(&f->root);
	fd_close(f->namespace);
	fd_close(f->lock);
	free(f);
}

struct err *container_files_owner(const struct container_files *f, const struct container *c, uid_t *ret_uid,
				  gid_t *ret_gid)
{
	_cleanup_user_ struct user user = {0};

	TRY(user_resolve(&f->root, c->spec->user, NULL, &user));
	*ret_uid = user.uid;
	*ret_gid = user.gid;
	return NULL;
}

/* -- running -------------------------------------------------------------------------------------------------------- */

/* ERR_NOT_FOUND: it has just ended. */
static struct err *open_running(struct container *c, struct inroot *ret)
{
	_cleanup_record_ struct record r = {0};
	_cleanup_fd_ int pidfd = -1;
	_cleanup_inroot_ struct inroot root = INROOT_NONE;

	TRY(record_read(c->root_dir, &r));
	TRY(process_open_exact(r.pid, r.start_ticks, &pidfd));
	_cleanup_free_ char *path = xasprintf("/proc/%d/root", (int)r.pid);
	TRY(inroot_open(path, &root));
	/* The number may have become somebody else's between the two looks. */
	TRY(process_signal(pidfd, 0));
	*ret = root;
	root = INROOT_NONE;
	return NULL;
}

/* -- not running ------------------------------------------------------------------------------------------------------ */

struct bind {
	const char *source, *target;
	bool read_only;
	int tree; /* of the source */
};

struct binds {
	struct bind *items;
	size_t n, cap;
};

/* What a start would bind into the root; borrowed from `mounts`. What the kernel provides is left out, as docker does. */
static struct err *collect_binds(struct json *mounts, struct binds *ret)
{
	static const char *const kernels[] = {"proc",  "sysfs",  "cgroup", "cgroup2",
					      "tmpfs", "devpts", "mqueue"};
	struct json_cursor list = json_root(mounts);

	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor m = json_at(&list, i);
		_cleanup_strv_ char **options = NULL;
		struct bind b = {.tree = -1};
		const char *type = NULL;
		bool skip = false;

		TRY(json_get_string(&m, "type", JSON_REQUIRED, &type));
		TRY(json_get_string(&m, "source", JSON_OPTIONAL, &b.source));
		TRY(json_get_string(&m, "destination", JSON_REQUIRED, &b.target));
		TRY(json_get_strv(&m, "options", JSON_OPTIONAL, &options));
		for (size_t k = 0; k < ARRAY_SIZE(kernels); k++)
			skip = skip || str_eq(type, kernels[k]);
		if (skip)
			continue;
		if (!str_eq(type, "bind"))
			return err_new(ERR_UNSUPPORTED,
				       "the volume on %s is a %s mount, which only a running container has; "
				       "start it first",
				       b.target, type);
		b.read_only = strv_contains(options, "ro");
		GROW(ret->items, ret->n, ret->cap);
		ret->items[ret->n++] = b;
	}
	return NULL;
}

/* A place for the bind, of the same kind as its source. *ret_fd -1: the root file system is read-only and has none. */
static struct err *open_target(const struct inroot *root, const struct bind *b, int *ret_fd)
{
	_cleanup_fd_ int parent = -1, file = -1;
	_cleanup_free_ char *name = NULL;
	struct stat st;

	struct err *e = inroot_open_at(root, b->target, O_PATH, 0, ret_fd);
	if (!e || e->kind != ERR_NOT_FOUND)
		return e;
	err_free(e);
	if (fstat(b->tree, &st) < 0)
		return err_errno(errno, "cannot look at %s", b->source);
	if (S_ISDIR(st.st_mode)) {
		e = inroot_mkdir_p(root, b->target, 0755, ret_fd);
	} else {
		e = inroot_open_parent(root, b->target, &parent, &name);
		if (!e) {
			file = openat(parent, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
			e = inroot_open_at(root, b->target, O_PATH, 0, ret_fd);
		}
	}
	if (e && e->errnum == EROFS) {
		err_free(e);
		e = NULL;
		*ret_fd = -1;
	}
	return e;
}

static struct err *attach_bind(const struct inroot *root, const struct bind *b)
{
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	_cleanup_fd_ int target = -1;

	if (b->tree < 0)
		return NULL;
	TRY(open_target(root, b, &target));
	if (target < 0)
		return NULL;
	if (b->read_only &&
	    mount_setattr(b->tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only, sizeof(read_only)) < 0)
		return err_errno(errno, "cannot make %s read-only", b->target);
	if (move_mount(b->tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot mount %s on %s", b->source, b->target);
	return NULL;
}

struct view {
	int rootfs;
	const char *place;
	struct binds binds;
};

/* In a process of its own (fd_from_child): a mount namespace in which the root is mounted, on `place`, and the binds are in it. */
static struct err *make_view(void *user, int *ret_namespace)
{
	struct view *v = user;
	const struct inroot root = {.fd = v->rootfs};

	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(errno, "cannot make a mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(errno, "cannot make the mounts private");
	/* All of them first: the root may cover what they are made from. */
	for (size_t i = 0; i < v->binds.n; i++) {
		struct bind *b = &v->binds.items[i];
		b->tree = open_tree(AT_FDCWD, b->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		if (b->tree < 0 && errno != ENOENT) /* hosts and its like come with the first start */
			return err_errno(errno, "cannot mount %s on %s", b->source, b->target);
	}
	if (move_mount(v->rootfs, "", AT_FDCWD, v->place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot mount the root file system");
	for (size_t i = 0; i < v->binds.n; i++)
		TRY(attach_bind(&root, &v->binds.items[i]));
	*ret_namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return *ret_namespace < 0 ? err_errno(errno, "cannot open the mount namespace") : NULL;
}

static void view_release(struct view *v)
{
	for (size_t i = 0; i < v->binds.n; i++)
		fd_close(v->binds.items[i].tree);
	free(v->binds.items);
}

static struct err *open_stopped(struct engine *e, struct container *c, struct container_files *f)
{
	struct spec_input in = {.engine = e, .c = c, .rootfs = &f->root};
	_cleanup_(view_release) struct view view = {.place = c->root_dir};
	_cleanup_json_ struct json *mounts = NULL;
	struct store *store;

	TRY(engine_store(e, &store));
	TRY_WRAP(container_mount_root(e, store, c, c->spec->read_only ? SNAPSHOT_READ_ONLY : 0, &f->root.fd),
		 "cannot mount the root file system of container %s", c->name);
	TRY(spec_mounts(&in, &mounts));
	TRY(collect_binds(mounts, &view.binds));
	view.rootfs = f->root.fd;
	TRY_WRAP(fd_from_child(make_view, &view, &f->namespace), "cannot look into container %s", c->name);
	return NULL;
}

struct err *container_files_open(struct engine *e, struct container *c, struct container_files **ret)
{
	struct container_files *f = xnew(struct container_files);
	struct err *error;

	*f = (struct container_files){.root = INROOT_NONE, .lock = -1, .namespace = -1};
	do {
		error = container_lock(e, c, &f->lock);
		if (error || (c->status != CONTAINER_RUNNING && c->status != CONTAINER_PAUSED))
			break;
		fd_close(f->lock);
		error = open_running(c, &f->root);
	} while (error && error->kind == ERR_NOT_FOUND && (err_free(error), true));
	if (!error && f->lock >= 0)
		error = open_stopped(e, c, f);
	if (error)
		container_files_close(f);
	else
		*ret = f;
	return error;
}
