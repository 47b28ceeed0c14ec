/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"

#define STATE_VERSION 1
#define STATE_FILE "state.json"
#define STATE_TEMPORARY ".state.json.tmp"
#define ATOMIC_MAX 4096 /* the smallest page */
#define ROOM 512

struct json *state_object(const char *oci_version, const char *id, const char *bundle, pid_t pid,
			  const char *status, const struct json_cursor *config)
{
	struct json *o = json_new_object();
	struct json_cursor notes = {0};
	json_set_string(o, "ociVersion", oci_version);
	json_set_string(o, "id", id);
	json_set_i64(o, "pid", pid);
	json_set_string(o, "status", status);
	json_set_string(o, "bundle", bundle);
	err_free(json_get_object(config, "annotations", JSON_OPTIONAL, &notes));
	if (notes.value)
		json_set(o, "annotations", json_ref(notes.value));
	return o;
}

char *state_for_hooks(const struct spec *s, const char *id, const char *bundle, pid_t pid, const char *status)
{
	_cleanup_json_ struct json *o = state_object(s->oci_version, id, bundle, pid, status, &s->root);
	return json_print(o, JSON_COMPACT);
}

static char *pad(const char *text, size_t size)
{
	return xasprintf("%-*s", (int)size, text);
}

static struct err *write_file(int dir, const char *name, int flags, const char *text)
{
	_cleanup_fd_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
	if (fd < 0)
		return err_errno(errno, "cannot make %s", name);
	return fd_write_full(fd, text, strlen(text), name);
}

/* Spaces behind the text leave room for the process. It replaces nothing, and half of it is as good as none (S4). */
static struct err *write_first(struct rt_container *c, const char *text)
{
	size_t len = strlen(text), size = MAX(len, MIN(len + ROOM, (size_t)ATOMIC_MAX));
	_cleanup_free_ char *padded = pad(text, size);
	_cleanup_fd_ int fd =
		openat(c->dir_fd, STATE_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(errno, "cannot make " STATE_FILE);
	TRY(fd_write_full(fd, padded, size, STATE_FILE));
	if (size > ATOMIC_MAX)
		return NULL;
	fd_close(c->state_fd);
	c->state_fd = TAKE_FD(fd);
	c->state_size = size;
	return NULL;
}

/* In place: a write within one page is not cut in two by SIGKILL, and costs less than a new file under the old name. A reader
 * that comes just now may find half of both: that is S4 for it, a container that is being made. */
static struct err *write_over(struct rt_container *c, const char *text)
{
	_cleanup_free_ char *padded = pad(text, c->state_size);
	return fd_pwrite_full(c->state_fd, padded, c->state_size, 0, STATE_FILE);
}

struct err *state_write(struct rt_container *c)
{
	_cleanup_json_ struct json *o = json_new_object();
	json_set_i64(o, "version", STATE_VERSION);
	json_set_string(o, "bundle", c->bundle);
	json_set_string(o, "rootfs", c->rootfs);
	json_set_i64(o, "createdNs", c->created_ns);
	json_set_i64(o, "pid", c->pid);
	json_set_u64(o, "startTicks", c->start_ticks);
	if (c->cgroup)
		json_set(o, "cgroup", rt_cgroup_to_json(c->cgroup));
	_cleanup_free_ char *text = json_print(o, JSON_COMPACT);
	if (c->pid <= 0) {
		struct err *e = write_first(c, text);
		if (!e || e->errnum != EEXIST)
			return e;
		err_free(e);
	}
	if (c->state_fd >= 0 && strlen(text) <= c->state_size)
		return write_over(c, text);
	/* Whole or not at all; the lock makes one name enough. */
	TRY(write_file(c->dir_fd, STATE_TEMPORARY, O_TRUNC, text));
	if (renameat(c->dir_fd, STATE_TEMPORARY, c->dir_fd, STATE_FILE) < 0)
		return err_errno(errno, "cannot replace %s", STATE_FILE);
	return NULL;
}

struct err *state_remove(const struct rt_container *c)
{
	/* Mostly these are all. state.json first: what is left then is a directory of which nothing else exists (S4). */
	static const char *const files[] = {STATE_FILE, "config.json", STATE_GATE};
	_cleanup_free_ char *path = xasprintf("%s/%s", c->state_root, c->id);
	for (size_t i = 0; i < ARRAY_SIZE(files) - c->own_start; i++)
		(void)unlinkat(c->dir_fd, files[i], 0);
	if (rmdir(path) == 0)
		return NULL;
	_cleanup_fd_ int root = open(c->state_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_errno(errno, "cannot open %s", c->state_root);
	return file_remove_tree_at(root, c->id);
}

static struct err *read_object(struct rt_container *c, const struct json_cursor *o)
{
	const char *bundle = "", *rootfs = "";
	int64_t version = 0, pid = 0;
	struct json_cursor cgroup;
	TRY(json_get_i64(o, "version", JSON_REQUIRED, 0, INT64_MAX, &version));
	if (version != STATE_VERSION)
		return err_new(ERR_UNSUPPORTED, "state.json was written by another version (%lld)",
			       (long long)version);
	TRY(json_get_string(o, "bundle", JSON_REQUIRED, &bundle));
	TRY(json_get_string(o, "rootfs", JSON_OPTIONAL, &rootfs));
	TRY(json_get_i64(o, "createdNs", JSON_REQUIRED, INT64_MIN, INT64_MAX, &c->created_ns));
	TRY(json_get_i64(o, "pid", JSON_REQUIRED, 0, INT32_MAX, &pid));
	TRY(json_get_u64(o, "startTicks", JSON_OPTIONAL, UINT64_MAX, &c->start_ticks));
	TRY(json_get_object(o, "cgroup", JSON_OPTIONAL, &cgroup));
	if (cgroup.value)
		TRY(rt_cgroup_from_json(&cgroup, &c->cgroup));
	free(c->bundle);
	free(c->rootfs);
	c->bundle = xstrdup(bundle);
	c->rootfs = xstrdup(rootfs);
	c->pid = (pid_t)pid;
	return NULL;
}

struct err *state_read(struct rt_container *c)
{
	_cleanup_json_ struct json *document = NULL;
	TRY(json_parse_file_at(c->dir_fd, STATE_FILE, &document));
	struct json_cursor o = json_root(document);
	return read_object(c, &o);
}
