/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include <signal.h>
#include <stdio.h>

#include "base/process.h"
#include "base/timestamp.h"
#include "event.h"
#include "restart_policy.h"

#define SECOND 1000000000LL
#define KILL_GRACE_MS 5000

void health_config_release(struct health_config *h)
{
	strv_free(h->command);
}

/* -- what is asked for ------------------------------------------------------------------------------------------------ */

static struct err *command_of(const struct json_cursor *root, char ***ret)
{
	_cleanup_strv_ char **test = NULL;

	TRY(json_get_strv(root, "Test", JSON_OPTIONAL, &test));
	if (strv_len(test) < 2) /* none, or NONE */
		return NULL;
	if (str_eq(test[0], "CMD-SHELL")) {
		strv_push(ret, "/bin/sh");
		strv_push(ret, "-c");
		strv_push(ret, test[1]);
		return NULL;
	}
	if (!str_eq(test[0], "CMD"))
		return err_new(ERR_INVALID,
			       "unknown type of a health check: \"%.64s\" (CMD, CMD-SHELL, NONE)", test[0]);
	STRV_FOREACH (word, test + 1)
		strv_push(ret, *word);
	return NULL;
}

static struct err *number_of(const struct json_cursor *root, const char *key, int64_t fallback, int64_t *ret)
{
	int64_t n = 0;

	TRY(json_get_i64(root, key, JSON_OPTIONAL, 0, INT64_MAX, &n));
	*ret = n > 0 ? n : fallback;
	return NULL;
}

struct err *health_config_of(const struct container_spec *s, struct health_config *ret)
{
	_cleanup_json_ struct json *doc = NULL;

	*ret = (struct health_config){0};
	if (!s->health)
		return NULL;
	TRY(json_parse(s->health, strlen(s->health), "health check", &doc));
	struct json_cursor root = json_root(doc);
	TRY(number_of(&root, "Interval", 30 * SECOND, &ret->interval_ns));
	TRY(number_of(&root, "Timeout", 30 * SECOND, &ret->timeout_ns));
	TRY(number_of(&root, "StartPeriod", 0, &ret->start_period_ns));
	TRY(number_of(&root, "StartInterval", 5 * SECOND, &ret->start_interval_ns));
	TRY(number_of(&root, "Retries", 3, &ret->retries));
	return command_of(&root, &ret->command);
}

struct err *health_merge_image(const struct json_cursor *image_config, struct container_spec *s)
{
	static const char *const keys[] = {"Test",        "Interval",      "Timeout",
					   "StartPeriod", "StartInterval", "Retries"};
	_cleanup_json_ struct json *own = NULL;
	struct json_cursor theirs, value;

	TRY(json_get_object(image_config, "Healthcheck", JSON_OPTIONAL, &theirs));
	own = json_new_object();
	if (s->health) {
		json_unref(own);
		own = NULL;
		TRY(json_parse(s->health, strlen(s->health), "health check", &own));
	}
	struct json_cursor root = json_root(own);
	for (size_t i = 0; theirs.value && i < ARRAY_SIZE(keys); i++) {
		TRY(json_get(&root, keys[i], JSON_OPTIONAL, &value));
		if (value.value)
			continue;
		TRY(json_get(&theirs, keys[i], JSON_OPTIONAL, &value));
		if (value.value)
			json_set(own, keys[i], json_deep_copy(value.value));
	}
	free(s->health);
	s->health = NULL;
	TRY(json_get(&root, "Test", JSON_OPTIONAL, &value));
	if (value.value) /* times without a check mean nothing */
		s->health = json_print(own, JSON_COMPACT);
	_cleanup_health_config_ struct health_config check = {0};
	return health_config_of(s, &check);
}

/* -- results ------------------------------------------------------------------------------------------------------------ */

static struct err *store(const struct container *c, struct json *doc)
{
	_cleanup_free_ char *path = xasprintf("%s/" HEALTH_FILE, c->root_dir),
			    *text = json_print(doc, JSON_COMPACT);

	return file_replace_at(AT_FDCWD, path, text, strlen(text), 0600, FILE_VOLATILE);
}

struct err *health_reset(const struct container *c)
{
	_cleanup_health_config_ struct health_config h = {0};
	_cleanup_json_ struct json *doc = json_new_object();

	TRY(health_config_of(c->spec, &h));
	if (!h.command)
		return NULL;
	json_set_string(doc, "Status", "starting");
	json_set_i64(doc, "FailingStreak", 0);
	json_set(doc, "Log", json_new_array());
	return store(c, doc);
}

struct err *health_monitor_config(struct engine *e, const struct container *c, struct json *config)
{
	_cleanup_health_config_ struct health_config h = {0};
	_cleanup_strv_ char **argv = NULL;
	struct json *o;

	TRY(health_config_of(c->spec, &h));
	if (!h.command)
		return NULL;
	TRY(engine_own_command(e, &argv));
	strv_push(&argv, "healthcheck");
	strv_push(&argv, "run");
	strv_push(&argv, c->id);
	o = json_new_object();
	json_set_strv(o, "probe", argv);
	json_set_i64(o, "interval_ms", h.interval_ns / 1000000);
	json_set_i64(o, "start_period_ms", h.start_period_ns / 1000000);
	json_set_i64(o, "start_interval_ms", h.start_interval_ns / 1000000);
	json_set(config, "health", o);
	return NULL;
}

/* -- a probe ------------------------------------------------------------------------------------------------------------- */

struct result {
	int64_t start_ns, end_ns;
	int exit_code; /* -1: it took too long, or could not run */
	struct strbuf output;
};

