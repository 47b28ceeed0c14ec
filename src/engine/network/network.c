/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: making, finding, removing (N1). */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/timestamp.h"
#include "base/user.h"
#include "event.h"
#include "network_private.h"

#define COLUMNS "id, name, created_ns, spec"
#define DEFAULT_ROOT "/var/lib/havre"

/* docker's pools: fifteen networks of 65,534 addresses, then sixteen of 4,094. */
static struct subnet pool(unsigned i)
{
	struct subnet s = {.base = {.family = AF_INET}, .prefix = i < 15 ? 16 : 20};

	s.base.b[0] = i < 15 ? 172 : 192;
	s.base.b[1] = (unsigned char)(i < 15 ? 17 + i : 168);
	s.base.b[2] = (unsigned char)(i < 15 ? 0 : (i - 15) * 16);
	return s;
}
#define POOLS 31u

const char *network_id(const struct network *n)
{
	return n->id;
}

const char *network_name(const struct network *n)
{
	return n->spec.name;
}

const char *network_driver(const struct network *n)
{
	return n->spec.driver;
}

int64_t network_created_ns(const struct network *n)
{
	return n->created_ns;
}

const struct network_spec *network_get_spec(const struct network *n)
{
	return &n->spec;
}

bool network_predefined(const struct network *n)
{
	return str_eq(n->spec.name, "bridge") || str_eq(n->spec.name, "host") || str_eq(n->spec.name, "none");
}

bool network_is_default(const struct network *n)
{
	return str_eq(n->spec.name, "bridge");
}

bool network_is_bridge(const struct network *n)
{
	return str_eq(n->spec.driver, "bridge");
}

/* -- reading --- */

static struct err *from_row(struct db_stmt *row, struct network **ret)
{
	_cleanup_network_ struct network *n = xnew(struct network);

	snprintf(n->id, sizeof(n->id), "%s", db_column_text(row, 0));
	n->spec.name = xstrdup(db_column_text(row, 1));
	n->created_ns = db_column_i64(row, 2);
	TRY_WRAP(network_from_json(db_column_text(row, 3), n), "reading network %s", n->spec.name);
	*ret = TAKE_PTR(n);
	return NULL;
}

void networks_free(struct network **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		network_free(list[i]);
	free(list);
}

static struct err *read_all(struct engine *e, const char *where, const char *a, const char *b,
			    struct network ***ret, size_t *ret_n)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	struct network **list = NULL;
	size_t n = 0, cap = 0;
	bool row = false;
	struct err *error;
	_cleanup_free_ char *sql = xasprintf("SELECT " COLUMNS " FROM networks %s ORDER BY name", where);

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, sql, b ? "ss" : a ? "s" : "", a, b));
	while (!(error = db_step(stmt, &row)) && row) {
		struct network *one = NULL;
		error = from_row(stmt, &one);
		if (error)
			break;
		GROW(list, n, cap);
		list[n++] = one;
	}
	if (error) {
		networks_free(list, n);
		return error;
	}
	*ret = list;
	*ret_n = n;
	return NULL;
}

struct err *network_list(struct engine *e, struct network ***ret, size_t *ret_n)
{
	TRY(networks_prepare(e));
	return read_all(e, "", NULL, NULL, ret, ret_n);
}

static struct err *one_of(struct network **list, size_t n, const char *what, struct network **ret)
{
	if (n > 1) {
		networks_free(list, n);
		return err_new(ERR_INVALID,
			       "\"%.64s\" is the beginning of several networks' ids; give more digits", what);
	}
	if (n == 0) {
		free(list);
		return err_new(ERR_NOT_FOUND, "network %.128s not found", what);
	}
	*ret = list[0];
	free(list);
	return NULL;
}

struct err *network_by_id(struct engine *e, const char *id, struct network **ret)
{
	struct network **list;
	size_t n;

	TRY(read_all(e, "WHERE id=?", id, NULL, &list, &n));
	return one_of(list, n, id, ret);
}

struct err *network_find(struct engine *e, const char *what, struct network **ret)
{
	struct network **list;
	size_t n;

	TRY(networks_prepare(e));
	TRY(read_all(e, "WHERE name=?", str_eq(what, "default") ? "bridge" : what, NULL, &list, &n));
	if (n == 0 && *what && strspn(what, "0123456789abcdef") == strlen(what) && strlen(what) <= 64) {
		_cleanup_free_ char *end = xasprintf("%sg", what);
		free(list);
		TRY(read_all(e, "WHERE id>=? AND id<?", what, end, &list, &n));
	}
	return one_of(list, n, what, ret);
}

