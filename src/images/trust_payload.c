/* SPDX-License-Identifier: Apache-2.0 */
/* What a signature says, containers-signature(5): {"critical": {"type", "image": {"docker-manifest-digest"}, "identity": {"docker-reference"}},
 * "optional": {…}}. cosign's documents differ in the type. It is read only after the signature was found good, and strictly all the same. */
#include <stdlib.h>
#include <time.h>

#include "base/base64.h"
#include "base/memory.h"
#include "base/str.h"
#include "trust_json.h"
#include "trust_policy.h"
#include "trust_storage.h"

static const char *const types[] = {[TRUST_SIGNATURE_SIMPLE] = "atomic container signature",
				    [TRUST_SIGNATURE_SIGSTORE] = "cosign container image signature"};

void trust_payload_release(struct trust_payload *p)
{
	free(p->reference);
	p->reference = NULL;
}

static struct err *get_member(const struct json_cursor *object, const char *key, struct json_cursor *ret)
{
	TRY(json_get(object, key, JSON_REQUIRED, ret));
	return json_kind(ret) == JSON_OBJECT ? NULL : json_error(ret, "must be an object");
}

static struct err *check_optional(const struct json_cursor *root)
{
	struct json_cursor optional;
	const char *creator = "";
	int64_t timestamp;

	TRY(json_get(root, "optional", JSON_OPTIONAL, &optional));
	if (!optional.value || json_kind(&optional) == JSON_NULL) /* cosign, when there is nothing to say */
		return NULL;
	if (json_kind(&optional) != JSON_OBJECT)
		return json_error(&optional, "must be an object");
	TRY(json_get_string(&optional, "creator", JSON_OPTIONAL, &creator));
	return json_get_i64(&optional, "timestamp", JSON_OPTIONAL, INT64_MIN, INT64_MAX, &timestamp);
}

struct err *trust_payload_parse(const char *data, size_t size, enum trust_signature_kind kind,
				struct trust_payload *ret)
{
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor critical, image, identity;
	const char *type = "", *digest = "", *reference = "";
	struct digest manifest;

	TRY(trust_json_parse(data, size, "the signed text", &doc));
	struct json_cursor root = json_root(doc);
	TRY(trust_json_only(&root, "critical optional"));
	TRY(get_member(&root, "critical", &critical));
	TRY(trust_json_only(&critical, "type image identity"));
	TRY(json_get_string(&critical, "type", JSON_REQUIRED, &type));
	if (!str_eq(type, types[kind]))
		return json_error_at(&critical, "type", "must be \"%s\"", types[kind]);
	TRY(get_member(&critical, "image", &image));
	TRY(trust_json_only(&image, "docker-manifest-digest"));
	TRY(json_get_string(&image, "docker-manifest-digest", JSON_REQUIRED, &digest));
	TRY(digest_parse(digest, &manifest));
	TRY(get_member(&critical, "identity", &identity));
	TRY(trust_json_only(&identity, "docker-reference"));
	TRY(json_get_string(&identity, "docker-reference", JSON_REQUIRED, &reference));
	TRY(check_optional(&root));
	ret->manifest = manifest;
	ret->reference = xstrdup(reference);
	return NULL;
}

char *trust_payload_text(const struct digest *manifest, const char *reference, enum trust_signature_kind kind)
{
	_cleanup_json_ struct json *root = json_new_object();
	struct json *critical = json_new_object(), *image = json_new_object(), *identity = json_new_object(),
		    *optional = json_new_object();
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	int64_t now = time(NULL);

	if (!str_empty(epoch))
		err_free(parse_i64(epoch, "SOURCE_DATE_EPOCH", 0, INT64_MAX, &now));
	json_set_string(identity, "docker-reference", reference);
	json_set_string(image, "docker-manifest-digest", manifest->s);
	json_set(critical, "identity", identity);
	json_set(critical, "image", image);
	json_set_string(critical, "type", types[kind]);
	json_set_string(optional, "creator", "havre " HAVRE_VERSION);
	json_set_i64(optional, "timestamp", now);
	json_set(root, "critical", critical);
	json_set(root, "optional", optional);
	return json_print(root, JSON_COMPACT);
}

