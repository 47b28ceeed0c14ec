/* SPDX-License-Identifier: Apache-2.0 */
#include "join.h"
#include "base/user.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "namespace_join.h"
#include "pasta.h"
#include "undo.h"
#include "userns.h"

#define RESOLV_MAX (64u << 10)

void network_run_release(struct network_run *r)
{
	fd_close(r->netns);
	fd_close(r->holder);
	fd_close(r->dns_udp);
	fd_close(r->dns_tcp);
	free(r->etc_dir);
	endpoints_release(&r->endpoints);
}

bool network_mode_alone(const char *mode)
{
	return str_eq(mode, "none") || str_eq(mode, "host") || str_eq(mode, "pasta");
}

/* -- files of a run --- */

char *names_path(const struct engine *e, const struct network *n)
{
	return xasprintf("%s/networks/%s.names", e->run, n->id);
}

struct err *names_add(struct engine *e, const struct container *c, const struct endpoint *ep)
{
	_cleanup_free_ char *path = names_path(e, ep->network), *dir = xasprintf("%s/networks", e->run);
	_cleanup_strbuf_ struct strbuf b = {0};
	char ip4[IP_TEXT_MAX], ip6[IP_TEXT_MAX];

	ip_text(&ep->ip4, ip4);
	ip_text(&ep->ip6, ip6);
	strbuf_printf(&b, "%s %s %s %s", c->id, *ip4 ? ip4 : "-", *ip6 ? ip6 : "-", c->name);
	STRV_FOREACH (a, ep->aliases)
		strbuf_printf(&b, " %s", *a);
	strbuf_printf(&b, " %.12s", c->id);
	if (c->spec->hostname)
		strbuf_printf(&b, " %s", c->spec->hostname);
	strbuf_putc(&b, '\n');
	TRY(file_mkdir_p(dir, 0700));
	return names_replace(path, c->id, strbuf_str(&b));
}

struct err *network_conf_write(struct engine *e, const struct container *c, const struct endpoints *v)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	_cleanup_free_ char *path = xasprintf("%s/" NETWORK_CONF, c->run_dir);
	bool outside = false;

	for (size_t i = 0; i < v->n; i++) {
		_cleanup_free_ char *names = names_path(e, v->items[i].network);
		outside |= !v->items[i].network->spec.internal;
		if (!network_is_default(v->items[i].network))
			strbuf_printf(&b, "names %s %s\n", v->items[i].network->spec.name, names);
		STRV_FOREACH (l, v->items[i].links)
			strbuf_printf(&b, "link %s\n", *l);
	}
	if (!outside)
		strbuf_puts(&b, "internal\n");
	STRV_FOREACH (d, c->spec->dns)
		strbuf_printf(&b, "dns %s\n", *d);
	return file_replace_at(AT_FDCWD, path, strbuf_str(&b), b.len, 0600, FILE_VOLATILE);
}

struct err *network_hosts(struct engine *e, const struct container *c, const struct network_run *r,
			  const char *hostname, struct strbuf *b)
{
	for (size_t i = 0; i < r->endpoints.n; i++) {
		const struct endpoint *ep = &r->endpoints.items[i];
		const struct ip *addresses[] = {&ep->ip4, &ep->ip6};
		for (size_t k = 0; k < ARRAY_SIZE(addresses); k++) {
			char text[IP_TEXT_MAX];
			ip_text(addresses[k], text);
			if (!*text)
				continue;
			if (!str_empty(c->spec->domainname))
				strbuf_printf(b, "%s\t%s.%s %s\n", text, hostname, c->spec->domainname,
					      hostname);
			else
				strbuf_printf(b, "%s\t%s\n", text, hostname);
		}
	}
	return links_hosts(e, &r->endpoints, b);
}

