/* SPDX-License-Identifier: Apache-2.0 */
/* Reading policy.json, containers-policy.json(5). Whatever is not understood refuses the whole file: a misspelt requirement must not become none. */
#include "trust_policy.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "trust_json.h"

#define SYSTEM_POLICY "/etc/containers/policy.json"
#define SCOPES_MAX 16384
#define REQUIREMENTS_MAX 64
#define KEYS_MAX 64

void trust_policy_free(struct trust_policy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		struct trust_scope *s = &p->scopes[i];
		for (size_t j = 0; j < s->n; j++) {
			strv_free(s->v[j].key_paths);
			strv_free(s->v[j].key_data);
			free(s->v[j].identity.value);
			free(s->v[j].identity.signed_prefix);
		}
		free(s->v);
		free(s->transport);
		free(s->name);
	}
	free(p->scopes);
	free(p->path);
	free(p);
}

/* -- identities ------------------------------------------------------------------------------------------------- */

/* A reference with tag or digest, or a repository without. */
static struct err *check_reference(const struct json_cursor *object, const char *key, const char *s,
				   bool repository)
{
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	const char *slash = strrchr(s, '/'), *last = slash ? slash : s;
	bool named = strchr(last, ':') || strchr(s, '@');
	struct err *e = reference_parse(s, &r);

	if (e || named == repository) {
		err_free(e);
		return json_error_at(object, key, "must be %s",
				     repository ? "a repository: host/path" : "an image: host/path:tag");
	}
	return NULL;
}

static struct err *parse_prefix(const struct json_cursor *object, const char *key, char **ret)
{
	const char *s = "";

	TRY(json_get_string(object, key, JSON_REQUIRED, &s));
	size_t n = strlen(s);
	const char *slash = strrchr(s, '/');
	bool good = n && s[n - 1] != '/' && *s != '/' && !strchr(s, '@') && !strstr(s, "//") &&
		    (!slash || !strchr(slash, ':'));
	for (const char *p = s; *p; p++)
		good = good && *p > ' ' && *p <= '~';
	if (!good)
		return json_error_at(object, key, "must be host[:port][/path] without a tag");
	*ret = xstrdup(s);
	return NULL;
}

static struct err *parse_identity(const struct json_cursor *c, struct trust_identity *ret)
{
	static const struct {
		const char *type, *members, *key;
	} kinds[] = {
		[TRUST_MATCH_REPO_DIGEST_OR_EXACT] = {"matchRepoDigestOrExact", "type", NULL},
		[TRUST_MATCH_EXACT] = {"matchExact", "type", NULL},
		[TRUST_MATCH_REPOSITORY] = {"matchRepository", "type", NULL},
		[TRUST_EXACT_REFERENCE] = {"exactReference", "type dockerReference", "dockerReference"},
		[TRUST_EXACT_REPOSITORY] = {"exactRepository", "type dockerRepository", "dockerRepository"},
		[TRUST_REMAP] = {"remapIdentity", "type prefix signedPrefix", NULL},
	};
	const char *type = "", *value = "";

	TRY(json_get_string(c, "type", JSON_REQUIRED, &type));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_eq(type, kinds[i].type))
			continue;
		ret->match = (enum trust_match)i;
		TRY(trust_json_only(c, kinds[i].members));
		if (i == TRUST_REMAP) {
			TRY(parse_prefix(c, "prefix", &ret->value));
			return parse_prefix(c, "signedPrefix", &ret->signed_prefix);
		}
		if (!kinds[i].key)
			return NULL;
		TRY(json_get_string(c, kinds[i].key, JSON_REQUIRED, &value));
		TRY(check_reference(c, kinds[i].key, value, i == TRUST_EXACT_REPOSITORY));
		ret->value = xstrdup(value);
		return NULL;
	}
	return json_error_at(c, "type", "\"%.64s\" is not known", type);
}

/* -- requirements ----------------------------------------------------------------------------------------------- */

