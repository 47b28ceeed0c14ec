/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "cgroup_private.h"
#include "unit.h"

static struct json *parse(const char *text)
{
	struct json *doc = NULL;

	CHECK_OK(json_parse(text, strlen(text), "test", &doc));
	return doc;
}

static void check_rejected(const char *text, const char *expect)
{
	struct json *doc = parse(text);
	struct json_cursor c = json_root(doc);
	struct err *e = rt_cgroup_check_resources(&c);

	CHECK(e != NULL);
	char *got = err_text(e);
	if (!strstr(got, expect)) {
		printf("# %s: got: %s\n", text, got);
		fflush(stdout);
		_exit(1);
	}
	free(got);
	err_free(e);
	json_unref(doc);
}

TEST(mountinfo_hybrid_with_odd_places)
{
	struct cg_machine m;

	cg_machine_parse_mountinfo(
		"22 1 0:5 / / rw - ext4 /dev/sda rw\n"
		"31 23 0:28 / /cg rw,relatime - tmpfs tmpfs rw,mode=755\n"
		"32 31 0:29 / /cg/cpu\\054cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
		"33 31 0:29 / /other/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
		"40 31 0:37 /docker/x /cg/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
		"41 31 0:38 / /cg/uni\\040fied rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n",
		&m);
	CHECK(m.mode == RT_CGROUP_HYBRID && m.n == 3);
	CHECK_STR(m.h[0].mountpoint, "/cg/cpu,cpuacct");
	CHECK(m.h[0].controllers == (1u << CG_CPU | 1u << CG_CPUACCT));
	CHECK_STR(m.h[1].name, "systemd");
	CHECK(m.h[1].controllers == 0);
	CHECK_STR(m.h[2].mountpoint, "/cg/uni fied");
	CHECK(m.h[2].v2);
	cg_machine_release(&m);
	cg_machine_parse_mountinfo("31 23 0:28 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n", &m);
	CHECK(m.mode == RT_CGROUP_V2 && m.n == 1);
	CHECK_STR(m.h[0].name, "");
	cg_machine_release(&m);
	cg_machine_parse_mountinfo("garbage\n - cgroup\n1 2 3 - cgroup x\n", &m);
	CHECK(m.mode == RT_CGROUP_NONE && m.n == 0);
	cg_machine_release(&m);
}

TEST(resources_are_checked_by_name)
{
	check_rejected("[]", "must be an object");
	check_rejected("{\"memory\":{\"limit\":\"1\"}}", "memory.limit");
	check_rejected("{\"memory\":{\"limit\":-2}}", "memory.limit");
	check_rejected("{\"memory\":{\"limit\":100,\"swap\":50}}", "memory.swap");
	check_rejected("{\"memory\":{\"limit\":-1,\"swap\":50}}", "memory.swap");
	check_rejected("{\"memory\":{\"swappiness\":101}}", "memory.swappiness");
	check_rejected("{\"cpu\":{\"period\":999}}", "cpu.period");
	check_rejected("{\"cpu\":{\"quota\":999}}", "cpu.quota");
	check_rejected("{\"cpu\":{\"quota\":5000,\"burst\":6000}}", "cpu.burst");
	check_rejected("{\"cpu\":{\"cpus\":\"a\"}}", "cpu.cpus");
	check_rejected("{\"cpu\":{\"mems\":\"-\"}}", "cpu.mems");
	check_rejected("{\"cpu\":{\"idle\":2}}", "cpu.idle");
	check_rejected("{\"devices\":[{\"access\":\"r\"}]}", "devices[0].allow");
	check_rejected("{\"devices\":[{\"allow\":true,\"access\":\"rx\"}]}", "devices[0].access");
	check_rejected("{\"devices\":[{\"allow\":true,\"type\":\"p\"}]}", "devices[0].type");
	check_rejected("{\"devices\":[{\"allow\":true,\"major\":5000}]}", "devices[0].major");
	check_rejected("{\"blockIO\":{\"weight\":5}}", "blockIO.weight");
	check_rejected("{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0}]}}",
		       "blockIO.throttleReadBpsDevice[0].rate");
	check_rejected("{\"hugepageLimits\":[{\"pageSize\":\"2mb\",\"limit\":1}]}",
		       "hugepageLimits[0].pageSize");
	check_rejected("{\"network\":{\"priorities\":[{\"name\":\"a b\",\"priority\":1}]}}",
		       "network.priorities[0].name");
	check_rejected("{\"rdma\":{\"mlx\":{}}}", "rdma.mlx");
	check_rejected("{\"unified\":{\"../x.y\":\"1\"}}", "unified");
	check_rejected("{\"unified\":{\"memory.high\":1}}", "unified.memory.high");
	check_rejected("{\"pids\":{\"limit\":1.5}}", "pids.limit");
}

