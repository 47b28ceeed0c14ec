/* SPDX-License-Identifier: Apache-2.0 */
/* Authentication: Basic, and Bearer tokens from the server that the challenge names (distribution's token specification; OAuth2 first
 * when there are credentials, then GET). Tokens are kept per scope until they expire. */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "registry.h"
#include "registry_challenge.h"

#define TOKEN_ANSWER_MAX ((size_t)1 << 20)
#define TOKEN_LIFE_DEFAULT_S 60 /* when the server does not say; the least it may give */
#define TOKEN_SLACK_S 5
#define SECOND_NS 1000000000LL

static char *basic_header(const struct registry *r)
{
	_cleanup_free_ char *plain = xasprintf("%s:%s", r->credentials.username, r->credentials.password);
	_cleanup_free_ char *encoded = base64_encode(plain, strlen(plain));

	return xasprintf("Basic %s", encoded);
}

/* An empty user name says that the secret is a refresh token. */
static bool have_password(const struct registry *r)
{
	return !str_empty(r->credentials.username) && r->credentials.password;
}

static const char *refresh_token(const struct registry *r)
{
	const struct credentials *c = &r->credentials;

	if (c->identity_token)
		return c->identity_token;
	return c->username && !*c->username && !str_empty(c->password) ? c->password : NULL;
}

static char *current_locked(struct registry *r, const char *scope)
{
	if (r->basic)
		return basic_header(r);
	for (size_t i = 0; i < r->n_tokens; i++)
		if (strcmp(r->tokens[i].scope, scope) == 0 &&
		    timestamp_monotonic_ns() < r->tokens[i].expires_ns)
			return xstrdup(r->tokens[i].header);
	return NULL;
}

char *registry_auth_current(struct registry *r, const char *scope)
{
	pthread_mutex_lock(&r->auth_mutex);
	char *header = current_locked(r, scope);
	pthread_mutex_unlock(&r->auth_mutex);
	return header;
}

static void keep_token(struct registry *r, const char *scope, const char *token, int64_t life_s)
{
	struct registry_token *t = NULL;

	for (size_t i = 0; i < r->n_tokens; i++)
		if (strcmp(r->tokens[i].scope, scope) == 0)
			t = &r->tokens[i];
	if (!t)
		t = &r->tokens[r->n_tokens < ARRAY_SIZE(r->tokens) ? r->n_tokens++ : 0];
	free(t->scope);
	free(t->header);
	t->scope = xstrdup(scope);
	t->header = xasprintf("Bearer %s", token);
	t->expires_ns =
		timestamp_monotonic_ns() + (MAX(life_s, TOKEN_LIFE_DEFAULT_S) - TOKEN_SLACK_S) * SECOND_NS;
}

static struct err *read_token(struct registry *r, const struct http_response *response, const char *scope)
{
	_cleanup_json_ struct json *doc = NULL;
	const char *token = "", *access_token = "", *refresh = "";
	int64_t life_s = TOKEN_LIFE_DEFAULT_S;

	TRY(json_parse(strbuf_str(&response->body), response->body.len, "token", &doc));
	struct json_cursor root = json_root(doc);
	TRY(json_get_string(&root, "token", JSON_OPTIONAL, &token));
	TRY(json_get_string(&root, "access_token", JSON_OPTIONAL, &access_token));
	TRY(json_get_i64(&root, "expires_in", JSON_OPTIONAL, INT64_MIN, INT64_MAX, &life_s));
	const char *use = *token ? token : access_token;
	for (const char *p = use; *p; p++)
		if (*p <= ' ' || *p > '~') /* it goes into a header */
			return err_new(ERR_INVALID, "the token is not printable text");
	if (!*use)
		return err_new(ERR_INVALID, "the answer has no token");
	TRY(json_get_string(&root, "refresh_token", JSON_OPTIONAL, &refresh));
	if (*refresh) {
		free(r->refresh_token);
		r->refresh_token = xstrdup(refresh);
	}
	keep_token(r, scope, use, MIN(life_s, (int64_t)24 * 3600));
	return NULL;
}

static void add_parameter(struct strbuf *b, const char *name, const char *value)
{
	strbuf_printf(b, "%s%s=", b->len ? "&" : "", name);
	url_encode(b, value);
}

static struct err *token_by_post(struct registry *r, struct http_client *c, const struct challenge *ch,
				 const char *scope, struct http_response *response,
				 enum http_failure *failure)
{
	_cleanup_strbuf_ struct strbuf form = {0};

	if (refresh_token(r)) {
		add_parameter(&form, "grant_type", "refresh_token");
		add_parameter(&form, "refresh_token", refresh_token(r));
	} else {
		add_parameter(&form, "grant_type", "password");
		add_parameter(&form, "username", r->credentials.username);
		add_parameter(&form, "password", r->credentials.password);
	}
	if (ch->service)
		add_parameter(&form, "service", ch->service);
	if (*scope)
		add_parameter(&form, "scope", scope);
	add_parameter(&form, "client_id", "havre");
	add_parameter(&form, "access_type", "offline");
	struct http_request q = {
		.method = "POST", .url = ch->realm, .form = form.data, .body_max = TOKEN_ANSWER_MAX};
	return http_perform(c, &q, response, failure);
}

