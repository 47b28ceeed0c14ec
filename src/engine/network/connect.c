/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting and disconnecting a container that exists, and perhaps runs. Its lock serialises this with its start. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "event.h"
#include "join.h"
#include "namespace_join.h"
#include "undo.h"

#define POSITIONS_MAX 4096u

static bool is_up(const struct container *c)
{
	return c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED;
}

/* The namespace of a container that runs, and a socket in it. */
static struct err *open_netns(struct container *c, int *ret_netns, int *ret_sock)
{
	_cleanup_fd_ int netns = -1;

	TRY(container_open_proc(c, "ns/net", &netns));
	TRY(netns_socket(netns, AF_NETLINK, 0, NETLINK_ROUTE, ret_sock));
	*ret_netns = TAKE_FD(netns);
	return NULL;
}

/* While a running container is connected or disconnected there is a file RUN/containers/ID/network-changes.NETWORK. Who finds one without
 * its maker (under the container's lock) does the work anew; the next run has none. */
static char *change_path(const struct container *c, const struct network *n)
{
	return xasprintf("%s/network-changes.%.12s", c->run_dir, n->id);
}

static struct err *change_begins(const struct container *c, const struct network *n)
{
	_cleanup_free_ char *path = change_path(c, n);

	return is_up(c) ? file_replace_at(AT_FDCWD, path, "", 0, 0600, FILE_VOLATILE) : NULL;
}

static void change_ends(const struct container *c, const struct network *n)
{
	_cleanup_free_ char *path = change_path(c, n);

	(void)unlink(path);
}

static bool change_was_cut(const struct container *c, const struct network *n)
{
	_cleanup_free_ char *path = change_path(c, n);

	return access(path, F_OK) == 0;
}

/* The container's files as they are now: written in place, for a running container has them mounted. */
static struct err *rewrite_files(struct engine *e, struct container *c, struct network_run *r)
{
	for (size_t i = 0; i < r->endpoints.n; i++)
		r->resolver |= !network_is_default(r->endpoints.items[i].network);
	TRY(network_conf_write(e, c, &r->endpoints));
	return container_write_etc(e, c, r);
}

static unsigned free_position(const struct endpoints *v)
{
	for (unsigned p = 0; p < POSITIONS_MAX; p++) {
		bool taken = false;
		for (size_t i = 0; i < v->n; i++)
			taken |= v->items[i].position == p;
		if (!taken)
			return p;
	}
	return POSITIONS_MAX;
}

static struct endpoint *find(const struct endpoints *v, const struct network *n)
{
	for (size_t i = 0; i < v->n; i++)
		if (str_eq(v->items[i].network->id, n->id))
			return &v->items[i];
	return NULL;
}

static struct err *connect_running(struct engine *e, struct network *n, struct container *c)
{
	_cleanup_(network_run_release) struct network_run r = NETWORK_RUN_NONE;
	_cleanup_fd_ int sock = -1;
	bool gateway4 = true, gateway6 = true;

	TRY(open_netns(c, &r.netns, &sock));
	TRY(endpoints_allocate(e, c, &r.endpoints));
	const struct endpoint *own = find(&r.endpoints, n);
	if (!own)
		return err_new(ERR_NOT_FOUND, "network %s not found", n->spec.name);
	gateway4 = !n->spec.internal && own->ip4.family;
	gateway6 = !n->spec.internal && own->ip6.family;
	for (size_t i = 0; i < r.endpoints.n; i++) { /* the default route stays where it is */
		const struct endpoint *ep = &r.endpoints.items[i];
		if (ep == own || ep->network->spec.internal)
			continue;
		gateway4 &= !ep->ip4.family;
		gateway6 &= !ep->ip6.family;
	}
	TRY(rules_ensure(e));
	TRY(netns_default_ipv6(r.netns, own->ip6.family != 0));
	TRY(link_make(own, r.netns, sock, gateway4, gateway6));
	if (!network_is_default(n))
		TRY(names_add(e, c, own));
	TRY(ports_change(e, c, c->spec, &r.endpoints));
	return rewrite_files(e, c, &r);
}

static struct err *delete_row(struct engine *e, const struct network *n, const struct container *c)
{
	struct db *db;

	TRY(engine_db(e, &db));
	return db_run(db, NULL, "DELETE FROM endpoints WHERE container=? AND network=?", "ss", c->id, n->id);
}

/* What there is of a connection that was not finished. */
static struct err *take_back(struct engine *e, const struct network *n, struct container *c,
			     const struct endpoint *own)
{
	_cleanup_fd_ int netns = -1, sock = -1;

	TRY(open_netns(c, &netns, &sock));
	TRY(link_remove(sock, own->ifname));
	return delete_row(e, n, c);
}

