/* SPDX-License-Identifier: Apache-2.0 */
/* POST opens an upload, one PUT sends everything (distribution-spec 1.1.1, "Pushing blobs"). When that breaks, GET tells how much has
 * arrived, PATCH sends the rest and an empty PUT ends it. A PUT that is refused for its size (proxies before registries do that) is
 * sent in PATCH chunks instead. Every answer may move the upload: its Location counts from then on, with its query. */
#include "push_blob.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "pull_blob.h"

#define REPORT_INTERVAL_NS (50 * 1000000LL)
#define GOOD_PROGRESS ((uint64_t)256 << 10) /* as a pull's: this much was worth the attempt */
#define CHUNK_SIZE ((uint64_t)16 << 20)
#define CHUNK_SIZE_LARGEST ((uint64_t)1 << 30) /* of what a registry may demand */
#define ANSWER_MAX ((size_t)64 << 10)
#define RESTARTS_MAX 5

struct upload {
	const struct push_blob *push;
	struct http_client *client;
	const struct descriptor *d;
	char *location;  /* NULL: none is open */
	uint64_t offset; /* how much the registry has */
	uint64_t chunk_min;
	bool in_chunks; /* a whole PUT was too large */
	bool finished;
	unsigned restarts;
	int fd;
	int64_t reported_ns;
	struct blob_short_id id;
};

static void report(struct upload *u, enum progress_phase phase, uint64_t done, bool always)
{
	const struct progress *p = u->push->progress;
	int64_t now = timestamp_monotonic_ns();

	if (!p || !p->update || (!always && now - u->reported_ns < REPORT_INTERVAL_NS))
		return;
	u->reported_ns = now;
	p->update(p->user, u->id.s, phase, done, u->d->size);
}

static void on_sent(void *user, uint64_t offset)
{
	report(user, PROGRESS_UPLOADING, offset, false);
}

/* -- requests ------------------------------------------------------------------------------------------------- */

/* One request to the upload's location (NULL: to `what` below the repository). Any status is success. */
static struct err *request(struct upload *u, const char *method, const char *what, const char *url,
			   char *const *headers, const struct http_upload *body,
			   struct http_response *response, enum http_failure *failure)
{
	struct http_request q = {
		.method = method, .url = url, .headers = headers, .upload = body, .body_max = ANSWER_MAX};

	return registry_request(u->push->registry, u->client, what, &q, response, failure);
}

static struct err *status_error(struct upload *u, const struct http_response *response,
				enum http_failure *failure)
{
	_cleanup_free_ char *name = xasprintf("blob %s", u->d->digest.s);

	*failure = registry_status_is_transient(response->status) ? HTTP_FAILURE_BROKEN : HTTP_FAILURE_FINAL;
	return registry_status_error(u->push->registry, response, name);
}

static struct err *take_location(struct upload *u, const struct http_response *response)
{
	char *location;

	if (response->chunk_min)
		u->chunk_min = MIN(response->chunk_min, CHUNK_SIZE_LARGEST);
	if (!response->location)
		return u->location ? NULL
				   : err_new(ERR_INVALID,
					     "registry %s opens an upload and does not say where it is",
					     registry_name(u->push->registry));
	TRY_WRAP(registry_resolve(u->push->registry, u->client, response->location, &location), "registry %s",
		 registry_name(u->push->registry));
	free(u->location);
	u->location = location;
	return NULL;
}

static void forget(struct upload *u)
{
	free(u->location);
	u->location = NULL;
	u->offset = 0;
}

static struct err *is_there(struct upload *u, bool *ret, enum http_failure *failure)
{
	_cleanup_free_ char *what = xasprintf("blobs/%s", u->d->digest.s);
	struct http_response response = {0};
	struct err *e = request(u, "HEAD", what, NULL, NULL, NULL, &response, failure);

	if (!e && response.status != 200 && response.status != 404)
		e = status_error(u, &response, failure);
	*ret = !e && response.status == 200;
	http_response_release(&response);
	return e;
}

/* 201: the registry took it from there. 202 opens an upload instead. Anything else: as if nobody had asked. */
static struct err *mount(struct upload *u, const char *from)
{
	_cleanup_free_ char *scope = xasprintf("repository:%s:pull", from);
	_cleanup_strbuf_ struct strbuf what = {0};
	struct http_response response = {0};
	enum http_failure failure;

