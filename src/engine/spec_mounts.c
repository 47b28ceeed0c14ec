/* SPDX-License-Identifier: Apache-2.0 */
/* mounts: the kernel's file systems, our files in /etc, volumes, binds and tmpfs. */
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "image_mount.h"
#include "secret.h"
#include "spec.h"
#include "start_fds.h"
#include "userns.h"

#define SHM_DEFAULT (64 << 20)

static void add(struct json *list, const char *destination, const char *type, const char *source,
		const char *options)
{
	struct json *o = json_new_object();
	_cleanup_strv_ char **v = strv_split(options, ",");

	json_set_string(o, "destination", destination);
	json_set_string(o, "type", type);
	json_set_string(o, "source", source);
	json_set_strv(o, "options", v);
	json_append(list, o);
}

static const struct container_mount *user_mount(const struct container_spec *s, const char *target)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (str_eq(s->mounts[i].target, target))
			return &s->mounts[i];
	return NULL;
}

/* A mount of the user's at the same place replaces ours. */
static void add_default(struct json *list, const struct container_spec *s, const char *destination,
			const char *type, const char *source, const char *options)
{
	if (!user_mount(s, destination))
		add(list, destination, type, source, options);
}

static void add_kernel_mounts(const struct spec_input *in, struct json *list)
{
	const struct container_spec *s = in->c->spec;
	bool host_ipc = str_eq(s->ipc_mode, "host");
	_cleanup_free_ char *shm =
		xasprintf("nosuid,noexec,nodev,mode=1777,size=%lld",
			  (long long)(s->shm_size_bytes ? s->shm_size_bytes : SHM_DEFAULT));

	add_default(list, s, "/proc", "proc", "proc", "nosuid,noexec,nodev");
	add_default(list, s, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
	add_default(list, s, "/dev/pts", "devpts", "devpts",
		    "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
	add_default(list, s, "/sys", "sysfs", "sysfs",
		    s->privileged ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro");
	add_default(list, s, "/sys/fs/cgroup", "cgroup", "cgroup",
		    s->privileged ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro");
	if (host_ipc && access("/dev/mqueue", F_OK) == 0)
		add_default(list, s, "/dev/mqueue", "bind", "/dev/mqueue",
			    "rbind,rprivate,nosuid,noexec,nodev");
	else
		add_default(list, s, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
	if (in->shm)
		add_default(list, s, "/dev/shm", "bind", in->shm, "bind,rprivate,nosuid,noexec,nodev");
	else if (host_ipc)
		add_default(list, s, "/dev/shm", "bind", "/dev/shm", "rbind,rprivate,nosuid,noexec,nodev");
	else if (!str_eq(s->ipc_mode, "none"))
		add_default(list, s, "/dev/shm", "tmpfs", "shm", shm);
}

static void add_etc_files(const struct spec_input *in, struct json *list)
{
	static const char *const names[] = {"resolv.conf", "hostname", "hosts"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *source =
			xasprintf("%s/%s", in->etc_dir ? in->etc_dir : in->c->root_dir, names[i]);
		_cleanup_free_ char *target = xasprintf("/etc/%s", names[i]);
		add_default(list, in->c->spec, target, "bind", source, "rbind,rprivate");
	}
}

/* -- the user's --- */

struct bind_options {
	bool ro, nocopy;
	const char *propagation;
	const char *kind;    /* "bind" or "rbind" */
	struct strbuf flags; /* others, each with a leading comma */
};

static struct err *parse_options(const struct container_mount *m, struct bind_options *b)
{
	static const char *const propagations[] = {"private", "rprivate", "shared",
						   "rshared", "slave",    "rslave"};
	static const char *const flags[] = {"nosuid", "suid", "nodev",   "dev",
					    "noexec", "exec", "noatime", "relatime"};

	b->propagation = "rprivate";
	b->kind = "rbind";
	STRV_FOREACH (o, m->options) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(propagations); i++) {
			if (str_eq(*o, propagations[i])) {
				b->propagation = propagations[i];
				known = true;
			}
		}
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
			if (str_eq(*o, flags[i])) {
				strbuf_printf(&b->flags, ",%s", flags[i]);
				known = true;
			}
		}
		if (str_eq(*o, "ro") || str_eq(*o, "readonly")) {
			b->ro = true;
		} else if (str_eq(*o, "nocopy") && m->type == MOUNT_VOLUME) {
			b->nocopy = true;
		} else if ((str_eq(*o, "bind") || str_eq(*o, "rbind")) && m->type == MOUNT_BIND) {
			b->kind = *o;
		} else if (str_eq(*o, "idmap") || str_starts(*o, "idmap=")) {
			strbuf_printf(&b->flags, ",%s", *o);
		} else if (!known && !str_eq(*o, "rw") && !str_eq(*o, "z") && !str_eq(*o, "Z")) {
			/* z and Z are SELinux labels: nothing to do where there are none */
			return err_new(ERR_INVALID, "unknown option \"%.64s\" of the mount on %s", *o,
				       m->target);
		}
	}
	return NULL;
}

struct err *spec_mount_check(const struct container_mount *m)
{
	struct bind_options b = {0};

	if (m->type == MOUNT_TMPFS)
		return NULL; /* the kernel knows its own options, and says so */
	struct err *e = parse_options(m, &b);
	strbuf_release(&b.flags);
	return e;
}

static struct err *add_bind(struct json *list, const struct container_mount *m, const char *source)
{
	struct bind_options b = {0};
	struct err *e = parse_options(m, &b);

	if (!e) {
		/* rro: what is mounted below the source is read-only, too */
		_cleanup_free_ char *options = xasprintf("%s,%s%s%s", b.kind, b.propagation,
							 b.ro ? ",ro,rro" : "", strbuf_str(&b.flags));
		add(list, m->target, "bind", source, options);
	}
	strbuf_release(&b.flags);
	return e;
}

/* volume-opt and volume-label count for a volume that is not there yet. */
static struct err *make_volume(struct engine *e, const struct container_mount *m)
{
	_cleanup_free_ char *name = NULL;
	struct volume v = {0};
	struct err *missing = volume_read(e, m->source, &v);

	if (!missing) {
		volume_release(&v);
		return NULL;
	}
	err_free(missing);
	return volume_create(e, m->source, m->volume_labels, m->volume_options, &name);
}

/* A part of a volume: found inside it, where nothing leads out, and mounted by fd. */
static struct err *add_subpath(const struct spec_input *in, struct json *list,
			       const struct container_mount *m, const char *path)
{
	_cleanup_inroot_ struct inroot root = INROOT_NONE;
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *source = NULL;

	TRY(inroot_open(path, &root));
	TRY_WRAP(inroot_open_at(&root, m->subpath, O_PATH, 0, &fd), "cannot mount the part %s of volume %s",
		 m->subpath, m->source);
	int tree = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	if (tree < 0)
		return err_errno(errno, "cannot mount the part %s of volume %s", m->subpath, m->source);
	TRY(start_fds_add_mount(in->fds, tree, &source));
	return add_bind(list, m, source);
}

static struct err *add_image(const struct spec_input *in, struct json *list, const struct container_mount *m)
{
	_cleanup_free_ char *source = NULL;
	struct store *store;
	int fd;

	TRY(engine_store(in->engine, &store));
	TRY_WRAP(image_mount_open(store, in->c->id, in->c->spec, (size_t)(m - in->c->spec->mounts), &fd),
		 "cannot mount image %s on %s", m->source, m->target);
	TRY(start_fds_add_mount(in->fds, fd, &source));
	add(list, m->target, "bind", source,
	    strv_contains(m->options, "rw") ? "bind,rprivate" : "bind,rprivate,ro");
	return NULL;
}

static struct err *add_volume(const struct spec_input *in, struct json *list, const struct container_mount *m)
{
	_cleanup_free_ char *path = NULL, *type = NULL, *source = NULL, *options = NULL;
	struct volume v = {0};

	if (m->volume_options || m->volume_labels)
		TRY(make_volume(in->engine, m));
	TRY(volume_ensure(in->engine, m->source, &path));
	TRY(volume_read(in->engine, m->source, &v));
	struct err *bad = volume_mount(&v, &type, &source, &options);
	volume_release(&v);
	TRY(bad);
	if (str_eq(type, "bind"))
		return add_bind(list, m, source);
	if (type) {
		struct bind_options b = {0};
		bad = parse_options(m, &b);
		_cleanup_free_ char *all = xasprintf("%s%s%s%s", options, b.ro ? ",ro" : "",
						     b.flags.len ? strbuf_str(&b.flags) : "", "");
		strbuf_release(&b.flags);
		TRY(bad);
		add(list, m->target, type, source, all[0] == ',' ? all + 1 : all);
		return NULL;
	}
	if (!strv_contains(m->options, "nocopy"))
		TRY_WRAP(volume_copy_up(path, in->rootfs, m->target),
			 "cannot fill volume %s from the image's %s", m->source, m->target);
	if (userns_wanted(in->c->spec)) { /* its files have the container's ids on the disk */
		struct container_mount mapped = *m;
		_cleanup_strv_ char **words = strv_dup(m->options);
		strv_push(&words, "idmap");
		mapped.options = words;
		return m->subpath ? add_subpath(in, list, &mapped, path) : add_bind(list, &mapped, path);
	}
	return m->subpath ? add_subpath(in, list, m, path) : add_bind(list, m, path);
}

static struct err *add_user_mount(const struct spec_input *in, struct json *list,
				  const struct container_mount *m)
{
	switch (m->type) {
	case MOUNT_TMPFS: {
		_cleanup_free_ char *joined = strv_join(m->options, ",");
		_cleanup_free_ char *options =
			xasprintf("nosuid,nodev,noexec%s%s", str_empty(joined) ? "" : ",", joined ?: "");
		add(list, m->target, "tmpfs", "tmpfs", options);
		return NULL;
	}
	case MOUNT_VOLUME:
		return add_volume(in, list, m);
	case MOUNT_IMAGE:
		return add_image(in, list, m);
	default:
		if (access(m->source, F_OK) < 0) {
			if (errno != ENOENT || !m->create_source)
				return err_errno(errno, "cannot mount %s on %s", m->source, m->target);
			TRY_WRAP(file_mkdir_p(m->source, 0755), "cannot make the mount source %s", m->source);
		}
		return add_bind(list, m, m->source);
	}
}

static size_t depth(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/' && path[1] && path[1] != '/';
	return n;
}

struct err *spec_mounts(const struct spec_input *in, struct json **ret)
{
	const struct container_spec *s = in->c->spec;
	_cleanup_json_ struct json *list = json_new_array();
	size_t deepest = 0;

	add_kernel_mounts(in, list);
	add_etc_files(in, list);
	if (s->timezone) {
		_cleanup_free_ char *zone = str_eq(s->timezone, "local")
						    ? xstrdup("/etc/localtime")
						    : xasprintf("/usr/share/zoneinfo/%s", s->timezone);
		add_default(list, s, "/etc/localtime", "bind", zone, "bind,rprivate,ro");
	}
	TRY(secrets_mount(in, list));
	if (s->init) {
		_cleanup_free_ char *path = NULL;
		TRY(engine_program_path(in->engine->init, "havre-init", &path));
		if (access(path, X_OK) < 0)
			return err_errno(errno, "cannot use --init: %s", path);
		add(list, SPEC_INIT_PATH, "bind", path, "bind,ro");
	}
	/* Outer targets before inner ones, else in the order given. */
	for (size_t i = 0; i < s->n_mounts; i++)
		deepest = MAX(deepest, depth(s->mounts[i].target));
	for (size_t d = 0; d <= deepest; d++)
		for (size_t i = 0; i < s->n_mounts; i++)
			if (depth(s->mounts[i].target) == d)
				TRY(add_user_mount(in, list, &s->mounts[i]));
	*ret = TAKE_PTR(list);
	return NULL;
}
