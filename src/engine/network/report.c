/* SPDX-License-Identifier: Apache-2.0 */
/* What ps, port and inspect show of networks, in docker's words. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timestamp.h"
#include "network_private.h"
#include "report.h"

static bool is_up(const struct container *c)
{
	return c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED;
}

/* -- ports --- */

static struct err *ports_of(struct engine *e, const struct container *c, struct ports *ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row;

	if (!is_up(c) || (!c->spec->publish && !c->spec->publish_all))
		return NULL;
	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT ports FROM ports WHERE container=?", "s", c->id));
	TRY(db_step(stmt, &row));
	return row ? ports_from_text(db_column_text(stmt, 0), ret) : NULL;
}

/* By container port, then protocol, family and host port. */
static int compare(const void *a, const void *b)
{
	const struct port *x = a, *y = b;

	if (x->protocol != y->protocol)
		return x->protocol < y->protocol ? -1 : 1;
	if (x->host.family != y->host.family)
		return x->host.family < y->host.family ? -1 : 1;
	int hosts = memcmp(x->host.b, y->host.b, sizeof(x->host.b));
	if (hosts)
		return hosts;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return (x->host_port > y->host_port) - (x->host_port < y->host_port);
}

static void host_text(const struct port *p, char ret[static IP_TEXT_MAX + 2])
{
	char text[IP_TEXT_MAX];

	ip_text(&p->host, text);
	snprintf(ret, IP_TEXT_MAX + 2, p->host.family == AF_INET6 ? "[%s]" : "%s", text);
}

static void one_text(struct strbuf *b, const struct port *first, unsigned more)
{
	char host[IP_TEXT_MAX + 2];

	host_text(first, host);
	if (b->len)
		strbuf_puts(b, ", ");
	if (more)
		strbuf_printf(b, "%s:%u-%u->%u-%u/%s", host, first->host_port, first->host_port + more,
			      first->port, first->port + more, protocol_name(first->protocol));
	else
		strbuf_printf(b, "%s:%u->%u/%s", host, first->host_port, first->port,
			      protocol_name(first->protocol));
}

struct err *container_ports_text(struct engine *e, const struct container *c, char **ret)
{
	struct ports p = {0};
	struct ports exposed = {0};
	struct strbuf b = {0};

	TRY(ports_of(e, c, &p));
	if (p.n)
		qsort(p.items, p.n, sizeof(*p.items), compare);
	for (size_t i = 0; i < p.n;) {
		unsigned more = 0;
		while (i + more + 1 < p.n) {
			const struct port *x = &p.items[i], *y = &p.items[i + more + 1];
			if (y->protocol != x->protocol || !ip_equal(&y->host, &x->host) ||
			    y->port != x->port + more + 1 || y->host_port != x->host_port + more + 1)
				break;
			more++;
		}
		one_text(&b, &p.items[i], more);
		i += more + 1;
	}
	/* Exposed, but not published. */
	struct err *error = is_up(c) ? publish_parse(c->spec->expose, "exposed port", &exposed) : NULL;
	for (size_t i = 0; i < exposed.n && !str_eq(c->spec->network, "host"); i++) {
		bool known = false;
		for (size_t k = 0; k < p.n; k++)
			known |= p.items[k].port == exposed.items[i].port &&
				 p.items[k].protocol == exposed.items[i].protocol;
		if (!known)
			strbuf_printf(&b, "%s%u/%s", b.len ? ", " : "", exposed.items[i].port,
				      protocol_name(exposed.items[i].protocol));
	}
	err_free(error);
	free(exposed.items);
	free(p.items);
	*ret = strbuf_take(&b);
	return NULL;
}

static struct json *binding(const char *host, const char *port)
{
	struct json *o = json_new_object();

	json_set_string(o, "HostIp", host);
	json_set_string(o, "HostPort", port);
	return o;
}

/* The list under KEY of an object, made when it is not there. */
static struct json *list_at(struct json *o, const char *key)
{
	struct json_cursor root = json_root(o), member = {0};

	err_free(json_get_array(&root, key, JSON_OPTIONAL, &member));
	if (member.value)
		return member.value;
	struct json *list = json_new_array();
	json_set(o, key, list);
	return list;
}

static void key_text(const struct port *p, char ret[static 16])
{
	snprintf(ret, 16, "%u/%s", p->port, protocol_name(p->protocol));
}