static void say(struct engine *e, const struct network *n, const struct container *c, const char *action)
{
	event_other(e, "network", action, n->id, "container", c->id, "name", n->spec.name, "type",
		    n->spec.driver, NULL);
	event_run_changed(e, c);
}

struct err *network_connect(struct engine *e, struct network *n, struct container *c,
			    const struct endpoint_options *o)
{
	_cleanup_fd_ int lock = -1;
	_cleanup_endpoints_ struct endpoints v = {0};
	const char *mode = c->spec->network ? c->spec->network : "none";

	if (str_eq(n->spec.driver, "host") || str_eq(n->spec.driver, "null"))
		return err_new(ERR_INVALID,
			       "a container cannot be connected to the network %s: give it --network %s when "
			       "it is made",
			       n->spec.name, n->spec.name);
	if (network_mode_alone(mode) || str_starts(mode, "container:"))
		return err_new(
			ERR_INVALID,
			"container %s has the network mode %s and cannot be connected to other networks",
			c->name, mode);
	TRY(endpoint_options_check(n, o));
	TRY(container_lock(e, c, &lock));
	TRY(endpoints_of(e, c->id, &v));
	const struct endpoint *own = find(&v, n);
	bool again = own && change_was_cut(c, n);
	if (own && !again)
		return err_new(ERR_EXISTS, "endpoint with name %s already exists in network %s", c->name,
			       n->spec.name);
	TRY(change_begins(c, n));
	if (again)
		TRY(take_back(e, n, c, own));
	TRY(endpoint_insert(e, c->id, n->id, o, own ? own->position : free_position(&v)));
	if (!is_up(c))
		return NULL;
	struct err *error = connect_running(e, n, c);
	if (error)
		err_free(delete_row(e, n, c));
	else
		say(e, n, c, "connect");
	change_ends(c, n);
	return error;
}

static struct err *disconnect_running(struct engine *e, struct network *n, struct container *c,
				      const struct endpoint *own)
{
	_cleanup_(network_run_release) struct network_run r = NETWORK_RUN_NONE;
	_cleanup_fd_ int sock = -1;
	_cleanup_free_ char *names = names_path(e, n);

	TRY(open_netns(c, &r.netns, &sock));
	TRY(link_remove(sock, own->ifname));
	if (!network_is_default(n))
		TRY(names_replace(names, c->id, NULL));
	TRY(delete_row(e, n, c));
	TRY(endpoints_of(e, c->id, &r.endpoints));
	/* The default route went with the interface: the next network that leads out has it now. */
	for (size_t i = 0; i < r.endpoints.n; i++) {
		const struct endpoint *ep = &r.endpoints.items[i];
		if (ep->network->spec.internal)
			continue;
		TRY(link_default_route(sock, ep));
		break;
	}
	TRY(ports_change(e, c, c->spec, &r.endpoints)); /* and with it the published ports */
	return rewrite_files(e, c, &r);
}

struct err *network_disconnect(struct engine *e, struct network *n, struct container *c, bool force)
{
	_cleanup_fd_ int lock = -1;
	_cleanup_endpoints_ struct endpoints v = {0};
	const struct endpoint *own;

	TRY(container_lock(e, c, &lock));
	TRY(endpoints_of(e, c->id, &v));
	own = find(&v, n);
	if (!own)
		return force ? NULL
			     : err_new(ERR_NOT_FOUND, "container %s is not connected to network %s", c->name,
				       n->spec.name);
	if (!is_up(c))
		return delete_row(e, n, c);
	TRY(change_begins(c, n));
	TRY(disconnect_running(e, n, c, own));
	change_ends(c, n);
	say(e, n, c, "disconnect");
	return NULL;
}

struct err *network_update_ports(struct engine *e, const struct container *c, const struct container_spec *s)
{
	_cleanup_endpoints_ struct endpoints v = {0};
	const char *mode = s->network ? s->network : "none";

	if (str_starts(mode, "container:") || network_mode_alone(mode))
		return err_new(ERR_INVALID,
			       "the published ports of a running container with the network mode %s cannot "
			       "be changed%s",
			       mode, str_eq(mode, "pasta") ? "; stop it first" : "");
	TRY(endpoints_of(e, c->id, &v));
	return ports_change(e, c, s, &v);
}

struct err *network_renamed(struct engine *e, const struct container *c)
{
	_cleanup_endpoints_ struct endpoints v = {0};

	if (!is_up(c))
		return NULL;
	TRY(endpoints_of(e, c->id, &v));
	for (size_t i = 0; i < v.n; i++)
		if (!network_is_default(v.items[i].network))
			TRY(names_add(e, c, &v.items[i]));
	return NULL;
}
