// SPDX-License-Identifier: Apache-2.0
/* cp: files between a container and this machine, by docker's rules of what a path means. Both sides are roots (base/inroot.h): a
 * container's, or "/" of this machine. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "engine/file_path.h"
#include "engine/files.h"
#include "images/tree_archive.h"

struct cp_flags {
	bool archive, follow, quiet;
};

/* One side of a copy. */
struct side {
	const char *text; /* as it was given, without the container */
	char *container;  /* as it was given; NULL: this machine */
	char *path;       /* absolute, without "." and ".." */
	bool directory;   /* ended in "/" or "/.": has to be one */
	bool contents;    /* ended in "/." */
	struct container *c;
	struct container_files *files;
	struct inroot root; /* of this machine; owned */
};

static void side_release(struct side *s)
{
	free(s->path);
	free(s->container);
	container_files_close(s->files);
	container_free(s->c);
	inroot_close(&s->root);
}

static const struct inroot *side_root(const struct side *s)
{
	return s->files ? container_files_root(s->files) : &s->root;
}

static void parse_side(const char *arg, struct side *ret)
{
	const char *colon = strchr(arg, ':');

	*ret = (struct side){.text = arg, .root = INROOT_NONE};
	/* "./a:b" and "/a:b" are files here. */
	if (colon && colon != arg && arg[0] != '/' && arg[0] != '.') {
		ret->container = xstrndup(arg, (size_t)(colon - arg));
		ret->text = colon + 1;
	}
}

static struct err *open_side(struct engine *e, struct side *s)
{
	char cwd[4096] = "/";

	if (s->container) {
		TRY(container_find(e, s->container, &s->c));
		if (!*s->text)
			return err_new(ERR_INVALID, "the path in container %s is empty: write %s:/PATH",
				       s->container, s->container);
		TRY(container_files_open(e, s->c, &s->files));
	} else {
		TRY(inroot_open("/", &s->root));
		if (s->text[0] != '/' && !getcwd(cwd, sizeof(cwd)))
			return err_errno(errno, "cannot find the current directory");
	}
	s->path = file_path_clean(cwd, s->text);
	s->contents = str_eq(s->text, ".") || str_ends(s->text, "/.");
	s->directory = s->contents || str_ends(s->text, "/");
	return NULL;
}

static struct err *not_there(const struct side *s, const char *path)
{
	if (!s->container)
		return err_new(ERR_NOT_FOUND, "%s: no such file or directory", path);
	return err_new(ERR_NOT_FOUND, "could not find the file %s in container %s", path, s->container);
}

/* -- the source ----------------------------------------------------------------------------------------------------- */

static struct err *open_source(const struct side *s, bool follow, int *ret_fd, struct stat *ret)
{
	bool through = follow || s->directory;
	_cleanup_fd_ int fd = -1;
	struct err *e = inroot_open_at(side_root(s), s->path, O_PATH | (through ? 0 : O_NOFOLLOW), 0, &fd);

	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return not_there(s, s->path);
	}
	TRY(e);
	if (fstat(fd, ret) < 0)
		return err_errno(errno, "cannot look at %s", s->path);
	if (s->directory && !S_ISDIR(ret->st_mode))
		return err_new(ERR_INVALID, "%s is not a directory", s->path);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

/* -- the destination -------------------------------------------------------------------------------------------------- */

struct target {
	char *directory;  /* into which the archive goes */
	const char *name; /* of the copy there; NULL: the source's */
	char *owned;
};

static void target_release(struct target *t)
{
	free(t->directory);
	free(t->owned);
}

static struct err *check_directory(const struct side *s, const char *path)
{
	_cleanup_fd_ int fd = -1;
	struct err *e = inroot_open_at(side_root(s), path, O_PATH | O_DIRECTORY, 0, &fd);

	if (e && e->kind == ERR_NOT_FOUND && !s->container) {
		err_free(e);
		return err_new(ERR_NOT_FOUND, "invalid output path: directory \"%s\" does not exist", path);
	}
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return not_there(s, path);
	}
	return e;
}

/* docker's table: what is copied, and what is at the place. */
static struct err *find_target(const struct side *s, bool source_is_directory, struct target *ret)
{
	_cleanup_free_ char *path = xstrdup(s->path);
	struct stat st;
	bool exists;

