/* SPDX-License-Identifier: Apache-2.0 */
/* container_top: ps for a container's processes, read from /proc by ourselves. */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/timestamp.h"
#include "cgroup_driver.h"
#include "private.h"
#include "runtime/container.h"

struct process {
	pid_t pid, ppid;
	uid_t uid;
	char comm[64], state;
	char *args;
	unsigned tty;
	uint64_t cpu_ticks, start_ticks, rss_pages, vsize;
	long nice;
};

struct column {
	const char *key, *title;
	char *(*format)(const struct process *p);
};

static uint64_t ticks_per_second(void)
{
	return (uint64_t)sysconf(_SC_CLK_TCK);
}

static int64_t uptime_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec;
}

static char *format_pid(const struct process *p)
{
	return xasprintf("%d", (int)p->pid);
}

static char *format_ppid(const struct process *p)
{
	return xasprintf("%d", (int)p->ppid);
}

/* The host's name of the uid: the numbers are the host's, too. Not by NSS, which would load libraries. */
static char *format_user(const struct process *p)
{
	_cleanup_free_ char *text = NULL, *wanted = xasprintf("%u", (unsigned)p->uid);
	size_t size;
	struct err *e = file_read("/etc/passwd", 4 << 20, &text, &size);
	_cleanup_strv_ char **lines = e ? NULL : strv_split(text, "\n");

	err_free(e);
	STRV_FOREACH (line, lines) {
		_cleanup_strv_ char **fields = strv_split(*line, ":");
		if (strv_len(fields) >= 3 && str_eq(fields[2], wanted))
			return xstrdup(fields[0]);
	}
	return TAKE_PTR(wanted);
}

static char *format_uid(const struct process *p)
{
	return xasprintf("%u", (unsigned)p->uid);
}

static uint64_t cpu_percent_tenths(const struct process *p)
{
	uint64_t hz = ticks_per_second(), up = (uint64_t)uptime_s() * hz;
	uint64_t age = up > p->start_ticks ? up - p->start_ticks : 1;
	return p->cpu_ticks * 1000 / age;
}

static char *format_c(const struct process *p)
{
	return xasprintf("%llu", (unsigned long long)MIN(cpu_percent_tenths(p) / 10, (uint64_t)99));
}

static char *format_pcpu(const struct process *p)
{
	uint64_t t = cpu_percent_tenths(p);
	return xasprintf("%llu.%llu", (unsigned long long)(t / 10), (unsigned long long)(t % 10));
}

static char *format_stime(const struct process *p)
{
	time_t now = time(NULL), start = now - uptime_s() + (time_t)(p->start_ticks / ticks_per_second());
	struct tm tm, today;
	char text[32];

	localtime_r(&start, &tm);
	localtime_r(&now, &today);
	bool same_day = tm.tm_yday == today.tm_yday && tm.tm_year == today.tm_year;
	strftime(text, sizeof(text), same_day ? "%H:%M" : tm.tm_year == today.tm_year ? "%b%d" : "%Y", &tm);
	return xstrdup(text);
}

static char *format_tty(const struct process *p)
{
	unsigned major = (p->tty >> 8) & 0xfff, minor = (p->tty & 0xff) | ((p->tty >> 12) & 0xfff00);

	if (p->tty == 0)
		return xstrdup("?");
	if (major >= 136 && major <= 143)
		return xasprintf("pts/%u", minor + (major - 136) * 256);
	if (major == 4)
		return minor < 64 ? xasprintf("tty%u", minor) : xasprintf("ttyS%u", minor - 64);
	return xasprintf("%u:%u", major, minor);
}

static char *format_time(const struct process *p)
{
	uint64_t s = p->cpu_ticks / ticks_per_second();
	return xasprintf("%02llu:%02llu:%02llu", (unsigned long long)(s / 3600),
			 (unsigned long long)(s / 60 % 60), (unsigned long long)(s % 60));
}

static char *format_args(const struct process *p)
{
	return xstrdup(p->args);
}

static char *format_comm(const struct process *p)
{
	return xstrdup(p->comm);
}

static char *format_state(const struct process *p)
{
	return xasprintf("%c", p->state);
}

static char *format_rss(const struct process *p)
{
	return xasprintf("%llu", (unsigned long long)(p->rss_pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024));
}

