/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "manifest.h"

#define HUB_HOST "registry-1.docker.io"
#define ATTEMPTS_MAX 6
#define BACKOFF_FIRST_MS 500
#define RETRY_AFTER_MAX_S 60
#define AUTH_ROUNDS_MAX 3
#define ANSWER_MAX ((size_t)64 << 10) /* of answers whose body says nothing */

struct err *registry_open_at(const struct registry_endpoint *at, const struct registry_options *o,
			     struct registry **ret)
{
	struct registry *r = xnew(struct registry);

	pthread_mutex_init(&r->auth_mutex, NULL);
	r->domain = xstrdup(at->domain);
	r->path = xstrdup(at->path);
	r->host = xstrdup(strcmp(at->domain, "docker.io") == 0 ? HUB_HOST : at->domain);
	r->loopback = host_is_loopback(r->host);
	r->progress = o->progress;
	r->push = o->push;
	r->deletes = o->deletes;
	r->insecure = o->insecure || at->insecure;
	struct err *e = registry_tls_load(at->domain, r->insecure, o->ca_file ? o->ca_file : at->ca_file,
					  o->cert_dir, &r->tls);
	if (!e && o->username) {
		r->credentials.username = xstrdup(o->username);
		r->credentials.password = xstrdup(o->password ? o->password : "");
	} else if (!e && !o->no_credentials) {
		e = credentials_find_in(o->auth_file, at->domain, at->path, &r->credentials);
	}
	if (e) {
		registry_close(r);
		return e;
	}
	*ret = r;
	return NULL;
}

struct err *registry_open(const char *domain, const char *path, const struct registry_options *o,
			  struct registry **ret)
{
	_cleanup_(registry_endpoints_release) struct registry_endpoints all = {0};

	TRY(registry_endpoints(domain, path, *path ? REGISTRY_WRITE : REGISTRY_LOGIN, &all));
	return registry_open_at(&all.v[all.n - 1], o, ret);
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_tokens; i++) {
		free(r->tokens[i].scope);
		free(r->tokens[i].header);
	}
	credentials_release(&r->credentials);
	free(r->refresh_token);
	http_tls_release(&r->tls);
	pthread_mutex_destroy(&r->auth_mutex);
	free(r->domain);
	free(r->path);
	free(r->host);
	free(r);
}

const char *registry_name(const struct registry *r)
{
	return r->domain;
}

struct err *registry_client_new(struct registry *r, struct http_client **ret)
{
	return http_client_new(&r->tls, r->loopback, r->insecure, r->progress, ret);
}

/* -- errors --------------------------------------------------------------------------------------------------- */

char *registry_error_message(const struct http_response *response)
{
	struct json *doc = NULL;
	const char *message = "";
	struct json_cursor errors = {0}, root = {0};

	struct err *e = json_parse(strbuf_str(&response->body), response->body.len, "error", &doc);
	if (!e)
		root = json_root(doc);
	if (!e && json_kind(&root) == JSON_OBJECT)
		e = json_get_array(&root, "errors", JSON_OPTIONAL, &errors);
	if (!e && json_array_len(&errors) > 0) {
		struct json_cursor first = json_at(&errors, 0);
		if (json_kind(&first) == JSON_OBJECT)
			e = json_get_string(&first, "message", JSON_OPTIONAL, &message);
	}
	err_free(e);
	char *copy = *message ? xstrndup(message, 200) : NULL;
	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127) /* it ends on somebody's terminal */
			*p = '?';
	json_unref(doc);
	return copy;
}

static const char *status_words(long status)
{
	switch (status) {
	case 400:
		return "bad request";
	case 403:
		return "forbidden";
	case 404:
		return "not found";
	case 405:
		return "method not allowed";
	case 406:
		return "not acceptable";
	case 408:
		return "request timed out";
	case 410:
		return "gone";
	case 413:
		return "too large";
	case 416:
		return "range not satisfiable";
	case 429:
		return "too many requests";
	case 500:
		return "internal server error";
	case 502:
		return "bad gateway";
	case 503:
		return "service unavailable";
	case 504:
		return "gateway timed out";
	default:
		return "unexpected answer";
	}
}

