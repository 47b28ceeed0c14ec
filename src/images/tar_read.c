/* SPDX-License-Identifier: Apache-2.0 */
/* The tar reader. One entry is: any number of extended headers (pax x and g, GNU L and K), a header, for GNU's old sparse form
 * more map blocks, then the stored bytes padded to a block.
 *
 * Invariants
 *  R1 Nothing is believed before it is checked: checksum, numbers, record lengths, sparse maps (sorted, inside the file, and together
 *     exactly the stored bytes).
 *  R2 What is kept in memory is capped for each entry (tar.h); nothing grows with the archive.
 *  R3 `offset` is the number of bytes taken from the source; `stored` of them are the entry's data, `padding` follow.
 */
#include <inttypes.h>

#include "base/memory.h"
#include "tar_format.h"

struct tar_reader {
	struct byte_source *source;
	char *what;
	const uint8_t *chunk; /* borrowed from the source */
	size_t chunk_size;
	uint64_t offset, entry_offset;
	uint8_t block[TAR_BLOCK];

	uint64_t stored, padding; /* not read yet */
	size_t extent;            /* the one being read */
	uint64_t extent_done;
	bool ended;

	struct tar_pax global,
		local; /* `global`: without xattrs and sparse maps, which make no sense for all files */
	bool has_long_path, has_long_link;
	struct strbuf long_path, long_link;
	struct strbuf path, link, meta;
	struct tar_extent *extents;
	size_t n_extents, cap_extents;
	struct tar_entry entry;
};

struct tar_reader *tar_reader_new(struct byte_source *source, const char *what)
{
	struct tar_reader *r = xnew(struct tar_reader);

	r->source = source;
	r->what = xstrdup(what);
	return r;
}

void tar_reader_free(struct tar_reader *r)
{
	if (!r)
		return;
	tar_pax_release(&r->global);
	tar_pax_release(&r->local);
	strbuf_release(&r->long_path);
	strbuf_release(&r->long_link);
	strbuf_release(&r->path);
	strbuf_release(&r->link);
	strbuf_release(&r->meta);
	free(r->extents);
	free(r->what);
	free(r);
}

/* -- bytes ---------------------------------------------------------------------------------------------------- */

/* Some bytes in r->chunk, or the end: chunk_size 0. */
static struct err *fill(struct tar_reader *r)
{
	if (r->chunk_size == 0)
		TRY(r->source->next(r->source, &r->chunk, &r->chunk_size));
	return NULL;
}

static void consume(struct tar_reader *r, size_t n)
{
	r->chunk += n;
	r->chunk_size -= n;
	r->offset += n;
}

static struct err *truncated(const struct tar_reader *r)
{
	return err_new(ERR_CORRUPT, "%s ends in the middle of an entry, after %" PRIu64 " bytes", r->what,
		       r->offset);
}

/* One whole block; NULL at a clean end of the source. Valid until the next bytes are taken. */
static struct err *take_block(struct tar_reader *r, const uint8_t **ret)
{
	size_t have = 0;

	TRY(fill(r));
	if (r->chunk_size >= TAR_BLOCK) {
		*ret = r->chunk;
		consume(r, TAR_BLOCK);
		return NULL;
	}
	while (have < TAR_BLOCK) {
		TRY(fill(r));
		if (r->chunk_size == 0) {
			if (have)
				return truncated(r);
			*ret = NULL;
			return NULL;
		}
		size_t n = MIN(r->chunk_size, TAR_BLOCK - have);
		memcpy(r->block + have, r->chunk, n);
		have += n;
		consume(r, n);
	}
	*ret = r->block;
	return NULL;
}

static struct err *need_block(struct tar_reader *r, const uint8_t **ret)
{
	TRY(take_block(r, ret));
	return *ret ? NULL : truncated(r);
}

static struct err *pass_over(struct tar_reader *r, uint64_t n)
{
	while (n > 0) {
		if (r->chunk_size == 0 && r->source->skip) {
			TRY(r->source->skip(r->source, n));
			r->offset += n;
			return NULL;
		}
		TRY(fill(r));
		if (r->chunk_size == 0)
			return truncated(r);
		size_t step = (size_t)MIN((uint64_t)r->chunk_size, n);
		consume(r, step);
		n -= step;
	}
	return NULL;
}