TEST(zero_means_not_set)
{
	struct json *doc = parse("{\"memory\":{\"limit\":0,\"swap\":0,\"swappiness\":0},\"pids\":{},"
				 "\"cpu\":{\"shares\":0,\"quota\":0,\"period\":0,\"cpus\":\"\"}}");
	struct json_cursor c = json_root(doc);
	struct cg_resources r;

	CHECK_OK(cg_resources_parse(&c, &r));
	CHECK(r.set == 1u << CG_MEMORY_SWAPPINESS);
	CHECK(!r.cpus);
	cg_resources_release(&r);
	json_unref(doc);
}

TEST(weights_agree_with_libm)
{
	CHECK(cg_v2_weight(2) == 1 && cg_v2_weight(1024) == 100 && cg_v2_weight(262144) == 10000);
	for (uint64_t shares = 3; shares < 262144; shares++) {
		double l = log2((double)shares);
		double want = ceil(pow(10, (l * l + 125 * l) / 612 - 7.0 / 34) - 1e-9);
		CHECK(cg_v2_weight(shares) == (uint64_t)want);
	}
}

TEST(paths_stay_below_the_mount)
{
	struct rt_cgroup *cg = NULL;
	enum rt_cgroup_mode mode;

	CHECK_OK(rt_cgroup_detect(&mode));
	if (mode == RT_CGROUP_NONE)
		SKIP("no control groups here");
	CHECK_ERR(rt_cgroup_new("/a/../../b", "id", &cg), ERR_INVALID);
	CHECK_ERR(rt_cgroup_new("/", "id", &cg), ERR_INVALID);
	CHECK_ERR(rt_cgroup_new("/./", "id", &cg), ERR_INVALID);
	CHECK_OK(rt_cgroup_new("//a/./b//", "id", &cg));
	CHECK_STR(cg->h[0].path, "/a/b");
	rt_cgroup_free(cg);
	CHECK_OK(rt_cgroup_new(NULL, "the-id", &cg));
	CHECK(str_ends(cg->h[0].path, "/havre/the-id"));
	struct json *j = rt_cgroup_to_json(cg);
	struct json_cursor c = json_root(j);
	struct rt_cgroup *back = NULL;
	CHECK_OK(rt_cgroup_from_json(&c, &back));
	CHECK(back->n == cg->n && back->mode == cg->mode);
	for (size_t i = 0; i < cg->n; i++) {
		CHECK_STR(back->g[i].dir, cg->g[i].dir);
		CHECK(back->g[i].controllers == cg->g[i].controllers);
	}
	rt_cgroup_free(back);
	json_unref(j);
	rt_cgroup_free(cg);
}

/* --- the device filter, by a small interpreter of the instructions that it uses --- */
static int run_filter(const struct bpf_insn *p, size_t n, uint32_t access_type, uint32_t major,
		      uint32_t minor)
{
	uint32_t reg[10] = {0}, ctx[3] = {access_type, major, minor};

	for (size_t pc = 0, steps = 0; pc < n && steps < 100000; pc++, steps++) {
		const struct bpf_insn *i = &p[pc];
		uint32_t imm = (uint32_t)i->imm;
		bool take = false;

		switch (i->code) {
		case BPF_LDX | BPF_W | BPF_MEM:
			reg[i->dst_reg] = ctx[i->off / 4];
			break;
		case BPF_ALU | BPF_MOV | BPF_X:
			reg[i->dst_reg] = reg[i->src_reg];
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			reg[i->dst_reg] &= imm;
			break;
		case BPF_ALU | BPF_RSH | BPF_K:
			reg[i->dst_reg] >>= imm;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			reg[i->dst_reg] = imm;
			break;
		case BPF_JMP | BPF_JNE | BPF_K:
			take = reg[i->dst_reg] != imm;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			take = (reg[i->dst_reg] & imm) != 0;
			break;
		case BPF_JMP | BPF_JA:
			take = true;
			break;
		case BPF_JMP | BPF_EXIT:
			return (int)reg[0];
		default:
			return -1;
		}
		if (take)
			pc += (size_t)i->off;
	}
	return -2;
}

