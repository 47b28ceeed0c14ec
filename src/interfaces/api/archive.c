/* SPDX-License-Identifier: Apache-2.0 */
/* A container's files as archives: what docker cp is made of. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/fd.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "engine/file_path.h"
#include "engine/files.h"
#include "images/tree_archive.h"
#include "routes.h"

/* What a request is about. */
struct place {
	struct container *c;
	struct container_files *files;
	char *path;               /* absolute, without "." and ".." */
	bool directory, contents; /* ended in "/" or "/."; in "/." */
};

static void place_release(struct place *p)
{
	free(p->path);
	container_files_close(p->files);
	container_free(p->c);
}

static struct err *open_place(struct exchange *x, struct place *ret)
{
	_cleanup_free_ char *path = http_query(&x->request, "path");

	if (str_empty(path))
		return err_new(ERR_INVALID, "invalid parameter: the path is empty");
	TRY(find_container(x, &ret->c));
	TRY(container_files_open(x->engine, ret->c, &ret->files));
	ret->contents = str_eq(path, ".") || str_ends(path, "/.");
	ret->directory = ret->contents || str_ends(path, "/");
	ret->path = file_path_clean("/", path);
	return NULL;
}

static struct err *not_there(const struct place *p)
{
	return err_new(ERR_NOT_FOUND, "Could not find the file %.256s in container %s", p->path, p->c->name);
}

/* O_PATH; a symbolic link is itself, unless the path said that it is a directory. */
static struct err *open_thing(const struct place *p, int *ret_fd, struct stat *ret)
{
	_cleanup_fd_ int fd = -1;
	struct err *e = inroot_open_at(container_files_root(p->files), p->path,
				       O_PATH | (p->directory ? 0 : O_NOFOLLOW), 0, &fd);

	if (e && (e->kind == ERR_NOT_FOUND || e->errnum == ENOTDIR)) {
		err_free(e);
		return not_there(p);
	}
	TRY(e);
	if (fstat(fd, ret) < 0)
		return err_errno(errno, "cannot look at %s", p->path);
	if (p->directory && !S_ISDIR(ret->st_mode))
		return err_new(ERR_INVALID, "%s is not a directory", p->path);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

/* The bits of Go's os.FileMode. */
static uint64_t go_mode(mode_t mode)
{
	static const struct {
		mode_t type;
		uint64_t bits;
	} types[] = {
		{S_IFDIR, UINT64_C(1) << 31}, {S_IFLNK, UINT64_C(1) << 27},
		{S_IFBLK, UINT64_C(1) << 26}, {S_IFCHR, UINT64_C(1) << 26 | UINT64_C(1) << 21},
		{S_IFIFO, UINT64_C(1) << 25}, {S_IFSOCK, UINT64_C(1) << 24},
	};
	uint64_t bits = mode & 0777;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((mode & S_IFMT) == types[i].type)
			bits |= types[i].bits;
	bits |= mode & S_ISUID ? UINT64_C(1) << 23 : 0;
	bits |= mode & S_ISGID ? UINT64_C(1) << 22 : 0;
	bits |= mode & S_ISVTX ? UINT64_C(1) << 20 : 0;
	return bits;
}

/* Where a symbolic link leads in the end, whether or not something is there. */
static struct err *link_target(const struct place *p, const struct stat *st, char **ret)
{
	_cleanup_free_ char *path = xstrdup(p->path);
	struct stat there;
	bool exists;

	if (!S_ISLNK(st->st_mode)) {
		*ret = xstrdup("");
		return NULL;
	}
	TRY(file_path_follow(container_files_root(p->files), &path, &exists, &there));
	*ret = TAKE_PTR(path);
	return NULL;
}

/* The header line X-Docker-Container-Path-Stat. */
static struct err *stat_line(const struct place *p, const struct stat *st, char **ret)
{
	_cleanup_json_ struct json *o = json_new_object();
	_cleanup_free_ char *target = NULL;
	char time[TIMESTAMP_STRING_MAX];

