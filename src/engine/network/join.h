/* SPDX-License-Identifier: Apache-2.0 */
/* A container's side of networks: what it asked for, and connecting it when it starts. */
#ifndef ENGINE_NETWORK_JOIN_H
#define ENGINE_NETWORK_JOIN_H

#include "network_private.h"

/* What a start hands to the monitor. */
struct network_run {
	int netns;            /* to be joined; -1: the runtime makes one, or the host's */
	int holder;           /* holds the published ports (N4); -1: none */
	int dns_udp, dns_tcp; /* the resolver's sockets in the namespace; -1: none */
	bool resolver;        /* resolv.conf names it */
	char *etc_dir;        /* whose hosts, hostname and resolv.conf it has; NULL: its own */
	struct endpoints endpoints;
};
#define NETWORK_RUN_NONE                                                \
	{                                                               \
		.netns = -1, .holder = -1, .dns_udp = -1, .dns_tcp = -1 \
	}
void network_run_release(struct network_run *r);

/* The spec's networks, ports and addresses make sense; a network that is not given becomes the default one. Prepares
 * container_join_networks. */
_must_check_ struct err *network_check(struct engine *e, struct container_spec *s, char ***warnings);
/* A port that the image exposes; what is none is passed over, so that an image cannot ask for a publication. */
void network_expose(struct container_spec *s, const char *port);
/* Rows of its endpoints, in the transaction that inserts the container. */
_must_check_ struct err *network_insert_endpoints(struct engine *e, const struct container *c);
/* Under the monitor's lock. On failure network_undo(c->run_dir) takes back what is left. */
_must_check_ struct err *network_up(struct engine *e, const struct container *c, struct network_run *ret);
/* Lines of /etc/hosts for the container's own addresses and links. */
_must_check_ struct err *network_hosts(struct engine *e, const struct container *c,
				       const struct network_run *r, const char *hostname, struct strbuf *b);
/* links.c: those lines alone, and the variables of docker's legacy links. ERR_STATE: a linked container does not run. */
_must_check_ struct err *links_hosts(struct engine *e, const struct endpoints *v, struct strbuf *b);
_must_check_ struct err *links_environment(struct engine *e, const struct container *c, char ***ret);
/* start.c: hosts, hostname and resolv.conf, in place. */
_must_check_ struct err *container_write_etc(struct engine *e, const struct container *c,
					     const struct network_run *net);
/* The running container publishes what `s` says from now on. Under its lock. */
_must_check_ struct err *network_update_ports(struct engine *e, const struct container *c,
					      const struct container_spec *s);
/* The running container's name has changed. */
_must_check_ struct err *network_renamed(struct engine *e, const struct container *c);
/* publish_edit.c: takes out of a list of -p what `remove` means (PORT, or more of it), and adds to it. ERR_NOT_FOUND: not in it. */
_must_check_ struct err *publish_edit(char ***list, char *const *add, char *const *remove);
void network_resolv(const struct container *c, bool resolver, struct strbuf *b);

#endif