/* What the filter means, said in the plainest way: each kind of access on its own, the last rule that matches. */
static int expect_access(const struct cg_device_rule *rules, size_t n, char type, unsigned access,
			 int64_t major, int64_t minor)
{
	for (unsigned bit = 1; bit <= 4; bit <<= 1) {
		bool allowed = false;
		if (!(access & bit))
			continue;
		for (size_t i = 0; i < n; i++)
			if ((rules[i].type == 'a' || rules[i].type == type) &&
			    (rules[i].major < 0 || rules[i].major == major) &&
			    (rules[i].minor < 0 || rules[i].minor == minor) && (rules[i].access & bit))
				allowed = rules[i].allow;
		if (!allowed)
			return 0;
	}
	return 1;
}

TEST(device_filter_means_last_match_wins)
{
	srandom(7);
	for (int round = 0; round < 3000; round++) {
		struct cg_device_rule rules[12];
		size_t n = (size_t)random() % ARRAY_SIZE(rules);
		struct bpf_insn *insns;
		size_t n_insns;

		for (size_t i = 0; i < n; i++) {
			rules[i] = (struct cg_device_rule){.allow = random() % 2,
							   .type = "abc"[random() % 3],
							   .major = random() % 4 - 1,
							   .minor = random() % 4 - 1,
							   .access = (unsigned)(1 + random() % 7)};
		}
		cg_devices_bpf_build(rules, n, &insns, &n_insns);
		for (int type = 0; type < 2; type++)
			for (unsigned access = 1; access < 8; access++)
				for (uint32_t major = 0; major < 4; major++)
					for (uint32_t minor = 0; minor < 4; minor++) {
						int want = expect_access(rules, n, "bc"[type], access, major,
									 minor);
						uint32_t word = access << 16 | (type ? BPF_DEVCG_DEV_CHAR
										     : BPF_DEVCG_DEV_BLOCK);
						int got = n_insns ? run_filter(insns, n_insns, word, major,
									       minor)
								  : 1;
						CHECK(got == want);
					}
		free(insns);
	}
}

/* --- on the real machine --- */
static bool any; /* whether one hierarchy remains: always, for root */

static struct rt_cgroup *group_or_skip(const char *name)
{
	enum rt_cgroup_mode mode;
	struct rt_cgroup *cg = NULL;
	char path[64];

	CHECK_OK(rt_cgroup_detect(&mode));
	if (geteuid() != 0 || mode == RT_CGROUP_NONE)
		SKIP("needs root and control groups");
	snprintf(path, sizeof(path), "/havre-unit-%s-%d/deep/leaf", name, (int)getpid());
	CHECK_OK(rt_cgroup_new(path, "unit", &cg));
	if (mkdir(cg->h[0].mountpoint, 0) < 0 && errno == EROFS)
		SKIP("control groups are read-only here");
	return cg;
}

static bool gone(const struct rt_cgroup *cg)
{
	bool all = true;

	for (size_t i = 0; i < cg->n; i++) {
		char *top = xasprintf("%s%s", cg->h[i].mountpoint, cg->h[i].path);
		*strchr(top + strlen(cg->h[i].mountpoint) + 1, '/') = '\0';
		all &= access(top, F_OK) < 0;
		free(top);
	}
	return all;
}

