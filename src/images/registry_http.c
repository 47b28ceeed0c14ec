/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_http.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/memory.h"
#include "registry_curl.h"

#define REDIRECTS_MAX 10
#define CHALLENGES_MAX 8
#define ERROR_BODY_MAX ((size_t)64 << 10)
#define CONNECT_TIMEOUT_S 15L
#define STALL_TIMEOUT_S 30L         /* not a byte in this time: broken */
#define UPLOAD_STALL_TIMEOUT_S 180L /* behind the last byte the registry hashes and copies what it got */
#define UPLOAD_BUFFER (256L << 10)
#define RECEIVE_BUFFER (512L << 10)

struct http_client {
	const struct curl_api *curl;
	CURL *easy;
	const struct http_tls *tls;
	bool loopback, plain_http_allowed;
	const struct progress *progress;
	char *socket; /* NULL: TCP */
	char error[CURL_ERROR_SIZE];
};

/* One answer while it arrives. */
struct transfer {
	struct http_client *client;
	const struct http_request *request;
	struct http_response *response;
	struct err *error; /* of the sink, the upload's file or of a cap */
	bool cancelled;
	uint64_t sent; /* of the upload */
};

void http_tls_release(struct http_tls *tls)
{
	free(tls->ca_pem);
	free(tls->cert_file);
	free(tls->key_file);
	*tls = (struct http_tls){0};
}

void http_response_release(struct http_response *r)
{
	free(r->content_type);
	free(r->content_digest);
	free(r->location);
	free(r->link);
	free(r->filters);
	free(r->subject);
	strv_free(r->challenges);
	strbuf_release(&r->body);
	*r = (struct http_response){.retry_after_s = -1, .range_start = UINT64_MAX, .range_end = UINT64_MAX};
}

struct err *http_client_new(const struct http_tls *tls, bool loopback, bool plain_http_allowed,
			    const struct progress *progress, struct http_client **ret)
{
	const struct curl_api *curl;

	TRY(curl_api_load(&curl));
	struct http_client *c = xnew(struct http_client);
	c->curl = curl;
	c->easy = curl->easy_init();
	c->tls = tls;
	c->loopback = loopback;
	c->plain_http_allowed = plain_http_allowed;
	c->progress = progress;
	if (!c->easy) {
		free(c);
		return err_new(ERR_SYSTEM, "libcurl cannot be initialised");
	}
	*ret = c;
	return NULL;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	c->curl->easy_cleanup(c->easy);
	free(c->socket);
	free(c);
}

void http_client_use_socket(struct http_client *c, const char *path)
{
	c->socket = xstrdup(path);
}

