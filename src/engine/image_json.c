// SPDX-License-Identifier: Apache-2.0
/* The inspect object of an image, as docker's API describes it. */
#include "base/memory.h"
#include "base/timestamp.h"
#include "engine/describe.h"

/* A member of the image config, or an empty text. */
static struct json *config_text(const struct json_cursor *config, const char *key)
{
	const char *s = "";

	err_free(json_get_string(config, key, JSON_OPTIONAL, &s));
	return json_new_string(s);
}

char *familiar_name(const char *canonical)
{
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	struct err *e = reference_parse(canonical, &r);
	char *familiar = e ? xstrdup(canonical) : reference_familiar(&r);

	err_free(e);
	return familiar;
}

char **image_labels(struct json *config_document)
{
	struct json_cursor root = json_root(config_document), config, labels, m;
	char **v = NULL;

	struct err *e = json_get_object(&root, "config", JSON_OPTIONAL, &config);
	if (!e && config.value)
		e = json_get_object(&config, "Labels", JSON_OPTIONAL, &labels);
	if (!e && config.value && labels.value) {
		struct json_iter it = json_iter(&labels);
		while (json_next(&it, &m)) {
			const char *s = "";
			err_free(json_as_string(&m, &s));
			strv_push_take(&v, xasprintf("%s=%s", m.key, s));
		}
	}
	err_free(e);
	return v;
}

static struct json *familiar_names(char *const *names)
{
	struct json *list = json_new_array();

	STRV_FOREACH (n, names) {
		_cleanup_free_ char *familiar = familiar_name(*n);
		json_append(list, json_new_string(familiar));
	}
	return list;
}

static struct json *last_history_comment(const struct json_cursor *config)
{
	struct json_cursor history, entry;
	const char *comment = "";

	struct err *e = json_get_array(config, "history", JSON_OPTIONAL, &history);
	size_t n = !e && history.value ? json_array_len(&history) : 0;
	err_free(e);
	if (n) {
		entry = json_at(&history, n - 1);
		err_free(json_get_string(&entry, "comment", JSON_OPTIONAL, &comment));
	}
	return json_new_string(comment);
}

/* docker's paths, and its driver's name for plain directories under overlayfs. */
static struct json *graph_driver(struct store *s, const struct image *i)
{
	struct json *o = json_new_object(), *data = json_new_object();
	_cleanup_strv_ char **dirs = NULL;

	err_free(store_layer_directories(s, i, &dirs));
	if (dirs) {
		_cleanup_free_ char *lower = strv_join(dirs + 1, ":");
		if (!str_empty(lower))
			json_set_string(data, "LowerDir", lower);
		json_set_string(data, "UpperDir", dirs[0]);
	}
	json_set(o, "Data", data);
	json_set_string(o, "Name", dirs || i->n_layers == 0 ? "overlay" : "erofs");
	return o;
}

static struct json *metadata(const struct image *i)
{
	struct json *o = json_new_object();
	char tagged[TIMESTAMP_STRING_MAX] = "0001-01-01T00:00:00Z"; /* Go's zero time */

	if (i->last_tag_ns)
		timestamp_format(i->last_tag_ns, tagged);
	json_set_string(o, "LastTagTime", tagged);
	return o;
}

static struct json *descriptor(struct store *s, const struct image *i)
{
	struct json *o = json_new_object();
	const char *type;
	uint64_t size;

	struct err *e = store_target_facts(s, i, &size, &type);
	if (!e)
		json_set_string(o, "mediaType", type);
	json_set_string(o, "digest", i->target.s);
	if (!e)
		json_set_u64(o, "size", size);
	err_free(e); /* the document is damaged or gone, which system check says */
	return o;
}

struct json *image_inspect_json(struct store *s, const struct image *i)
{
	struct json *o = json_new_object(), *rootfs = json_new_object(), *layers = json_new_array();
	struct json_cursor config = json_root(i->config), inner = {0};
	char created[TIMESTAMP_STRING_MAX];

	timestamp_format(i->created_ns, created);
	json_set_string(o, "Id", i->id.s);
	json_set(o, "RepoTags", familiar_names(i->names));
	json_set(o, "RepoDigests", familiar_names(i->repo_digests));
	json_set_string(o, "Parent", "");
	json_set(o, "Comment", last_history_comment(&config));
	json_set_string(o, "Created", created);
	json_set(o, "DockerVersion", config_text(&config, "docker_version"));
	json_set(o, "Author", config_text(&config, "author"));
	err_free(json_get_object(&config, "config", JSON_OPTIONAL, &inner));
	json_set(o, "Config", inner.value ? json_ref(inner.value) : json_new_object());
	json_set_string(o, "Architecture", i->platform.architecture);
	if (i->platform.variant[0])
		json_set_string(o, "Variant", i->platform.variant);
	json_set_string(o, "Os", i->platform.os);
	json_set_u64(o, "Size", i->size);
	json_set(o, "GraphDriver", graph_driver(s, i));

	json_set_string(rootfs, "Type", "layers");
	for (size_t l = 0; l < i->n_layers; l++)
		json_append(layers, json_new_string(i->diff_ids[l].s));
	json_set(rootfs, "Layers", layers);
	json_set(o, "RootFS", rootfs);

	json_set(o, "Metadata", metadata(i));
	json_set(o, "Descriptor", descriptor(s, i));
	return o;
}
