/* SPDX-License-Identifier: Apache-2.0 */
/* Tar, both ways. The reader pulls bytes from a source and never touches a file: it is tested and fuzzed from memory, and what
 * sits above it (layers, archives) decides what a name means.
 *
 * Formats read: v7, ustar (POSIX.1-1988), pax (POSIX.1-2001; global and per-file records), GNU (long names, base-256 numbers, sparse
 * files in the old form and as pax 0.0, 0.1, 1.0), star's xattrs and libarchive's. Where writers are ambiguous the
 * reading of Go's archive/tar is followed, because that is what made and what unpacks container layers elsewhere: links and
 * directories carry no data whatever their size says, a GNU long name beats a pax path.
 *
 * Written: ustar, with pax records only where ustar has no room; the same entries always give the same bytes.
 *
 * Every size that comes from the archive is capped (TAR_*_MAX): ERR_LIMIT. What breaks the format is ERR_CORRUPT with the offset.
 */
#ifndef IMAGES_TAR_H
#define IMAGES_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define TAR_BLOCK 512
#define TAR_META_MAX (1u << 20)     /* one pax header, one long name */
#define TAR_PATH_MAX (64u << 10)    /* one path, one link target */
#define TAR_XATTRS_MAX 512          /* of one entry */
#define TAR_SPARSE_MAX (256u << 10) /* extents of one file */
#define TAR_SIZE_MAX ((uint64_t)1 << 60)

/* -- where the bytes come from ------------------------------------------------------------------------------- */

struct byte_source {
	/* The next bytes: borrowed until the next call, as many as are at hand; *ret_size 0 is the end, again and again. */
	struct err *(*next)(struct byte_source *s, const uint8_t **ret_data, size_t *ret_size);
	/* Passes over n bytes without showing them; NULL: the reader reads and forgets them. Ending early is found by `next`. */
	struct err *(*skip)(struct byte_source *s, uint64_t n);
};

/* A buffer as a source; `step` limits what one call hands out (0: everything), for tests. */
struct memory_source {
	struct byte_source source;
	const uint8_t *data;
	size_t size, step;
};
void memory_source_init(struct memory_source *m, const void *data, size_t size, size_t step);

/* A file (borrowed) from `from` to its end; passing over data costs nothing. */
#define FILE_SOURCE_BUFFER ((size_t)64 << 10)
struct file_source {
	struct byte_source source;
	int fd;
	off_t at, end;
	uint8_t buffer[FILE_SOURCE_BUFFER];
};
_must_check_ struct err *file_source_init(struct file_source *f, int fd, off_t from);

/* -- entries -------------------------------------------------------------------------------------------------- */

enum tar_type { TAR_FILE, TAR_HARDLINK, TAR_SYMLINK, TAR_CHAR, TAR_BLOCK_DEVICE, TAR_DIRECTORY, TAR_FIFO };

struct tar_xattr {
	const char *name;
	const void *value;
	size_t size;
};

struct tar_extent {
	uint64_t offset, size; /* data; what lies between extents reads as zeros */
};

struct tar_entry {
	enum tar_type type;
	const char *path; /* as written in the archive: may be absolute, may contain ".." */
	const char *link; /* target of hard and symbolic links, else "" */
	uint32_t mode;    /* 07777 */
	uint32_t uid, gid;
	uint64_t size; /* of the file as it will be read, holes included; 0 unless TAR_FILE */
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t dev_major, dev_minor;
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
	bool sparse; /* extents are meaningful */
	const struct tar_extent *extents;
	size_t n_extents;
	uint64_t data_offset; /* where the file's stored bytes begin in the stream */
};

/* -- reading -------------------------------------------------------------------------------------------------- */

struct tar_reader;
/* `source` is borrowed, `what` names the archive in errors and is copied. */
struct tar_reader *tar_reader_new(struct byte_source *source, const char *what);
void tar_reader_free(struct tar_reader *r);
DEFINE_CLEANUP(struct tar_reader *, tar_reader_free)
#define _cleanup_tar_reader_ _cleanup_(tar_reader_freep)

/* The next entry, valid until the next call; NULL at the end of the archive. Data that was not read is passed over. */
_must_check_ struct err *tar_reader_next(struct tar_reader *r, const struct tar_entry **ret);
/* The next stored bytes of the entry and where in the file they belong; *ret_size 0: no more. */
_must_check_ struct err *tar_reader_data(struct tar_reader *r, const uint8_t **ret_data, size_t *ret_size,
					 uint64_t *ret_offset);
/* Reads the source to its end: what follows the archive's end belongs to the layer's digest all the same. */
_must_check_ struct err *tar_reader_drain(struct tar_reader *r);

/* -- writing -------------------------------------------------------------------------------------------------- */

struct byte_sink {
	struct err *(*write)(struct byte_sink *s, const void *data, size_t size);
};
/* To a file descriptor (borrowed), through a buffer; fd_sink_flush before looking at the file. */
struct fd_sink {
	struct byte_sink sink;
	int fd;
	const char *what; /* borrowed */
	uint8_t *buffer;
	size_t used;
	uint64_t written;
};
void fd_sink_init(struct fd_sink *s, int fd, const char *what);
_must_check_ struct err *fd_sink_flush(struct fd_sink *s);
void fd_sink_release(struct fd_sink *s);

struct tar_writer {
	struct byte_sink *sink; /* borrowed */
	uint64_t left;          /* bytes of the entry still to come */
	uint64_t size;          /* of the entry, for the padding */
};
/* One entry. Exactly entry->size bytes of data must follow for a file. Sparse maps are not written: holes are zeros. xattrs are
 * written in the order given. mtime_ns is written when it is not 0. */
_must_check_ struct err *tar_writer_entry(struct tar_writer *w, const struct tar_entry *entry);
_must_check_ struct err *tar_writer_data(struct tar_writer *w, const void *data, size_t size);
/* A whole small file: mode 0644, root's, at the epoch. */
_must_check_ struct err *tar_writer_file(struct tar_writer *w, const char *path, const void *data,
					 size_t size);
_must_check_ struct err *tar_writer_end(struct tar_writer *w); /* two zero blocks */

/* A directory tree as a tar: "./" first unless omit_root, then entries sorted bytewise by name, depth first; a file with several names is a
 * hard link at its second one; xattrs sorted; times in whole seconds, clamped to clamp_s unless it is INT64_MAX; sockets are left out.
 * With `overlay`, whiteouts and opaque directories of an overlay upper become .wh. entries, and overlay's own xattrs are left out;
 * userxattr: they are in the user namespace. `skip`: paths like "etc/hosts" that are left out with what is below. */
struct tar_tree_options {
	int64_t clamp_s;
	bool overlay, userxattr, omit_root;
	/* Somebody lives in the tree: of the kernel's own file systems directories are shown empty and files left out. */
	bool living;
	char *const *skip; /* may be NULL */
};
_must_check_ struct err *tar_writer_tree(struct tar_writer *w, int dirfd, const struct tar_tree_options *o);
/* One thing (an O_PATH fd) under the name `path`, with what is below it. opaque: what lower layers have below the directory is hidden. */
_must_check_ struct err *tar_writer_path(struct tar_writer *w, int fd, const char *path, bool opaque,
					 const struct tar_tree_options *o);

#endif