/* The last entry's padding may be missing: umoci writes such layers, and Go's reader, which all other engines use, takes them. */
static struct err *pass_padding(struct tar_reader *r)
{
	while (r->padding > 0) {
		TRY(fill(r));
		if (r->chunk_size == 0)
			break;
		size_t step = (size_t)MIN((uint64_t)r->chunk_size, r->padding);
		consume(r, step);
		r->padding -= step;
	}
	return NULL;
}

static uint64_t padding_of(uint64_t size)
{
	return -size & (TAR_BLOCK - 1);
}

/* The data of an extended header into r->meta. */
static struct err *read_meta(struct tar_reader *r, int64_t size)
{
	if (size < 0 || size > TAR_META_MAX)
		return err_new(ERR_LIMIT,
			       "it has an extended header of %" PRId64 " bytes, at most %u are read", size,
			       TAR_META_MAX);
	strbuf_reset(&r->meta);
	while (r->meta.len < (size_t)size) {
		TRY(fill(r));
		if (r->chunk_size == 0)
			return truncated(r);
		size_t n = MIN(r->chunk_size, (size_t)size - r->meta.len);
		strbuf_append(&r->meta, r->chunk, n);
		consume(r, n);
	}
	return pass_over(r, padding_of((uint64_t)size));
}

/* -- headers -------------------------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *block)
{
	return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK - 1) == 0;
}

static struct err *check_sum(const struct tar_header *h)
{
	const uint8_t *p = (const uint8_t *)h;
	int64_t stored, plain = 0, with_signs = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++) {
		bool in_field = i >= offsetof(struct tar_header, checksum) &&
				i < offsetof(struct tar_header, checksum) + sizeof(h->checksum);
		plain += in_field ? ' ' : p[i];
		with_signs += in_field ? ' ' : (int8_t)p[i]; /* some old writers summed signed chars */
	}
	TRY(tar_number(h->checksum, sizeof(h->checksum), "checksum", &stored));
	if (stored != plain && stored != with_signs)
		return err_new(ERR_CORRUPT, "its checksum is wrong");
	return NULL;
}

static void set_text(struct strbuf *b, const char *field, size_t size)
{
	strbuf_reset(b);
	strbuf_append(b, field, strnlen(field, size));
}

enum format { FORMAT_V7, FORMAT_USTAR, FORMAT_GNU, FORMAT_STAR };

static enum format format_of(const struct tar_header *h)
{
	if (memcmp(h->magic, "ustar  ", 8) == 0)
		return FORMAT_GNU;
	if (memcmp(h->magic, "ustar", 6) != 0)
		return FORMAT_V7;
	return memcmp(h->trailer + 8, "tar", 4) == 0 ? FORMAT_STAR : FORMAT_USTAR;
}

static void header_path(struct tar_reader *r, const struct tar_header *h, enum format format)
{
	size_t size = format == FORMAT_USTAR  ? sizeof(h->prefix)
		      : format == FORMAT_STAR ? sizeof(h->star.prefix)
					      : 0;

	set_text(&r->path, h->prefix, size);
	if (r->path.len)
		strbuf_putc(&r->path, '/');
	strbuf_append(&r->path, h->name, strnlen(h->name, sizeof(h->name)));
}

static struct err *id_value(int64_t value, const char *field, uint32_t *ret)
{
	/* 2^32-1 is chown's "leave it" */
	if (value < 0 || value >= UINT32_MAX)
		return err_new(ERR_CORRUPT, "its %s %" PRId64 " is out of range", field, value);
	*ret = (uint32_t)value;
	return NULL;
}

/* Everything of the header that extended headers can overrule. *ret_stored is the size of the data that follows. */
static struct err *read_fields(struct tar_reader *r, const struct tar_header *h, int64_t *ret_stored)
{
	const struct tar_pax *x = &r->local, *g = &r->global;
	struct tar_entry *e = &r->entry;
	enum format format = format_of(h);
	int64_t mode, uid, gid, size, mtime, major = 0, minor = 0;

