/* SPDX-License-Identifier: Apache-2.0 */
/* Private: HTTP for registries over libcurl, which is loaded on first use. A client is one connection's worth of state and belongs to one
 * thread. Redirects are followed here, not by curl: Authorization goes to the origin it was meant for and nowhere else
 * (CVE-2020-15157), and HTTPS is never left for plain HTTP unless the registry was reached that way. */
#ifndef IMAGES_REGISTRY_HTTP_H
#define IMAGES_REGISTRY_HTTP_H

#include "base/str.h"
#include "images/store.h"

struct http_tls {
	bool no_verify;
	char *ca_pem; /* the system's certificates and more, concatenated; NULL: the library's default */
	size_t ca_pem_size;
	char *cert_file, *key_file; /* client certificate; NULL: none */
};
void http_tls_release(struct http_tls *tls);

struct http_client;
/* ERR_UNSUPPORTED when libcurl is not installed. tls and progress are borrowed. `loopback`: proxies are not used. */
_must_check_ struct err *http_client_new(const struct http_tls *tls, bool loopback, bool plain_http_allowed,
					 const struct progress *progress, struct http_client **ret);
void http_client_free(struct http_client *c);
DEFINE_CLEANUP(struct http_client *, http_client_free)

/* Every request goes through this unix socket, whatever host its URL names. */
void http_client_use_socket(struct http_client *c, const char *path);

struct http_response {
	long status;
	char *content_type;    /* NULL: none */
	char *content_digest;  /* Docker-Content-Digest; NULL: none */
	char **challenges;     /* WWW-Authenticate values */
	int64_t retry_after_s; /* -1: none */
	char *location;        /* Location, as it was sent; NULL: none */
	char *link;            /* Link; NULL: none */
	char *filters;         /* OCI-Filters-Applied; NULL: none */
	char *subject;         /* OCI-Subject; NULL: none */
	uint64_t range_start;  /* of Content-Range; UINT64_MAX: none */
	uint64_t range_end;    /* of an upload's Range, "0-N"; UINT64_MAX: none */
	uint64_t chunk_min;    /* OCI-Chunk-Min-Length; 0: none */
	struct strbuf body;    /* of answers that have no sink or are not 2xx; the latter cut at 64 KiB */
};
void http_response_release(struct http_response *r);

/* The body of a request: a part of a file, read as it is sent, or memory (fd -1). */
struct http_upload {
	int fd;
	const void *data;
	uint64_t offset, size;
	void (*sent)(void *user, uint64_t offset); /* may be NULL: how far in the file the sending is */
	void *user;
};

struct http_request {
	const char *method; /* GET, HEAD, POST, PUT, PATCH, DELETE */
	const char *url;
	const char *authorization;        /* header value, or NULL */
	char *const *headers;             /* more "Name: value" lines */
	const char *form;                 /* body of a POST, application/x-www-form-urlencoded */
	const struct http_upload *upload; /* another body; NULL: none */
	size_t body_max;                  /* without sink: a larger 2xx body is ERR_LIMIT */
	/* Takes the body of a 2xx answer piece by piece; its error ends the transfer and is returned as it is. */
	struct err *(*sink)(void *user, const struct http_response *r, const void *data, size_t size);
	void *user;
};

enum http_failure {
	HTTP_FAILURE_FINAL,   /* trying again is no use (or the sink failed, or cancelled) */
	HTTP_FAILURE_CONNECT, /* no connection could be made */
	HTTP_FAILURE_BROKEN,  /* the connection broke or stalled */
	HTTP_FAILURE_NOT_TLS, /* the server does not speak TLS */
};
/* Any HTTP status is success here. On failure *ret_failure says what trying again is worth; errors name host and port. */
_must_check_ struct err *http_perform(struct http_client *c, const struct http_request *q,
				      struct http_response *ret, enum http_failure *ret_failure);

/* What `reference` (an absolute or relative URL) means in an answer of `base`. Caller frees. */
_must_check_ struct err *http_resolve(const struct http_client *c, const char *base, const char *reference,
				      char **ret);
bool http_same_origin(const struct http_client *c, const char *a, const char *b);

/* "127.0.0.0/8", "::1", "localhost", each with or without port. */
bool host_is_loopback(const char *host_and_port);
/* application/x-www-form-urlencoded; appended. */
void url_encode(struct strbuf *b, const char *s);

#endif
