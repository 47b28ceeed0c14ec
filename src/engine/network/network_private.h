/* SPDX-License-Identifier: Apache-2.0 */
/* What the network's own files share. */
#ifndef ENGINE_NETWORK_PRIVATE_H
#define ENGINE_NETWORK_PRIVATE_H

#include <net/if.h>

#include "address.h"
#include "base/netlink.h"
#include "engine/network.h"
#include "private.h"

struct network {
	char id[65];
	int64_t created_ns;
	struct network_spec spec; /* as asked for, subnets and gateways filled in */
	struct subnet v4, v6;     /* family 0: none */
	struct subnet range4, range6;
	struct ip gateway4, gateway6;
	char interface[IFNAMSIZ]; /* bridge: its device; macvlan, ipvlan: the parent */
	bool icc, masquerade;
	uint32_t mtu;       /* 0: the kernel's */
	struct ip binding4; /* where ports are published without an address; family 0: everywhere */
};

/* -- network_codec.c: rows --- */
struct json *network_to_json(const struct network *n);
/* Fills what follows from the spec. */
_must_check_ struct err *network_from_json(const char *text, struct network *n);
_must_check_ struct err *network_resolve(struct network *n);

/* -- network.c --- */
/* bridge, host and none have rows after it. */
_must_check_ struct err *networks_prepare(struct engine *e);
_must_check_ struct err *network_by_id(struct engine *e, const char *id, struct network **ret);
/* True for the network called bridge, which gives no names to its containers. */
bool network_is_default(const struct network *n);
bool network_is_bridge(const struct network *n);
_must_check_ struct err *networks_generation(struct engine *e, int64_t *ret);
/* What the rules are made of has changed; in the caller's transaction. */
_must_check_ struct err *networks_changed(struct engine *e);

/* -- endpoint.c: what connects a container and a network --- */
struct endpoint {
	char *id; /* 64 digits */
	struct network *network;
	struct ip ip4, ip6; /* of this start; family 0: none */
	unsigned char mac[6];
	char *wanted_ip4, *wanted_ip6, *wanted_mac;
	char **aliases, **links, **driver_options;
	unsigned position;
	char ifname[IFNAMSIZ]; /* in the container: eth and its position */
};
struct endpoints {
	struct endpoint *items;
	size_t n;
};
void endpoints_release(struct endpoints *v);
#define _cleanup_endpoints_ _cleanup_(endpoints_release)
_must_check_ struct err *endpoints_of(struct engine *e, const char *container_id, struct endpoints *ret);
/* Row of a new endpoint; in the caller's transaction. */
_must_check_ struct err *endpoint_insert(struct engine *e, const char *container_id, const char *network_id,
					 const struct endpoint_options *o, unsigned position);
/* Gives each its addresses (N2). Under the monitor's lock of the container. */
_must_check_ struct err *endpoints_allocate(struct engine *e, const struct container *c, struct endpoints *v);
_must_check_ struct err *endpoint_options_check(const struct network *n, const struct endpoint_options *o);

/* -- link.c: rtnetlink --- */
/* The network's bridge, made when it is missing. */
_must_check_ struct err *bridge_ensure(const struct network *n, unsigned *ret_index, bool *ret_made);
_must_check_ struct err *bridge_remove(const struct network *n);
/* A network namespace of its own, with an rtnetlink socket in it; `ipv6`: interfaces that come have it. */
/* For those who could not return from it (an ordinary user's root). */
_must_check_ struct err *netns_make_apart(int *ret_netns);
_must_check_ struct err *netns_make(bool ipv6, int *ret_netns, int *ret_sock);
/* Low ports and ping for everybody in it: for a container whose user namespace has no rights over it. */
_must_check_ struct err *netns_open_to_users(int netns);
_must_check_ struct err *netns_default_ipv6(int netns, bool on);
/* A socket made inside a namespace. */
_must_check_ struct err *netns_socket(int netns, int family, int type, int protocol, int *ret_fd);
/* The endpoint's interface, in the namespace, with its addresses and, for `gateway`, the default routes. */
_must_check_ struct err *link_make(const struct endpoint *ep, int netns, int sock, bool gateway4,
				   bool gateway6);
