/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dbus.h"

#include "base/memory.h"
#include "unit.h"

TEST(call_has_the_bytes_of_the_specification)
{
	struct dbus_call call = {
		.destination = "e.f", .path = "/a", .interface = "b.c", .member = "D", .signature = "sb"};
	_cleanup_strbuf_ struct strbuf body = {0}, out = {0};
	dbus_put_string(&body, "xyz");
	dbus_put_bool(&body, true);
	dbus_call_encode(&call, 5, &body, &out);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	/* Written down from the specification's description of the format, little-endian. */
	static const uint8_t want[] = {
		'l', 1, 0,   1, 12,  0,   0,   0, 5,   0,   0,   0,
		72,  0, 0,   0, /* header; 72 bytes of fields */
		1,   1, 'o', 0, 2,   0,   0,   0, '/', 'a', 0,   0,
		0,   0, 0,   0, /* path */
		2,   1, 's', 0, 3,   0,   0,   0, 'b', '.', 'c', 0,
		0,   0, 0,   0, /* interface */
		3,   1, 's', 0, 1,   0,   0,   0, 'D', 0,   0,   0,
		0,   0, 0,   0, /* member */
		6,   1, 's', 0, 3,   0,   0,   0, 'e', '.', 'f', 0,
		0,   0, 0,   0,                                     /* destination */
		8,   1, 'g', 0, 2,   's', 'b', 0,                   /* signature */
		3,   0, 0,   0, 'x', 'y', 'z', 0, 1,   0,   0,   0, /* body */
	};
	CHECK(out.len == sizeof(want));
	CHECK(memcmp(out.data, want, sizeof(want)) == 0);
#endif
	struct dbus_message m;
	size_t size;
	CHECK_OK(dbus_message_size((const uint8_t *)out.data, &size));
	CHECK(size == out.len);
	CHECK_OK(dbus_message_parse((const uint8_t *)out.data, out.len, &m));
	CHECK(m.type == DBUS_CALL && m.serial == 5);
	CHECK_STR(m.path, "/a");
	CHECK_STR(m.interface, "b.c");
	CHECK_STR(m.member, "D");
	CHECK_STR(m.signature, "sb");
	const char *text;
	uint32_t flag;
	CHECK_OK(dbus_get_string(&m.body, &text));
	CHECK_OK(dbus_get_u32(&m.body, &flag));
	CHECK_STR(text, "xyz");
	CHECK(flag == 1 && m.body.at == m.body.size);
}

TEST(big_endian_is_read)
{
	static const uint8_t data[] = {'B', 2, 1, 1, 0,   0, 0, 4, 0, 0, 0, 9, 0, 0,
				       0,   8, 5, 1, 'u', 0, 0, 0, 1, 2, 1, 2, 3, 4};
	struct dbus_message m;
	uint32_t v;
	CHECK_OK(dbus_message_parse(data, sizeof(data), &m));
	CHECK(m.type == DBUS_RETURN && m.serial == 9 && m.reply_serial == 0x102);
	CHECK_OK(dbus_get_u32(&m.body, &v));
	CHECK(v == 0x01020304);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
/* Reads over the values of a signature in the bytes; whether that used all of them. */
static bool skips(const char *signature, const struct strbuf *b)
{
	struct dbus_reader r = {.data = (const uint8_t *)b->data, .size = b->len};
	struct err *e = dbus_skip(&r, signature);
	bool all = !e && r.at == r.size;
	err_free(e);
	return all;
}

TEST(containers_are_read_over)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	struct dbus_array outer = dbus_array_open(&b, 8);
	dbus_align(&b, 8);
	dbus_put_string(&b, "key");
	dbus_put_signature(&b, "(yat)");
	dbus_align(&b, 8);
	dbus_put_byte(&b, 1);
	struct dbus_array inner = dbus_array_open(&b, 8);
	dbus_put_u64(&b, 7);
	dbus_array_close(&b, inner);
	dbus_array_close(&b, outer);
	dbus_put_u16(&b, 3);
	dbus_put_double(&b, 1.5);
	CHECK(skips("a{sv}qd", &b));
	CHECK(!skips("a{sv}qdy", &b)); /* more than there is */
	CHECK(!skips("a{sv}q(d", &b));
	CHECK(!skips("a{sv}q)d", &b));
	CHECK(!skips("a{sv}qd!", &b));
}

TEST(nesting_and_empty_structs_are_refused)
{
	_cleanup_strbuf_ struct strbuf b = {0}, variants = {0};
	char deep[200];
	dbus_put_u32(&b, 8);
	dbus_put_u64(&b, 0);
	CHECK(!skips("a()", &b));
	memset(deep, 'a', sizeof(deep));
	deep[sizeof(deep) - 2] = 'y';
	deep[sizeof(deep) - 1] = '\0';
	CHECK(!skips(deep, &b));
	for (size_t i = 0; i < 1000; i++)
		dbus_put_signature(&variants, "v");
	CHECK(!skips("v", &variants));
}
#endif

TEST(sizes_are_bounded)
{
	uint8_t header[DBUS_HEADER_SIZE] = {'l', 2, 0, 1, 0, 0, 0, 1};
	size_t size;
	CHECK_ERR(dbus_message_size(header, &size), ERR_LIMIT);
	header[7] = 0;
	header[3] = 2;
	CHECK_ERR(dbus_message_size(header, &size), ERR_CORRUPT);
}

UNIT_MAIN