	strbuf_puts(&what, "blobs/uploads/?mount=");
	url_encode(&what, u->d->digest.s);
	strbuf_puts(&what, "&from=");
	url_encode(&what, from);
	struct http_request q = {.method = "POST", .body_max = ANSWER_MAX};
	struct err *e = registry_request_scoped(u->push->registry, u->client, strbuf_str(&what), scope, &q,
						&response, &failure);
	if (!e && response.status == 201)
		u->finished = true;
	else if (!e && response.status == 202)
		e = take_location(u, &response);
	http_response_release(&response);
	if (e && e->kind != ERR_CANCELLED) {
		err_free(e);
		e = NULL;
	}
	return e;
}

static struct err *open_upload(struct upload *u, struct http_response *response, enum http_failure *failure)
{
	TRY(request(u, "POST", "blobs/uploads/", NULL, NULL, NULL, response, failure));
	if (response->status != 202)
		return status_error(u, response, failure);
	u->offset = 0;
	return take_location(u, response);
}

/* Bytes [offset, offset + size) with `method`. `last` names the digest: the upload ends. */
static struct err *send(struct upload *u, const char *method, uint64_t size, bool last,
			struct http_response *response, enum http_failure *failure)
{
	_cleanup_strbuf_ struct strbuf url = {0};
	_cleanup_strv_ char **headers = NULL;
	struct http_upload body = {
		.fd = u->fd, .offset = u->offset, .size = size, .sent = on_sent, .user = u};

	strbuf_puts(&url, u->location);
	if (last) {
		strbuf_printf(&url, "%sdigest=", strchr(u->location, '?') ? "&" : "?");
		url_encode(&url, u->d->digest.s);
	}
	strv_push(&headers, "Content-Type: application/octet-stream");
	if (strcmp(method, "PATCH") == 0)
		strv_push_take(&headers, xasprintf("Content-Range: %" PRIu64 "-%" PRIu64, u->offset,
						   u->offset + size - 1));
	return request(u, method, NULL, strbuf_str(&url), headers, &body, response, failure);
}

/* How much has arrived. The upload may be gone: it is forgotten then. */
static struct err *ask_status(struct upload *u, enum http_failure *failure)
{
	struct http_response response = {0};
	struct err *e = request(u, "GET", NULL, u->location, NULL, NULL, &response, failure);

	if (!e && response.status / 100 == 2) {
		/* "0-0" says one byte, and of docker's registry none as well. */
		u->offset = response.range_end == UINT64_MAX || response.range_end == 0
				    ? 0
				    : response.range_end + 1;
		e = take_location(u, &response);
		if (!e && u->offset > u->d->size)
			forget(u);
	} else if (!e && registry_status_is_transient(response.status)) {
		e = status_error(u, &response, failure);
	} else if (!e) {
		forget(u);
	}
	http_response_release(&response);
	return e;
}

/* -- the upload ------------------------------------------------------------------------------------------------ */

static struct err *answered(struct upload *u, bool last, uint64_t size, struct http_response *response,
			    enum http_failure *failure)
{
	if (last && (response->status == 201 || response->status == 204)) {
		u->finished = true;
		return NULL;
	}
	if (!last && response->status / 100 == 2) {
		u->offset = response->range_end != UINT64_MAX && response->range_end > 0
				    ? response->range_end + 1
				    : u->offset + size;
		if (u->offset > u->d->size)
			return err_new(ERR_CORRUPT,
				       "registry %s claims to have more of blob %s than it is long",
				       registry_name(u->push->registry), u->d->digest.s);
		return take_location(u, response);
	}
	struct err *e = status_error(u, response, failure);
	bool again = false;
	if (response->status == 413 && !u->in_chunks && size > CHUNK_SIZE) {
		u->in_chunks = again = true;
		forget(u);
	} else if (response->status == 404) { /* it has expired */
		again = true;
		forget(u);
	} else if (response->status == 416) { /* we were mistaken about what it has */
		again = true;
		err_free(take_location(u, response)); /* where it is asked for that */
	}
	if (again && u->restarts++ < RESTARTS_MAX)
		*failure = HTTP_FAILURE_BROKEN;
	return e;
}

/* One request that brings the upload further. */
static struct err *advance(struct upload *u, struct http_response *response, enum http_failure *failure)
{
	if (!u->location)
		return open_upload(u, response, failure);
	uint64_t left = u->d->size - u->offset;
	if (left == 0 || (u->offset == 0 && !u->in_chunks)) {
		TRY(send(u, "PUT", left, true, response, failure));
		return answered(u, true, left, response, failure);
	}
	uint64_t size = u->in_chunks ? MIN(left, MAX(CHUNK_SIZE, u->chunk_min)) : left;
	TRY(send(u, "PATCH", size, false, response, failure));
	return answered(u, false, size, response, failure);
}

