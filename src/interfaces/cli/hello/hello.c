// SPDX-License-Identifier: Apache-2.0
/* The program of the embedded image: says where it runs. It is linked statically and lives in a root file system that holds nothing
 * else; it reads /proc only and changes nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define WIDTH 78
#define LABEL 15

static bool colours;

static const char *const capability_names[] = {
	"chown",
	"dac_override",
	"dac_read_search",
	"fowner",
	"fsetid",
	"kill",
	"setgid",
	"setuid",
	"setpcap",
	"linux_immutable",
	"net_bind_service",
	"net_broadcast",
	"net_admin",
	"net_raw",
	"ipc_lock",
	"ipc_owner",
	"sys_module",
	"sys_rawio",
	"sys_chroot",
	"sys_ptrace",
	"sys_pacct",
	"sys_admin",
	"sys_boot",
	"sys_nice",
	"sys_resource",
	"sys_time",
	"sys_tty_config",
	"mknod",
	"lease",
	"audit_write",
	"audit_control",
	"setfcap",
	"mac_override",
	"mac_admin",
	"syslog",
	"wake_alarm",
	"block_suspend",
	"audit_read",
	"perfmon",
	"bpf",
	"checkpoint_restore",
};
#define N_CAPABILITIES (sizeof(capability_names) / sizeof(capability_names[0]))

/* One file of /proc, cut at the buffer's size; false when it cannot be read. */
static bool read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return false;
	while (len < size - 1) {
		ssize_t n = read(fd, buf + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	buf[len] = '\0';
	return true;
}

static void label(const char *text)
{
	if (colours)
		printf("  \033[1m%-*s\033[0m", LABEL, text);
	else
		printf("  %-*s", LABEL, text);
}

static __attribute__((format(printf, 2, 3))) void row(const char *name, const char *fmt, ...)
{
	va_list ap;

	label(name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* Words in lines of WIDTH columns below each other. */
static void put_word(const char *word, size_t *at)
{
	size_t len = strlen(word);

	if (*at + len + 1 > WIDTH) {
		printf("\n%*s", LABEL + 2, "");
		*at = LABEL + 2;
	} else if (*at > LABEL + 2) {
		putchar(' ');
		(*at)++;
	}
	fputs(word, stdout);
	*at += len;
}

/* The value of "Name:\tvalue" in /proc/self/status, without its newline; empty when absent. */
static void status_value(const char *status, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	out[0] = '\0';
	for (const char *line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1 + strspn(line + len + 1, " \t");
		snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), line);
		return;
	}
}

static void print_process(const char *status)
{
	char groups[200], own[16];

	status_value(status, "Groups", groups, sizeof(groups));
	size_t len = strlen(groups);
	while (len && groups[len - 1] == ' ')
		groups[--len] = '\0';
	snprintf(own, sizeof(own), "%d", (int)getgid());
	bool more = len && strcmp(groups, own) != 0;
	row("Process", "pid %d, user %d, group %d%s%s", (int)getpid(), (int)getuid(), (int)getgid(),
	    more ? ", all groups: " : "", more ? groups : "");
}

static void print_host(void)
{
	struct utsname u;

	if (uname(&u) < 0)
		return;
	row("Host name", "%s", u.nodename);
	row("Kernel", "%s %s on %s", u.sysname, u.release, u.machine);
}

/* mountinfo: id parent major:minor root mountpoint options [tags] - type source super-options; the last line for "/" is on top. */
static void print_root(void)
{
	static char mounts[64 << 10];
	char *found = NULL;

	if (!read_file("/proc/self/mountinfo", mounts, sizeof(mounts)))
		return;
	for (char *line = mounts, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		char point[256], options[256];
		if (sscanf(line, "%*s %*s %*s %*s %255s %255s", point, options) == 2 &&
		    strcmp(point, "/") == 0)
			found = line;
	}
	char options[256], type[64], source[256];
	char *dash = found ? strstr(found, " - ") : NULL;
	if (!dash || sscanf(found, "%*s %*s %*s %*s %*s %255s", options) != 1 ||
	    sscanf(dash, " - %63s %255s", type, source) != 2)
		return;
	bool read_only = strncmp(options, "ro", 2) == 0;
	bool named = source[0] == '/';
	row("Root", "%s%s%s, %s", type, named ? " from " : "", named ? source : "",
	    read_only ? "read-only" : "writable");
}

static void print_cgroup(void)
{
	char text[8192], *unified = NULL, *first = NULL;
	int n = 0;

	if (!read_file("/proc/self/cgroup", text, sizeof(text)))
		return;
	char *rest;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), n++) {
		if (strncmp(line, "0::", 3) == 0)
			unified = line + 3;
		else if (!first && strstr(line, ":memory:"))
			first = strstr(line, ":memory:") + 8;
	}
	if (unified && n == 1)
		row("Control group", "%s (version 2)", unified);
	else if (first)
		row("Control group", "%s (version 1, %d hierarchies)", first, n);
	else if (unified)
		row("Control group", "%s", unified);
}

