/* SPDX-License-Identifier: Apache-2.0 */
#include "passwd.h"

#include <string.h>

#include "unit.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "web:x:33:33:web:/var/www:/bin/false\n"
			     "1000:x:0:0:a number as a name:/root:/bin/sh\n"
			     "4294967296:x:0:0::/root:/bin/sh\n"
			     "big:x:4294967296:0::/:/bin/sh\n"
			     "neg:x:-1:0::/:/bin/sh\n"
			     "short:x:5\n"
			     "alice:x:500:500::/home/alice:/bin/sh";
static const char group[] = "root:x:0:\nweb:x:33:\nadm:x:4:root,alice\naudio:x:29:alice,alice,bob\n"
			    "2000:x:0:\nbroken\nalice:x:500:\n";

static struct err *lookup(const char *spec, struct user *u)
{
	return user_lookup(spec, NULL, passwd, strlen(passwd), group, strlen(group), u);
}

TEST(names_numbers_and_groups)
{
	struct user u;

	CHECK_OK(lookup(NULL, &u));
	CHECK(u.uid == 0 && u.gid == 0 && u.n_groups == 1 && u.groups[0] == 4);
	CHECK_STR(u.home, "/root");
	user_release(&u);
	CHECK_OK(lookup("alice", &u));
	CHECK(u.uid == 500 && u.gid == 500 && u.n_groups == 2 && u.groups[0] == 4 && u.groups[1] == 29);
	user_release(&u);
	CHECK_OK(lookup("500", &u));
	CHECK(u.uid == 500 && u.gid == 500 && u.n_groups == 2);
	CHECK_STR(u.home, "/home/alice");
	user_release(&u);
	CHECK_OK(lookup("alice:web", &u));
	CHECK(u.uid == 500 && u.gid == 33 && u.n_groups == 0);
	user_release(&u);
	CHECK_OK(lookup("77:88", &u));
	CHECK(u.uid == 77 && u.gid == 88 && u.n_groups == 0);
	CHECK_STR(u.home, "/");
	user_release(&u);
}

/* CVE-2026-46680: a number is never a name, whatever the image's passwd says. */
TEST(a_number_is_never_a_name)
{
	struct user u;

	CHECK_OK(lookup("1000", &u));
	CHECK(u.uid == 1000 && u.gid == 0);
	user_release(&u);
	CHECK_OK(lookup("5:2000", &u));
	CHECK(u.gid == 2000);
	user_release(&u);
}

/* CVE-2024-40635: a number that overflows is an error and not root. */
TEST(numbers_out_of_range_are_refused)
{
	struct user u;

	CHECK_ERR(lookup("4294967296", &u), ERR_INVALID);
	CHECK_ERR(lookup("2147483648", &u), ERR_INVALID);
	CHECK_ERR(lookup("18446744073709551616", &u), ERR_INVALID);
	CHECK_ERR(lookup("99999999999999999999999999", &u), ERR_INVALID);
	CHECK_ERR(lookup("1:4294967296", &u), ERR_INVALID);
	CHECK_ERR(lookup("-1", &u), ERR_INVALID);
	CHECK_ERR(lookup("+1", &u), ERR_INVALID);
	CHECK_ERR(lookup("0:-1", &u), ERR_INVALID);
}

TEST(broken_lines_do_not_exist)
{
	struct user u;

	CHECK_ERR(lookup("big", &u), ERR_NOT_FOUND);
	CHECK_ERR(lookup("neg", &u), ERR_NOT_FOUND);
	CHECK_ERR(lookup("short", &u), ERR_NOT_FOUND);
	CHECK_ERR(lookup("alice:broken", &u), ERR_NOT_FOUND);
	CHECK_ERR(lookup("nobody-here", &u), ERR_NOT_FOUND);
}

TEST(absent_files)
{
	struct user u;
	char *add[] = {(char *)"7", (char *)"7", (char *)"9", NULL};

	CHECK_OK(user_lookup("", add, NULL, 0, NULL, 0, &u));
	CHECK(u.uid == 0 && u.gid == 0 && u.n_groups == 2);
	user_release(&u);
	CHECK_ERR(user_lookup("name", NULL, NULL, 0, NULL, 0, &u), ERR_NOT_FOUND);
}

UNIT_MAIN