struct err *container_ports_json(struct engine *e, const struct container *c, struct json **ret)
{
	struct ports p = {0}, exposed = {0};
	struct json *o = json_new_object();
	char key[16], host[IP_TEXT_MAX], port[8];

	struct err *error = ports_of(e, c, &p);
	if (!error && is_up(c))
		error = publish_parse(c->spec->expose, "exposed port", &exposed);
	for (size_t i = 0; i < exposed.n; i++) {
		key_text(&exposed.items[i], key);
		json_set(o, key, NULL);
	}
	for (size_t i = 0; i < p.n; i++) {
		key_text(&p.items[i], key);
		ip_text(&p.items[i].host, host);
		snprintf(port, sizeof(port), "%u", p.items[i].host_port);
		json_append(list_at(o, key), binding(host, port));
	}
	free(p.items);
	free(exposed.items);
	if (error) {
		json_unref(o);
		return error;
	}
	*ret = o;
	return NULL;
}

/* What was asked for. */
struct json *network_port_bindings(const struct container_spec *s)
{
	struct ports p = {0};
	struct json *o = json_new_object();
	char key[16], host[IP_TEXT_MAX], port[16];

	err_free(publish_parse(s->publish, "published port", &p));
	for (size_t i = 0; i < p.n; i++) {
		const struct port *x = &p.items[i];
		key_text(x, key);
		ip_text(&x->host, host);
		if (x->host_port_last > x->host_port)
			snprintf(port, sizeof(port), "%u-%u", x->host_port, x->host_port_last);
		else if (x->host_port)
			snprintf(port, sizeof(port), "%u", x->host_port);
		else
			port[0] = '\0';
		json_append(list_at(o, key), binding(host, port));
	}
	free(p.items);
	return o;
}

struct json *network_exposed_ports(const struct container_spec *s)
{
	struct ports p = {0}, published = {0};
	struct json *o = json_new_object();
	char key[16];

	err_free(publish_parse(s->expose, "exposed port", &p));
	err_free(publish_parse(s->publish, "published port", &published));
	for (size_t i = 0; i < p.n + published.n; i++) {
		key_text(i < p.n ? &p.items[i] : &published.items[i - p.n], key);
		json_set(o, key, json_new_object());
	}
	bool any = p.n + published.n > 0;
	free(p.items);
	free(published.items);
	if (any)
		return o;
	json_unref(o);
	return NULL;
}

/* -- networks --- */

struct err *container_networks(struct engine *e, const struct container *c, char ***ret)
{
	_cleanup_endpoints_ struct endpoints v = {0};
	const char *mode = c->spec->network ? c->spec->network : "none";

	if (network_mode_alone(mode)) {
		strv_push(ret, mode);
		return NULL;
	}
	TRY(endpoints_of(e, c->id, &v));
	for (size_t i = 0; i < v.n; i++)
		strv_push(ret, v.items[i].network->spec.name);
	return NULL;
}

static void set_list(struct json *o, const char *key, char *const *v)
{
	if (v)
		json_set_strv(o, key, v);
	else
		json_set(o, key, NULL);
}

static struct json *ipam_config(const struct endpoint *ep)
{
	if (!ep || (!ep->wanted_ip4 && !ep->wanted_ip6))
		return NULL;
	struct json *o = json_new_object();
	if (ep->wanted_ip4)
		json_set_string(o, "IPv4Address", ep->wanted_ip4);
	if (ep->wanted_ip6)
		json_set_string(o, "IPv6Address", ep->wanted_ip6);
	return o;
}

struct shown {
	char ip4[IP_TEXT_MAX], ip6[IP_TEXT_MAX], gateway4[IP_TEXT_MAX], gateway6[IP_TEXT_MAX], mac[24];
	int64_t prefix4, prefix6;
};