/* -- signatures as files ---------------------------------------------------------------------------------------- */

void trust_signature_release(struct trust_signature *s)
{
	free(s->data);
	free(s->base64);
	*s = (struct trust_signature){0};
}

void trust_signatures_release(struct trust_signatures *s)
{
	for (size_t i = 0; i < s->n; i++)
		trust_signature_release(&s->v[i]);
	free(s->v);
	*s = (struct trust_signatures){0};
}

struct err *trust_signatures_add(struct trust_signatures *s, struct trust_signature *one)
{
	if (s->n == TRUST_SIGNATURES_MAX)
		return err_new(ERR_LIMIT, "there are more than %d signatures", TRUST_SIGNATURES_MAX);
	GROW(s->v, s->n, s->cap);
	s->v[s->n++] = *one;
	*one = (struct trust_signature){0};
	return NULL;
}

static struct err *parse_sigstore_file(const char *data, size_t size, struct trust_signature *ret)
{
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor annotations;
	const char *payload = "", *signature = NULL;

	TRY(json_parse(data, size, "sigstore signature", &doc));
	struct json_cursor root = json_root(doc);
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "sigstore signature: not an object");
	TRY(json_get_string(&root, "payload", JSON_REQUIRED, &payload));
	TRY(json_get_object(&root, "annotations", JSON_OPTIONAL, &annotations));
	if (annotations.value)
		TRY(json_get_string(&annotations, ANNOTATION_SIGNATURE, JSON_OPTIONAL, &signature));
	TRY_WRAP(base64_decode(payload, &ret->data, &ret->size), "sigstore signature: payload");
	ret->kind = TRUST_SIGNATURE_SIGSTORE;
	ret->base64 = xstrdup_null(signature);
	return NULL;
}

struct err *trust_signature_parse(const char *data, size_t size, struct trust_signature *ret)
{
	static const char simple[] = "\0simple-signing\n", sigstore[] = "\0sigstore-json\n";
	size_t skip = 0;

	if (size > TRUST_SIGNATURE_MAX)
		return err_new(ERR_LIMIT, "a signature has more than %zu bytes", TRUST_SIGNATURE_MAX);
	if (size >= sizeof(sigstore) - 1 && memcmp(data, sigstore, sizeof(sigstore) - 1) == 0)
		return parse_sigstore_file(data + sizeof(sigstore) - 1, size - (sizeof(sigstore) - 1), ret);
	if (size >= sizeof(simple) - 1 && memcmp(data, simple, sizeof(simple) - 1) == 0)
		skip = sizeof(simple) - 1;
	if (size == skip ||
	    !(data[skip] & 0x80)) /* each OpenPGP packet begins with that bit (RFC 9580, 4.2) */
		return err_new(ERR_INVALID, "a signature is neither an OpenPGP message nor one of sigstore");
	*ret = (struct trust_signature){.kind = TRUST_SIGNATURE_SIMPLE,
					.data = xmemdup(data + skip, size - skip),
					.size = size - skip};
	return NULL;
}

void trust_signature_file(const struct trust_signature *s, char **ret_data, size_t *ret_size)
{
	if (s->kind == TRUST_SIGNATURE_SIMPLE) {
		*ret_data = xmemdup(s->data, s->size);
		*ret_size = s->size;
		return;
	}
	_cleanup_json_ struct json *root = json_new_object();
	_cleanup_free_ char *payload = base64_encode(s->data, s->size);
	_cleanup_strbuf_ struct strbuf b = {0};
	struct json *annotations = json_new_object();

	json_set_string(root, "mimeType", MIME_SIMPLE_SIGNING);
	json_set_string(root, "payload", payload);
	if (s->base64)
		json_set_string(annotations, ANNOTATION_SIGNATURE, s->base64);
	json_set(root, "annotations", annotations);
	_cleanup_free_ char *text = json_print(root, JSON_COMPACT);
	strbuf_append(&b, "\0sigstore-json\n", sizeof("\0sigstore-json\n") - 1);
	strbuf_puts(&b, text);
	*ret_size = b.len;
	*ret_data = strbuf_take(&b);
}