	TRY(tar_number(h->mode, sizeof(h->mode), "mode", &mode));
	TRY(tar_number(h->uid, sizeof(h->uid), "user id", &uid));
	TRY(tar_number(h->gid, sizeof(h->gid), "group id", &gid));
	TRY(tar_number(h->size, sizeof(h->size), "size", &size));
	TRY(tar_number(h->mtime, sizeof(h->mtime), "modification time", &mtime));
	if (format != FORMAT_V7 && (h->type == '3' || h->type == '4')) {
		TRY(tar_number(h->dev_major, sizeof(h->dev_major), "device major", &major));
		TRY(tar_number(h->dev_minor, sizeof(h->dev_minor), "device minor", &minor));
	}
#define PICK(member, from_header) (x->has_##member ? x->member : g->has_##member ? g->member : (from_header))
	TRY(id_value(PICK(uid, uid), "user id", &e->uid));
	TRY(id_value(PICK(gid, gid), "group id", &e->gid));
	TRY(id_value(PICK(dev_major, major), "device major", &e->dev_major));
	TRY(id_value(PICK(dev_minor, minor), "device minor", &e->dev_minor));
	size = PICK(size, size);
#undef PICK
	e->mode = (uint32_t)mode & 07777;
	e->mtime_s = x->has_mtime ? x->mtime_s : g->has_mtime ? g->mtime_s : mtime;
	e->mtime_ns = x->has_mtime ? x->mtime_ns : g->has_mtime ? g->mtime_ns : 0;
	if (size < 0 || (uint64_t)size > TAR_SIZE_MAX)
		return err_new(ERR_CORRUPT, "its size %" PRId64 " is out of range", size);
	*ret_stored = size;
	return NULL;
}

static const struct strbuf *pick_path(const struct tar_reader *r)
{
	if (r->has_long_path)
		return &r->long_path;
	if (r->local.has_sparse_name)
		return &r->local.sparse_name;
	return r->local.has_path ? &r->local.path : r->global.has_path ? &r->global.path : &r->path;
}

static const struct strbuf *pick_link(const struct tar_reader *r)
{
	if (r->has_long_link)
		return &r->long_link;
	return r->local.has_link ? &r->local.link : r->global.has_link ? &r->global.link : &r->link;
}

/* -- sparse files --------------------------------------------------------------------------------------------- */

static struct err *push_extent(struct tar_reader *r, uint64_t offset, uint64_t size)
{
	if (r->n_extents == TAR_SPARSE_MAX)
		return err_new(ERR_LIMIT, "its sparse map has more than %u extents", TAR_SPARSE_MAX);
	GROW(r->extents, r->n_extents, r->cap_extents);
	r->extents[r->n_extents++] = (struct tar_extent){offset, size};
	return NULL;
}

static struct err *gnu_extents(struct tar_reader *r, const struct tar_gnu_extent *in, size_t n)
{
	int64_t offset, size;

	for (size_t i = 0; i < n; i++) {
		if (in[i].offset[0] == '\0')
			break;
		TRY(tar_number(in[i].offset, sizeof(in[i].offset), "sparse map", &offset));
		TRY(tar_number(in[i].size, sizeof(in[i].size), "sparse map", &size));
		if (offset < 0 || size < 0)
			return err_new(ERR_CORRUPT, "its sparse map has a negative number");
		TRY(push_extent(r, (uint64_t)offset, (uint64_t)size));
	}
	return NULL;
}

/* GNU's old form: four extents in the header, then blocks of 21. *h may lie in the source's chunk. */
static struct err *old_sparse_map(struct tar_reader *r, const struct tar_header *h)
{
	int64_t real_size;
	bool more = h->gnu.is_extended;

