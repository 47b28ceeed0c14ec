/* SPDX-License-Identifier: Apache-2.0 */
#include "base/inroot.h"

#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"

#define RACE_RETRIES 64
#define SYMLINKS_MAX 40

struct err *inroot_open(const char *path, struct inroot *ret)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot open directory %s", path);
	ret->fd = fd;
	return NULL;
}

void inroot_close(struct inroot *root)
{
	fd_closep(&root->fd);
}

/* Returns the fd or -1 with errno. */
static int open_resolved(const struct inroot *root, const char *path, int flags, mode_t mode,
			 uint64_t more_resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
		/* openat2 refuses a mode without O_CREAT or O_TMPFILE. */
		.mode = (flags & (O_CREAT | __O_TMPFILE)) ? mode & 07777 : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | more_resolve,
	};
	const char *inside = *path ? path : ".";

	for (int i = 0; i < RACE_RETRIES; i++) {
		int fd = (int)syscall(SYS_openat2, root->fd, inside, &how, sizeof(how));
		/* EAGAIN: a rename or mount somewhere raced with a ".." of this walk. */
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			return fd;
	}
	return -1;
}

struct err *inroot_open_at(const struct inroot *root, const char *path, int flags, mode_t mode, int *ret_fd)
{
	int fd = open_resolved(root, path, flags, mode, 0);

	if (fd < 0)
		return err_errno(errno, "cannot open %s inside the root", path);
	*ret_fd = fd;
	return NULL;
}

struct err *inroot_open_nofollow(const struct inroot *root, const char *path, int flags, mode_t mode,
				 int *ret_fd)
{
	return inroot_open_at(root, path, flags | O_NOFOLLOW, mode, ret_fd);
}

/* Replaces the symlink at prefix[0..parent_len]/name by its target, in front of `rest`. */
static struct err *expand_symlink(int parent, const char *name, const char *prefix, size_t parent_len,
				  const char *rest, char **ret_path)
{
	char target[4096];
	ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);

	if (n < 0)
		return err_errno(errno, "cannot make directory %s inside the root", prefix);
	target[n] = '\0';
	*ret_path = target[0] == '/' ? xasprintf("%s/%s", target, rest)
				     : xasprintf("%.*s/%s/%s", (int)parent_len, prefix, target, rest);
	return NULL;
}

struct err *inroot_mkdir_p(const struct inroot *root, const char *path, mode_t mode, int *ret_fd)
{
	int found = open_resolved(root, path, O_PATH | O_DIRECTORY, 0, 0);
	if (found >= 0) {
		*ret_fd = found;
		return NULL;
	}
	if (errno != ENOENT)
		return err_errno(errno, "cannot make directory %s inside the root", path);
	if (strlen(path) >= 4096)
		return err_errno(ENAMETOOLONG, "cannot make directory %.64s… inside the root", path);

	_cleanup_free_ char *todo = xstrdup(path);
	_cleanup_strbuf_ struct strbuf prefix = {0};
	_cleanup_fd_ int dir = open_resolved(root, ".", O_PATH | O_DIRECTORY, 0, 0);
	const char *p = todo;
	int links = 0;

	if (dir < 0)
		return err_errno(errno, "cannot open the root");
	/* Invariant: dir is the directory that prefix names; p is what is left to walk. */
	for (p += strspn(p, "/"); *p; p += strspn(p, "/")) {
		_cleanup_free_ char *name = xstrndup(p, strcspn(p, "/"));
		size_t parent_len = prefix.len;

		p += strlen(name);
		strbuf_printf(&prefix, "/%s", name);
		if (prefix.len > 16384)
			return err_errno(ENAMETOOLONG, "cannot make directory %.64s… inside the root", path);
		int next = -1;
		for (int tries = 0; tries < RACE_RETRIES && next < 0; tries++) {
			next = open_resolved(root, strbuf_str(&prefix), O_PATH | O_DIRECTORY, 0, 0);
			if (next >= 0)
				break;
			if (errno != ENOENT)
				return err_errno(errno, "cannot make directory %s inside the root", path);
			if (mkdirat(dir, name, mode) == 0)
				continue;
			if (errno != EEXIST)
				return err_errno(errno, "cannot make directory %s inside the root", path);
			/* It exists but does not resolve: a dangling symlink (or a race, then readlink
			 * fails). */
			char *expanded;
			if (++links > SYMLINKS_MAX)
				return err_errno(ELOOP, "cannot make directory %s inside the root", path);
			TRY(expand_symlink(dir, name, strbuf_str(&prefix), parent_len, p, &expanded));
			free(todo);
			todo = expanded;
			p = todo;
			strbuf_reset(&prefix);
			next = open_resolved(root, ".", O_PATH | O_DIRECTORY, 0, 0);
			if (next < 0)
				return err_errno(errno, "cannot open the root");
		}
		if (next < 0)
			return err_new(ERR_BUSY,
				       "cannot make directory %s inside the root: it keeps changing", path);
		close(dir);
		dir = next;
	}
	*ret_fd = TAKE_FD(dir);
	return NULL;
}

struct err *inroot_open_parent(const struct inroot *root, const char *path, int *ret_fd, char **ret_name)
{
	_cleanup_free_ char *copy = xstrdup(path);
	size_t n = strlen(copy);

	while (n > 0 && copy[n - 1] == '/')
		copy[--n] = '\0';
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_new(ERR_INVALID, "path \"%s\" does not name an entry of a directory", path);
	_cleanup_free_ char *last = xstrdup(name);
	if (slash)
		*slash = '\0';
	int fd = open_resolved(root, slash && slash != copy ? copy : ".", O_PATH | O_DIRECTORY, 0, 0);
	if (fd < 0)
		return err_errno(errno, "cannot open the directory of %s inside the root", path);
	*ret_fd = fd;
	*ret_name = TAKE_PTR(last);
	return NULL;
}

struct err *inroot_read_file(const struct inroot *root, const char *path, size_t max, char **ret_data,
			     size_t *ret_size)
{
	_cleanup_fd_ int probe = -1;
	struct stat st;

	/* Looked at before it is opened: opening a FIFO blocks, opening a device acts. */
	TRY(inroot_open_at(root, path, O_PATH, 0, &probe));
	if (fstat(probe, &st) < 0)
		return err_errno(errno, "cannot stat %s inside the root", path);
	if (!S_ISREG(st.st_mode))
		return err_new(ERR_INVALID, "%s inside the root is not a regular file", path);
	_cleanup_fd_ int fd = open(fd_path(probe).s, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_errno(errno, "cannot open %s inside the root", path);
	return file_read_fd(fd, path, max, ret_data, ret_size);
}
