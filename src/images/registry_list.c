/* SPDX-License-Identifier: Apache-2.0 */
/* What a repository has: tags, page by page, and what refers to a manifest; and removing a manifest (distribution-spec 1.1.1, "Listing
 * Tags", "Listing Referrers", "Deleting Manifests"). */
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "manifest.h"
#include "registry.h"

#define PAGE_MAX ((size_t)4 << 20)
#define PAGES_MAX 10000
#define TAGS_MAX ((size_t)1 << 20)

/* One request with retries. 404 is an answer; other failures are errors about `name`. */
static struct err *ask(struct registry *r, struct http_client *c, const char *method, const char *what,
		       const char *url, const char *name, struct http_response *ret)
{
	struct registry_retry retry = {0};

	while (true) {
		struct http_response response = {0};
		enum http_failure failure = HTTP_FAILURE_FINAL;
		struct http_request q = {.method = method, .url = url, .body_max = PAGE_MAX};
		struct err *e = registry_request(r, c, what, &q, &response, &failure);
		if (!e && (response.status / 100 == 2 || response.status == 404 || response.status == 405)) {
			*ret = response;
			return NULL;
		}
		if (!e) {
			e = registry_status_error(r, &response, name);
			if (registry_status_is_transient(response.status))
				failure = HTTP_FAILURE_BROKEN;
		}
		e = registry_wait(r, &retry, e, failure, &response);
		http_response_release(&response);
		TRY(e);
	}
}

/* RFC 8288: <URL>; rel="next". NULL: the last page. */
static struct err *next_page(struct registry *r, struct http_client *c, const char *link, char **ret)
{
	const char *end = link ? strchr(link, '>') : NULL;

	*ret = NULL;
	if (!end || link[0] != '<' || !strstr(end, "next"))
		return NULL;
	_cleanup_free_ char *reference = xstrndup(link + 1, (size_t)(end - link) - 1);
	return registry_resolve(r, c, reference, ret);
}

static struct err *read_page(const struct http_response *response, char ***tags, size_t *n)
{
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_strv_ char **page = NULL;

	TRY(json_parse(strbuf_str(&response->body), response->body.len, "the list of tags", &doc));
	struct json_cursor root = json_root(doc);
	TRY(json_get_strv(&root, "tags", JSON_OPTIONAL, &page));
	size_t count = strv_len(page);
	if (*n + count > TAGS_MAX)
		return err_new(ERR_LIMIT, "the repository has more than %zu tags", TAGS_MAX);
	*tags = xrealloc(*tags, *n + count + 1, sizeof(char *));
	if (count)
		memcpy(*tags + *n, page, count * sizeof(char *));
	*n += count;
	(*tags)[*n] = NULL;
	free(page);
	page = NULL;
	return NULL;
}

static struct err *list_tags(struct registry *r, struct http_client *c, char ***tags)
{
	_cleanup_free_ char *url = NULL, *name = xasprintf("repository %s", r->path);
	size_t n = 0;

	for (int page = 0; page == 0 || url; page++) {
		struct http_response response = {0};
		char *next = NULL;
		if (page == PAGES_MAX)
			return err_new(ERR_LIMIT, "registry %s sends pages of tags without end", r->domain);
		TRY(ask(r, c, "GET", "tags/list", url, name, &response));
		struct err *e = response.status / 100 == 2 ? read_page(&response, tags, &n)
							   : registry_status_error(r, &response, name);
		if (!e)
			e = next_page(r, c, response.link, &next);
		http_response_release(&response);
		TRY_WRAP(e, "registry %s", r->domain);
		free(url);
		url = next;
	}
	return NULL;
}

struct err *registry_tags(struct registry *r, struct http_client *c, char ***ret)
{
	_cleanup_strv_ char **tags = NULL;

	TRY(list_tags(r, c, &tags));
	*ret = TAKE_PTR(tags);
	return NULL;
}

struct err *registry_referrers(struct registry *r, struct http_client *c, const struct digest *subject,
			       struct registry_manifest *ret)
{
	_cleanup_free_ char *what = xasprintf("referrers/%s", subject->s);
	_cleanup_free_ char *name = xasprintf("referrers of %s", subject->s);
	_cleanup_free_ char *tag = xasprintf("%s-%s", digest_algorithm(subject), digest_hex(subject));
	struct http_response response = {0};

	TRY(ask(r, c, "GET", what, NULL, name, &response));
	/* Some answer 200 with a page of HTML to what they do not know. */
	if (response.status / 100 == 2 && response.content_type &&
	    str_starts(response.content_type, MEDIA_OCI_INDEX)) {
		*ret = (struct registry_manifest){.size = response.body.len};
		ret->content_type = xstrdup(MEDIA_OCI_INDEX);
		ret->data = strbuf_take(&response.body);
		digest_of(ret->data, ret->size, &ret->digest);
		http_response_release(&response);
		return NULL;
	}
	http_response_release(&response);
	return registry_manifest_get(r, c, tag, NULL, ret);
}

struct err *registry_manifest_delete(struct registry *r, struct http_client *c, const struct digest *digest)
{
	_cleanup_free_ char *what = xasprintf("manifests/%s", digest->s);
	_cleanup_free_ char *name = xasprintf("%s@%s", r->path, digest->s);
	struct http_response response = {0};

	TRY(ask(r, c, "DELETE", what, NULL, name, &response));
	struct err *e = NULL;
	if (response.status == 405)
		e = err_new(ERR_UNSUPPORTED,
			    "registry %s does not allow deleting: its configuration must "
			    "(storage.delete.enabled of "
			    "docker's registry)",
			    r->domain);
	else if (response.status == 404)
		e = registry_status_error(r, &response, name);
	http_response_release(&response);
	return e;
}