	if (format_of(h) != FORMAT_GNU)
		return err_new(ERR_CORRUPT, "it is a GNU sparse file without a GNU header");
	TRY(tar_number(h->gnu.real_size, sizeof(h->gnu.real_size), "real size", &real_size));
	if (real_size < 0)
		return err_new(ERR_CORRUPT, "its real size is negative");
	TRY(gnu_extents(r, h->gnu.sparse, ARRAY_SIZE(h->gnu.sparse)));
	while (more) {
		const uint8_t *block;
		TRY(need_block(r, &block));
		TRY(gnu_extents(r, (const struct tar_gnu_extent *)block, 21));
		more = block[504] != 0;
		if (more && r->n_extents == 0) /* empty blocks without end */
			return err_new(ERR_CORRUPT, "its sparse map is empty");
		if (more && block[0] == '\0')
			return err_new(ERR_CORRUPT, "its sparse map has an empty block");
	}
	r->entry.size = (uint64_t)real_size;
	return NULL;
}

/* A decimal number and its newline at the head of a pax 1.0 sparse file. */
struct map_text {
	const uint8_t *block;
	size_t pos;
	uint64_t taken;
};

static struct err *map_number(struct tar_reader *r, struct map_text *t, uint64_t limit, uint64_t *ret)
{
	uint64_t value = 0;

	for (int digits = 0;; digits++) {
		if (t->pos == TAR_BLOCK || !t->block) {
			if (t->taken + TAR_BLOCK > limit)
				return err_new(ERR_CORRUPT, "its sparse map is longer than its data");
			TRY(need_block(r, &t->block));
			/* The block stays valid: need_block copies what straddles chunks, and nothing else is taken meanwhile. */
			t->taken += TAR_BLOCK;
			t->pos = 0;
		}
		uint8_t c = t->block[t->pos++];
		if (c == '\n' && digits > 0)
			break;
		if (c < '0' || c > '9' || digits >= 19)
			return err_new(ERR_CORRUPT, "its sparse map is not a list of numbers");
		value = value * 10 + (uint64_t)(c - '0');
	}
	*ret = value;
	return NULL;
}

static struct err *pax_sparse_map(struct tar_reader *r, uint64_t *stored)
{
	const struct tar_pax *x = &r->local;
	struct map_text text = {0};
	uint64_t n, offset, size;

	if (!x->has_sparse_size || x->sparse_size < 0)
		return err_new(ERR_CORRUPT, "it is a sparse file without its real size");
	r->entry.size = (uint64_t)x->sparse_size;
	if (!x->has_sparse_version || x->sparse_major == 0) {
		if (x->half_extent)
			return err_new(ERR_CORRUPT, "its sparse map ends in the middle");
		for (size_t i = 0; i < x->n_extents; i++)
			TRY(push_extent(r, x->extents[i].offset, x->extents[i].size));
		return NULL;
	}
	if (x->sparse_major != 1 || x->sparse_minor != 0)
		return err_new(ERR_UNSUPPORTED,
			       "it is a sparse file of the unknown version %" PRId64 ".%" PRId64,
			       x->sparse_major, x->sparse_minor);
	TRY(map_number(r, &text, *stored, &n));
	if (n > TAR_SPARSE_MAX)
		return err_new(ERR_LIMIT, "its sparse map has %" PRIu64 " extents, at most %u are read", n,
			       TAR_SPARSE_MAX);
	for (uint64_t i = 0; i < n; i++) {
		TRY(map_number(r, &text, *stored, &offset));
		TRY(map_number(r, &text, *stored, &size));
		TRY(push_extent(r, offset, size));
	}
	*stored -= text.taken;
	return NULL;
}

/* R1 for maps */
static struct err *check_extents(const struct tar_reader *r, uint64_t stored)
{
	uint64_t end = 0, total = 0;

	if (r->entry.size > TAR_SIZE_MAX)
		return err_new(ERR_CORRUPT, "its real size is out of range");
	for (size_t i = 0; i < r->n_extents; i++) {
		const struct tar_extent *x = &r->extents[i];
		if (x->offset < end || x->size > TAR_SIZE_MAX || x->offset > r->entry.size ||
		    x->size > r->entry.size - x->offset)
			return err_new(ERR_CORRUPT,
				       "its sparse map has extents out of order or outside the file");
		end = x->offset + x->size;
		total += x->size;
	}
	if (total != stored)
		return err_new(ERR_CORRUPT,
			       "its sparse map describes %" PRIu64 " bytes but %" PRIu64 " are stored", total,
			       stored);
	return NULL;
}

