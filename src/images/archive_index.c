/* SPDX-License-Identifier: Apache-2.0 */
#include "archive_index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "decompress.h"
#include "spool.h"
#include "tar.h"
#include "transport.h"

#define COPY_SIZE ((size_t)1 << 20)
#define LINKS_MAX 16

struct member {
	char *name;      /* clean: no ".", "..", empty components */
	char *link;      /* clean name of what it links to; NULL: a file */
	bool unreadable; /* sparse: its bytes are not in one piece */
	uint64_t offset, size;
};

struct archive {
	int fd; /* plain tar */
	bool owned;
	uint64_t base;          /* where the tar begins in fd */
	struct member *members; /* sorted by name; of equal names the last in the archive only */
	size_t n, cap;
};

/* Adds the components of `path` to `out`, resolving "." and "..". */
static void add_components(struct strbuf *out, const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			const char *slash = out->len ? memrchr(out->data, '/', out->len) : NULL;
			out->len = slash ? (size_t)(slash - out->data) : 0;
			if (out->data)
				out->data[out->len] = '\0';
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			if (out->len)
				strbuf_putc(out, '/');
			strbuf_append(out, path, n);
		}
		path += n;
		path += *path == '/';
	}
}

static char *clean_name(const char *base, const char *path)
{
	struct strbuf out = {0};

	if (path[0] != '/')
		add_components(&out, base);
	add_components(&out, path);
	return strbuf_take(&out);
}

/* -- the names -------------------------------------------------------------------------------------------------- */

static void add_member(struct archive *a, const struct tar_entry *e)
{
	struct member m = {.name = clean_name("", e->path),
			   .offset = e->data_offset,
			   .size = e->size,
			   .unreadable = e->sparse};

	if (e->type == TAR_SYMLINK) {
		const char *slash = strrchr(m.name, '/');
		_cleanup_free_ char *parent = xstrndup(m.name, slash ? (size_t)(slash - m.name) : 0);
		m.link = clean_name(parent, e->link);
	} else if (e->type == TAR_HARDLINK) {
		m.link = clean_name("", e->link);
	}
	GROW(a->members, a->n, a->cap);
	a->members[a->n++] = m;
}

static int compare_members(const void *x, const void *y)
{
	const struct member *a = x, *b = y;
	int order = strcmp(a->name, b->name);

	/* Later in the archive, later here. */
	return order ? order : a->offset < b->offset ? -1 : a->offset > b->offset;
}

static void drop_duplicates(struct archive *a)
{
	size_t kept = 0;

	if (a->n)
		qsort(a->members, a->n, sizeof(*a->members), compare_members);
	for (size_t i = 0; i < a->n; i++) {
		if (i + 1 < a->n && str_eq(a->members[i].name, a->members[i + 1].name)) {
			free(a->members[i].name);
			free(a->members[i].link);
		} else {
			a->members[kept++] = a->members[i];
		}
	}
	a->n = kept;
}

static struct err *read_names(struct archive *a)
{
	_cleanup_free_ struct file_source *source = xnew(struct file_source);
	uint64_t entries = 0, name_bytes = 0;

	TRY(file_source_init(source, a->fd, (off_t)a->base));
	_cleanup_tar_reader_ struct tar_reader *tar = tar_reader_new(&source->source, "the archive");
	while (true) {
		const struct tar_entry *e;
		TRY(tar_reader_next(tar, &e));
		if (!e)
			break;
		name_bytes += strlen(e->path) + strlen(e->link);
		if (++entries > ARCHIVE_ENTRIES_MAX || name_bytes > (uint64_t)64 << 20)
			return err_new(ERR_LIMIT,
				       "the archive has more than %d entries: it is not an image archive "
				       "(to make an image of a root file system, use import)",
				       ARCHIVE_ENTRIES_MAX);
		if (e->type == TAR_FILE || e->type == TAR_SYMLINK || e->type == TAR_HARDLINK)
			add_member(a, e);
	}
	drop_duplicates(a);
	return NULL;
}

/* -- opening ---------------------------------------------------------------------------------------------------- */

static struct err *check_cancelled(const struct progress *p)
{
	return p && p->cancelled && p->cancelled(p->user) ? err_new(ERR_CANCELLED, "interrupted") : NULL;
}

/* A nameless file: killed or not, nothing stays. */
static struct err *spool(struct store *s, struct decompress *in, const struct progress *progress, int *ret_fd)
{
	_cleanup_free_ char *dir = s ? xasprintf("%s/ingest", s->root) : transport_temporary_dir();
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);
	_cleanup_fd_ int fd = -1;
	uint64_t total = 0;
	size_t n;

	TRY(spool_nameless(dir, &fd));
	while (true) {
		TRY(check_cancelled(progress));
		TRY(decompress_read(in, buf, COPY_SIZE, &n));
		if (n == 0)
			break;
		total += n;
		if (total > ARCHIVE_BYTES_MAX)
			return err_new(ERR_LIMIT,
				       "the archive is larger than %" PRIu64 " bytes when decompressed",
				       ARCHIVE_BYTES_MAX);
		TRY(fd_write_full(fd, buf, n, "a temporary file"));
	}
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