struct err *networks_generation(struct engine *e, int64_t *ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT value FROM counters WHERE name='network_generation'", ""));
	TRY(db_step(stmt, &row));
	*ret = row ? db_column_i64(stmt, 0) : 0;
	return NULL;
}

/* -- making --- */

struct err *networks_changed(struct engine *e)
{
	struct db *db;

	TRY(engine_db(e, &db));
	return db_run(db, NULL, "UPDATE counters SET value=value+1 WHERE name='network_generation'", "");
}

static struct err *insert(struct engine *e, const struct network *n)
{
	struct db *db;
	_cleanup_json_ struct json *doc = network_to_json(n);
	_cleanup_free_ char *text = json_print(doc, JSON_COMPACT);

	TRY(engine_db(e, &db));
	TRY(db_run(db, NULL, "INSERT INTO networks (" COLUMNS ") VALUES (?,?,?,?)", "ssis", n->id,
		   n->spec.name, n->created_ns, text));
	return networks_changed(e);
}

/* What is taken: routes of the host, and networks of ours whose bridge is not there now. */
struct taken {
	struct subnet *routes;
	size_t n_routes;
	struct network **networks;
	size_t n_networks;
};

static void taken_release(struct taken *t)
{
	free(t->routes);
	networks_free(t->networks, t->n_networks);
}

static bool is_taken(const struct taken *t, const struct subnet *s)
{
	for (size_t i = 0; i < t->n_routes; i++)
		if (subnet_overlaps(&t->routes[i], s))
			return true;
	for (size_t i = 0; i < t->n_networks; i++)
		if (subnet_overlaps(&t->networks[i]->v4, s) || subnet_overlaps(&t->networks[i]->v6, s))
			return true;
	return false;
}

static void choose_gateway(struct network *n, const struct subnet *s)
{
	char text[IP_TEXT_MAX];
	struct ip *gateway = s->base.family == AF_INET ? &n->gateway4 : &n->gateway6;

	if (!s->base.family || gateway->family)
		return;
	/* The first usable one: a point-to-point subnet (31, 32, 127, 128 bits) has no address of its own. */
	*gateway = subnet_address(s, subnet_size(s) > 2 ? 1 : 0);
	ip_text(gateway, text);
	strv_push(&n->spec.gateways, text);
}

static struct err *choose_subnets(struct network *n, const struct taken *t)
{
	char text[SUBNET_TEXT_MAX];

	if (!n->v4.base.family && !n->spec.no_ipv4) {
		unsigned i = 0;
		struct subnet s = pool(0);
		while (i < POOLS && (s = pool(i), is_taken(t, &s)))
			i++;
		if (i == POOLS)
			return err_new(ERR_NO_SPACE, "all predefined address pools have been fully "
						     "subnetted; give the network a --subnet");
		n->v4 = n->range4 = s;
		subnet_text(&s, text);
		strv_push(&n->spec.subnets, text);
	}
	if (!n->v6.base.family && n->spec.ipv6) {
		/* A unique local prefix (RFC 4193) out of the network's random id. */
		struct subnet s = {.base = {.family = AF_INET6, .b = {0xfd}}, .prefix = 64};
		unsigned v[7] = {0};
		(void)sscanf(n->id, "%2x%2x%2x%2x%2x%2x%2x", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]);
		for (int i = 0; i < 7; i++)
			s.base.b[1 + i] = (unsigned char)v[i];
		n->v6 = n->range6 = s;
		subnet_text(&s, text);
		strv_push(&n->spec.subnets, text);
	}
	choose_gateway(n, &n->v4);
	choose_gateway(n, &n->v6);
	return NULL;
}

static struct err *check_overlap(const struct network *n, const struct taken *t)
{
	const struct subnet *own[2] = {&n->v4, &n->v6};
	char text[SUBNET_TEXT_MAX], other[SUBNET_TEXT_MAX];

	for (int i = 0; i < 2; i++) {
		if (!own[i]->base.family)
			continue;
		subnet_text(own[i], text);
		for (size_t k = 0; k < t->n_networks; k++) {
			const struct network *o = t->networks[k];
			if (!subnet_overlaps(&o->v4, own[i]) && !subnet_overlaps(&o->v6, own[i]))
				continue;
			/* A macvlan's subnet is that of the wire: several may share it on different parents. */
			subnet_text(i == 0 ? &o->v4 : &o->v6, other);
			return err_new(ERR_EXISTS,
				       "invalid pool request: pool %s overlaps with %s of network %s", text,
				       other, o->spec.name);
		}
		for (size_t k = 0; k < t->n_routes && network_is_bridge(n); k++)
			if (subnet_overlaps(&t->routes[k], own[i])) {
				subnet_text(&t->routes[k], other);
				return err_new(ERR_EXISTS,
					       "invalid pool request: pool %s overlaps with %s, to which "
					       "this machine has a route",
					       text, other);
			}
	}
	return NULL;
}

