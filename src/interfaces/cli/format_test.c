// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "base/memory.h"
#include "base/timestamp.h"
#include "unit.h"

#define VECTOR(...) ((char *const *)(const char *const[]){__VA_ARGS__, NULL})

static const struct format_table table = {
	.fields = (const struct format_field[]){{"ID", "CONTAINER ID"}, {"Names", "NAMES"}, {0}},
	.columns = "{{.ID}}\t{{.Names}}",
};

static struct json *rows(void)
{
	struct json *list = json_new_array();
	for (int i = 0; i < 2; i++) {
		struct json *row = json_new_object();
		json_set_string(row, "ID", i ? "0123456789ab" : "ba9876543210");
		json_set_string(row, "Names", i ? "two" : "one");
		json_append(list, row);
	}
	return list;
}

static char *label(void *user, size_t row, const char *key)
{
	return xasprintf("%s%zu", key, row);
}

static void check(const char *format, const char *want)
{
	char path[] = "/tmp/format_test.XXXXXX", got[4096] = "";
	int fd = mkstemp(path), saved = dup(1);
	_cleanup_json_ struct json *list = rows();

	unlink(path);
	fflush(stdout);
	dup2(fd, 1);
	struct err *e = format_rows(format, &table, list, label, NULL);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	ssize_t n = pread(fd, got, sizeof(got) - 1, 0);
	CHECK(n >= 0);
	close(fd);
	CHECK_OK(e);
	CHECK_STR(got, want);
}

TEST(rows_in_every_form)
{
	check(NULL, "CONTAINER ID   NAMES\nba9876543210   one\n0123456789ab   two\n");
	check("table", "CONTAINER ID   NAMES\nba9876543210   one\n0123456789ab   two\n");
	check("table {{.Names}}\\t{{.Label \"a.some-key\"}}",
	      "NAMES     some key\none       a.some-key0\ntwo       a.some-key1\n");
	check("{{.Names}}", "one\ntwo\n");
	check("json",
	      "{\"ID\":\"ba9876543210\",\"Names\":\"one\"}\n{\"ID\":\"0123456789ab\",\"Names\":\"two\"}\n");
}

TEST(texts)
{
	CHECK_STR(short_id("sha256:0123456789abcdef"), "0123456789ab");
	CHECK_STR(short_id("0123456789abcdef"), "0123456789ab");
	char *const *args = VECTOR("sh", "-c", "echo a very long\ncommand"), *const *little = VECTOR("true");
	_cleanup_free_ char *a = command_text(args, false), *b = command_text(little, false),
			    *c = command_text(args, true);
	CHECK_STR(a, "\"sh -c echo a very l…\"");
	CHECK_STR(b, "\"true\"");
	CHECK_STR(c, "\"sh -c echo a very long command\"");
	_cleanup_free_ char *since = ago(timestamp_now_ns() - 3 * 3600 * 1000000000ll);
	CHECK_STR(since, "3 hours ago");
}

TEST(filters)
{
	char *const *list = VECTOR("name=a", "name=b", "label=x=1"), *const *wrong = VECTOR("colour=red"),
		    *const *bare = VECTOR("name");
	_cleanup_filters_ struct filters f = {0};
	CHECK_OK(filters_parse(list, "label name", &f));
	CHECK(f.n == 3 && filters_have(&f, "label") && !filters_have(&f, "id"));
	CHECK_STR(f.items[2].value, "x=1");
	CHECK_ERR(filters_parse(wrong, "label name", &f), ERR_INVALID);
	CHECK_ERR(filters_parse(bare, "label name", &f), ERR_INVALID);
	char *const *labels = VECTOR("x=1", "y=");
	CHECK(label_matches(labels, "x=1") && label_matches(labels, "x") && label_matches(labels, "y="));
	CHECK(!label_matches(labels, "x=2") && !label_matches(labels, "z"));
}

UNIT_MAIN
