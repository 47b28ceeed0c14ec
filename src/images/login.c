/* SPDX-License-Identifier: Apache-2.0 */
#include "images/login.h"

#include "base/memory.h"
#include "credentials.h"
#include "registry.h"

struct err *login_server_parse(const char *s, char **ret)
{
	_cleanup_free_ char *key = credentials_normal_key(s ? s : "docker.io");

	for (const char *p = key; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("?#@\\\"", *p))
			return err_new(ERR_INVALID, "\"%.100s\" is not the name of a registry", s);
	if (!*key || *key == '/' || strstr(key, "//"))
		return err_new(ERR_INVALID, "\"%.100s\" is not the name of a registry", s ? s : "");
	*ret = TAKE_PTR(key);
	return NULL;
}

/* *ret_token: a refresh token that the registry gives instead of the password; NULL: none. */
static struct err *check(const char *server, const struct login_options *o, char **ret_token)
{
	_cleanup_free_ char *domain = xstrndup(server, strcspn(server, "/"));
	_cleanup_(registry_closep) struct registry *r = NULL;
	_cleanup_(http_client_freep) struct http_client *c = NULL;
	struct registry_options ro = {.username = o->username,
				      .password = o->password,
				      .insecure = o->insecure,
				      .ca_file = o->ca_file,
				      .progress = o->progress};

	TRY(registry_open(domain, "", &ro, &r));
	TRY(registry_client_new(r, &c));
	TRY(registry_ping(r, c));
	*ret_token = TAKE_PTR(r->refresh_token);
	return NULL;
}

struct err *login_check(const char *server, const struct login_options *o)
{
	_cleanup_free_ char *token = NULL;

	return check(server, o, &token);
}

struct err *login(const char *server, const struct login_options *o, char **ret_place, bool *ret_plain)
{
	_cleanup_credentials_ struct credentials c = {0};

	TRY(check(server, o, &c.identity_token));
	c.username = xstrdup(o->username);
	c.password = xstrdup(c.identity_token ? "" : o->password);
	TRY_WRAP(credentials_store(server, &c, o->auth_file, ret_place, ret_plain),
		 "the login is right but cannot be kept");
	return NULL;
}

struct err *login_current(const char *server, const char *auth_file, char **ret_username, char **ret_password)
{
	_cleanup_free_ char *domain = xstrndup(server, strcspn(server, "/"));
	_cleanup_credentials_ struct credentials c = {0};

	TRY(credentials_find_in(auth_file, domain, server[strlen(domain)] ? server + strlen(domain) + 1 : "",
				&c));
	if (c.identity_token && !c.username)
		c.username = xstrdup(CREDENTIALS_TOKEN_USER);
	*ret_username = TAKE_PTR(c.username);
	*ret_password = c.identity_token || !c.password ? xstrdup("") : TAKE_PTR(c.password);
	return NULL;
}

struct err *logout(const char *server, const char *auth_file, bool *ret_found)
{
	return credentials_erase(server, auth_file, ret_found);
}

struct err *logout_all(const char *auth_file, char ***ret_servers)
{
	_cleanup_strv_ char **servers = NULL, **gone = NULL;

	TRY(credentials_list(auth_file, &servers));
	STRV_FOREACH (server, servers) {
		bool found;
		TRY(credentials_erase(*server, auth_file, &found));
		if (found)
			strv_push(&gone, *server);
	}
	*ret_servers = TAKE_PTR(gone);
	return NULL;
}
