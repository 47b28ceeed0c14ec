/* SPDX-License-Identifier: Apache-2.0 */
#include "convert.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"

static const struct {
	const char *name;
	bool oci;
	struct layer_type type;
} layer_types[] = {
	/* The first name for a type is the one that is written. */
	{MEDIA_OCI_LAYER, true, {true, false, COMPRESSION_NONE}},
	{MEDIA_OCI_LAYER_GZIP, true, {true, false, COMPRESSION_GZIP}},
	{MEDIA_OCI_LAYER_ZSTD, true, {true, false, COMPRESSION_ZSTD}},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar", true, {true, true, COMPRESSION_NONE}},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
	 true,
	 {true, true, COMPRESSION_GZIP}},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
	 true,
	 {true, true, COMPRESSION_ZSTD}},
	{MEDIA_DOCKER_LAYER, false, {true, false, COMPRESSION_NONE}},
	{MEDIA_DOCKER_LAYER_GZIP, false, {true, false, COMPRESSION_GZIP}},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar", false, {true, true, COMPRESSION_NONE}},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", false, {true, true, COMPRESSION_GZIP}},
	{"application/vnd.docker.image.rootfs.diff.tar.zstd", false, {true, false, COMPRESSION_ZSTD}},
};

struct layer_type layer_type_of(const char *media_type)
{
	for (size_t i = 0; i < ARRAY_SIZE(layer_types); i++)
		if (strcmp(layer_types[i].name, media_type) == 0)
			return layer_types[i].type;
	return (struct layer_type){0};
}

struct err *layer_type_name(struct layer_type t, bool oci, const char **ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(layer_types); i++) {
		const struct layer_type *l = &layer_types[i].type;
		if (layer_types[i].oci != oci || l->foreign != t.foreign || l->compression != t.compression)
			continue;
		if (!oci && t.compression == COMPRESSION_ZSTD)
			break;
		*ret = layer_types[i].name;
		return NULL;
	}
	return err_new(
		ERR_UNSUPPORTED,
		"a layer compressed with zstd has no place in Docker's image format: use the format oci, "
		"or compress with gzip");
}

/* -- Go's spelling ---------------------------------------------------------------------------------------------- */

