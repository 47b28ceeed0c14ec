/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: a container in a network. Their rows hold what was asked for, and the addresses (N2). */
#include <arpa/inet.h>
#include <stdio.h>

#include "network_private.h"

void endpoints_release(struct endpoints *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct endpoint *ep = &v->items[i];
		free(ep->id);
		network_free(ep->network);
		free(ep->wanted_ip4);
		free(ep->wanted_ip6);
		free(ep->wanted_mac);
		strv_free(ep->aliases);
		strv_free(ep->links);
		strv_free(ep->driver_options);
	}
	free(v->items);
	*v = (struct endpoints){0};
}

/* -- what was asked for --- */

static bool mac_parse(const char *s, unsigned char mac[6])
{
	unsigned v[6];
	char rest;

	if (strlen(s) != 17 ||
	    sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%c", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &rest) != 6)
		return false;
	for (int i = 0; i < 6; i++)
		mac[i] = (unsigned char)v[i];
	return !(mac[0] & 1);
}

static struct err *check_address(const struct network *n, const char *s, const struct subnet *in,
				 const struct ip *gateway)
{
	struct ip a;

	if (str_empty(s))
		return NULL;
	TRY(ip_parse(s, "--ip", &a));
	if (a.family != (in == &n->v4 ? AF_INET : AF_INET6))
		return err_new(ERR_INVALID, "invalid IPv%d address: %s", in == &n->v4 ? 4 : 6, s);
	if (!in->base.family || !subnet_contains(in, &a))
		return err_new(ERR_INVALID,
			       "invalid config for network %s: no configured subnet contains IP address %s",
			       n->spec.name, s);
	if (ip_equal(&a, gateway))
		return err_new(ERR_EXISTS, "address %s is the gateway of network %s", s, n->spec.name);
	return NULL;
}

struct err *endpoint_options_check(const struct network *n, const struct endpoint_options *o)
{
	unsigned char mac[6];
	bool real = !str_eq(n->spec.driver, "host") && !str_eq(n->spec.driver, "null");

	if ((!str_empty(o->ip) || !str_empty(o->ip6)) && network_predefined(n))
		return err_new(ERR_INVALID, "user specified IP address is supported on user defined networks "
					    "only; make one with `network create`");
	if (o->aliases && !real)
		return err_new(ERR_INVALID,
			       "network-scoped aliases are only supported for user-defined networks");
	if (!str_empty(o->mac) && !real)
		return err_new(ERR_INVALID, "conflicting options: mac-address and the network mode %s",
			       n->spec.name);
	if (!str_empty(o->mac) && !mac_parse(o->mac, mac))
		return err_new(ERR_INVALID, "\"%.32s\" is not a valid mac address", o->mac);
	TRY(check_address(n, o->ip, &n->v4, &n->gateway4));
	return check_address(n, o->ip6, &n->v6, &n->gateway6);
}

struct err *endpoint_insert(struct engine *e, const char *container_id, const char *network_id,
			    const struct endpoint_options *o, unsigned position)
{
	struct db *db;
	_cleanup_json_ struct json *doc = json_new_object();
	char id[65];

	id_generate(id);
	json_set_string(doc, "id", id);
	if (!str_empty(o->ip))
		json_set_string(doc, "ip", o->ip);
	if (!str_empty(o->ip6))
		json_set_string(doc, "ip6", o->ip6);
	if (!str_empty(o->mac))
		json_set_string(doc, "mac", o->mac);
	if (o->aliases)
		json_set_strv(doc, "aliases", o->aliases);
	if (o->links)
		json_set_strv(doc, "links", o->links);
	if (o->driver_options)
		json_set_strv(doc, "driver_options", o->driver_options);
	_cleanup_free_ char *text = json_print(doc, JSON_COMPACT);
	TRY(engine_db(e, &db));
	return db_run(db, NULL, "INSERT INTO endpoints (container, network, position, spec) VALUES (?,?,?,?)",
		      "ssis", container_id, network_id, (int64_t)position, text);
}

static struct err *get_string(const struct json_cursor *o, const char *key, char **ret)
{
	const char *s = NULL;

	TRY(json_get_string(o, key, JSON_OPTIONAL, &s));
	*ret = xstrdup_null(s);
	return NULL;
}

static struct err *decode(const char *text, struct endpoint *ep)
{
	_cleanup_json_ struct json *doc = NULL;

	TRY(json_parse(text, strlen(text), "stored endpoint", &doc));
	struct json_cursor root = json_root(doc);
	TRY(get_string(&root, "id", &ep->id));
	TRY(get_string(&root, "ip", &ep->wanted_ip4));
	TRY(get_string(&root, "ip6", &ep->wanted_ip6));
	TRY(get_string(&root, "mac", &ep->wanted_mac));
	TRY(json_get_strv(&root, "aliases", JSON_OPTIONAL, &ep->aliases));
	TRY(json_get_strv(&root, "links", JSON_OPTIONAL, &ep->links));
	return json_get_strv(&root, "driver_options", JSON_OPTIONAL, &ep->driver_options);
}

/* Of an address, so that whoever has the address again also answers to the old MAC in the neighbours' caches. */
static void choose_mac(struct endpoint *ep)
{
	const struct ip *a = ep->ip4.family ? &ep->ip4 : &ep->ip6;

	if (ep->wanted_mac && mac_parse(ep->wanted_mac, ep->mac))
		return;
	ep->mac[0] = 0x02;
	ep->mac[1] = 0x42;
	if (ip_size(a))
		memcpy(ep->mac + 2, a->b + ip_size(a) - 4, 4);
}

struct err *endpoints_of(struct engine *e, const char *container_id, struct endpoints *ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	_cleanup_endpoints_ struct endpoints v = {0};
	size_t cap = 0;
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt,
		     "SELECT e.spec, e.ip4, e.ip6, n.id, n.name, n.created_ns, n.spec, e.position FROM "
		     "endpoints e JOIN networks n "
		     "ON n.id=e.network WHERE e.container=? ORDER BY e.position",
		     "s", container_id));
	while (true) {
		TRY(db_step(stmt, &row));
		if (!row)
			break;
		GROW(v.items, v.n, cap);
		struct endpoint *ep = &v.items[v.n++];
		*ep = (struct endpoint){.network = xnew(struct network)};
		snprintf(ep->network->id, sizeof(ep->network->id), "%s", db_column_text(stmt, 3));
		ep->network->spec.name = xstrdup(db_column_text(stmt, 4));
		ep->network->created_ns = db_column_i64(stmt, 5);
		TRY(network_from_json(db_column_text(stmt, 6), ep->network));
		TRY(decode(db_column_text(stmt, 0), ep));
		ep->position = (unsigned)db_column_i64(stmt, 7);
		snprintf(ep->ifname, sizeof(ep->ifname), "eth%u", ep->position);
		if (db_column_text(stmt, 1))
			ep->ip4 = subnet_address(&ep->network->v4, db_column_i64(stmt, 1));
		if (db_column_text(stmt, 2))
			ep->ip6 = subnet_address(&ep->network->v6, db_column_i64(stmt, 2));
		choose_mac(ep);
	}
	*ret = v;
	v = (struct endpoints){0};
	return NULL;
}

