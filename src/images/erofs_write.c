/* SPDX-License-Identifier: Apache-2.0 */
/* Layout of the image, in blocks of 512 bytes:
 *
 *   1024  super block and device slots
 *         data: blocks of directories, long symlink targets, contents of sparse files
 *         metadata: inodes with their xattrs, chunk indexes, and the inline ends of directories and symlinks
 *
 * Two passes over the inodes in one order (the root first: its number has 16 bits): the first gives every inode its place, the second
 * writes. Both must agree on every size, so each size is computed in one function. A file's contents are one chunk of its layer's tar,
 * however large; a sparse file's are copied here in chunks, holes being no chunk.
 */
#include <endian.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "erofs.h"
#include "erofs_format.h"
#include "layer_apply.h"

#define DEVICE_SLOT 9u /* the first: 9 * 128 = 1152 is behind the super block */
#define FIRST_NID 2u   /* 0 would be an inode number that readdir passes over */
#define SPARSE_CHUNK 4096u
#define SPARSE_CHUNKS_MAX (4u << 20)

struct writer {
	const struct erofs_device *devices;
	uint32_t n_devices;
	struct tree_inode **inodes;
	size_t n, cap;
	uint64_t next_block; /* of the data area */
	uint64_t meta_size;  /* bytes of the metadata area so far */
	uint64_t meta_block;
	struct fd_sink out;
	struct tree_entry **sorted; /* scratch for one directory */
	size_t cap_sorted;
};

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* -- xattrs --------------------------------------------------------------------------------------------------- */

static const struct {
	const char *prefix;
	uint8_t index;
} xattr_prefixes[] = {
	{"user.", 1},     {"system.posix_acl_access", 2}, {"system.posix_acl_default", 3}, {"trusted.", 4},
	{"security.", 6},
};

/* The part of the name behind the prefix; NULL: there is no place for it. */
static const char *xattr_suffix(const struct tree_xattr *x, uint8_t *ret_index)
{
	for (size_t i = 0; i < ARRAY_SIZE(xattr_prefixes); i++) {
		if (!str_starts(x->name, xattr_prefixes[i].prefix))
			continue;
		const char *rest = x->name + strlen(xattr_prefixes[i].prefix);
		*ret_index = xattr_prefixes[i].index;
		return strlen(rest) <= UINT8_MAX && x->size <= UINT16_MAX ? rest : NULL;
	}
	return NULL;
}

static size_t xattr_size(const struct tree_xattr *x)
{
	uint8_t index;
	const char *suffix = xattr_suffix(x, &index);

	return suffix ? round_up(sizeof(struct erofs_xattr_entry) + strlen(suffix) + x->size, 4) : 0;
}

/* A file's xattrs, the header included; 0: none. */
static size_t xattrs_size(const struct tree_inode *i)
{
	size_t size = 0;

	for (const struct tree_xattr *x = i->xattrs; x; x = x->next)
		size += xattr_size(x);
	return size ? sizeof(struct erofs_xattr_header) + size : 0;
}

static void append_xattrs(struct strbuf *b, const struct tree_inode *i)
{
	struct erofs_xattr_header header = {0};

	if (!xattrs_size(i))
		return;
	strbuf_append(b, &header, sizeof(header));
	for (const struct tree_xattr *x = i->xattrs; x; x = x->next) {
		uint8_t index;
		const char *suffix = xattr_suffix(x, &index);
		if (!suffix)
			continue;
		struct erofs_xattr_entry e = {.name_len = (uint8_t)strlen(suffix),
					      .name_index = index,
					      .value_size = htole16((uint16_t)x->size)};
		strbuf_append(b, &e, sizeof(e));
		strbuf_puts(b, suffix);
		strbuf_append(b, x->value, x->size);
		strbuf_append(b, "\0\0\0", xattr_size(x) - sizeof(e) - strlen(suffix) - x->size);
	}
}