/* -- entries -------------------------------------------------------------------------------------------------- */

static struct err *entry_type(struct tar_reader *r, char type, const struct strbuf *path)
{
	enum tar_type *ret = &r->entry.type;

	switch (type) {
	case '\0': /* v7 marks directories by a slash */
		*ret = path->len && path->data[path->len - 1] == '/' ? TAR_DIRECTORY : TAR_FILE;
		return NULL;
	case '0':
	case '7': /* contiguous */
	case 'S':
		*ret = TAR_FILE;
		return NULL;
	case '1':
		*ret = TAR_HARDLINK;
		return NULL;
	case '2':
		*ret = TAR_SYMLINK;
		return NULL;
	case '3':
		*ret = TAR_CHAR;
		return NULL;
	case '4':
		*ret = TAR_BLOCK_DEVICE;
		return NULL;
	case '5':
		*ret = TAR_DIRECTORY;
		return NULL;
	case '6':
		*ret = TAR_FIFO;
		return NULL;
	case 'M':
		return err_new(ERR_UNSUPPORTED, "it continues a file of another volume");
	default:
		return err_new(ERR_UNSUPPORTED, "its type is unknown (0x%02x)",
			       (unsigned)(unsigned char)type);
	}
}

static struct err *finish_entry(struct tar_reader *r, const struct tar_header *h)
{
	struct tar_entry *e = &r->entry;
	char type = h->type; /* h may not survive taking more blocks */
	int64_t field;

	*e = (struct tar_entry){0};
	r->n_extents = 0;
	header_path(r, h, format_of(h));
	set_text(&r->link, h->link, sizeof(h->link));
	TRY(read_fields(r, h, &field));
	const struct strbuf *path = pick_path(r), *link = pick_link(r);
	if (path->len > TAR_PATH_MAX || link->len > TAR_PATH_MAX)
		return err_new(ERR_LIMIT, "its name is longer than %u bytes", TAR_PATH_MAX);
	TRY(entry_type(r, type, path));
	uint64_t stored = e->type == TAR_FILE ? (uint64_t)field : 0;
	r->padding = padding_of(stored);
	e->size = stored;
	if (type == 'S') {
		e->sparse = true;
		TRY(old_sparse_map(r, h));
	} else if (e->type == TAR_FILE && (r->local.has_sparse_map || r->local.has_sparse_version)) {
		e->sparse = true;
		TRY(pax_sparse_map(r, &stored));
	}
	if (e->sparse)
		TRY(check_extents(r, stored));
	r->stored = stored;
	r->extent = 0;
	r->extent_done = 0;
	e->path = strbuf_str(path);
	e->link = e->type == TAR_HARDLINK || e->type == TAR_SYMLINK ? strbuf_str(link) : "";
	e->xattrs = r->local.xattrs;
	e->n_xattrs = r->local.n_xattrs;
	e->extents = r->extents;
	e->n_extents = r->n_extents;
	e->data_offset = r->offset;
	return NULL;
}

static struct err *extended_header(struct tar_reader *r, const struct tar_header *h, bool *ret_done)
{
	int64_t size;
	char type = h->type;

	*ret_done = false;
	if (!memchr("xXgLKV", type, 6))
		return NULL;
	*ret_done = true;
	TRY(tar_number(h->size, sizeof(h->size), "size", &size));
	TRY(read_meta(r, size));
	switch (type) {
	case 'V': /* a volume's label */
		return NULL;
	case 'L':
	case 'K': {
		struct strbuf *text = type == 'L' ? &r->long_path : &r->long_link;
		*(type == 'L' ? &r->has_long_path : &r->has_long_link) = true;
		set_text(text, strbuf_str(&r->meta), r->meta.len);
		return NULL;
	}
	case 'g':
		/* Each one adds to what the ones before said. */
		TRY(tar_pax_parse(&r->global, strbuf_str(&r->meta), r->meta.len));
		r->global.has_sparse_map = r->global.has_sparse_version = r->global.has_sparse_name = false;
		r->global.half_extent = false;
		r->global.n_extents = 0;
		return tar_pax_drop_xattrs(&r->global), NULL;
	default:
		tar_pax_reset(&r->local);
		return tar_pax_parse(&r->local, strbuf_str(&r->meta), r->meta.len);
	}
}

