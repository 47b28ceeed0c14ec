/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as objects: what `network create` makes and containers join. docker's words and defaults.
 *
 * Invariants
 *  N1 A network exists exactly when it has a row in engine.db; bridges, rules and name tables are made from the rows when they are missing,
 *     by whichever command needs them.
 *  N2 An address belongs to an endpoint's row, unique in its network by an index of the database; it is in use while the container's monitor
 *     holds its lock. A row without one keeps its address for the next start until somebody else needs it.
 *  N3 The container's end of a veth pair, and with it the host's, dies with the container's network namespace: nothing is deleted by hand.
 *  N4 A host port is held by a socket bound to it, for exactly as long as the monitor lives.
 *  N5 All rules are in one nftables table, which carries the generation of the rows it was made of; a table that is missing, emptied or of
 *     another generation is made anew, in one transaction, by the next command that starts a container or changes a network.
 */
#ifndef ENGINE_NETWORK_H
#define ENGINE_NETWORK_H

#include "engine/engine.h"

/* What is asked for. Owns everything (network_spec_release). */
struct network_spec {
	char *name, *driver; /* NULL: bridge */
	char **subnets, **gateways, **ip_ranges, **aux_addresses /* NAME=ADDRESS */;
	char **labels, **options, **ipam_options /* KEY=value */;
	bool internal, attachable, ipv6, no_ipv4;
};
void network_spec_release(struct network_spec *s);

struct network;
void network_free(struct network *n);
DEFINE_CLEANUP(struct network *, network_free)
#define _cleanup_network_ _cleanup_(network_freep)

const char *network_id(const struct network *n);
const char *network_name(const struct network *n);
const char *network_driver(const struct network *n); /* bridge, host, null, macvlan, ipvlan */
int64_t network_created_ns(const struct network *n);
const struct network_spec *network_get_spec(const struct network *n);
bool network_predefined(const struct network *n); /* bridge, host, none */

_must_check_ struct err *network_create(struct engine *e, const struct network_spec *s, struct network **ret);
/* By name, id, or unique prefix of an id. ERR_NOT_FOUND "network X not found". */
_must_check_ struct err *network_find(struct engine *e, const char *what, struct network **ret);
_must_check_ struct err *network_list(struct engine *e, struct network ***ret, size_t *ret_n); /* by name */
void networks_free(struct network **list, size_t n);
/* ERR_STATE when a running container is connected, or it is predefined. */
_must_check_ struct err *network_remove(struct engine *e, struct network *n);
/* Whether a container is connected, running or not. */
_must_check_ struct err *network_in_use(struct engine *e, const struct network *n, bool *ret);
_must_check_ struct err *network_inspect(struct engine *e, struct network *n,
					 struct json **ret); /* docker's object */

/* How a container joins: flags of `network connect`, options of --network. */
struct endpoint_options {
	const char *ip, *ip6, *mac;
	char *const *aliases, *const *links, *const *driver_options;
};
_must_check_ struct err *network_connect(struct engine *e, struct network *n, struct container *c,
					 const struct endpoint_options *o);
_must_check_ struct err *network_disconnect(struct engine *e, struct network *n, struct container *c,
					    bool force);

/* Published ports of containers: "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp" as ps shows them. Caller frees; "" when it does not run. */
_must_check_ struct err *container_ports_text(struct engine *e, const struct container *c, char **ret);
/* docker's map: {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}; null for exposed ones. */
_must_check_ struct err *container_ports_json(struct engine *e, const struct container *c, struct json **ret);
/* Names of the networks it is connected to. */
_must_check_ struct err *container_networks(struct engine *e, const struct container *c, char ***ret);

#endif