/* -- directories ---------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct tree_entry *x = *(struct tree_entry *const *)a, *y = *(struct tree_entry *const *)b;
	int r = memcmp(x->name, y->name, MIN(x->name_len, y->name_len));

	return r ? r : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

/* The entries with "." and "..", sorted by bytes. `dots` is room for these two; the result is good until the next call. */
static size_t sort_directory(struct writer *w, struct tree_inode *dir, struct tree_entry dots[2],
			     struct tree_entry ***ret)
{
	size_t n = 0;

	if (w->cap_sorted < dir->dir.n + 2) {
		w->cap_sorted = (dir->dir.n + 2) * 2;
		w->sorted = xrealloc(w->sorted, w->cap_sorted, sizeof(*w->sorted));
	}
	dots[0] = (struct tree_entry){.name = ".", .name_len = 1, .inode = dir};
	dots[1] = (struct tree_entry){.name = "..", .name_len = 2, .inode = dir->dir.parent};
	w->sorted[n++] = &dots[0];
	w->sorted[n++] = &dots[1];
	for (struct tree_entry *e = dir->dir.first; e; e = e->next)
		w->sorted[n++] = e;
	qsort(w->sorted, n, sizeof(struct tree_entry *), by_name);
	*ret = w->sorted;
	return n;
}

/* How many of the entries from v[0] on go into one block, and how many bytes of it they take. */
static size_t fill_block(struct tree_entry *const *v, size_t n, size_t *ret_bytes)
{
	size_t i = 0, bytes = 0;

	while (i < n && bytes + sizeof(struct erofs_dirent) + v[i]->name_len <= EROFS_BLOCK)
		bytes += sizeof(struct erofs_dirent) + v[i++]->name_len;
	*ret_bytes = bytes;
	return i;
}

static uint8_t file_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 1;
	case S_IFDIR:
		return 2;
	case S_IFCHR:
		return 3;
	case S_IFBLK:
		return 4;
	case S_IFIFO:
		return 5;
	default:
		return 7; /* symbolic link */
	}
}

static void format_block(struct tree_entry *const *v, size_t n, uint8_t block[EROFS_BLOCK])
{
	size_t name = n * sizeof(struct erofs_dirent);

	memset(block, 0, EROFS_BLOCK);
	for (size_t i = 0; i < n; i++) {
		struct erofs_dirent d = {.nid = htole64(v[i]->inode->nid),
					 .name_offset = htole16((uint16_t)name),
					 .type = file_type(v[i]->inode->mode)};
		memcpy(block + i * sizeof(d), &d, sizeof(d));
		memcpy(block + name, v[i]->name, v[i]->name_len);
		name += v[i]->name_len;
	}
}

/* -- the first pass: places ------------------------------------------------------------------------------------- */

static void add_inode(struct writer *w, struct tree_inode *i)
{
	GROW(w->inodes, w->n, w->cap);
	w->inodes[w->n++] = i;
}

/* All inodes in an order that depends on the tree alone: breadth first, names sorted. */
static void collect(struct writer *w, struct tree_inode *root)
{
	root->nlink = 2;
	add_inode(w, root);
	for (size_t at = 0; at < w->n; at++) {
		struct tree_inode *dir = w->inodes[at];
		struct tree_entry dots[2], **v;
		if (!S_ISDIR(dir->mode))
			continue;
		size_t n = sort_directory(w, dir, dots, &v);
		for (size_t i = 0; i < n; i++) {
			struct tree_inode *child = v[i]->inode;
			if (v[i] == &dots[0] || v[i] == &dots[1])
				continue;
			if (S_ISDIR(child->mode)) {
				child->nlink = 2;
				dir->nlink++;
				add_inode(w, child);
			} else if (child->nlink++ == 0) {
				add_inode(w, child);
			}
		}
	}
}

/* Bytes in front of inline data or chunk indexes. */
static size_t header_size(const struct tree_inode *i)
{
	size_t size = sizeof(struct erofs_inode) + xattrs_size(i);

	return S_ISREG(i->mode) ? round_up(size, sizeof(struct erofs_chunk)) : size;
}

