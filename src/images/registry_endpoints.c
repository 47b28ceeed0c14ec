/* SPDX-License-Identifier: Apache-2.0 */
/* containers-registries.conf(5), version 2: which servers a name is fetched from. The [[registry]] table with the longest prefix counts;
 * of tables with one prefix the one that was read last, so that a drop-in file replaces what the main file says. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "registry.h"
#include "registry_conf.h"
#include "registry_hosts.h"

#define TABLES_MAX 4096
#define MIRRORS_MAX 64

enum mirror_use { MIRROR_ALL, MIRROR_DIGEST_ONLY, MIRROR_TAG_ONLY };

struct mirror {
	char *location;
	bool insecure;
	enum mirror_use use;
};

struct table {
	char *prefix, *location;
	bool insecure, blocked, by_digest_only;
	struct mirror mirrors[MIRRORS_MAX];
	size_t n_mirrors;
};

/* Reading one file: the best table so far, and the one being read. */
struct search {
	const char *name; /* domain/path */
	size_t best_length;
	struct table *best, *current;
	size_t n_tables;
};

static void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_mirrors; i++)
		free(t->mirrors[i].location);
	free(t->prefix);
	free(t->location);
	free(t);
}

/* Whether a prefix covers "domain/path": whole components, or "*.domain". Its length there, 0 for no. */
static size_t prefix_covers(const char *prefix, const char *name)
{
	if (str_starts(prefix, "*.")) {
		size_t host = strcspn(name, ":/"), all = strcspn(name, "/"), n = strlen(prefix + 1);
		return host > n && memcmp(name + host - n, prefix + 1, n) == 0 ? all : 0;
	}
	size_t n = strlen(prefix);
	return n && str_starts(name, prefix) && strchr("/:@", name[n]) ? n : 0; /* strchr finds the end too */
}

/* -- reading ---------------------------------------------------------------------------------------------------- */

static struct err *table_close(struct search *s)
{
	struct table *t = TAKE_PTR(s->current);

	if (!t)
		return NULL;
	const char *prefix = str_empty(t->prefix) ? t->location : t->prefix;
	if (str_empty(prefix)) {
		table_free(t);
		return err_new(ERR_INVALID, "the [[registry]] before has neither prefix nor location");
	}
	/* A wildcard is less than any literal prefix that matches as well. */
	size_t n = prefix_covers(prefix, s->name);
	size_t weight = n && *prefix == '*' ? strlen(prefix) - 1 : n * 2;
	if (n && weight >= s->best_length) {
		table_free(s->best);
		s->best = t;
		s->best_length = weight;
	} else {
		table_free(t);
	}
	return NULL;
}

static struct err *on_end(void *user)
{
	return table_close(user);
}

static struct err *set_string(const struct toml_event *e, char **slot)
{
	if (e->kind != TOML_STRING)
		return err_new(ERR_INVALID, "%s must be a string", e->key);
	for (const char *p = e->text; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_new(ERR_INVALID, "%s must not have blanks or control characters", e->key);
	free(*slot);
	size_t n = strlen(e->text);
	while (n && e->text[n - 1] == '/')
		n--;
	*slot = xstrndup(e->text, n);
	return NULL;
}

static struct err *set_bool(const struct toml_event *e, bool *slot)
{
	if (e->kind != TOML_BOOL)
		return err_new(ERR_INVALID, "%s must be true or false", e->key);
	*slot = e->boolean;
	return NULL;
}

static struct err *registry_key(struct table *t, const struct toml_event *e)
{
	if (str_eq(e->key, "prefix"))
		return set_string(e, &t->prefix);
	if (str_eq(e->key, "location"))
		return set_string(e, &t->location);
	if (str_eq(e->key, "insecure"))
		return set_bool(e, &t->insecure);
	if (str_eq(e->key, "blocked"))
		return set_bool(e, &t->blocked);
	if (str_eq(e->key, "mirror-by-digest-only"))
		return set_bool(e, &t->by_digest_only);
	return NULL; /* of a later version */
}

static struct err *mirror_key(struct mirror *m, const struct toml_event *e)
{
	static const char *const uses[] = {"all", "digest-only", "tag-only"};

	if (str_eq(e->key, "location"))
		return set_string(e, &m->location);
	if (str_eq(e->key, "insecure"))
		return set_bool(e, &m->insecure);
	if (!str_eq(e->key, "pull-from-mirror"))
		return NULL;
	for (size_t i = 0; e->kind == TOML_STRING && i < ARRAY_SIZE(uses); i++) {
		if (str_eq(e->text, uses[i])) {
			m->use = (enum mirror_use)i;
			return NULL;
		}
	}
	return err_new(ERR_INVALID, "pull-from-mirror must be \"all\", \"digest-only\" or \"tag-only\"");
}

static struct err *on_event(void *user, const struct toml_event *e)
{
	struct search *s = user;
	bool registry = str_eq(e->table, "registry"), mirror = str_eq(e->table, "registry.mirror");