/* -- addresses --- */

static bool is_reserved(const struct network *n, const struct ip *a)
{
	if (ip_equal(a, &n->gateway4) || ip_equal(a, &n->gateway6))
		return true;
	STRV_FOREACH (s, n->spec.aux_addresses) {
		const char *eq = strchr(*s, '=');
		struct ip aux;
		struct err *error = ip_parse(eq ? eq + 1 : *s, "", &aux);
		if (!error && ip_equal(a, &aux))
			return true;
		err_free(error);
	}
	return false;
}

/* Takes the addresses of containers that do not run. */
static struct err *sweep(struct engine *e, const struct network *n, const char *keep)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	_cleanup_strv_ char **dead = NULL;
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(
		db, &stmt,
		"SELECT container FROM endpoints WHERE network=? AND (ip4 IS NOT NULL OR ip6 IS NOT NULL)",
		"s", n->id));
	while (true) {
		TRY(db_step(stmt, &row));
		if (!row)
			break;
		_cleanup_free_ char *run_dir = xasprintf("%s/containers/%s", e->run, db_column_text(stmt, 0));
		if (!str_eq(db_column_text(stmt, 0), keep) && !monitor_alive(run_dir))
			strv_push(&dead, db_column_text(stmt, 0));
	}
	db_done(TAKE_PTR(stmt));
	STRV_FOREACH (c, dead)
		TRY(db_run(db, NULL,
			   "UPDATE endpoints SET ip4=NULL, ip6=NULL WHERE network=? AND container=?", "ss",
			   n->id, *c));
	return NULL;
}

