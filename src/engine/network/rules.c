/* SPDX-License-Identifier: Apache-2.0 */
/* The one table (N5), as nft(8) would write it:
 *
 *   table inet havre {
 *     chain guard       { type filter hook prerouting priority raw; ip daddr 127.0.0.0/8 iifname != "lo" drop }
 *     chain prerouting  { type nat hook prerouting priority dstnat; fib daddr type local jump publish }
 *     chain output      { type nat hook output priority -100; fib daddr type local jump publish }
 *     chain publish     { dnat ip to ip daddr . meta l4proto . th dport map @publish4; dnat ip to meta l4proto . th dport map @any4; … 6 }
 *     chain postrouting { type nat hook postrouting priority srcnat;
 *                         ip saddr @masquerade4 oifname != @bridges masquerade       # out into the world
 *                         ct status dnat ip saddr @subnets4 oifname @bridges masquerade  # hairpin: the answer must come back through us
 *                         ip saddr 127.0.0.0/8 oifname @bridges masquerade           # a port published on this machine's loopback
 *                         … 6 }
 *     chain forward     { type filter hook forward priority filter; ct state established,related accept
 *                         iifname . oifname vmap @pairs                              # within a network: accept, or drop without ICC
 *                         iifname @internal drop; oifname @internal drop
 *                         ct status dnat accept                                      # published
 *                         oifname @bridges drop }                                    # other networks, and from outside past the publication
 *   }
 *
 * Everything that grows is an element of a set or map, so that a packet costs the same with one published port and with a thousand. A network
 * changes the table as a whole; a container adds and deletes elements.
 *
 * Publishing on 127.0.0.1 (and 0.0.0.0 seen from this machine) is NAT, too, with route_localnet on the bridge; `guard` then keeps out who
 * sends to 127.0.0.0/8 from elsewhere. ::1 has no such switch in the kernel: there a connection is refused, and programs go on with 127.0.0.1.
 */
#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>

#include "network_private.h"
#include "nft.h"

#define DEFAULT_RUN "/run/havre"

/* Types as nft(8) numbers them, for its listing only; concatenated six bits each. */
#define TYPE_IPV4 7u
#define TYPE_IPV6 8u
#define TYPE_PROTOCOL 12u
#define TYPE_PORT 13u
#define TYPE_IFNAME 41u
#define CONCAT(a, b) ((a) << 6 | (b))

static char *table_name(const struct engine *e)
{
	uint32_t hash = 2166136261u;

	if (str_eq(e->run, DEFAULT_RUN))
		return xstrdup("havre");
	for (const char *s = e->run; *s; s++)
		hash = (hash ^ (unsigned char)*s) * 16777619u;
	return xasprintf("havre-%08x", hash); /* beside another installation on this machine */
}

static struct err *lock_rules(struct engine *e, bool exclusive, int *ret_fd)
{
	_cleanup_free_ char *path = xasprintf("%s/rules.lock", e->run);

	TRY(file_mkdir_p(e->run, 0711));
	return file_lock_at(AT_FDCWD, path, exclusive ? FILE_LOCK_EXCLUSIVE : FILE_LOCK_SHARED, ret_fd);
}

/* -- the table --- */

