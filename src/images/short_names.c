/* SPDX-License-Identifier: Apache-2.0 */
#include "images/short_names.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/user.h"
#include "registry_conf.h"

#define ALIASES_MAX 10000
#define REGISTRIES_MAX 64
#define SYSTEM_CACHE "/var/cache/containers/short-name-aliases.conf"

bool short_name_is(const char *s)
{
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	size_t n = strcspn(s, "/");
	bool domain =
		s[n] == '/' && (memchr(s, '.', n) || memchr(s, ':', n) || strncmp(s, "localhost/", 10) == 0);

	if (domain)
		return false;
	struct err *e = reference_parse(s, &r);
	bool good = !e;
	err_free(e);
	return good;
}

void short_name_release(struct short_name *s)
{
	strv_free(s->names);
	s->names = NULL;
}

/* -- the configuration ------------------------------------------------------------------------------------------ */

struct lookup {
	const char *name; /* without tag and digest */
	char *alias;
	bool is_set; /* alias: also when it is erased by "" */
	char **registries;
	enum short_name_mode mode;
	size_t n_aliases;
};

static struct err *take_mode(struct lookup *l, const struct toml_event *e)
{
	static const char *const words[] = {[SHORT_NAME_PERMISSIVE] = "permissive",
					    [SHORT_NAME_ENFORCING] = "enforcing",
					    [SHORT_NAME_DISABLED] = "disabled"};

	for (size_t i = 0; e->kind == TOML_STRING && i < ARRAY_SIZE(words); i++) {
		if (str_eq(e->text, words[i]) || (i == 0 && !*e->text)) {
			l->mode = (enum short_name_mode)i;
			return NULL;
		}
	}
	return err_new(ERR_INVALID, "short-name-mode must be \"enforcing\", \"permissive\" or \"disabled\"");
}

static struct err *take_registries(struct lookup *l, const struct toml_event *e)
{
	if (e->kind != TOML_STRINGS || strv_len(e->list) > REGISTRIES_MAX)
		return err_new(ERR_INVALID,
			       "unqualified-search-registries must be a list of at most %d texts",
			       REGISTRIES_MAX);
	STRV_FOREACH (registry, e->list)
		if (!**registry || strpbrk(*registry, " \t\n\"@") || strlen(*registry) > 255)
			return err_new(ERR_INVALID,
				       "unqualified-search-registries: \"%.100s\" is no registry", *registry);
	strv_free(l->registries);
	l->registries = strv_dup(e->list);
	return NULL;
}

static struct err *on_event(void *user, const struct toml_event *e)
{
	struct lookup *l = user;

	if (e->kind == TOML_TABLE)
		return NULL;
	if (!*e->table && str_eq(e->key, "unqualified-search-registries"))
		return take_registries(l, e);
	if (!*e->table && str_eq(e->key, "short-name-mode"))
		return take_mode(l, e);
	if (!str_eq(e->table, "aliases"))
		return NULL;
	if (++l->n_aliases > ALIASES_MAX)
		return err_new(ERR_LIMIT, "there are more than %d aliases", ALIASES_MAX);
	if (e->kind != TOML_STRING)
		return err_new(ERR_INVALID, "the alias %.100s must be a text", e->key);
	if (l->name && str_eq(e->key, l->name)) {
		free(l->alias);
		l->alias = *e->text ? xstrdup(e->text) : NULL;
		l->is_set = true;
	}
	return NULL;
}

static char *cache_path(void)
{
	const char *home = getenv("HOME"), *cache = getenv("XDG_CACHE_HOME");

	if (user_is_root() && str_empty(getenv("CONTAINERS_REGISTRIES_CONF")))
		return xstrdup(SYSTEM_CACHE);
	if (!str_empty(cache))
		return xasprintf("%s/containers/short-name-aliases.conf", cache);
	return str_empty(home) ? xstrdup(SYSTEM_CACHE)
			       : xasprintf("%s/.cache/containers/short-name-aliases.conf", home);
}

static void lookup_release(struct lookup *l)
{
	free(l->alias);
	strv_free(l->registries);
}

static struct err *look_up(struct lookup *l)
{
	_cleanup_free_ char *recorded = cache_path();