TEST(group_lives_and_leaves_nothing)
{
	struct rt_cgroup *cg = group_or_skip("life");
	struct json *doc =
		parse("{\"pids\":{\"limit\":20},\"memory\":{\"limit\":67108864},"
		      "\"cpu\":{\"shares\":512,\"quota\":50000,\"period\":100000},"
		      "\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
		      "{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":229,\"access\":\"rw\"}]}");
	struct json_cursor resources = json_root(doc);
	int pipes[2];
	char byte;

	CHECK_OK(rt_cgroup_create(cg, &resources, RT_ROOTLESS_AUTO, &any, NULL));
	CHECK_OK(rt_cgroup_prepare_enter(cg, NULL));
	CHECK(pipe(pipes) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct err *e = rt_cgroup_enter_self(cg, false);
		if (write(pipes[1], e ? "n" : "y", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	CHECK(read(pipes[0], &byte, 1) == 1 && byte == 'y');
	pid_t *pids = NULL;
	size_t n = 0;
	CHECK_OK(rt_cgroup_pids(cg, &pids, &n));
	CHECK(n == 1 && pids[0] == pid);
	free(pids);

	/* A second one on the same path is refused while there are processes. */
	struct rt_cgroup *second = NULL;
	CHECK_OK(rt_cgroup_new(cg->h[0].path, "unit", &second));
	CHECK_ERR(rt_cgroup_create(second, NULL, RT_ROOTLESS_AUTO, &any, NULL), ERR_EXISTS);
	rt_cgroup_free(second);

	struct rt_cgroup_stats stats;
	CHECK_OK(rt_cgroup_stats(cg, &stats));
	CHECK(stats.pids == 1 && stats.pids_limit == 20);
	CHECK(stats.memory_limit_bytes == 67108864);

	bool frozen = true;
	CHECK_OK(rt_cgroup_is_frozen(cg, &frozen));
	CHECK(!frozen);
	CHECK_OK(rt_cgroup_freeze(cg, true));
	CHECK_OK(rt_cgroup_is_frozen(cg, &frozen));
	CHECK(frozen);
	struct json *update =
		parse("{\"pids\":{\"limit\":-1},\"memory\":{\"limit\":134217728,\"reservation\":1048576},"
		      "\"cpu\":{\"period\":50000}}");
	struct json_cursor u = json_root(update);
	CHECK_OK(rt_cgroup_update(cg, &u));
	json_unref(update);
	CHECK_OK(rt_cgroup_stats(cg, &stats));
	CHECK(stats.pids_limit == UINT64_MAX && stats.memory_limit_bytes == 134217728);
	/* Killing reaches a frozen group. */
	CHECK_OK(rt_cgroup_signal_all(cg, SIGKILL));
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK_OK(rt_cgroup_remove(cg));
	CHECK(gone(cg));
	CHECK_OK(rt_cgroup_remove(cg)); /* again: absent is success */
	json_unref(doc);
	rt_cgroup_free(cg);
}

/* In a child inside the group: 0, or the errno of opening the device. */
static int open_inside(struct rt_cgroup *cg, const char *device)
{
	int status;

	CHECK_OK(rt_cgroup_prepare_enter(cg, NULL));
	pid_t pid = fork();
	if (pid == 0) {
		struct err *e = rt_cgroup_enter_self(cg, false);
		if (e)
			_exit(255);
		_exit(open(device, O_RDONLY | O_NONBLOCK) < 0 ? errno : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* By the devices controller of v1 or by the filter of v2, whichever this machine has. */
TEST(devices_are_refused_and_allowed)
{
	struct rt_cgroup *cg = group_or_skip("dev");

	if (open("/dev/kmsg", O_RDONLY | O_NONBLOCK) < 0)
		SKIP("no /dev/kmsg to try");
	CHECK_OK(rt_cgroup_create(cg, NULL, RT_ROOTLESS_AUTO, &any, NULL));
	CHECK(open_inside(cg, "/dev/null") == 0);
	CHECK(open_inside(cg, "/dev/kmsg") == EPERM);
	struct json *allow = parse(
		"{\"devices\":[{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":11,\"access\":\"r\"}]}");
	struct json_cursor a = json_root(allow);
	CHECK_OK(rt_cgroup_update(cg, &a));
	CHECK(open_inside(cg, "/dev/kmsg") == 0);
	CHECK(open_inside(cg, "/dev/null") == 0);
	json_unref(allow);
	struct json *deny = parse("{\"devices\":[{\"allow\":false,\"type\":\"c\",\"major\":1,\"minor\":11,"
				  "\"access\":\"rwm\"}]}");
	struct json_cursor d = json_root(deny);
	CHECK_OK(rt_cgroup_update(cg, &d));
	CHECK(open_inside(cg, "/dev/kmsg") == EPERM);
	json_unref(deny);
	CHECK_OK(rt_cgroup_remove(cg));
	CHECK(gone(cg));
	rt_cgroup_free(cg);
}

TEST(failed_create_leaves_nothing)
{
	struct rt_cgroup *cg = group_or_skip("fail");
	struct json *doc = parse("{\"pids\":{\"limit\":20},\"unified\":{\"pids.nonsense\":\"1\"}}");
	struct json_cursor resources = json_root(doc);
	struct err *e = rt_cgroup_create(cg, &resources, RT_ROOTLESS_AUTO, &any, NULL);

	CHECK(e != NULL);
	char *text = err_text(e);
	CHECK(strstr(text, "linux.resources.unified") != NULL);
	free(text);
	err_free(e);
	CHECK(gone(cg));
	json_unref(doc);
	rt_cgroup_free(cg);
}

TEST(remove_takes_sub_groups)
{
	struct rt_cgroup *cg = group_or_skip("sub");

	CHECK_OK(rt_cgroup_create(cg, NULL, RT_ROOTLESS_AUTO, &any, NULL));
	for (size_t i = 0; i < cg->n; i++) {
		char *sub = xasprintf("%s/a", cg->g[i].dir), *subsub = xasprintf("%s/a/b", cg->g[i].dir);
		CHECK(mkdir(sub, 0755) == 0 && mkdir(subsub, 0755) == 0);
		free(sub);
		free(subsub);
	}
	CHECK_OK(rt_cgroup_remove(cg));
	CHECK(gone(cg));
	rt_cgroup_free(cg);
}

UNIT_MAIN
