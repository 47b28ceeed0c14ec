/* SPDX-License-Identifier: Apache-2.0 */
#include "sync_list.h"

#include <stdlib.h>
#include <yaml.h>

#include "base/memory.h"
#include "base/str.h"

#define REPOSITORIES_MAX 100000

struct reader {
	yaml_document_t doc;
	const char *what;
	struct sync_list list;
};

void sync_list_release(struct sync_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->repositories[i].name);
		strv_free(l->repositories[i].tags);
		free(l->repositories[i].pattern);
	}
	for (size_t i = 0; i < l->n_registries; i++) {
		free(l->registries[i].username);
		free(l->registries[i].password);
		free(l->registries[i].cert_dir);
	}
	free(l->repositories);
	free(l->registries);
	*l = (struct sync_list){0};
}

static struct err *wrong(const struct reader *r, const yaml_node_t *n, const char *problem)
{
	return err_new(ERR_INVALID, "%s line %zu: %s", r->what, n->start_mark.line + 1, problem);
}

/* NULL: not a scalar, or one with a NUL in it. */
static const char *text_of(const yaml_node_t *n)
{
	const char *s = (const char *)n->data.scalar.value;

	return n->type == YAML_SCALAR_NODE && strlen(s) == n->data.scalar.length ? s : NULL;
}

/* for (pair = first; pair < top; pair++) over a mapping; ERR_INVALID when it is none. `null` counts as an empty one. */
static struct err *mapping(struct reader *r, const yaml_node_t *n, yaml_node_pair_t **ret, size_t *ret_n)
{
	*ret_n = 0;
	if (n->type == YAML_SCALAR_NODE && n->data.scalar.length == 0)
		return NULL;
	if (n->type != YAML_MAPPING_NODE)
		return wrong(r, n, "names with values are expected here");
	*ret = n->data.mapping.pairs.start;
	*ret_n = (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
	return NULL;
}

static yaml_node_t *node(struct reader *r, int id)
{
	return yaml_document_get_node(&r->doc, id);
}

static struct err *add(struct reader *r, const char *registry, const yaml_node_t *name, enum sync_which which,
		       struct sync_repository **ret)
{
	struct sync_list *l = &r->list;

	if (!text_of(name))
		return wrong(r, name, "the name of a repository is expected here");
	if (l->n == REPOSITORIES_MAX)
		return err_new(ERR_LIMIT, "%s lists more than %d repositories", r->what, REPOSITORIES_MAX);
	GROW(l->repositories, l->n, l->cap);
	l->repositories[l->n] = (struct sync_repository){.name = xasprintf("%s/%s", registry, text_of(name)),
							 .which = which,
							 .registry = l->n_registries - 1};
	*ret = &l->repositories[l->n++];
	return NULL;
}

static struct err *read_tags(struct reader *r, const yaml_node_t *list, struct sync_repository *to)
{
	if (list->type == YAML_SCALAR_NODE && list->data.scalar.length == 0) {
		to->which = SYNC_ALL_TAGS;
		return NULL;
	}
	if (list->type != YAML_SEQUENCE_NODE)
		return wrong(r, list, "a list of tags is expected here; [] means all of them");
	for (yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top; i++) {
		const yaml_node_t *tag = node(r, *i);
		if (!text_of(tag) || !*text_of(tag))
			return wrong(r, tag, "a tag is expected here");
		strv_push(&to->tags, text_of(tag));
	}
	if (!to->tags)
		to->which = SYNC_ALL_TAGS;
	return NULL;
}

static struct err *read_images(struct reader *r, const char *registry, const yaml_node_t *n,
			       enum sync_which which)
{
	yaml_node_pair_t *pairs;
	size_t count;

	TRY(mapping(r, n, &pairs, &count));
	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *value = node(r, pairs[i].value);
		struct sync_repository *one;
		TRY(add(r, registry, node(r, pairs[i].key), which, &one));
		if (which == SYNC_NAMED)
			TRY(read_tags(r, value, one));
		else if (!text_of(value))
			return wrong(r, value, "a pattern of tags is expected here");
		else
			one->pattern = xstrdup(text_of(value));
	}
	return NULL;
}