char *json_print_go(const struct json *v)
{
	_cleanup_free_ char *text = json_print(v, JSON_COMPACT);
	struct strbuf out = {0};

	for (const char *s = text; *s; s++) {
		if (*s == '<' || *s == '>' || *s == '&')
			strbuf_printf(&out, "\\u%04x", *s);
		else if (strncmp(s, "\xe2\x80\xa8", 3) == 0 || strncmp(s, "\xe2\x80\xa9", 3) == 0)
			strbuf_printf(&out, "\\u20%02x", (unsigned char)*(s += 2) - 0x80);
		else
			strbuf_putc(&out, *s);
	}
	return strbuf_take(&out);
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A map: its keys are in order. */
static struct err *copy_map(const struct json_cursor *from, const char *key, struct json *to)
{
	struct json_cursor map, member;
	_cleanup_strv_ char **keys = NULL;

	TRY(json_get_object(from, key, JSON_OPTIONAL, &map));
	struct json_iter it = json_iter(&map);
	while (json_next(&it, &member))
		strv_push(&keys, member.key);
	if (!keys)
		return NULL;
	qsort(keys, strv_len(keys), sizeof(char *), compare_keys);
	struct json *sorted = json_new_object();
	json_set(to, key, sorted);
	STRV_FOREACH (name, keys) {
		TRY(json_get(&map, *name, JSON_OPTIONAL, &member));
		json_set(sorted, *name, json_ref(member.value));
	}
	return NULL;
}

static struct err *copy_string(const struct json_cursor *from, const char *key, struct json *to)
{
	const char *s = "";

	TRY(json_get_string(from, key, JSON_OPTIONAL, &s));
	if (*s)
		json_set_string(to, key, s);
	return NULL;
}

static struct err *copy_strings(const struct json_cursor *from, const char *key, struct json *to)
{
	_cleanup_strv_ char **v = NULL;

	TRY(json_get_strv(from, key, JSON_OPTIONAL, &v));
	if (v)
		json_set_strv(to, key, v);
	return NULL;
}

/* RFC 3339 with as many digits of a second as it takes. */
static struct err *copy_time(const struct json_cursor *from, const char *key, struct json *to)
{
	const char *s = "";

	TRY(json_get_string(from, key, JSON_OPTIONAL, &s));
	const char *dot = strchr(s, '.');
	if (!dot) {
		if (*s)
			json_set_string(to, key, s);
		return NULL;
	}
	size_t digits = strspn(dot + 1, "0123456789"), kept = MIN(digits, (size_t)9);
	while (kept && dot[kept] == '0')
		kept--;
	_cleanup_free_ char *text =
		xasprintf("%.*s%s", (int)(dot - s) + (kept ? 1 + (int)kept : 0), s, dot + 1 + digits);
	json_set_string(to, key, text);
	return NULL;
}

/* -- configurations ------------------------------------------------------------------------------------------------ */

static struct err *convert_runtime_config(const struct json_cursor *root, struct json *out)
{
	struct json *o = json_new_object();
	struct json_cursor c;

	json_set(out, "config", o);
	TRY(json_get_object(root, "config", JSON_OPTIONAL, &c));
	if (!c.value)
		return NULL;
	TRY(copy_string(&c, "User", o));
	TRY(copy_map(&c, "ExposedPorts", o));
	TRY(copy_strings(&c, "Env", o));
	TRY(copy_strings(&c, "Entrypoint", o));
	TRY(copy_strings(&c, "Cmd", o));
	TRY(copy_map(&c, "Volumes", o));
	TRY(copy_string(&c, "WorkingDir", o));
	TRY(copy_map(&c, "Labels", o));
	return copy_string(&c, "StopSignal", o);
}

static struct err *convert_rootfs(const struct json_cursor *root, struct json *out)
{
	struct json *o = json_new_object();
	struct json_cursor c, ids;
	const char *type = "";

	json_set(out, "rootfs", o);
	TRY(json_get_object(root, "rootfs", JSON_REQUIRED, &c));
	TRY(json_get_string(&c, "type", JSON_OPTIONAL, &type));
	TRY(json_get_array(&c, "diff_ids", JSON_OPTIONAL, &ids));
	json_set_string(o, "type", type);
	json_set(o, "diff_ids", ids.value ? json_ref(ids.value) : NULL);
	return NULL;
}

static struct err *convert_history(const struct json_cursor *root, struct json *out)
{
	struct json_cursor list;

	TRY(json_get_array(root, "history", JSON_OPTIONAL, &list));
	size_t n = json_array_len(&list);
	if (n == 0)
		return NULL;
	struct json *array = json_new_array();
	json_set(out, "history", array);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor h = json_at(&list, i);
		struct json *o = json_new_object();
		bool empty = false;
		json_append(array, o);
		TRY(copy_time(&h, "created", o));
		TRY(copy_string(&h, "created_by", o));
		TRY(copy_string(&h, "author", o));
		TRY(copy_string(&h, "comment", o));
		TRY(json_get_bool(&h, "empty_layer", JSON_OPTIONAL, &empty));
		if (empty)
			json_set_bool(o, "empty_layer", true);
	}
	return NULL;
}

struct err *config_to_oci(const char *text, size_t size, char **ret)
{
	_cleanup_json_ struct json *doc = NULL, *out = json_new_object();
	const char *architecture = "", *os = "";

	TRY(json_parse(text, size, "image config", &doc));
	struct json_cursor root = json_root(doc);
	TRY(copy_time(&root, "created", out));
	TRY(copy_string(&root, "author", out));
	TRY(json_get_string(&root, "architecture", JSON_OPTIONAL, &architecture));
	json_set_string(out, "architecture", architecture);
	TRY(copy_string(&root, "variant", out));
	TRY(json_get_string(&root, "os", JSON_OPTIONAL, &os));
	json_set_string(out, "os", os);
	TRY(copy_string(&root, "os.version", out));
	TRY(copy_strings(&root, "os.features", out));
	TRY(convert_runtime_config(&root, out));
	TRY(convert_rootfs(&root, out));
	TRY(convert_history(&root, out));
	*ret = json_print_go(out);
	return NULL;
}

/* -- manifests ---------------------------------------------------------------------------------------------------- */