struct err *registry_status_error(const struct registry *r, const struct http_response *response,
				  const char *what)
{
	_cleanup_free_ char *message = registry_error_message(response);
	const char *says = message ? message : status_words(response->status);

	switch (response->status) {
	case 401:
	case 403:
		return registry_auth_refused(r, response);
	case 404:
	case 410:
		return err_new(ERR_NOT_FOUND, "%s not found in registry %s: %s", what, r->domain, says);
	case 413:
		return err_new(ERR_LIMIT, "%s is larger than registry %s takes: %s", what, r->domain, says);
	case 429:
		return err_new(ERR_BUSY,
			       "registry %s limits the number of requests (%s): try again later, or with "
			       "credentials",
			       r->domain, says);
	default:
		return err_new(response->status >= 500 ? ERR_UNREACHABLE : ERR_INVALID,
			       "registry %s answers %ld to the request for %s: %s", r->domain,
			       response->status, what, says);
	}
}

bool registry_status_is_transient(long status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
	       status == 504;
}

/* -- waiting -------------------------------------------------------------------------------------------------- */

static struct err *sleep_ms(struct registry *r, int64_t ms)
{
	const int64_t step_ms = 50;

	for (int64_t left = ms; left > 0; left -= step_ms) {
		if (r->progress && r->progress->cancelled && r->progress->cancelled(r->progress->user))
			return err_new(ERR_CANCELLED, "interrupted");
		int64_t now = MIN(left, step_ms);
		nanosleep(&(struct timespec){.tv_nsec = now * 1000000}, NULL);
	}
	return NULL;
}

struct err *registry_wait(struct registry *r, struct registry_retry *retry, struct err *why,
			  enum http_failure failure, const struct http_response *response)
{
	if (failure == HTTP_FAILURE_FINAL || failure == HTTP_FAILURE_NOT_TLS)
		return why;
	/* Nobody there at all: the user mistyped or must start it; waiting helps neither. */
	if (failure == HTTP_FAILURE_CONNECT && !r->contacted)
		return why;
	if (++retry->attempts >= ATTEMPTS_MAX)
		return err_wrap(why, "gave up after %d attempts", retry->attempts);
	/* Jitter of a quarter, so that the threads and machines that failed together do not return together. */
	int64_t ms = (int64_t)BACKOFF_FIRST_MS << (retry->attempts - 1);
	ms += timestamp_monotonic_ns() / 1000 % (ms / 4);
	if (response && response->status && response->retry_after_s >= 0) {
		if (response->retry_after_s > RETRY_AFTER_MAX_S)
			return err_wrap(why, "the registry asks to wait %lld seconds",
					(long long)response->retry_after_s);
		ms = response->retry_after_s * 1000;
	}
	err_free(why);
	return sleep_ms(r, ms);
}

/* -- requests ------------------------------------------------------------------------------------------------- */

static char *base_url(const struct registry *r)
{
	return xasprintf("%s://%s/v2/%s%s", r->plain_http ? "http" : "https", r->host, r->path,
			 *r->path ? "/" : "");
}

struct err *registry_resolve(const struct registry *r, const struct http_client *c, const char *location,
			     char **ret)
{
	_cleanup_free_ char *base = base_url(r);

	return http_resolve(c, base, location, ret);
}

/* One exchange; the first one of all finds out whether a loopback or insecure registry speaks TLS. */
static struct err *exchange(struct registry *r, struct http_client *c, const char *what,
			    struct http_request *q, struct http_response *ret, enum http_failure *failure)
{
	while (true) {
		_cleanup_free_ char *base = base_url(r);
		_cleanup_free_ char *url = q->url ? NULL : xasprintf("%s%s", base, what);
		struct http_request at = *q;
		if (url)
			at.url = url;
		else if (!http_same_origin(c, base, q->url))
			at.authorization = NULL;
		struct err *e = http_perform(c, &at, ret, failure);
		if (!e) {
			/* The first answer comes before there are threads: written once, read by all. */
			if (!r->contacted)
				r->contacted = true;
			return NULL;
		}
		bool may_be_plain = *failure == HTTP_FAILURE_NOT_TLS || *failure == HTTP_FAILURE_BROKEN;
		if (r->contacted || r->plain_http || !may_be_plain)
			return e;
		if (!r->loopback && !r->insecure) {
			if (*failure != HTTP_FAILURE_NOT_TLS)
				return e;
			return err_wrap(e,
					"registry %s: if it speaks plain HTTP only, allow that with insecure "
					"= true for it in "
					"/etc/containers/registries.conf",
					r->domain);
		}
		err_free(e);
		r->plain_http = true;
	}
}