/* Whole blocks and the rest of what a directory or symlink says. The rest goes behind the inode where a block has room for both. */
static void place_flat(struct writer *w, struct tree_inode *i, uint64_t size)
{
	size_t header = header_size(i);

	i->n_blocks = size / EROFS_BLOCK;
	i->tail = (uint32_t)(size % EROFS_BLOCK);
	i->tail_inline = i->tail && header % EROFS_BLOCK + i->tail <= EROFS_BLOCK;
	if (i->tail && !i->tail_inline)
		i->n_blocks++;
	i->data_block = i->n_blocks ? w->next_block : 0;
	w->next_block += i->n_blocks;
}

static uint64_t directory_size(struct writer *w, struct tree_inode *dir)
{
	struct tree_entry dots[2], **v;
	size_t n = sort_directory(w, dir, dots, &v), at = 0, bytes = 0;
	uint64_t blocks = 0;

	for (; at < n; blocks++)
		at += fill_block(v + at, n - at, &bytes);
	return (blocks - 1) * EROFS_BLOCK + bytes;
}

static uint64_t n_chunks(const struct tree_inode *i)
{
	uint64_t chunk = (uint64_t)EROFS_BLOCK << i->chunk_bits;

	return i->file.size / chunk + (i->file.size % chunk != 0);
}

static bool chunk_has_data(const struct tree_inode *i, uint64_t chunk, size_t *at)
{
	uint64_t size = (uint64_t)EROFS_BLOCK << i->chunk_bits, begin = chunk * size, end = begin + size;

	/* Extents are in order: what ends before this chunk is of no use to a later one either. */
	while (*at < i->file.n_extents && i->file.extents[*at].offset + i->file.extents[*at].size <= begin)
		(*at)++;
	return *at < i->file.n_extents && i->file.extents[*at].size && i->file.extents[*at].offset < end;
}

static struct err *place_file(struct writer *w, struct tree_inode *i)
{
	uint64_t size = i->file.size;

	if (i->file.layer >= w->n_devices)
		return err_new(ERR_INTERNAL, "a file of layer %u, but there are %u", i->file.layer,
			       w->n_devices);
	if (!i->file.extents) {
		while (((uint64_t)EROFS_BLOCK << i->chunk_bits) < size)
			i->chunk_bits++;
		return NULL;
	}
	uint64_t chunk = SPARSE_CHUNK;
	while (size / chunk > SPARSE_CHUNKS_MAX)
		chunk *= 2;
	while (((uint64_t)EROFS_BLOCK << i->chunk_bits) < chunk)
		i->chunk_bits++;
	i->data_block = w->next_block;
	size_t at = 0;
	for (uint64_t c = 0; c < n_chunks(i); c++)
		if (chunk_has_data(i, c, &at))
			i->n_blocks += chunk / EROFS_BLOCK;
	w->next_block += i->n_blocks;
	if (i->n_blocks > LAYER_BYTES_MAX / EROFS_BLOCK)
		return err_new(ERR_LIMIT, "a sparse file has too much data");
	return NULL;
}

static struct err *place(struct writer *w, struct tree_inode *i)
{
	if (S_ISDIR(i->mode))
		place_flat(w, i, directory_size(w, i));
	else if (S_ISLNK(i->mode))
		place_flat(w, i, strlen(i->symlink.target));
	else if (S_ISREG(i->mode))
		TRY(place_file(w, i));
	size_t header = header_size(i);
	uint64_t size = header;
	if (i->tail_inline)
		size += i->tail;
	if (S_ISREG(i->mode))
		size += n_chunks(i) * sizeof(struct erofs_chunk);
	uint64_t at = round_up(w->meta_size, EROFS_SLOT);
	/* The inode itself, and inline data, must not cross a block's end. */
	uint64_t inline_at = at + header;
	if (at % EROFS_BLOCK + sizeof(struct erofs_inode) > EROFS_BLOCK ||
	    (i->tail_inline && inline_at % EROFS_BLOCK + i->tail > EROFS_BLOCK))
		at = round_up(at, EROFS_BLOCK);
	i->nid = at / EROFS_SLOT;
	w->meta_size = at + size;
	return NULL;
}

