/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest.h"

#include <stdio.h>
#include <strings.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"

#define BLOB_SIZE_MAX ((uint64_t)1 << 40)
#define MEDIA_TYPE_MAX 255
#define URLS_MAX 16

static const struct {
	const char *media_type;
	bool is_index;
} known_types[] = {
	{MEDIA_OCI_MANIFEST, false},
	{MEDIA_OCI_INDEX, true},
	{MEDIA_DOCKER_MANIFEST, false},
	{MEDIA_DOCKER_LIST, true},
};

static int known_type(const char *media_type)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_types); i++)
		if (strcasecmp(known_types[i].media_type, media_type) == 0)
			return (int)i;
	return -1;
}

static void descriptor_release(struct descriptor *d)
{
	free(d->media_type);
	strv_free(d->urls);
	*d = (struct descriptor){0};
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	descriptor_release(&m->config);
	for (size_t i = 0; i < m->n_entries; i++)
		descriptor_release(&m->entries[i]);
	free(m->entries);
	free(m);
}

static struct err *get_platform_word(const struct json_cursor *obj, const char *key, char *dst, size_t size)
{
	const char *s = "";

	TRY(json_get_string(obj, key, JSON_OPTIONAL, &s));
	if (strlen(s) >= size)
		return json_error(obj, "%s \"%.40s…\" is too long", key, s);
	for (const char *p = s; *p; p++)
		if (*p < '!' || *p > '~' || *p == '/')
			return json_error(obj, "%s is not a word", key);
	memcpy(dst, s, strlen(s) + 1);
	return NULL;
}

static struct err *parse_platform(const struct json_cursor *obj, struct platform *p)
{
	TRY(get_platform_word(obj, "os", p->os, sizeof(p->os)));
	TRY(get_platform_word(obj, "architecture", p->architecture, sizeof(p->architecture)));
	return get_platform_word(obj, "variant", p->variant, sizeof(p->variant));
}

/* Fills *d piece by piece: the caller releases it, failed or not. */
struct json *descriptor_json(const char *media_type, const struct digest *d, uint64_t size)
{
	struct json *o = json_new_object();

	json_set_string(o, "mediaType", media_type);
	json_set_string(o, "digest", d->s);
	json_set_u64(o, "size", size);
	return o;
}

static struct err *parse_descriptor(const struct json_cursor *obj, struct descriptor *d)
{
	const char *media_type = "", *digest = "";
	struct json_cursor platform;

	TRY(json_get_string(obj, "mediaType", JSON_OPTIONAL, &media_type));
	if (strlen(media_type) > MEDIA_TYPE_MAX)
		return json_error(obj, "mediaType is longer than %d characters", MEDIA_TYPE_MAX);
	d->media_type = xstrdup(media_type);
	TRY(json_get_string(obj, "digest", JSON_REQUIRED, &digest));
	struct err *e = digest_parse(digest, &d->digest);
	if (e) {
		_cleanup_free_ char *path = json_path(obj);
		return err_wrap(e, "%s.digest", path);
	}
	TRY(json_get_u64(obj, "size", JSON_REQUIRED, BLOB_SIZE_MAX, &d->size));
	TRY(json_get_strv(obj, "urls", JSON_OPTIONAL, &d->urls));
	if (strv_len(d->urls) > URLS_MAX)
		return json_error(obj, "more than %d urls", URLS_MAX);
	TRY(json_get_object(obj, "platform", JSON_OPTIONAL, &platform));
	d->has_platform = platform.value != NULL;
	return d->has_platform ? parse_platform(&platform, &d->platform) : NULL;
}

static struct err *parse_entries(const struct json_cursor *array, size_t max, struct manifest *m)
{
	size_t n = json_array_len(array);

	if (n > max)
		return json_error(array, "%zu entries are more than the %zu that havre takes", n, max);
	m->entries = xnew_array(struct descriptor, n);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor e = json_at(array, i);
		m->n_entries = i + 1;
		TRY(parse_descriptor(&e, &m->entries[i]));
	}
	return NULL;
}

static bool is_image_config(const char *media_type)
{
	/* buildkit and old tools wrote other spellings; what matters is that it is none of the artifact
	 * types. */
	return !*media_type || strcmp(media_type, MEDIA_OCI_CONFIG) == 0 ||
	       strcmp(media_type, MEDIA_DOCKER_CONFIG) == 0 ||
	       strcmp(media_type, "application/octet-stream") == 0;
}

static struct err *parse_image_manifest(const struct json_cursor *root, bool any, struct manifest *m)
{
	struct json_cursor config, layers;

	TRY(json_get_object(root, "config", JSON_REQUIRED, &config));
	TRY(parse_descriptor(&config, &m->config));
	if (!any && !is_image_config(m->config.media_type))
		return err_new(ERR_UNSUPPORTED,
			       "it is not a container image but an artifact: its config is %s",
			       m->config.media_type);
	if (m->config.size > CONFIG_SIZE_MAX)
		return err_new(ERR_LIMIT,
			       "the image config has %llu bytes, more than the %zu that havre takes",
			       (unsigned long long)m->config.size, CONFIG_SIZE_MAX);
	TRY(json_get_array(root, "layers", JSON_REQUIRED, &layers));
	return parse_entries(&layers, MANIFEST_LAYERS_MAX, m);
}

/* Which of the four documents this is. The transport's type, the document's own and its members must agree.
 */
static struct err *classify(const struct json_cursor *root, const char *content_type, struct manifest *m)
{
	const char *media_type = "";
	struct json_cursor manifests, layers, config;
	uint64_t version = 0;
	int declared = -1, own = -1;

