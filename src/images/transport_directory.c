/* SPDX-License-Identifier: Apache-2.0 */
/* dir: skopeo's plain directory: "version", "manifest.json", each blob under the hexadecimal digits of its digest, each part of an index as
 * DIGITS.manifest.json. A directory that is none of ours is refused; in one of ours, manifest.json goes first and comes back last. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "transport.h"

#define VERSION "Directory Transport Version: 1.1\n"

struct directory {
	union {
		struct source source;
		struct destination destination;
	};
	int fd;
	struct raw_manifest top;
};

static struct err *directory_manifest(struct source *source, const struct digest *instance,
				      struct raw_manifest *ret)
{
	struct directory *s = (struct directory *)source;
	_cleanup_free_ char *name = instance ? xasprintf("%s.manifest.json", digest_hex(instance)) : NULL;
	char *data;
	size_t size;

	TRY_WRAP(file_read_at(s->fd, name ? name : "manifest.json", MANIFEST_SIZE_MAX, &data, &size), "%s",
		 source->at->text);
	return raw_manifest_fill(data, size, NULL, instance, ret);
}

static struct err *directory_blob(struct source *source, const struct descriptor *b, struct spool *to,
				  const struct progress *progress)
{
	struct directory *s = (struct directory *)source;
	const char *name = digest_hex(&b->digest);
	_cleanup_fd_ int fd = openat(s->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return err_errno(errno, "cannot open %s/%s", source->at->path, name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_new(ERR_CORRUPT, "%s/%s is not a file", source->at->path, name);
	return spool_take(to, fd, 0, (uint64_t)st.st_size, name, progress);
}

static void directory_free(struct directory *d)
{
	fd_close(d->fd);
	raw_manifest_release(&d->top);
	free(d);
}

static void directory_source_close(struct source *source)
{
	directory_free((struct directory *)source);
}

static const struct source_ops directory_source_ops = {directory_manifest, directory_blob,
						       directory_source_close};

struct err *directory_source_open(const struct location *at, const struct transport_options *o,
				  struct source **ret)
{
	int fd = open(at->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot open directory %s", at->path);
	struct directory *s = xnew(struct directory);
	*s = (struct directory){.source = {&directory_source_ops, at}, .fd = fd};
	*ret = &s->source;
	return NULL;
}

/* -- destination --------------------------------------------------------------------------------------------------- */

static struct err *directory_has(struct destination *destination, const struct descriptor *b,
				 const struct source *from, bool *ret)
{
	struct directory *d = (struct directory *)destination;
	struct stat st;

	*ret = fstatat(d->fd, digest_hex(&b->digest), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size == b->size;
	return NULL;
}

static struct err *directory_put(struct destination *destination, const struct descriptor *b,
				 struct spool *data, const struct progress *progress)
{
	struct directory *d = (struct directory *)destination;

	TRY_WRAP(spool_place(data, d->fd, digest_hex(&b->digest), false), "%s", destination->at->path);
	return NULL;
}

static struct err *directory_put_manifest(struct destination *destination, const struct raw_manifest *m,
					  bool instance, const struct reference *tag)
{
	struct directory *d = (struct directory *)destination;

	if (instance) {
		_cleanup_free_ char *name = xasprintf("%s.manifest.json", digest_hex(&m->digest));
		return file_replace_at(d->fd, name, m->data, m->size, 0644, FILE_DURABLE);
	}
	raw_manifest_release(&d->top);
	return raw_manifest_fill(xmemdup(m->data, m->size), m->size, m->media_type, &m->digest, &d->top);
}

static struct err *directory_commit(struct destination *destination)
{
	struct directory *d = (struct directory *)destination;

	return file_replace_at(d->fd, "manifest.json", d->top.data, d->top.size, 0644, FILE_DURABLE);
}

static void directory_destination_close(struct destination *destination)
{
	free(destination->spool_dir);
	directory_free((struct directory *)destination);
}

static const struct destination_ops directory_destination_ops = {
	directory_has, directory_put, directory_put_manifest, directory_commit, directory_destination_close};

/* What an earlier copy left goes: skopeo does the same, and the directory would hold two images' files. */
static struct err *empty(int fd, const char *path)
{
	_cleanup_free_ char *version = NULL;
	size_t size, others = 0;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir)
		return err_errno(errno, "cannot read directory %s", path);
	for (struct dirent *e; (e = readdir(dir));)
		others += !str_eq(e->d_name, ".") && !str_eq(e->d_name, "..");
	struct err *failed = others ? file_read_at(fd, "version", 4096, &version, &size) : NULL;
	if (failed || (others && !str_starts(version, "Directory Transport Version: "))) {
		closedir(dir);
		err_free(failed);
		return err_new(ERR_EXISTS, "%s is not empty and no image that was copied to a dir: before",
			       path);
	}
	unlinkat(fd, "manifest.json", 0);
	rewinddir(dir);
	for (struct dirent *e; (e = readdir(dir));)
		if (e->d_type == DT_REG && !str_eq(e->d_name, "version"))
			unlinkat(fd, e->d_name, 0);
	closedir(dir);
	return NULL;
}

struct err *directory_destination_open(const struct location *at, const struct transport_options *o,
				       struct destination **ret)
{
	TRY(file_mkdir_p(at->path, 0755));
	_cleanup_fd_ int fd = open(at->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open directory %s", at->path);
	TRY(empty(fd, at->path));
	TRY(file_replace_at(fd, "version", VERSION, strlen(VERSION), 0644, FILE_VOLATILE));
	struct directory *d = xnew(struct directory);
	*d = (struct directory){.destination = {.ops = &directory_destination_ops,
						.at = at,
						.takes_oci = true,
						.takes_docker = true,
						.takes_index = true,
						.compression = WANT_AS_IT_IS,
						.spool_dir = xstrdup(at->path)},
				.fd = TAKE_FD(fd)};
	*ret = &d->destination;
	return NULL;
}
