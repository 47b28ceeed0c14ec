/* SPDX-License-Identifier: Apache-2.0 */
/* From what was asked for to the OCI configuration, without a container. */
#include "spec.h"

#include <sys/stat.h>
#include <unistd.h>

#include "detach_keys.h"
#include "security.h"
#include "ulimit.h"
#include "unit.h"

static char dir[] = "/tmp/havre-spec-test-XXXXXX";
static struct engine engine;
static struct container_spec spec;
static struct container container;
static struct inroot rootfs = {.fd = -1};

static char **words(const char *s)
{
	return strv_split(s, " ");
}

static void put(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/rootfs/%s", dir, name);
	CHECK_OK(file_replace_at(AT_FDCWD, path, text, strlen(text), 0644, FILE_VOLATILE));
}

static void set_up(void)
{
	CHECK(mkdtemp(dir));
	_cleanup_free_ char *etc = xasprintf("%s/rootfs/etc", dir), *root = xasprintf("%s/rootfs", dir);
	CHECK_OK(file_mkdir_p(etc, 0755));
	CHECK_OK(inroot_open(root, &rootfs));
	put("etc/passwd", "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n");
	put("etc/group", "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n");
	engine.root = dir;
	memset(container.id, 'a', 64);
	container.root_dir = dir;
	container.spec = &spec;
	strv_push(&container.command, "true");
}

static void tear_down(void)
{
	inroot_close(&rootfs);
	strv_free(container.command);
	container_spec_release(&spec);
	CHECK_OK(file_remove_tree_at(AT_FDCWD, dir));
}

static struct json *generate(void)
{
	struct spec_input in = {
		.engine = &engine, .c = &container, .rootfs = &rootfs, .rows = 24, .cols = 80};
	struct json *doc = NULL;

	CHECK_OK(spec_generate(&in, &doc));
	return doc;
}

/* Whether the printed document has this piece of text. */
static bool has(struct json *doc, const char *text)
{
	_cleanup_free_ char *printed = json_print(doc, JSON_COMPACT);
	return strstr(printed, text);
}

TEST(defaults)
{
	set_up();
	_cleanup_json_ struct json *doc = generate();
	CHECK(has(doc, "\"args\":[\"true\"]"));
	CHECK(has(doc, "\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/"
		       "bin\",\"HOSTNAME=aaaaaaaaaaaa\",\"HOME=/root\"]") ||
	      has(doc, "\"HOSTNAME=aaaaaaaaaaaa\",\"HOME=\\/root\"]"));
	CHECK(has(doc, "\"hostname\":\"aaaaaaaaaaaa\""));
	CHECK(has(doc, "\"inheritable\":[],\"ambient\":[]"));
	CHECK(has(doc, "\"allow\":false,\"access\":\"rwm\""));
	CHECK(has(doc, "{\"type\":\"network\"}") && has(doc, "{\"type\":\"pid\"}"));
	CHECK(has(doc, "maskedPaths") && has(doc, "\"defaultAction\""));
	CHECK(!has(doc, "consoleSize") && !has(doc, "\"memory\""));
	tear_down();
}

TEST(privileged_has_neither_filter_nor_masks)
{
	set_up();
	spec.privileged = true;
	_cleanup_json_ struct json *doc = generate();
	CHECK(!has(doc, "maskedPaths") && !has(doc, "readonlyPaths") && !has(doc, "\"defaultAction\""));
	CHECK(has(doc, "CAP_SYS_ADMIN") && !has(doc, "\"allow\":false"));
	tear_down();
}

TEST(host_modes_share)
{
	set_up();
	spec.network = xstrdup("host");
	spec.pid_mode = xstrdup("host");
	spec.ipc_mode = xstrdup("host");
	spec.uts_mode = xstrdup("host");
	_cleanup_json_ struct json *doc = generate();
	CHECK(!has(doc, "{\"type\":\"network\"}") && !has(doc, "{\"type\":\"pid\"}"));
	CHECK(!has(doc, "{\"type\":\"ipc\"}") && !has(doc, "{\"type\":\"uts\"}"));
	CHECK(!has(doc, "\"hostname\"") && !has(doc, "ping_group_range"));
	tear_down();
}

