// SPDX-License-Identifier: Apache-2.0
#include "engine/mount_spec.h"

#include <limits.h>

#include "base/memory.h"
#include "unit.h"

TEST(volumes)
{
	struct container_mount m;
	CHECK_OK(volume_spec_parse("/src:/dst", &m));
	CHECK(m.type == MOUNT_BIND && m.create_source && !m.options);
	CHECK_STR(m.source, "/src");
	CHECK_STR(m.target, "/dst");
	container_mount_release(&m);
	CHECK_OK(volume_spec_parse("data:/var/lib:ro,nocopy", &m));
	CHECK(m.type == MOUNT_VOLUME && strv_len(m.options) == 2);
	CHECK_STR(m.source, "data");
	CHECK_STR(m.options[0], "ro");
	container_mount_release(&m);
	CHECK_OK(volume_spec_parse("/anonymous", &m));
	CHECK(m.type == MOUNT_VOLUME && !m.source);
	container_mount_release(&m);
	CHECK_OK(volume_spec_parse("./here:/dst:rshared", &m));
	char cwd[PATH_MAX];
	CHECK(getcwd(cwd, sizeof(cwd)));
	_cleanup_free_ char *want = xasprintf("%s/here", cwd);
	CHECK_STR(m.source, want);
	container_mount_release(&m);
}

TEST(wrong_volumes)
{
	static const char *const wrong[] = {"",           ":",      "/a:",  ":/b",         "/a::ro",
					    "/a:/b:ro:x", "a b:/c", "/a:b", "/a:/b:maybe", "-x:/b",
					    "/a:/",       "/a:/b:", "x:/b", "relative",    NULL};
	for (const char *const *w = wrong; *w; w++) {
		struct container_mount m;
		struct err *e = volume_spec_parse(*w, &m);
		if (!e)
			printf("# accepted: %s\n", *w);
		CHECK(e);
		err_free(e);
	}
}

TEST(mounts)
{
	struct container_mount m;
	CHECK_OK(mount_spec_parse("type=bind,source=/a,target=/b,readonly,bind-propagation=rslave", &m));
	CHECK(m.type == MOUNT_BIND && !m.create_source && strv_len(m.options) == 2);
	CHECK(strv_contains(m.options, "ro") && strv_contains(m.options, "rslave"));
	container_mount_release(&m);
	CHECK_OK(mount_spec_parse("type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770", &m));
	CHECK(m.type == MOUNT_TMPFS && strv_contains(m.options, "size=67108864") &&
	      strv_contains(m.options, "mode=1770"));
	container_mount_release(&m);
	CHECK_OK(mount_spec_parse("src=data,dst=/d,readonly=false", &m));
	CHECK(m.type == MOUNT_VOLUME && !m.options);
	container_mount_release(&m);
	CHECK_OK(mount_spec_parse("type=bind,\"source=/a,b\",target=/x", &m));
	CHECK_STR(m.source, "/a,b");
	container_mount_release(&m);
}

TEST(wrong_mounts)
{
	static const char *const wrong[] = {"",
					    "type=bind",
					    "type=bind,target=/x",
					    "type=bind,source=/a",
					    "type=bind,source=a,target=/x",
					    "type=what,target=/x",
					    "type=tmpfs,source=/a,target=/x",
					    "type=tmpfs,target=/x,bind-propagation=shared",
					    "type=bind,source=/a,target=x",
					    "type=volume,source=/a,target=/x",
					    "target=/x,colour=red",
					    "type=tmpfs,target=/x,tmpfs-mode=9",
					    "type=bind,source=/a,target=/x,readonly=perhaps",
					    "\"target=/x",
					    "type=npipe,source=a,target=/x",
					    NULL};
	for (const char *const *w = wrong; *w; w++) {
		struct container_mount m;
		struct err *e = mount_spec_parse(*w, &m);
		if (!e)
			printf("# accepted: %s\n", *w);
		CHECK(e);
		err_free(e);
	}
}

TEST(tmpfs)
{
	struct container_mount m;
	CHECK_OK(tmpfs_spec_parse("/run:rw,size=64m", &m));
	CHECK(m.type == MOUNT_TMPFS && strv_len(m.options) == 2);
	container_mount_release(&m);
	CHECK_OK(tmpfs_spec_parse("/run", &m));
	CHECK(!m.options);
	container_mount_release(&m);
	CHECK_ERR(tmpfs_spec_parse("run", &m), ERR_INVALID);
	CHECK_ERR(tmpfs_spec_parse("", &m), ERR_INVALID);
}

UNIT_MAIN
