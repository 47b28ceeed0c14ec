/* SPDX-License-Identifier: Apache-2.0 */
/* docker-daemon: docker's own store, over the daemon's socket (Docker Engine API: GET /images/NAME/get, POST /images/load), which speaks
 * docker-archive in both directions. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"
#include "registry_http.h"
#include "transport.h"

#define SOCKET_DEFAULT "unix:///var/run/docker.sock"
#define ANSWER_MAX ((size_t)1 << 20)

struct daemon {
	struct http_tls tls;
	struct http_client *client;
	char *base; /* "http://localhost" */
	char *host; /* as the user wrote it */
};

static void daemon_release(struct daemon *d)
{
	http_client_free(d->client);
	http_tls_release(&d->tls);
	free(d->base);
	free(d->host);
	*d = (struct daemon){0};
}

static struct err *daemon_connect(const struct transport_options *o, struct daemon *d)
{
	const char *given = getenv("DOCKER_HOST");
	const char *host = !str_empty(o->daemon_host) ? o->daemon_host
			   : !str_empty(given)        ? given
						      : SOCKET_DEFAULT;

	d->host = xstrdup(host);
	TRY(http_client_new(&d->tls, true, true, o->progress, &d->client));
	if (str_starts(host, "unix://")) {
		http_client_use_socket(d->client, host + strlen("unix://"));
		d->base = xstrdup("http://localhost");
	} else if (str_starts(host, "tcp://")) {
		d->base = xasprintf("http://%s", host + strlen("tcp://"));
	} else if (str_starts(host, "http://")) {
		d->base = xstrdup(host);
	} else {
		return err_new(ERR_UNSUPPORTED,
			       "docker's daemon at %s cannot be reached: unix://PATH and tcp://HOST:PORT are "
			       "understood",
			       host);
	}
	return NULL;
}

/* The daemon's own words: {"message": "…"}. */
static struct err *daemon_error(const struct location *at, const struct http_response *r)
{
	_cleanup_json_ struct json *doc = NULL;
	const char *message = "";

	struct err *e = json_parse(strbuf_str(&r->body), r->body.len, "answer", &doc);
	if (!e) {
		struct json_cursor root = json_root(doc);
		if (json_kind(&root) == JSON_OBJECT)
			e = json_get_string(&root, "message", JSON_OPTIONAL, &message);
	}
	err_free(e);
	_cleanup_free_ char *says = xstrndup(message, 300);
	str_hide_controls(says);
	return err_new(r->status == 404 ? ERR_NOT_FOUND : ERR_UNREACHABLE,
		       "%s: docker's daemon answers %ld%s%s", at->text, r->status, *says ? ": " : "", says);
}

/* -- source ------------------------------------------------------------------------------------------------------ */

static struct err *keep(void *user, const struct http_response *r, const void *data, size_t size)
{
	return spool_write(user, data, size);
}

static struct err *fetch(const struct location *at, const struct transport_options *o, struct spool *to)
{
	_cleanup_(daemon_release) struct daemon d = {0};
	struct http_response response = {0};
	enum http_failure failure;
	_cleanup_strbuf_ struct strbuf url = {0};

	TRY(daemon_connect(o, &d));
	strbuf_printf(&url, "%s/images/", d.base);
	url_encode(&url, at->name);
	strbuf_puts(&url, "/get");
	struct http_request q = {.method = "GET", .url = strbuf_str(&url), .sink = keep, .user = to};
	TRY_WRAP(http_perform(d.client, &q, &response, &failure), "%s: docker's daemon at %s", at->text,
		 d.host);
	struct err *e = response.status == 200 ? NULL : daemon_error(at, &response);
	http_response_release(&response);
	return e;
}

struct err *daemon_source_open(const struct location *at, const struct transport_options *o,
			       struct source **ret)
{
	_cleanup_free_ char *dir = transport_temporary_dir();
	_cleanup_spool_ struct spool *spool = NULL;

	TRY(spool_new(dir, NULL, &spool));
	TRY(fetch(at, o, spool));
	TRY(spool_finish(spool, UINT64_MAX, NULL));
	return archive_source_from_fd(at, TAKE_FD(spool->fd), o->progress, ret);
}

/* -- destination --------------------------------------------------------------------------------------------------- */

/* The answer to /images/load is a stream of JSON objects; one with "error" says why it failed. */
static struct err *check_load(const struct location *at, const struct http_response *r)
{
	const char *text = strbuf_str(&r->body), *error = strstr(text, "\"error\"");

	if (!error)
		return NULL;
	_cleanup_free_ char *says =
		xstrndup(error, strcspn(error, "\r\n") > 300 ? 300 : strcspn(error, "\r\n"));
	str_hide_controls(says);
	return err_new(ERR_INVALID, "%s: docker's daemon cannot load the image: %s", at->text, says);
}

static struct err *daemon_commit(struct destination *destination)
{
	const struct location *at = destination->at;
	_cleanup_(daemon_release) struct daemon d = {0};
	struct http_response response = {0};
	enum http_failure failure;
	struct stat st;
	int fd;

	TRY(archive_destination_finish(destination, &fd));
	if (fstat(fd, &st) < 0)
		return err_errno(errno, "cannot stat a temporary file");
	TRY(daemon_connect(destination->options, &d));
	_cleanup_free_ char *url = xasprintf("%s/images/load?quiet=1", d.base);
	char *headers[] = {(char *)"Content-Type: application/x-tar", NULL};
	struct http_upload upload = {.fd = fd, .size = (uint64_t)st.st_size};
	struct http_request q = {
		.method = "POST", .url = url, .headers = headers, .upload = &upload, .body_max = ANSWER_MAX};
	TRY_WRAP(http_perform(d.client, &q, &response, &failure), "%s: docker's daemon at %s", at->text,
		 d.host);
	struct err *e = response.status == 200 ? check_load(at, &response) : daemon_error(at, &response);
	http_response_release(&response);
	return e;
}

/* An archive in all but where it goes. */
static struct destination_ops daemon_ops;

static void init_ops(void)
{
	daemon_ops = archive_destination_ops;
	daemon_ops.commit = daemon_commit;
}

struct err *daemon_destination_open(const struct location *at, const struct transport_options *o,
				    struct destination **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup_free_ char *dir = transport_temporary_dir();

	if (!at->reference.domain || !at->reference.tag)
		return err_new(ERR_INVALID, "%s: an image goes to docker's daemon under a name with a tag",
			       at->text);
	pthread_once(&once, init_ops);
	TRY(archive_destination_new(at, true, dir, &daemon_ops, ret));
	(*ret)->options = o;
	return NULL;
}
