/* SPDX-License-Identifier: Apache-2.0 */
/* What is attached to an image in its registry. Two ways: cosign's tags, which name the image's digest; and manifests whose "subject" is the
 * image, which the registry lists (distribution-spec 1.1.1 "Listing Referrers"), or the tag sha256-HEX does where the registry cannot. */
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "copy_trust.h"
#include "transport_registry.h"

#define DEPTH_MAX 4 /* a signature of an SBOM of an image */
#define ATTACHMENTS_MAX 1000

struct attachments {
	struct copy *copy;
	unsigned done;
};

static struct err *copy_manifest(struct attachments *a, const char *what, const struct digest *expected,
				 struct raw_manifest *ret_copied);
static struct err *copy_referrers(struct attachments *a, const struct digest *subject, unsigned depth);

/* *ret_copied is left empty when the source has none of that name. */
static struct err *copy_manifest(struct attachments *a, const char *what, const struct digest *expected,
				 struct raw_manifest *ret_copied)
{
	struct copy *c = a->copy;
	struct registry_pool *from = source_registry(c->source), *to = destination_registry(c->destination);
	_cleanup_raw_manifest_ struct raw_manifest raw = {0}, made = {0};
	struct registry_manifest m = {0};
	struct http_client *client;

	if (++a->done > ATTACHMENTS_MAX)
		return err_new(ERR_LIMIT, "more than %d signatures and other attachments", ATTACHMENTS_MAX);
	TRY(registry_pool_take(from, &client));
	struct err *e = registry_manifest_get(from->registry, client, what, expected, &m);
	registry_pool_give(from, client);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	raw = (struct raw_manifest){
		.data = m.data, .size = m.size, .media_type = m.content_type, .digest = m.digest};
	TRY(copy_image_content(c, &raw, &made));
	TRY(registry_pool_take(to, &client));
	e = registry_manifest_put(to->registry, client, expected ? made.digest.s : what, made.media_type,
				  made.data, made.size);
	registry_pool_give(to, client);
	TRY(e);
	copy_say(c, "Copied %s", expected ? made.digest.s : what);
	*ret_copied = made;
	made = (struct raw_manifest){0};
	return NULL;
}

static struct err *copy_tag(struct attachments *a, const struct digest *subject, const char *suffix)
{
	_cleanup_free_ char *tag =
		xasprintf("%s-%s.%s", digest_algorithm(subject), digest_hex(subject), suffix);
	_cleanup_raw_manifest_ struct raw_manifest copied = {0};

	return copy_manifest(a, tag, NULL, &copied);
}

/* -- referrers ---------------------------------------------------------------------------------------------------- */

static bool lists(const struct json_cursor *manifests, const char *digest)
{
	for (size_t i = 0, n = json_array_len(manifests); i < n; i++) {
		struct json_cursor one = json_at(manifests, i);
		const char *s = "";
		struct err *e = json_get_string(&one, "digest", JSON_OPTIONAL, &s);
		err_free(e);
		if (str_eq(s, digest))
			return true;
	}
	return false;
}

/* distribution-spec "Pushing Manifests with Subject": a registry that does not list the referrer by itself has it listed by us. */
static struct err *add_to_list(struct copy *c, const struct digest *subject, const struct json_cursor *entry,
			       const char *digest)
{
	struct registry_pool *to = destination_registry(c->destination);
	_cleanup_free_ char *tag = xasprintf("%s-%s", digest_algorithm(subject), digest_hex(subject));
	_cleanup_json_ struct json *doc = NULL;
	struct registry_manifest now = {0};
	struct json_cursor manifests = {0};
	struct http_client *client;

	TRY(registry_pool_take(to, &client));
	struct err *e = registry_referrers(to->registry, client, subject, &now);
	if (!e)
		e = json_parse(now.data, now.size, "referrers", &doc);
	registry_manifest_release(&now);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		e = NULL;
	}
	if (!e && !doc) {
		doc = json_new_object();
		json_set_i64(doc, "schemaVersion", 2);
		json_set_string(doc, "mediaType", MEDIA_OCI_INDEX);
		json_set(doc, "manifests", json_new_array());
	}
	struct json_cursor root = json_root(doc);
	if (!e)
		e = json_get_array(&root, "manifests", JSON_REQUIRED, &manifests);
	if (!e && !lists(&manifests, digest)) {
		json_append(manifests.value, json_ref(entry->value));
		_cleanup_free_ char *text = json_print(doc, JSON_COMPACT);
		e = registry_manifest_put(to->registry, client, tag, MEDIA_OCI_INDEX, text, strlen(text));
	}
	registry_pool_give(to, client);
	return e;
}

static struct err *copy_referrer(struct attachments *a, const struct digest *subject,
				 const struct json_cursor *entry, unsigned depth)
{
	_cleanup_raw_manifest_ struct raw_manifest copied = {0};
	const char *text = "";
	struct digest digest;

	TRY(json_get_string(entry, "digest", JSON_REQUIRED, &text));
	TRY(digest_parse(text, &digest));
	TRY(copy_manifest(a, digest.s, &digest, &copied));
	if (!copied.data)
		return NULL;
	TRY(add_to_list(a->copy, subject, entry, digest.s));
	return copy_referrers(a, &digest, depth - 1);
}

static struct err *copy_referrers(struct attachments *a, const struct digest *subject, unsigned depth)
{
	struct registry_pool *from = source_registry(a->copy->source);
	_cleanup_json_ struct json *doc = NULL;
	struct registry_manifest list = {0};
	struct json_cursor manifests;
	struct http_client *client;

	if (depth == 0)
		return NULL;
	TRY(registry_pool_take(from, &client));
	struct err *e = registry_referrers(from->registry, client, subject, &list);
	registry_pool_give(from, client);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	if (!e)
		e = json_parse(list.data, list.size, "referrers", &doc);
	registry_manifest_release(&list);
	TRY_WRAP(e, "referrers of %s", subject->s);
	struct json_cursor root = json_root(doc);
	TRY(json_get_array(&root, "manifests", JSON_REQUIRED, &manifests));
	for (size_t i = 0, n = json_array_len(&manifests); i < n; i++) {
		struct json_cursor entry = json_at(&manifests, i);
		TRY(copy_referrer(a, subject, &entry, depth));
	}
	return NULL;
}

struct err *copy_attachments(struct copy *c, const struct digest *digest)
{
	static const char *const suffixes[] = {"sig", "att", "sbom"};
	struct attachments a = {.copy = c};

	if (!source_registry(c->source) || !destination_registry(c->destination))
		return err_new(
			ERR_UNSUPPORTED,
			"signatures and other attachments travel from registry to registry only: leave out "
			"--signatures");
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		TRY(copy_tag(&a, digest, suffixes[i]));
	return copy_referrers(&a, digest, DEPTH_MAX);
}