	TRY(registries_conf_read(on_event, NULL, l));
	return registries_conf_read_file(recorded, on_event, NULL, l);
}

/* -- answers ---------------------------------------------------------------------------------------------------- */

/* "name" of "name:tag@digest"; *ret_rest is what follows. */
static char *bare_name(const char *s, const char **ret_rest)
{
	const char *slash = strrchr(s, '/'), *last = slash ? slash : s;
	size_t n = (size_t)(last - s) + strcspn(last, ":@");

	*ret_rest = s + n;
	return xstrndup(s, n);
}

static struct err *add(struct short_name *to, const char *name, const char *rest)
{
	_cleanup_free_ char *full = xasprintf("%s%s", name, rest);
	_cleanup_reference_ struct reference r = REFERENCE_NONE;

	TRY_WRAP(reference_parse(full, &r), "registry configuration");
	_cleanup_free_ char *canonical = reference_string(&r);
	if (!strv_contains(to->names, canonical))
		strv_push(&to->names, canonical);
	return NULL;
}

static struct err *candidates(const struct lookup *l, const char *rest, struct short_name *to)
{
	to->mode = l->mode;
	to->alias = l->alias != NULL;
	if (l->alias)
		return add(to, l->alias, rest);
	STRV_FOREACH (registry, l->registries) {
		_cleanup_free_ char *name = xasprintf("%s/%s", *registry, l->name);
		TRY(add(to, name, rest));
	}
	return to->names ? NULL : add(to, l->name, rest);
}

struct err *short_name_resolve(const char *s, struct short_name *ret)
{
	_cleanup_(lookup_release) struct lookup l = {0};
	_cleanup_short_name_ struct short_name found = {0};
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	const char *rest;

	TRY(reference_parse(s, &r)); /* says what is wrong with it */
	_cleanup_free_ char *name = bare_name(s, &rest);
	if (short_name_is(s)) {
		l.name = name;
		TRY(look_up(&l));
		TRY(candidates(&l, rest, &found));
	} else {
		strv_push_take(&found.names, reference_string(&r));
	}
	*ret = found;
	found = (struct short_name){0};
	return NULL;
}

struct err *short_name_ambiguous(const char *s, const struct short_name *names)
{
	_cleanup_free_ char *all = strv_join(names->names, ", ");

	return err_new(
		ERR_INVALID,
		"the short name \"%s\" may mean %s, and there is no terminal to ask on: give the full name",
		s, all);
}

struct err *short_name_registries(char ***ret)
{
	_cleanup_(lookup_release) struct lookup l = {0};

	TRY(look_up(&l));
	if (!l.registries)
		strv_push(&l.registries, "docker.io");
	*ret = TAKE_PTR(l.registries);
	return NULL;
}

/* -- remembering ------------------------------------------------------------------------------------------------ */

struct aliases {
	struct strbuf text;
	const char *name;
};

static struct err *copy_alias(void *user, const struct toml_event *e)
{
	struct aliases *a = user;

	if (e->kind == TOML_STRING && str_eq(e->table, "aliases") && !str_eq(e->key, a->name) &&
	    !strpbrk(e->key, "\"\\\n") && !strpbrk(e->text, "\"\\\n"))
		strbuf_printf(&a->text, "  \"%s\" = \"%s\"\n", e->key, e->text);
	return NULL;
}

struct err *short_name_remember(const char *s, const struct reference *chosen)
{
	const char *rest;
	_cleanup_free_ char *name = bare_name(s, &rest), *path = cache_path(), *copy = xstrdup(path);
	_cleanup_(strbuf_release) struct strbuf text = {0};
	struct aliases a = {.name = name};

	strbuf_puts(&a.text, "[aliases]\n");
	struct err *e = registries_conf_read_file(path, copy_alias, NULL, &a);
	text = a.text;
	TRY(e);
	strbuf_printf(&text, "  \"%s\" = \"%s/%s\"\n", name, chosen->domain, chosen->path);
	TRY(file_mkdir_p(dirname(copy), 0755));
	return file_replace_at(AT_FDCWD, path, text.data, text.len, 0644, FILE_VOLATILE);
}
