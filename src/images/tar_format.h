/* SPDX-License-Identifier: Apache-2.0 */
/* Private to tar_*.c: the header block (POSIX.1-1988 ustar; GNU and star reuse its prefix field) and pax records. */
#ifndef IMAGES_TAR_FORMAT_H
#define IMAGES_TAR_FORMAT_H

#include "base/str.h"
#include "tar.h"

struct tar_header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
	char magic[8]; /* "ustar\0" "00", or GNU's "ustar  \0" */
	char uname[32], gname[32], dev_major[8], dev_minor[8];
	union {
		char prefix[155];
		struct {
			char atime[12], ctime[12], offset[12], longnames[4], unused;
			struct tar_gnu_extent {
				char offset[12], size[12];
			} sparse[4];
			char is_extended, real_size[12];
		} gnu;
		struct {
			char prefix[131], atime[12], ctime[12];
		} star;
	};
	char trailer[12]; /* star: "tar\0" in the last four */
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a tar header is one block");
_Static_assert(sizeof(struct tar_gnu_extent) == 24, "GNU sparse extents are two numbers of 12");

/* A numeric field: octal text, or base-256 when the first bit is set. Errors are ERR_CORRUPT naming `field`. */
_must_check_ struct err *tar_number(const char *p, size_t size, const char *field, int64_t *ret);

/* What extended headers say; a set member beats the header's. */
struct tar_pax {
	bool has_path, has_link, has_size, has_uid, has_gid, has_mtime, has_dev_major, has_dev_minor;
	struct strbuf path, link;
	int64_t size, uid, gid, mtime_s, dev_major, dev_minor;
	uint32_t mtime_ns;
	struct tar_xattr *xattrs; /* owned: name and value */
	bool *libarchive;         /* xattrs[i] came from LIBARCHIVE.xattr and gives way to SCHILY.xattr */
	size_t n_xattrs, cap_xattrs;

	/* GNU.sparse.* */
	bool has_sparse_size, has_sparse_name, has_sparse_map, has_sparse_version;
	int64_t sparse_major, sparse_minor, sparse_size;
	struct strbuf sparse_name;
	struct tar_extent *extents; /* versions 0.0 and 0.1 */
	size_t n_extents, cap_extents;
	bool half_extent; /* an offset without its numbytes */
};
void tar_pax_reset(struct tar_pax *p);
void tar_pax_release(struct tar_pax *p);
void tar_pax_drop_xattrs(struct tar_pax *p);
/* Adds the records of one extended header's data. */
_must_check_ struct err *tar_pax_parse(struct tar_pax *p, const char *data, size_t size);

#endif