static struct err *open_tar(struct store *s, int fd, const struct progress *progress, struct archive *a)
{
	_cleanup_decompress_ struct decompress *in = NULL;
	struct stat st;
	off_t at = lseek(fd, 0, SEEK_CUR);

	TRY(decompress_new(fd, "the archive", &in));
	if (at >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    decompress_format(in) == COMPRESSION_NONE) {
		a->fd = fd;
		a->base = (uint64_t)at;
		return NULL;
	}
	TRY(spool(s, in, progress, &a->fd));
	a->owned = true;
	return NULL;
}

struct err *archive_open(struct store *s, int fd, const struct progress *progress, struct archive **ret)
{
	_cleanup_archive_ struct archive *a = xnew(struct archive);

	a->fd = -1;
	TRY(open_tar(s, fd, progress, a));
	TRY(read_names(a));
	*ret = TAKE_PTR(a);
	return NULL;
}

void archive_close(struct archive *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n; i++) {
		free(a->members[i].name);
		free(a->members[i].link);
	}
	free(a->members);
	if (a->owned)
		fd_close(a->fd);
	free(a);
}

/* -- files ------------------------------------------------------------------------------------------------------ */

static const struct member *find_member(const struct archive *a, const char *clean)
{
	size_t low = 0, high = a->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(clean, a->members[middle].name);
		if (order == 0)
			return &a->members[middle];
		*(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
	}
	return NULL;
}

struct err *archive_find(const struct archive *a, const char *name, struct archive_file *ret)
{
	_cleanup_free_ char *clean = clean_name("", name);
	const struct member *m = find_member(a, clean);

	for (int i = 0; m && m->link; i++) {
		if (i == LINKS_MAX)
			return err_new(ERR_CORRUPT, "%.256s goes through too many links in the archive",
				       name);
		m = find_member(a, m->link);
	}
	if (!m)
		return err_new(ERR_NOT_FOUND, "the archive has no file %.256s", name);
	if (m->unreadable)
		return err_new(ERR_UNSUPPORTED, "%.256s is a sparse file in the archive", name);
	*ret = (struct archive_file){.fd = a->fd, .offset = a->base + m->offset, .size = m->size};
	return NULL;
}

bool archive_has(const struct archive *a, const char *name)
{
	struct archive_file file;
	struct err *e = archive_find(a, name, &file);

	err_free(e);
	return !e;
}

struct err *archive_read(const struct archive *a, const char *name, size_t max, char **ret_data,
			 size_t *ret_size)
{
	struct archive_file f;
	size_t n;

	TRY(archive_find(a, name, &f));
	if (f.size > max)
		return err_new(ERR_LIMIT, "%.256s in the archive is larger than %zu bytes", name, max);
	_cleanup_free_ char *data = xmalloc((size_t)f.size + 1);
	TRY(fd_pread_full(f.fd, data, (size_t)f.size, (off_t)f.offset, "the archive", &n));
	if (n != f.size)
		return err_new(ERR_CORRUPT, "the archive ends in the middle of %.256s", name);
	data[n] = '\0';
	*ret_data = TAKE_PTR(data);
	*ret_size = n;
	return NULL;
}

struct err *archive_store_blob(const struct archive *a, struct store *s, const struct archive_file *file,
			       const struct digest *expected, const struct progress *progress,
			       struct digest *ret_digest, int *ret_fd)
{
	_cleanup_blob_writer_ struct blob_writer *w = NULL;

	TRY(blob_writer_begin(s, expected, progress, &w));
	if (!w) { /* it is there */
		*ret_digest = *expected;
		return ret_fd ? store_blob_open(s, expected, ret_fd) : NULL;
	}
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);
	for (uint64_t at = blob_writer_offset(w); at < file->size;) {
		size_t n;
		TRY(check_cancelled(progress));
		TRY(fd_pread_full(file->fd, buf, (size_t)MIN((uint64_t)COPY_SIZE, file->size - at),
				  (off_t)(file->offset + at), "the archive", &n));
		if (n == 0)
			return err_new(ERR_CORRUPT, "the archive ends in the middle of a file");
		TRY(blob_writer_write(w, buf, n));
		at += n;
	}
	return blob_writer_commit(TAKE_PTR(w), file->size, ret_digest, ret_fd);
}

struct err *archive_spool_blob(struct store *s, int fd, const struct progress *progress,
			       struct digest *ret_digest, uint64_t *ret_size, int *ret_fd)
{
	_cleanup_blob_writer_ struct blob_writer *w = NULL;
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);
	uint64_t total = 0;
	size_t n;

	TRY(blob_writer_begin(s, NULL, progress, &w));
	while (true) {
		TRY(check_cancelled(progress));
		TRY(fd_read_full(fd, buf, COPY_SIZE, "the archive", &n));
		if (n == 0)
			break;
		total += n;
		if (total > ARCHIVE_BYTES_MAX)
			return err_new(ERR_LIMIT, "the archive is larger than %" PRIu64 " bytes",
				       ARCHIVE_BYTES_MAX);
		TRY(blob_writer_write(w, buf, n));
	}
	*ret_size = total;
	return blob_writer_commit(TAKE_PTR(w), total, ret_digest, ret_fd);
}
