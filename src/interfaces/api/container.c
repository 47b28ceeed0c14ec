/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs on one container. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/process.h"
#include "engine/pod.h"
#include "images/snapshot.h"
#include "objects.h"
#include "routes.h"
#include "streams.h"

static bool is_up(const struct container *c)
{
	return c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED;
}

struct err *handle_container_inspect(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	struct json *o;
	uint64_t own, whole;

	TRY(find_container(x, &c));
	TRY(container_inspect(x->engine, c, &o));
	if (exchange_flag(x, "size", false)) {
		struct err *e = container_size(x->engine, c, &own, &whole);
		if (!e) {
			json_set_u64(o, "SizeRw", own);
			json_set_u64(o, "SizeRootFs", whole);
		}
		err_free(e);
	}
	return answer_json(x, 200, o);
}

struct err *handle_container_start(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;

	TRY(find_container(x, &c));
	if (c->status == CONTAINER_RUNNING)
		return answer_empty(x, 304);
	TRY(waiters_start(x->engine, c));
	return answer_empty(x, 204);
}

static struct err *stop_options(struct exchange *x, int *ret_timeout_s, char **ret_signal)
{
	int64_t seconds;

	TRY(exchange_number(x, "t", -1, &seconds));
	*ret_timeout_s = (int)MAX(MIN(seconds, (int64_t)INT32_MAX), (int64_t)INT32_MIN);
	*ret_signal = http_query(&x->request, "signal");
	if (str_empty(*ret_signal)) {
		free(*ret_signal);
		*ret_signal = NULL;
	}
	return NULL;
}

struct err *handle_container_stop(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *signal = NULL;
	int timeout_s;

	TRY(find_container(x, &c));
	TRY(stop_options(x, &timeout_s, &signal));
	if (!is_up(c) && c->status != CONTAINER_RESTARTING)
		return answer_empty(x, 304);
	TRY(container_stop(x->engine, c, timeout_s, signal));
	return answer_empty(x, 204);
}

struct err *handle_container_restart(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *signal = NULL;
	int timeout_s;

	TRY(find_container(x, &c));
	TRY(stop_options(x, &timeout_s, &signal));
	TRY(container_restart(x->engine, c, timeout_s, signal));
	return answer_empty(x, 204);
}

struct err *handle_container_kill(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *name = http_query(&x->request, "signal");
	int signum = SIGKILL, code;

	TRY(find_container(x, &c));
	if (!str_empty(name))
		TRY(signal_parse(name, &signum));
	bool up = is_up(c);
	TRY(container_kill(x->engine, c, signum));
	if (up && signum == SIGKILL) /* clients look at the state right after it */
		TRY(container_wait_or(x->engine, c, WAIT_NEXT_EXIT, x->fd, &code));
	return answer_empty(x, 204);
}

static struct err *set_paused(struct exchange *x, bool paused)
{
	_cleanup_container_ struct container *c = NULL;

	TRY(find_container(x, &c));
	TRY(container_pause(x->engine, c, paused));
	return answer_empty(x, 204);
}

struct err *handle_container_pause(struct exchange *x)
{
	return set_paused(x, true);
}

struct err *handle_container_unpause(struct exchange *x)
{
	return set_paused(x, false);
}

struct err *handle_container_rename(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *name = http_query(&x->request, "name");

	TRY(find_container(x, &c));
	if (str_empty(name))
		return err_new(ERR_INVALID, "Neither old nor new names may be empty");
	TRY(container_rename(x->engine, c, name));
	return answer_empty(x, 204);
}

struct err *handle_container_remove(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;

	TRY(find_container(x, &c));
	TRY(container_remove(x->engine, c, exchange_flag(x, "force", false), exchange_flag(x, "v", false)));
	return answer_empty(x, 204);
}

/* The head goes out before the wait: docker's client starts the container when it has seen it. */
struct err *handle_container_wait(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *condition = http_query(&x->request, "condition");
	enum wait_condition cond = WAIT_NOT_RUNNING;
	int code;

	TRY(find_container(x, &c));
	if (str_eq(condition, "next-exit"))
		cond = WAIT_NEXT_EXIT;
	else if (str_eq(condition, "removed"))
		cond = WAIT_REMOVED;
	else if (!str_empty(condition) && !str_eq(condition, "not-running"))
		return err_new(ERR_INVALID, "invalid condition: \"%.64s\"", condition);
	/* As dockerd: the end of this run, whether or not the restart policy starts another. */
	if (cond == WAIT_NOT_RUNNING && (is_up(c) || c->status == CONTAINER_RESTARTING))
		cond = WAIT_NEXT_EXIT;
	exchange_drain(x);
	TRY(stream_begin(x, "application/json", NULL));
	TRY(container_wait_or(x->engine, c, cond, x->fd, &code));
	_cleanup_json_ struct json *o = json_new_object();
	json_set_i64(o, "StatusCode", code);
	TRY(stream_json(x, o));
	return stream_end(x);
}

static struct err *terminal_size(struct exchange *x, unsigned *ret_rows, unsigned *ret_cols)
{
	int64_t rows, cols;

	TRY(exchange_number(x, "h", 0, &rows));
	TRY(exchange_number(x, "w", 0, &cols));
	if (rows < 0 || cols < 0 || rows > UINT16_MAX || cols > UINT16_MAX)
		return err_new(ERR_INVALID, "the terminal's size is out of range");
	*ret_rows = (unsigned)rows;
	*ret_cols = (unsigned)cols;
	return NULL;
}

struct err *handle_container_resize(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	unsigned rows, cols;

	TRY(find_container(x, &c));
	TRY(terminal_size(x, &rows, &cols));
	TRY(container_resize(x->engine, c, rows, cols));
	return answer_empty(x, 200);
}

