/* SPDX-License-Identifier: Apache-2.0 */
#include "tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct err *tree_names(int dirfd, char ***ret)
{
	_cleanup_fd_ int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	_cleanup_strv_ char **names = NULL;
	size_t n = 0, cap = 0;
	const struct dirent *d;

	if (!dir)
		return err_errno(errno, "cannot read the directory");
	TAKE_FD(copy);
	while (errno = 0, (d = readdir(dir))) {
		if (str_eq(d->d_name, ".") || str_eq(d->d_name, ".."))
			continue;
		if (n + 1 >= cap) {
			cap = cap ? 2 * cap : 32;
			names = xrealloc(names, cap, sizeof(*names));
		}
		names[n++] = xstrdup(d->d_name);
		names[n] = NULL;
	}
	int errnum = errno;
	closedir(dir);
	if (errnum)
		return err_errno(errnum, "cannot read the directory");
	if (n)
		qsort(names, n, sizeof(*names), compare_names);
	*ret = TAKE_PTR(names);
	return NULL;
}

bool tree_is_kernels(int fd)
{
	static const long magics[] = {PROC_SUPER_MAGIC,    SYSFS_MAGIC,    CGROUP_SUPER_MAGIC,
				      CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,  TRACEFS_MAGIC,
				      SECURITYFS_MAGIC,    BPF_FS_MAGIC,   BINFMTFS_MAGIC,
				      DEVPTS_SUPER_MAGIC,  EFIVARFS_MAGIC, SELINUX_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if ((unsigned long)fs.f_type == (unsigned long)magics[i])
			return true;
	return false;
}

struct err *tree_open(int dirfd, const char *name, int *ret_fd, struct stat *ret)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		*ret_fd = -1;
		return NULL;
	}
	if (fd < 0 || fstat(fd, ret) < 0)
		return err_errno(errno, "cannot open it");
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

struct err *tree_open_directory(int dirfd, const char *name, int *ret_fd)
{
	*ret_fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno(errno, "cannot open the directory") : NULL;
}

bool tree_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

bool tree_is_opaque(int fd, bool userxattr)
{
	char value = 0;

	return getxattr(fd_path(fd).s, userxattr ? "user.overlay.opaque" : "trusted.overlay.opaque", &value,
			1) == 1 &&
	       value == 'y';
}

/* -- xattrs --------------------------------------------------------------------------------------------------- */

#define XATTRS_SIZE ((size_t)64 << 10)

void tree_xattrs_release(struct tree_xattrs *x)
{
	for (size_t i = 0; i < x->n; i++) {
		free((char *)x->list[i].name);
		free((void *)x->list[i].value);
	}
	free(x->list);
	*x = (struct tree_xattrs){0};
}

static int compare_xattrs(const void *a, const void *b)
{
	return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

static bool xattr_is_wanted(const char *name)
{
	return !str_starts(name, "trusted.overlay.") && !str_starts(name, "user.overlay.") &&
	       (!str_starts(name, "security.") || str_eq(name, "security.capability")) &&
	       (!str_starts(name, "system.") || str_starts(name, "system.posix_acl_"));
}

struct err *tree_xattrs_read(int fd, struct tree_xattrs *x)
{
	const struct fd_path magic = fd_path(fd);
	ssize_t n = listxattr(magic.s, NULL, 0);

	if (n <= 0)
		return n == 0 || errno == EOPNOTSUPP
			       ? NULL
			       : err_errno(errno, "cannot list its extended attributes");
	_cleanup_free_ char *names = xmalloc(XATTRS_SIZE), *value = xmalloc(XATTRS_SIZE);
	n = listxattr(magic.s, names, XATTRS_SIZE);
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		if (!xattr_is_wanted(p))
			continue;
		ssize_t size = getxattr(magic.s, p, value, XATTRS_SIZE);
		if (size < 0)
			return err_errno(errno, "cannot read its extended attribute %s", p);
		GROW(x->list, x->n, x->cap);
		x->list[x->n++] = (struct tar_xattr){xstrdup(p), xmemdup(value, (size_t)size), (size_t)size};
	}
	if (x->n)
		qsort(x->list, x->n, sizeof(*x->list), compare_xattrs);
	return NULL;
}