TEST(users_terminal_and_working_directory)
{
	set_up();
	spec.user = xstrdup("user");
	spec.tty = true;
	spec.workdir = xstrdup("/made/for it");
	spec.env = words("HOME=/mine TERM=vt100");
	_cleanup_json_ struct json *doc = generate();
	CHECK(has(doc, "\"uid\":1000,\"gid\":1000,\"additionalGids\":[1000,2000]"));
	CHECK(has(doc, "\"height\":24,\"width\":80"));
	CHECK(has(doc, "TERM=vt100") && !has(doc, "TERM=xterm"));
	CHECK(has(doc, "\"effective\":[],\"permitted\":[]"));
	_cleanup_free_ char *path = xasprintf("%s/rootfs/made/for it", dir);
	struct stat st;
	CHECK(stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (geteuid() != 0 || st.st_uid == 1000));
	tear_down();
}

TEST(mounts_are_ordered_and_replace_defaults)
{
	set_up();
	spec.n_mounts = 3;
	spec.mounts = xnew_array(struct container_mount, 3);
	spec.mounts[0] = (struct container_mount){MOUNT_TMPFS, NULL, xstrdup("/a/b/c"), words("size=1m")};
	spec.mounts[1] =
		(struct container_mount){MOUNT_BIND, xstrdup("/tmp"), xstrdup("/a"), words("ro rshared")};
	spec.mounts[2] = (struct container_mount){MOUNT_TMPFS, NULL, xstrdup("/dev/shm"), NULL};
	struct spec_input in = {.engine = &engine, .c = &container, .rootfs = &rootfs};
	struct json *list;
	CHECK_OK(spec_mounts(&in, &list));
	_cleanup_free_ char *text = json_print(list, JSON_COMPACT);
	char *bind = strstr(text, "rbind\",\"rshared\",\"ro\",\"rro"), *inner = strstr(text, "size=1m");
	CHECK(bind && inner && bind < inner);
	CHECK(!strstr(text, "size=67108864")); /* the default /dev/shm is gone */
	json_unref(list);
	spec.mounts[1].options = (strv_free(spec.mounts[1].options), words("bogus"));
	CHECK_ERR(spec_mount_check(&spec.mounts[1]), ERR_INVALID);
	tear_down();
}

TEST(limits_and_devices)
{
	set_up();
	spec.memory_bytes = 64 << 20;
	spec.memory_swap_bytes = 128 << 20;
	spec.nano_cpus = 1500000000;
	spec.pids_limit = 10;
	strv_push(&spec.devices, "/dev/null:/dev/other:r");
	strv_push(&spec.device_cgroup_rules, "c 10:* rw");
	strv_push(&spec.ulimits, "nofile=10:20");
	_cleanup_json_ struct json *doc = generate();
	CHECK(has(doc, "\"limit\":67108864,\"swap\":134217728"));
	CHECK(has(doc, "\"period\":100000,\"quota\":150000"));
	CHECK(has(doc, "\"pids\":{\"limit\":10}"));
	CHECK(has(doc, "\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"r\""));
	CHECK(has(doc, "\"type\":\"c\",\"major\":10,\"access\":\"rw\""));
	CHECK(has(doc, "\"type\":\"RLIMIT_NOFILE\",\"soft\":10,\"hard\":20"));
	strv_push(&spec.device_cgroup_rules, "x 1:1 rw");
	struct json *a, *b;
	CHECK_ERR(spec_resources(&spec, &a, &b), ERR_INVALID);
	tear_down();
}

TEST(a_stored_specification_is_the_same)
{
	struct container_spec s = {.tty = true,
				   .memory_bytes = INT64_MAX,
				   .stop_timeout_s = -1,
				   .oom_score_adj = -5},
			      back;

	s.name = xstrdup("n \"quoted\"");
	s.env = words("A=1 B=");
	s.n_mounts = 1;
	s.mounts = xnew_array(struct container_mount, 1);
	s.mounts[0] = (struct container_mount){MOUNT_VOLUME, xstrdup("v"), xstrdup("/v"), words("ro"),
					       .anonymous = true};
	_cleanup_json_ struct json *doc = container_spec_to_json(&s);
	CHECK_OK(container_spec_from_json(doc, &back));
	_cleanup_json_ struct json *again = container_spec_to_json(&back);
	_cleanup_free_ char *one = json_print(doc, JSON_COMPACT), *two = json_print(again, JSON_COMPACT);
	CHECK_STR(one, two);
	CHECK(back.stop_timeout_s == -1 && back.memory_bytes == INT64_MAX && back.mounts[0].anonymous);
	container_spec_release(&s);
	container_spec_release(&back);
}