static struct err *place_all(struct writer *w)
{
	w->next_block =
		round_up((DEVICE_SLOT + w->n_devices) * sizeof(struct erofs_device_slot), EROFS_BLOCK) /
		EROFS_BLOCK;
	w->meta_size = (uint64_t)FIRST_NID * EROFS_SLOT;
	for (size_t i = 0; i < w->n; i++)
		TRY(place(w, w->inodes[i]));
	w->meta_block = w->next_block;
	if (w->meta_block + w->meta_size / EROFS_BLOCK + 1 >= UINT32_MAX)
		return err_new(ERR_LIMIT, "the image has too much data for an EROFS index");
	return NULL;
}

/* -- the second pass: bytes -------------------------------------------------------------------------------------- */

static struct err *put(struct writer *w, const void *data, size_t size)
{
	return w->out.sink.write(&w->out.sink, data, size);
}

static struct err *put_zeros(struct writer *w, uint64_t n)
{
	static const uint8_t zeros[EROFS_BLOCK];

	for (; n > 0; n -= MIN(n, (uint64_t)EROFS_BLOCK))
		TRY(put(w, zeros, MIN(n, (uint64_t)EROFS_BLOCK)));
	return NULL;
}

/* Blocks first..last-1 of a directory; the last one may be its tail. */
static struct err *put_directory(struct writer *w, struct tree_inode *dir, uint64_t first, uint64_t last,
				 size_t last_size)
{
	struct tree_entry dots[2], **v;
	size_t n = sort_directory(w, dir, dots, &v), at = 0;
	uint8_t block[EROFS_BLOCK];

	for (uint64_t b = 0; b < last; b++) {
		size_t bytes, count = fill_block(v + at, n - at, &bytes);
		format_block(v + at, count, block);
		if (b >= first)
			TRY(put(w, block, b == last - 1 ? last_size : EROFS_BLOCK));
		at += count;
	}
	return NULL;
}

static struct err *put_sparse(struct writer *w, const struct tree_inode *i)
{
	uint64_t size = (uint64_t)EROFS_BLOCK << i->chunk_bits, skipped = 0;
	int fd = w->devices[i->file.layer].fd;
	_cleanup_free_ uint8_t *buffer = xmalloc(size);
	size_t at = 0, counted = 0;

	for (uint64_t c = 0; c < n_chunks(i); c++) {
		uint64_t begin = c * size;
		if (!chunk_has_data(i, c, &at))
			continue;
		for (; counted < at; counted++)
			skipped += i->file.extents[counted].size; /* stored bytes in front of this extent's */
		memset(buffer, 0, size);
		uint64_t stored = i->file.offset + skipped;
		for (size_t x = at; x < i->file.n_extents && i->file.extents[x].offset < begin + size; x++) {
			const struct tar_extent *e = &i->file.extents[x];
			uint64_t from = MAX(e->offset, begin), to = MIN(e->offset + e->size, begin + size);
			size_t got = 0;
			if (from < to)
				TRY(fd_pread_full(fd, buffer + (from - begin), to - from,
						  (off_t)(stored + (from - e->offset)), "the layer", &got));
			if (from < to && got < to - from)
				return err_new(ERR_CORRUPT,
					       "the layer's tar is shorter than its headers say");
			stored += e->size;
		}
		TRY(put(w, buffer, size));
	}
	return NULL;
}

static struct err *put_data(struct writer *w, struct tree_inode *i)
{
	if (!i->n_blocks)
		return NULL;
	if (S_ISREG(i->mode))
		return put_sparse(w, i);
	if (S_ISDIR(i->mode))
		return put_directory(w, i, 0, i->n_blocks, EROFS_BLOCK);
	size_t len = strlen(i->symlink.target), size = MIN(len, i->n_blocks * EROFS_BLOCK);
	TRY(put(w, i->symlink.target, size));
	return put_zeros(w, i->n_blocks * EROFS_BLOCK - size);
}

