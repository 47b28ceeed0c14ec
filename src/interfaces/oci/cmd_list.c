/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "command/table.h"
#include "oci.h"

struct options {
	const char *format;
	bool quiet;
};

static const struct flag flags[] = {
	{FLAG_CHOICE_FIELD(struct options, format), .name = "format", .letter = 'f', .values = "table json",
	 .help = "Format of the output"},
	{FLAG_BOOL_FIELD(struct options, quiet), .name = "quiet", .letter = 'q', .help = "Only ids"},
	{0},
};

/* Whose containers these are: the owner of the state directory, as a name when the host has one. Caller frees. */
static char *owner_name(const struct rt_container *c)
{
	_cleanup_free_ char *passwd = NULL;
	struct stat st;
	size_t size;
	if (fstat(c->dir_fd, &st) < 0 || st.st_uid == 0)
		return xstrdup("root");
	struct err *e = file_read("/etc/passwd", 1u << 20, &passwd, &size);
	err_free(e);
	for (char *rest = passwd, *line; !e && (line = strsep(&rest, "\n"));) {
		unsigned uid;
		size_t name = strcspn(line, ":");
		if (sscanf(line + name, ":%*[^:]:%u:", &uid) == 1 && uid == st.st_uid)
			return xstrndup(line, name);
	}
	return xasprintf("%u", st.st_uid);
}

static void print_table(struct rt_container *const *list, size_t n)
{
	_cleanup_strbuf_ struct strbuf text = {0}, out = {0};
	strbuf_puts(&text, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n");
	for (size_t i = 0; i < n; i++) {
		const struct rt_container *c = list[i];
		char created[TIMESTAMP_STRING_MAX];
		_cleanup_free_ char *owner = owner_name(c);
		timestamp_format(c->created_ns, created);
		strbuf_printf(&text, "%s\t%d\t%s\t%s\t%s\t%s\n", c->id, c->status == RT_STOPPED ? 0 : c->pid,
			      rt_status_name(c->status), c->bundle, created, owner);
	}
	table_align(strbuf_str(&text), 10, &out);
	fputs(strbuf_str(&out), stdout);
}

static struct err *print_json(struct rt_container *const *list, size_t n)
{
	_cleanup_json_ struct json *array = json_new_array();
	for (size_t i = 0; i < n; i++) {
		struct json *state = NULL;
		TRY(rt_container_state_json(list[i], &state));
		_cleanup_free_ char *owner = owner_name(list[i]);
		json_set_string(state, "owner", owner);
		json_append(array, state);
	}
	_cleanup_free_ char *text = json_print(array, JSON_COMPACT);
	puts(text);
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct options *o = in->options;
	_cleanup_strv_ char **ids = NULL;
	TRY(rt_container_list(oci_options.root, &ids));
	size_t n = 0;
	_cleanup_free_ struct rt_container **list = xnew_array(struct rt_container *, strv_len(ids) + 1);
	struct err *e = NULL;
	for (char **id = ids; !e && id && *id; id++) {
		e = o->quiet ? NULL : rt_container_load(oci_options.root, *id, &list[n]);
		if (o->quiet) {
			puts(*id);
		} else if (e && e->kind == ERR_NOT_FOUND) { /* removed meanwhile */
			err_free(e);
			e = NULL;
		} else if (!e) {
			n++;
		}
	}
	if (!e && !o->quiet && str_eq(o->format, "json"))
		e = print_json(list, n);
	else if (!e && !o->quiet)
		print_table(list, n);
	for (size_t i = 0; i < n; i++)
		rt_container_free(list[i]);
	return e;
}

const struct command oci_list = {
	.name = "list",
	.summary = "List containers",
	.usage = "[OPTIONS]",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
