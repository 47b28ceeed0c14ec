// SPDX-License-Identifier: Apache-2.0
#include "cli.h"
#include "unit.h"

#define VECTOR(...) ((char *const *)(const char *const[]){__VA_ARGS__, NULL})

#define environment VECTOR("HOME=/root", "EMPTY=")

static struct err *parse(const char *text, char ***ret)
{
	return env_file_parse(text, strlen(text), "file", environment, ret);
}

TEST(lines)
{
	_cleanup_strv_ char **v = NULL;
	CHECK_OK(parse("A=1\n# comment\n\n  B=two words # kept\nHOME\nEMPTY\nABSENT\nC=\r\nD=a=b\nE=\"q\"",
		       &v));
	CHECK(strv_len(v) == 7);
	CHECK_STR(v[0], "A=1");
	CHECK_STR(v[1], "B=two words # kept");
	CHECK_STR(v[2], "HOME=/root");
	CHECK_STR(v[3], "EMPTY=");
	CHECK_STR(v[4], "C=");
	CHECK_STR(v[5], "D=a=b");
	CHECK_STR(v[6], "E=\"q\"");
}

TEST(byte_order_mark)
{
	_cleanup_strv_ char **v = NULL;
	CHECK_OK(parse("\xef\xbb\xbf"
		       "A=1",
		       &v));
	CHECK_STR(v[0], "A=1");
}

TEST(errors_name_the_line)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_err_ struct err *e = parse("A=1\nB C=2\n", &v);
	CHECK(e && strstr(e->message, "file, line 2"));
	CHECK_ERR(parse("=x", &v), ERR_INVALID);
	CHECK_ERR(env_file_parse("A=\0b", 4, "file", environment, &v), ERR_INVALID);
}

TEST(arguments)
{
	_cleanup_strv_ char **v = NULL;
	CHECK_OK(env_argument("HOME", environment, &v));
	CHECK_OK(env_argument("NOTHING", environment, &v));
	CHECK_OK(env_argument("X=", environment, &v));
	CHECK(strv_len(v) == 2);
	CHECK_STR(v[0], "HOME=/root");
	CHECK_ERR(env_argument("=x", environment, &v), ERR_INVALID);
	CHECK_ERR(env_argument("", environment, &v), ERR_INVALID);
}

UNIT_MAIN