	TRY(json_get_u64(root, "schemaVersion", JSON_OPTIONAL, 1000, &version));
	if (version == 1)
		return err_new(
			ERR_UNSUPPORTED,
			"it has the obsolete image format \"schema 1\"; rebuild it, or push it again with a "
			"current tool");
	if (version != 2)
		return err_new(ERR_INVALID, "schemaVersion is not 2");
	TRY(json_get_string(root, "mediaType", JSON_OPTIONAL, &media_type));
	TRY(json_get(root, "manifests", JSON_OPTIONAL, &manifests));
	TRY(json_get(root, "layers", JSON_OPTIONAL, &layers));
	TRY(json_get(root, "config", JSON_OPTIONAL, &config));
	if (manifests.value && (layers.value || config.value))
		return err_new(ERR_INVALID,
			       "it has both \"manifests\" and \"%s\": ambiguous documents are refused",
			       layers.value ? "layers" : "config");
	if (content_type) {
		_cleanup_free_ char *bare = xstrndup(content_type, strcspn(content_type, "; \t"));
		declared = known_type(bare);
	}
	if (*media_type) {
		own = known_type(media_type);
		if (own < 0)
			return err_new(ERR_UNSUPPORTED,
				       "its media type %.80s is not that of a container image", media_type);
	}
	if (declared >= 0 && own >= 0 && declared != own)
		return err_new(ERR_INVALID, "the registry calls it %s, the document itself %s",
			       known_types[declared].media_type, known_types[own].media_type);
	int type = own >= 0 ? own : declared;
	if (type < 0) /* only OCI documents may omit mediaType */
		type = known_type(manifests.value ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST);
	if (known_types[type].is_index != (manifests.value != NULL))
		return err_new(ERR_INVALID, "it is called %s but has %s\"manifests\"",
			       known_types[type].media_type, manifests.value ? "" : "no ");
	m->is_index = known_types[type].is_index;
	m->media_type = known_types[type].media_type;
	return NULL;
}

static struct err *parse(const char *data, size_t size, const char *content_type, bool any,
			 struct manifest **ret)
{
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_manifest_ struct manifest *m = xnew(struct manifest);

	if (size > MANIFEST_SIZE_MAX)
		return err_new(ERR_LIMIT, "the manifest has %zu bytes, more than the %zu that havre takes",
			       size, MANIFEST_SIZE_MAX);
	TRY(json_parse(data, size, "manifest", &doc));
	struct json_cursor root = json_root(doc);
	TRY(classify(&root, content_type, m));
	if (m->is_index) {
		struct json_cursor manifests;
		TRY(json_get_array(&root, "manifests", JSON_REQUIRED, &manifests));
		TRY(parse_entries(&manifests, INDEX_ENTRIES_MAX, m));
	} else {
		TRY(parse_image_manifest(&root, any, m));
	}
	*ret = TAKE_PTR(m);
	return NULL;
}

struct err *manifest_parse(const char *data, size_t size, const char *content_type, struct manifest **ret)
{
	return parse(data, size, content_type, false, ret);
}

struct err *manifest_parse_any(const char *data, size_t size, const char *content_type, struct manifest **ret)
{
	return parse(data, size, content_type, true, ret);
}

void image_config_release(struct image_config *c)
{
	free(c->diff_ids);
	json_unref(c->document);
	*c = (struct image_config){0};
}

static struct err *parse_config(const char *data, size_t size, struct image_config *c)
{
	struct json_cursor rootfs, ids, config;
	const char *created = "", *type = "layers";

	if (size > CONFIG_SIZE_MAX)
		return err_new(ERR_LIMIT,
			       "the image config has %zu bytes, more than the %zu that havre takes", size,
			       CONFIG_SIZE_MAX);
	TRY(json_parse(data, size, "image config", &c->document));
	struct json_cursor root = json_root(c->document);
	TRY(parse_platform(&root, &c->platform));
	TRY(json_get_object(&root, "config", JSON_OPTIONAL,
			    &config)); /* right type or absent: later readers rely on it */
	TRY(json_get_string(&root, "created", JSON_OPTIONAL, &created));
	if (*created && strncmp(created, "0001-01-01", 10) != 0) /* Go's zero time: not given */
		TRY_WRAP(timestamp_parse(created, &c->created_ns), "created");
	TRY(json_get_object(&root, "rootfs", JSON_REQUIRED, &rootfs));
	TRY(json_get_string(&rootfs, "type", JSON_OPTIONAL, &type));
	if (strcmp(type, "layers") != 0)
		return err_new(ERR_UNSUPPORTED, "rootfs.type is \"%.40s\", not \"layers\"", type);
	TRY(json_get_array(&rootfs, "diff_ids", JSON_OPTIONAL, &ids));
	size_t n = json_array_len(&ids);
	if (n > MANIFEST_LAYERS_MAX)
		return json_error(&ids, "%zu layers are more than the %d that havre takes", n,
				  MANIFEST_LAYERS_MAX);
	c->diff_ids = xnew_array(struct digest, n);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor e = json_at(&ids, i);
		const char *s = "";
		TRY(json_as_string(&e, &s));
		TRY_WRAP(digest_parse(s, &c->diff_ids[i]), "rootfs.diff_ids[%zu]", i);
	}
	c->n_layers = n;
	return NULL;
}

struct err *image_config_parse(const char *data, size_t size, struct image_config *ret)
{
	struct image_config c = {0};
	struct err *e = parse_config(data, size, &c);

	if (e) {
		image_config_release(&c);
		return e;
	}
	*ret = c;
	return NULL;
}