static void show(const struct endpoint *ep, bool up, struct shown *s)
{
	*s = (struct shown){0};
	if (!up || !ep)
		return;
	ip_text(&ep->ip4, s->ip4);
	ip_text(&ep->ip6, s->ip6);
	if (!ep->network->spec.internal) {
		ip_text(&ep->network->gateway4, s->gateway4);
		ip_text(&ep->network->gateway6, s->gateway6);
	}
	s->prefix4 = ep->ip4.family ? ep->network->v4.prefix : 0;
	s->prefix6 = ep->ip6.family ? ep->network->v6.prefix : 0;
	const unsigned char *m = ep->mac;
	snprintf(s->mac, sizeof(s->mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void set_dns_names(struct json *o, const struct container *c, const struct endpoint *ep)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_free_ char *short_id = xstrndup(c->id, 12);

	if (!ep || network_is_default(ep->network)) {
		json_set(o, "DNSNames", NULL);
		return;
	}
	strv_push(&names, c->name);
	STRV_FOREACH (a, ep->aliases)
		if (!strv_contains(names, *a))
			strv_push(&names, *a);
	strv_push(&names, short_id);
	if (c->spec->hostname && !strv_contains(names, c->spec->hostname))
		strv_push(&names, c->spec->hostname);
	json_set_strv(o, "DNSNames", names);
}

/* ep NULL: host or none. */
static struct json *endpoint_object(const struct container *c, const struct endpoint *ep,
				    const char *network_id_text)
{
	struct json *o = json_new_object();
	struct shown s;
	bool up = is_up(c);

	show(ep, up, &s);
	json_set(o, "IPAMConfig", ipam_config(ep));
	set_list(o, "Links", ep ? ep->links : NULL);
	set_list(o, "Aliases", ep ? ep->aliases : NULL);
	json_set_string(o, "MacAddress", s.mac);
	json_set(o, "DriverOpts", ep && ep->driver_options ? json_new_pairs(ep->driver_options) : NULL);
	json_set_i64(o, "GwPriority", 0);
	json_set_string(o, "NetworkID", up && ep ? ep->network->id : up ? network_id_text : "");
	json_set_string(o, "EndpointID", up && ep ? ep->id : "");
	json_set_string(o, "Gateway", s.gateway4);
	json_set_string(o, "IPAddress", s.ip4);
	json_set_i64(o, "IPPrefixLen", s.prefix4);
	json_set_string(o, "IPv6Gateway", s.gateway6);
	json_set_string(o, "GlobalIPv6Address", s.ip6);
	json_set_i64(o, "GlobalIPv6PrefixLen", s.prefix6);
	set_dns_names(o, c, ep);
	return o;
}

struct err *network_settings(struct engine *e, const struct container *c, struct json **ret)
{
	_cleanup_endpoints_ struct endpoints v = {0};
	const char *mode = c->spec->network ? c->spec->network : "none";
	_cleanup_json_ struct json *o = json_new_object();
	struct json *networks = json_new_object(), *ports = NULL;
	const struct endpoint *first = NULL;
	struct shown s;

	json_set_string(o, "Bridge", "");
	json_set_string(o, "SandboxID", is_up(c) ? c->id : "");
	_cleanup_free_ char *key = is_up(c) ? xasprintf("/proc/%d/ns/net", (int)c->pid) : xstrdup("");
	json_set_string(o, "SandboxKey", key);
	json_set(o, "Networks", networks);
	TRY(container_ports_json(e, c, &ports));
	json_set(o, "Ports", ports);
	if (network_mode_alone(mode))
		json_set(networks, mode, endpoint_object(c, NULL, ""));
	else
		TRY(endpoints_of(e, c->id, &v));
	for (size_t i = 0; i < v.n; i++) {
		json_set(networks, v.items[i].network->spec.name, endpoint_object(c, &v.items[i], ""));
		if (network_is_default(
			    v.items[i].network)) /* docker fills these for its default network only */
			first = &v.items[i];
	}
	show(first, is_up(c), &s);
	json_set_bool(o, "HairpinMode", false);
	json_set_string(o, "LinkLocalIPv6Address", "");
	json_set_i64(o, "LinkLocalIPv6PrefixLen", 0);
	json_set(o, "SecondaryIPAddresses", NULL);
	json_set(o, "SecondaryIPv6Addresses", NULL);
	json_set_string(o, "EndpointID", is_up(c) && first ? first->id : "");
	json_set_string(o, "Gateway", s.gateway4);
	json_set_string(o, "GlobalIPv6Address", s.ip6);
	json_set_i64(o, "GlobalIPv6PrefixLen", s.prefix6);
	json_set_string(o, "IPAddress", s.ip4);
	json_set_i64(o, "IPPrefixLen", s.prefix4);
	json_set_string(o, "IPv6Gateway", s.gateway6);
	json_set_string(o, "MacAddress", s.mac);
	*ret = TAKE_PTR(o);
	return NULL;
}

/* -- network inspect --- */

static void pool_object(struct json *list, const struct network *n, const struct subnet *s,
			const struct ip *gateway, const struct subnet *range)
{
	char text[SUBNET_TEXT_MAX], address[IP_TEXT_MAX];
	struct json *o;

	if (!s->base.family)
		return;
	o = json_new_object();
	subnet_text(s, text);
	json_set_string(o, "Subnet", text);
	if (range->prefix != s->prefix) {
		subnet_text(range, text);
		json_set_string(o, "IPRange", text);
	}
	ip_text(gateway, address);
	if (*address)
		json_set_string(o, "Gateway", address);
	if (n->spec.aux_addresses && s == &n->v4)
		json_set(o, "AuxiliaryAddresses", json_new_pairs(n->spec.aux_addresses));
	json_append(list, o);
}

static struct err *containers_object(struct engine *e, const struct network *n, struct json **ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	_cleanup_json_ struct json *all = json_new_object();
	_cleanup_strv_ char **ids = NULL;
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT container FROM endpoints WHERE network=? ORDER BY container", "s",
		     n->id));
	while (true) {
		TRY(db_step(stmt, &row));
		if (!row)
			break;
		strv_push(&ids, db_column_text(stmt, 0));
	}
	db_done(TAKE_PTR(stmt));
	STRV_FOREACH (id, ids) {
		_cleanup_container_ struct container *c = NULL;
		_cleanup_endpoints_ struct endpoints v = {0};
		struct err *error = container_by_id(e, *id, &c);
		if (error) { /* removed meanwhile */
			err_free(error);
			continue;
		}
		if (!is_up(c))
			continue;
		TRY(endpoints_of(e, *id, &v));
		for (size_t i = 0; i < v.n; i++) {
			struct shown s;
			if (!str_eq(v.items[i].network->id, n->id))
				continue;
			show(&v.items[i], true, &s);
			_cleanup_free_ char *ip4 = *s.ip4 ? xasprintf("%s/%d", s.ip4, (int)s.prefix4)
							  : xstrdup(""),
					    *ip6 = *s.ip6 ? xasprintf("%s/%d", s.ip6, (int)s.prefix6)
							  : xstrdup("");
			struct json *o = json_new_object();
			json_set_string(o, "Name", c->name);
			json_set_string(o, "EndpointID", v.items[i].id);
			json_set_string(o, "MacAddress", s.mac);
			json_set_string(o, "IPv4Address", ip4);
			json_set_string(o, "IPv6Address", ip6);
			json_set(all, *id, o);
		}
	}
	*ret = TAKE_PTR(all);
	return NULL;
}

