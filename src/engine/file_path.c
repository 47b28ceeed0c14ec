// SPDX-License-Identifier: Apache-2.0
#include "engine/file_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

#define SYMLINKS_MAX 10

char *file_path_clean(const char *base, const char *path)
{
	_cleanup_free_ char *joined = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", base, path);
	_cleanup_strv_ char **words = strv_split(joined, "/");
	_cleanup_strv_ char **kept = NULL;
	size_t n = 0;

	STRV_FOREACH (word, words) {
		if (str_eq(*word, "..") && n > 0) {
			free(kept[--n]);
			kept[n] = NULL;
		} else if (!str_eq(*word, ".") && !str_eq(*word, "..")) {
			strv_push(&kept, *word);
			n++;
		}
	}
	_cleanup_free_ char *inner = strv_join(kept, "/");
	return xasprintf("/%s", inner ?: "");
}

const char *file_path_base(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	return *name ? name : ".";
}

char *file_path_directory(const char *path)
{
	size_t n = (size_t)(strrchr(path, '/') - path);

	return n ? xstrndup(path, n) : xstrdup("/");
}

struct err *file_path_follow(const struct inroot *root, char **path, bool *ret_exists, struct stat *ret)
{
	for (int i = 0; i < SYMLINKS_MAX; i++) {
		_cleanup_fd_ int fd = -1;
		char link[4096];
		struct err *e = inroot_open_nofollow(root, *path, O_PATH, 0, &fd);

		*ret_exists = !e;
		if (e && e->kind == ERR_NOT_FOUND) {
			err_free(e);
			return NULL;
		}
		TRY(e);
		if (fstat(fd, ret) < 0)
			return err_errno(errno, "cannot look at %s", *path);
		if (!S_ISLNK(ret->st_mode))
			return NULL;
		ssize_t n = readlinkat(fd, "", link, sizeof(link) - 1);
		if (n < 0)
			return err_errno(errno, "cannot read the symbolic link %s", *path);
		link[n] = '\0';
		_cleanup_free_ char *parent = file_path_directory(*path);
		char *next = file_path_clean(parent, link);
		free(*path);
		*path = next;
	}
	return err_new(ERR_INVALID, "too many symbolic links in %s", *path);
}