/* The lines of the host's file that mean something in the container: a server on the host's loopback is not there. */
static void host_resolv(bool resolver, const struct container_spec *s, struct strbuf *b)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct err *error = file_read("/etc/resolv.conf", RESOLV_MAX, &text, &size);

	if (error) {
		err_free(error); /* a host without name service: neither has the container */
		return;
	}
	bool own_network = !str_eq(s->network, "host");
	_cleanup_strv_ char **lines = strv_split(text, "\n");
	STRV_FOREACH (l, lines) {
		bool server = str_starts(*l, "nameserver"),
		     search = str_starts(*l, "search") || str_starts(*l, "domain"),
		     options = str_starts(*l, "options");
		const char *address = *l + 10 + (server ? strspn(*l + 10, " \t") : 0);
		if ((server && (resolver || s->dns ||
				(own_network && (str_starts(address, "127.") || str_eq(address, "::1"))))) ||
		    (search && s->dns_search) || (options && s->dns_options) || **l == '#' || **l == ';')
			continue;
		if (options && resolver)
			strbuf_printf(b, "%s%s\n", *l, strstr(*l, "ndots:") ? "" : " ndots:0");
		else
			strbuf_printf(b, "%s\n", *l);
	}
}

/* Servers of the host that a container cannot reach by itself, because they listen on the host's loopback. */
static bool host_servers_local(void)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct err *error = file_read("/etc/resolv.conf", RESOLV_MAX, &text, &size);
	bool local = false;

	if (error) {
		err_free(error);
		return false;
	}
	_cleanup_strv_ char **lines = strv_split(text, "\n");
	STRV_FOREACH (l, lines) {
		if (!str_starts(*l, "nameserver"))
			continue;
		const char *address = *l + 10 + strspn(*l + 10, " \t");
		if (!str_starts(address, "127.") && !str_eq(address, "::1"))
			return false;
		local = true;
	}
	return local;
}

void network_resolv(const struct container *c, bool resolver, struct strbuf *b)
{
	const struct container_spec *s = c->spec;

	if (resolver)
		strbuf_puts(b, "nameserver 127.0.0.11\n");
	else
		STRV_FOREACH (d, s->dns)
			strbuf_printf(b, "nameserver %s\n", *d);
	host_resolv(resolver, s, b);
	if (s->dns_search && !strv_contains(s->dns_search, ".")) {
		_cleanup_free_ char *list = strv_join(s->dns_search, " ");
		strbuf_printf(b, "search %s\n", list);
	}
	if (s->dns_options) {
		_cleanup_free_ char *list = strv_join(s->dns_options, " ");
		strbuf_printf(b, "options %s%s\n", list,
			      resolver && !strstr(list, "ndots:") ? " ndots:0" : "");
	} else if (resolver && !strstr(strbuf_str(b), "\noptions ")) {
		strbuf_puts(b, "options ndots:0\n");
	}
}

/* -- the resolver's sockets --- */

static struct err *resolver_socket(int netns, int type, int *ret_fd, uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f00000b)};
	socklen_t size = sizeof(a);
	_cleanup_fd_ int fd = -1;

	TRY(netns_socket(netns, AF_INET, type | SOCK_NONBLOCK, 0, &fd));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (type == SOCK_STREAM && listen(fd, 16) < 0) ||
	    getsockname(fd, (struct sockaddr *)&a, &size) < 0)
		return err_errno(errno, "cannot open the container's resolver at 127.0.0.11");
	*ret_port = ntohs(a.sin_port);
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

static struct err *open_resolver(struct network_run *r)
{
	uint16_t udp, tcp;

	TRY(resolver_socket(r->netns, SOCK_DGRAM, &r->dns_udp, &udp));
	TRY(resolver_socket(r->netns, SOCK_STREAM, &r->dns_tcp, &tcp));
	return r->resolver ? rules_redirect_dns(r->netns, udp, tcp) : NULL;
}

/* -- up --- */

static struct err *connect_all(struct engine *e, const struct container *c, struct network_run *r)
{
	_cleanup_fd_ int sock = -1;
	const struct endpoint *gateway4, *gateway6;

	TRY(endpoints_allocate(e, c, &r->endpoints));
	gateway4 = endpoint_gateway(&r->endpoints, false);
	gateway6 = endpoint_gateway(&r->endpoints, true);
	bool ipv6 = r->endpoints.items[0].ip6.family != 0;
	TRY(netns_make(ipv6, &r->netns, &sock));
	if (userns_wanted(c->spec))
		TRY(netns_open_to_users(r->netns));
	TRY(network_conf_write(e, c, &r->endpoints)); /* from here on network_undo knows what to do */
	for (size_t i = 0; i < r->endpoints.n; i++) {
		const struct endpoint *ep = &r->endpoints.items[i];
		if (ipv6 != (ep->ip6.family != 0)) {
			ipv6 = !ipv6;
			TRY(netns_default_ipv6(r->netns, ipv6));
		}
		TRY(link_make(ep, r->netns, sock, ep == gateway4, ep == gateway6));
		if (network_is_default(ep->network))
			continue;
		r->resolver = true;
		TRY(names_add(e, c, ep));
	}
	TRY(rules_ensure(e));
	TRY(ports_publish(e, c, &r->endpoints, &r->holder));
	if (!r->resolver && !c->spec->dns && host_servers_local())
		r->resolver = true;
	return open_resolver(r);
}

