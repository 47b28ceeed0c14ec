/* SPDX-License-Identifier: Apache-2.0 */
#include "spec.h"

#include <sys/mount.h>

#include "base/memory.h"
#include "runtime/container.h"
#include "unit.h"

/* The default configuration with one member replaced: "linux", "sysctl", text of the value. */
static struct err *parse_with(const char *section, const char *key, const char *value, struct spec **ret)
{
	_cleanup_json_ struct json *document = rt_spec_default(false);
	struct json *v = NULL;
	struct json_cursor root = json_root(document), c = root;

	if (section)
		err_free(json_get_object(&root, section, JSON_REQUIRED, &c));
	err_free(json_parse(value, strlen(value), "value", &v));
	json_set(c.value, key, v);
	return spec_parse(document, ret);
}

static bool refuses(const char *section, const char *key, const char *value, const char *words)
{
	struct spec *s = NULL;
	_cleanup_err_ struct err *e = parse_with(section, key, value, &s);

	spec_free(s);
	if (!e)
		return false;
	_cleanup_free_ char *text = err_text(e);
	if (strstr(text, words))
		return true;
	printf("# %s\n", text);
	return false;
}

TEST(default_parses)
{
	for (int rootless = 0; rootless < 2; rootless++) {
		_cleanup_json_ struct json *document = rt_spec_default(rootless);
		_cleanup_(spec_freep) struct spec *s = NULL;

		CHECK_OK(spec_parse(document, &s));
		CHECK_STR(s->process.args[0], "sh");
		CHECK(s->process.terminal && s->root_readonly && s->process.no_new_privileges);
		CHECK(s->ns[SPEC_NS_USER].present == (rootless == 1));
		CHECK(s->process.caps.bounding == (1ULL << 29 | 1ULL << 5 | 1ULL << 10));
		CHECK(s->process.caps.inheritable == 0);
	}
}

TEST(mount_options)
{
	_cleanup_(spec_freep) struct spec *s = NULL;

	CHECK_OK(parse_with(
		NULL, "mounts",
		"[{\"destination\":\"/"
		"a\",\"type\":\"tmpfs\",\"options\":[\"ro\",\"rw\",\"noatime\",\"nosuid\","
		"\"size=1\",\"rro\",\"rnoatime\"]},"
		"{\"destination\":\"/b\",\"source\":\"/x\",\"options\":[\"rbind\",\"rshared\",\"sync\"]}]",
		&s));
	const struct spec_mount *m = s->mounts;
	CHECK(m[0].attr_set == (MOUNT_ATTR_NOATIME | MOUNT_ATTR_NOSUID));
	CHECK(m[0].attr_clear == (MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME));
	CHECK(m[0].rec_set == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME) &&
	      m[0].rec_clear == MOUNT_ATTR__ATIME);
	CHECK_STR(m[0].data[0], "size=1");
	CHECK(m[1].bind && m[1].recursive && m[1].propagation == MS_SHARED && m[1].propagation_recursive);
	CHECK_STR(m[1].data[0], "sync");
}

/* The table is searched by halving: it must be sorted, so every name of it must be found again. */
TEST(every_mount_option_is_known)
{
	struct json *features = rt_features();
	struct json_cursor root = json_root(features), list;

	CHECK_OK(json_get_array(&root, "mountOptions", JSON_REQUIRED, &list));
	CHECK(json_array_len(&list) > 60);
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor c = json_at(&list, i);
		const char *name;
		_cleanup_(spec_freep) struct spec *s = NULL;

		CHECK_OK(json_as_string(&c, &name));
		if (strstr(name, "idmap"))
			continue;
		_cleanup_free_ char *text =
			xasprintf("[{\"destination\":\"/a\",\"type\":\"%s\",\"source\":\"/\","
				  "\"options\":[\"%s\"]}]",
				  strcmp(name, "copy-symlink") == 0 ? "bind" : "tmpfs", name);
		CHECK_OK(parse_with(NULL, "mounts", text, &s));
		bool superblock = strcmp(name, "sync") == 0 || strcmp(name, "dirsync") == 0 ||
				  strcmp(name, "mand") == 0 || strcmp(name, "lazytime") == 0;
		if (!s->mounts[0].data != !superblock)
			printf("# %s\n", name);
		CHECK(!s->mounts[0].data == !superblock);
	}
	json_unref(features);
}

TEST(sysctl_names)
{
	_cleanup_(spec_freep) struct spec *s = NULL;

	CHECK_OK(parse_with(
		"linux", "sysctl",
		"{\"net.ipv4.conf.eth0/1.forwarding\":\"1\",\"net/ipv4/conf/eth0.1/forwarding\":\"1\"}", &s));
	CHECK(s->n_sysctls == 2);
	CHECK_STR(s->sysctls[0].key, "net/ipv4/conf/eth0.1/forwarding");
	CHECK_STR(s->sysctls[1].key, "net/ipv4/conf/eth0.1/forwarding");
	CHECK(refuses("linux", "sysctl", "{\"kernel.core_pattern\":\"|x\"}",
		      "linux.sysctl.kernel.core_pattern"));
	CHECK(refuses("linux", "sysctl", "{\"net/../kernel/core_pattern\":\"|x\"}", "not the name"));
	CHECK(refuses("linux", "sysctl", "{\"user.max_user_namespaces\":\"1\"}", "user namespace"));
	CHECK(refuses("linux", "sysctl", "{\"kernel.hostname\":\"x\"}", "hostname"));
	CHECK(refuses("linux", "sysctl", "{\"net.core.somaxconn\":1}", "must be a string"));
}

