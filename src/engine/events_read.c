/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/timestamp.h"
#include "engine/events.h"
#include "event.h"

#define READ_SIZE ((size_t)64 << 10)

/* -- filters ---------------------------------------------------------------------------------------------------------- */

/* What is looked at of one event; borrowed. */
struct facts {
	const char *type, *action, *id, *name;
	struct json_cursor attributes;
};

static const char *attribute(const struct facts *f, const char *key)
{
	const char *value = NULL;

	err_free(json_get_string(&f->attributes, key, JSON_OPTIONAL, &value));
	return value;
}

/* A name, an id or the beginning of one. */
static bool is_called(const struct facts *f, const char *what)
{
	return (f->name && str_starts(f->name, what)) || str_starts(f->id, what);
}

static bool match_label(const struct facts *f, const char *what)
{
	size_t n = strcspn(what, "=");
	_cleanup_free_ char *key = xstrndup(what, n);
	const char *value = attribute(f, key);

	return value && (!what[n] || str_eq(value, what + n + 1));
}

/* "debian" is debian:latest, too. */
static bool match_image_name(const char *name, const char *what)
{
	size_t n = strlen(what);

	return name && strncmp(name, what, n) == 0 &&
	       (name[n] == '\0' || (name[n] == ':' && !strchr(what, ':')));
}

static bool match(const struct facts *f, const char *key, const char *value)
{
	size_t n = strlen(value);

	if (str_eq(key, "type"))
		return str_eq(f->type, value);
	if (str_eq(key, "event")) /* "exec_create: ls" by its first word */
		return strncmp(f->action, value, n) == 0 && (f->action[n] == '\0' || f->action[n] == ':');
	if (str_eq(key, "container") || str_eq(key, "network") || str_eq(key, "volume"))
		return str_eq(f->type, key) && is_called(f, value);
	if (str_eq(key, "image"))
		return str_eq(f->type, "image")
			       ? match_image_name(f->name, value) || match_image_name(f->id, value)
			       : str_eq(f->type, "container") &&
					 match_image_name(attribute(f, "image"), value);
	if (str_eq(key, "label"))
		return match_label(f, value);
	return str_eq(key, "scope") ? str_eq(value, "local") : str_eq(f->type, "daemon");
}

static const char *const keys[] = {"container", "daemon", "event", "image", "label",
				   "network",   "scope",  "type",  "volume"};

struct err *events_check_filters(char *const *filters)
{
	STRV_FOREACH (f, filters) {
		size_t n = strcspn(*f, "=");
		bool known = false;
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			known = known || (strlen(keys[i]) == n && strncmp(keys[i], *f, n) == 0);
		if (!known || !(*f)[n])
			return err_new(
				ERR_INVALID,
				"invalid filter \"%.128s\": write KEY=VALUE; the keys are container, daemon, "
				"event, image, label, network, scope, type, volume",
				*f);
	}
	return NULL;
}

/* Of each key that there is a filter for, one has to match; of labels all. */
static bool is_wanted(const struct facts *f, char *const *filters)
{
	STRV_FOREACH (first, filters) {
		size_t n = strcspn(*first, "=");
		_cleanup_free_ char *key = xstrndup(*first, n);
		bool any = false;
		if (str_eq(key, "label")) {
			if (!match(f, key, *first + n + 1))
				return false;
			continue;
		}
		STRV_FOREACH (other, filters)
			if (strncmp(*other, *first, n + 1) == 0)
				any = any || match(f, key, *other + n + 1);
		if (!any)
			return false;
	}
	return true;
}

/* -- reading ---------------------------------------------------------------------------------------------------------- */

struct reading {
	const struct event_query *q;
	struct err *(*event)(void *user, struct json *event);
	void *user;
	int fd;
	struct strbuf line; /* the beginning of one that is not whole yet */
};

/* A line that is none (of a power failure) is passed over. */
static struct err *decode(struct json *doc, struct facts *f, int64_t *ret_time)
{
	struct json_cursor root = json_root(doc), actor;

	TRY(json_get_string(&root, "Type", JSON_REQUIRED, &f->type));
	TRY(json_get_string(&root, "Action", JSON_REQUIRED, &f->action));
	TRY(json_get_i64(&root, "timeNano", JSON_REQUIRED, 0, INT64_MAX, ret_time));
	TRY(json_get_object(&root, "Actor", JSON_REQUIRED, &actor));
	TRY(json_get_string(&actor, "ID", JSON_REQUIRED, &f->id));
	TRY(json_get_object(&actor, "Attributes", JSON_REQUIRED, &f->attributes));
	f->name = attribute(f, "name");
	return NULL;
}

