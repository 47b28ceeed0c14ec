/* SPDX-License-Identifier: Apache-2.0 */
/* Which control group hierarchies this machine has mounted, and where. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "cgroup_private.h"

#define CGROUP_MOUNT "/sys/fs/cgroup"
#define MOUNTINFO_MAX (64u << 20)

static const char *const controller_names[CG_CONTROLLERS] = {
	[CG_CPU] = "cpu",         [CG_CPUACCT] = "cpuacct",   [CG_CPUSET] = "cpuset",
	[CG_MEMORY] = "memory",   [CG_DEVICES] = "devices",   [CG_FREEZER] = "freezer",
	[CG_BLKIO] = "blkio",     [CG_PIDS] = "pids",         [CG_HUGETLB] = "hugetlb",
	[CG_NET_CLS] = "net_cls", [CG_NET_PRIO] = "net_prio", [CG_PERF_EVENT] = "perf_event",
	[CG_RDMA] = "rdma",       [CG_MISC] = "misc",
};

const char *cg_controller_name(enum cg_controller c, bool v2)
{
	return v2 && c == CG_BLKIO ? "io" : controller_names[c];
}

unsigned cg_controllers_parse(const char *list)
{
	unsigned found = 0;

	while (*list) {
		size_t n = strcspn(list, ", \n");

		for (unsigned c = 0; c < CG_CONTROLLERS; c++)
			if (strlen(controller_names[c]) == n && memcmp(list, controller_names[c], n) == 0)
				found |= 1u << c;
		if (n == 2 && memcmp(list, "io", 2) == 0)
			found |= 1u << CG_BLKIO;
		list += n;
		list += strspn(list, ", \n");
	}
	return found;
}

void cg_machine_release(struct cg_machine *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->h[i].name);
		free(m->h[i].mountpoint);
		free(m->h[i].own);
	}
	*m = (struct cg_machine){0};
}

static struct cg_hierarchy *machine_add(struct cg_machine *m)
{
	return m->n < CG_HIERARCHIES_MAX ? &m->h[m->n++] : NULL;
}

static void machine_set_mode(struct cg_machine *m)
{
	size_t n_v2 = 0;

	for (size_t i = 0; i < m->n; i++)
		n_v2 += m->h[i].v2;
	m->mode = m->n == 0     ? RT_CGROUP_NONE
		  : n_v2 == 0   ? RT_CGROUP_V1
		  : n_v2 < m->n ? RT_CGROUP_HYBRID
				: RT_CGROUP_V2;
	if (m->mode == RT_CGROUP_V2)
		m->h[0].name[0] = '\0';
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape_octal(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* One line: id parent major:minor root mountpoint options [optional…] - type source super-options. */
static void parse_mountinfo_line(char *line, struct cg_machine *m)
{
	char *fields[5], *save = NULL;

	char *tail = strstr(line, " - cgroup");
	if (!tail)
		return;
	*tail = '\0';
	tail += 3;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (!fields[i])
			return;
	}
	char *type = strtok_r(tail, " ", &save);
	char *source = strtok_r(NULL, " ", &save);
	char *options = strtok_r(NULL, " ", &save);
	if (!type || !source || !options)
		return;
	bool v2 = str_eq(type, "cgroup2");
	if (!v2 && !str_eq(type, "cgroup"))
		return;
	unsigned controllers = v2 ? 0 : cg_controllers_parse(options);
	const char *named = strstr(options, "name=");
	/* The same hierarchy can be mounted in several places: the first one counts. */
	for (size_t i = 0; i < m->n; i++)
		if (v2 ? m->h[i].v2 : !m->h[i].v2 && (m->h[i].controllers & controllers) != 0)
			return;
	if (!v2 && controllers == 0 && !named)
		return;
	unescape_octal(fields[4]);
	char *base = strrchr(fields[4], '/');
	if (!base || fields[4][0] != '/')
		return;
	if (!v2 && controllers == 0)
		for (size_t i = 0; i < m->n; i++)
			if (str_eq(m->h[i].name, base + 1))
				return;
	struct cg_hierarchy *h = machine_add(m);
	if (h)
		*h = (struct cg_hierarchy){.name = xstrdup(base + 1),
					   .mountpoint = xstrdup(fields[4]),
					   .controllers = controllers,
					   .v2 = v2};
}

