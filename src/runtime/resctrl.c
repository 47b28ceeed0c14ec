/* SPDX-License-Identifier: Apache-2.0 */
#include "resctrl.h"

#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "procfs.h"

#define RESCTRL_MAGIC 0x7655821
#define MOUNTINFO_MAX (64u << 20)
#define SCHEMATA_MAX (1u << 20)

struct err *resctrl_open(int proc_fd, int *ret_fd)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	TRY(file_read_at(proc_fd, "self/mountinfo", MOUNTINFO_MAX, &text, &size));
	char *rest = text, *line;
	while ((line = strsep(&rest, "\n"))) {
		char point[4096];
		const char *type = strstr(line, " - ");
		if (!type || !str_starts(type, " - resctrl ") ||
		    sscanf(line, "%*d %*d %*s %*s %4095s", point) != 1)
			continue;
		/* Mounted over, or with a space in its name: another one may do. */
		_cleanup_fd_ int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || !fd_is_fs(fd, RESCTRL_MAGIC))
			continue;
		*ret_fd = TAKE_FD(fd);
		return NULL;
	}
	return err_new(
		ERR_UNSUPPORTED,
		"linux.intelRdt: no resctrl file system is mounted (does the processor have Intel RDT? "
		"mount -t resctrl resctrl /sys/fs/resctrl)");
}

/* -- schemata ------------------------------------------------------------------------------------------------- */

/* "L3:0=7ff;1=7ff" in pieces: the resource's name, then one domain and its value after the other. */
static const char *next_domain(const char *p, unsigned long *domain, char value[32])
{
	int used = 0;
	if (sscanf(p, " %lu = %31[0-9a-fA-F] %n", domain, value, &used) < 2 || !used)
		return NULL;
	return p + used + (p[used] == ';');
}

static bool same_value(const char *a, const char *b)
{
	a += strspn(a, "0");
	b += strspn(b, "0");
	return strcasecmp(a, b) == 0;
}

/* `domains` is what stands behind the resource's name. */
static bool has_domain(const char *domains, unsigned long domain, const char *wanted)
{
	char value[32];
	unsigned long number;
	while (*domains && (domains = next_domain(domains, &number, value)))
		if (number == domain)
			return same_value(value, wanted);
	return false;
}

static bool line_matches(char *const *have, const char *wanted)
{
	size_t name = strcspn(wanted, ":");
	const char *domains = NULL;
	STRV_FOREACH (h, have) {
		const char *line = *h + strspn(*h, " ");
		if (strncmp(line, wanted, name + 1) == 0)
			domains = line + name + 1;
	}
	if (!domains || !wanted[name])
		return false;
	unsigned long domain;
	char value[32];
	for (const char *p = wanted + name + 1; *p;) {
		p = next_domain(p, &domain, value);
		if (!p || !has_domain(domains, domain, value))
			return false;
	}
	return true;
}

bool resctrl_schema_matches(const char *file, const char *wanted)
{
	_cleanup_strv_ char **have = strv_split(file, "\n"), **lines = strv_split(wanted, "\n");
	STRV_FOREACH (w, lines)
		if (!line_matches(have, *w + strspn(*w, " ")))
			return false;
	return true;
}

static struct err *write_file(int dir, const char *name, const char *text)
{
	_cleanup_fd_ int fd = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno(errno, "cannot open %s", name);
	return fd_write_full(fd, text, strlen(text), name);
}

/* The reason for a refused write is in a file of its own. */
static struct err *why(struct err *e, int root, const char *property)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct err *unread = file_read_at(root, "info/last_cmd_status", 4096, &text, &size);
	err_free(unread);
	if (unread || str_starts(text, "ok"))
		return err_wrap(e, "linux.intelRdt.%s", property);
	text[strcspn(text, "\n")] = '\0';
	return err_wrap(e, "linux.intelRdt.%s: %s", property, text);
}

static struct err *write_schema(int root, int group, const char *property, const char *schema)
{
	_cleanup_free_ char *line = xasprintf("%s\n", schema);
	struct err *e = write_file(group, "schemata", line);
	return e ? why(e, root, property) : NULL;
}

static struct err *check_schema(int group, const char *property, const char *schema)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	TRY(file_read_at(group, "schemata", SCHEMATA_MAX, &text, &size));
	if (!resctrl_schema_matches(text, schema))
		return err_new(ERR_INVALID,
			       "linux.intelRdt.%s: \"%s\" is not what the class of service has: it exists "
			       "already, and may be "
			       "used by others",
			       property, schema);
	return NULL;
}

/* -- groups --------------------------------------------------------------------------------------------------- */

static bool has_schema(const struct spec_rdt *r)
{
	return r->l3_cache || r->mem_bw || r->schemata;
}

static const char *group_name(const struct spec_rdt *r, const char *id)
{
	return r->clos_id ? r->clos_id : id;
}