bool host_is_loopback(const char *host_and_port)
{
	char host[256];
	size_t n;
	struct in_addr v4;

	if (*host_and_port == '[') {
		n = strcspn(++host_and_port, "]");
		return n == 3 && strncmp(host_and_port, "::1", 3) == 0;
	}
	n = strcspn(host_and_port, ":");
	if (n >= sizeof(host))
		return false;
	memcpy(host, host_and_port, n);
	host[n] = '\0';
	if (strcasecmp(host, "localhost") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

void url_encode(struct strbuf *b, const char *s)
{
	for (; *s; s++) {
		if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
		    strchr("-._~", *s))
			strbuf_putc(b, *s);
		else
			strbuf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

/* -- receiving ------------------------------------------------------------------------------------------------ */

static char *header_value(const char *line, size_t n, const char *name)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return NULL;
	line += len + 1;
	n -= len + 1;
	while (n && (*line == ' ' || *line == '\t'))
		line++, n--;
	while (n && (line[n - 1] == '\r' || line[n - 1] == '\n' || line[n - 1] == ' '))
		n--;
	return memchr(line, '\0', n) ? NULL : xstrndup(line, n);
}

static void keep_header(char **slot, const char *line, size_t n, const char *name)
{
	char *value = header_value(line, n, name);

	if (value) {
		free(*slot);
		*slot = value;
	}
}

static size_t on_header(char *line, size_t size, size_t count, void *user)
{
	struct transfer *t = user;
	struct http_response *r = t->response;
	size_t n = size * count;

	if (n > 5 &&
	    strncmp(line, "HTTP/", 5) == 0) { /* the headers of an earlier, interim answer do not count */
		http_response_release(r);
		return n;
	}
	keep_header(&r->content_type, line, n, "Content-Type");
	keep_header(&r->content_digest, line, n, "Docker-Content-Digest");
	keep_header(&r->location, line, n, "Location");
	keep_header(&r->link, line, n, "Link");
	keep_header(&r->filters, line, n, "OCI-Filters-Applied");
	keep_header(&r->subject, line, n, "OCI-Subject");
	char *challenge = header_value(line, n, "WWW-Authenticate");
	if (challenge && strv_len(r->challenges) < CHALLENGES_MAX)
		strv_push_take(&r->challenges, challenge);
	else
		free(challenge);
	_cleanup_free_ char *range = header_value(line, n, "Content-Range");
	if (range)
		sscanf(range, "bytes %" SCNu64 "-", &r->range_start);
	_cleanup_free_ char *received = header_value(line, n, "Range");
	if (received) /* some say "bytes=0-N" */
		sscanf(received + (str_starts(received, "bytes=") ? 6 : 0), "0-%" SCNu64, &r->range_end);
	_cleanup_free_ char *chunk = header_value(line, n, "OCI-Chunk-Min-Length");
	if (chunk)
		sscanf(chunk, "%" SCNu64, &r->chunk_min);
	return n;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
	struct transfer *t = user;
	struct http_response *r = t->response;
	size_t n = size * count;

	if (!r->status)
		t->client->curl->easy_getinfo(t->client->easy, CURLINFO_RESPONSE_CODE, &r->status);
	bool good = r->status >= 200 && r->status < 300;
	if (good && t->request->sink) {
		t->error = t->request->sink(t->request->user, r, data, n);
		return t->error ? 0 : n;
	}
	size_t max = good ? t->request->body_max : ERROR_BODY_MAX;
	if (n > max - MIN(max, r->body.len)) {
		if (good) {
			t->error = err_new(ERR_LIMIT,
					   "the answer has more than the %zu bytes that havre takes", max);
			return 0;
		}
		strbuf_append(&r->body, data, max - r->body.len);
		return n;
	}
	strbuf_append(&r->body, data, n);
	return n;
}

static size_t on_send(char *buffer, size_t size, size_t count, void *user)
{
	struct transfer *t = user;
	const struct http_upload *u = t->request->upload;
	size_t n = (size_t)MIN((uint64_t)size * count, u->size - t->sent);

	if (n == 0)
		return 0;
	if (u->fd < 0) {
		memcpy(buffer, (const char *)u->data + u->offset + t->sent, n);
	} else {
		ssize_t got = pread(u->fd, buffer, n, (off_t)(u->offset + t->sent));
		if (got <= 0) {
			t->error = got < 0 ? err_errno(errno, "cannot read what is to be sent")
					   : err_new(ERR_CORRUPT,
						     "what is to be sent ends after %" PRIu64 " of %" PRIu64
						     " bytes",
						     u->offset + t->sent, u->offset + u->size);
			return CURL_READFUNC_ABORT;
		}
		n = (size_t)got;
	}
	t->sent += n;
	if (u->sent)
		u->sent(u->user, u->offset + t->sent);
	return n;
}

/* curl begins again when a kept connection turns out to be dead. */
static int on_seek(void *user, curl_off_t offset, int origin)
{
	struct transfer *t = user;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->request->upload->size)
		return CURL_SEEKFUNC_CANTSEEK;
	t->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *user, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	struct transfer *t = user;
	const struct progress *p = t->client->progress;

	t->cancelled = p && p->cancelled && p->cancelled(p->user);
	return t->cancelled;
}

/* -- URLs ----------------------------------------------------------------------------------------------------- */

struct url_parts {
	char *scheme, *host, *port;
};

static void url_parts_release(struct url_parts *u)
{
	free(u->scheme);
	free(u->host);
	free(u->port);
}

static char *url_part(const struct curl_api *curl, CURLU *u, CURLUPart part)
{
	char *s = NULL;

	if (curl->url_get(u, part, &s, CURLU_DEFAULT_PORT) != CURLUE_OK)
		return NULL;
	char *copy = xstrdup(s);
	curl->free(s);
	return copy;
}

static struct err *url_split(const struct curl_api *curl, const char *url, struct url_parts *ret)
{
	CURLU *u = curl->url();
	struct url_parts parts = {0};

	if (u && curl->url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK) {
		parts.scheme = url_part(curl, u, CURLUPART_SCHEME);
		parts.host = url_part(curl, u, CURLUPART_HOST);
		parts.port = url_part(curl, u, CURLUPART_PORT);
	}
	if (u)
		curl->url_cleanup(u);
	if (!parts.scheme || !parts.host || !parts.port ||
	    (strcasecmp(parts.scheme, "https") != 0 && strcasecmp(parts.scheme, "http") != 0)) {
		url_parts_release(&parts);
		return err_new(ERR_INVALID, "not an http or https URL: %.200s", url);
	}
	*ret = parts;
	return NULL;
}

static bool same_origin(const struct url_parts *a, const struct url_parts *b)
{
	return strcasecmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
	       strcmp(a->port, b->port) == 0;
}

struct err *http_resolve(const struct http_client *c, const char *base, const char *reference, char **ret)
{
	CURLU *u = c->curl->url();
	char *s = NULL;

	bool good = u && c->curl->url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
		    c->curl->url_set(u, CURLUPART_URL, reference, 0) == CURLUE_OK &&
		    c->curl->url_get(u, CURLUPART_URL, &s, 0) == CURLUE_OK;
	if (good)
		*ret = xstrdup(s);
	c->curl->free(s);
	if (u)
		c->curl->url_cleanup(u);
	return good ? NULL : err_new(ERR_INVALID, "not an http or https URL: %.200s", reference);
}

bool http_same_origin(const struct http_client *c, const char *a, const char *b)
{
	_cleanup_(url_parts_release) struct url_parts left = {0}, right = {0};

	struct err *e = url_split(c->curl, a, &left);
	if (!e)
		e = url_split(c->curl, b, &right);
	bool same = !e && same_origin(&left, &right);
	err_free(e);
	return same;
}

/* -- one exchange --------------------------------------------------------------------------------------------- */

static struct curl_slist *add_header(const struct curl_api *curl, struct curl_slist *list, const char *line)
{
	struct curl_slist *longer = curl->slist_append(list, line);

	return longer ? longer : list;
}

static void set_tls(struct http_client *c)
{
	const struct curl_api *curl = c->curl;
	const struct http_tls *tls = c->tls;

	curl->easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER, tls->no_verify ? 0L : 1L);
	curl->easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, tls->no_verify ? 0L : 2L);
	if (tls->ca_pem) {
		struct curl_blob blob = {
			.data = tls->ca_pem, .len = tls->ca_pem_size, .flags = CURL_BLOB_NOCOPY};
		curl->easy_setopt(c->easy, CURLOPT_CAINFO_BLOB, &blob);
	}
	if (tls->cert_file) {
		curl->easy_setopt(c->easy, CURLOPT_SSLCERT, tls->cert_file);
		curl->easy_setopt(c->easy, CURLOPT_SSLKEY, tls->key_file);
	}
}

