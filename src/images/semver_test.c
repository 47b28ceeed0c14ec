/* SPDX-License-Identifier: Apache-2.0 */
#include "semver.h"

#include "unit.h"

static bool fits(const char *constraint, const char *version)
{
	bool ret = false;

	CHECK_OK(semver_fits(constraint, version, &ret));
	return ret;
}

TEST(order)
{
	static const char *const in_order[] = {"1.0.0-alpha",
					       "1.0.0-alpha.1",
					       "1.0.0-alpha.beta",
					       "1.0.0-beta",
					       "1.0.0-beta.2",
					       "1.0.0-beta.11",
					       "1.0.0-rc.1",
					       "1.0.0",
					       "1.0.1",
					       "1.2",
					       "2"};

	for (size_t i = 0; i + 1 < sizeof(in_order) / sizeof(*in_order); i++) {
		struct semver a, b;
		CHECK(semver_parse(in_order[i], &a) && semver_parse(in_order[i + 1], &b));
		CHECK(semver_compare(&a, &b) < 0 && semver_compare(&b, &a) > 0);
	}
	struct semver v;
	CHECK(semver_parse("v1.2.3+build", &v) && v.v[2] == 3);
	CHECK(!semver_parse("latest", &v) && !semver_parse("1.2.3.4", &v) && !semver_parse("1.", &v) &&
	      !semver_parse("", &v) && !semver_parse("99999999999999999999", &v));
}

TEST(constraints)
{
	CHECK(fits("1.2.x", "1.2.9") && !fits("1.2.x", "1.3.0") && fits("1.2", "v1.2.1") && fits("*", "7"));
	CHECK(fits("^1.2", "1.9.0") && !fits("^1.2", "2.0.0") && !fits("^1.2", "1.1.9"));
	CHECK(fits("^0.2.3", "0.2.9") && !fits("^0.2.3", "0.3.0"));
	CHECK(fits("~1.2.3", "1.2.9") && !fits("~1.2.3", "1.3.0") && fits("~1", "1.9") && !fits("~1", "2.0"));
	CHECK(fits(">= 1.2, < 3", "2.9.9") && !fits(">= 1.2, < 3", "3.0.0") && fits(">=1.2 <3", "1.2.0"));
	CHECK(fits("1.2 - 1.4", "1.4.5") && !fits("1.2 - 1.4", "1.5.0") && !fits("1.2 - 1.4", "1.1.9"));
	CHECK(fits("1 || 3", "3.1") && !fits("1 || 3", "2.1") && fits("!=1.2.3", "1.2.4"));
	CHECK(fits(">1.2", "1.3.0") && !fits(">1.2", "1.2.5") && fits("<=1.2", "1.2.5"));
	CHECK(!fits("*", "1.0.0-rc1") && fits(">=1.0.0-0", "1.0.0-rc1") && !fits("*", "latest"));
	bool ret;
	CHECK_ERR(semver_fits("new", "1", &ret), ERR_INVALID);
	CHECK_ERR(semver_fits("", "1", &ret), ERR_INVALID);
	CHECK_ERR(semver_fits("=>=1", "1", &ret), ERR_INVALID);
}

UNIT_MAIN
