/* SPDX-License-Identifier: Apache-2.0 */
#include "pull_blob.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "pull_split.h"

#define REPORT_INTERVAL_NS (50 * 1000000LL)
/* A connection that brought this much before it broke was worth it: the count of attempts begins anew. */
#define GOOD_PROGRESS ((uint64_t)256 << 10)
#define KEEP_MIN ((uint64_t)64 << 10)

struct download {
	struct registry *registry;
	const struct progress *progress;
	const struct descriptor *d;
	const struct blob_sink *sink;
	uint64_t requested; /* offset of this request's Range; 0: whole */
	uint64_t end;       /* of what is wanted */
	bool part;          /* not the whole blob: the answer has to be one, too */
	bool no_parts;      /* it was not */
	bool started;
	int64_t reported_ns;
	struct blob_short_id id;
};

struct blob_short_id blob_short_id(const struct digest *d)
{
	struct blob_short_id id;

	snprintf(id.s, sizeof(id.s), "%.12s", digest_hex(d));
	return id;
}

static uint64_t offset_of(const struct download *w)
{
	return w->sink->offset(w->sink->user);
}

static void report(struct download *w, enum progress_phase phase, bool always)
{
	const struct progress *p = w->progress;
	int64_t now = timestamp_monotonic_ns();

	if (!p || !p->update || (!always && now - w->reported_ns < REPORT_INTERVAL_NS))
		return;
	w->reported_ns = now;
	p->update(p->user, w->id.s, phase, offset_of(w), w->d->size);
}

/* First bytes of an answer: do they begin where we stopped? A server that does not know Range sends everything. */
static struct err *begin_body(struct download *w, const struct http_response *r)
{
	w->started = true;
	if (w->part && r->status != 206) {
		w->no_parts = true;
		return err_new(ERR_UNSUPPORTED, "registry %s sends no parts of blobs",
			       registry_name(w->registry));
	}
	if (r->status == 206) {
		if ((w->requested == 0 && !w->part) || r->range_start != w->requested)
			return err_new(ERR_UNREACHABLE,
				       "registry %s sends another part of %s than was asked for",
				       registry_name(w->registry), w->d->digest.s);
		return NULL;
	}
	return offset_of(w) ? w->sink->restart(w->sink->user) : NULL;
}

static struct err *take(void *user, const struct http_response *r, const void *data, size_t size)
{
	struct download *w = user;

	if (!w->started)
		TRY(begin_body(w, r));
	if (w->part && size > w->end - MIN(w->end, offset_of(w)))
		return err_new(ERR_UNREACHABLE, "registry %s sends more of %s than was asked for",
			       registry_name(w->registry), w->d->digest.s);
	if (size > w->d->size - MIN(w->d->size, offset_of(w)))
		return err_new(ERR_CORRUPT,
			       "blob %s from registry %s is longer than the %" PRIu64
			       " bytes its manifest says",
			       w->d->digest.s, registry_name(w->registry), w->d->size);
	TRY(w->sink->write(w->sink->user, data, size));
	report(w, PROGRESS_DOWNLOADING, false);
	return NULL;
}

/* One request. Success may leave the blob incomplete: the caller looks at the offset. *ret_failure as http_perform. */
static struct err *request(struct download *w, struct http_client *client, const char *url,
			   struct http_response *response, enum http_failure *ret_failure)
{
	_cleanup_free_ char *what = xasprintf("blobs/%s", w->d->digest.s);
	_cleanup_free_ char *name = xasprintf("blob %s", w->d->digest.s);
	_cleanup_strv_ char **headers = NULL;

	w->requested = offset_of(w);
	w->started = false;
	if (w->part)
		strv_push_take(&headers,
			       xasprintf("Range: bytes=%" PRIu64 "-%" PRIu64, w->requested, w->end - 1));
	else if (w->requested)
		strv_push_take(&headers, xasprintf("Range: bytes=%" PRIu64 "-", w->requested));
	struct http_request q = {.method = "GET", .url = url, .headers = headers, .sink = take, .user = w};
	if (url)
		TRY(http_perform(client, &q, response, ret_failure));
	else
		TRY(registry_request(w->registry, client, what, &q, response, ret_failure));
	*ret_failure = HTTP_FAILURE_FINAL;
	if (response->status == 200 || response->status == 206)
		return NULL;
	if (response->status == 416 && w->requested) /* what we kept is longer than the blob */
		return w->sink->restart(w->sink->user);
	if (registry_status_is_transient(response->status))
		*ret_failure = HTTP_FAILURE_BROKEN;
	return registry_status_error(w->registry, response, name);
}

static struct err *download_from(struct download *w, struct http_client *client, const char *url)
{
	struct registry_retry retry = {0};

