/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_storage.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "manifest.h"
#include "trust_registries.h"

/* -- lookaside -------------------------------------------------------------------------------------------------- */

char *trust_signature_url(const char *storage, const struct reference *at, const struct digest *d, size_t n)
{
	size_t length = strlen(storage);

	while (length && storage[length - 1] == '/')
		length--;
	return xasprintf("%.*s/%s@%s=%s/signature-%zu", (int)length, storage, at->path, digest_algorithm(d),
			 digest_hex(d), n);
}

/* *ret NULL: it is not there. */
static struct err *read_file(const char *path, char **ret, size_t *ret_size)
{
	struct err *e = file_read(path, TRUST_SIGNATURE_MAX, ret, ret_size);

	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	return e;
}

/* Signatures prove themselves: plain HTTP will do, and no credentials go there. */
static struct err *read_url(const struct trust_storage *s, const char *url, char **ret, size_t *ret_size)
{
	const char *rest = strstr(url, "://");
	_cleanup_free_ char *host = rest ? xstrndup(rest + 3, strcspn(rest + 3, "/?#")) : xstrdup("");
	_cleanup_(http_client_freep) struct http_client *client = NULL;
	struct registry_retry retry = {0};

	TRY(http_client_new(&s->registry->tls, host_is_loopback(host), true, s->progress, &client));
	while (true) {
		struct http_response response = {0};
		enum http_failure failure = HTTP_FAILURE_FINAL;
		struct http_request q = {.method = "GET", .url = url, .body_max = TRUST_SIGNATURE_MAX};
		struct err *e = http_perform(client, &q, &response, &failure);
		bool done = !e && (response.status == 200 || response.status == 404);
		if (done && response.status == 200) {
			*ret_size = response.body.len;
			*ret = strbuf_take(&response.body);
		} else if (!e && !done) {
			e = err_new(ERR_UNREACHABLE, "%s answers %ld", url, response.status);
			if (registry_status_is_transient(response.status))
				failure = HTTP_FAILURE_BROKEN;
		}
		if (e)
			e = registry_wait(s->registry, &retry, e, failure, &response);
		http_response_release(&response);
		if (e || done)
			return e;
	}
}

static struct err *read_lookaside(const struct trust_storage *s, const char *storage, const struct digest *d,
				  struct trust_signatures *ret)
{
	bool file = str_starts(storage, "file:///");

	if (!file && !str_starts(storage, "https://") && !str_starts(storage, "http://"))
		return err_new(ERR_INVALID,
			       "the signature storage \"%.200s\" is no file:///, https:// or http:// URL",
			       storage);
	for (size_t i = 1;; i++) {
		_cleanup_free_ char *url = trust_signature_url(storage, s->at, d, i), *data = NULL;
		_cleanup_trust_signature_ struct trust_signature one = {0};
		size_t size = 0;
		if (i > TRUST_SIGNATURES_MAX)
			return err_new(ERR_LIMIT, "%s has more than %d signatures", url,
				       TRUST_SIGNATURES_MAX);
		TRY(file ? read_file(url + strlen("file://"), &data, &size) : read_url(s, url, &data, &size));
		if (!data)
			return NULL;
		TRY_WRAP(trust_signature_parse(data, size, &one), "%s", url);
		TRY(trust_signatures_add(ret, &one));
	}
}

/* -- attachments ------------------------------------------------------------------------------------------------ */

struct trust_attachment_tag trust_attachment_tag(const struct digest *d)
{
	struct trust_attachment_tag tag;

	snprintf(tag.s, sizeof(tag.s), "%s-%s.sig", digest_algorithm(d), digest_hex(d));
	return tag;
}