struct err *handle_container_top(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *args = http_query(&x->request, "ps_args");
	_cleanup_strv_ char **list = args ? strv_split(args, " ") : NULL;
	struct json *o;

	TRY(find_container(x, &c));
	TRY(container_top(x->engine, c, list, &o));
	return answer_json(x, 200, o);
}

struct err *handle_container_changes(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	struct snapshot_change *changes;
	size_t n;

	TRY(find_container(x, &c));
	TRY(container_changes(x->engine, c, &changes, &n));
	struct json *list = json_new_array();
	for (size_t i = 0; i < n; i++) {
		struct json *o = json_new_object();
		json_set_string(o, "Path", changes[i].path);
		json_set_i64(o, "Kind",
			     changes[i].kind == CHANGE_ADDED     ? 1
			     : changes[i].kind == CHANGE_DELETED ? 2
								 : 0);
		json_append(list, o);
	}
	snapshot_changes_free(changes, n);
	return answer_json(x, 200, list);
}

struct err *handle_container_export(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_fd_ int fd = -1;
	char piece[65536];
	size_t n;

	TRY(find_container(x, &c));
	fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(errno, "cannot make a file for the container's tree");
	TRY(container_export(x->engine, c, fd));
	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_errno(errno, "cannot rewind the container's tree");
	TRY(stream_begin(x, "application/octet-stream", NULL));
	do {
		TRY(fd_read_full(fd, piece, sizeof(piece), "the container's tree", &n));
		TRY(stream_write(x, piece, n));
	} while (n);
	return stream_end(x);
}

struct err *handle_commit(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *id = http_query(&x->request, "container"),
			    *repo = http_query(&x->request, "repo"), *tag = http_query(&x->request, "tag"),
			    *author = http_query(&x->request, "author"),
			    *comment = http_query(&x->request, "comment"), *name = NULL;
	_cleanup_strv_ char **changes = http_query_all(&x->request, "changes");
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	struct container_commit_options o = {.author = author, .message = comment, .changes = changes};
	struct digest image;

	TRY(container_find(x->engine, id ? id : "", &c));
	if (!str_empty(repo)) {
		name = str_empty(tag) ? xstrdup(repo) : xasprintf("%s:%s", repo, tag);
		TRY(reference_parse(name, &ref));
		o.name = &ref;
	}
	o.pause = exchange_flag(x, "pause", true);
	exchange_drain(x);
	TRY(container_commit(x->engine, c, &o, &image));
	struct json *answer = json_new_object();
	json_set_string(answer, "Id", image.s);
	return answer_json(x, 201, answer);
}

struct err *handle_container_prune(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL;
	struct json *o, *removed = json_new_array();
	struct container **list = NULL;
	uint64_t bytes = 0;
	size_t n = 0;
	int64_t until = INT64_MAX;

	struct err *e = exchange_filters(x, "label label! until", &filters);
	STRV_FOREACH (f, filters)
		if (!e && str_starts(*f, "until="))
			e = moment_ns(*f + strlen("until="), "until", &until);
	if (!e)
		e = container_list(x->engine, true, &list, &n);
	for (size_t i = 0; !e && i < n; i++) {
		uint64_t own = 0, whole;
		struct container *c = list[i];
		if (is_up(c) || c->status == CONTAINER_RESTARTING || c->created_ns >= until ||
		    !filter_labels(filters, c->labels))
			continue;
		err_free(container_size(x->engine, c, &own, &whole));
		struct err *kept = container_remove(x->engine, c, false, false);
		if (!kept) {
			json_append(removed, json_new_string(c->id));
			bytes += own;
		}
		err_free(kept); /* started or removed by somebody meanwhile */
	}
	containers_free(list, n);
	if (e) {
		json_unref(removed);
		return e;
	}
	o = json_new_object();
	json_set(o, "ContainersDeleted", removed);
	json_set_u64(o, "SpaceReclaimed", bytes);
	return answer_json(x, 200, o);
}

/* -- streams --- */

struct err *handle_container_attach(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_free_ char *keys = http_query(&x->request, "detachKeys");
	_cleanup_(attach_freep) struct attach *a = NULL;
	struct stream_choice s;
	bool stream, exited = false;
	int code;

	TRY(find_container(x, &c));
	s = (struct stream_choice){.tty = c->spec->tty,
				   .stdin_ = exchange_flag(x, "stdin", false),
				   .stdout_ = exchange_flag(x, "stdout", false),
				   .stderr_ = exchange_flag(x, "stderr", false),
				   .detach_keys = str_empty(keys) ? NULL : keys};
	stream = exchange_flag(x, "stream", false);
	if (c->status == CONTAINER_PAUSED)
		return err_new(ERR_STATE, "container %s is paused, unpause the container before attach",
			       c->name);
	struct attach_options o = {.stdin_ = s.stdin_, .stdout_ = s.stdout_, .stderr_ = s.stderr_};
	exchange_drain(x);
	struct waiter *w = stream && !is_up(c) ? waiter_new(c, &o) : NULL;
	struct err *e = exchange_hijack(x, s.tty);
	if (!e && exchange_flag(x, "logs", false))
		e = container_send_logs(x, c, &s);
	if (!e && w)
		e = waiter_wait(w, x->engine, x->fd, &a);
	waiter_free(w);
	TRY(e);
	if (!stream)
		return NULL;
	bool starter = a != NULL;
	if (!a) {
		container_free(TAKE_PTR(c));
		TRY(find_container(x, &c));
		TRY(container_attach(x->engine, c, &o, &a));
	}
	TRY(streams_pump(x, a, &s, &exited, &code));
	/* The client hears of the end when all of it is over, as the client of dockerd. */
	return starter && exited ? container_finish(x->engine, c, a) : NULL;
}