static char *format_pmem(const struct process *p)
{
	long all = sysconf(_SC_PHYS_PAGES);
	uint64_t tenths = all > 0 ? p->rss_pages * 1000 / (uint64_t)all : 0;

	return xasprintf("%llu.%llu", (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10));
}

static char *format_vsz(const struct process *p)
{
	return xasprintf("%llu", (unsigned long long)(p->vsize / 1024));
}

static char *format_nice(const struct process *p)
{
	return xasprintf("%ld", p->nice);
}

static const struct column columns[] = {
	{"pid", "PID", format_pid},       {"ppid", "PPID", format_ppid},
	{"user", "USER", format_user},    {"euser", "EUSER", format_user},
	{"uid", "UID", format_uid},       {"c", "C", format_c},
	{"%cpu", "%CPU", format_pcpu},    {"pcpu", "%CPU", format_pcpu},
	{"stime", "STIME", format_stime}, {"start", "START", format_stime},
	{"tty", "TT", format_tty},        {"tt", "TT", format_tty},
	{"time", "TIME", format_time},    {"args", "COMMAND", format_args},
	{"cmd", "CMD", format_args},      {"command", "COMMAND", format_args},
	{"comm", "COMMAND", format_comm}, {"ucmd", "CMD", format_comm},
	{"s", "S", format_state},         {"stat", "STAT", format_state},
	{"state", "S", format_state},     {"rss", "RSS", format_rss},
	{"vsz", "VSZ", format_vsz},       {"ni", "NI", format_nice},
	{"nice", "NI", format_nice},      {"%mem", "%MEM", format_pmem},
	{"pmem", "%MEM", format_pmem},
};

/* What `ps -ef` and `ps aux` show. */
static const struct column ef[] = {{"", "UID", format_user},    {"", "PID", format_pid},
				   {"", "PPID", format_ppid},   {"", "C", format_c},
				   {"", "STIME", format_stime}, {"", "TTY", format_tty},
				   {"", "TIME", format_time},   {"", "CMD", format_args}};
static const struct column aux[] = {
	{"", "USER", format_user}, {"", "PID", format_pid},     {"", "%CPU", format_pcpu},
	{"", "%MEM", format_pmem}, {"", "VSZ", format_vsz},     {"", "RSS", format_rss},
	{"", "TTY", format_tty},   {"", "STAT", format_state},  {"", "START", format_stime},
	{"", "TIME", format_time}, {"", "COMMAND", format_args}};

struct layout {
	struct column columns[16];
	size_t n;
};

static struct err *add_columns(struct layout *l, const char *list)
{
	_cleanup_strv_ char **keys = strv_split(list, ", ");

	STRV_FOREACH (key, keys) {
		size_t i = 0;
		while (i < ARRAY_SIZE(columns) && !str_eq(columns[i].key, *key))
			i++;
		if (i == ARRAY_SIZE(columns))
			return err_new(ERR_UNSUPPORTED,
				       "unknown column \"%.32s\" (try pid, ppid, user, comm, args, time, "
				       "stime, tty, rss)",
				       *key);
		if (l->n == ARRAY_SIZE(l->columns))
			return err_new(ERR_INVALID, "too many columns");
		l->columns[l->n++] = columns[i];
	}
	return NULL;
}

/* aux in any order, with or without the dash and the w's of wide output. */
static bool is_aux(const char *a)
{
	a += *a == '-';
	return strchr(a, 'u') && a[strspn(a, "auxw")] == '\0';
}

static struct err *choose_layout(char *const *args, struct layout *l)
{
	for (size_t i = 0; args && args[i]; i++) {
		const char *a = args[i];
		if (str_eq(a, "-o") || str_eq(a, "o") || str_eq(a, "-eo") || str_eq(a, "--format")) {
			if (!args[++i])
				return err_new(ERR_INVALID, "%s needs a list of columns", a);
			TRY(add_columns(l, args[i]));
		} else if (str_starts(a, "-o") || str_starts(a, "o")) {
			TRY(add_columns(l, a + (a[0] == '-' ? 2 : 1)));
		} else if (is_aux(a)) {
			memcpy(l->columns, aux, sizeof(aux));
			l->n = ARRAY_SIZE(aux);
		} else if (!str_eq(a, "-ef") && !str_eq(a, "-e") && !str_eq(a, "-f")) {
			return err_new(ERR_UNSUPPORTED,
				       "unknown ps option \"%.32s\": there are -ef, aux and -o COLUMN,…", a);
		}
	}
	if (l->n == 0) {
		memcpy(l->columns, ef, sizeof(ef));
		l->n = ARRAY_SIZE(ef);
	}
	return NULL;
}