	TRY(file_path_follow(side_root(s), &path, &exists, &st));
	if (exists && S_ISDIR(st.st_mode)) {
		ret->directory = TAKE_PTR(path);
		return NULL;
	}
	if (exists && source_is_directory)
		return err_new(ERR_EXISTS, "cannot copy directory: %s is not one", s->path);
	if (exists && !S_ISREG(st.st_mode))
		return err_new(ERR_INVALID, "destination \"%s%s%s\" must be a directory or a regular file",
			       s->container ?: "", s->container ? ":" : "", s->text);
	if (s->directory && (exists || !source_is_directory))
		return err_new(exists ? ERR_INVALID : ERR_NOT_FOUND,
			       exists ? "not a directory: %s" : "no such directory: %s", s->path);
	_cleanup_free_ char *parent = file_path_directory(path);
	TRY(check_directory(s, parent));
	ret->owned = xstrdup(file_path_base(path));
	ret->name = ret->owned;
	ret->directory = TAKE_PTR(parent);
	return NULL;
}

static struct err *extract_options(const struct side *to, bool archive,
				   struct tree_archive_extract_options *ret)
{
	*ret = (struct tree_archive_extract_options){0};
	if (!to->container)
		ret->owner = archive ? TREE_OWNER_ARCHIVE : TREE_OWNER_OURS;
	if (!to->container || !archive)
		return NULL;
	ret->owner = TREE_OWNER_GIVEN;
	return container_files_owner(to->files, to->c, &ret->uid, &ret->gid);
}

static struct err *explain(struct err *e, const struct side *to)
{
	if (e && e->errnum == EROFS && to->container)
		return err_wrap(e, "container rootfs is marked read-only, or what is mounted there is");
	return e;
}

/* -- copying ------------------------------------------------------------------------------------------------------------ */

static _Noreturn void write_process(int thing, const char *name, int pipe, int report)
{
	struct err *e = tree_archive_write(thing, name, pipe, NULL);

	err_free(err_send(report, e));
	_exit(0);
}

/* One process writes the archive, we unpack it. */
static struct err *pump(int thing, const char *name, const struct side *to, const char *directory,
			const struct tree_archive_extract_options *o, uint64_t *ret_bytes)
{
	_cleanup_fd_ int in = -1, out = -1, ours = -1, theirs = -1;
	int pipe[2], pair[2];
	struct err *written = NULL;

	TRY(fd_socketpair(SOCK_STREAM, pair));
	ours = pair[0];
	theirs = pair[1];
	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_errno(errno, "cannot make a pipe");
	in = pipe[0];
	out = pipe[1];
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(errno, "cannot start a process");
	if (pid == 0) {
		fd_close(in);
		write_process(thing, name, out, theirs);
	}
	fd_close(out);
	fd_close(theirs);
	struct err *e = tree_archive_extract(side_root(to), directory, in, o, ret_bytes);
	fd_close(in); /* a writer that is not done ends by SIGPIPE */
	struct err *lost = err_receive(ours, "the process that reads the files", &written);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* Why the archive broke off is the better reason. */
	if (written && (!e || e->kind == ERR_CORRUPT)) {
		err_free(e);
		e = TAKE_PTR(written);
	}
	if (lost && !e)
		e = TAKE_PTR(lost);
	err_free(lost);
	err_free(written);
	return e;
}

static void say_done(const struct cp_flags *f, uint64_t bytes, const struct side *to)
{
	if (f->quiet || !isatty(STDOUT_FILENO))
		return;
	_cleanup_free_ char *size = format_size(bytes);
	fprintf(stderr, "Successfully copied %s to %s%s%s\n", size, to->container ?: "",
		to->container ? ":" : "", to->container ? to->text : to->path);
}

static struct err *copy(const struct cp_flags *f, const struct side *from, const struct side *to)
{
	_cleanup_(target_release) struct target target = {0};
	struct tree_archive_extract_options o;
	_cleanup_fd_ int thing = -1;
	struct stat st;
	uint64_t bytes = 0;

