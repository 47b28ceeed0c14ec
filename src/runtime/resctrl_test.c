/* SPDX-License-Identifier: Apache-2.0 */
/* The groups of resctrl, in a folder that looks like one: few machines have the real one. */
#include "resctrl.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "unit.h"

static const char schemata[] = "    MB:0=100;1=100\n    L3:0=7ff;1=00f\n";

static void fake_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0);
	CHECK_OK(fd_write_full(fd, text, strlen(text), name));
	close(fd);
}

/* What the kernel puts into each new group. */
static int fake_group(int root, const char *name)
{
	CHECK(str_eq(name, ".") || mkdirat(root, name, 0755) == 0);
	int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fake_file(fd, "schemata", schemata);
	fake_file(fd, "tasks", "");
	CHECK(mkdirat(fd, "mon_groups", 0755) == 0);
	return fd;
}

static char *contents(int dir, const char *name)
{
	char *text = NULL;
	size_t size;
	CHECK_OK(file_read_at(dir, name, 4096, &text, &size));
	return text;
}

static bool exists(int dir, const char *name)
{
	struct stat st;
	return fstatat(dir, name, &st, 0) == 0;
}

static int fake_root(char path[32])
{
	SKIP_EMULATED("no openat2");
	snprintf(path, 32, "/tmp/resctrl.XXXXXX");
	CHECK(mkdtemp(path));
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(fake_group(root, "."));
	return root;
}

static void fake_remove(int root, const char *path)
{
	close(root);
	CHECK_OK(file_remove_tree_at(AT_FDCWD, path));
}

TEST(schemas_are_compared_by_value)
{
	CHECK(resctrl_schema_matches(schemata, "L3:0=7ff;1=f"));
	CHECK(resctrl_schema_matches(schemata, "L3:1=F"));
	CHECK(resctrl_schema_matches(schemata, "MB:1=100;0=100"));
	CHECK(resctrl_schema_matches(schemata, "L3:0=7FF\nMB:0=100"));
	CHECK(!resctrl_schema_matches(schemata, "L3:0=7fe"));
	CHECK(!resctrl_schema_matches(schemata, "L3:2=f"));
	CHECK(!resctrl_schema_matches(schemata, "L2:0=f"));
	CHECK(!resctrl_schema_matches(schemata, "L3:0"));
	CHECK(!resctrl_schema_matches(schemata, "L3"));
	CHECK(!resctrl_schema_matches("", "L3:0=f"));
}

TEST(an_existing_class_must_have_the_schema)
{
	char path[32];
	int root = fake_root(path), group = fake_group(root, "gold");
	struct spec_rdt r = {.set = true, .clos_id = "gold", .l3_cache = "L3:0=7ff", .mem_bw = "MB:0=100"};

	CHECK_OK(resctrl_make(root, &r, "c1"));
	r.mem_bw = "MB:0=50";
	_cleanup_err_ struct err *e = resctrl_make(root, &r, "c1");
	CHECK(e && e->kind == ERR_INVALID);
	_cleanup_free_ char *text = err_text(e);
	CHECK(strstr(text, "linux.intelRdt.memBwSchema"));
	/* Nothing was written, and the class is not ours to remove. */
	_cleanup_free_ char *file = contents(group, "schemata");
	CHECK_STR(file, schemata);
	CHECK_OK(resctrl_remove(root, &r, "c1"));
	CHECK(exists(root, "gold"));
	close(group);
	fake_remove(root, path);
}

TEST(a_class_without_schema_must_exist)
{
	char path[32];
	int root = fake_root(path);
	struct spec_rdt r = {.set = true, .clos_id = "none"};

	CHECK_ERR(resctrl_make(root, &r, "c1"), ERR_NOT_FOUND);
	CHECK(!exists(root, "none"));
	fake_remove(root, path);
}

TEST(a_class_that_cannot_be_filled_is_removed)
{
	char path[32];
	int root = fake_root(path);
	/* A directory made here has no schemata file: as if the kernel refused it. */
	struct spec_rdt r = {.set = true, .clos_id = "new", .l3_cache = "L3:0=1"};

	CHECK_ERR(resctrl_make(root, &r, "c1"), ERR_NOT_FOUND);
	CHECK(!exists(root, "new"));
	fake_remove(root, path);
}

