/* SPDX-License-Identifier: Apache-2.0 */
/* Showing a policy and changing it. The file is changed as a document: what is not about the scope stays as it is. */
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "trust_json.h"
#include "trust_policy.h"

static const char *const kind_words[] = {[TRUST_ACCEPT] = "accept",
					 [TRUST_REJECT] = "reject",
					 [TRUST_SIGNED_BY] = "signed",
					 [TRUST_SIGSTORE] = "sigstoreSigned"};

static struct json *rule(const struct trust_scope *s, const struct trust_requirement *r)
{
	struct json *o = json_new_object();
	bool docker = str_eq(s->transport, "docker");

	json_set_string(o, "transport", !s->transport ? "all" : docker ? "repository" : s->transport);
	json_set_string(o, "name", !s->transport ? "* (default)" : s->name);
	json_set_string(o, "repo_name", !s->transport ? "default" : s->name);
	json_set_string(o, "type", kind_words[r->kind]);
	if (r->key_paths)
		json_set_strv(o, "keys", r->key_paths);
	return o;
}

struct json *trust_policy_rules(const struct trust_policy *p)
{
	struct json *all = json_new_array();

	for (size_t i = 0; i < p->n; i++)
		for (size_t j = 0; j < p->scopes[i].n; j++)
			json_append(all, rule(&p->scopes[i], &p->scopes[i].v[j]));
	return all;
}

/* -- changing --------------------------------------------------------------------------------------------------- */

static struct err *requirement(const struct trust_change *c, struct json **ret)
{
	_cleanup_json_ struct json *o = json_new_object();
	bool signed_by = str_eq(c->type, "signedBy"), sigstore = str_eq(c->type, "sigstoreSigned");

	if (!signed_by && !sigstore && c->keys)
		return err_new(ERR_INVALID, "keys say nothing with the type %s", c->type);
	if ((signed_by || sigstore) && !c->keys)
		return err_new(ERR_INVALID, "the type %s needs a public key", c->type);
	json_set_string(o, "type", str_eq(c->type, "accept") ? "insecureAcceptAnything" : c->type);
	if (signed_by)
		json_set_string(o, "keyType", "GPGKeys");
	_cleanup_strv_ char **absolute = NULL;
	STRV_FOREACH (key, c->keys) {
		char *path = realpath(*key, NULL);
		if (!path)
			return err_errno(errno, "public key %s", *key);
		strv_push_take(&absolute, path);
	}
	if (strv_len(absolute) == 1)
		json_set_string(o, "keyPath", absolute[0]);
	else if (absolute)
		json_set_strv(o, "keyPaths", absolute);
	*ret = TAKE_PTR(o);
	return NULL;
}

static struct json *member(struct json *object, const char *key)
{
	struct json_cursor root = json_root(object), found = {0};
	struct err *e = json_get(&root, key, JSON_OPTIONAL, &found);

	err_free(e);
	if (found.value)
		return found.value;
	struct json *new = json_new_object();
	json_set(object, key, new);
	return new;
}

static struct err *read_document(const char *path, struct json **ret)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_trust_policy_ struct trust_policy *checked = NULL;
	size_t size;

	struct err *e = file_read(path, TRUST_POLICY_SIZE_MAX, &text, &size);
	if (e && e->kind == ERR_NOT_FOUND) {
		static const char empty[] = "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}";
		err_free(e);
		return json_parse(empty, strlen(empty), path, ret);
	}
	TRY(e);
	TRY(trust_policy_parse(text, size, path, &checked));
	return json_parse(text, size, path, ret);
}

struct err *trust_policy_change(const char *path, const struct trust_change *c)
{
	_cleanup_free_ char *usual = path ? NULL : trust_policy_path();
	const char *file = path ? path : usual;
	_cleanup_free_ char *copy = xstrdup(file), *text = NULL;
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_trust_policy_ struct trust_policy *checked = NULL;
	struct json *one = NULL, *list;

	TRY(requirement(c, &one));
	list = json_new_array();
	json_append(list, one);
	struct err *e = read_document(file, &doc);
	if (e) {
		json_unref(list);
		return e;
	}
	json_set(c->scope ? member(member(doc, "transports"), "docker") : doc,
		 c->scope ? c->scope : "default", list);
	text = json_print(doc, JSON_PRETTY);
	TRY(trust_policy_parse(text, strlen(text), file, &checked));
	TRY(file_mkdir_p(dirname(copy), 0755));
	_cleanup_free_ char *line = xasprintf("%s\n", text);
	return file_replace_at(AT_FDCWD, file, line, strlen(line), 0644, FILE_DURABLE);
}