static struct err *take_line(struct reading *r, const char *line, size_t n)
{
	_cleanup_json_ struct json *doc = NULL;
	struct facts f = {0};
	int64_t time = 0;

	struct err *bad = json_parse(line, n, "event", &doc);
	if (!bad)
		bad = decode(doc, &f, &time);
	if (bad) {
		err_free(bad);
		return NULL;
	}
	if (time < r->q->since_ns || (r->q->until_ns && time > r->q->until_ns) ||
	    !is_wanted(&f, r->q->filters))
		return NULL;
	return r->event(r->user, doc);
}

static struct err *read_to_end(struct reading *r)
{
	_cleanup_free_ char *buffer = xmalloc(READ_SIZE);
	ssize_t n;

	while (r->fd >= 0 && (n = read(r->fd, buffer, READ_SIZE)) > 0) {
		const char *p = buffer, *end = buffer + n, *nl;
		while ((nl = memchr(p, '\n', (size_t)(end - p)))) {
			strbuf_append(&r->line, p, (size_t)(nl - p));
			p = nl + 1;
			struct err *e = take_line(r, strbuf_str(&r->line), r->line.len);
			strbuf_reset(&r->line);
			TRY(e);
		}
		if (r->line.len > 2 * EVENT_LINE_MAX)
			strbuf_reset(&r->line);
		strbuf_append(&r->line, p, (size_t)(end - p));
	}
	return NULL;
}

static void open_file(struct reading *r, const char *path, bool make)
{
	fd_close(r->fd);
	strbuf_reset(&r->line);
	r->fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
}

/* Whether the file under the path is another one than ours by now. */
static bool was_rotated(const struct reading *r, const char *path)
{
	struct stat ours, now;

	return r->fd < 0 || fstat(r->fd, &ours) < 0 || stat(path, &now) < 0 || ours.st_ino != now.st_ino;
}

/* Milliseconds until then; -1: for ever. */
static int left_ms(int64_t until_ns)
{
	int64_t left = (until_ns - timestamp_now_ns()) / 1000000;

	if (!until_ns)
		return -1;
	return left < 0 ? 0 : (int)MIN(left + 1, (int64_t)3600000);
}

static struct err *follow(struct reading *r, const char *path, int inotify, int stop)
{
	char drop[4096];

	while (true) {
		struct pollfd p[] = {{.fd = inotify, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
		TRY(read_to_end(r));
		if (was_rotated(r, path)) {
			TRY(read_to_end(r)); /* what came between the two looks */
			open_file(r, path, true);
			if (inotify_add_watch(inotify, path, IN_MODIFY | IN_MOVE_SELF) < 0)
				return err_errno(errno, "cannot watch %s", path);
			continue;
		}
		int timeout = left_ms(r->q->until_ns);
		if (timeout == 0)
			return NULL;
		if (poll(p, ARRAY_SIZE(p), timeout) < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for events");
		if (p[1].revents)
			return NULL;
		(void)!read(inotify, drop, sizeof(drop));
	}
}

static struct err *read_all(struct reading *r, const char *path, int stop)
{
	_cleanup_free_ char *old = xasprintf("%s.1", path);
	_cleanup_fd_ int inotify = -1;
	bool past = r->q->since_ns || r->q->until_ns;

	if (past) {
		open_file(r, old, false);
		TRY(read_to_end(r));
	}
	bool wait = !r->q->until_ns || r->q->until_ns > timestamp_now_ns();
	open_file(r, path, wait);
	if (!wait)
		return read_to_end(r);
	if (r->fd < 0)
		return err_errno(errno, "cannot open %s", path);
	inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (inotify < 0 || inotify_add_watch(inotify, path, IN_MODIFY | IN_MOVE_SELF) < 0)
		return err_errno(errno, "cannot watch %s", path);
	if (!past && lseek(r->fd, 0, SEEK_END) < 0)
		return err_errno(errno, "cannot read %s", path);
	return follow(r, path, inotify, stop);
}

struct err *events_read(struct engine *e, const struct event_query *q, int stop,
			struct err *(*event)(void *user, struct json *event), void *user)
{
	_cleanup_free_ char *path = event_path(e);
	struct reading r = {.q = q, .event = event, .user = user, .fd = -1};

	TRY(events_check_filters(q->filters));
	if (q->since_ns && q->until_ns && q->since_ns > q->until_ns)
		return err_new(ERR_INVALID, "the time since which is after the time until which");
	TRY(file_mkdir_p(e->root, 0700));
	struct err *error = read_all(&r, path, stop);
	fd_close(r.fd);
	strbuf_release(&r.line);
	return error;
}