static void print_namespaces(void)
{
	static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
	size_t at = LABEL + 2;

	label("Namespaces");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char path[64], word[64];
		struct stat st;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		if (stat(path, &st) < 0)
			continue;
		snprintf(word, sizeof(word), "%s:%" PRIu64, kinds[i], (uint64_t)st.st_ino);
		put_word(word, &at);
	}
	putchar('\n');
}

static void print_capabilities(const char *status)
{
	char hex[64], word[64];
	size_t at = LABEL + 2, n = 0;

	status_value(status, "CapEff", hex, sizeof(hex));
	uint64_t set = strtoull(hex, NULL, 16);
	for (size_t i = 0; i < 64; i++)
		n += set >> i & 1;
	label("Capabilities");
	snprintf(word, sizeof(word), n ? "%zu:" : "none", n);
	put_word(word, &at);
	for (size_t i = 0; i < 64; i++) {
		if (!(set >> i & 1))
			continue;
		if (i < N_CAPABILITIES)
			snprintf(word, sizeof(word), "%s", capability_names[i]);
		else
			snprintf(word, sizeof(word), "cap_%zu", i);
		put_word(word, &at);
	}
	putchar('\n');
}

static void print_confinement(const char *status)
{
	char mode[16], filters[16], nnp[16];

	status_value(status, "Seccomp", mode, sizeof(mode));
	status_value(status, "Seccomp_filters", filters, sizeof(filters));
	status_value(status, "NoNewPrivs", nnp, sizeof(nnp));
	if (strcmp(mode, "2") == 0)
		row("Seccomp", "on, %s filter%s", *filters ? filters : "a",
		    strcmp(filters, "1") > 0 ? "s" : "");
	else
		row("Seccomp", "%s", strcmp(mode, "0") == 0 ? "off" : "strict");
	row("New privileges", "%s",
	    strcmp(nnp, "1") == 0 ? "impossible (no_new_privs)" : "possible for set-uid programs");
}

static void print_where(void)
{
	static char status[16 << 10];

	if (!read_file("/proc/self/status", status, sizeof(status))) {
		printf("  /proc cannot be read (%s), so this program is blind.\n", strerror(errno));
		return;
	}
	print_process(status);
	print_host();
	print_root();
	print_cgroup();
	print_namespaces();
	print_capabilities(status);
	print_confinement(status);
}

static void heading(const char *text)
{
	printf(colours ? "\033[1m%s\033[0m\n\n" : "%s\n\n", text);
}

int main(void)
{
	const char *no = getenv("NO_COLOR");

	colours = isatty(STDOUT_FILENO) && !(no && *no);
	heading("Welcome aboard: this program runs in a container that havre has just made.");
	puts("It came with havre itself; nothing was downloaded. From inside it sees:\n");
	print_where();
	putchar('\n');
	heading("Where to go from here");
	puts("  havre run --rm -it debian bash             a shell in Debian, from its registry\n"
	     "  havre run -d --name web --network host nginx     a server in the background\n"
	     "  havre ps -a                                what there is, running or not\n"
	     "  havre run --rm --read-only --user 1000 havre/hello     this, with less\n"
	     "  havre --help                               everything else");
	return fflush(stdout) == 0 ? 0 : 1;
}