static struct err *execute(struct engine *e, struct container *c, const struct health_config *h,
			   struct result *r)
{
	const struct exec_spec x = {.command = h->command, .quiet = true};
	const unsigned char sigkill = SIGKILL;
	struct attach *a = NULL;

	TRY(container_exec(e, c, &x, &a));
	struct err *error = attach_wait_output(a, (int)MIN(h->timeout_ns / 1000000, (int64_t)INT32_MAX),
					       &r->output, HEALTH_OUTPUT_MAX, &r->exit_code);
	if (error && error->kind == ERR_TIMEOUT) {
		int code;
		err_free(error);
		_cleanup_free_ char *said = strbuf_take(&r->output);
		strbuf_printf(&r->output, "Health check exceeded timeout (%gs)%s%s",
			      (double)h->timeout_ns / 1e9, *said ? ": " : "", said);
		r->exit_code = -1;
		error = stream_send(attach_fd(a), STREAM_SIGNAL, &sigkill, 1);
		if (!error)
			error = attach_wait_exit(a, KILL_GRACE_MS, &code);
	}
	attach_free(a);
	return error;
}

static void push_log(struct json *doc, const struct result *r)
{
	char start[TIMESTAMP_STRING_MAX], end[TIMESTAMP_STRING_MAX];
	struct json_cursor root = json_root(doc), old;
	struct json *list = json_new_array(), *entry = json_new_object();

	err_free(json_get_array(&root, "Log", JSON_OPTIONAL, &old));
	size_t n = json_array_len(&old);
	for (size_t i = n >= HEALTH_LOG_MAX ? n - HEALTH_LOG_MAX + 1 : 0; i < n; i++)
		json_append(list, json_ref(json_at(&old, i).value));
	timestamp_format(r->start_ns, start);
	timestamp_format(r->end_ns, end);
	json_set_string(entry, "Start", start);
	json_set_string(entry, "End", end);
	json_set_i64(entry, "ExitCode", r->exit_code);
	json_set_string(entry, "Output", strbuf_str(&r->output));
	json_append(list, entry);
	json_set(doc, "Log", list);
}

/* docker's rules: one success is health, `retries` failures in a row are not, and failures of the start period do not count. */
static struct err *judge(const struct container *c, const struct health_config *h, const struct result *r,
			 struct json *doc, const char **ret_status, bool *ret_changed)
{
	struct json_cursor root = json_root(doc);
	const char *before = "starting", *now;
	int64_t streak = 0;

	TRY(json_get_string(&root, "Status", JSON_OPTIONAL, &before));
	TRY(json_get_i64(&root, "FailingStreak", JSON_OPTIONAL, 0, INT32_MAX, &streak));
	bool starting = str_eq(before, "starting");
	if (r->exit_code == 0) {
		streak = 0;
		now = "healthy";
	} else {
		if (!starting || r->start_ns - c->started_ns >= h->start_period_ns)
			streak++;
		now = streak >= h->retries        ? "unhealthy"
		      : starting                  ? "starting"
		      : str_eq(before, "healthy") ? "healthy"
						  : "unhealthy";
	}
	*ret_changed = !str_eq(before, now);
	*ret_status = now;
	json_set_string(doc, "Status", now);
	json_set_i64(doc, "FailingStreak", streak);
	return NULL;
}

static struct err *record_result(struct engine *e, struct container *c, const struct health_config *h,
				 const struct result *r, const char **ret_status)
{
	_cleanup_free_ char *lock_path = xasprintf("%s/health.lock", c->root_dir);
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_fd_ int lock = -1;
	struct restart_policy policy;
	bool changed;

	TRY(file_lock_at(AT_FDCWD, lock_path, FILE_LOCK_EXCLUSIVE, &lock));
	TRY(health_file_read(c->root_dir, &doc));
	if (!doc)
		doc = json_new_object();
	TRY(judge(c, h, r, doc, ret_status, &changed));
	push_log(doc, r);
	TRY(store(c, doc));
	if (changed) {
		_cleanup_free_ char *action = xasprintf("health_status: %s", *ret_status);
		event_container(e, c, action, NULL);
	}
	TRY(restart_policy_parse(c->spec->restart, &policy));
	if (changed && str_eq(*ret_status, "unhealthy") && policy.kind == RESTART_ON_UNHEALTHY)
		return container_end(e, c); /* its monitor starts it anew */
	return NULL;
}

struct err *container_health_probe(struct engine *e, struct container *c, bool *ret_success,
				   const char **ret_status)
{
	_cleanup_health_config_ struct health_config h = {0};
	struct result r = {.start_ns = timestamp_now_ns(), .exit_code = -1};

	TRY(health_config_of(c->spec, &h));
	if (!h.command)
		return err_new(ERR_INVALID, "container %s has no health check", c->name);
	if (c->status != CONTAINER_RUNNING)
		return err_new(ERR_STATE, "container %s is not running", c->name);
	struct err *error = execute(e, c, &h, &r);
	if (error && error->kind != ERR_EXEC) {
		strbuf_release(&r.output);
		return error;
	}
	if (error) { /* the check's program is not there: docker's result, too */
		_cleanup_free_ char *text = err_text(error);
		strbuf_puts(&r.output, text);
		err_free(error);
	}
	r.end_ns = timestamp_now_ns();
	error = record_result(e, c, &h, &r, ret_status);
	*ret_success = r.exit_code == 0;
	strbuf_release(&r.output);
	return error;
}

struct err *container_health(const struct container *c, struct json **ret)
{
	_cleanup_health_config_ struct health_config h = {0};

	*ret = NULL;
	TRY(health_config_of(c->spec, &h));
	return h.command ? health_file_read(c->root_dir, ret) : NULL;
}