static struct err *read_credentials(struct reader *r, const yaml_node_t *n, struct sync_registry *to)
{
	yaml_node_pair_t *pairs;
	size_t count;

	TRY(mapping(r, n, &pairs, &count));
	for (size_t i = 0; i < count; i++) {
		const char *key = text_of(node(r, pairs[i].key)), *value = text_of(node(r, pairs[i].value));
		char **slot = str_eq(key, "username")   ? &to->username
			      : str_eq(key, "password") ? &to->password
							: NULL;
		if (!slot || !value)
			return wrong(r, node(r, pairs[i].key), "username and password are expected here");
		free(*slot);
		*slot = xstrdup(value);
	}
	return NULL;
}

static struct err *read_setting(struct reader *r, const char *registry, const yaml_node_t *key,
				const yaml_node_t *value)
{
	struct sync_registry *settings = &r->list.registries[r->list.n_registries - 1];
	const char *name = text_of(key), *text = text_of(value);

	if (str_eq(name, "images"))
		return read_images(r, registry, value, SYNC_NAMED);
	if (str_eq(name, "images-by-tag-regex"))
		return read_images(r, registry, value, SYNC_REGEX);
	if (str_eq(name, "images-by-semver"))
		return read_images(r, registry, value, SYNC_SEMVER);
	if (str_eq(name, "credentials"))
		return read_credentials(r, value, settings);
	if (str_eq(name, "tls-verify") && (str_eq(text, "true") || str_eq(text, "false"))) {
		settings->tls_verify = str_eq(text, "true");
		return NULL;
	}
	if (str_eq(name, "cert-dir") && text) {
		free(settings->cert_dir);
		settings->cert_dir = xstrdup(text);
		return NULL;
	}
	return wrong(
		r, key,
		"expected images, images-by-tag-regex, images-by-semver, credentials, tls-verify (true or "
		"false) or cert-dir");
}

static struct err *read_registries(struct reader *r)
{
	const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
	yaml_node_pair_t *pairs, *settings;
	size_t n, n_settings;

	if (!root)
		return err_new(ERR_INVALID, "%s lists no registries", r->what);
	TRY(mapping(r, root, &pairs, &n));
	for (size_t i = 0; i < n; i++) {
		const yaml_node_t *key = node(r, pairs[i].key);
		struct sync_list *l = &r->list;
		if (!text_of(key) || !*text_of(key))
			return wrong(r, key, "the name of a registry is expected here");
		GROW(l->registries, l->n_registries, l->cap_registries);
		l->registries[l->n_registries++] = (struct sync_registry){.tls_verify = -1};
		TRY(mapping(r, node(r, pairs[i].value), &settings, &n_settings));
		for (size_t k = 0; k < n_settings; k++)
			TRY(read_setting(r, text_of(key), node(r, settings[k].key),
					 node(r, settings[k].value)));
	}
	return NULL;
}

struct err *sync_list_parse(const char *text, size_t size, const char *what, struct sync_list *ret)
{
	struct reader r = {.what = what};
	yaml_parser_t parser;

	if (size > SYNC_YAML_MAX)
		return err_new(ERR_LIMIT, "%s has more than %zu bytes", what, SYNC_YAML_MAX);
	if (!yaml_parser_initialize(&parser))
		return err_new(ERR_INTERNAL, "cannot set up the YAML parser");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	struct err *e = NULL;
	if (!yaml_parser_load(&parser, &r.doc)) {
		e = err_new(ERR_INVALID, "%s line %zu: %s", what, parser.problem_mark.line + 1,
			    parser.problem ? parser.problem : "not YAML");
	} else {
		e = read_registries(&r);
		yaml_document_delete(&r.doc);
	}
	yaml_parser_delete(&parser);
	if (e)
		sync_list_release(&r.list);
	else
		*ret = r.list;
	return e;
}