static struct curl_slist *set_body(struct http_client *c, const struct http_request *q, struct transfer *t,
				   struct curl_slist *headers)
{
	const struct curl_api *curl = c->curl;

	if (strcmp(q->method, "HEAD") == 0)
		curl->easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
	if (q->upload) {
		curl->easy_setopt(c->easy, CURLOPT_UPLOAD, 1L);
		curl->easy_setopt(c->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->upload->size);
		curl->easy_setopt(c->easy, CURLOPT_READFUNCTION, on_send);
		curl->easy_setopt(c->easy, CURLOPT_READDATA, t);
		curl->easy_setopt(c->easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl->easy_setopt(c->easy, CURLOPT_SEEKDATA, t);
		curl->easy_setopt(c->easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
		curl->easy_setopt(c->easy, CURLOPT_LOW_SPEED_TIME, UPLOAD_STALL_TIMEOUT_S);
	} else if (strcmp(q->method, "POST") == 0) {
		curl->easy_setopt(c->easy, CURLOPT_POSTFIELDS, q->form ? q->form : "");
		if (!q->form) /* curl would call the empty body a form */
			headers = add_header(curl, headers, "Content-Type:");
	}
	if (strcmp(q->method, "GET") != 0 && strcmp(q->method, "HEAD") != 0)
		curl->easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, q->method);
	return headers;
}

static struct curl_slist *set_request(struct http_client *c, const struct http_request *q, const char *url,
				      bool with_authorization, struct transfer *t)
{
	const struct curl_api *curl = c->curl;
	CURL *h = c->easy;
	struct curl_slist *headers = NULL;

	curl->easy_reset(h); /* keeps the connections */
	curl->easy_setopt(h, CURLOPT_URL, url);
	curl->easy_setopt(h, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
	curl->easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl->easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
	curl->easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl->easy_setopt(h, CURLOPT_USERAGENT, "havre/" HAVRE_VERSION);
	curl->easy_setopt(h, CURLOPT_ERRORBUFFER, c->error);
	curl->easy_setopt(h, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl->easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl->easy_setopt(h, CURLOPT_LOW_SPEED_TIME, STALL_TIMEOUT_S);
	curl->easy_setopt(h, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl->easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
	if (c->socket)
		curl->easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	if (c->loopback)
		curl->easy_setopt(h, CURLOPT_NOPROXY, "*");
	set_tls(c);
	headers = set_body(c, q, t, headers);
	STRV_FOREACH (line, q->headers)
		headers = add_header(curl, headers, *line);
	if (q->authorization && with_authorization) {
		_cleanup_free_ char *line = xasprintf("Authorization: %s", q->authorization);
		headers = add_header(curl, headers, line);
	}
	curl->easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl->easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl->easy_setopt(h, CURLOPT_HEADERDATA, t);
	curl->easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl->easy_setopt(h, CURLOPT_WRITEDATA, t);
	curl->easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	curl->easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl->easy_setopt(h, CURLOPT_XFERINFODATA, t);
	return headers;
}

/* curl's words begin with a capital letter and may end with a full stop or a line break. */
static char *tidy(const char *s)
{
	char *copy = xstrdup(s);
	size_t n = strlen(copy);

	while (n && strchr(".\r\n ", copy[n - 1]))
		copy[--n] = '\0';
	if (copy[0] >= 'A' && copy[0] <= 'Z' && (copy[1] < 'A' || copy[1] > 'Z'))
		copy[0] = (char)(copy[0] - 'A' + 'a');
	return copy;
}

static struct err *describe(struct http_client *c, CURLcode code, const struct url_parts *at,
			    enum http_failure *ret_failure)
{
	_cleanup_free_ char *text = tidy(c->error[0] ? c->error : c->curl->easy_strerror(code));
	long errnum = 0, proxy = 0;

	c->curl->easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &errnum);
	c->curl->easy_getinfo(c->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
	*ret_failure = HTTP_FAILURE_FINAL;
	if (proxy >= 400 && proxy < 500 && (code == CURLE_RECV_ERROR || code == CURLE_COULDNT_CONNECT))
		return err_new(ERR_UNREACHABLE, "cannot reach %s:%s: the proxy refuses (%ld)", at->host,
			       at->port, proxy);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		*ret_failure = HTTP_FAILURE_CONNECT;
		if (errnum > 0) {
			struct err *e = err_errno((int)errnum, "cannot reach %s:%s", at->host, at->port);
			e->kind = ERR_UNREACHABLE;
			return e;
		}
		return err_new(ERR_UNREACHABLE, "cannot reach %s:%s: %s", at->host, at->port, text);
	case CURLE_COULDNT_RESOLVE_HOST:
		*ret_failure = HTTP_FAILURE_CONNECT;
		return err_new(ERR_UNREACHABLE, "cannot reach %s:%s: the host name cannot be resolved",
			       at->host, at->port);
	case CURLE_COULDNT_RESOLVE_PROXY:
		*ret_failure = HTTP_FAILURE_CONNECT;
		return err_new(ERR_UNREACHABLE,
			       "cannot reach %s:%s: the proxy's host name cannot be resolved", at->host,
			       at->port);
	case CURLE_OPERATION_TIMEDOUT:
		*ret_failure = HTTP_FAILURE_BROKEN;
		return err_new(ERR_UNREACHABLE, "%s:%s does not answer in time", at->host, at->port);
	case CURLE_SSL_CONNECT_ERROR:
		*ret_failure = HTTP_FAILURE_NOT_TLS;
		return err_new(ERR_UNREACHABLE, "cannot talk TLS with %s:%s: %s", at->host, at->port, text);
	case CURLE_PEER_FAILED_VERIFICATION:
		return err_new(ERR_UNREACHABLE,
			       "%s:%s cannot be trusted: %s; put its CA certificate into "
			       "/etc/containers/certs.d/%s:%s/ca.crt",
			       at->host, at->port, text, at->host, at->port);
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return err_new(ERR_INVALID, "the certificates for %s:%s cannot be used: %s", at->host,
			       at->port, text);
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_HTTP3:
	case CURLE_WEIRD_SERVER_REPLY:
		*ret_failure = HTTP_FAILURE_BROKEN;
		return err_new(ERR_UNREACHABLE, "%s:%s broke off: %s", at->host, at->port, text);
	case CURLE_UNSUPPORTED_PROTOCOL:
		*ret_failure = HTTP_FAILURE_BROKEN;
		return err_new(ERR_UNREACHABLE, "%s:%s does not speak HTTP: %s", at->host, at->port, text);
	default:
		return err_new(ERR_UNREACHABLE, "request to %s:%s failed: %s", at->host, at->port, text);
	}
}

static struct err *exchange(struct http_client *c, const struct http_request *q, const char *url,
			    const struct url_parts *at, bool with_authorization,
			    struct http_response *response, char **ret_redirect,
			    enum http_failure *ret_failure)
{
	const struct curl_api *curl = c->curl;
	struct transfer t = {.client = c, .request = q, .response = response};

	http_response_release(response);
	c->error[0] = '\0';
	struct curl_slist *headers = set_request(c, q, url, with_authorization, &t);
	CURLcode code = curl->easy_perform(c->easy);
	curl->slist_free_all(headers);
	if (t.error) {
		*ret_failure = HTTP_FAILURE_FINAL;
		return t.error;
	}
	if (t.cancelled) {
		*ret_failure = HTTP_FAILURE_FINAL;
		return err_new(ERR_CANCELLED, "interrupted");
	}
	if (code != CURLE_OK)
		return describe(c, code, at, ret_failure);
	curl_off_t retry_after = 0;
	char *redirect = NULL;
	curl->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &response->status);
	curl->easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &retry_after);
	curl->easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &redirect);
	if (retry_after > 0)
		response->retry_after_s = retry_after;
	*ret_redirect = redirect && response->status != 304 ? xstrdup(redirect) : NULL;
	return NULL;
}