	while (offset_of(w) < w->end) {
		struct http_response response = {0};
		enum http_failure failure = HTTP_FAILURE_FINAL;
		uint64_t before = offset_of(w);
		struct err *e = request(w, client, url, &response, &failure);
		uint64_t after = offset_of(w);
		if (!e && after < w->end) {
			failure = HTTP_FAILURE_BROKEN;
			e = err_new(ERR_UNREACHABLE,
				    "registry %s ended blob %s after %" PRIu64 " of %" PRIu64 " bytes",
				    registry_name(w->registry), w->d->digest.s, after, w->d->size);
		}
		if (e) {
			if (after > before + GOOD_PROGRESS)
				retry.attempts = 0;
			if (failure != HTTP_FAILURE_FINAL)
				report(w, PROGRESS_RETRYING, true);
			e = registry_wait(w->registry, &retry, e, failure, &response);
		}
		http_response_release(&response);
		TRY(e);
	}
	return NULL;
}

struct err *registry_blob_get(struct registry *r, struct http_client *client, const struct descriptor *d,
			      const struct blob_sink *sink, const struct progress *progress)
{
	struct download w = {.registry = r,
			     .progress = progress,
			     .d = d,
			     .sink = sink,
			     .end = d->size,
			     .id = blob_short_id(&d->digest)};

	if (offset_of(&w) > d->size)
		TRY(sink->restart(sink->user));
	report(&w, PROGRESS_DOWNLOADING, true);
	struct err *e = download_from(&w, client, NULL);
	/* Non-distributable layers (image-spec layer.md) live elsewhere; no credentials go there. */
	STRV_FOREACH (url, d->urls) {
		if (!e || e->kind != ERR_NOT_FOUND)
			break;
		err_free(e);
		e = download_from(&w, client, *url);
	}
	if (!e)
		report(&w, PROGRESS_DOWNLOADING, true);
	return e;
}

struct err *registry_blob_get_part(struct registry *r, struct http_client *client, const struct descriptor *d,
				   uint64_t end, const struct blob_sink *sink, bool *ret_no_parts)
{
	struct download w = {.registry = r, .d = d, .sink = sink, .end = end, .part = true};

	struct err *e = download_from(&w, client, NULL);
	*ret_no_parts = w.no_parts;
	return e;
}

/* -- into the store ------------------------------------------------------------------------------------------- */

struct reception {
	struct blob_writer *writer;
	struct blob_feed *feed;
};

static uint64_t writer_offset(void *user)
{
	return blob_writer_offset(((struct reception *)user)->writer);
}

static void tell(const struct reception *r)
{
	if (r->feed)
		blob_feed_set_available(r->feed, blob_writer_offset(r->writer));
}

static struct err *writer_restart(void *user)
{
	struct reception *r = user;

	TRY(blob_writer_restart(r->writer));
	tell(r);
	return NULL;
}

static struct err *writer_write(void *user, const void *data, size_t size)
{
	struct reception *r = user;

	TRY(blob_writer_write(r->writer, data, size));
	tell(r);
	return NULL;
}

static bool worth_keeping(const struct pull_blob *p, uint64_t offset, const struct err *e)
{
	if (__atomic_load_n(p->discard, __ATOMIC_RELAXED) || offset < KEEP_MIN)
		return false;
	return e->kind == ERR_CANCELLED || e->kind == ERR_UNREACHABLE || e->kind == ERR_BUSY;
}

struct err *pull_blob(const struct pull_blob *p, struct http_client *client, const struct descriptor *d,
		      struct blob_feed *feed, struct pull_split *split)
{
	for (bool again = false;; again = true) {
		struct blob_writer *writer;
		TRY(blob_writer_begin(p->store, &d->digest, p->progress, &writer));
		if (!writer)
			return NULL;
		struct reception r = {writer, feed};
		const struct blob_sink sink = {writer_offset, writer_restart, writer_write, &r};
		if (feed)
			blob_feed_open(feed, blob_writer_fd(writer));
		tell(&r);
		uint64_t kept = blob_writer_offset(writer);
		struct err *e = NULL;
		if (split && !d->urls && pull_split_is_worth(d->size - MIN(d->size, kept)))
			e = pull_split_run(split, p, client, d, writer, feed);
		if (!e)
			e = registry_blob_get(p->registry, client, d, &sink, p->progress);
		if (e) {
			blob_writer_abort(writer, worth_keeping(p, blob_writer_offset(writer), e));
			return e;
		}
		e = blob_writer_commit(writer, d->size, NULL, NULL);
		if (!e || e->kind != ERR_CORRUPT)
			return e;
		/* The fault may be in what an earlier run left: that has gone with the writer. */
		if (kept == 0 || again)
			return err_wrap(e, "blob from registry %s is corrupt", registry_name(p->registry));
		err_free(e);
	}
}
