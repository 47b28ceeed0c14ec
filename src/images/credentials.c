/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/user.h"

void credentials_release(struct credentials *c)
{
	free(c->username);
	free(c->password);
	free(c->identity_token);
	free(c->source);
	free(c->helper_failure);
	*c = (struct credentials){0};
}

/* -- files ---------------------------------------------------------------------------------------------------- */

/* "https://host/v1/" and "host": the same registry. Keys with a path keep it. */
char *credentials_normal_key(const char *key)
{
	const char *s = key;

	if (str_starts(s, "https://"))
		s += strlen("https://");
	else if (str_starts(s, "http://"))
		s += strlen("http://");
	size_t n = strlen(s);
	while (n && s[n - 1] == '/')
		n--;
	char *k = xstrndup(s, n);
	if (str_ends(k, "/v1") || str_ends(k, "/v2"))
		k[strlen(k) - 3] = '\0';
	if (strcmp(k, "index.docker.io") == 0 || strcmp(k, "registry-1.docker.io") == 0) {
		free(k);
		k = xstrdup("docker.io");
	}
	return k;
}

/* How many characters of "domain/path" an entry's key covers: whole components only. 0: none. */
static size_t key_covers(const char *key, const char *name)
{
	_cleanup_free_ char *k = credentials_normal_key(key);
	size_t n = strlen(k);

	return n && str_starts(name, k) && (name[n] == '/' || !name[n]) ? n : 0;
}

/* The member of an object whose key covers most of `name`. */
static struct json_cursor best_member(const struct json_cursor *object, const char *name)
{
	struct json_iter it = json_iter(object);
	struct json_cursor member, best = {0};
	size_t most = 0;

	while (json_next(&it, &member)) {
		size_t n = key_covers(member.key, name);
		if (n > most) {
			most = n;
			best = member;
		}
	}
	return best;
}

static struct err *read_entry(const struct json_cursor *entry, struct credentials *c)
{
	const char *auth = "", *username = "", *password = "", *token = "";

	TRY(json_get_string(entry, "auth", JSON_OPTIONAL, &auth));
	TRY(json_get_string(entry, "username", JSON_OPTIONAL, &username));
	TRY(json_get_string(entry, "password", JSON_OPTIONAL, &password));
	TRY(json_get_string(entry, "identitytoken", JSON_OPTIONAL, &token));
	if (*auth) {
		_cleanup_free_ char *plain = NULL;
		size_t size;
		struct err *e = base64_decode(auth, &plain, &size);
		if (e)
			return err_wrap(e, "entry \"%s\": auth", entry->key);
		char *colon = strchr(plain, ':');
		if (!colon || strlen(plain) != size)
			return err_new(ERR_INVALID, "entry \"%s\": auth is not USER:PASSWORD in base64",
				       entry->key);
		c->username = xstrndup(plain, (size_t)(colon - plain));
		c->password = xstrdup(colon + 1);
	} else if (*username) {
		c->username = xstrdup(username);
		c->password = xstrdup(password);
	}
	if (*token)
		c->identity_token = xstrdup(token);
	return NULL;
}

static struct err *read_document(struct json *doc, const char *file, const char *domain, const char *name,
				 struct credentials *c)
{
	struct json_cursor root = json_root(doc), auths, helpers;
	const char *helper = "";
	const char *server = strcmp(domain, "docker.io") == 0 ? CREDENTIALS_HUB_KEY : domain;

	TRY(json_get_object(&root, "credHelpers", JSON_OPTIONAL, &helpers));
	struct json_cursor member = best_member(&helpers, domain);
	if (member.value)
		TRY(json_as_string(&member, &helper));
	else
		TRY(json_get_string(&root, "credsStore", JSON_OPTIONAL, &helper));
	if (*helper)
		TRY(credentials_helper_get(helper, server, c));
	if (c->source)
		return NULL;
	TRY(json_get_object(&root, "auths", JSON_OPTIONAL, &auths));
	member = best_member(&auths, name);
	if (!member.value)
		return NULL;
	TRY(read_entry(&member, c));
	if (c->username || c->identity_token)
		c->source = xstrdup(file);
	return NULL;
}

static struct err *read_file(const char *file, const char *domain, const char *name, struct credentials *c)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json *doc = NULL;
	size_t size;

	struct err *e = file_read(file, CREDENTIAL_FILE_MAX, &text, &size);
	if (e && (e->kind == ERR_NOT_FOUND || e->errnum == ENOTDIR)) {
		err_free(e);
		return NULL;
	}
	if (!e && size > 0)
		e = json_parse(text, size, "credentials", &doc);
	if (!e && doc)
		e = read_document(doc, file, domain, name, c);
	return e ? err_wrap(e, "credential file %s", file) : NULL;
}

char **credentials_files(const char *auth_file)
{
	char **files = NULL;
	const char *explicit = getenv("REGISTRY_AUTH_FILE"), *runtime = getenv("XDG_RUNTIME_DIR"),
		   *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME"),
		   *docker = getenv("DOCKER_CONFIG");

	if (!str_empty(auth_file) || !str_empty(explicit)) { /* as podman: this one and no other */
		strv_push(&files, str_empty(auth_file) ? explicit : auth_file);
		return files;
	}
	if (!str_empty(runtime))
		strv_push_take(&files, xasprintf("%s/containers/auth.json", runtime));
	strv_push_take(&files, xasprintf("/run/containers/%u/auth.json", (unsigned)user_id()));
	if (!str_empty(config))
		strv_push_take(&files, xasprintf("%s/containers/auth.json", config));
	else if (!str_empty(home))
		strv_push_take(&files, xasprintf("%s/.config/containers/auth.json", home));
	if (!str_empty(docker))
		strv_push_take(&files, xasprintf("%s/config.json", docker));
	else if (!str_empty(home))
		strv_push_take(&files, xasprintf("%s/.docker/config.json", home));
	return files;
}

struct err *credentials_find_in(const char *auth_file, const char *domain, const char *path,
				struct credentials *ret)
{
	_cleanup_strv_ char **files = credentials_files(auth_file);
	_cleanup_free_ char *name = xasprintf("%s%s%s", domain, *path ? "/" : "", path);
	_cleanup_credentials_ struct credentials c = {0};

	STRV_FOREACH (file, files) {
		TRY(read_file(*file, domain, name, &c));
		if (c.source)
			break;
	}
	*ret = c;
	c = (struct credentials){0};
	return NULL;
}

struct err *credentials_find(const char *domain, const char *path, struct credentials *ret)
{
	return credentials_find_in(NULL, domain, path, ret);
}
