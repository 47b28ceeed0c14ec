/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "registry_conf.h"

#define HOSTS_MAX 64

struct host {
	char *url;
	bool pull, resolve, push, skip_verify, override_path;
	char *ca; /* as written */
};

struct hosts {
	char *server; /* the registry's own place; NULL: its name */
	bool server_skip_verify;
	char *server_ca;
	struct host v[HOSTS_MAX];
	size_t n;
};

static void hosts_release(struct hosts *h)
{
	for (size_t i = 0; i < h->n; i++) {
		free(h->v[i].url);
		free(h->v[i].ca);
	}
	free(h->server);
	free(h->server_ca);
}

/* -- reading ---------------------------------------------------------------------------------------------------- */

static struct err *take_text(const struct toml_event *e, char **slot)
{
	const char *text = e->kind == TOML_STRINGS && e->list[0] && !e->list[1] ? e->list[0] : e->text;

	if (e->kind != TOML_STRING && text == e->text)
		return err_new(ERR_INVALID, "%s must be one string", e->key);
	free(*slot);
	*slot = xstrdup(text);
	return NULL;
}

static struct err *take_bool(const struct toml_event *e, bool *slot)
{
	if (e->kind != TOML_BOOL)
		return err_new(ERR_INVALID, "%s must be true or false", e->key);
	*slot = e->boolean;
	return NULL;
}

static struct err *take_capabilities(const struct toml_event *e, struct host *h)
{
	if (e->kind != TOML_STRINGS)
		return err_new(ERR_INVALID, "capabilities must be a list of strings");
	h->pull = strv_contains(e->list, "pull");
	h->resolve = strv_contains(e->list, "resolve");
	h->push = strv_contains(e->list, "push");
	return NULL;
}

static struct err *server_key(struct hosts *h, const struct toml_event *e)
{
	if (str_eq(e->key, "server"))
		return take_text(e, &h->server);
	if (str_eq(e->key, "skip_verify"))
		return take_bool(e, &h->server_skip_verify);
	if (str_eq(e->key, "ca"))
		return take_text(e, &h->server_ca);
	return NULL;
}

static struct err *host_key(struct host *h, const struct toml_event *e)
{
	if (str_eq(e->key, "capabilities"))
		return take_capabilities(e, h);
	if (str_eq(e->key, "skip_verify"))
		return take_bool(e, &h->skip_verify);
	if (str_eq(e->key, "override_path"))
		return take_bool(e, &h->override_path);
	if (str_eq(e->key, "ca"))
		return take_text(e, &h->ca);
	if (str_eq(e->key, "client"))
		return err_new(ERR_UNSUPPORTED,
			       "client certificates of a host are not read from here: put them into a "
			       "certs.d directory of the host's name, as docker has them");
	return NULL; /* of a later version, or about time-outs */
}

static struct err *on_event(void *user, const struct toml_event *e)
{
	struct hosts *h = user;

	if (e->kind == TOML_TABLE && str_starts(e->table, "host.")) {
		const char *url = e->table + strlen("host.");
		if (str_ends(url, ".header"))
			return err_new(ERR_UNSUPPORTED, "headers of a host are not supported");
		if (h->n == HOSTS_MAX)
			return err_new(ERR_LIMIT, "more than %d hosts", HOSTS_MAX);
		h->v[h->n++] =
			(struct host){.url = xstrdup(url), .pull = true, .resolve = true, .push = true};
		return NULL;
	}
	if (e->kind == TOML_TABLE)
		return NULL;
	if (!*e->table)
		return server_key(h, e);
	if (h->n && str_starts(e->table, "host.") && str_eq(e->table + strlen("host."), h->v[h->n - 1].url))
		return host_key(&h->v[h->n - 1], e);
	return NULL;
}

/* -- answers ---------------------------------------------------------------------------------------------------- */