struct err *trust_blob_read(const struct trust_storage *s, const struct digest *d, size_t max, char **ret,
			    size_t *ret_size)
{
	_cleanup_free_ char *what = xasprintf("blobs/%s", d->s), *name = xasprintf("blob %s", d->s);
	struct registry_retry retry = {0};

	while (true) {
		struct http_response response = {0};
		enum http_failure failure = HTTP_FAILURE_FINAL;
		struct http_request q = {.method = "GET", .body_max = max};
		struct err *e = registry_request(s->registry, s->client, what, &q, &response, &failure);
		bool good = !e && response.status == 200;
		if (good) {
			struct digest_stream *hash = digest_stream_new_like(d);
			struct digest is;
			digest_stream_update(hash, strbuf_str(&response.body), response.body.len);
			digest_stream_final(hash, &is);
			digest_stream_free(hash);
			if (!digest_equal(&is, d))
				e = err_new(ERR_CORRUPT, "blob %s from registry %s is damaged", d->s,
					    registry_name(s->registry));
			*ret_size = response.body.len;
			*ret = strbuf_take(&response.body);
		} else if (!e) {
			e = registry_status_error(s->registry, &response, name);
			if (registry_status_is_transient(response.status))
				failure = HTTP_FAILURE_BROKEN;
		}
		if (e && !good)
			e = registry_wait(s->registry, &retry, e, failure, &response);
		http_response_release(&response);
		if (e && good)
			free(TAKE_PTR(*ret));
		if (e || good)
			return e;
	}
}

static struct err *read_attachment(const struct trust_storage *s, const struct json_cursor *layer,
				   struct trust_signatures *ret)
{
	_cleanup_trust_signature_ struct trust_signature one = {.kind = TRUST_SIGNATURE_SIGSTORE};
	struct json_cursor annotations;
	const char *type = "", *text = "", *signature = NULL;
	struct digest d;

	if (json_kind(layer) != JSON_OBJECT)
		return json_error(layer, "must be an object");
	TRY(json_get_string(layer, "mediaType", JSON_REQUIRED, &type));
	if (!str_eq(type, MIME_SIMPLE_SIGNING))
		return NULL;
	TRY(json_get_string(layer, "digest", JSON_REQUIRED, &text));
	TRY(digest_parse(text, &d));
	TRY(json_get_object(layer, "annotations", JSON_OPTIONAL, &annotations));
	if (annotations.value)
		TRY(json_get_string(&annotations, ANNOTATION_SIGNATURE, JSON_OPTIONAL, &signature));
	one.base64 = xstrdup_null(signature);
	TRY(trust_blob_read(s, &d, TRUST_SIGNATURE_MAX, &one.data, &one.size));
	return trust_signatures_add(ret, &one);
}

static struct err *read_attachments(const struct trust_storage *s, const struct digest *d,
				    struct trust_signatures *ret)
{
	_cleanup_(registry_manifest_release) struct registry_manifest m = {0};
	_cleanup_json_ struct json *doc = NULL;
	struct trust_attachment_tag tag = trust_attachment_tag(d);
	struct json_cursor layers;

	struct err *e = registry_manifest_get(s->registry, s->client, tag.s, NULL, &m);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	TRY(json_parse(m.data, m.size, tag.s, &doc));
	struct json_cursor root = json_root(doc);
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "%s: not an object", tag.s);
	TRY_WRAP(json_get_array(&root, "layers", JSON_OPTIONAL, &layers), "%s", tag.s);
	for (size_t i = 0; i < json_array_len(&layers); i++) {
		struct json_cursor layer = json_at(&layers, i);
		TRY_WRAP(read_attachment(s, &layer, ret), "%s", tag.s);
	}
	return NULL;
}

struct err *trust_storage_read(const struct trust_storage *s, const struct digest *d,
			       struct trust_signatures *ret)
{
	_cleanup_trust_place_ struct trust_place place = {0};

	TRY(trust_place_find(s->registries_d, s->at, &place));
	TRY(read_lookaside(s, place.lookaside, d, ret));
	return place.attachments ? read_attachments(s, d, ret) : NULL;
}
