/* SPDX-License-Identifier: Apache-2.0 */
#include "tar.h"

#include "base/memory.h"
#include "base/str.h"
#include "tar_format.h"
#include "unit.h"

struct memory_sink {
	struct byte_sink sink;
	struct strbuf out;
};

static struct err *memory_write(struct byte_sink *sink, const void *data, size_t size)
{
	strbuf_append(&((struct memory_sink *)sink)->out, data, size);
	return NULL;
}

static const struct tar_xattr xattrs[] = {{"user.a", "x\0y", 3}, {"user.b", "", 0}};
static const char contents[700] = "contents";
static const char long_name[] = "d/0123456789012345678901234567890123456789012345678901234567890123456789"
				"0123456789012345678901234567890123456789";

static void write_one(struct strbuf *out, const struct tar_entry *e, const char *data)
{
	struct memory_sink sink = {.sink.write = memory_write};
	struct tar_writer w = {.sink = &sink.sink};

	CHECK_OK(tar_writer_entry(&w, e));
	if (e->size)
		CHECK_OK(tar_writer_data(&w, data, (size_t)e->size));
	CHECK_OK(tar_writer_end(&w));
	*out = sink.out;
}

static void round_trip(const struct tar_entry *e, const char *data)
{
	_cleanup_strbuf_ struct strbuf bytes = {0};

	write_one(&bytes, e, data);
	CHECK(bytes.len % TAR_BLOCK == 0);
	for (size_t step = 0; step < 1030; step += 1 + step / 3) {
		struct memory_source source;
		const struct tar_entry *got;
		const uint8_t *chunk;
		size_t size, have = 0;
		uint64_t offset;
		memory_source_init(&source, bytes.data, bytes.len, step);
		_cleanup_tar_reader_ struct tar_reader *r = tar_reader_new(&source.source, "test");
		CHECK_OK(tar_reader_next(r, &got));
		CHECK(got && got->type == e->type && got->mode == e->mode && got->uid == e->uid &&
		      got->gid == e->gid);
		CHECK(got->size == e->size && got->mtime_s == e->mtime_s && got->mtime_ns == e->mtime_ns);
		CHECK(got->dev_major == e->dev_major && got->dev_minor == e->dev_minor &&
		      got->n_xattrs == e->n_xattrs);
		CHECK_STR(got->path, e->path);
		CHECK_STR(got->link, e->link);
		for (size_t i = 0; i < e->n_xattrs; i++) {
			CHECK_STR(got->xattrs[i].name, e->xattrs[i].name);
			CHECK(got->xattrs[i].size == e->xattrs[i].size &&
			      memcmp(got->xattrs[i].value, e->xattrs[i].value, e->xattrs[i].size) == 0);
		}
		while (true) {
			CHECK_OK(tar_reader_data(r, &chunk, &size, &offset));
			if (size == 0)
				break;
			CHECK(offset == have && memcmp(chunk, data + have, size) == 0);
			have += size;
		}
		CHECK(have == e->size);
		CHECK_OK(tar_reader_next(r, &got));
		CHECK(!got);
	}
}

TEST(what_is_written_is_read)
{
	round_trip(
		&(struct tar_entry){
			.type = TAR_FILE, .path = "f", .link = "", .mode = 04755, .size = 700, .mtime_s = 5},
		contents);
	round_trip(&(struct tar_entry){.type = TAR_DIRECTORY,
				       .path = "d/",
				       .link = "",
				       .mode = 01777,
				       .uid = 3000000,
				       .gid = 4294967294u,
				       .mtime_s = -7,
				       .mtime_ns = 250000000},
		   "");
	round_trip(
		&(struct tar_entry){.type = TAR_SYMLINK, .path = long_name, .link = long_name, .mtime_ns = 1},
		"");
	round_trip(
		&(struct tar_entry){.type = TAR_HARDLINK, .path = "sp\xc3\xa4\xc3\x9f", .link = "\xff\xfe"},
		"");
	round_trip(
		&(struct tar_entry){
			.type = TAR_CHAR, .path = "null", .link = "", .dev_major = 1, .dev_minor = 3},
		"");
	round_trip(
		&(struct tar_entry){
			.type = TAR_FIFO, .path = "p", .link = "", .xattrs = xattrs, .n_xattrs = 2},
		"");
}