void cg_machine_parse_mountinfo(const char *mountinfo, struct cg_machine *ret)
{
	_cleanup_free_ char *copy = xstrdup(mountinfo);
	char *save = NULL;

	*ret = (struct cg_machine){0};
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		parse_mountinfo_line(line, ret);
	machine_set_mode(ret);
}

static bool is_cgroupfs(const char *path, bool v2)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned long)fs.f_type == (v2 ? (unsigned long)CGROUP2_SUPER_MAGIC
									 : (unsigned long)CGROUP_SUPER_MAGIC);
}

/* The usual layout, found without mountinfo (which has a long line for every overlay mount of a busy host): each
 * hierarchy of /proc/self/cgroup at /sys/fs/cgroup/NAME. False when any of them is elsewhere. */
static bool detect_usual_v1(const char *self_cgroup, struct cg_machine *m)
{
	_cleanup_free_ char *copy = xstrdup(self_cgroup);
	char *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *list = strchr(line, ':');
		char *path = list ? strchr(list + 1, ':') : NULL;
		if (!path || path[1] != '/')
			return false;
		*path++ = '\0';
		list++;
		bool v2 = *list == '\0', named = str_starts(list, "name=");
		const char *name = v2 ? "unified" : named ? list + 5 : list;
		_cleanup_free_ char *mountpoint = xasprintf(CGROUP_MOUNT "/%s", name);
		if (!is_cgroupfs(mountpoint, v2)) {
			if (v2)
				continue; /* the v2 hierarchy always exists; nobody has to mount it */
			return false;
		}
		struct cg_hierarchy *h = machine_add(m);
		if (!h)
			return false;
		*h = (struct cg_hierarchy){.name = xstrdup(name),
					   .mountpoint = TAKE_PTR(mountpoint),
					   .own = xstrdup(path),
					   .controllers = v2 || named ? 0 : cg_controllers_parse(list),
					   .v2 = v2};
	}
	return m->n > 0;
}

/* The kernel shows this file whole to one read(2) that is large enough. */
static struct err *read_self_cgroup(char **ret)
{
	char text[4096];
	size_t size;
	_cleanup_fd_ int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (n <= 0 || n == sizeof(text))
		return file_read("/proc/self/cgroup", 1u << 20, ret, &size);
	*ret = xstrndup(text, (size_t)n);
	return NULL;
}

static struct err *detect(struct cg_machine *m)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	if (is_cgroupfs(CGROUP_MOUNT, true)) {
		struct cg_hierarchy *h = machine_add(m);
		*h = (struct cg_hierarchy){
			.name = xstrdup(""), .mountpoint = xstrdup(CGROUP_MOUNT), .v2 = true};
		machine_set_mode(m);
		return NULL;
	}
	TRY(read_self_cgroup(&text));
	if (detect_usual_v1(text, m)) {
		machine_set_mode(m);
		return NULL;
	}
	cg_machine_release(m);
	free(TAKE_PTR(text));
	TRY(file_read("/proc/self/mountinfo", MOUNTINFO_MAX, &text, &size));
	cg_machine_parse_mountinfo(text, m);
	return NULL;
}

struct err *cg_machine_get(const struct cg_machine **ret)
{
	static struct cg_machine machine;
	static bool detected;

	if (!detected) {
		struct err *e = detect(&machine);
		if (e) {
			cg_machine_release(&machine);
			return err_wrap(e, "finding the control group hierarchies");
		}
		detected = true;
	}
	*ret = &machine;
	return NULL;
}

struct err *rt_cgroup_detect(enum rt_cgroup_mode *ret)
{
	const struct cg_machine *m;

	TRY(cg_machine_get(&m));
	*ret = m->mode;
	return NULL;
}