TEST(own_group_is_made_and_removed)
{
	char path[32];
	int root = fake_root(path);
	struct spec_rdt r = {.set = true};

	CHECK_OK(resctrl_make(root, &r, "c1"));
	CHECK(exists(root, "c1"));
	CHECK_ERR(resctrl_make(root, &r, "c1"), ERR_EXISTS);
	CHECK_OK(resctrl_remove(root, &r, "c1"));
	CHECK(!exists(root, "c1"));
	CHECK_OK(resctrl_remove(root, &r, "c1"));
	fake_remove(root, path);
}

TEST(schemata_are_written_and_processes_join)
{
	char path[32], *lines[] = {(char *)"L3:0=1", NULL};
	int root = fake_root(path), group = fake_group(root, "gold");
	struct spec_rdt r = {.set = true, .clos_id = "gold", .schemata = lines, .monitoring = true};

	CHECK_OK(resctrl_make(root, &r, "c1"));
	CHECK(exists(group, "mon_groups/c1"));
	_cleanup_free_ char *file = contents(group, "schemata");
	CHECK(str_starts(file, "L3:0=1\n"));
	fake_file(group, "mon_groups/c1/tasks", "");
	CHECK_OK(resctrl_join(root, &r, "c1", 77));
	_cleanup_free_ char *tasks = contents(group, "tasks"),
			    *monitored = contents(group, "mon_groups/c1/tasks");
	CHECK_STR(tasks, "77\n");
	CHECK_STR(monitored, "77\n");
	CHECK(unlinkat(group, "mon_groups/c1/tasks", 0) == 0);
	CHECK_OK(resctrl_remove(root, &r, "c1"));
	CHECK(!exists(group, "mon_groups/c1") && exists(root, "gold"));
	close(group);
	fake_remove(root, path);
}

TEST(an_update_writes_what_is_given)
{
	char path[32];
	int root = fake_root(path), own = fake_group(root, "c1"), gold = fake_group(root, "gold");
	struct spec_rdt r = {.set = true, .l3_cache = "L3:0=1;1=2", .mem_bw = "MB:0=50"};

	/* A fake file keeps what is behind the written bytes; the kernel's answers with all values. */
	CHECK_OK(resctrl_update(root, &r, "c1"));
	_cleanup_free_ char *both = contents(own, "schemata");
	CHECK(str_starts(both, "L3:0=1;1=2\nMB:0=50\n"));
	r = (struct spec_rdt){.set = true, .clos_id = "gold", .mem_bw = "MB:1=20"};
	CHECK_OK(resctrl_update(root, &r, "c1"));
	_cleanup_free_ char *one = contents(gold, "schemata");
	CHECK(str_starts(one, "MB:1=20\n"));
	r = (struct spec_rdt){.set = true, .l3_cache = "L3:0=1"};
	CHECK_ERR(resctrl_update(root, &r, "gone"), ERR_NOT_FOUND);
	/* A refusal of the kernel names the property and has its own words. */
	CHECK(unlinkat(own, "schemata", 0) == 0 && mkdirat(root, "info", 0755) == 0);
	fake_file(root, "info/last_cmd_status", "Mask out of range\n");
	_cleanup_err_ struct err *e = resctrl_update(root, &r, "c1");
	_cleanup_free_ char *text = err_text(e);
	CHECK(strstr(text, "linux.intelRdt.l3CacheSchema: Mask out of range"));
	close(own);
	close(gold);
	fake_remove(root, path);
}

TEST(the_default_class)
{
	char path[32];
	int root = fake_root(path);
	struct spec_rdt r = {.set = true, .clos_id = "/", .monitoring = true};

	CHECK_OK(resctrl_make(root, &r, "c1"));
	CHECK(exists(root, "mon_groups/c1"));
	CHECK_OK(resctrl_remove(root, &r, "c1"));
	CHECK(!exists(root, "mon_groups/c1") && exists(root, "tasks"));
	fake_remove(root, path);
}

UNIT_MAIN
