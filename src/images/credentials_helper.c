/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that keep secrets: docker-credential-NAME get|store|erase|list, JSON or a server's name on standard input. */
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/process.h"
#include "credentials.h"

#define HELPER_TIMEOUT_MS 60000
#define HELPER_OUTPUT_MAX ((size_t)64 << 10)

/* *ret_output is NULL when the program is not installed. */
static struct err *run(const char *helper, const char *verb, const char *input, char **ret_output,
		       size_t *ret_size)
{
	_cleanup_free_ char *name = xasprintf("docker-credential-%s", helper);

	if (!*helper || strlen(helper) > 64 ||
	    strspn(helper, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") !=
		    strlen(helper))
		return err_new(ERR_INVALID, "credential helper name \"%.64s\" is not a word", helper);
	_cleanup_free_ char *path = process_locate(name);
	*ret_output = NULL;
	*ret_size = 0;
	if (!path)
		return NULL;
	char *argv[] = {name, (char *)verb, NULL};
	struct process_spawn p = {.path = path, .exec_fd = -1, .argv = argv, .stdio = {-1, -1, -1}};
	return process_run(&p, input, strlen(input), HELPER_TIMEOUT_MS, HELPER_OUTPUT_MAX, ret_output,
			   ret_size);
}

static struct err *read_answer(const char *name, const char *text, size_t size, struct credentials *c)
{
	_cleanup_json_ struct json *doc = NULL;
	const char *username = "", *secret = "";

	TRY(json_parse(text, size, name, &doc));
	struct json_cursor root = json_root(doc);
	TRY(json_get_string(&root, "Username", JSON_OPTIONAL, &username));
	TRY(json_get_string(&root, "Secret", JSON_OPTIONAL, &secret));
	if (strcmp(username, CREDENTIALS_TOKEN_USER) == 0) {
		c->identity_token = xstrdup(secret);
	} else if (*username) {
		c->username = xstrdup(username);
		c->password = xstrdup(secret);
	}
	if (c->username || c->identity_token)
		c->source = xstrdup(name);
	return NULL;
}

struct err *credentials_helper_get(const char *helper, const char *server, struct credentials *c)
{
	_cleanup_free_ char *name = xasprintf("docker-credential-%s", helper);
	_cleanup_free_ char *output = NULL;
	size_t size;

	struct err *e = run(helper, "get", server, &output, &size);
	if (e && e->kind == ERR_INVALID)
		return e;
	if (e) {
		/* "I have none" and a real failure look alike: both exit with 1. The request goes on without, and should
		 * the registry refuse it, the message tells. */
		free(c->helper_failure);
		c->helper_failure = err_text(e);
		err_free(e);
		return NULL;
	}
	/* Not installed: a file copied from another machine; public images must still work. */
	return output ? read_answer(name, output, size, c) : NULL;
}

static struct err *must_run(const char *helper, const char *verb, const char *input, char **ret_output,
			    size_t *ret_size)
{
	TRY_WRAP(run(helper, verb, input, ret_output, ret_size), "docker-credential-%s %s", helper, verb);
	if (!*ret_output)
		return err_new(ERR_NOT_FOUND,
			       "the credential helper docker-credential-%s is not installed: install it, or "
			       "take it out of the credential file",
			       helper);
	return NULL;
}

struct err *credentials_helper_store(const char *helper, const char *server, const struct credentials *c)
{
	_cleanup_json_ struct json *doc = json_new_object();
	_cleanup_free_ char *output = NULL;
	size_t size;

	json_set_string(doc, "ServerURL", server);
	json_set_string(doc, "Username", c->identity_token ? CREDENTIALS_TOKEN_USER : c->username);
	json_set_string(doc, "Secret", c->identity_token ? c->identity_token : c->password);
	_cleanup_free_ char *text = json_print(doc, JSON_COMPACT);
	return must_run(helper, "store", text, &output, &size);
}

struct err *credentials_helper_erase(const char *helper, const char *server, bool *ret_erased)
{
	_cleanup_free_ char *output = NULL;
	_cleanup_credentials_ struct credentials c = {0};
	size_t size;

	*ret_erased = false;
	TRY(credentials_helper_get(helper, server, &c));
	if (!c.source) /* helpers disagree about erasing what they do not have */
		return NULL;
	TRY(must_run(helper, "erase", server, &output, &size));
	*ret_erased = true;
	return NULL;
}

struct err *credentials_helper_list(const char *helper, char ***servers)
{
	_cleanup_free_ char *output = NULL;
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor member;
	size_t size;

	TRY(must_run(helper, "list", "", &output, &size));
	TRY_WRAP(json_parse(output, size, "list", &doc), "docker-credential-%s list", helper);
	struct json_cursor root = json_root(doc);
	if (json_kind(&root) != JSON_OBJECT)
		return NULL;
	struct json_iter it = json_iter(&root);
	while (json_next(&it, &member))
		strv_push(servers, member.key);
	return NULL;
}
