/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping signatures: files of a lookaside storage, and cosign's image of signatures in the registry, a manifest whose layers are the signed texts
 * with the signatures as annotations. What is there stays. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "manifest.h"
#include "trust_registries.h"
#include "trust_sign.h"

#define ANSWER_MAX ((size_t)64 << 10)

/* -- lookaside -------------------------------------------------------------------------------------------------- */

static bool same(const struct trust_signature *a, const struct trust_signature *b)
{
	return a->kind == b->kind && a->size == b->size && memcmp(a->data, b->data, a->size) == 0 &&
	       str_eq(a->base64, b->base64);
}

static bool contains(const struct trust_signatures *all, const struct trust_signature *one)
{
	for (size_t i = 0; i < all->n; i++)
		if (same(&all->v[i], one))
			return true;
	return false;
}

/* Behind the last signature-N. The folder is locked, so that two signers do not take one number. */
static struct err *add_file(const char *folder, const struct trust_signature *one)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_fd_ int dir = -1, lock = -1;
	char name[64];
	struct stat st;
	size_t size;

	TRY(file_mkdir_p(folder, 0755));
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(errno, "cannot open %s", folder);
	TRY(file_lock_at(dir, ".lock", FILE_LOCK_EXCLUSIVE, &lock));
	for (size_t i = 1;; i++) {
		if (i > TRUST_SIGNATURES_MAX)
			return err_new(ERR_LIMIT, "%s has %d signatures", folder, TRUST_SIGNATURES_MAX);
		snprintf(name, sizeof(name), "signature-%zu", i);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			break;
	}
	trust_signature_file(one, &data, &size);
	TRY_WRAP(file_replace_at(dir, name, data, size, 0644, FILE_DURABLE), "cannot write %s/%s", folder,
		 name);
	return NULL;
}

static struct err *write_lookaside(const struct trust_storage *s, const char *storage, const struct digest *d,
				   const struct trust_signature *one)
{
	if (!str_starts(storage, "file:///"))
		return err_new(ERR_UNSUPPORTED,
			       "GPG signatures can be written to file:/// only, and the storage for %s/%s is "
			       "%s: set "
			       "lookaside-staging in registries.d",
			       s->at->domain, s->at->path, storage);
	_cleanup_free_ char *url = trust_signature_url(storage, s->at, d, 1);
	*strrchr(url, '/') = '\0';
	return add_file(url + strlen("file://"), one);
}

/* -- attachments ------------------------------------------------------------------------------------------------ */

static struct err *request(const struct trust_storage *s, const char *method, const char *what,
			   const char *url, const struct http_upload *body, struct http_response *response)
{
	static char *const headers[] = {(char *)"Content-Type: application/octet-stream", NULL};
	struct registry_retry retry = {0};

	while (true) {
		enum http_failure failure = HTTP_FAILURE_FINAL;
		struct http_request q = {.method = method,
					 .url = url,
					 .headers = body ? headers : NULL,
					 .upload = body,
					 .body_max = ANSWER_MAX};
		struct err *e = registry_request(s->registry, s->client, what, &q, response, &failure);
		if (!e && (response->status / 100 == 2 || response->status == 404))
			return NULL;
		if (!e) {
			e = registry_status_error(s->registry, response, "a signature");
			if (registry_status_is_transient(response->status))
				failure = HTTP_FAILURE_BROKEN;
		}
		e = registry_wait(s->registry, &retry, e, failure, response);
		http_response_release(response);
		TRY(e);
	}
}

static struct err *put_blob(const struct trust_storage *s, const char *data, size_t size, struct digest *ret)
{
	struct http_response response = {0};
	_cleanup_free_ char *what = NULL, *url = NULL;
	_cleanup_strbuf_ struct strbuf end = {0};

	digest_of(data, size, ret);
	what = xasprintf("blobs/%s", ret->s);
	TRY(request(s, "HEAD", what, NULL, NULL, &response));
	bool there = response.status == 200;
	http_response_release(&response);
	if (there)
		return NULL;
	TRY(request(s, "POST", "blobs/uploads/", NULL, NULL, &response));
	struct err *e =
		response.location
			? registry_resolve(s->registry, s->client, response.location, &url)
			: err_new(ERR_INVALID, "registry %s opens an upload and does not say where it is",
				  registry_name(s->registry));
	http_response_release(&response);
	TRY(e);
	strbuf_printf(&end, "%s%sdigest=", url, strchr(url, '?') ? "&" : "?");
	url_encode(&end, ret->s);
	struct http_upload body = {.fd = -1, .data = data, .size = size};
	TRY(request(s, "PUT", "", strbuf_str(&end), &body, &response));
	if (response.status / 100 != 2)
		e = registry_status_error(s->registry, &response, "a signature");
	http_response_release(&response);
	return e;
}