	if (e->kind == TOML_TABLE && registry) {
		TRY(table_close(s));
		if (s->n_tables++ == TABLES_MAX)
			return err_new(ERR_LIMIT, "more than %d registries", TABLES_MAX);
		s->current = xnew(struct table);
		return NULL;
	}
	if (e->kind == TOML_TABLE && mirror) {
		if (!s->current)
			return err_new(ERR_INVALID, "a mirror without a [[registry]] before it");
		if (s->current->n_mirrors == MIRRORS_MAX)
			return err_new(ERR_LIMIT, "more than %d mirrors", MIRRORS_MAX);
		s->current->mirrors[s->current->n_mirrors++] = (struct mirror){0};
		return NULL;
	}
	if (!s->current || e->kind == TOML_TABLE)
		return NULL;
	if (registry)
		return registry_key(s->current, e);
	if (mirror && s->current->n_mirrors)
		return mirror_key(&s->current->mirrors[s->current->n_mirrors - 1], e);
	return NULL;
}

/* -- answers ---------------------------------------------------------------------------------------------------- */

void registry_endpoints_release(struct registry_endpoints *e)
{
	for (size_t i = 0; i < e->n; i++) {
		free(e->v[i].domain);
		free(e->v[i].path);
		free(e->v[i].ca_file);
	}
	free(e->v);
	*e = (struct registry_endpoints){0};
}

static struct err *add(struct registry_endpoints *all, const char *location, const char *rest, bool insecure)
{
	_cleanup_free_ char *name = xasprintf("%s%s", location, rest);
	size_t host = strcspn(name, "/");

	if (host == 0 || !name[host] || !name[host + 1])
		return err_new(ERR_INVALID,
			       "the location \"%s\" in the registry configuration does not give a name for "
			       "an image: it makes \"%s\"",
			       location, name);
	all->v[all->n++] = (struct registry_endpoint){
		.domain = xstrndup(name, host), .path = xstrdup(name + host + 1), .insecure = insecure};
	return NULL;
}

static struct err *fill(const struct table *t, const char *name, enum registry_use use,
			struct registry_endpoints *ret)
{
	const char *rest = name + prefix_covers(str_empty(t->prefix) ? t->location : t->prefix, name);

	if (t->blocked)
		return err_new(ERR_PERMISSION, "%s is blocked by the registry configuration (prefix %s)",
			       name, str_empty(t->prefix) ? t->location : t->prefix);
	for (size_t i = 0; i < t->n_mirrors; i++) {
		const struct mirror *m = &t->mirrors[i];
		bool digest_only = t->by_digest_only || m->use == MIRROR_DIGEST_ONLY;
		bool fits = use == REGISTRY_READ_DIGEST ? m->use != MIRROR_TAG_ONLY
							: use == REGISTRY_READ_TAG && !digest_only;
		if (fits && !str_empty(m->location))
			TRY(add(ret, m->location, rest, m->insecure));
	}
	if (str_empty(t->location))
		return add(ret, name, "", t->insecure);
	return add(ret, t->location, rest, t->insecure);
}

struct err *registry_endpoints(const char *domain, const char *path, enum registry_use use,
			       struct registry_endpoints *ret)
{
	_cleanup_free_ char *name = xasprintf("%s%s%s", domain, *path ? "/" : "", path);
	_cleanup_(registry_endpoints_release) struct registry_endpoints all = {0};
	struct search s = {.name = name};

	struct err *e = registries_conf_read(on_event, on_end, &s);
	table_free(s.current);
	/* What containers-registries.conf says of the name counts; else what containerd was told. */
	if (!e && !s.best && use != REGISTRY_LOGIN)
		e = registry_hosts_read(domain, path, use, &all);
	if (!e && all.n) {
		*ret = all;
		all = (struct registry_endpoints){0};
		return NULL;
	}
	free(all.v);
	all.v = xnew_array(struct registry_endpoint, MIRRORS_MAX + 1);
	if (!e && (!s.best || use == REGISTRY_LOGIN)) {
		bool insecure = s.best && s.best->insecure;
		all.v[all.n++] = (struct registry_endpoint){xstrdup(domain), xstrdup(path), insecure};
	} else if (!e) {
		e = fill(s.best, name, use, &all);
	}
	table_free(s.best);
	TRY(e);
	*ret = all;
	all = (struct registry_endpoints){0};
	return NULL;
}
