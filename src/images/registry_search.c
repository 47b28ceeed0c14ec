/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "images/search.h"
#include "images/short_names.h"
#include "registry.h"

#define ANSWER_MAX ((size_t)8 << 20)
#define PAGE 1000
#define PAGES_MAX 1000

void search_results_release(struct search_results *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].name);
		free(r->v[i].description);
	}
	free(r->v);
	*r = (struct search_results){0};
}

struct search {
	struct registry *registry;
	struct http_client *client;
	const char *shown; /* "docker.io" */
	const char *term;
	size_t limit, found;
	struct search_results *results;
};

static char *printable(const char *s, size_t max)
{
	char *copy = xstrndup(s, max);

	for (char *p = copy; *p; p++)
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
	str_hide_controls(copy);
	return copy;
}

static struct search_result *add(struct search *s, const char *name)
{
	_cleanup_free_ char *clean = printable(name, 512);

	GROW(s->results->v, s->results->n, s->results->cap);
	struct search_result *one = &s->results->v[s->results->n++];
	*one = (struct search_result){0};
	if (str_eq(s->shown, "docker.io"))
		one->name = xstrdup(str_starts(clean, "library/") ? clean + strlen("library/") : clean);
	else
		one->name = xasprintf("%s/%s", s->shown, clean);
	s->found++;
	return one;
}

/* *ret_doc NULL: the registry has nothing of the kind. */
static struct err *get(struct search *s, const char *what, struct json **ret_doc)
{
	struct registry_retry retry = {0};

	while (true) {
		struct http_response response = {0};
		enum http_failure failure = HTTP_FAILURE_FINAL;
		struct http_request q = {.method = "GET", .body_max = ANSWER_MAX};
		struct err *e = registry_request(s->registry, s->client, what, &q, &response, &failure);
		bool done = !e && response.status == 200;
		if (done) {
			e = json_parse(strbuf_str(&response.body), response.body.len, "the registry's answer",
				       ret_doc);
		} else if (!e &&
			   (response.status == 404 || response.status == 405 || response.status == 410)) {
			done = true;
		} else if (!e) {
			e = registry_status_error(s->registry, &response, "a search");
			if (registry_status_is_transient(response.status))
				failure = HTTP_FAILURE_BROKEN;
		}
		if (e && !done)
			e = registry_wait(s->registry, &retry, e, failure, &response);
		http_response_release(&response);
		if (e || done)
			return e;
	}
}

/* -- docker's search -------------------------------------------------------------------------------------------- */

static struct err *take_result(struct search *s, const struct json_cursor *c)
{
	const char *name = "", *description = "";
	struct search_result found = {0};

	if (json_kind(c) != JSON_OBJECT)
		return json_error(c, "must be an object");
	TRY(json_get_string(c, "name", JSON_REQUIRED, &name));
	TRY(json_get_string(c, "description", JSON_OPTIONAL, &description));
	TRY(json_get_u64(c, "star_count", JSON_OPTIONAL, UINT64_MAX, &found.stars));
	TRY(json_get_bool(c, "is_official", JSON_OPTIONAL, &found.official));
	TRY(json_get_bool(c, "is_automated", JSON_OPTIONAL, &found.automated));
	struct search_result *one = add(s, name);
	found.name = one->name;
	found.description = printable(description, 4096);
	*one = found;
	return NULL;
}

static struct err *search_v1(struct search *s, bool *ret_known)
{
	_cleanup_strbuf_ struct strbuf what = {0};
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor results;

	/* Requests are below /v2/; curl resolves the dots before it sends anything. */
	strbuf_puts(&what, "../v1/search?q=");
	url_encode(&what, s->term);
	strbuf_printf(&what, "&n=%zu", s->limit);
	TRY(get(s, strbuf_str(&what), &doc));
	*ret_known = doc != NULL;
	if (!doc)
		return NULL;
	struct json_cursor root = json_root(doc);
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "registry %s does not answer a search with an object", s->shown);
	TRY(json_get_array(&root, "results", JSON_OPTIONAL, &results));
	for (size_t i = 0; i < json_array_len(&results) && s->found < s->limit; i++) {
		struct json_cursor one = json_at(&results, i);
		TRY(take_result(s, &one));
	}
	return NULL;
}