/* RFC 6750, 3.1: the token is good, but not for this; the challenge says for what one would be. */
static bool wants_more_scope(const struct http_response *response)
{
	if (response->status == 403)
		STRV_FOREACH (header, response->challenges)
			if (strstr(*header, "insufficient_scope"))
				return true;
	return false;
}

struct err *registry_request_scoped(struct registry *r, struct http_client *c, const char *what,
				    const char *more_scope, struct http_request *q, struct http_response *ret,
				    enum http_failure *ret_failure)
{
	_cleanup_free_ char *scope =
		*r->path ? xasprintf("repository:%s:%s%s%s%s", r->path, r->deletes ? "*" : "pull",
				     r->push && !r->deletes ? ",push" : "", more_scope ? " " : "",
				     more_scope ? more_scope : "")
			 : xstrdup("");
	struct http_response response = {0};

	for (int round = 0;; round++) {
		_cleanup_free_ char *authorization = registry_auth_current(r, scope);
		q->authorization = authorization;
		struct err *e = exchange(r, c, what, q, &response, ret_failure);
		q->authorization = NULL;
		if (!e && (response.status == 401 || wants_more_scope(&response))) {
			*ret_failure = HTTP_FAILURE_FINAL;
			e = round < AUTH_ROUNDS_MAX
				    ? registry_auth_renew(r, c, &response, scope, authorization)
				    : registry_auth_refused(r, &response);
			if (!e)
				continue;
		}
		if (e) {
			http_response_release(&response);
			return e;
		}
		*ret = response;
		return NULL;
	}
}

struct err *registry_request(struct registry *r, struct http_client *c, const char *what,
			     struct http_request *q, struct http_response *ret,
			     enum http_failure *ret_failure)
{
	return registry_request_scoped(r, c, what, NULL, q, ret, ret_failure);
}

struct err *registry_ping(struct registry *r, struct http_client *c)
{
	struct registry_retry retry = {0};

	while (true) {
		struct http_response response = {0};
		enum http_failure failure = HTTP_FAILURE_FINAL;
		struct http_request q = {.method = "GET", .body_max = ANSWER_MAX};
		struct err *e = registry_request(r, c, "", &q, &response, &failure);
		bool good = !e && response.status == 200;
		if (!e && response.status == 404) {
			e = err_new(ERR_NOT_FOUND, "there is no registry at %s: it has no /v2/", r->domain);
		} else if (!e && !good) {
			e = registry_status_error(r, &response, "/v2/");
			if (registry_status_is_transient(response.status))
				failure = HTTP_FAILURE_BROKEN;
		}
		if (e)
			e = registry_wait(r, &retry, e, failure, &response);
		http_response_release(&response);
		if (e || good)
			return e;
	}
}

/* -- manifests ------------------------------------------------------------------------------------------------ */

void registry_manifest_release(struct registry_manifest *m)
{
	free(m->data);
	free(m->content_type);
	*m = (struct registry_manifest){0};
}

static struct err *request_manifest(struct registry *r, struct http_client *c, const char *method,
				    const char *what, struct http_response *ret)
{
	static char *const accept[] = {(char *)"Accept: " MEDIA_OCI_INDEX ", " MEDIA_OCI_MANIFEST
					       ", " MEDIA_DOCKER_LIST ", " MEDIA_DOCKER_MANIFEST,
				       NULL};
	_cleanup_free_ char *path = xasprintf("manifests/%s", what);
	_cleanup_free_ char *name = xasprintf("%s%s%s", r->path, strchr(what, ':') ? "@" : ":", what);
	struct registry_retry retry = {0};

	while (true) {
		struct http_response response = {0};
		enum http_failure failure = HTTP_FAILURE_FINAL;
		struct http_request q = {.method = method, .headers = accept, .body_max = MANIFEST_SIZE_MAX};
		struct err *e = registry_request(r, c, path, &q, &response, &failure);
		if (!e && response.status == 200) {
			*ret = response;
			return NULL;
		}
		if (!e) {
			e = registry_status_error(r, &response, name);
			failure = registry_status_is_transient(response.status) ? HTTP_FAILURE_BROKEN
										: HTTP_FAILURE_FINAL;
		}
		e = registry_wait(r, &retry, e, failure, &response);
		http_response_release(&response);
		if (e)
			return e->kind == ERR_LIMIT
				       ? err_wrap(e, "manifest %s in registry %s", name, r->domain)
				       : e;
	}
}