static struct err *make(struct engine *e, struct network *n)
{
	_cleanup_(taken_release) struct taken t = {0};

	/* Within the transaction: two networks made at once see each other. */
	TRY(read_all(e, "", NULL, NULL, &t.networks, &t.n_networks));
	for (size_t i = 0; i < t.n_networks; i++)
		if (str_eq(t.networks[i]->spec.name, n->spec.name))
			return err_new(ERR_EXISTS, "network with name %s already exists", n->spec.name);
	TRY(host_routes(&t.routes, &t.n_routes));
	TRY(network_resolve(n));
	TRY(check_overlap(n, &t));
	if (network_is_bridge(n) || str_eq(n->spec.driver, "macvlan") || str_eq(n->spec.driver, "ipvlan"))
		TRY(choose_subnets(n, &t));
	return insert(e, n);
}

static struct err *make_in_transaction(struct engine *e, struct network *n)
{
	struct db *db;

	TRY(engine_db(e, &db));
	TRY(db_begin(db));
	struct err *error = make(e, n);
	if (!error)
		error = db_commit(db, true);
	if (error)
		db_rollback(db);
	return error;
}

static struct network *new_network(const char *name, const char *driver)
{
	struct network *n = xnew(struct network);

	id_generate(n->id);
	n->created_ns = timestamp_now_ns();
	n->spec.name = xstrdup(name);
	n->spec.driver = xstrdup(driver);
	return n;
}

static struct err *prepare_one(struct engine *e, const char *name, const char *driver)
{
	_cleanup_network_ struct network *n = new_network(name, driver);

	if (str_eq(driver, "bridge")) {
		/* Beside another root on this machine the bridge is called after its id. */
		if (str_eq(e->root, DEFAULT_ROOT))
			strv_push(&n->spec.options, "com.docker.network.bridge.name=havre0");
		strv_push(&n->spec.options, "com.docker.network.bridge.default_bridge=true");
	}
	struct err *error = make_in_transaction(e, n);
	if (error && error->kind == ERR_EXISTS) { /* somebody was faster */
		err_free(error);
		error = NULL;
	}
	return error;
}

struct err *networks_prepare(struct engine *e)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT 1 FROM networks WHERE name='bridge'", ""));
	TRY(db_step(stmt, &row));
	db_done(TAKE_PTR(stmt));
	if (row)
		return NULL;
	TRY(prepare_one(e, "host", "host"));
	TRY(prepare_one(e, "none", "null"));
	return prepare_one(e, "bridge", "bridge"); /* last: its row says that all are there */
}

static struct err *check_spec(const struct network_spec *s)
{
	static const char *const drivers[] = {"bridge", "macvlan", "ipvlan", NULL};
	const char *driver = s->driver ? s->driver : "bridge";
	bool known = false;

	if (name_check(s->name ? s->name : "")) /* its words are about containers */
		return err_new(ERR_INVALID,
			       "\"%.128s\" is no name for a network: letters, digits, and _ . - after the "
			       "first of them",
			       s->name ? s->name : "");
	if (str_eq(s->name, "container") || str_eq(s->name, "default") || str_eq(s->name, "slirp4netns") ||
	    str_eq(s->name, "pasta"))
		return err_new(ERR_INVALID,
			       "a network cannot be called \"%s\": --network %s means something else",
			       s->name, s->name);
	if (str_eq(s->name, "bridge") || str_eq(s->name, "host") || str_eq(s->name, "none"))
		return err_new(ERR_PERMISSION, "operation is not permitted on predefined %s network",
			       s->name);
	for (const char *const *d = drivers; *d; d++)
		known |= str_eq(driver, *d);
	if (str_eq(driver, "host") || str_eq(driver, "null") || str_eq(driver, "none"))
		return err_new(ERR_PERMISSION, "only one instance of \"%s\" network is allowed", driver);
	if (!known)
		return err_new(ERR_NOT_FOUND,
			       "could not find plugin %.64s in v1 plugin registry: the drivers are bridge, "
			       "macvlan, ipvlan",
			       driver);
	if (s->no_ipv4 && !s->ipv6)
		return err_new(ERR_INVALID, "IPv4 or IPv6 must be enabled");
	return NULL;
}

