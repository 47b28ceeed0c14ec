/* SPDX-License-Identifier: Apache-2.0 */
#include "event_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"

char *event_line(const char *type, const char *action, const char *id, const char *from,
		 const struct json *attributes)
{
	_cleanup_json_ struct json *o = json_new_object();
	struct json *actor = json_new_object();

	/* docker's older members, which it has for containers and images only */
	if (str_eq(type, "container") || str_eq(type, "image")) {
		json_set_string(o, "status", action);
		json_set_string(o, "id", id);
		if (from)
			json_set_string(o, "from", from);
	}
	json_set_string(o, "Type", type);
	json_set_string(o, "Action", action);
	json_set_string(actor, "ID", id);
	json_set(actor, "Attributes", attributes ? json_deep_copy(attributes) : json_new_object());
	json_set(o, "Actor", actor);
	json_set_string(o, "scope", "local");
	return json_print(o, JSON_COMPACT);
}

/* By rename, once: whoever sees the file too long first. */
static void rotate(const char *path)
{
	_cleanup_free_ char *lock_path = xasprintf("%s.lock", path), *old = xasprintf("%s.1", path);
	_cleanup_fd_ int lock = -1;
	struct stat st;

	struct err *e = file_lock_at(AT_FDCWD, lock_path, FILE_LOCK_TRY_EXCLUSIVE, &lock);
	err_free(e);
	if (!e && stat(path, &st) == 0 && st.st_size >= EVENT_LOG_MAX)
		(void)rename(path, old);
}

static int open_log(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
}

void event_log_write(const char *path, char *const *lines)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	_cleanup_fd_ int fd = open_log(path);
	int64_t now = timestamp_now_ns();
	struct stat st;

	STRV_FOREACH (line, lines) {
		size_t n = strlen(*line);
		if (n < 2 || n > EVENT_LINE_MAX)
			continue;
		strbuf_append(&out, *line, n - 1); /* without its "}" */
		strbuf_printf(&out, ",\"time\":%lld,\"timeNano\":%lld}\n", (long long)(now / 1000000000),
			      (long long)now);
		now++; /* what happened at once keeps its order */
	}
	if (fd < 0 || out.len == 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size >= EVENT_LOG_MAX) {
		rotate(path);
		fd_close(fd);
		fd = open_log(path);
	}
	if (fd >= 0)
		(void)!write(fd, out.data, out.len);
}

/* The line with its action and attributes filled in. */
static struct err *fill(const char *line, const char *action, char *const *pairs, char **ret)
{
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor root, actor, attributes;

	TRY(json_parse(line, strlen(line), "event", &doc));
	root = json_root(doc);
	TRY(json_get_object(&root, "Actor", JSON_REQUIRED, &actor));
	TRY(json_get_object(&actor, "Attributes", JSON_REQUIRED, &attributes));
	if (action) {
		json_set_string(root.value, "status", action);
		json_set_string(root.value, "Action", action);
	}
	for (; pairs && pairs[0] && pairs[1]; pairs += 2)
		json_set_string(attributes.value, pairs[0], pairs[1]);
	*ret = json_print(doc, JSON_COMPACT);
	return NULL;
}

void event_tell(const char *path, const char *line, char *const *pairs)
{
	char *filled = NULL;
	struct err *e = fill(line, NULL, pairs, &filled);

	if (!e) {
		char *lines[] = {filled, NULL};
		event_log_write(path, lines);
	}
	err_free(e);
	free(filled);
}

void event_run_tell(const char *path, const char *run_dir, const char *action, char *const *pairs, bool end)
{
	_cleanup_free_ char *file = xasprintf("%s/" EVENT_RUN_FILE, run_dir), *text = NULL;
	char *own = NULL;
	size_t size;

	struct err *e = file_read(file, EVENT_LINE_MAX, &text, &size);
	_cleanup_strv_ char **lines = e ? NULL : strv_split(text, "\n");
	if (!e && lines)
		e = fill(lines[0], action, pairs, &own);
	if (!e && own) {
		free(lines[0]);
		lines[0] = own;
		char *only[] = {own, NULL};
		event_log_write(path, end ? lines : only);
	}
	err_free(e);
}
