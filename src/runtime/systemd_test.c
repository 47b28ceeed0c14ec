/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dbus.h"
#include "base/memory.h"
#include "gvariant.h"
#include "systemd_properties.h"
#include "unit.h"

static void check_slice(const char *slice, const char *want)
{
	_cleanup_free_ char *path = NULL;
	struct err *e = cg_slice_path(slice, &path);
	CHECK(!e == !!want);
	if (want)
		CHECK_STR(path, want);
	err_free(e);
}

TEST(slices_are_nested_by_their_dashes)
{
	check_slice("a.slice", "/a.slice");
	check_slice("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice");
	check_slice("-.slice", "");
	check_slice("-", "");
	static const char *const wrong[] = {"",          ".slice",   "a",        "a.scope",   "/a.slice",
					    "a/b.slice", "-a.slice", "a-.slice", "a--b.slice"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		check_slice(wrong[i], NULL);
}

static void check_unit(const char *path, bool user, const char *name, const char *parent)
{
	struct cg_unit *u = xnew(struct cg_unit);
	struct err *e = cg_unit_parse(path, "id", user, u);
	CHECK(!e == !!name);
	if (name) {
		CHECK_STR(u->name, name);
		CHECK_STR(u->parent, parent);
	}
	err_free(e);
	cg_unit_free(u);
}

TEST(units_are_named_by_the_path)
{
	check_unit(NULL, false, "havre-id.scope", "system.slice");
	check_unit("", true, "havre-id.scope", "user.slice");
	check_unit("m.slice:libpod:x", false, "libpod-x.scope", "m.slice");
	check_unit(":docker:x", true, "docker-x.scope", "user.slice");
	check_unit("-::x", false, "x.scope", "-.slice");
	check_unit("m.slice:p:a-b.slice", false, "a-b.slice", "m.slice");
	check_unit("m.slice:p:a+b", false, "p-a\\x2bb.scope", "m.slice");
	check_unit("/a/b", false, NULL, NULL);
	check_unit("a:b", false, NULL, NULL);
	check_unit("a:b:", false, NULL, NULL);
	check_unit("a:b:c:d", false, NULL, NULL);
}

static void check_variant(const char *text, const char *type, const void *bytes, size_t size)
{
	struct gvariant v;
	_cleanup_strbuf_ struct strbuf out = {0};
	CHECK_OK(gvariant_parse(text, &v));
	CHECK_STR(v.type, type);
	gvariant_put(&v, &out);
	CHECK(out.len == size && memcmp(out.data, bytes, size) == 0);
	gvariant_release(&v);
}

static void check_number(const char *text, const char *type, uint64_t value, size_t size)
{
	uint64_t v64 = value;
	uint32_t v32 = (uint32_t)value;
	uint16_t v16 = (uint16_t)value;
	uint8_t v8 = (uint8_t)value;
	check_variant(text, type,
		      size == 8   ? (void *)&v64
		      : size == 4 ? (void *)&v32
		      : size == 2 ? (void *)&v16
				  : &v8,
		      size);
}

TEST(numbers_have_the_type_that_they_say)
{
	double half = -0.5;
	check_number("5", "i", 5, 4);
	check_number("-5", "i", (uint64_t)-5, 4);
	check_number(" uint64  18446744073709551615 ", "t", UINT64_MAX, 8);
	check_number("int64 -9223372036854775808", "x", (uint64_t)INT64_MIN, 8);
	check_number("@q 0x10", "q", 16, 2);
	check_number("byte 010", "y", 8, 1);
	check_number("true", "b", 1, 4);
	check_number("boolean false", "b", 0, 4);
	check_variant("-0.5", "d", &half, sizeof(half));
	check_variant("double -0.5", "d", &half, sizeof(half));
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
TEST(strings_and_arrays)
{
	check_variant("'a\\'b'", "s", "\3\0\0\0a'b\0", 8);
	check_variant("\"\\u00e9\\n\"", "s", "\3\0\0\0\xc3\xa9\n\0", 8);
	check_variant("['a', 'bc']", "as", "\17\0\0\0\1\0\0\0a\0\0\0\2\0\0\0bc\0", 19);
	check_variant("@as []", "as", "\0\0\0\0", 4);
	check_variant("@at [1]", "at", "\10\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16);
}
#endif

TEST(what_is_no_value_is_refused)
{
	static const char *const wrong[] = {"",
					    "'a",
					    "\"a'",
					    "'\\u12'",
					    "'\\ud800'",
					    "1 2",
					    "[1",
					    "[1 2]",
					    "[]",
					    "['a', 1]",
					    "@z 1",
					    "@as 5",
					    "uint64 -1",
					    "byte 256",
					    "int16 32768",
					    "int16 -32769",
					    "uint32 'a'",
					    "string 5",
					    "boolean 1",
					    "objectpath 'a'",
					    "nothing",
					    "1e",
					    "(1, 2)",
					    "--1",
					    "18446744073709551616",
					    "nan",
					    "inf",
					    "double inf"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct gvariant v;
		struct err *e = gvariant_parse(wrong[i], &v);
		if (!e)
			printf("# accepted: %s\n", wrong[i]);
		CHECK(e && e->kind == ERR_INVALID);
		err_free(e);
	}
}

TEST(device_lists_are_never_narrower_than_the_rules)
{
	static const struct cg_device_rule rules[] = {
		{true, 'a', -1, -1, CG_DEV_ALL, 0},   {false, 'a', -1, -1, CG_DEV_ALL, 1},
		{true, 'c', 1, 3, CG_DEV_READ, 2},    {true, 'c', 1, 3, CG_DEV_WRITE, 3},
		{true, 'a', 7, -1, CG_DEV_READ, 4},   {true, 'c', 5, 5, CG_DEV_ALL, 5},
		{false, 'c', 5, -1, CG_DEV_WRITE, 6}, {true, 'c', 9, -1, CG_DEV_ALL, 7},
		{false, 'c', 9, 9, CG_DEV_ALL, 8},
	};
	static const struct cg_device_rule want[] = {
		{true, 'c', 1, 3, CG_DEV_READ | CG_DEV_WRITE, 2},
		{true, 'b', 7, -1, CG_DEV_READ, 4},
		{true, 'c', 7, -1, CG_DEV_READ, 4},
		{true, 'c', 5, 5, CG_DEV_READ | CG_DEV_MKNOD, 5},
		{true, 'c', 9, -1, CG_DEV_ALL, 7}, /* one of them taken back has no word */
	};
	_cleanup_free_ struct cg_device_rule *list = NULL, *all = NULL;
	size_t n;
	CHECK(!systemd_device_list(rules, ARRAY_SIZE(rules), &list, &n));
	CHECK(n == ARRAY_SIZE(want));
	for (size_t i = 0; i < n; i++)
		CHECK(list[i].type == want[i].type && list[i].major == want[i].major &&
		      list[i].minor == want[i].minor && list[i].access == want[i].access);
	CHECK(systemd_device_list(rules, 1, &all, &n) && n == 0);
}

UNIT_MAIN