static struct err *check_digest(struct registry *r, const struct http_response *response, const char *what,
				const struct digest *expected, struct digest *ret)
{
	struct digest told = {0}, got;

	if (response->content_digest && !expected) {
		/* A registry that invents digests is not believed, one that uses an unknown algorithm is. */
		struct err *e = digest_parse(response->content_digest, &told);
		err_free(e);
	}
	const struct digest *must = expected ? expected : digest_is_set(&told) ? &told : NULL;
	_cleanup_(digest_stream_freep) struct digest_stream *hash =
		must ? digest_stream_new_like(must) : digest_stream_new_sha256();
	digest_stream_update(hash, strbuf_str(&response->body), response->body.len);
	digest_stream_final(hash, &got);
	if (must && !digest_equal(must, &got))
		return err_new(ERR_CORRUPT,
			       "manifest %s of %s from registry %s is damaged: its digest is %s, not %s",
			       what, r->path, r->domain, got.s, must->s);
	*ret = got;
	return NULL;
}

struct err *registry_manifest_get(struct registry *r, struct http_client *c, const char *what,
				  const struct digest *expected, struct registry_manifest *ret)
{
	struct http_response response = {0};
	struct digest digest;

	TRY(request_manifest(r, c, "GET", what, &response));
	struct err *e = check_digest(r, &response, what, expected, &digest);
	if (!e) {
		ret->digest = digest;
		ret->size = response.body.len;
		ret->data = strbuf_take(&response.body);
		ret->content_type = TAKE_PTR(response.content_type);
	}
	http_response_release(&response);
	return e;
}

struct err *registry_manifest_head(struct registry *r, struct http_client *c, const char *what,
				   struct registry_manifest *ret)
{
	struct http_response response = {0};

	TRY(request_manifest(r, c, "HEAD", what, &response));
	*ret = (struct registry_manifest){0};
	ret->content_type = TAKE_PTR(response.content_type);
	if (response.content_digest) {
		struct err *e = digest_parse(response.content_digest, &ret->digest);
		err_free(e);
	}
	http_response_release(&response);
	return NULL;
}

struct err *registry_manifest_put(struct registry *r, struct http_client *c, const char *what,
				  const char *media_type, const char *data, size_t size)
{
	_cleanup_free_ char *path = xasprintf("manifests/%s", what);
	_cleanup_free_ char *name =
		xasprintf("manifest %s%s%s", r->path, strchr(what, ':') ? "@" : ":", what);
	_cleanup_free_ char *type = xasprintf("Content-Type: %s", media_type);
	char *headers[] = {type, NULL};
	struct http_upload upload = {.fd = -1, .data = data, .size = size};
	struct registry_retry retry = {0};

	while (true) {
		struct http_response response = {0};
		enum http_failure failure = HTTP_FAILURE_FINAL;
		struct http_request q = {
			.method = "PUT", .headers = headers, .upload = &upload, .body_max = ANSWER_MAX};
		struct err *e = registry_request(r, c, path, &q, &response, &failure);
		bool good = !e && response.status / 100 == 2;
		if (!e && !good) {
			e = registry_status_error(r, &response, name);
			failure = registry_status_is_transient(response.status) ? HTTP_FAILURE_BROKEN
										: HTTP_FAILURE_FINAL;
		}
		if (e)
			e = registry_wait(r, &retry, e, failure, &response);
		http_response_release(&response);
		if (e || good)
			return e;
	}
}