/* The layers of what is there: kept as they are, whatever they mean. */
static struct err *existing_layers(const struct trust_storage *s, const char *tag, struct json *layers,
				   struct json *diff_ids)
{
	_cleanup_(registry_manifest_release) struct registry_manifest m = {0};
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor list;

	struct err *e = registry_manifest_get(s->registry, s->client, tag, NULL, &m);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	TRY(json_parse(m.data, m.size, tag, &doc));
	struct json_cursor root = json_root(doc);
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "%s: not an object", tag);
	TRY(json_get_array(&root, "layers", JSON_OPTIONAL, &list));
	if (json_array_len(&list) >= TRUST_SIGNATURES_MAX)
		return err_new(ERR_LIMIT, "%s has %zu signatures", tag, json_array_len(&list));
	for (size_t i = 0; i < json_array_len(&list); i++) {
		struct json_cursor layer = json_at(&list, i);
		const char *digest = "";
		if (json_kind(&layer) != JSON_OBJECT)
			return json_error(&layer, "must be an object");
		TRY(json_get_string(&layer, "digest", JSON_REQUIRED, &digest));
		json_append(layers, json_deep_copy(layer.value));
		json_append(diff_ids, json_new_string(digest));
	}
	return NULL;
}

static struct json *attachment_config(struct json *diff_ids)
{
	struct json *config = json_new_object(), *rootfs = json_new_object();

	json_set_string(config, "architecture", "");
	json_set_string(config, "os", "");
	json_set(config, "config", json_new_object());
	json_set_string(rootfs, "type", "layers");
	json_set(rootfs, "diff_ids", json_ref(diff_ids));
	json_set(config, "rootfs", rootfs);
	return config;
}

static struct err *write_attachment(const struct trust_storage *s, const struct digest *d,
				    const struct trust_signature *one)
{
	_cleanup_json_ struct json *layers = json_new_array(), *diff_ids = json_new_array(),
				   *manifest = json_new_object(), *config = NULL;
	struct trust_attachment_tag tag = trust_attachment_tag(d);
	struct digest payload, config_digest;

	TRY_WRAP(existing_layers(s, tag.s, layers, diff_ids), "%s", tag.s);
	TRY(put_blob(s, one->data, one->size, &payload));
	struct json *layer = descriptor_json(MIME_SIMPLE_SIGNING, &payload, one->size);
	struct json *annotations = json_new_object();
	json_set_string(annotations, ANNOTATION_SIGNATURE, one->base64);
	json_set(layer, "annotations", annotations);
	json_append(layers, layer);
	json_append(diff_ids, json_new_string(payload.s));
	config = attachment_config(diff_ids);
	_cleanup_free_ char *config_text = json_print(config, JSON_COMPACT);
	TRY(put_blob(s, config_text, strlen(config_text), &config_digest));
	json_set_i64(manifest, "schemaVersion", 2);
	json_set_string(manifest, "mediaType", MEDIA_OCI_MANIFEST);
	json_set(manifest, "config", descriptor_json(MEDIA_OCI_CONFIG, &config_digest, strlen(config_text)));
	json_set(manifest, "layers", json_ref(layers));
	_cleanup_free_ char *text = json_print(manifest, JSON_COMPACT);
	return registry_manifest_put(s->registry, s->client, tag.s, MEDIA_OCI_MANIFEST, text, strlen(text));
}

struct err *trust_storage_write(const struct trust_storage *s, const struct digest *d,
				const struct trust_signatures *add)
{
	_cleanup_trust_signatures_ struct trust_signatures there = {0};
	_cleanup_trust_place_ struct trust_place place = {0};

	TRY(trust_place_find(s->registries_d, s->at, &place));
	if (s->staging) {
		free(place.staging);
		place.staging = xstrdup(s->staging);
	} else {
		TRY(trust_storage_read(s, d, &there));
	}
	for (size_t i = 0; i < add->n; i++) {
		const struct trust_signature *one = &add->v[i];
		if (contains(&there, one))
			continue;
		if (one->kind == TRUST_SIGNATURE_SIMPLE)
			TRY(write_lookaside(s, place.staging, d, one));
		else if (place.attachments)
			TRY(write_attachment(s, d, one));
		else
			return err_new(
				ERR_STATE,
				"signatures of sigstore are kept in the registry, and registries.d does not "
				"allow that for %s/%s: set use-sigstore-attachments: true",
				s->at->domain, s->at->path);
	}
	return NULL;
}

struct err *trust_sign_and_store(const struct trust_storage *s, const struct trust_signer *signer,
				 const struct digest *d)
{
	_cleanup_trust_signatures_ struct trust_signatures made = {0};
	struct reference named = *s->at;

	if (named.tag)
		named.digest = (struct digest){0};
	_cleanup_free_ char *name = reference_string(&named);
	TRY(trust_sign(signer, d, signer->identity ? signer->identity : name, &made));
	return trust_storage_write(s, d, &made);
}