static struct err *group_open(int root, const char *name, int *ret_fd)
{
	int fd =
		openat(root, str_eq(name, "/") ? "." : name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "linux.intelRdt.closID: cannot open the class of service %s", name);
	*ret_fd = fd;
	return NULL;
}

static struct err *group_make(int root, const struct spec_rdt *r, const char *name, bool *ret_made)
{
	bool may_exist = r->clos_id != NULL, must_exist = r->clos_id && !has_schema(r);
	*ret_made = false;
	if (must_exist || str_eq(name, "/"))
		return NULL;
	if (mkdirat(root, name, 0755) == 0) {
		*ret_made = true;
		return NULL;
	}
	if (errno == EEXIST && may_exist)
		return NULL;
	return err_errno(errno, "linux.intelRdt: cannot make the class of service %s%s", name,
			 errno == ENOSPC ? " (the processor has no more of them)" : "");
}

static struct err *group_fill(int root, int group, const struct spec_rdt *r, bool made)
{
	if (r->l3_cache)
		TRY(made ? write_schema(root, group, "l3CacheSchema", r->l3_cache)
			 : check_schema(group, "l3CacheSchema", r->l3_cache));
	if (r->mem_bw)
		TRY(made ? write_schema(root, group, "memBwSchema", r->mem_bw)
			 : check_schema(group, "memBwSchema", r->mem_bw));
	/* Last, and into an existing group, too: so the specification has it. */
	for (size_t i = 0; r->schemata && r->schemata[i]; i++) {
		char property[32];
		snprintf(property, sizeof(property), "schemata[%zu]", i);
		TRY(write_schema(root, group, property, r->schemata[i]));
	}
	return NULL;
}

static struct err *monitor_make(int group, const char *id)
{
	_cleanup_free_ char *path = xasprintf("mon_groups/%s", id);
	if (mkdirat(group, path, 0755) < 0)
		return err_errno(errno,
				 "linux.intelRdt.enableMonitoring: cannot make the monitoring group %s%s", id,
				 errno == ENOSPC ? " (the processor has no more of them)" : "");
	return NULL;
}

static struct err *fill(int root, const struct spec_rdt *r, const char *id, const char *name, bool made)
{
	_cleanup_fd_ int group = -1;
	TRY(group_open(root, name, &group));
	TRY(group_fill(root, group, r, made));
	return r->monitoring ? monitor_make(group, id) : NULL;
}

struct err *resctrl_make(int root, const struct spec_rdt *r, const char *id)
{
	const char *name = group_name(r, id);
	bool made;
	TRY(group_make(root, r, name, &made));
	struct err *e = fill(root, r, id, name, made);
	if (e && made)
		unlinkat(root, name, AT_REMOVEDIR);
	return e;
}

struct err *resctrl_join(int root, const struct spec_rdt *r, const char *id, pid_t pid)
{
	_cleanup_fd_ int group = -1;
	_cleanup_free_ char *path = xasprintf("mon_groups/%s/tasks", id);
	char text[16];
	snprintf(text, sizeof(text), "%d\n", pid);
	TRY(group_open(root, group_name(r, id), &group));
	struct err *e = write_file(group, "tasks", text);
	if (!e && r->monitoring) /* the kernel wants it in this order */
		e = write_file(group, path, text);
	return e ? why(e, root, "closID") : NULL;
}

struct err *resctrl_update(int root, const struct spec_rdt *r, const char *id)
{
	_cleanup_fd_ int group = -1;
	bool both = r->l3_cache && r->mem_bw;
	if (!r->l3_cache && !r->mem_bw)
		return NULL;
	TRY(group_open(root, group_name(r, id), &group));
	/* In one write, of which the kernel takes all lines or none. */
	_cleanup_free_ char *lines = xasprintf("%s%s%s", r->l3_cache ? r->l3_cache : "", both ? "\n" : "",
					       r->mem_bw ? r->mem_bw : "");
	return write_schema(root, group,
			    both          ? "l3CacheSchema and memBwSchema"
			    : r->l3_cache ? "l3CacheSchema"
					  : "memBwSchema",
			    lines);
}

static struct err *remove_directory(int dir, const char *path)
{
	if (unlinkat(dir, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_errno(errno, "linux.intelRdt: cannot remove the group %s", path);
	return NULL;
}

struct err *resctrl_remove(int root, const struct spec_rdt *r, const char *id)
{
	_cleanup_fd_ int group = -1;
	if (!r->clos_id) /* with its monitoring group */
		return remove_directory(root, id);
	if (!r->monitoring)
		return NULL;
	struct err *e = group_open(root, r->clos_id, &group);
	if (e && e->errnum == ENOENT) {
		err_free(e);
		return NULL;
	}
	if (e)
		return e;
	_cleanup_free_ char *path = xasprintf("mon_groups/%s", id);
	return remove_directory(group, path);
}