struct err *network_inspect(struct engine *e, struct network *n, struct json **ret)
{
	_cleanup_json_ struct json *o = json_new_object();
	struct json *ipam = json_new_object(), *pools = json_new_array(), *from = json_new_object(),
		    *containers = NULL;
	char created[TIMESTAMP_STRING_MAX];

	timestamp_format(n->created_ns, created);
	json_set_string(o, "Name", n->spec.name);
	json_set_string(o, "Id", n->id);
	json_set_string(o, "Created", created);
	json_set_string(o, "Scope", "local");
	json_set_string(o, "Driver", n->spec.driver);
	json_set_bool(o, "EnableIPv4", !n->spec.no_ipv4);
	json_set_bool(o, "EnableIPv6", n->spec.ipv6);
	json_set_string(ipam, "Driver", "default");
	json_set(ipam, "Options", n->spec.ipam_options ? json_new_pairs(n->spec.ipam_options) : NULL);
	pool_object(pools, n, &n->v4, &n->gateway4, &n->range4);
	pool_object(pools, n, &n->v6, &n->gateway6, &n->range6);
	json_set(ipam, "Config", pools);
	json_set(o, "IPAM", ipam);
	json_set_bool(o, "Internal", n->spec.internal);
	json_set_bool(o, "Attachable", n->spec.attachable);
	json_set_bool(o, "Ingress", false);
	json_set_string(from, "Network", "");
	json_set(o, "ConfigFrom", from);
	json_set_bool(o, "ConfigOnly", false);
	TRY(containers_object(e, n, &containers));
	json_set(o, "Containers", containers);
	json_set(o, "Options", json_new_pairs(n->spec.options));
	json_set(o, "Labels", json_new_pairs(n->spec.labels));
	*ret = TAKE_PTR(o);
	return NULL;
}
