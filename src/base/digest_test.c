/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/digest.h"
#include "unit.h"

TEST(digest_is_strict)
{
	struct digest d, e;

	digest_of("", 0, &d);
	CHECK_STR(d.s, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	CHECK_OK(digest_parse(d.s, &e));
	CHECK(digest_equal(&d, &e));
	CHECK_STR(digest_hex(&e), d.s + 7);
	static const char *const bad[] = {
		"",
		"sha256:",
		"sha256:../../x",
		"SHA256:e3b0",
		"md5:d41d8cd98f00b204e9800998ecf8427e",
		"sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(digest_parse(bad[i], &e), ERR_INVALID);
}

UNIT_MAIN