bool tree_xattrs_equal(const struct tree_xattrs *a, const struct tree_xattrs *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!str_eq(a->list[i].name, b->list[i].name) || a->list[i].size != b->list[i].size ||
		    memcmp(a->list[i].value, b->list[i].value, a->list[i].size) != 0)
			return false;
	return true;
}

struct err *tree_same_attributes(int a, int b, bool *ret)
{
	_cleanup_tree_xattrs_ struct tree_xattrs one = {0}, other = {0};
	struct stat st, old;

	if (fstat(a, &st) < 0 || fstat(b, &old) < 0)
		return err_errno(errno, "cannot look at the directory");
	TRY(tree_xattrs_read(a, &one));
	TRY(tree_xattrs_read(b, &other));
	*ret = st.st_mode == old.st_mode && st.st_uid == old.st_uid && st.st_gid == old.st_gid &&
	       tree_xattrs_equal(&one, &other);
	return NULL;
}

/* -- entries -------------------------------------------------------------------------------------------------- */

bool tree_entry_from_stat(const struct stat *st, struct tar_entry *ret)
{
	static const struct {
		mode_t mode;
		enum tar_type type;
	} types[] = {{S_IFREG, TAR_FILE},         {S_IFLNK, TAR_SYMLINK},   {S_IFCHR, TAR_CHAR},
		     {S_IFBLK, TAR_BLOCK_DEVICE}, {S_IFDIR, TAR_DIRECTORY}, {S_IFIFO, TAR_FIFO}};
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if ((st->st_mode & S_IFMT) != types[i].mode)
			continue;
		ret->type = types[i].type;
		known = true;
	}
	ret->mode = st->st_mode & 07777;
	ret->uid = st->st_uid;
	ret->gid = st->st_gid;
	ret->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	ret->mtime_s = st->st_mtim.tv_sec;
	ret->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		ret->dev_major = major(st->st_rdev);
		ret->dev_minor = minor(st->st_rdev);
	}
	return known;
}

struct err *tree_read_link(int fd, char ret[static 4096])
{
	ssize_t n = readlinkat(fd, "", ret, 4095);

	if (n < 0)
		return err_errno(errno, "cannot read the symbolic link");
	ret[n] = '\0';
	return NULL;
}

/* -- hard links ----------------------------------------------------------------------------------------------- */

struct tree_link {
	dev_t dev;
	ino_t ino;
	char *path;
};

static struct tree_link *link_slot(struct tree_link *table, size_t cap, dev_t dev, ino_t ino)
{
	size_t i = (size_t)((uint64_t)ino * 0x9e3779b97f4a7c15u >> 20) & (cap - 1);

	while (table[i].path && (table[i].dev != dev || table[i].ino != ino))
		i = (i + 1) & (cap - 1);
	return &table[i];
}

const char *tree_links_first(struct tree_links *l, dev_t dev, ino_t ino, const char *path)
{
	if (2 * (l->n + 1) > l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 256;
		struct tree_link *table = xnew_array(struct tree_link, cap);
		for (size_t i = 0; i < l->cap; i++)
			if (l->table[i].path)
				*link_slot(table, cap, l->table[i].dev, l->table[i].ino) = l->table[i];
		free(l->table);
		l->table = table;
		l->cap = cap;
	}
	struct tree_link *s = link_slot(l->table, l->cap, dev, ino);
	if (s->path)
		return s->path;
	*s = (struct tree_link){dev, ino, xstrdup(path)};
	l->n++;
	return NULL;
}

void tree_links_release(struct tree_links *l)
{
	for (size_t i = 0; i < l->cap; i++)
		free(l->table[i].path);
	free(l->table);
	*l = (struct tree_links){0};
}
