/* SPDX-License-Identifier: Apache-2.0 */
/* Which part of a policy counts for an image: the most specific scope of its transport, the transport's default, the default. */
#include <limits.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"
#include "trust_policy.h"

/* "*.b.example" and "*.example" of "a.b.example:5000". */
static void push_wildcards(char ***v, const char *domain)
{
	_cleanup_free_ char *host = xstrndup(domain, strcspn(domain, ":"));

	for (const char *dot = strchr(host, '.'); dot; dot = strchr(dot + 1, '.'))
		strv_push_take(v, xasprintf("*%s", dot));
}

char **trust_docker_scopes(const struct reference *r)
{
	_cleanup_free_ char *name = xasprintf("%s/%s", r->domain, r->path);
	char **v = NULL;

	if (digest_is_set(&r->digest))
		strv_push_take(&v, xasprintf("%s@%s", name, r->digest.s));
	else
		strv_push_take(&v, xasprintf("%s:%s", name, r->tag));
	while (true) {
		strv_push(&v, name);
		char *slash = strrchr(name, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
	push_wildcards(&v, r->domain);
	return v;
}

/* PATH:NAME for transports with names, then PATH and its parents; "/" is no scope. */
static struct err *path_scopes(const struct trust_subject *s, char ***ret)
{
	char **v = NULL;
	_cleanup_free_ char *path = realpath(s->location, NULL);

	if (!path)
		return err_errno(errno, "cannot resolve %s", s->location);
	if (!str_eq(s->transport, "dir"))
		strv_push_take(&v, xasprintf("%s:%s", path, s->name ? s->name : ""));
	while (path[1]) {
		strv_push(&v, path);
		char *slash = strrchr(path, '/');
		*(slash == path ? slash + 1 : slash) = '\0';
	}
	*ret = v;
	return NULL;
}

struct err *trust_scope_names(const struct trust_subject *s, char ***ret)
{
	/* An archive of docker's may have many names or none: scopes say nothing there. */
	if (s->location && !str_eq(s->transport, "docker-archive") && !str_eq(s->transport, "tarball"))
		return path_scopes(s, ret);
	*ret = s->reference ? trust_docker_scopes(s->reference) : NULL;
	return NULL;
}

static const struct trust_scope *find(const struct trust_policy *p, const char *transport, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->scopes[i].transport, transport) && str_eq(p->scopes[i].name, name))
			return &p->scopes[i];
	return NULL;
}

struct err *trust_scope_find(const struct trust_policy *p, const struct trust_subject *s,
			     const struct trust_scope **ret)
{
	_cleanup_strv_ char **names = NULL;
	const struct trust_scope *found = NULL;

	if (p->n > 1)
		TRY(trust_scope_names(s, &names));
	STRV_FOREACH (name, names)
		if (!found)
			found = find(p, s->transport, *name);
	if (!found)
		found = find(p, s->transport, "");
	*ret = found ? found : find(p, NULL, "");
	return NULL;
}

char *trust_subject_name(const struct trust_subject *s)
{
	_cleanup_free_ char *name = s->reference ? reference_string(s->reference) : NULL;

	if (name)
		return xasprintf("%s:%s%s", s->transport, str_eq(s->transport, "docker") ? "//" : "", name);
	return xasprintf("%s:%s%s%s", s->transport, s->location ? s->location : "", s->name ? ":" : "",
			 s->name ? s->name : "");
}
