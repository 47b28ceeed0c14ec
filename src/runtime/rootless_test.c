/* SPDX-License-Identifier: Apache-2.0 */
#include "rootless.h"

#include "unit.h"

TEST(subids_by_name_and_number)
{
	static const char text[] = "alice:100000:65536\n"
				   "bob:200000:65536\n"
				   "1000:300000:10\n"
				   "alice:400000:5";
	struct subid_range r[8];

	CHECK(subid_parse(text, "alice", 1000, r, 8) == 3);
	CHECK(r[0].first == 100000 && r[0].count == 65536);
	CHECK(r[1].first == 300000 && r[1].count == 10);
	CHECK(r[2].first == 400000 && r[2].count == 5);
	CHECK(subid_parse(text, "alice", 1000, r, 2) == 2);
	CHECK(subid_parse(text, NULL, 1000, r, 8) == 1);
	CHECK(subid_parse(text, "carol", 7, r, 8) == 0);
}

TEST(malformed_subids_are_skipped)
{
	static const char text[] = "\n:\n::\nalice\nalice:\nalice:1\nalice:x:1\nalice:0:10\nalice:5:0\n"
				   "alice:4294967290:10\nalice:1:2:3\nalice: 1:2\nalice:7:8\n";
	struct subid_range r[8];

	/* Id 0 is nobody's subordinate, and a range must not run over the last id. */
	CHECK(subid_parse(text, "alice", 1000, r, 8) == 1);
	CHECK(r[0].first == 7 && r[0].count == 8);
	CHECK(subid_parse("", "alice", 1000, r, 8) == 0);
}

UNIT_MAIN