static struct err *read_process(pid_t pid, struct process *p)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d", (int)pid), *text = NULL, *args = NULL;
	_cleanup_fd_ int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t size, args_size;
	struct stat st;
	int ppid, tty;
	unsigned long utime, stime, vsize;
	unsigned long long start;
	long rss;

	if (dir < 0 || fstat(dir, &st) < 0)
		return err_errno(errno, "cannot look at process %d", (int)pid);
	TRY(file_read_at(dir, "stat", 4096, &text, &size));
	TRY(file_read_at(dir, "cmdline", 1 << 20, &args, &args_size));
	char *open_paren = strchr(text, '('), *close_paren = strrchr(text, ')');
	if (!open_paren || !close_paren ||
	    sscanf(close_paren + 1,
		   " %c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %ld %*d %*d %llu %lu %ld",
		   &p->state, &ppid, &tty, &utime, &stime, &p->nice, &start, &vsize, &rss) != 9)
		return err_new(ERR_INTERNAL, "cannot understand /proc/%d/stat", (int)pid);
	snprintf(p->comm, sizeof(p->comm), "%.*s", (int)(close_paren - open_paren - 1), open_paren + 1);
	p->pid = pid;
	p->ppid = ppid;
	p->uid = st.st_uid;
	p->tty = (unsigned)tty;
	p->cpu_ticks = utime + stime;
	p->start_ticks = start;
	p->vsize = vsize;
	p->rss_pages = (uint64_t)rss;
	while (args_size > 0 && args[args_size - 1] == '\0')
		args_size--;
	for (size_t i = 0; i < args_size; i++)
		if ((unsigned char)args[i] < ' ')
			args[i] = ' ';
	args[args_size] = '\0';
	p->args = args_size > 0 ? TAKE_PTR(args) : xasprintf("[%s]", p->comm);
	return NULL;
}

static struct err *processes(struct engine *e, const struct container *c, pid_t **ret, size_t *ret_n)
{
	_cleanup_free_ char *state_root = engine_state_root(e);
	_cleanup_(rt_container_freep) struct rt_container *rt = NULL;
	_cleanup_(rt_cgroup_freep) struct rt_cgroup *cgroup = NULL;

	if (!c->spec->runtime) {
		TRY(rt_container_load(state_root, c->id, &rt));
		return rt_container_pids(rt, ret, ret_n);
	}
	if (str_ends(c->spec->runtime, "/runsc")) /* what is in the cgroup is gVisor, not the container */
		return err_new(ERR_UNSUPPORTED, "top: container %s runs with %s; look with `exec %s ps`",
			       c->name, c->spec->runtime, c->name);
	TRY(container_cgroup(e, c, &cgroup));
	return rt_cgroup_pids(cgroup, ret, ret_n);
}

struct err *container_top(struct engine *e, struct container *c, char *const *ps_args, struct json **ret)
{
	_cleanup_free_ pid_t *pids = NULL;
	_cleanup_json_ struct json *doc = json_new_object();
	struct json *titles = json_new_array(), *rows = json_new_array();
	struct layout l = {0};
	size_t n = 0;

	json_set(doc, "Titles", titles);
	json_set(doc, "Processes", rows);
	if (c->status != CONTAINER_RUNNING && c->status != CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is not running", c->name);
	TRY(choose_layout(ps_args, &l));
	TRY(processes(e, c, &pids, &n));
	for (size_t i = 0; i < l.n; i++)
		json_append(titles, json_new_string(l.columns[i].title));
	for (size_t i = 0; i < n; i++) {
		struct process p = {0};
		struct err *error = read_process(pids[i], &p);
		if (error) { /* it ended meanwhile */
			err_free(error);
			continue;
		}
		struct json *row = json_new_array();
		for (size_t k = 0; k < l.n; k++) {
			_cleanup_free_ char *text = l.columns[k].format(&p);
			json_append(row, json_new_string(text));
		}
		json_append(rows, row);
		free(p.args);
	}
	*ret = TAKE_PTR(doc);
	return NULL;
}