/* After a failure: finds out where we are. What was sent last may have been the end, and its answer lost. */
static struct err *recover(struct upload *u)
{
	enum http_failure failure;

	struct err *e = u->location ? ask_status(u, &failure) : NULL;
	if (!e && !u->location)
		e = is_there(u, &u->finished, &failure);
	if (e && e->kind != ERR_CANCELLED && e->kind != ERR_UNAUTHORIZED) {
		err_free(e); /* the next request will fail as well, and count as an attempt */
		e = NULL;
		forget(u);
	}
	return e;
}

static struct err *upload(struct upload *u)
{
	struct registry_retry retry = {0};

	while (!u->finished) {
		struct http_response response = {0};
		enum http_failure failure = HTTP_FAILURE_FINAL;
		uint64_t before = u->offset;
		struct err *e = advance(u, &response, &failure);
		if (e) {
			if (failure != HTTP_FAILURE_FINAL)
				report(u, PROGRESS_RETRYING, u->offset, true);
			e = registry_wait(u->push->registry, &retry, e, failure, &response);
			if (!e)
				e = recover(u);
		}
		if (u->offset > before + GOOD_PROGRESS)
			retry.attempts = 0;
		http_response_release(&response);
		TRY(e);
	}
	return NULL;
}

static struct err *open_blob(struct upload *u, int *ret_fd)
{
	uint64_t size;

	if (!blob_exists(u->push->store, &u->d->digest, &size))
		return err_new(ERR_NOT_FOUND,
			       "content %s is not kept here and not in the registry; pull the image again",
			       u->d->digest.s);
	if (size != u->d->size)
		return err_new(ERR_CORRUPT, "content %s has %" PRIu64 " bytes, its manifest says %" PRIu64,
			       u->d->digest.s, size, u->d->size);
	return store_blob_open(u->push->store, &u->d->digest, ret_fd);
}

static struct err *check(struct upload *u, bool *ret)
{
	struct registry_retry retry = {0};

	while (true) {
		enum http_failure failure = HTTP_FAILURE_FINAL;
		struct err *e = is_there(u, ret, &failure);
		if (!e)
			return NULL;
		TRY(registry_wait(u->push->registry, &retry, e, failure, NULL));
	}
}

static struct err *check_and_upload(struct upload *u, const char *mount_from)
{
	_cleanup_fd_ int fd = -1;
	bool there = false;

	TRY(check(u, &there));
	if (there) {
		report(u, PROGRESS_EXISTS, u->d->size, true);
		return NULL;
	}
	if (mount_from)
		TRY(mount(u, mount_from));
	if (u->finished) {
		report(u, PROGRESS_MOUNTED, u->d->size, true);
		return NULL;
	}
	TRY(open_blob(u, &fd));
	u->fd = fd;
	report(u, PROGRESS_UPLOADING, 0, true);
	TRY(upload(u));
	report(u, PROGRESS_DONE, u->d->size, true);
	return NULL;
}

struct err *push_blob_exists(const struct push_blob *p, struct http_client *client,
			     const struct descriptor *d, const char *mount_from, bool *ret)
{
	struct upload u = {.push = p, .client = client, .d = d, .fd = -1, .id = blob_short_id(&d->digest)};

	TRY(check(&u, ret));
	struct err *e = !*ret && mount_from ? mount(&u, mount_from) : NULL;
	if (!e && u.finished)
		*ret = true;
	free(u.location);
	return e;
}

struct err *push_blob_file(const struct push_blob *p, struct http_client *client, const struct descriptor *d,
			   int fd)
{
	struct upload u = {.push = p, .client = client, .d = d, .fd = fd, .id = blob_short_id(&d->digest)};

	report(&u, PROGRESS_UPLOADING, 0, true);
	struct err *e = upload(&u);
	free(u.location);
	return e;
}

struct err *push_blob(const struct push_blob *p, struct http_client *client, const struct descriptor *d,
		      const char *mount_from)
{
	struct upload u = {.push = p, .client = client, .d = d, .fd = -1, .id = blob_short_id(&d->digest)};

	struct err *e = check_and_upload(&u, mount_from);
	free(u.location);
	return e;
}