static struct err *parse_keys(const struct json_cursor *c, struct trust_requirement *r)
{
	static const char *const singles[] = {"keyPath", "keyData"}, *const lists[] = {"keyPaths",
										       "keyDatas"};
	char ***const slots[] = {&r->key_paths, &r->key_data};
	int sources = 0;

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		struct json_cursor one, many;
		const char *s;
		TRY(json_get(c, singles[i], JSON_OPTIONAL, &one));
		TRY(json_get_array(c, lists[i], JSON_OPTIONAL, &many));
		if (one.value) {
			sources++;
			TRY(json_as_string(&one, &s));
			strv_push(slots[i], s);
		}
		if (many.value) {
			sources++;
			TRY(json_get_strv(c, lists[i], JSON_REQUIRED, slots[i]));
		}
	}
	/* Those have been refused by trust_json_only unless they are right for this type. */
	if (sources > 1 || (sources == 0 && !r->unsupported))
		return json_error(c, "exactly one of keyPath, keyPaths and keyData must be there");
	size_t n = strv_len(r->key_paths) + strv_len(r->key_data);
	if (sources && (n == 0 || n > KEYS_MAX))
		return json_error(c, "must name 1 to %d keys", KEYS_MAX);
	STRV_FOREACH (data, r->key_data) {
		_cleanup_free_ char *decoded = NULL;
		size_t size;
		TRY_WRAP(base64_decode(*data, &decoded, &size), "keyData");
	}
	STRV_FOREACH (path, r->key_paths)
		if (!**path)
			return json_error(c, "a key's path is empty");
	return NULL;
}

/* fulcio, rekor and pki are read by newer podmans; what they ask for is not checked here, so an image that needs it is refused. */
static const char *beyond_us(const struct json_cursor *c)
{
	static const char *const keys[] = {"fulcio",
					   "pki",
					   "rekorPublicKeyPath",
					   "rekorPublicKeyPaths",
					   "rekorPublicKeyData",
					   "rekorPublicKeyDatas"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct json_cursor member = {0};
		struct err *e = json_get(c, keys[i], JSON_OPTIONAL, &member);
		bool there = !e && member.value;
		err_free(e);
		if (there)
			return keys[i];
	}
	return NULL;
}

static struct err *parse_signed(const struct json_cursor *c, struct trust_requirement *r)
{
	struct json_cursor identity;
	const char *key_type = "GPGKeys";

	if (r->kind == TRUST_SIGNED_BY) {
		TRY(trust_json_only(c, "type keyType keyPath keyPaths keyData signedIdentity"));
		TRY(json_get_string(c, "keyType", JSON_REQUIRED, &key_type));
		if (str_eq(key_type, "signedByGPGKeys") || str_eq(key_type, "X509Certificates") ||
		    str_eq(key_type, "signedByX509CAs"))
			r->unsupported = "a keyType other than GPGKeys";
		else if (!str_eq(key_type, "GPGKeys"))
			return json_error_at(c, "keyType", "must be \"GPGKeys\"");
	} else {
		TRY(trust_json_only(c, "type keyPath keyPaths keyData keyDatas signedIdentity fulcio pki "
				       "rekorPublicKeyPath rekorPublicKeyPaths rekorPublicKeyData "
				       "rekorPublicKeyDatas"));
		r->unsupported = beyond_us(c);
	}
	TRY(parse_keys(c, r));
	TRY(json_get_object(c, "signedIdentity", JSON_OPTIONAL, &identity));
	return identity.value ? parse_identity(&identity, &r->identity) : NULL;
}

static struct err *parse_requirement(const struct json_cursor *c, struct trust_requirement *r)
{
	const char *type = "";

	if (json_kind(c) != JSON_OBJECT)
		return json_error(c, "must be an object");
	TRY(json_get_string(c, "type", JSON_REQUIRED, &type));
	if (str_eq(type, "insecureAcceptAnything") || str_eq(type, "reject")) {
		r->kind = *type == 'r' ? TRUST_REJECT : TRUST_ACCEPT;
		return trust_json_only(c, "type");
	}
	if (str_eq(type, "signedBy") || str_eq(type, "sigstoreSigned")) {
		r->kind = type[3] == 'n' ? TRUST_SIGNED_BY : TRUST_SIGSTORE;
		return parse_signed(c, r);
	}
	if (str_eq(type, "signedBaseLayer")) {
		r->kind = TRUST_SIGNED_BY;
		r->unsupported = "signedBaseLayer";
		return NULL;
	}
	return json_error_at(c, "type", "\"%.64s\" is not known", type);
}

/* -- the file --------------------------------------------------------------------------------------------------- */