/* `old`: the same descriptor in the document before; its value may be NULL. */
static struct err *write_descriptor(const struct json_cursor *old, const struct descriptor *d, bool oci,
				    struct json **ret)
{
	_cleanup_json_ struct json *o = json_new_object();

	json_set_string(o, "mediaType", d->media_type);
	if (!oci)
		json_set_u64(o, "size", d->size);
	json_set_string(o, "digest", d->digest.s);
	if (oci)
		json_set_u64(o, "size", d->size);
	if (old->value) {
		TRY(copy_strings(old, "urls", o));
		if (oci)
			TRY(copy_map(old, "annotations", o));
	}
	*ret = TAKE_PTR(o);
	return NULL;
}

static struct err *finish(const struct json *o, const char *media_type, struct raw_manifest *ret)
{
	char *text = json_print_go(o);

	return raw_manifest_fill(text, strlen(text), media_type, NULL, ret);
}

static struct json *begin(const char *media_type)
{
	struct json *o = json_new_object();

	json_set_i64(o, "schemaVersion", 2);
	json_set_string(o, "mediaType", media_type);
	return o;
}

struct err *manifest_rewrite(const struct raw_manifest *m, bool oci, const struct descriptor *config,
			     const struct descriptor *layers, size_t n_layers, struct raw_manifest *ret)
{
	const char *media_type = oci ? MEDIA_OCI_MANIFEST : MEDIA_DOCKER_MANIFEST;
	_cleanup_json_ struct json *doc = NULL, *out = begin(media_type);
	struct json_cursor old_config, old_layers, subject;
	struct json *array = json_new_array(), *one;

	json_set(out, "config", NULL);
	json_set(out, "layers", array);
	TRY(json_parse(m->data, m->size, "manifest", &doc));
	struct json_cursor root = json_root(doc);
	TRY(json_get_object(&root, "config", JSON_REQUIRED, &old_config));
	TRY(json_get_array(&root, "layers", JSON_REQUIRED, &old_layers));
	TRY(write_descriptor(&old_config, config, oci, &one));
	json_set(out, "config", one);
	for (size_t i = 0; i < n_layers; i++) {
		struct json_cursor old = json_at(&old_layers, i);
		TRY(write_descriptor(&old, &layers[i], oci, &one));
		json_append(array, one);
	}
	if (oci) {
		TRY(copy_string(&root, "artifactType", out));
		TRY(json_get_object(&root, "subject", JSON_OPTIONAL, &subject));
		if (subject.value)
			json_set(out, "subject", json_ref(subject.value));
		TRY(copy_map(&root, "annotations", out));
	}
	return finish(out, media_type, ret);
}

static struct err *write_platform(const struct json_cursor *entry, struct json *out)
{
	struct json_cursor p;

	TRY(json_get_object(entry, "platform", JSON_OPTIONAL, &p));
	if (!p.value)
		return NULL;
	struct json *o = json_new_object();
	json_set(out, "platform", o);
	TRY(copy_string(&p, "architecture", o));
	TRY(copy_string(&p, "os", o));
	TRY(copy_string(&p, "os.version", o));
	TRY(copy_strings(&p, "os.features", o));
	return copy_string(&p, "variant", o);
}

struct err *index_rewrite(const struct raw_manifest *m, bool oci, const struct descriptor *parts,
			  size_t n_parts, struct raw_manifest *ret)
{
	const char *media_type = oci ? MEDIA_OCI_INDEX : MEDIA_DOCKER_LIST;
	_cleanup_json_ struct json *doc = NULL, *out = begin(media_type);
	struct json *array = json_new_array(), *one;
	struct json_cursor manifests;

	json_set(out, "manifests", array);
	TRY(json_parse(m->data, m->size, "index", &doc));
	struct json_cursor root = json_root(doc);
	TRY(json_get_array(&root, "manifests", JSON_REQUIRED, &manifests));
	for (size_t i = 0; i < MIN(n_parts, json_array_len(&manifests)); i++) {
		struct json_cursor old = json_at(&manifests, i);
		if (!digest_is_set(&parts[i].digest))
			continue;
		TRY(write_descriptor(&old, &parts[i], oci, &one));
		json_append(array, one);
		TRY(write_platform(&old, one));
	}
	if (oci)
		TRY(copy_map(&root, "annotations", out));
	return finish(out, media_type, ret);
}
