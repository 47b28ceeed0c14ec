/* SPDX-License-Identifier: Apache-2.0 */
#include "images/reference.h"

#include "base/str.h"
#include "unit.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check(const char *in, const char *canonical, const char *familiar)
{
	_cleanup_reference_ struct reference r = REFERENCE_NONE;

	CHECK_OK(reference_parse(in, &r));
	_cleanup_free_ char *c = reference_string(&r);
	_cleanup_free_ char *f = reference_familiar(&r);
	CHECK_STR(c, canonical);
	CHECK_STR(f, familiar);
	/* Both forms are references to the same thing. */
	_cleanup_reference_ struct reference r2 = REFERENCE_NONE, r3 = REFERENCE_NONE;
	CHECK_OK(reference_parse(c, &r2));
	CHECK_OK(reference_parse(f, &r3));
	_cleanup_free_ char *c2 = reference_string(&r2);
	_cleanup_free_ char *c3 = reference_string(&r3);
	CHECK_STR(c2, canonical);
	CHECK_STR(c3, canonical);
}

TEST(normalisation)
{
	check("debian", "docker.io/library/debian:latest", "debian:latest");
	check("debian:12", "docker.io/library/debian:12", "debian:12");
	check("user/app", "docker.io/user/app:latest", "user/app:latest");
	check("docker.io/debian", "docker.io/library/debian:latest", "debian:latest");
	check("index.docker.io/debian", "docker.io/library/debian:latest", "debian:latest");
	check("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest");
	check("localhost/x", "localhost/x:latest", "localhost/x:latest");
	check("localhost:5000/x/y__z-a.b:T_1.x-", "localhost:5000/x/y__z-a.b:T_1.x-",
	      "localhost:5000/x/y__z-a.b:T_1.x-");
	check("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000");
	check("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest");
	check("REGISTRY/x", "REGISTRY/x:latest", "REGISTRY/x:latest");
	check("quay.io/a@sha256:" HEX64, "quay.io/a@sha256:" HEX64, "quay.io/a@sha256:" HEX64);
	check("a:t@sha256:" HEX64, "docker.io/library/a:t@sha256:" HEX64, "a:t@sha256:" HEX64);
	check("docker.io/quay.io/a", "docker.io/quay.io/a:latest", "docker.io/quay.io/a:latest");
	check("a---b", "docker.io/library/a---b:latest", "a---b:latest");
}

TEST(refused)
{
	static const char *const bad[] = {
		"",
		"/",
		"a/",
		"/a",
		"a//b",
		"Debian",
		"a/B",
		"a:",
		"a:.x",
		"a:-x",
		"a b",
		"a_-b",
		"a___b",
		"a..b",
		"-a",
		"a-",
		"a.",
		"_a",
		"a@",
		"a@x",
		"a@sha256:12",
		"a@sha256:" HEX64 "0",
		"a:b:c",
		"x.-y/a",
		"h:/a",
		"h:123456/a",
		"h:8x/a",
		"[::1/a",
		"[zz]/a",
		"a\n",
		"a:\xc3\xa4",
		"\xc3\xa4",
		"..",
		".",
		"../x",
		"a/../b",
		"@sha256:" HEX64,
		":tag",
		HEX64,
		"http://x/y",
		"a@sha256:" HEX64 "@sha256:" HEX64,
	};
	struct reference r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(reference_parse(bad[i], &r), ERR_INVALID);
}

TEST(limits)
{
	char text[400];
	struct reference r = REFERENCE_NONE;

	memset(text, 'a', sizeof(text));
	text[255 - strlen("library/")] = '\0';
	CHECK_OK(reference_parse(text, &r));
	reference_release(&r);
	text[255 - strlen("library/")] = 'a';
	text[256 - strlen("library/")] = '\0';
	CHECK_ERR(reference_parse(text, &r), ERR_INVALID);
	memset(text, 'a', sizeof(text));
	text[1] = ':';
	text[2 + 128] = '\0';
	CHECK_OK(reference_parse(text, &r));
	reference_release(&r);
	text[2 + 128] = 'a';
	text[2 + 129] = '\0';
	CHECK_ERR(reference_parse(text, &r), ERR_INVALID);
}

UNIT_MAIN