static struct err *put_chunks(struct writer *w, const struct tree_inode *i)
{
	uint64_t block = i->data_block;
	size_t at = 0;

	for (uint64_t c = 0; c < n_chunks(i); c++) {
		struct erofs_chunk x = {.block = htole32(EROFS_HOLE), .block_high = 0};
		if (!i->file.extents) {
			x.device = htole16((uint16_t)(i->file.layer + 1));
			x.block = htole32((uint32_t)(i->file.offset / EROFS_BLOCK));
		} else if (chunk_has_data(i, c, &at)) {
			x.block = htole32((uint32_t)block);
			block += 1u << i->chunk_bits;
		} else {
			x.block_high =
				0xffff; /* a hole has all its bits set, for kernels with 48-bit addresses */
		}
		TRY(put(w, &x, sizeof(x)));
	}
	return NULL;
}

/* As the kernel's new_encode_dev. */
static uint32_t encode_device(const struct tree_inode *i)
{
	return (i->device.minor & 0xff) | i->device.major << 8 | (i->device.minor & ~0xffu) << 12;
}

static struct err *put_inode(struct writer *w, struct tree_inode *i, uint32_t number)
{
	enum erofs_layout layout = i->tail_inline ? EROFS_FLAT_INLINE : EROFS_FLAT_PLAIN;
	size_t xattrs = xattrs_size(i);
	uint64_t size = 0;
	uint32_t u = (uint32_t)i->data_block;

	if (S_ISREG(i->mode) && i->file.size) {
		layout = EROFS_CHUNKS;
		size = i->file.size;
		u = i->chunk_bits | EROFS_CHUNK_INDEXES;
	} else if (S_ISDIR(i->mode) || S_ISLNK(i->mode)) {
		uint64_t whole = i->n_blocks - (i->tail && !i->tail_inline);
		size = whole * EROFS_BLOCK + i->tail;
	} else if (S_ISCHR(i->mode) || S_ISBLK(i->mode)) {
		u = encode_device(i);
	}
	struct erofs_inode inode = {
		.format = htole16((uint16_t)(EROFS_INODE_EXTENDED | layout << 1)),
		.xattr_icount = htole16(
			(uint16_t)(xattrs ? (xattrs - sizeof(struct erofs_xattr_header)) / 4 + 1 : 0)),
		.mode = htole16((uint16_t)i->mode),
		.size = htole64(size),
		.u = htole32(u),
		.ino = htole32(number),
		.uid = htole32(i->uid),
		.gid = htole32(i->gid),
		.mtime = htole64((uint64_t)i->mtime_s),
		.mtime_ns = htole32(i->mtime_ns),
		.nlink = htole32(i->nlink),
	};
	_cleanup_strbuf_ struct strbuf b = {0};
	strbuf_append(&b, &inode, sizeof(inode));
	append_xattrs(&b, i);
	TRY(put(w, b.data, b.len));
	if (layout == EROFS_CHUNKS) {
		TRY(put_zeros(w, header_size(i) - b.len));
		return put_chunks(w, i);
	}
	if (!i->tail_inline)
		return S_ISREG(i->mode) ? put_zeros(w, header_size(i) - b.len) : NULL;
	if (S_ISLNK(i->mode))
		return put(w, i->symlink.target + i->n_blocks * EROFS_BLOCK, i->tail);
	return put_directory(w, i, i->n_blocks, i->n_blocks + 1, i->tail);
}