/* "https://host:port/v2/more" is a domain and what stands before the path there. */
static struct err *add(struct registry_endpoints *all, const char *url, bool override_path, bool skip_verify,
		       const char *ca, const char *directory, const char *path)
{
	const char *p = str_starts(url, "https://") ? url + 8 : str_starts(url, "http://") ? url + 7 : url;
	size_t n = strcspn(p, "/");
	const char *more = p + n + strspn(p + n, "/");

	for (const char *c = p; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("@?#", *c))
			return err_new(ERR_INVALID, "\"%s\" is no place of a registry", url);
	if (n == 0)
		return err_new(ERR_INVALID, "\"%s\" is no place of a registry", url);
	if (override_path && (str_eq(more, "v2") || str_starts(more, "v2/")))
		more += 2 + strspn(more + 2, "/");
	else if (*more && !(str_eq(more, "v2") || str_eq(more, "v2/")))
		return err_new(ERR_UNSUPPORTED,
			       "\"%s\": a path is only possible with override_path and below /v2", url);
	else
		more = "";
	size_t m = strlen(more);
	while (m && more[m - 1] == '/')
		m--;
	all->v[all->n++] = (struct registry_endpoint){
		.domain = xstrndup(p, n),
		.path = *path ? xasprintf("%.*s%s%s", (int)m, more, m ? "/" : "", path) : xstrdup(""),
		.insecure = skip_verify || str_starts(url, "http://"),
		.ca_file = !ca          ? NULL
			   : *ca == '/' ? xstrdup(ca)
					: xasprintf("%s/%s", directory, ca)};
	return NULL;
}

static bool fits(const struct host *h, enum registry_use use)
{
	return use == REGISTRY_READ_DIGEST ? h->pull : use == REGISTRY_READ_TAG && h->pull && h->resolve;
}

static struct err *fill(const struct hosts *h, const char *domain, const char *path, enum registry_use use,
			const char *directory, struct registry_endpoints *ret)
{
	const char *server = h->server ? h->server : domain;

	ret->v = xnew_array(struct registry_endpoint, HOSTS_MAX + 1);
	for (size_t i = 0; i < h->n; i++)
		if (fits(&h->v[i], use))
			TRY(add(ret, h->v[i].url, h->v[i].override_path, h->v[i].skip_verify, h->v[i].ca,
				directory, path));
	/* docker.io is called by the host that serves it. */
	if (str_eq(domain, "docker.io") && strstr(server, "://registry-1.docker.io"))
		server = domain;
	return add(ret, server, false, h->server_skip_verify, h->server_ca, directory, path);
}

/* *ret_directory NULL: there is none. */
static void find(const char *base, const char *domain, char **ret_directory)
{
	_cleanup_free_ char *name = xstrdup(domain);
	char *colon = strchr(name, ':');
	const char *port = colon ? colon + 1 : NULL;

	*ret_directory = NULL;
	if (colon)
		*colon = '\0';
	/* A file system without colons in names has underscores. */
	char *candidates[] = {xstrdup(domain), port ? xasprintf("%s_%s_", name, port) : NULL,
			      xstrdup("_default")};
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		_cleanup_free_ char *one = candidates[i];
		_cleanup_free_ char *directory = one ? xasprintf("%s/%s", base, one) : NULL;
		_cleanup_free_ char *file = one ? xasprintf("%s/hosts.toml", directory) : NULL;
		if (file && !*ret_directory && access(file, F_OK) == 0)
			*ret_directory = TAKE_PTR(directory);
	}
}

struct err *registry_hosts_read(const char *domain, const char *path, enum registry_use use,
				struct registry_endpoints *ret)
{
	const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
	_cleanup_free_ char *own = !str_empty(config) ? xasprintf("%s/containerd/certs.d", config)
				   : !str_empty(home) ? xasprintf("%s/.config/containerd/certs.d", home)
						      : NULL;
	_cleanup_free_ char *directory = NULL;
	_cleanup_(hosts_release) struct hosts h = {0};

	if (own)
		find(own, domain, &directory);
	if (!directory)
		find("/etc/containerd/certs.d", domain, &directory);
	if (!directory)
		return NULL;
	_cleanup_free_ char *file = xasprintf("%s/hosts.toml", directory);
	TRY(registries_conf_read_file(file, on_event, NULL, &h));
	TRY_WRAP(fill(&h, domain, path, use, directory, ret), "registry configuration %s", file);
	return NULL;
}