/* The length of a pax record counts its own digits: lengths around powers of ten. */
TEST(pax_record_lengths)
{
	static char value[1100];

	memset(value, 'v', sizeof(value));
	for (size_t n = 60; n < sizeof(value); n = n < 110 || n > 960 ? n + 1 : n + 100) {
		struct tar_xattr x = {"user.k", value, n};
		round_trip(
			&(struct tar_entry){
				.type = TAR_FIFO, .path = "p", .link = "", .xattrs = &x, .n_xattrs = 1},
			"");
	}
}

static struct err *number(const char *field, size_t size, int64_t *ret)
{
	return tar_number(field, size, "field", ret);
}

TEST(numbers)
{
	int64_t n;

	CHECK_OK(number("0000644\0", 8, &n));
	CHECK(n == 0644);
	CHECK_OK(number("   17 \0\0", 8, &n));
	CHECK(n == 017);
	CHECK_OK(number("\0\0\0\0\0\0\0\0", 8, &n));
	CHECK(n == 0);
	CHECK_OK(number("777777777777", 12, &n));
	CHECK(n == 0777777777777);
	CHECK_OK(number("\x80\0\0\0\0\x2d\xc6\xc0", 8, &n));
	CHECK(n == 3000000);
	CHECK_OK(number("\xff\xff\xff\xff\xff\xff\xff\xfe", 8, &n));
	CHECK(n == -2);
	CHECK_OK(number("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12, &n));
	CHECK(n == INT64_MAX);
	CHECK_ERR(number("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12, &n), ERR_CORRUPT);
	CHECK_ERR(number("\x80\x01\0\0\0\0\0\0\0\0\0\0", 12, &n), ERR_CORRUPT);
	CHECK_ERR(number("12x\0\0\0\0\0", 8, &n), ERR_CORRUPT);
	CHECK_ERR(number("-1\0\0\0\0\0\0", 8, &n), ERR_CORRUPT);
	CHECK_ERR(number("8\0\0\0\0\0\0\0", 8, &n), ERR_CORRUPT);
}

static struct err *pax(struct tar_pax *p, const char *text)
{
	return tar_pax_parse(p, text, strlen(text));
}

TEST(pax_records)
{
	struct tar_pax p = {0};

	CHECK_OK(pax(&p, "17 path=dir/file\n"));
	CHECK(p.has_path);
	CHECK_STR(p.path.data, "dir/file");
	CHECK_OK(pax(&p, "8 path=\n"));
	CHECK(!p.has_path);
	CHECK_OK(pax(&p, "15 mtime=-1.25\n"));
	CHECK(p.has_mtime && p.mtime_s == -2 && p.mtime_ns == 750000000);
	CHECK_OK(pax(&p, "9 a.b=??\n5 c=\n"));
	CHECK_ERR(pax(&p, "8 path=x\n"), ERR_CORRUPT);
	CHECK_ERR(pax(&p, "99 path=x\n"), ERR_CORRUPT);
	CHECK_ERR(pax(&p, "4 a\n"), ERR_CORRUPT);
	CHECK_ERR(pax(&p, "0 a=b\n"), ERR_CORRUPT);
	CHECK_ERR(pax(&p, "a"), ERR_CORRUPT);
	CHECK_ERR(pax(&p, "9 uid=1x\n"), ERR_CORRUPT);
	CHECK_ERR(pax(&p, "32 size=99999999999999999999999\n"), ERR_CORRUPT);
	CHECK_ERR(tar_pax_parse(&p, "12 path=a\0b\n", 12), ERR_CORRUPT);
	tar_pax_release(&p);
}

TEST(libarchive_xattrs_give_way)
{
	struct tar_pax p = {0};

	CHECK_OK(pax(&p, "29 SCHILY.xattr.user.x=right\n"
			 "35 LIBARCHIVE.xattr.user.x=d3Jvbmc\n"
			 "36 LIBARCHIVE.xattr.user.a%20b=eXo=\n"));
	CHECK(p.n_xattrs == 2);
	CHECK(memcmp(p.xattrs[0].value, "right", 5) == 0);
	CHECK_STR(p.xattrs[1].name, "user.a b");
	CHECK(p.xattrs[1].size == 2 && memcmp(p.xattrs[1].value, "yz", 2) == 0);
	tar_pax_release(&p);
}

UNIT_MAIN