static struct err *token_by_get(struct registry *r, struct http_client *c, const struct challenge *ch,
				const char *scope, struct http_response *response, enum http_failure *failure)
{
	_cleanup_strbuf_ struct strbuf query = {0};
	_cleanup_strv_ char **scopes = strv_split(scope, " ");
	_cleanup_free_ char *authorization = have_password(r) ? basic_header(r) : NULL;

	if (ch->service)
		add_parameter(&query, "service", ch->service);
	STRV_FOREACH (one, scopes)
		add_parameter(&query, "scope", *one);
	if (authorization)
		add_parameter(&query, "offline_token", "true");
	_cleanup_free_ char *url =
		xasprintf("%s%s%s", ch->realm, strchr(ch->realm, '?') ? "&" : "?", strbuf_str(&query));
	struct http_request q = {
		.method = "GET", .url = url, .authorization = authorization, .body_max = TOKEN_ANSWER_MAX};
	return http_perform(c, &q, response, failure);
}

/* One round: POST when there are credentials, GET when there are none or the server does not know POST. */
static struct err *ask_for_token(struct registry *r, struct http_client *c, const struct challenge *ch,
				 const char *scope, struct http_response *response,
				 enum http_failure *failure)
{
	if (refresh_token(r) || have_password(r)) {
		TRY(token_by_post(r, c, ch, scope, response, failure));
		bool fall_back = response->status == 400 || response->status == 401 ||
				 response->status == 404 || response->status == 405 ||
				 response->status / 100 == 3;
		if (!fall_back || !have_password(r))
			return NULL;
	}
	return token_by_get(r, c, ch, scope, response, failure);
}

/* What http_perform will find again with libcurl's eyes; here the words are better. */
static bool realm_is_loopback(const char *after_scheme)
{
	_cleanup_free_ char *host = xstrndup(after_scheme, strcspn(after_scheme, "/?#"));
	return host_is_loopback(host);
}

static struct err *fetch_token(struct registry *r, struct http_client *c, const struct challenge *ch,
			       const char *wanted_scope)
{
	const char *scope = !str_empty(ch->scope) ? ch->scope : wanted_scope;
	struct registry_retry retry = {0};

	if (str_empty(ch->realm))
		return err_new(ERR_INVALID, "registry %s asks for a token and does not say where to get it",
			       r->domain);
	if (strncasecmp(ch->realm, "http://", 7) == 0 && !r->insecure &&
	    !(r->loopback && realm_is_loopback(ch->realm + 7)))
		return err_new(ERR_PERMISSION,
			       "registry %s asks to authenticate over plain HTTP (%s), which is refused",
			       r->domain, ch->realm);
	while (true) {
		struct http_response response = {0};
		enum http_failure failure;
		struct err *e = ask_for_token(r, c, ch, scope, &response, &failure);
		bool transient = !e && registry_status_is_transient(response.status);
		if (!e && response.status == 200)
			e = read_token(r, &response, wanted_scope);
		else if (!e && (response.status == 401 || response.status == 403 || response.status == 400))
			e = registry_auth_refused(r, &response);
		else if (!e)
			e = registry_status_error(r, &response, "a token");
		else
			transient = failure != HTTP_FAILURE_FINAL;
		if (e && transient)
			e = registry_wait(r, &retry, e, HTTP_FAILURE_BROKEN, &response);
		else if (!e || !transient) {
			http_response_release(&response);
			return e ? err_wrap(e, "authenticating at %.120s", ch->realm) : NULL;
		}
		http_response_release(&response);
		TRY(e);
	}
}

static struct err *renew_locked(struct registry *r, struct http_client *c,
				const struct http_response *response, const char *scope, const char *used)
{
	_cleanup_challenges_ struct challenges all = {0};
	const struct challenge *bearer = NULL, *basic = NULL;

	/* Another thread may have done it while we waited for the lock. */
	_cleanup_free_ char *now = current_locked(r, scope);
	if (now && (!used || strcmp(now, used) != 0))
		return NULL;
	STRV_FOREACH (header, response->challenges)
		TRY_WRAP(challenge_parse(*header, &all), "registry %s", r->domain);
	for (size_t i = 0; i < all.n; i++) {
		if (all.v[i].scheme == CHALLENGE_BEARER && !bearer)
			bearer = &all.v[i];
		if (all.v[i].scheme == CHALLENGE_BASIC && !basic)
			basic = &all.v[i];
	}
	if (bearer)
		return fetch_token(r, c, bearer, scope);
	if (!basic && all.n > 0)
		return err_new(ERR_UNSUPPORTED,
			       "registry %s wants a kind of authentication that havre does not know: %.80s",
			       r->domain, response->challenges[0]);
	if (!basic || !have_password(r) || r->basic)
		return registry_auth_refused(r, response);
	r->basic = true;
	return NULL;
}

struct err *registry_auth_renew(struct registry *r, struct http_client *c,
				const struct http_response *response, const char *scope, const char *used)
{
	pthread_mutex_lock(&r->auth_mutex);
	struct err *e = renew_locked(r, c, response, scope, used);
	pthread_mutex_unlock(&r->auth_mutex);
	return e;
}

struct err *registry_auth_refused(const struct registry *r, const struct http_response *response)
{
	const struct credentials *c = &r->credentials;
	_cleanup_free_ char *message = registry_error_message(response);
	_cleanup_free_ char *says = message ? xasprintf(" (it says: %s)", message) : xstrdup("");

	if (c->username || c->identity_token)
		return err_new(ERR_UNAUTHORIZED,
			       "registry %s refuses user \"%s\" (credentials from %s)%s%s%s", r->domain,
			       str_empty(c->username) ? CREDENTIALS_TOKEN_USER : c->username,
			       c->source ? c->source : "the command line", *r->path ? " access to " : "",
			       r->path, says);
	return err_new(
		ERR_UNAUTHORIZED,
		"access to %s in registry %s denied: it does not exist or needs credentials, and there "
		"are none for %s in the credential files (`havre login %s` makes some)%s%s%s",
		r->path, r->domain, r->domain, r->domain, says, c->helper_failure ? "; " : "",
		c->helper_failure ? c->helper_failure : "");
}