struct err *network_create(struct engine *e, const struct network_spec *s, struct network **ret)
{
	struct err *bad = check_spec(s);

	if (bad)
		return bad;
	if (!user_is_root())
		return err_new(ERR_PERMISSION,
			       "cannot make the network %s: networks of several containers need root; an "
			       "ordinary user's "
			       "containers have --network pasta, none, host or container:NAME, or share one "
			       "in a pod",
			       s->name);
	_cleanup_network_ struct network *n = new_network(s->name, s->driver ? s->driver : "bridge");
	n->spec.subnets = strv_dup(s->subnets);
	n->spec.gateways = strv_dup(s->gateways);
	n->spec.ip_ranges = strv_dup(s->ip_ranges);
	n->spec.aux_addresses = strv_dup(s->aux_addresses);
	n->spec.labels = strv_dup(s->labels);
	n->spec.options = strv_dup(s->options);
	n->spec.ipam_options = strv_dup(s->ipam_options);
	n->spec.internal = s->internal;
	n->spec.attachable = s->attachable;
	n->spec.ipv6 = s->ipv6;
	n->spec.no_ipv4 = s->no_ipv4;
	STRV_FOREACH (net, n->spec.subnets)
		n->spec.ipv6 |= strchr(*net, ':') != NULL;
	if (!network_is_bridge(n) && str_empty(env_get(n->spec.options, "parent")) && !n->spec.internal)
		return err_new(ERR_INVALID,
			       "a %s network needs an interface of this machine to stand on: give it with -o "
			       "parent=INTERFACE",
			       n->spec.driver);
	TRY(networks_prepare(e));
	TRY(make_in_transaction(e, n));
	if (network_is_bridge(n)) {
		unsigned index;
		bool made;
		struct err *error = bridge_ensure(n, &index, &made);
		if (!error)
			error = rules_ensure(e);
		if (error) {
			err_free(network_remove(e, n));
			return error;
		}
	}
	event_other(e, "network", "create", n->id, "name", n->spec.name, "type", n->spec.driver, NULL);
	*ret = TAKE_PTR(n);
	return NULL;
}

/* -- removing --- */

struct err *network_in_use(struct engine *e, const struct network *n, bool *ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT 1 FROM endpoints WHERE network=? LIMIT 1", "s", n->id));
	return db_step(stmt, ret);
}

static struct err *refuse_running(struct engine *e, const struct network *n)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	_cleanup_strbuf_ struct strbuf b = {0};
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt,
		     "SELECT c.id, c.name FROM endpoints e JOIN containers c ON c.id=e.container WHERE "
		     "e.network=?",
		     "s", n->id));
	while (true) {
		TRY(db_step(stmt, &row));
		if (!row)
			break;
		_cleanup_free_ char *run_dir = xasprintf("%s/containers/%s", e->run, db_column_text(stmt, 0));
		if (monitor_alive(run_dir))
			strbuf_printf(&b, "%s%s", b.len ? ", " : "", db_column_text(stmt, 1));
	}
	if (b.len)
		return err_new(
			ERR_STATE,
			"network %s has active endpoints (%s): disconnect or stop these containers first",
			n->spec.name, strbuf_str(&b));
	return NULL;
}

static struct err *remove_rows(struct engine *e, const struct network *n)
{
	struct db *db;

	TRY(engine_db(e, &db));
	TRY(refuse_running(e, n));
	TRY(db_run(db, NULL, "DELETE FROM endpoints WHERE network=?", "s", n->id));
	TRY(db_run(db, NULL, "DELETE FROM networks WHERE id=?", "s", n->id));
	return networks_changed(e);
}

static void remove_names(struct engine *e, const struct network *n)
{
	_cleanup_free_ char *names = names_path(e, n), *lock = xasprintf("%s.lock", names);

	(void)unlink(names);
	(void)unlink(lock);
}

struct err *network_remove(struct engine *e, struct network *n)
{
	struct db *db;

	if (network_predefined(n))
		return err_new(ERR_PERMISSION, "%s is a pre-defined network and cannot be removed",
			       n->spec.name);
	TRY(engine_db(e, &db));
	TRY(db_begin(db));
	struct err *error = remove_rows(e, n);
	/* Before the row is gone for good: who is killed here leaves a network without a bridge, which is made anew when it is needed. */
	if (!error)
		error = bridge_remove(n);
	if (!error)
		remove_names(e, n);
	if (!error)
		error = db_commit(db, true);
	if (error) {
		db_rollback(db);
		return error;
	}
	event_other(e, "network", "destroy", n->id, "name", n->spec.name, "type", n->spec.driver, NULL);
	return rules_ensure(e);
}
