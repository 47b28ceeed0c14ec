/* SPDX-License-Identifier: Apache-2.0 */
/* POST /images/create (pull and import), push, and the credentials that come with them. */
#include <stdlib.h>

#include "base/base64.h"
#include "base/fd.h"
#include "base/memory.h"
#include "images/archive.h"
#include "images/login.h"
#include "images/pull.h"
#include "images/push.h"
#include "progress.h"
#include "registry_auth.h"
#include "routes.h"

void registry_auth_release(struct registry_auth *a)
{
	free(a->username);
	free(a->password);
}

static struct err *credentials_of(struct json *o, struct registry_auth *ret, const char **ret_server)
{
	struct json_cursor root = json_root(o);
	const char *user = NULL, *password = NULL;

	TRY(json_get_string(&root, "username", JSON_OPTIONAL, &user));
	TRY(json_get_string(&root, "password", JSON_OPTIONAL, &password));
	if (ret_server)
		TRY(json_get_string(&root, "serveraddress", JSON_OPTIONAL, ret_server));
	if (!str_empty(user)) {
		ret->username = xstrdup(user);
		ret->password = xstrdup(password ? password : "");
	}
	return NULL;
}

/* X-Registry-Auth: base64url of JSON. */
struct err *registry_auth_of(const struct exchange *x, struct registry_auth *ret)
{
	const char *header = http_header(&x->request, "X-Registry-Auth");
	_cleanup_free_ char *text = NULL, *data = NULL;
	_cleanup_json_ struct json *o = NULL;
	size_t size;

	if (str_empty(header))
		return NULL;
	text = xstrdup(header);
	for (char *c = text; *c; c++)
		*c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
	TRY_WRAP(base64_decode(text, &data, &size), "X-Registry-Auth");
	if (!size)
		return NULL;
	TRY(json_parse(data, size, "X-Registry-Auth", &o));
	struct json_cursor root = json_root(o);
	return json_kind(&root) == JSON_OBJECT ? credentials_of(o, ret, NULL) : NULL;
}

struct err *handle_auth(struct exchange *x)
{
	_cleanup_json_ struct json *body = NULL;
	_cleanup_(registry_auth_release) struct registry_auth c = {0};
	_cleanup_free_ char *server = NULL;
	const char *given = NULL;

	TRY(exchange_json(x, false, &body));
	TRY(credentials_of(body, &c, &given));
	TRY(login_server_parse(str_empty(given) ? NULL : given, &server));
	struct login_options o = {.username = c.username, .password = c.password};
	struct err *e = login_check(server, &o);
	if (e && e->kind == ERR_UNAUTHORIZED) {
		_cleanup_free_ char *text = err_text(e);
		err_free(e);
		return answer_refusal(x, 401, text);
	}
	TRY(e);
	struct json *answer = json_new_object();
	json_set_string(answer, "Status", "Login Succeeded");
	json_set_string(answer, "IdentityToken", "");
	return answer_json(x, 200, answer);
}

/* fromImage and tag, where tag may be a digest, too. */
static char *full_name(const char *image, const char *tag)
{
	if (str_empty(tag))
		return xstrdup(image);
	return xasprintf("%s%c%s", image, strchr(tag, ':') ? '@' : ':', tag);
}

static struct err *pull(struct exchange *x, const char *image)
{
	_cleanup_free_ char *tag = http_query(&x->request, "tag"), *name = full_name(image, tag),
			    *platform = http_query(&x->request, "platform"), *familiar = NULL, *status = NULL;
	_cleanup_(registry_auth_release) struct registry_auth c = {0};
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	_cleanup_image_ struct image *got = NULL;
	struct progress_stream p = {.x = x};
	struct progress callbacks = progress_stream_callbacks(&p);
	struct pull_options o = {.platform = platform_host(), .progress = &callbacks};
	struct store *s;
	bool changed = false;