/* -- the list of repositories ----------------------------------------------------------------------------------- */

/* *ret_last: the last name of the page; NULL: it was the last page. */
static struct err *take_page(struct search *s, const struct json_cursor *root, const char *before,
			     char **ret_last)
{
	struct json_cursor list;
	const char *name = NULL;

	*ret_last = NULL;
	TRY(json_get_array(root, "repositories", JSON_OPTIONAL, &list));
	for (size_t i = 0; i < json_array_len(&list) && s->found < s->limit; i++) {
		struct json_cursor one = json_at(&list, i);
		TRY(json_as_string(&one, &name));
		if (i == 0 && before && strcmp(name, before) <= 0)
			return NULL; /* a registry that gives the same page whatever it is asked for */
		if (strstr(name, s->term))
			add(s, name)->description = xstrdup("");
	}
	if (name && s->found < s->limit)
		*ret_last = xstrdup(name);
	return NULL;
}

static struct err *search_catalog(struct search *s)
{
	_cleanup_free_ char *last = NULL;

	for (int i = 0; i < PAGES_MAX; i++) {
		_cleanup_strbuf_ struct strbuf what = {0};
		_cleanup_json_ struct json *doc = NULL;
		strbuf_printf(&what, "_catalog?n=%d", PAGE);
		if (last) {
			strbuf_puts(&what, "&last=");
			url_encode(&what, last);
		}
		TRY(get(s, strbuf_str(&what), &doc));
		if (!doc)
			return last ? NULL
				    : err_new(ERR_UNSUPPORTED,
					      "registry %s cannot be searched: it has neither a "
					      "search nor a list of its repositories",
					      s->shown);
		struct json_cursor root = json_root(doc);
		if (json_kind(&root) != JSON_OBJECT)
			return err_new(ERR_INVALID, "registry %s does not list its repositories in an object",
				       s->shown);
		char *next = NULL;
		TRY(take_page(s, &root, last, &next));
		free(last);
		last = next;
		if (!last)
			return NULL;
	}
	return NULL;
}

struct err *registry_search(const char *registry, const char *term, const struct search_options *o,
			    struct search_results *ret)
{
	bool hub = str_eq(registry, "docker.io");
	struct registry_endpoint at = {.domain = (char *)(hub ? "index.docker.io" : registry),
				       .path = (char *)""};
	_cleanup_(registry_endpoints_release) struct registry_endpoints configured = {0};
	struct registry_options ro = {.username = o->username,
				      .password = o->password,
				      .insecure = o->insecure,
				      .ca_file = o->ca_file,
				      .progress = o->progress};
	struct search s = {.shown = registry, .term = term, .limit = o->limit, .results = ret};
	bool known = false;

	TRY(registry_endpoints(registry, "", REGISTRY_LOGIN, &configured));
	at.insecure = configured.v[0].insecure;
	TRY(registry_open_at(&at, &ro, &s.registry));
	struct err *e = registry_client_new(s.registry, &s.client);
	if (!e && *term)
		e = search_v1(&s, &known);
	if (!e && !known && !hub)
		e = search_catalog(&s);
	http_client_free(s.client);
	registry_close(s.registry);
	return e ? err_wrap(e, "cannot search %s", registry) : NULL;
}

struct err *search_registries(const char *what, char ***ret_registries, const char **ret_term)
{
	size_t n = strcspn(what, "/");
	bool host = what[n] == '/' &&
		    (memchr(what, '.', n) || memchr(what, ':', n) || strncmp(what, "localhost", n) == 0);

	*ret_term = host ? what + n + 1 : what;
	if (!host)
		return short_name_registries(ret_registries);
	strv_push_take(ret_registries, xstrndup(what, n));
	return NULL;
}