	TRY(open_source(from, f->follow, &thing, &st));
	TRY(find_target(to, S_ISDIR(st.st_mode), &target));
	TRY(extract_options(to, f->archive, &o));
	const char *own = from->contents ? "." : file_path_base(from->path);
	TRY(explain(pump(thing, target.name ?: own, to, target.directory, &o, &bytes), to));
	say_done(f, bytes, to);
	return NULL;
}

static struct err *copy_out(const struct cp_flags *f, const struct side *from)
{
	_cleanup_fd_ int thing = -1;
	struct stat st;

	if (isatty(STDOUT_FILENO))
		return err_new(ERR_INVALID, "an archive is not written to a terminal; redirect the output");
	TRY(open_source(from, f->follow, &thing, &st));
	return tree_archive_write(thing, from->contents ? "." : file_path_base(from->path), STDOUT_FILENO,
				  NULL);
}

static struct err *copy_in(const struct cp_flags *f, const struct side *to)
{
	struct tree_archive_extract_options o;
	_cleanup_fd_ int fd = -1;

	struct err *e = inroot_open_at(side_root(to), to->path, O_PATH | O_DIRECTORY, 0, &fd);
	if (e && (e->kind == ERR_NOT_FOUND || e->errnum == ENOTDIR)) {
		err_free(e);
		return err_new(ERR_INVALID, "destination \"%s:%s\" must be a directory", to->container,
			       to->text);
	}
	TRY(e);
	TRY(extract_options(to, f->archive, &o));
	return explain(tree_archive_extract(side_root(to), to->path, STDIN_FILENO, &o, NULL), to);
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct cp_flags *f = in->options;
	_cleanup_(side_release) struct side from, to;
	struct engine *e;

	parse_side(in->args[0], &from);
	parse_side(in->args[1], &to);
	if (from.container && to.container)
		return err_new(ERR_INVALID, "copying between containers is not supported");
	if (!from.container && !to.container)
		return err_new(ERR_INVALID, "must specify at least one container source");
	if (!*in->args[0] || !*in->args[1])
		return err_new(ERR_INVALID, "%s can not be empty", *in->args[0] ? "destination" : "source");
	bool from_stdin = !from.container && str_eq(from.text, "-"),
	     to_stdout = !to.container && str_eq(to.text, "-");
	if (from_stdin)
		TRY(cli_transfer()); /* it may be compressed */
	TRY(cli_engine(&e));
	if (!from_stdin)
		TRY(open_side(e, &from));
	if (!to_stdout)
		TRY(open_side(e, &to));
	if (to_stdout)
		return copy_out(f, &from);
	return from_stdin ? copy_in(f, &to) : copy(f, &from, &to);
}

const struct command cmd_cp = {
	.name = "cp",
	.aliases = ALIASES("container cp"),
	.summary = "Copy files between a container and this machine",
	.usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH",
	.help = "The container may run or not. A directory goes into a directory that is there, or becomes "
		"one under "
		"the new name; with /. at its end only what is in it is copied. Paths in the container are "
		"absolute "
		"or relative to its root.\n\n"
		"With - as the source a tar is read from standard input and unpacked in the directory; with "
		"- as "
		"the destination a tar is written to standard output.\n\n"
		"Files copied to this machine are yours, without set-user-id bits; with -a they keep their "
		"owner and "
		"rights. Files copied into a container keep the numbers of their owner; with -a they belong "
		"to the "
		"container's user. Nothing of /proc and /sys is copied.",
	.examples = "# a file into a container\nPROGRAM cp site.conf web:/etc/nginx/conf.d/\n"
		    "# a directory's contents out of it\nPROGRAM cp web:/var/log/. logs\n"
		    "# as a tar\nPROGRAM cp web:/etc - | tar t",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct cp_flags, archive), .name = "archive", .letter = 'a',
			 .help = "Keep owner and rights, or give the files to the container's user"},
			{FLAG_BOOL_FIELD(struct cp_flags, follow), .name = "follow-link", .letter = 'L',
			 .help = "Copy what a symbolic link in SRC_PATH points to"},
			{FLAG_BOOL_FIELD(struct cp_flags, quiet), .name = "quiet", .letter = 'q',
			 .help = "Do not say how much was copied"},
			{0},
		},
	.options_size = sizeof(struct cp_flags),
	.min_args = 2,
	.max_args = 2,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run,
};