	TRY(link_target(p, st, &target));
	timestamp_format((int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec, time);
	json_set_string(o, "name", str_eq(p->path, "/") ? "/" : file_path_base(p->path));
	json_set_i64(o, "size", st->st_size);
	json_set_u64(o, "mode", go_mode(st->st_mode));
	json_set_string(o, "mtime", time);
	json_set_string(o, "linkTarget", target);
	_cleanup_free_ char *text = json_print(o, JSON_COMPACT);
	_cleanup_free_ char *coded = base64_encode(text, strlen(text));
	*ret = xasprintf("X-Docker-Container-Path-Stat: %s\r\n", coded);
	return NULL;
}

/* What GET and HEAD are about. */
struct thing {
	struct place place;
	int fd;     /* O_PATH */
	char *line; /* stat_line */
};

static void thing_release(struct thing *t)
{
	free(t->line);
	fd_close(t->fd);
	place_release(&t->place);
}

static struct err *find_thing(struct exchange *x, struct thing *ret)
{
	struct stat st;

	TRY(open_place(x, &ret->place));
	TRY(open_thing(&ret->place, &ret->fd, &st));
	return stat_line(&ret->place, &st, &ret->line);
}

struct err *handle_archive_stat(struct exchange *x)
{
	_cleanup_(thing_release) struct thing t = {.fd = -1};

	TRY(find_thing(x, &t));
	return answer_text(x, 200, "application/json", t.line, "");
}

/* -- out of the container --- */

/* The archive is written by a thread of its own into a pipe, so that a client that does not read holds up nothing but itself. */
struct writing {
	int thing, out;
	const char *name;
	struct err *error;
};

static void *write_archive(void *user)
{
	struct writing *w = user;

	w->error = tree_archive_write(w->thing, w->name, w->out, NULL);
	close(w->out);
	return NULL;
}

static struct err *pass_on(struct exchange *x, int in)
{
	char piece[65536];

	while (true) {
		ssize_t n = read(in, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(errno, "cannot read the archive");
		if (n == 0)
			return NULL;
		TRY(stream_write(x, piece, (size_t)n));
	}
}

static struct err *stream_archive(struct exchange *x, const struct thing *t)
{
	const struct place *p = &t->place;
	/* The client puts another name in the place of the first; of the root's there is none, only the slash. */
	struct writing w = {.thing = t->fd,
			    .name = p->contents            ? "."
				    : str_eq(p->path, "/") ? ""
							   : file_path_base(p->path)};
	pthread_t thread;
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_errno(errno, "cannot make a pipe");
	w.out = pipe[1];
	if (pthread_create(&thread, NULL, write_archive, &w) != 0) {
		close(pipe[0]);
		close(pipe[1]);
		return err_new(ERR_LIMIT, "cannot start a thread for the archive");
	}
	struct err *e = stream_begin(x, "application/x-tar", t->line);
	if (!e)
		e = pass_on(x, pipe[0]);
	close(pipe[0]); /* a writer that is not done fails by EPIPE */
	pthread_join(thread, NULL);
	if (w.error && !e)
		e = TAKE_PTR(w.error);
	err_free(w.error);
	TRY(e);
	return stream_end(x);
}

struct err *handle_archive_get(struct exchange *x)
{
	_cleanup_(thing_release) struct thing t = {.fd = -1};

	TRY(find_thing(x, &t));
	return stream_archive(x, &t);
}

/* -- into the container --- */

static struct err *check_directory(const struct place *p)
{
	_cleanup_fd_ int fd = -1;
	struct err *e = inroot_open_at(container_files_root(p->files), p->path, O_PATH | O_DIRECTORY, 0, &fd);

	if (e && e->errnum == ENOTDIR) {
		err_free(e);
		return err_new(ERR_INVALID, "extraction point is not a directory");
	}
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return not_there(p);
	}
	return e;
}

struct err *handle_archive_put(struct exchange *x)
{
	_cleanup_(place_release) struct place p = {0};
	_cleanup_fd_ int body = -1;
	struct tree_archive_extract_options o = {
		.owner = TREE_OWNER_ARCHIVE,
		.replace = !exchange_flag(x, "noOverwriteDirNonDir", false),
	};

	TRY(open_place(x, &p));
	TRY(check_directory(&p));
	if (exchange_flag(x, "copyUIDGID", false)) {
		o.owner = TREE_OWNER_GIVEN;
		TRY(container_files_owner(p.files, p.c, &o.uid, &o.gid));
	}
	TRY(exchange_spool(x, &body));
	struct err *e = tree_archive_extract(container_files_root(p.files), p.path, body, &o, NULL);
	if (e && e->errnum == EROFS) {
		err_free(e);
		return err_new(ERR_PERMISSION, "container rootfs is marked read-only");
	}
	if (e && e->kind == ERR_CORRUPT)
		e->kind = ERR_INVALID; /* the client's fault */
	TRY(e);
	return answer_empty(x, 200);
}