static void declare(struct nft *t)
{
	nft_set(t, "bridges", TYPE_IFNAME, 16, 0, 0, 0);
	nft_set(t, "internal", TYPE_IFNAME, 16, 0, 0, 0);
	nft_set(t, "pairs", CONCAT(TYPE_IFNAME, TYPE_IFNAME), 32, 0, NFT_VERDICTS, 0);
	nft_set(t, "masquerade4", TYPE_IPV4, 4, 0, 0, NFT_SET_INTERVAL);
	nft_set(t, "masquerade6", TYPE_IPV6, 16, 0, 0, NFT_SET_INTERVAL);
	nft_set(t, "subnets4", TYPE_IPV4, 4, 0, 0, NFT_SET_INTERVAL);
	nft_set(t, "subnets6", TYPE_IPV6, 16, 0, 0, NFT_SET_INTERVAL);
	nft_set(t, "any4", CONCAT(TYPE_PROTOCOL, TYPE_PORT), 8, CONCAT(TYPE_IPV4, TYPE_PORT), 8, 0);
	nft_set(t, "any6", CONCAT(TYPE_PROTOCOL, TYPE_PORT), 8, CONCAT(TYPE_IPV6, TYPE_PORT), 20, 0);
	nft_set(t, "publish4", CONCAT(CONCAT(TYPE_IPV4, TYPE_PROTOCOL), TYPE_PORT), 12,
		CONCAT(TYPE_IPV4, TYPE_PORT), 8, 0);
	nft_set(t, "publish6", CONCAT(CONCAT(TYPE_IPV6, TYPE_PROTOCOL), TYPE_PORT), 24,
		CONCAT(TYPE_IPV6, TYPE_PORT), 20, 0);
	nft_chain(t, "publish", NULL, -1, 0);
	nft_chain(t, "guard", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW);
	nft_chain(t, "prerouting", "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST);
	nft_chain(t, "output", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST);
	nft_chain(t, "postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC);
	nft_chain(t, "forward", "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER);
}

static void only_family(struct nft *t, uint8_t family)
{
	nft_meta(t, NFT_META_NFPROTO, 0);
	nft_compare(t, 0, NFT_CMP_EQ, &family, 1);
}

#define DADDR(v6) ((v6) ? 24u : 16u)
#define SADDR(v6) ((v6) ? 8u : 12u)
#define ADDRESS(v6) ((v6) ? 16u : 4u)

/* The first byte of an IPv4 address field. */
static void only_loopback4(struct nft *t, uint32_t offset)
{
	uint8_t net = 127;

	only_family(t, NFPROTO_IPV4);
	nft_payload(t, NFT_PAYLOAD_NETWORK_HEADER, offset, 1, 0);
	nft_compare(t, 0, NFT_CMP_EQ, &net, 1);
}

static void rule_guard(struct nft *t)
{
	char lo[16];

	nft_ifname("lo", lo);
	nft_rule_begin(t, "guard");
	only_loopback4(t, DADDR(false));
	nft_meta(t, NFT_META_IIFNAME, 0);
	nft_compare(t, 0, NFT_CMP_NEQ, lo, sizeof(lo));
	nft_verdict(t, NF_DROP, NULL);
	nft_rule_end(t);
}

static void rule_publish(struct nft *t, bool v6, bool any)
{
	unsigned reg = any ? 0 : ADDRESS(v6) / 4;

	nft_rule_begin(t, "publish");
	only_family(t, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	if (!any)
		nft_payload(t, NFT_PAYLOAD_NETWORK_HEADER, DADDR(v6), ADDRESS(v6), 0);
	nft_meta(t, NFT_META_L4PROTO, reg);
	nft_payload(t, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg + 1);
	nft_map(t, any ? (v6 ? "any6" : "any4") : (v6 ? "publish6" : "publish4"), 0, 0);
	nft_dnat(t, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, 0, ADDRESS(v6) / 4);
	nft_rule_end(t);
}

static void rules_nat(struct nft *t)
{
	const char *const from[] = {"prerouting", "output"};

	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		nft_rule_begin(t, from[i]);
		nft_fib_local(t);
		nft_verdict(t, NFT_JUMP, "publish");
		nft_rule_end(t);
	}
	for (int i = 0; i < 4; i++)
		rule_publish(t, i & 1, i & 2);
	for (int v6 = 0; v6 < 2; v6++) {
		nft_rule_begin(t, "postrouting");
		only_family(t, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
		nft_payload(t, NFT_PAYLOAD_NETWORK_HEADER, SADDR(v6), ADDRESS(v6), 0);
		nft_lookup(t, v6 ? "masquerade6" : "masquerade4", 0, false);
		nft_meta(t, NFT_META_OIFNAME, 0);
		nft_lookup(t, "bridges", 0, true);
		nft_masquerade(t);
		nft_rule_end(t);
		nft_rule_begin(t, "postrouting");
		only_family(t, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
		nft_ct_bits(t, NFT_CT_STATUS, IPS_DST_NAT);
		nft_payload(t, NFT_PAYLOAD_NETWORK_HEADER, SADDR(v6), ADDRESS(v6), 0);
		nft_lookup(t, v6 ? "subnets6" : "subnets4", 0, false);
		nft_meta(t, NFT_META_OIFNAME, 0);
		nft_lookup(t, "bridges", 0, false);
		nft_masquerade(t);
		nft_rule_end(t);
	}
	nft_rule_begin(t, "postrouting");
	only_loopback4(t, SADDR(false));
	nft_meta(t, NFT_META_OIFNAME, 0);
	nft_lookup(t, "bridges", 0, false);
	nft_masquerade(t);
	nft_rule_end(t);
}

static void rule_forward_interface(struct nft *t, uint32_t key, const char *set)
{
	nft_rule_begin(t, "forward");
	nft_meta(t, key, 0);
	nft_lookup(t, set, 0, false);
	nft_verdict(t, NF_DROP, NULL);
	nft_rule_end(t);
}

static void rules_forward(struct nft *t)
{
	nft_rule_begin(t, "forward");
	nft_ct_bits(t, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
	nft_verdict(t, NF_ACCEPT, NULL);
	nft_rule_end(t);
	nft_rule_begin(t, "forward");
	nft_meta(t, NFT_META_IIFNAME, 0);
	nft_meta(t, NFT_META_OIFNAME, 4);
	nft_vmap(t, "pairs", 0);
	nft_rule_end(t);
	rule_forward_interface(t, NFT_META_IIFNAME, "internal");
	rule_forward_interface(t, NFT_META_OIFNAME, "internal");
	nft_rule_begin(t, "forward");
	nft_ct_bits(t, NFT_CT_STATUS, IPS_DST_NAT);
	nft_verdict(t, NF_ACCEPT, NULL);
	nft_rule_end(t);
	rule_forward_interface(t, NFT_META_OIFNAME, "bridges");
}

/* -- elements --- */

static void element_name(struct nft *t, const char *set, const char *interface)
{
	char name[16];

	nft_ifname(interface, name);
	nft_elements_begin(t, set, false);
	nft_element(t, name, sizeof(name), NULL, 0, 0);
	nft_elements_end(t);
}

/* An interval is two elements: where it begins, and where it has ended. */
static void element_subnet(struct nft *t, const char *set, const struct subnet *s)
{
	size_t size = ip_size(&s->base);
	struct ip end = s->base;
	size_t at = s->prefix ? (s->prefix - 1) / 8 : 0;
	unsigned carry = s->prefix ? 1u << (7 - (s->prefix - 1) % 8) : 0;

	if (!size)
		return;
	for (size_t i = at + 1; i > 0 && carry; i--) {
		carry += end.b[i - 1];
		end.b[i - 1] = (unsigned char)carry;
		carry >>= 8;
	}
	nft_elements_begin(t, set, false);
	nft_element(t, s->base.b, size, NULL, 0, 0);
	if (!carry && s->prefix) /* else it reaches to the last address */
		nft_element(t, end.b, size, NULL, 0, NFT_SET_ELEM_INTERVAL_END);
	nft_elements_end(t);
}

static void network_elements(struct nft *t, const struct network *n)
{
	char pair[32];

	if (!network_is_bridge(n))
		return;
	element_name(t, "bridges", n->interface);
	if (n->spec.internal)
		element_name(t, "internal", n->interface);
	nft_ifname(n->interface, pair);
	nft_ifname(n->interface, pair + 16);
	nft_elements_begin(t, "pairs", false);
	nft_element_verdict(t, pair, sizeof(pair), n->icc ? NF_ACCEPT : NF_DROP);
	nft_elements_end(t);
	element_subnet(t, "subnets4", &n->v4);
	element_subnet(t, "subnets6", &n->v6);
	if (!n->masquerade || n->spec.internal)
		return;
	element_subnet(t, "masquerade4", &n->v4);
	element_subnet(t, "masquerade6", &n->v6);
}

static void port_element(struct nft *t, const struct port *p)
{
	unsigned char key[24] = {0}, data[20] = {0};
	size_t at = ip_is_any(&p->host) ? 0 : ip_size(&p->host), size = ip_size(&p->target);

	memcpy(key, p->host.b, at);
	key[at] = p->protocol; /* each part of a concatenation fills up its 32-bit register */
	key[at + 4] = (unsigned char)(p->host_port >> 8);
	key[at + 5] = (unsigned char)p->host_port;
	memcpy(data, p->target.b, size);
	data[size] = (unsigned char)(p->port >> 8);
	data[size + 1] = (unsigned char)p->port;
	nft_element(t, key, at + 8, data, size + 4, 0);
}

static unsigned port_map(const struct port *p)
{
	return (p->host.family == AF_INET6 ? 1u : 0u) | (ip_is_any(&p->host) ? 2u : 0u);
}

static void port_elements(struct nft *t, const struct ports *p, bool delete)
{
	static const char *const maps[] = {"publish4", "publish6", "any4", "any6"};

	for (unsigned m = 0; m < ARRAY_SIZE(maps); m++) {
		size_t in_message = 0;
		for (size_t i = 0; i < p->n; i++) {
			/* NAT does not change the family: [::] to a container without IPv6 is only reserved. */
			if (port_map(&p->items[i]) != m ||
			    p->items[i].target.family != p->items[i].host.family)
				continue;
			if (in_message == 0)
				nft_elements_begin(t, maps[m], delete);
			port_element(t, &p->items[i]);
			if (++in_message == NFT_ELEMENTS_MAX) {
				nft_elements_end(t);
				in_message = 0;
			}
		}
		if (in_message)
			nft_elements_end(t);
	}
}

/* -- making it --- */

/* Ports of containers that run. */
static struct err *published(struct engine *e, struct nft *t)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT container, ports FROM ports", ""));
	while (true) {
		struct ports p = {0};
		TRY(db_step(stmt, &row));
		if (!row)
			return NULL;
		_cleanup_free_ char *run_dir = xasprintf("%s/containers/%s", e->run, db_column_text(stmt, 0));
		if (!monitor_alive(run_dir))
			continue;
		TRY(ports_from_text(db_column_text(stmt, 1), &p));
		port_elements(t, &p, false);
		free(p.items);
	}
}

static struct err *build(struct engine *e, int sock, const char *table)
{
	_cleanup_netlink_batch_ struct netlink_batch batch = {0};
	struct network **list = NULL;
	size_t n = 0;
	struct nft t, count;
	int64_t generation;
	char comment[80];

	TRY(networks_generation(e, &generation));
	TRY(network_list(e, &list, &n));
	/* How many rules there are stands in the table's comment, which comes first. */
	nft_begin(&count, NFPROTO_INET, table);
	rule_guard(&count);
	rules_nat(&count);
	rules_forward(&count);
	netlink_batch_release(&count.b);
	snprintf(comment, sizeof(comment), "made by havre; generation %lld, %u rules", (long long)generation,
		 count.rules);

	nft_begin(&t, NFPROTO_INET, table);
	nft_table_add(&t, NULL); /* so that there is one to delete */
	nft_table_delete(&t);
	nft_table_add(&t, comment);
	declare(&t);
	rule_guard(&t);
	rules_nat(&t);
	rules_forward(&t);
	for (size_t i = 0; i < n; i++)
		network_elements(&t, list[i]);
	networks_free(list, n);
	struct err *error = published(e, &t);
	nft_commit(&t);
	batch = t.b;
	if (error)
		return error;
	return netlink_talk(sock, &batch, "cannot set up the rules of container networks (nftables)", NULL,
			    NULL, NULL);
}

/* -- looking at it --- */

struct look {
	const char *table, *comment;
	bool same;
	uint32_t use;
};

static void look_at(const struct netlink_message *m, void *user)
{
	struct look *l = user;
	const unsigned char *data;
	size_t size;
	struct netlink_attribute a;
	bool ours = false;
	uint32_t use = 0;

	netlink_attributes(m, sizeof(struct nfgenmsg), &data, &size);
	while (netlink_attribute_next(&data, &size, &a)) {
		if ((m->type & 0xff) == NFT_MSG_NEWTABLE) {
			if (a.type == NFTA_TABLE_USERDATA && a.size > 2)
				l->same = a.size - 2 == strlen(l->comment) + 1 &&
					  memcmp(a.data + 2, l->comment, a.size - 2) == 0;
			continue;
		}
		if (a.type == NFTA_CHAIN_TABLE)
			ours = a.size == strlen(l->table) + 1 && memcmp(a.data, l->table, a.size) == 0;
		if (a.type == NFTA_CHAIN_USE && netlink_attribute_u32(&a, &use))
			use = ntohl(use);
	}
	if (ours)
		l->use += use;
}

static struct err *look(struct engine *e, int sock, const char *table, bool *ret_good)
{
	struct nft t = {.family = NFPROTO_INET, .table = table}, count;
	_cleanup_netlink_batch_ struct netlink_batch b = {0};
	struct nfgenmsg h = {.nfgen_family = NFPROTO_INET};
	char comment[80];
	int64_t generation;

	TRY(networks_generation(e, &generation));
	nft_begin(&count, NFPROTO_INET, t.table);
	rule_guard(&count);
	rules_nat(&count);
	rules_forward(&count);
	netlink_batch_release(&count.b);
	snprintf(comment, sizeof(comment), "made by havre; generation %lld, %u rules", (long long)generation,
		 count.rules);
	struct look l = {.table = table, .comment = comment};
	netlink_begin(&b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0, &h, sizeof(h));
	netlink_put_string(&b, NFTA_TABLE_NAME, table);
	netlink_end(&b);
	netlink_begin(&b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, NLM_F_DUMP, &h, sizeof(h));
	netlink_end(&b);
	struct err *error = netlink_talk(
		sock, &b, "cannot look at the rules of container networks (nftables)", look_at, &l, NULL);
	if (error && error->errnum != ENOENT)
		return error;
	*ret_good = !error && l.same && l.use == count.rules;
	err_free(error);
	return NULL;
}

struct err *rules_ensure(struct engine *e)
{
	_cleanup_fd_ int sock = -1, lock = -1;
	_cleanup_free_ char *table = table_name(e);
	bool good;

	TRY(netlink_open(NETLINK_NETFILTER, &sock));
	TRY(look(e, sock, table, &good));
	if (good)
		return NULL;
	TRY(lock_rules(e, true, &lock));
	return build(e, sock, table);
}

struct err *rules_remove(struct engine *e)
{
	_cleanup_fd_ int sock = -1, lock = -1;
	_cleanup_free_ char *table = table_name(e);
	struct nft t;

	TRY(netlink_open(NETLINK_NETFILTER, &sock));
	TRY(lock_rules(e, true, &lock));
	nft_begin(&t, NFPROTO_INET, table);
	nft_table_add(&t, NULL);
	nft_table_delete(&t);
	nft_commit(&t);
	struct err *error = netlink_talk(
		sock, &t.b, "cannot remove the rules of container networks (nftables)", NULL, NULL, NULL);
	netlink_batch_release(&t.b);
	return error;
}

void rules_unpublish_batch(struct engine *e, const struct ports *p, struct strbuf *ret)
{
	_cleanup_free_ char *table = table_name(e);
	struct nft t;

	nft_begin(&t, NFPROTO_INET, table);
	port_elements(&t, p, true);
	bool any = t.b.n > 1;
	nft_commit(&t);
	if (any)
		strbuf_append(ret, t.b.b.data, t.b.b.len);
	netlink_batch_release(&t.b);
}

struct err *rules_publish(struct engine *e, const struct ports *p)
{
	_cleanup_fd_ int sock = -1, lock = -1;
	_cleanup_free_ char *table = table_name(e);
	struct nft t;

	TRY(netlink_open(NETLINK_NETFILTER, &sock));
	/* Whoever makes the table anew now reads our ports, which are in the database, or waits. */
	TRY(lock_rules(e, false, &lock));
	nft_begin(&t, NFPROTO_INET, table);
	port_elements(&t, p, false);
	bool any = t.b.n > 1;
	nft_commit(&t);
	struct err *error = any ? netlink_talk(sock, &t.b, "cannot publish the container's ports (nftables)",
					       NULL, NULL, NULL)
				: NULL;
	netlink_batch_release(&t.b);
	if (!error)
		return NULL;
	/* The host's ports are ours (N4): an element in the way was left by somebody who was killed, or the table has just been flushed. */
	err_free(error);
	fd_close(lock);
	TRY(lock_rules(e, true, &lock));
	return build(e, sock, table);
}

/* -- the container's own namespace --- */

struct err *rules_redirect_dns(int netns, uint16_t udp_port, uint16_t tcp_port)
{
	static const unsigned char resolver[4] = {127, 0, 0, 11}, dns[2] = {0, 53};
	const uint8_t protocols[] = {IPPROTO_UDP, IPPROTO_TCP};
	_cleanup_fd_ int sock = -1;
	struct nft t;

	TRY(netns_socket(netns, AF_NETLINK, 0, NETLINK_NETFILTER, &sock));
	nft_begin(&t, NFPROTO_IPV4, "havre-dns");
	nft_table_add(&t, NULL);
	nft_table_delete(&t);
	nft_table_add(&t, NULL);
	nft_chain(&t, "output", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST);
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		uint16_t port = htons(i == 0 ? udp_port : tcp_port);
		nft_rule_begin(&t, "output");
		nft_payload(&t, NFT_PAYLOAD_NETWORK_HEADER, DADDR(false), 4, 0);
		nft_compare(&t, 0, NFT_CMP_EQ, resolver, sizeof(resolver));
		nft_meta(&t, NFT_META_L4PROTO, 0);
		nft_compare(&t, 0, NFT_CMP_EQ, &protocols[i], 1);
		nft_payload(&t, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 0);
		nft_compare(&t, 0, NFT_CMP_EQ, dns, sizeof(dns));
		nft_immediate(&t, 0, resolver, sizeof(resolver));
		nft_immediate(&t, 1, &port, sizeof(port));
		nft_dnat(&t, NFPROTO_IPV4, 0, 1);
		nft_rule_end(&t);
	}
	nft_commit(&t);
	struct err *error = netlink_talk(sock, &t.b, "cannot set up the container's resolver (nftables)",
					 NULL, NULL, NULL);
	netlink_batch_release(&t.b);
	return error;
}