TEST(id_maps)
{
	CHECK(refuses("linux", "uidMappings", "[{\"containerID\":0,\"hostID\":0,\"size\":1}]", "together"));
	CHECK(refuses("linux", "namespaces", "[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"user\"}]",
		      "uidMappings"));
}

#define OWN_MAPS \
	"[{\"containerID\":0,\"hostID\":0,\"size\":1},{\"containerID\":1,\"hostID\":2,\"size\":1000}]"

static struct err *parse_idmap(const char *option, struct spec **ret)
{
	_cleanup_free_ char *text = xasprintf(
		"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":[{\"type\":"
		"\"mount\"},"
		"{\"type\":\"user\"}],\"uidMappings\":" OWN_MAPS ",\"gidMappings\":" OWN_MAPS "},\"mounts\":["
		"{\"destination\":\"/a\",\"source\":\"/\",\"options\":[\"bind\",\"%s\"]}]}",
		option);
	struct json *document;
	CHECK_OK(json_parse(text, strlen(text), "test", &document));
	struct err *e = spec_parse(document, ret);
	json_unref(document);
	return e;
}

static bool is_map(const struct spec_id_map *m, uint32_t container, uint32_t host, uint32_t size)
{
	return m->container_id == container && m->host_id == host && m->size == size;
}

TEST(mappings_inside_an_option)
{
	_cleanup_(spec_freep) struct spec *s = NULL, *relative = NULL, *one = NULL, *none = NULL;

	CHECK_OK(parse_idmap("ridmap=uids=0-1-10#10-11-5;gids=0-100-10", &s));
	const struct spec_mount *m = &s->mounts[0];
	CHECK(m->idmap == SPEC_IDMAP_RECURSIVE && m->maps.n_uid == 2 && m->maps.n_gid == 1);
	CHECK(is_map(&m->maps.uid[0], 0, 1, 10) && is_map(&m->maps.uid[1], 10, 11, 5));
	CHECK(is_map(&m->maps.gid[0], 0, 100, 10));
	/* The example of crun's manual. */
	CHECK_OK(parse_idmap("idmap=uids=@1-3-10;gids=@0-0-1", &relative));
	CHECK(is_map(&relative->mounts[0].maps.uid[0], 1, 4, 10));
	CHECK(is_map(&relative->mounts[0].maps.gid[0], 0, 0, 1));
	CHECK_OK(parse_idmap("idmap=gids=5-6-7", &one));
	CHECK(one->mounts[0].idmap == SPEC_IDMAP_ONE && one->mounts[0].maps.n_uid == 2);
	CHECK(is_map(&one->mounts[0].maps.uid[1], 1, 2, 1000));
	CHECK_OK(parse_idmap("idmap=", &none));
	CHECK(none->mounts[0].idmap == SPEC_IDMAP_ONE && !none->mounts[0].maps.n_uid);

	static const char *const bad[] = {
		"idmap=uids=",
		"idmap=uids=0-1",
		"idmap=uids=0-1-0",
		"idmap=uids=0-1-10#",
		"idmap=uids=0-1-10,",
		"idmap=uids=-1-1-1",
		"idmap=uids=0-1-4294967296",
		"idmap=uids=4294967295-1-1",
		"idmap=sids=0-1-1",
		"idmap=uids=@0-1001-1",
		"idmap=uids=@0-995-10",
		"idmap=uids=0-1-1;x",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(spec_freep) struct spec *refused = NULL;
		_cleanup_err_ struct err *e = parse_idmap(bad[i], &refused);
		CHECK(e);
		_cleanup_free_ char *why = err_text(e);
		CHECK(strstr(why, "mounts[0].options[1]"));
	}
}

TEST(wrong_values_are_named)
{
	CHECK(refuses("process", "cwd", "\"x\"", "process.cwd"));
	CHECK(refuses("process", "args", "[1]", "process.args[0]"));
	CHECK(refuses("process", "rlimits", "[{\"type\":\"RLIMIT_CORE\",\"soft\":-1,\"hard\":0}]",
		      "process.rlimits[0].soft"));
	CHECK(refuses("process", "user", "{\"additionalGids\":[4294967295]}",
		      "process.user.additionalGids[0]"));
	CHECK(refuses("process", "scheduler", "{\"policy\":\"X\"}", "process.scheduler"));
	CHECK(refuses("process", "consoleSize", "{\"height\":70000,\"width\":1}",
		      "process.consoleSize.height"));
	CHECK(refuses("linux", "devices", "[{\"path\":\"/x\",\"type\":\"c\"}]", "linux.devices[0].major"));
	CHECK(refuses("linux", "memoryPolicy", "{\"mode\":\"MPOL_BIND\",\"nodes\":\"3-1\"}", "nodes"));
	CHECK(refuses("linux", "personality", "{\"domain\":\"SOLARIS\"}", "linux.personality"));
	CHECK(refuses("linux", "netDevices", "{\"a/b\":{}}", "interface"));
	CHECK(refuses("linux", "timeOffsets", "{\"realtime\":{}}", "linux.timeOffsets.realtime"));
	CHECK(refuses(NULL, "hooks", "{\"poststop\":[{}]}", "hooks.poststop[0].path"));
	CHECK(refuses(NULL, "annotations", "{\"a\":1}", "annotations.a"));
	CHECK(refuses(NULL, "vm", "{}", "vm"));
}

TEST(ids)
{
	CHECK_OK(rt_id_check("a-b_c.D+9"));
	static const char *const bad[] = {"", ".", "..", "a/b", "a b", "\xc3\xa4", "a\n"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(rt_id_check(bad[i]), ERR_INVALID);
}

UNIT_MAIN
