/* SPDX-License-Identifier: Apache-2.0 */
/* --link on the default network, which has no names otherwise: docker's legacy links, lines in /etc/hosts and variables in the environment.
 * On other networks a link is a name that the resolver knows for this container alone. */
#include <ctype.h>
#include <stdio.h>

#include "join.h"

struct linked {
	char *name; /* as it is called in the container: the part behind the colon */
	struct container *other;
	struct ip address;
};

static void linked_release(struct linked *l)
{
	free(l->name);
	container_free(l->other);
}

/* NAME[:ALIAS] of an endpoint. */
static struct err *resolve(struct engine *e, const struct endpoint *ep, const char *link, struct linked *ret)
{
	const char *colon = strchr(link, ':');
	_cleanup_free_ char *name = xstrndup(link, strcspn(link, ":"));
	_cleanup_(linked_release) struct linked l = {.name = xstrdup(colon ? colon + 1 : name)};
	_cleanup_endpoints_ struct endpoints v = {0};

	TRY_WRAP(container_find(e, name, &l.other), "--link %s", link);
	if (l.other->status != CONTAINER_RUNNING)
		return err_new(ERR_STATE, "cannot link to a non running container: %s", l.other->name);
	TRY(endpoints_of(e, l.other->id, &v));
	for (size_t k = 0; k < v.n; k++)
		if (str_eq(v.items[k].network->id, ep->network->id))
			l.address = v.items[k].ip4;
	if (!l.address.family)
		return err_new(ERR_STATE, "cannot link to %s: it is not connected to network %s",
			       l.other->name, ep->network->spec.name);
	*ret = l;
	l = (struct linked){0};
	return NULL;
}

typedef void link_fn(const struct linked *l, void *user);

static struct err *each_link(struct engine *e, const struct endpoints *v, link_fn *fn, void *user)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct endpoint *ep = &v->items[i];
		if (!network_is_default(ep->network))
			continue;
		STRV_FOREACH (text, ep->links) {
			_cleanup_(linked_release) struct linked l = {0};
			TRY(resolve(e, ep, *text, &l));
			fn(&l, user);
		}
	}
	return NULL;
}

static void hosts_line(const struct linked *l, void *user)
{
	char address[IP_TEXT_MAX];

	ip_text(&l->address, address);
	strbuf_printf(user, "%s\t%s %.12s %s\n", address, l->name, l->other->id, l->other->name);
}

struct err *links_hosts(struct engine *e, const struct endpoints *v, struct strbuf *b)
{
	return each_link(e, v, hosts_line, b);
}

/* -- the environment --- */

static int by_number(const void *a, const void *b)
{
	const struct port *x = a, *y = b;

	return x->port != y->port ? (x->port > y->port) - (x->port < y->port)
				  : (x->protocol > y->protocol) - (x->protocol < y->protocol);
}

/* What the other one exposes or publishes, once each. */
static struct ports ports_of(const struct container_spec *s)
{
	struct ports p = {0};
	_cleanup_strv_ char **all = strv_dup(s->expose);
	size_t kept = 0;

	STRV_FOREACH (x, s->publish)
		strv_push(&all, *x);
	err_free(publish_parse(all, "exposed port", &p)); /* was checked when it was made */
	if (p.n)
		qsort(p.items, p.n, sizeof(*p.items), by_number);
	for (size_t i = 0; i < p.n; i++)
		if (kept == 0 || by_number(&p.items[i], &p.items[kept - 1]) != 0)
			p.items[kept++] = p.items[i];
	p.n = kept;
	return p;
}

static void port_variables(const char *prefix, const struct linked *l, const struct port *p, char ***env)
{
	char address[IP_TEXT_MAX], protocol[8];

	ip_text(&l->address, address);
	snprintf(protocol, sizeof(protocol), "%s", protocol_name(p->protocol));
	for (char *c = protocol; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	_cleanup_free_ char *name = xasprintf("%s_PORT_%u_%s", prefix, p->port, protocol);
	strv_push_take(env, xasprintf("%s=%s://%s:%u", name, protocol_name(p->protocol), address, p->port));
	strv_push_take(env, xasprintf("%s_ADDR=%s", name, address));
	strv_push_take(env, xasprintf("%s_PORT=%u", name, p->port));
	strv_push_take(env, xasprintf("%s_PROTO=%s", name, protocol_name(p->protocol)));
}

struct environment {
	const struct container *c;
	char ***env;
};

static void variables(const struct linked *l, void *user)
{
	const struct environment *to = user;
	_cleanup_free_ char *prefix = xstrdup(l->name);
	struct ports p = ports_of(l->other->spec);
	char address[IP_TEXT_MAX];

	for (char *c = prefix; *c; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
	ip_text(&l->address, address);
	if (p.n)
		strv_push_take(to->env,
			       xasprintf("%s_PORT=%s://%s:%u", prefix, protocol_name(p.items[0].protocol),
					 address, p.items[0].port));
	for (size_t i = 0; i < p.n; i++)
		port_variables(prefix, l, &p.items[i], to->env);
	strv_push_take(to->env, xasprintf("%s_NAME=/%s/%s", prefix, to->c->name, l->name));
	STRV_FOREACH (v, l->other->spec->env)
		if (strchr(*v, '=') && !str_starts(*v, "HOME=") && !str_starts(*v, "PATH="))
			strv_push_take(to->env, xasprintf("%s_ENV_%s", prefix, *v));
	free(p.items);
}

struct err *links_environment(struct engine *e, const struct container *c, char ***ret)
{
	_cleanup_endpoints_ struct endpoints v = {0};
	_cleanup_strv_ char **env = NULL;

	if (!c->spec->links && !c->spec->networks)
		return NULL;
	TRY(endpoints_of(e, c->id, &v));
	TRY(each_link(e, &v, variables, &(struct environment){.c = c, .env = &env}));
	*ret = TAKE_PTR(env);
	return NULL;
}