	TRY(reference_parse(name, &ref));
	TRY(registry_auth_of(x, &c));
	o.username = c.username;
	o.password = c.password;
	if (!str_empty(platform))
		TRY(platform_parse(platform, &o.platform));
	TRY(engine_store(x->engine, &s));
	familiar = reference_familiar(&ref);
	exchange_drain(x);
	const char *colon = strrchr(familiar, ':');
	_cleanup_free_ char *repository =
		colon ? xstrndup(familiar, (size_t)(colon - familiar)) : xstrdup(familiar);
	_cleanup_free_ char *first = xasprintf("Pulling from %s", repository);
	p.opening = first;
	p.opening_id = colon ? colon + 1 : NULL;
	struct err *e = image_pull(s, &ref, &o, &got, &changed);
	if (!e) {
		_cleanup_free_ char *digest = xasprintf("Digest: %s", got->target.s);
		status = xasprintf("Status: %s for %s",
				   changed ? "Downloaded newer image" : "Image is up to date", familiar);
		progress_stream_status(&p, NULL, digest);
		progress_stream_status(&p, NULL, status);
	}
	return progress_stream_end(&p, e);
}

static struct err *import(struct exchange *x, const char *source)
{
	_cleanup_free_ char *repo = http_query(&x->request, "repo"), *tag = http_query(&x->request, "tag"),
			    *text = http_query(&x->request, "message"), *name = NULL;
	_cleanup_strv_ char **changes = http_query_all(&x->request, "changes");
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	_cleanup_fd_ int fd = -1;
	struct progress_stream p = {.x = x};
	struct archive_import_options o = {.changes = changes, .message = text};
	struct digest id;
	struct store *s;

	if (!str_eq(source, "-"))
		return err_new(
			ERR_UNSUPPORTED,
			"import from %.128s: only an archive that is sent with the request is imported",
			source);
	if (!str_empty(repo)) {
		name = full_name(repo, tag);
		TRY(reference_parse(name, &ref));
		o.name = &ref;
	}
	TRY(engine_store(x->engine, &s));
	TRY(exchange_spool(x, &fd));
	TRY(stream_begin(x, "application/json", NULL));
	struct err *e = archive_import(s, fd, &o, &id);
	if (!e)
		progress_stream_status(&p, NULL, id.s);
	return progress_stream_end(&p, e);
}

struct err *handle_image_create(struct exchange *x)
{
	_cleanup_free_ char *image = http_query(&x->request, "fromImage"),
			    *source = http_query(&x->request, "fromSrc");

	if (!str_empty(image))
		return pull(x, image);
	if (!str_empty(source))
		return import(x, source);
	return err_new(ERR_INVALID, "neither fromImage nor fromSrc is given");
}

struct err *handle_image_push(struct exchange *x)
{
	_cleanup_free_ char *tag = http_query(&x->request, "tag"), *name = full_name(x->captures[0], tag),
			    *familiar = NULL;
	_cleanup_(registry_auth_release) struct registry_auth c = {0};
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	_cleanup_image_ struct image *image = NULL;
	struct progress_stream p = {.x = x, .pushing = true};
	struct progress callbacks = progress_stream_callbacks(&p);
	struct push_options o = {.progress = &callbacks};
	struct push_result result;
	struct store *s;

	TRY(reference_parse(name, &ref));
	TRY(registry_auth_of(x, &c));
	o.username = c.username;
	o.password = c.password;
	TRY(engine_store(x->engine, &s));
	TRY(store_find(s, name, &image));
	familiar = reference_familiar(&ref);
	exchange_drain(x);
	TRY(stream_begin(x, "application/json", NULL));
	_cleanup_free_ char *first = xasprintf("The push refers to repository [%s/%s]", ref.domain, ref.path);
	progress_stream_status(&p, NULL, first);
	struct err *e = image_push(s, &ref, &o, &result);
	if (!e) {
		const char *colon = strrchr(familiar, ':');
		_cleanup_free_ char *last =
			xasprintf("%s: digest: %s size: %llu", colon ? colon + 1 : "latest", result.digest.s,
				  (unsigned long long)result.size);
		progress_stream_status(&p, NULL, last);
		_cleanup_json_ struct json *line = json_new_object();
		struct json *aux = json_new_object();
		json_set_string(aux, "Tag", colon ? colon + 1 : "latest");
		json_set_string(aux, "Digest", result.digest.s);
		json_set_u64(aux, "Size", result.size);
		json_set(line, "progressDetail", json_new_object());
		json_set(line, "aux", aux);
		err_free(stream_json(x, line));
	}
	return progress_stream_end(&p, e);
}