/* An ordinary user's: no network of ours is in it. */
static struct err *connect_pasta(struct engine *e, const struct container *c, struct network_run *r)
{
	static const struct ip any4 = {.family = AF_INET};
	struct ports p = {0}, exposed = {0};
	struct db *db;

	TRY(engine_db(e, &db));
	TRY(netns_make_apart(&r->netns));
	TRY(publish_parse(c->spec->publish, "--publish", &p));
	struct err *error =
		c->spec->publish_all ? publish_parse(c->spec->expose, "--expose", &exposed) : NULL;
	for (size_t i = 0; !error && i < exposed.n; i++)
		ports_push(&p, exposed.items[i], &any4, &any4, false);
	for (size_t i = 0; i < p.n; i++) {
		if (!p.items[i].host.family)
			p.items[i].host = any4;
		p.items[i].target = any4;
	}
	if (!error)
		error = pasta_up(c, r->netns, &p);
	if (!error && p.n) {
		_cleanup_free_ char *text = ports_to_text(&p);
		error = db_run(db, NULL, "INSERT OR REPLACE INTO ports (container, ports) VALUES (?,?)", "ss",
			       c->id, text);
	}
	free(exposed.items);
	free(p.items);
	TRY(error);
	r->resolver = c->spec->dns || host_servers_local();
	return r->resolver ? open_resolver(r) : NULL;
}

static struct err *share(struct engine *e, const struct container *c, struct network_run *r)
{
	_cleanup_container_ struct container *other = NULL;

	TRY_WRAP(container_find(e, c->spec->network + strlen("container:"), &other), "--network %s",
		 c->spec->network);
	if (other->status != CONTAINER_RUNNING && other->status != CONTAINER_PAUSED)
		return err_new(ERR_STATE, "cannot join the network of a non running container: %s",
			       other->name);
	TRY(container_open_proc(other, "ns/net", &r->netns));
	r->etc_dir = xstrdup(other->root_dir);
	return NULL;
}

/* gVisor wants a namespace that is there already. */
static struct err *only_loopback(struct network_run *r)
{
	_cleanup_fd_ int sock = -1;

	TRY(netns_make(true, &r->netns, &sock));
	return loopback_up(sock);
}

struct err *network_up(struct engine *e, const struct container *c, struct network_run *ret)
{
	const char *mode = c->spec->network;

	if (c->spec->runtime && str_eq(mode, "none"))
		return only_loopback(ret);
	if (!mode || str_eq(mode, "none") || str_eq(mode, "host"))
		return NULL;
	if (str_starts(mode, "container:"))
		return share(e, c, ret);
	if (str_eq(mode, "pasta"))
		return connect_pasta(e, c, ret);
	if (!user_is_root())
		return err_new(
			ERR_PERMISSION,
			"network %s needs root: an ordinary user's containers have --network pasta, none or "
			"host",
			mode);
	TRY(endpoints_of(e, c->id, &ret->endpoints));
	if (ret->endpoints.n == 0)
		return err_new(ERR_NOT_FOUND,
			       "network %s not found: it was removed, or the container disconnected; connect "
			       "it to another "
			       "with `network connect`",
			       mode);
	return connect_all(e, c, ret);
}

/* -- what was asked for --- */

/* One --network: NAME, NAME:option=value,… or name=NAME,option=value,… */
struct wish {
	char *name;
	char *ip, *ip6, *mac;
	char **aliases, **links, **driver_options;
};

static void wish_release(struct wish *w)
{
	free(w->name);
	free(w->ip);
	free(w->ip6);
	free(w->mac);
	strv_free(w->aliases);
	strv_free(w->links);
	strv_free(w->driver_options);
}