static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static struct err *put_super(struct writer *w, const struct digest *identity)
{
	uint64_t blocks = w->meta_block + w->meta_size / EROFS_BLOCK + (w->meta_size % EROFS_BLOCK != 0);
	struct erofs_super super = {
		.magic = htole32(EROFS_MAGIC),
		.compat = htole32(EROFS_COMPAT_SB_CHKSUM | EROFS_COMPAT_MTIME),
		.block_bits = EROFS_BLOCK_BITS,
		.root_nid = htole16((uint16_t)w->inodes[0]->nid),
		.inodes = htole64(w->n),
		.blocks = htole32((uint32_t)blocks),
		.meta_block = htole32((uint32_t)w->meta_block),
		.incompat = htole32(EROFS_INCOMPAT_CHUNKED_FILE |
				    (w->n_devices ? EROFS_INCOMPAT_DEVICE_TABLE : 0)),
		.extra_devices = htole16((uint16_t)w->n_devices),
		.device_slot_offset = htole16(DEVICE_SLOT),
	};
	const char *hex = digest_hex(identity);
	for (size_t i = 0; i < 2 * sizeof(super.uuid) && hex[i]; i++) {
		unsigned digit = (unsigned)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
		super.uuid[i / 2] = (uint8_t)(super.uuid[i / 2] << 4 | digit);
	}
	_cleanup_strbuf_ struct strbuf b = {0};
	strbuf_append(&b, &super, sizeof(super));
	for (uint32_t i = 0; i < w->n_devices; i++) {
		struct erofs_device_slot slot = {
			.blocks =
				htole32((uint32_t)(round_up(w->devices[i].size, EROFS_BLOCK) / EROFS_BLOCK))};
		snprintf((char *)slot.tag, sizeof(slot.tag), "layer%u", i);
		strbuf_append(&b, &slot, sizeof(slot));
	}
	while (b.len % EROFS_BLOCK)
		strbuf_putc(&b, '\0');
	/* Over the super block's own block. */
	uint32_t sum = htole32(crc32c(UINT32_MAX, (uint8_t *)b.data, EROFS_BLOCK));
	memcpy(b.data + offsetof(struct erofs_super, checksum), &sum, sizeof(sum));
	TRY(put_zeros(w, EROFS_SUPER_OFFSET));
	return put(w, b.data, b.len);
}

static struct err *put_all(struct writer *w, const struct digest *identity)
{
	TRY(put_super(w, identity));
	for (size_t i = 0; i < w->n; i++) {
		struct tree_inode *x = w->inodes[i];
		if (x->n_blocks && w->out.written != x->data_block * EROFS_BLOCK)
			return err_new(ERR_INTERNAL, "the data area of the EROFS index is out of step");
		TRY(put_data(w, x));
	}
	uint64_t base = w->meta_block * EROFS_BLOCK;
	for (size_t i = 0; i < w->n; i++) {
		uint64_t at = base + w->inodes[i]->nid * EROFS_SLOT;
		if (w->out.written > at)
			return err_new(ERR_INTERNAL, "the metadata area of the EROFS index is out of step");
		TRY(put_zeros(w, at - w->out.written));
		TRY(put_inode(w, w->inodes[i], (uint32_t)i + 1));
	}
	TRY(put_zeros(w, round_up(w->out.written, EROFS_BLOCK) - w->out.written));
	return fd_sink_flush(&w->out);
}

struct err *erofs_write(struct layer_tree *t, const struct erofs_device *devices,
			const struct digest *identity, int fd, uint64_t *ret_size)
{
	struct writer w = {.devices = devices, .n_devices = layer_tree_n_layers(t)};

	if (w.n_devices > EROFS_DEVICES_MAX)
		return err_new(ERR_LIMIT, "the image has %u layers, an EROFS index takes %d", w.n_devices,
			       EROFS_DEVICES_MAX);
	fd_sink_init(&w.out, fd, "the EROFS index");
	collect(&w, layer_tree_root(t));
	struct err *e = place_all(&w);
	if (!e)
		e = put_all(&w, identity);
	if (!e)
		*ret_size = w.out.written;
	fd_sink_release(&w.out);
	free(w.sorted);
	free(w.inodes);
	return e;
}