static struct err *add_scope(struct trust_policy *p, const char *transport, const char *name,
			     const struct json_cursor *c)
{
	size_t n = json_array_len(c);

	if (json_kind(c) != JSON_ARRAY || n == 0 || n > REQUIREMENTS_MAX)
		return json_error(c, "must be a list of 1 to %d requirements", REQUIREMENTS_MAX);
	if (p->n == SCOPES_MAX)
		return json_error(c, "there are more than %d scopes", SCOPES_MAX);
	GROW(p->scopes, p->n, p->cap);
	struct trust_scope *s = &p->scopes[p->n++];
	*s = (struct trust_scope){xstrdup_null(transport), xstrdup(name),
				  xnew_array(struct trust_requirement, n), n};
	for (size_t i = 0; i < n; i++) {
		struct json_cursor one = json_at(c, i);
		TRY(parse_requirement(&one, &s->v[i]));
	}
	return NULL;
}

/* Scopes that could never match are mistakes. */
static struct err *check_scope(const struct json_cursor *c, const char *transport, const char *name)
{
	bool paths = str_eq(transport, "dir") || str_eq(transport, "oci") || str_eq(transport, "oci-archive");

	if (!*name)
		return NULL;
	if (paths && (*name != '/' || !name[1] || strstr(name, "//") || str_ends(name, "/")))
		return json_error(c, "a scope of this transport is an absolute path below /");
	if ((str_eq(transport, "docker") || str_eq(transport, "atomic")) &&
	    (strstr(name, "//") || *name == '/' || str_ends(name, "/") ||
	     (strchr(name, '*') && strncmp(name, "*.", 2) != 0)))
		return json_error(c, "a scope of this transport is host[/path[:tag]] or *.domain");
	return NULL;
}

static struct err *parse(const struct json_cursor *root, struct trust_policy *p)
{
	struct json_cursor all, transports, transport, scope;

	TRY(trust_json_only(root, "default transports"));
	TRY(json_get_array(root, "default", JSON_REQUIRED, &all));
	TRY(add_scope(p, NULL, "", &all));
	TRY(json_get_object(root, "transports", JSON_OPTIONAL, &transports));
	struct json_iter it = json_iter(&transports);
	while (json_next(&it, &transport)) {
		if (json_kind(&transport) != JSON_OBJECT)
			return json_error(&transport, "must be an object");
		struct json_iter inner = json_iter(&transport);
		while (json_next(&inner, &scope)) {
			TRY(check_scope(&scope, transport.key, scope.key));
			TRY(add_scope(p, transport.key, scope.key, &scope));
		}
	}
	return NULL;
}

struct err *trust_policy_parse(const char *text, size_t size, const char *path, struct trust_policy **ret)
{
	_cleanup_trust_policy_ struct trust_policy *p = xnew(struct trust_policy);
	_cleanup_json_ struct json *doc = NULL;

	p->path = xstrdup(path);
	TRY(trust_json_parse(text, size, path, &doc));
	struct json_cursor root = json_root(doc);
	TRY_WRAP(parse(&root, p), "signature policy %s", path);
	*ret = TAKE_PTR(p);
	return NULL;
}

char *trust_policy_path(void)
{
	const char *home = getenv("HOME");
	_cleanup_free_ char *own =
		str_empty(home) ? NULL : xasprintf("%s/.config/containers/policy.json", home);

	return own && access(own, F_OK) == 0 ? TAKE_PTR(own) : xstrdup(SYSTEM_POLICY);
}

static struct trust_policy *accept_everything(void)
{
	struct trust_policy *p = xnew(struct trust_policy);

	p->n = p->cap = 1;
	p->scopes = xnew(struct trust_scope);
	p->scopes[0].name = xstrdup("");
	p->scopes[0].v = xnew(struct trust_requirement); /* TRUST_ACCEPT */
	p->scopes[0].n = 1;
	return p;
}

struct err *trust_policy_load(const char *path, struct trust_policy **ret)
{
	_cleanup_free_ char *usual = path ? NULL : trust_policy_path();
	_cleanup_free_ char *text = NULL;
	size_t size;

	struct err *e = file_read(path ? path : usual, TRUST_POLICY_SIZE_MAX, &text, &size);
	if (e && !path && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		*ret = accept_everything();
		return NULL;
	}
	TRY_WRAP(e, "cannot read the signature policy");
	return trust_policy_parse(text, size, path ? path : usual, ret);
}