TEST(capability_names)
{
	struct container_spec s = {0};

	s.cap_drop = words("all");
	s.cap_add = words("cap_chown NET_RAW");
	CHECK_OK(security_check(&s));
	_cleanup_strv_ char **list = security_capabilities(&s);
	CHECK(strv_len(list) <= 2); /* fewer in a container that has not got them itself */
	strv_push(&s.cap_add, "CAP_FLY");
	CHECK_ERR(security_check(&s), ERR_INVALID);
	container_spec_release(&s);
}

TEST(docker_profiles_are_resolved)
{
	static const char text[] =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\","
		"\"subArchitectures\":[\"SCMP_ARCH_X86\"]},"
		"{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}],"
		"\"syscalls\":["
		"{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_BPF\"]}},"
		"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"caps\":[\"CAP_SYS_"
		"ADMIN\"]}},"
		"{\"names\":[\"future\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"99.0\"}}"
		","
		"{\"name\":\"read\",\"action\":\"SCMP_ACT_ALLOW\",\"comment\":\"old form\"}]}";
	_cleanup_json_ struct json *profile = NULL, *out = NULL;
	char *const capabilities[] = {(char *)"CAP_BPF", (char *)"CAP_SYS_ADMIN", NULL};

	CHECK_OK(json_parse(text, strlen(text), "profile", &profile));
	CHECK_OK(seccomp_profile_resolve(profile, capabilities, &out));
	CHECK(has(out, "[\"bpf\"]") && has(out, "[\"read\"]"));
	CHECK(!has(out, "clone") && !has(out, "future") && !has(out, "comment") && !has(out, "includes"));
}

TEST(ulimits)
{
	struct ulimit l;

	CHECK_OK(ulimit_parse("nofile=1024", &l));
	CHECK(l.soft == 1024 && l.hard == 1024);
	CHECK_OK(ulimit_parse("core=0:unlimited", &l));
	CHECK(l.soft == 0 && l.hard == UINT64_MAX);
	CHECK_ERR(ulimit_parse("nofile", &l), ERR_INVALID);
	CHECK_ERR(ulimit_parse("nofile=", &l), ERR_INVALID);
	CHECK_ERR(ulimit_parse("nosuch=1", &l), ERR_INVALID);
	CHECK_ERR(ulimit_parse("nofile=2:1", &l), ERR_INVALID);
	CHECK_ERR(ulimit_parse("nofile=-2", &l), ERR_INVALID);
}

static size_t filter(struct detach_keys *k, const char *in, char *out, bool *detached)
{
	size_t n = detach_keys_filter(k, in, strlen(in), out, detached);
	out[n] = '\0';
	return n;
}

TEST(detach_keys)
{
	struct detach_keys k;
	char out[64];
	bool detached = false;

	CHECK_OK(detach_keys_parse("ctrl-p,ctrl-q", &k));
	CHECK(filter(&k, "ab\x10", out, &detached) == 2 && !detached); /* held back */
	filter(&k, "c", out, &detached);
	CHECK_STR(out, "\x10"
		       "c");
	filter(&k, "\x10\x10\x11rest", out, &detached);
	CHECK_STR(out, "\x10");
	CHECK(detached);
	CHECK_OK(detach_keys_parse("a,ctrl-\\", &k));
	detached = false;
	filter(&k, "xa\x1c", out, &detached);
	CHECK(detached);
	CHECK_OK(detach_keys_parse("", &k));
	detached = false;
	CHECK(filter(&k, "\x10\x11", out, &detached) == 2 && !detached);
	CHECK_ERR(detach_keys_parse("ctrl-1", &k), ERR_INVALID);
	CHECK_ERR(detach_keys_parse("word", &k), ERR_INVALID);
}

UNIT_MAIN
