/* SPDX-License-Identifier: Apache-2.0 */
/* Private: one repository of one registry (distribution-spec 1.1.1). A struct registry is shared by the threads of a pull; each has its own
 * http_client. */
#ifndef IMAGES_REGISTRY_H
#define IMAGES_REGISTRY_H

#include <pthread.h>

#include "credentials.h"
#include "images/reference.h"
#include "registry_http.h"

struct registry_options {
	const char *username, *password; /* NULL: from the credential files */
	bool insecure;
	bool push;    /* tokens must allow writing */
	bool deletes; /* and deleting */
	const char *ca_file;
	const char *cert_dir;            /* *.crt, *.cert and their *.key; NULL: none but the system's */
	const char *auth_file;           /* the only credential file; NULL: the usual ones */
	bool no_credentials;             /* not even from files */
	const struct progress *progress; /* cancelled is asked while waiting; borrowed */
};

/* registry_endpoints.c: where a name is fetched from, by the system's configuration. */
struct registry_endpoint {
	char *domain, *path;
	bool insecure;
	char *ca_file; /* more certificates to trust; NULL: none */
};
struct registry_endpoints {
	struct registry_endpoint *v;
	size_t n;
};
void registry_endpoints_release(struct registry_endpoints *e);
enum registry_use {
	REGISTRY_READ_TAG, /* mirrors first, in their order; the registry itself (or what stands for it) is last */
	REGISTRY_READ_DIGEST,
	REGISTRY_WRITE, /* no mirrors */
	REGISTRY_LOGIN, /* the name as it is */
};
/* ERR_PERMISSION: blocked. */
_must_check_ struct err *registry_endpoints(const char *domain, const char *path, enum registry_use use,
					    struct registry_endpoints *ret);

struct registry;
/* At one endpoint; borrowed. */
_must_check_ struct err *registry_open_at(const struct registry_endpoint *at,
					  const struct registry_options *o, struct registry **ret);
/* At the last endpoint for writing, or for logging in when the path is "". path "": no repository, for registry_ping. */
_must_check_ struct err *registry_open(const char *domain, const char *path, const struct registry_options *o,
				       struct registry **ret);
void registry_close(struct registry *r);
DEFINE_CLEANUP(struct registry *, registry_close)
_must_check_ struct err *registry_client_new(struct registry *r, struct http_client **ret);
const char *registry_name(const struct registry *r); /* "localhost:5000", as the user wrote it */

/* One request below /v2/PATH/: `what` is "manifests/latest", "blobs/sha256:…". Authentication and the choice between HTTPS and plain
 * HTTP happen in here. Any status but 401 is success. q->authorization is filled in here, and q->url unless it is set: then it is
 * where an earlier answer pointed to, and authentication goes there only when that is the registry itself. */
_must_check_ struct err *registry_request(struct registry *r, struct http_client *c, const char *what,
					  struct http_request *q, struct http_response *ret,
					  enum http_failure *ret_failure);

/* The same with more scope than the repository's own ("repository:other:pull"). */
_must_check_ struct err *registry_request_scoped(struct registry *r, struct http_client *c, const char *what,
						 const char *more_scope, struct http_request *q,
						 struct http_response *ret, enum http_failure *ret_failure);
/* What an answer's Location means: an absolute URL. Caller frees. */
_must_check_ struct err *registry_resolve(const struct registry *r, const struct http_client *c,
					  const char *location, char **ret);

/* Whether this is a registry and knows us. */
_must_check_ struct err *registry_ping(struct registry *r, struct http_client *c);

/* The error for a status that is not 2xx: "…: manifest unknown". `what` names the thing for the user. */
_must_check_ struct err *registry_status_error(const struct registry *r, const struct http_response *response,
					       const char *what);

/* Trying again: waits before the next attempt (500 ms, doubled each time, or what Retry-After says) and returns NULL, or returns `why`
 * when that is no use: a final failure, too many attempts, a wait of over a minute. Owns `why`. */
struct registry_retry {
	int attempts;
};
_must_check_ struct err *
registry_wait(struct registry *r, struct registry_retry *retry, struct err *why, enum http_failure failure,
	      const struct http_response *response /* NULL or the answer with the status */);
bool registry_status_is_transient(long status);

/* A manifest or index. `what` is a tag or digest. HEAD gives headers only. Retries; errors are in the user's words. The body's digest is
 * checked against `expected` when set, and against Docker-Content-Digest. */
struct registry_manifest {
	char *data;
	size_t size;
	char *content_type;   /* NULL: none given */
	struct digest digest; /* HEAD: unset when the registry does not tell */
};
void registry_manifest_release(struct registry_manifest *m);
_must_check_ struct err *registry_manifest_get(struct registry *r, struct http_client *c, const char *what,
					       const struct digest *expected, struct registry_manifest *ret);
_must_check_ struct err *registry_manifest_head(struct registry *r, struct http_client *c, const char *what,
						struct registry_manifest *ret);
_must_check_ struct err *registry_manifest_put(struct registry *r, struct http_client *c, const char *what,
					       const char *media_type, const char *data, size_t size);

/* ERR_UNSUPPORTED: the registry does not delete. `digest` and with it all its tags. */
_must_check_ struct err *registry_manifest_delete(struct registry *r, struct http_client *c,
						  const struct digest *digest);
/* All tags of the repository, page by page, in the registry's order. */
_must_check_ struct err *registry_tags(struct registry *r, struct http_client *c, char ***ret);
/* distribution-spec "Listing Referrers": the index that names what refers to `subject`, by the API or the fallback tag. ERR_NOT_FOUND: none. */
_must_check_ struct err *registry_referrers(struct registry *r, struct http_client *c,
					    const struct digest *subject, struct registry_manifest *ret);

/* -- private to registry*.c ------------------------------------------------------------------------------------ */

struct registry_token {
	char *scope, *header;
	int64_t expires_ns; /* monotonic */
};

struct registry {
	char *domain, *path, *host; /* host: where the API is, with port */
	bool insecure, loopback, push, deletes;
	bool plain_http; /* decided by the first request */
	bool contacted;  /* an answer has come */
	struct http_tls tls;
	const struct progress *progress;
	struct credentials credentials;
	char *refresh_token; /* what a token server gave with a token for a password; NULL: nothing */
	pthread_mutex_t
		auth_mutex; /* guards what follows; held while a token is fetched, so that one thread does it for all */
	bool basic;
	struct registry_token tokens[8];
	size_t n_tokens;
};

/* The Authorization value for a scope, or NULL when none is known (yet). Caller frees. */
char *registry_auth_current(struct registry *r, const char *scope);
/* After a 401 to a request that carried `used` (may be NULL): obtains what its challenges ask for. ERR_UNAUTHORIZED when there is
 * nothing better to offer. */
_must_check_ struct err *registry_auth_renew(struct registry *r, struct http_client *c,
					     const struct http_response *response, const char *scope,
					     const char *used);
/* Why access was refused, and what can be done. */
_must_check_ struct err *registry_auth_refused(const struct registry *r,
					       const struct http_response *response);
/* The registry's own words from its JSON error body: printable, short; NULL: none. Caller frees. */
char *registry_error_message(const struct http_response *response);

/* registry_config.c: certificates from the system's configuration. */
_must_check_ struct err *registry_tls_load(const char *domain, bool no_verify, const char *ca_file,
					   const char *cert_dir, struct http_tls *ret);

#endif