static struct err *wish_option(struct wish *w, const char *option)
{
	const char *eq = strchr(option, '=');
	size_t key = eq ? (size_t)(eq - option) : strlen(option);
	const struct {
		const char *name;
		char **text, ***list;
	} known[] = {
		{"name", &w->name, NULL},       {"alias", NULL, &w->aliases},
		{"ip", &w->ip, NULL},           {"ip6", &w->ip6, NULL},
		{"mac-address", &w->mac, NULL}, {"mac", &w->mac, NULL},
		{"link", NULL, &w->links},      {"driver-opt", NULL, &w->driver_options},
	};

	for (size_t i = 0; eq && i < ARRAY_SIZE(known); i++) {
		if (strlen(known[i].name) != key || strncmp(known[i].name, option, key) != 0)
			continue;
		if (known[i].list) {
			strv_push(known[i].list, eq + 1);
		} else {
			free(*known[i].text);
			*known[i].text = xstrdup(eq + 1);
		}
		return NULL;
	}
	return err_new(
		ERR_INVALID,
		"--network: invalid field \"%.64s\": there are name, alias, ip, ip6, mac-address, driver-opt",
		option);
}

static struct err *wish_parse(const char *text, struct wish *w)
{
	const char *colon = strchr(text, ':'), *eq = strchr(text, '=');
	const char *options = text;

	if (!eq || (colon && colon < eq)) { /* podman's form, or a name alone */
		w->name = colon && eq ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);
		options = colon && eq ? colon + 1 : "";
	}
	_cleanup_strv_ char **list = strv_split(options, ",");
	STRV_FOREACH (o, list)
		TRY(wish_option(w, *o));
	if (str_empty(w->name))
		return err_new(ERR_INVALID, "--network %.64s: no network is named", text);
	if (str_eq(w->name, "default")) {
		free(w->name);
		w->name = xstrdup("bridge");
	}
	return NULL;
}

/* The flags --ip, --network-alias and so on belong to the first network. */
static struct err *wish_for(const struct container_spec *s, size_t i, struct wish *w)
{
	TRY(wish_parse(s->networks ? s->networks[i] : s->network, w));
	if (i > 0)
		return NULL;
	if (s->ip && !w->ip)
		w->ip = xstrdup(s->ip);
	if (s->ip6 && !w->ip6)
		w->ip6 = xstrdup(s->ip6);
	if (s->mac_address && !w->mac)
		w->mac = xstrdup(s->mac_address);
	STRV_FOREACH (a, s->network_aliases)
		strv_push(&w->aliases, *a);
	STRV_FOREACH (l, s->links)
		strv_push(&w->links, *l);
	return NULL;
}

static size_t wishes(const struct container_spec *s)
{
	return s->networks ? strv_len(s->networks) : 1;
}

static struct err *check_wish(struct engine *e, const struct wish *w, bool alone)
{
	_cleanup_network_ struct network *n = NULL;
	struct endpoint_options o = {
		.ip = w->ip, .ip6 = w->ip6, .mac = w->mac, .aliases = w->aliases, .links = w->links};

	if (str_starts(w->name, "container:") || network_mode_alone(w->name)) {
		if (!alone)
			return err_new(ERR_INVALID, "conflicting options: cannot attach both user-defined "
						    "and non-user-defined network-modes");
		if (w->ip || w->ip6 || w->mac || w->aliases || w->links)
			return err_new(
				ERR_INVALID,
				"conflicting options: an address, alias or link and the network mode %s",
				w->name);
		return NULL;
	}
	TRY(network_find(e, w->name, &n));
	return endpoint_options_check(n, &o);
}

static const char *default_network(void)
{
	const char *own = getenv("HAVRE_NETWORK");

	if (!str_empty(own))
		return own;
	return user_is_root() ? "bridge" : "pasta";
}

static struct err *check_dns(const struct container_spec *s)
{
	STRV_FOREACH (d, s->dns) {
		struct ip a;
		TRY(ip_parse(*d, "--dns", &a));
	}
	STRV_FOREACH (d, s->dns_search)
		if (strpbrk(*d, " \t\n"))
			return err_new(ERR_INVALID, "--dns-search \"%.64s\" is not a domain", *d);
	STRV_FOREACH (d, s->dns_options)
		if (strpbrk(*d, " \t\n"))
			return err_new(ERR_INVALID, "--dns-option \"%.64s\" is not an option", *d);
	return NULL;
}