struct err *http_perform(struct http_client *c, const struct http_request *q, struct http_response *ret,
			 enum http_failure *ret_failure)
{
	_cleanup_free_ char *url = xstrdup(q->url);
	_cleanup_(url_parts_release) struct url_parts first = {0};
	bool with_authorization = true;

	*ret_failure = HTTP_FAILURE_FINAL;
	TRY(url_split(c->curl, url, &first));
	for (int i = 0; i <= REDIRECTS_MAX; i++) {
		_cleanup_(url_parts_release) struct url_parts at = {0};
		char *redirect = NULL;
		TRY(url_split(c->curl, url, &at));
		if (!same_origin(&first, &at))
			with_authorization =
				false; /* and never again, should a chain of redirects come back */
		/* A registry on this machine may do without TLS, but may not send us over the network without. */
		if (strcasecmp(at.scheme, "http") == 0 && !c->plain_http_allowed &&
		    !(c->loopback && host_is_loopback(at.host)))
			return err_new(ERR_PERMISSION,
				       "%s:%s redirects to plain HTTP (%s:%s), which is refused", first.host,
				       first.port, at.host, at.port);
		TRY(exchange(c, q, url, &at, with_authorization, ret, &redirect, ret_failure));
		/* Only 307 and 308 keep method and body. */
		bool reads = strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
		if (!redirect || strcmp(q->method, "POST") == 0 ||
		    (!reads && ret->status != 307 && ret->status != 308)) {
			free(redirect);
			return NULL;
		}
		free(url);
		url = redirect;
	}
	return err_new(ERR_UNREACHABLE, "%s:%s redirects more than %d times", first.host, first.port,
		       REDIRECTS_MAX);
}
