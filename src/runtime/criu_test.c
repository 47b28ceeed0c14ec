/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is protocol buffers, byte for byte; what is read is taken apart strictly. */
#include "criu_wire.h"
#include "unit.h"

TEST(writing)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	static const unsigned char expected[] = {
		0x08, 0x96, 0x01, /* field 1: 150, the example of the format's documentation */
		0x12, 0x07, 't',  'e',  's',  't',  'i',  'n',  'g', /* field 2: "testing" */
		0xda, 0x01, 0x05, 0x0a, 0x01, 'k',  0x10, 0x07,      /* field 27: {1: "k", 2: 7} */
		0xca, 0x01, 0x06, 0x0a, 0x01, 'a',  0x12, 0x01, 'b', /* field 25: {1: "a", 2: "b"} */
		0x80, 0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, /* field 64: 2^64-1 */
	};
	wire_put_number(&b, 1, 150);
	wire_put_string(&b, 2, "testing");
	wire_put_inherit_fd(&b, "k", 7);
	wire_put_pair(&b, CRIU_OPT_CGROUP_ROOT, "a", "b");
	wire_put_number(&b, CRIU_OPT_NETWORK_LOCK, UINT64_MAX);
	CHECK(b.len == sizeof(expected) && memcmp(b.data, expected, b.len) == 0);
}

TEST(reading)
{
	struct criu_response r;
	static const char restored[] = "\x08\x02\x10\x01\x22\x03\x08\xaf\x06";
	static const char notified[] = "\x08\x06\x10\x01\x2a\x13\x0a\x04x\n\x7fy\x10\xff\xff\xff\xff\xff\xff"
				       "\xff\xff\xff\x01\x18\x00";
	static const char version[] = "\x08\x0a\x10\x01\x52\x08\x08\x03\x10\x11\x20\x01\x1a\x00";
	static const char failed[] = "\x08\x01\x10\x00\x38\x01\x4a\x02no";
	CHECK_OK(criu_response_parse(restored, sizeof(restored) - 1, &r));
	CHECK(r.type == CRIU_RESTORE && r.success && r.pid == 815);
	CHECK_OK(criu_response_parse(notified, sizeof(notified) - 1, &r));
	CHECK(r.type == CRIU_NOTIFY && r.pid == -1 && str_eq(r.script, "x  y"));
	CHECK_OK(criu_response_parse(version, sizeof(version) - 1, &r));
	CHECK(r.version.major == 3 && r.version.minor == 17 && r.version.sublevel == 1 && r.version.from_git);
	CHECK_OK(criu_response_parse(failed, sizeof(failed) - 1, &r));
	CHECK(!r.success && r.cr_errno == 1 && str_eq(r.message, "no"));
}

static void refused(const char *data, size_t size)
{
	struct criu_response r;
	CHECK_ERR(criu_response_parse(data, size, &r), ERR_CORRUPT);
}
#define REFUSED(literal) refused(literal, sizeof(literal) - 1)

TEST(damaged)
{
	REFUSED("");
	REFUSED("\x08\x01");                   /* no result */
	REFUSED("\x10\x01");                   /* no type */
	REFUSED("\x08\x01\x10");               /* ends in the middle */
	REFUSED("\x08\x01\x10\x01\x4a\x05no"); /* a string longer than the message */
	REFUSED("\x08\x01\x10\x01\x00\x00");   /* field 0 */
	REFUSED("\x08\x01\x10\x01\x0b");       /* a group */
	REFUSED("\x0a\x01\x01\x10\x01");       /* the type is a string */
	REFUSED("\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"); /* more than 64 bits */
	REFUSED("\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	REFUSED("\x08\x02\x10\x01\x22\x06\x08\xff\xff\xff\xff\x0f"); /* a process id beyond 31 bits */
	REFUSED("\x08\x0a\x10\x01\x52\x03\x08\x90\x4e");             /* version 10000 */
}

UNIT_MAIN
