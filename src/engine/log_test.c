/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor writes and what `logs` reads are the same thing: log_file.c against log_entry.c. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "log_entry.h"
#include "log_file.h"
#include "unit.h"

static char dir[] = "/tmp/havre-log-test-XXXXXX";
static struct log_file l;
static char *path;

static void set_up(uint64_t max_size, unsigned max_file)
{
	CHECK(mkdtemp(dir));
	path = xasprintf("%s/container.log", dir);
	CHECK_OK(log_file_open(&l, path, max_size, max_file));
}

static void tear_down(void)
{
	log_file_release(&l);
	CHECK_OK(file_remove_tree_at(AT_FDCWD, dir));
	free(path);
}

/* Appends the text of all entries of a file to `out`, checking that each line is an entry; returns their number. */
static size_t read_entries(const char *name, int stream, struct strbuf *out)
{
	struct log_entry e = {0};
	char *data;
	size_t size, n = 0;

	CHECK_OK(file_read(name, 16 << 20, &data, &size));
	for (char *p = data; p < data + size; n++) {
		char *nl = memchr(p, '\n', (size_t)(data + size - p));
		CHECK(nl);
		CHECK(log_entry_parse(p, (size_t)(nl - p), &e));
		CHECK(e.time_ns > 0);
		if (e.stream == stream)
			strbuf_append(out, e.text.data ? e.text.data : "", e.text.len);
		p = nl + 1;
	}
	strbuf_release(&e.text);
	free(data);
	return n;
}

TEST(lines_come_back_byte_for_byte)
{
	static const char text[] = "plain\n\ttab \"quoted\" back\\slash\r\nnul:\0:nul \x01\x1f "
				   "\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2\n\nlast";
	_cleanup_strbuf_ struct strbuf got = {0};

	set_up(0, 1);
	for (size_t i = 0; i < sizeof(text) - 1; i++) /* as badly cut as can be */
		log_file_write(&l, 0, text + i, 1);
	log_file_write(&l, 1, "other\n", 6);
	CHECK(read_entries(path, 0, &got) == 5); /* the unfinished line is not there yet */
	log_file_flush_partial(&l);
	strbuf_reset(&got);
	CHECK(read_entries(path, 0, &got) == 6);
	CHECK(got.len == sizeof(text) - 1 && memcmp(got.data, text, got.len) == 0);
	tear_down();
}

TEST(long_lines_are_cut_between_characters)
{
	_cleanup_strbuf_ struct strbuf in = {0}, got = {0};

	set_up(0, 1);
	for (int i = 0; i < 20000; i++)
		strbuf_puts(&in, "\xe2\x82\xac");
	strbuf_putc(&in, '\n');
	log_file_write(&l, 0, in.data, in.len);
	CHECK(read_entries(path, 0, &got) >= 4);
	CHECK(got.len == in.len && memcmp(got.data, in.data, in.len) == 0); /* no U+FFFD anywhere */
	CHECK(l.partial[0].len == 0);
	tear_down();
}

TEST(rotation_keeps_whole_entries_and_the_newest_files)
{
	_cleanup_strbuf_ struct strbuf got = {0};

	set_up(1000, 3);
	for (int i = 0; i < 100; i++) {
		char line[32];
		int n = snprintf(line, sizeof(line), "line %d\n", i);
		log_file_write(&l, 0, line, (size_t)n);
	}
	_cleanup_free_ char *one = xasprintf("%s.1", path), *two = xasprintf("%s.2", path),
			    *three = xasprintf("%s.3", path);
	CHECK(access(three, F_OK) < 0);
	size_t n = read_entries(two, 0, &got) + read_entries(one, 0, &got) + read_entries(path, 0, &got);
	CHECK(n > 20 && n < 100);
	CHECK(strstr(got.data, "line 99\n"));
	CHECK(!strstr(got.data, "line 0\n"));
	struct stat st;
	CHECK(stat(one, &st) == 0 && st.st_size <= 1000);
	tear_down();
}

TEST(damaged_entries_are_recognised)
{
	static const char *const bad[] = {
		"",
		"{",
		"{}",
		"{\"log\":\"x\"}",
		"{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"yesterday\"}",
		"{\"log\":\"\\u12\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}",
		"{\"log\":\"x\\q\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}",
		"{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"",
		"{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}}"};
	struct log_entry e = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!log_entry_parse(bad[i], strlen(bad[i]), &e));
	strbuf_release(&e.text);
}

UNIT_MAIN