_must_check_ struct err *link_remove(int sock, const char *ifname);
/* Lets the bridge send back where a packet came from: with br_netfilter a container that uses its own published port is translated within
 * the bridge. Nothing without br_netfilter. */
_must_check_ struct err *link_hairpin(const struct endpoint *ep);
/* Default routes over an endpoint that is there. */
_must_check_ struct err *link_default_route(int sock, const struct endpoint *ep);
_must_check_ struct err *loopback_up(int sock);
/* Subnets that the host has routes to. Caller frees. */
_must_check_ struct err *host_routes(struct subnet **ret, size_t *ret_n);
void link_host_name(const struct endpoint *ep, char ret[static IFNAMSIZ]);

/* -- rules.c, rules_build.c: nftables --- */
struct port {
	struct ip host; /* family is that of the publication; all zero: every address */
	uint16_t host_port, host_port_last, port; /* host_port 0: any; up to the last: one of them */
	bool twin;        /* the entry before is the same publication in the other family: on the same port */
	uint8_t protocol; /* IPPROTO_* */
	struct ip target; /* the container's address */
};
struct ports {
	struct port *items;
	size_t n, cap;
};
/* The table is there and of today's networks (N5). */
_must_check_ struct err *rules_ensure(struct engine *e);
/* What takes the elements of published ports away again, ready to be sent (undo.h); nothing when they have none. */
void rules_unpublish_batch(struct engine *e, const struct ports *p, struct strbuf *ret);
/* Adds the elements of published ports, which are in the database already. */
_must_check_ struct err *rules_publish(struct engine *e, const struct ports *p);
_must_check_ struct err *rules_remove(struct engine *e); /* when no network is left */
/* In the container's namespace: 127.0.0.11:53 goes to the resolver's own ports. */
_must_check_ struct err *rules_redirect_dns(int netns, uint16_t udp_port, uint16_t tcp_port);

/* -- publish.c: ports --- */
_must_check_ struct err *publish_parse(char *const *list, const char *what, struct ports *ret);
/* As -p has it. Caller frees. */
char *publish_text(const struct port *p);
/* What is bound already. */
struct ports_held {
	const bool *already;      /* of each port, whether it is */
	int holder;               /* whose sockets are taken over; -1: none */
	const struct ports *keep; /* only the sockets of these; NULL: of all */
};
/* Binds (N4): *ret_holder is a socket that holds them all in flight. Ports 0 become those the kernel chose. `held` NULL: nothing is. */
_must_check_ struct err *publish_bind(struct ports *p, const struct ports_held *held, int *ret_holder);
_must_check_ struct err *ports_from_text(const char *text, struct ports *ret);
char *ports_to_text(const struct ports *p);
const char *protocol_name(uint8_t protocol);

/* -- ports.c: the published ports of a run --- */
/* The endpoint that the default route of a family goes through, to which ports are published; NULL: none. */
const struct endpoint *endpoint_gateway(const struct endpoints *v, bool v6);
void ports_push(struct ports *to, struct port p, const struct ip *host, const struct ip *target, bool twin);
/* Binds, writes the row and adds the rules; *ret_holder is left alone when nothing is published. */
_must_check_ struct err *ports_publish(struct engine *e, const struct container *c, const struct endpoints *v,
				       int *ret_holder);
/* The running container's ports become those of `s` at its endpoints of now. Under the container's lock. */
_must_check_ struct err *ports_change(struct engine *e, const struct container *c,
				      const struct container_spec *s, const struct endpoints *v);

/* -- join.c --- */
/* A mode without networks of ours: none, host, pasta. */
bool network_mode_alone(const char *mode);
char *names_path(const struct engine *e, const struct network *n);
/* Its line in the network's name table. */
_must_check_ struct err *names_add(struct engine *e, const struct container *c, const struct endpoint *ep);
/* network.conf of the run: which tables the resolver reads. */
_must_check_ struct err *network_conf_write(struct engine *e, const struct container *c,
					    const struct endpoints *v);

#endif
