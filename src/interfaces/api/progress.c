/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <sys/socket.h>

#include "base/memory.h"

static void send_object(struct progress_stream *p, struct json *o);

/* Once. */
static void begin(struct progress_stream *p)
{
	const char *opening = p->opening;

	if (!opening)
		return;
	p->opening = NULL;
	struct err *e = stream_begin(p->x, "application/json", NULL);
	p->gone |= e != NULL;
	err_free(e);
	progress_stream_status(p, p->opening_id, opening);
}

static void send_object(struct progress_stream *p, struct json *o)
{
	begin(p);
	struct err *e = p->gone ? NULL : stream_json(p->x, o);

	p->gone |= e != NULL;
	err_free(e);
	json_unref(o);
}

void progress_stream_status(struct progress_stream *p, const char *id, const char *status)
{
	struct json *o = json_new_object();

	json_set_string(o, "status", status);
	if (id)
		json_set_string(o, "id", id);
	send_object(p, o);
}

static const char *words(const struct progress_stream *p, enum progress_phase phase)
{
	static const char *const pull[] = {
		[PROGRESS_WAITING] = "Pulling fs layer", [PROGRESS_DOWNLOADING] = "Downloading",
		[PROGRESS_APPLYING] = "Extracting",      [PROGRESS_DONE] = "Pull complete",
		[PROGRESS_EXISTS] = "Already exists",    [PROGRESS_RETRYING] = "Retrying",
		[PROGRESS_UPLOADING] = "Pushing",        [PROGRESS_MOUNTED] = "Mounted"};
	static const char *const push[] = {[PROGRESS_WAITING] = "Preparing",
					   [PROGRESS_DONE] = "Pushed",
					   [PROGRESS_EXISTS] = "Layer already exists"};

	if (p->pushing && phase < ARRAY_SIZE(push) && push[phase])
		return push[phase];
	if (p->loading)
		return phase == PROGRESS_DONE ? "Loaded" : "Loading layer";
	return phase < ARRAY_SIZE(pull) ? pull[phase] : "";
}

static void update(void *user, const char *id, enum progress_phase phase, uint64_t done, uint64_t total)
{
	struct progress_stream *p = user;
	struct json *o, *detail;

	if (p->quiet)
		return;
	o = json_new_object();
	detail = json_new_object();
	json_set_string(o, "status", words(p, phase));
	if (phase == PROGRESS_DOWNLOADING || phase == PROGRESS_APPLYING || phase == PROGRESS_UPLOADING) {
		json_set_u64(detail, "current", done);
		if (total)
			json_set_u64(detail, "total", total);
	}
	json_set(o, "progressDetail", detail);
	json_set_string(o, "id", id);
	send_object(p, o);
}

static void message(void *user, const char *text)
{
	struct progress_stream *p = user;

	if (!p->quiet)
		progress_stream_status(p, NULL, text);
}

static bool cancelled(void *user)
{
	struct progress_stream *p = user;
	char byte;

	return p->gone || recv(p->x->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

struct progress progress_stream_callbacks(struct progress_stream *p)
{
	return (struct progress){.update = update, .message = message, .cancelled = cancelled, .user = p};
}

struct err *progress_stream_end(struct progress_stream *p, struct err *e)
{
	if (e && p->opening)
		return e;
	begin(p);
	if (e) {
		_cleanup_free_ char *text = err_text(e);
		struct json *o = json_new_object(), *detail = json_new_object();
		json_set_string(detail, "message", text);
		json_set(o, "errorDetail", detail);
		json_set_string(o, "error", text);
		send_object(p, o);
		err_free(e);
	}
	return stream_end(p->x);
}