static struct err *end_of_archive(struct tar_reader *r)
{
	const uint8_t *block;

	TRY(take_block(r, &block));
	if (block && !is_zero(block))
		return err_new(ERR_CORRUPT, "it is an empty block in the middle of the archive");
	r->ended = true;
	return NULL;
}

/* Extended headers and the header they belong to. */
static struct err *read_entry(struct tar_reader *r)
{
	bool extended;

	do {
		const uint8_t *block;
		TRY(take_block(r, &block));
		if (!block) {
			/* Without the closing blocks; but extended headers announce an entry. */
			if (r->has_long_path || r->has_long_link || r->meta.len)
				return truncated(r);
			r->ended = true;
			return NULL;
		}
		if (is_zero(block))
			return end_of_archive(r);
		const struct tar_header *h = (const struct tar_header *)block;
		TRY(check_sum(h));
		TRY(extended_header(r, h, &extended));
		if (!extended)
			TRY(finish_entry(r, h));
	} while (extended);
	return NULL;
}

struct err *tar_reader_next(struct tar_reader *r, const struct tar_entry **ret)
{
	if (!r->ended) {
		TRY(pass_over(r, r->stored));
		TRY(pass_padding(r));
		r->stored = r->padding = 0;
		tar_pax_reset(&r->local);
		strbuf_reset(&r->meta);
		r->has_long_path = r->has_long_link = false;
		r->entry_offset = r->offset;
		struct err *e = read_entry(r);
		if (e) {
			r->ended = true;
			return err_wrap(e, "%s: bad entry at byte %" PRIu64, r->what, r->entry_offset);
		}
	}
	*ret = r->ended ? NULL : &r->entry;
	return NULL;
}

struct err *tar_reader_data(struct tar_reader *r, const uint8_t **ret_data, size_t *ret_size,
			    uint64_t *ret_offset)
{
	uint64_t left = r->stored, offset = r->entry.size - r->stored;

	if (r->stored == 0) {
		*ret_size = 0;
		return NULL;
	}
	if (r->entry.sparse) {
		while (r->extent_done == r->extents[r->extent].size) {
			r->extent++;
			r->extent_done = 0;
		}
		offset = r->extents[r->extent].offset + r->extent_done;
		left = r->extents[r->extent].size - r->extent_done;
	}
	TRY(fill(r));
	if (r->chunk_size == 0)
		return truncated(r);
	size_t n = (size_t)MIN((uint64_t)r->chunk_size, left);
	*ret_data = r->chunk;
	*ret_size = n;
	*ret_offset = offset;
	consume(r, n);
	r->stored -= n;
	r->extent_done += n;
	return NULL;
}

struct err *tar_reader_drain(struct tar_reader *r)
{
	do {
		r->offset += r->chunk_size;
		r->chunk_size = 0;
		TRY(fill(r));
	} while (r->chunk_size > 0);
	return NULL;
}

/* -- memory_source -------------------------------------------------------------------------------------------- */

static struct err *memory_next(struct byte_source *source, const uint8_t **ret_data, size_t *ret_size)
{
	struct memory_source *m = (struct memory_source *)source;
	size_t n = m->step ? MIN(m->step, m->size) : m->size;

	*ret_data = m->data;
	*ret_size = n;
	m->data += n;
	m->size -= n;
	return NULL;
}

void memory_source_init(struct memory_source *m, const void *data, size_t size, size_t step)
{
	*m = (struct memory_source){.source.next = memory_next, .data = data, .size = size, .step = step};
}
