/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <fcntl.h>

#include "base/json.h"
#include "base/memory.h"

#define RECORD_MAX (64u << 10)

void record_release(struct record *r)
{
	free(r->error);
	*r = (struct record){0};
}

static struct err *decode(struct json *doc, struct record *r)
{
	struct json_cursor root = json_root(doc);
	const char *error = NULL;
	int64_t pid = 0, code = 0, restarts = 0, delay = 0;

	TRY(json_get_bool(&root, "started", JSON_OPTIONAL, &r->started));
	TRY(json_get_bool(&root, "finished", JSON_OPTIONAL, &r->finished));
	TRY(json_get_i64(&root, "pid", JSON_OPTIONAL, 0, INT32_MAX, &pid));
	TRY(json_get_u64(&root, "start_ticks", JSON_OPTIONAL, UINT64_MAX, &r->start_ticks));
	TRY(json_get_i64(&root, "started_ns", JSON_OPTIONAL, 0, INT64_MAX, &r->started_ns));
	TRY(json_get_i64(&root, "finished_ns", JSON_OPTIONAL, 0, INT64_MAX, &r->finished_ns));
	TRY(json_get_i64(&root, "exit_code", JSON_OPTIONAL, 0, 255, &code));
	TRY(json_get_bool(&root, "oom_killed", JSON_OPTIONAL, &r->oom_killed));
	TRY(json_get_string(&root, "error", JSON_OPTIONAL, &error));
	TRY(json_get_bool(&root, "restarting", JSON_OPTIONAL, &r->restarting));
	TRY(json_get_i64(&root, "restarts", JSON_OPTIONAL, 0, INT32_MAX, &restarts));
	TRY(json_get_i64(&root, "delay_ms", JSON_OPTIONAL, 0, INT32_MAX, &delay));
	r->restarts = (unsigned)restarts;
	r->delay_ms = (unsigned)delay;
	r->pid = (pid_t)pid;
	r->exit_code = (int)code;
	r->error = xstrdup_null(error);
	r->present = true;
	return NULL;
}

struct err *record_read(const char *container_dir, struct record *ret)
{
	_cleanup_free_ char *path = xasprintf("%s/state.json", container_dir);
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_record_ struct record r = {0};
	size_t size;
	struct err *e = file_read(path, RECORD_MAX, &text, &size);

	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		*ret = r;
		return NULL;
	}
	TRY(e);
	TRY(json_parse(text, size, path, &doc));
	TRY(decode(doc, &r));
	*ret = r;
	r = (struct record){0};
	return NULL;
}

struct err *record_write(const char *container_dir, const struct record *r, enum file_durability durability)
{
	_cleanup_free_ char *path = xasprintf("%s/state.json", container_dir);
	_cleanup_strbuf_ struct strbuf b = {0};

	strbuf_printf(&b,
		      "{\"started\":%s,\"finished\":%s,\"pid\":%d,\"start_ticks\":%llu,\"started_ns\":%lld,"
		      "\"finished_ns\":%lld,"
		      "\"exit_code\":%d,\"oom_killed\":%s",
		      r->started ? "true" : "false", r->finished ? "true" : "false", (int)r->pid,
		      (unsigned long long)r->start_ticks, (long long)r->started_ns, (long long)r->finished_ns,
		      r->exit_code, r->oom_killed ? "true" : "false");
	if (r->restarting || r->restarts || r->delay_ms)
		strbuf_printf(&b, ",\"restarting\":%s,\"restarts\":%u,\"delay_ms\":%u",
			      r->restarting ? "true" : "false", r->restarts, r->delay_ms);
	if (r->error) {
		strbuf_puts(&b, ",\"error\":");
		json_quote(&b, r->error, MIN(strlen(r->error), (size_t)8192));
	}
	strbuf_puts(&b, "}\n");
	return file_replace_at(AT_FDCWD, path, b.data, b.len, 0600, durability);
}