/* A network that nobody asked for is no reason to fail where it cannot be had: a kernel without bridges or nftables, a sandbox without the
 * rights. Once the bridge is there, it can. */
static struct err *fall_back(struct engine *e, struct container_spec *s, char ***warnings)
{
	_cleanup_network_ struct network *n = NULL;
	unsigned index;
	bool made = false;

	if (str_eq(s->network, "none") || str_eq(s->network, "host"))
		return NULL;
	struct err *error = NULL;
	if (str_eq(s->network, "pasta"))
		error = pasta_check();
	else
		TRY(network_find(e, s->network, &n));
	if (n && network_is_bridge(n))
		error = bridge_ensure(n, &index, &made);
	if (!error && made)
		error = rules_ensure(e);
	if (!error)
		return NULL;
	_cleanup_free_ char *why = err_text(error);
	strv_push_take(warnings,
		       xasprintf("the container has no network: %s (say --network none, or host)", why));
	err_free(error);
	free(s->network);
	s->network = xstrdup("none");
	return NULL;
}

static struct err *exposed_parse(const char *text, struct ports *ret)
{
	char *const list[] = {(char *)(uintptr_t)text, NULL};

	if (strchr(text, ':'))
		return err_new(ERR_INVALID, "--expose \"%.64s\" is not PORT[-PORT][/PROTOCOL]; -p publishes",
			       text);
	return publish_parse(list, "--expose", ret);
}

void network_expose(struct container_spec *s, const char *port)
{
	struct ports p = {0};
	struct err *error = exposed_parse(port, &p);

	if (!error && !strv_contains(s->expose, port))
		strv_push(&s->expose, port);
	err_free(error);
	free(p.items);
}

struct err *network_check(struct engine *e, struct container_spec *s, char ***warnings)
{
	struct ports p = {0};

	if (!s->network) {
		s->network = xstrdup(default_network());
		if (!s->publish && !s->publish_all && !s->links)
			TRY(fall_back(e, s, warnings));
	}
	for (size_t i = 0; i < wishes(s); i++) {
		_cleanup_(wish_release) struct wish w = {0};
		TRY(wish_for(s, i, &w));
		TRY(check_wish(e, &w, wishes(s) == 1));
		if (i == 0) {
			free(s->network);
			s->network = TAKE_PTR(w.name);
		}
	}
	if (str_starts(s->network, "container:")) {
		if (s->hostname)
			return err_new(ERR_INVALID, "conflicting options: hostname and the network mode");
		if (s->publish || s->publish_all)
			return err_new(
				ERR_INVALID,
				"conflicting options: port publishing and the container type network mode");
		if (s->add_hosts || s->dns || s->dns_search || s->dns_options)
			return err_new(
				ERR_INVALID,
				"conflicting options: dns or custom host-to-IP mapping and the network mode");
	}
	if (s->publish && str_eq(s->network, "host"))
		strv_push(warnings, "published ports are discarded when using host network mode");
	if (s->publish && str_eq(s->network, "none"))
		strv_push(warnings, "published ports are discarded without a network");
	TRY(check_dns(s));
	TRY(publish_parse(s->publish, "--publish", &p));
	free(p.items);
	STRV_FOREACH (x, s->expose) {
		p = (struct ports){0};
		TRY(exposed_parse(*x, &p));
		free(p.items);
	}
	return NULL;
}

struct err *network_insert_endpoints(struct engine *e, const struct container *c)
{
	const char *mode = c->spec->network;

	if (!mode || network_mode_alone(mode) || str_starts(mode, "container:"))
		return NULL;
	for (size_t i = 0; i < wishes(c->spec); i++) {
		_cleanup_(wish_release) struct wish w = {0};
		_cleanup_network_ struct network *n = NULL;
		TRY(wish_for(c->spec, i, &w));
		struct endpoint_options o = {.ip = w.ip,
					     .ip6 = w.ip6,
					     .mac = w.mac,
					     .aliases = w.aliases,
					     .links = w.links,
					     .driver_options = w.driver_options};
		TRY(network_find(e, w.name, &n));
		struct err *error = endpoint_insert(e, c->id, n->id, &o, (unsigned)i);
		if (error && error->kind == ERR_EXISTS) {
			err_free(error);
			return err_new(ERR_INVALID, "--network %s is given twice", w.name);
		}
		TRY(error);
	}
	return NULL;
}