/* The lowest address that no row has; *ret -1: none. */
static struct err *lowest_free(struct engine *e, const struct network *n, bool v6, int64_t *ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	const struct subnet *net = v6 ? &n->v6 : &n->v4, *range = v6 ? &n->range6 : &n->range4;
	int64_t first = subnet_index(net, &range->base), size = subnet_size(range);
	/* The first address of a subnet is its own, the last one of IPv4 is the broadcast; a range inside may have both. */
	int64_t next = first == 0 && size > 2 ? 1 : first, end = size == INT64_MAX ? INT64_MAX : first + size;
	bool row;

	if (!v6 && size > 2 && end == subnet_size(net))
		end--;
	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt,
		     v6 ? "SELECT ip6 FROM endpoints WHERE network=? AND ip6>=? ORDER BY ip6"
			: "SELECT ip4 FROM endpoints WHERE network=? AND ip4>=? ORDER BY ip4",
		     "si", n->id, next));
	while (true) {
		TRY(db_step(stmt, &row));
		int64_t taken = row ? db_column_i64(stmt, 0) : INT64_MAX;
		for (; next < end && next < taken; next++) {
			struct ip a = subnet_address(net, next);
			if (is_reserved(n, &a))
				continue;
			*ret = next;
			return NULL;
		}
		if (!row || next >= end)
			break;
		next = taken + 1;
	}
	*ret = -1;
	return NULL;
}

static struct err *set_address(struct engine *e, const struct container *c, const struct network *n, bool v6,
			       int64_t index)
{
	struct db *db;

	TRY(engine_db(e, &db));
	return db_run(db, NULL,
		      v6 ? "UPDATE endpoints SET ip6=? WHERE container=? AND network=?"
			 : "UPDATE endpoints SET ip4=? WHERE container=? AND network=?",
		      "iss", index, c->id, n->id);
}

static struct err *set_wanted(struct engine *e, const struct container *c, struct endpoint *ep, bool v6)
{
	const char *wanted = v6 ? ep->wanted_ip6 : ep->wanted_ip4;
	struct network *n = ep->network;
	struct ip a;

	TRY(ip_parse(wanted, "--ip", &a));
	int64_t index = subnet_index(v6 ? &n->v6 : &n->v4, &a);
	struct err *error = set_address(e, c, n, v6, index);
	if (error && error->kind == ERR_EXISTS) {
		err_free(error);
		TRY(sweep(e, n, c->id));
		error = set_address(e, c, n, v6, index);
	}
	if (error && error->kind == ERR_EXISTS) {
		err_free(error);
		return err_new(ERR_EXISTS, "address %s of network %s is already in use by another container",
			       wanted, n->spec.name);
	}
	TRY(error);
	*(v6 ? &ep->ip6 : &ep->ip4) = a;
	return NULL;
}

static struct err *allocate_one(struct engine *e, const struct container *c, struct endpoint *ep, bool v6)
{
	struct network *n = ep->network;
	const struct subnet *net = v6 ? &n->v6 : &n->v4;
	struct ip *to = v6 ? &ep->ip6 : &ep->ip4;
	int64_t index;

	if (!net->base.family)
		return NULL;
	if (!str_empty(v6 ? ep->wanted_ip6 : ep->wanted_ip4))
		return set_wanted(e, c, ep, v6);
	if (to->family) /* of the start before, and still ours */
		return NULL;
	TRY(lowest_free(e, n, v6, &index));
	if (index < 0) {
		TRY(sweep(e, n, c->id));
		TRY(lowest_free(e, n, v6, &index));
	}
	if (index < 0) {
		char text[SUBNET_TEXT_MAX];
		subnet_text(v6 ? &n->range6 : &n->range4, text);
		return err_new(
			ERR_NO_SPACE,
			"no available addresses in %s of network %s: all are in use by running containers",
			text, n->spec.name);
	}
	TRY(set_address(e, c, n, v6, index));
	*to = subnet_address(net, index);
	return NULL;
}

static struct err *allocate(struct engine *e, const struct container *c, struct endpoints *v)
{
	_cleanup_endpoints_ struct endpoints now = {0};

	/* What the rows say in this transaction: another start may have taken the addresses of the last one. */
	TRY(endpoints_of(e, c->id, &now));
	for (size_t i = 0; i < now.n; i++) {
		TRY(allocate_one(e, c, &now.items[i], false));
		TRY(allocate_one(e, c, &now.items[i], true));
		choose_mac(&now.items[i]);
	}
	endpoints_release(v);
	*v = now;
	now = (struct endpoints){0};
	return NULL;
}

struct err *endpoints_allocate(struct engine *e, const struct container *c, struct endpoints *v)
{
	struct db *db;

	TRY(engine_db(e, &db));
	TRY(db_begin(db));
	struct err *error = allocate(e, c, v);
	if (!error)
		error = db_commit(db, false); /* addresses do not outlive the machine's next start */
	if (error)
		db_rollback(db);
	return error;
}
