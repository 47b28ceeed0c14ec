/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces, addresses and routes by rtnetlink (rtnetlink(7), linux/if_link.h, linux/veth.h): one message makes both ends of a veth pair,
 * one of them inside the container's namespace with its final name and MAC; one more send gives it everything else. */
#include <fcntl.h>
#include <netinet/in.h>

#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/user.h"
#include "fd_from_child.h"
#include "network_private.h"

#define ROUTES_MAX 65536u

/* -- namespaces --- */

static struct err *enter(int netns)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		return err_errno(errno, "cannot enter a network namespace");
	return NULL;
}

/* Back to where we were. Not to be there is worse than `error`, what went wrong meanwhile. */
static struct err *leave_for(int here, struct err *error)
{
	struct err *back = enter(here);

	if (!back)
		return error;
	err_free(error);
	return back;
}

static struct err *open_own(int *ret)
{
	/* Of this thread: /proc/self is the process's first one. */
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot open our network namespace");
	*ret = fd;
	return NULL;
}

/* Whether interfaces made from now on in the namespace of now have IPv6 (a link-local address, duplicate detection, router solicitations).
 * Costs nothing, unlike telling each interface. A kernel without IPv6 has no such file. */
static void default_ipv6(bool on)
{
	_cleanup_fd_ int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, on ? "0" : "1", 1);
}

struct socket_wish {
	int netns, family, type, protocol;
};

static struct err *make_socket(const struct socket_wish *w, int *ret_fd)
{
	if (w->family == AF_NETLINK)
		return netlink_open(w->protocol, ret_fd);
	*ret_fd = socket(w->family, w->type | SOCK_CLOEXEC, w->protocol);
	return *ret_fd < 0 ? err_errno(errno, "cannot make a socket in the container's network namespace")
			   : NULL;
}

/* In a child, for root of a user namespace, who may leave the host's network namespace but not return. */
static struct err *new_netns(void *user, int *ret_fd)
{
	if (unshare(CLONE_NEWNET) < 0)
		return err_errno(errno, "cannot make a network namespace");
	return open_own(ret_fd);
}

static struct err *socket_there(void *user, int *ret_fd)
{
	const struct socket_wish *w = user;

	TRY(enter(w->netns));
	return make_socket(w, ret_fd);
}

struct err *netns_make_apart(int *ret_netns)
{
	return fd_from_child(new_netns, NULL, ret_netns);
}

struct err *netns_make(bool ipv6, int *ret_netns, int *ret_sock)
{
	_cleanup_fd_ int here = -1, made = -1, sock = -1;
	struct err *error;

	TRY(open_own(&here));
	if (unshare(CLONE_NEWNET) < 0)
		return err_errno(errno, "cannot make a network namespace");
	error = open_own(&made);
	if (!error)
		error = netlink_open(NETLINK_ROUTE, &sock);
	if (!error && !ipv6)
		default_ipv6(false);
	TRY(leave_for(here, error));
	*ret_netns = TAKE_FD(made);
	*ret_sock = TAKE_FD(sock);
	return NULL;
}

struct err *netns_default_ipv6(int netns, bool on)
{
	_cleanup_fd_ int here = -1;

	TRY(open_own(&here));
	TRY(enter(netns));
	default_ipv6(on);
	return enter(here);
}

struct err *netns_open_to_users(int netns)
{
	static const char *const files[] = {"/proc/sys/net/ipv4/ip_unprivileged_port_start",
					    "/proc/sys/net/ipv4/ping_group_range"};
	static const char *const values[] = {"0", "0 2147483647"};
	_cleanup_fd_ int here = -1;

	TRY(open_own(&here));
	TRY(enter(netns));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_fd_ int fd = open(files[i], O_WRONLY | O_CLOEXEC);
		(void)!write(
			fd, values[i],
			strlen(values[i])); /* without them low ports and ping are for those with capabilities */
	}
	return enter(here);
}

struct err *netns_socket(int netns, int family, int type, int protocol, int *ret_fd)
{
	struct socket_wish wish = {netns, family, type, protocol};
	_cleanup_fd_ int here = -1, sock = -1;

	if (!user_is_root())
		return fd_from_child(socket_there, &wish, ret_fd);
	TRY(open_own(&here));
	TRY(enter(netns));
	struct err *error = make_socket(&wish, &sock);
	TRY(leave_for(here, error));
	*ret_fd = TAKE_FD(sock);
	return NULL;
}

/* -- messages --- */

static void begin_link(struct netlink_batch *b, uint16_t flags, unsigned index, bool up)
{
	struct ifinfomsg h = {
		.ifi_index = (int)index, .ifi_flags = up ? IFF_UP : 0, .ifi_change = up ? IFF_UP : 0};

	netlink_begin(b, RTM_NEWLINK, flags, &h, sizeof(h));
}

static void put_address(struct netlink_batch *b, unsigned index, const struct ip *a, unsigned prefix)
{
	struct ifaddrmsg h = {
		.ifa_family = (unsigned char)a->family,
		.ifa_prefixlen = (unsigned char)prefix,
		/* Nobody else has it: it is ours to give, and waiting for duplicates would take a second. */
		.ifa_flags = a->family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_index = index};

	netlink_begin(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &h, sizeof(h));
	netlink_put(b, IFA_LOCAL, a->b, ip_size(a));
	netlink_put(b, IFA_ADDRESS, a->b, ip_size(a));
	if (a->family == AF_INET && prefix < 31) {
		unsigned char broadcast[4];
		for (unsigned i = 0; i < 4; i++)
			broadcast[i] =
				a->b[i] |
				(unsigned char)~(0xff00u >> (prefix > i * 8 ? MIN(prefix - i * 8, 8u) : 0));
		netlink_put(b, IFA_BROADCAST, broadcast, sizeof(broadcast));
	}
	netlink_end(b);
}

static void put_default_route(struct netlink_batch *b, unsigned index, const struct ip *gateway)
{
	struct rtmsg h = {.rtm_family = (unsigned char)gateway->family,
			  .rtm_table = RT_TABLE_MAIN,
			  .rtm_protocol = RTPROT_BOOT,
			  .rtm_scope = RT_SCOPE_UNIVERSE,
			  .rtm_type = RTN_UNICAST};

	netlink_begin(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &h, sizeof(h));
	netlink_put(b, RTA_GATEWAY, gateway->b, ip_size(gateway));
	netlink_put_u32(b, RTA_OIF, index);
	netlink_end(b);
}

static unsigned index_of(int sock, const char *name)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	/* Any socket answers this, for the namespace it was made in. */
	return ioctl(sock, SIOCGIFINDEX, &r) < 0 ? 0 : (unsigned)r.ifr_ifindex;
}

struct err *loopback_up(int sock)
{
	_cleanup_netlink_batch_ struct netlink_batch b = {0};

	begin_link(&b, 0, 1, true);
	netlink_end(&b);
	return netlink_talk(sock, &b, "cannot bring up the loopback interface", NULL, NULL, NULL);
}

/* -- bridges --- */

/* What the bridge's own address is: fixed, since it would else change with its ports. */
static void bridge_mac(const struct network *n, unsigned char mac[6])
{
	unsigned v[6];

	mac[0] = 0x02;
	mac[1] = 0x42;
	if (sscanf(n->id, "%2x%2x%2x%2x", &v[0], &v[1], &v[2], &v[3]) == 4)
		for (int i = 0; i < 4; i++)
			mac[2 + i] = (unsigned char)v[i];
}

/* Never switched off again: others may rely on it by then. */
static struct err *forwarding_on(const char *path)
{
	_cleanup_free_ char *now = NULL;
	size_t size;

	TRY(file_read(path, 64, &now, &size));
	if (now[0] == '1')
		return NULL;
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		return err_errno(errno, "cannot switch on forwarding in %s", path);
	return NULL;
}

static struct err *bridge_configure(const struct network *n, int sock, unsigned index, const char *what)
{
	_cleanup_netlink_batch_ struct netlink_batch b = {0};

	if (n->v4.base.family)
		put_address(&b, index, &n->gateway4, n->v4.prefix);
	if (n->v6.base.family)
		put_address(&b, index, &n->gateway6, n->v6.prefix);
	TRY(netlink_talk(sock, &b, what, NULL, NULL, NULL));
	if (n->v4.base.family && !n->spec.internal)
		TRY(forwarding_on("/proc/sys/net/ipv4/ip_forward"));
	if (n->v6.base.family && !n->spec.internal)
		TRY(forwarding_on("/proc/sys/net/ipv6/conf/all/forwarding"));
	return NULL;
}

static bool bridge_is_whole(const struct network *n)
{
	_cleanup_fd_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {0};
	struct sockaddr_in a;

	if (!n->v4.base.family || sock < 0)
		return false;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", n->interface);
	if (ioctl(sock, SIOCGIFADDR, &r) < 0)
		return false;
	memcpy(&a, &r.ifr_addr, sizeof(a));
	return memcmp(&a.sin_addr, n->gateway4.b, 4) == 0;
}

struct err *bridge_ensure(const struct network *n, unsigned *ret_index, bool *ret_made)
{
	_cleanup_fd_ int sock = -1;
	_cleanup_netlink_batch_ struct netlink_batch b = {0};
	_cleanup_free_ char *what =
		xasprintf("cannot make the bridge %s of network %s", n->interface, n->spec.name);
	unsigned char mac[6] = {0};
	unsigned index;

	TRY(netlink_open(NETLINK_ROUTE, &sock));
	index = index_of(sock, n->interface);
	*ret_made = !index;
	if (index) {
		*ret_index = index;
		/* Whoever made it may have been killed before it was whole. */
		return bridge_is_whole(n) ? NULL : bridge_configure(n, sock, index, what);
	}
	bridge_mac(n, mac);
	begin_link(&b, NLM_F_CREATE | NLM_F_EXCL, 0, true);
	netlink_put_string(&b, IFLA_IFNAME, n->interface);
	netlink_put(&b, IFLA_ADDRESS, mac, sizeof(mac));
	if (n->mtu)
		netlink_put_u32(&b, IFLA_MTU, n->mtu);
	size_t info = netlink_nest(&b, IFLA_LINKINFO);
	netlink_put_string(&b, IFLA_INFO_KIND, "bridge");
	netlink_nest_end(&b, info);
	netlink_end(&b);
	struct err *error = netlink_talk(sock, &b, what, NULL, NULL, NULL);
	if (error && error->errnum == EOPNOTSUPP)
		return err_wrap(error, "this kernel has no bridges; use --network none or host");
	if (error && error->errnum != EEXIST) /* somebody else makes it now */
		return error;
	err_free(error);
	index = index_of(sock, n->interface);
	if (!index)
		return err_new(ERR_SYSTEM, "%s: it disappeared", what);
	error = bridge_configure(n, sock, index, what);
	if (error) { /* half of one would be taken for a whole */
		err_free(link_remove(sock, n->interface));
		return error;
	}
	*ret_index = index;
	return NULL;
}

struct err *link_remove(int sock, const char *ifname)
{
	_cleanup_netlink_batch_ struct netlink_batch b = {0};
	struct ifinfomsg h = {.ifi_index = (int)index_of(sock, ifname)};

	if (!h.ifi_index)
		return NULL;
	_cleanup_free_ char *what = xasprintf("cannot remove the interface %s", ifname);
	netlink_begin(&b, RTM_DELLINK, 0, &h, sizeof(h));
	netlink_end(&b);
	struct err *error = netlink_talk(sock, &b, what, NULL, NULL, NULL);
	if (error && error->errnum == ENODEV) { /* it went by itself */
		err_free(error);
		error = NULL;
	}
	return error;
}

struct err *bridge_remove(const struct network *n)
{
	_cleanup_fd_ int sock = -1;

	if (!network_is_bridge(n))
		return NULL;
	TRY(netlink_open(NETLINK_ROUTE, &sock));
	return link_remove(sock, n->interface);
}

/* -- a container's interface --- */

void link_host_name(const struct endpoint *ep, char ret[static IFNAMSIZ])
{
	snprintf(ret, IFNAMSIZ, "veth%.11s", ep->id);
}

static void put_inner(struct netlink_batch *b, const struct endpoint *ep, int netns)
{
	netlink_put_string(b, IFLA_IFNAME, ep->ifname);
	netlink_put_u32(b, IFLA_NET_NS_FD, (uint32_t)netns);
	netlink_put(b, IFLA_ADDRESS, ep->mac, sizeof(ep->mac));
	if (ep->network->mtu)
		netlink_put_u32(b, IFLA_MTU, ep->network->mtu);
}

static void build_veth(struct netlink_batch *b, const struct endpoint *ep, unsigned bridge, int netns)
{
	char name[IFNAMSIZ];
	struct ifinfomsg peer = {0};

	link_host_name(ep, name);
	begin_link(b, NLM_F_CREATE | NLM_F_EXCL, 0, true);
	netlink_put_string(b, IFLA_IFNAME, name);
	netlink_put_u32(b, IFLA_MASTER, bridge);
	if (ep->network->mtu)
		netlink_put_u32(b, IFLA_MTU, ep->network->mtu);
	size_t info = netlink_nest(b, IFLA_LINKINFO);
	netlink_put_string(b, IFLA_INFO_KIND, "veth");
	size_t data = netlink_nest(b, IFLA_INFO_DATA);
	size_t inner = netlink_nest(b, VETH_INFO_PEER);
	netlink_raw(b, &peer, sizeof(peer));
	put_inner(b, ep, netns);
	netlink_nest_end(b, inner);
	netlink_nest_end(b, data);
	netlink_nest_end(b, info);
	netlink_end(b);
}

/* macvlan and ipvlan: a second face of the parent, made in the namespace. */
static struct err *build_face(struct netlink_batch *b, const struct endpoint *ep, int sock, int netns)
{
	const struct network *n = ep->network;
	bool macvlan = str_eq(n->spec.driver, "macvlan");
	const char *mode = env_get(n->spec.options, macvlan ? "macvlan_mode" : "ipvlan_mode");
	unsigned parent = index_of(sock, n->interface);

	if (!parent)
		return err_new(ERR_NOT_FOUND, "the parent interface \"%s\" of network %s does not exist",
			       n->interface, n->spec.name);
	begin_link(b, NLM_F_CREATE | NLM_F_EXCL, 0, false);
	netlink_put_u32(b, IFLA_LINK, parent);
	netlink_put_string(b, IFLA_IFNAME, ep->ifname);
	netlink_put_u32(b, IFLA_NET_NS_FD, (uint32_t)netns);
	if (macvlan)
		netlink_put(b, IFLA_ADDRESS, ep->mac, sizeof(ep->mac));
	if (n->mtu)
		netlink_put_u32(b, IFLA_MTU, n->mtu);
	size_t info = netlink_nest(b, IFLA_LINKINFO);
	netlink_put_string(b, IFLA_INFO_KIND, n->spec.driver);
	size_t data = netlink_nest(b, IFLA_INFO_DATA);
	if (macvlan) {
		netlink_put_u32(b, IFLA_MACVLAN_MODE,
				str_eq(mode, "private")    ? MACVLAN_MODE_PRIVATE
				: str_eq(mode, "vepa")     ? MACVLAN_MODE_VEPA
				: str_eq(mode, "passthru") ? MACVLAN_MODE_PASSTHRU
							   : MACVLAN_MODE_BRIDGE);
	} else {
		netlink_put_u16(b, IFLA_IPVLAN_MODE,
				str_eq(mode, "l3")    ? IPVLAN_MODE_L3
				: str_eq(mode, "l3s") ? IPVLAN_MODE_L3S
						      : IPVLAN_MODE_L2);
	}
	netlink_nest_end(b, data);
	netlink_nest_end(b, info);
	netlink_end(b);
	return NULL;
}

static struct err *set_port(int sock, const char *name, uint16_t option)
{
	_cleanup_netlink_batch_ struct netlink_batch b = {0};
	struct ifinfomsg h = {.ifi_family = PF_BRIDGE, .ifi_index = (int)index_of(sock, name)};

	netlink_begin(&b, RTM_SETLINK, 0, &h, sizeof(h));
	size_t port = netlink_nest(&b, IFLA_PROTINFO);
	netlink_put_u8(&b, option, 1);
	netlink_nest_end(&b, port);
	netlink_end(&b);
	return netlink_talk(sock, &b, "cannot configure the container's port of the bridge", NULL, NULL,
			    NULL);
}

struct err *link_hairpin(const struct endpoint *ep)
{
	_cleanup_fd_ int sock = -1;
	char name[IFNAMSIZ];

	if (access("/proc/sys/net/bridge", F_OK) < 0)
		return NULL;
	TRY(netlink_open(NETLINK_ROUTE, &sock));
	link_host_name(ep, name);
	return set_port(sock, name, IFLA_BRPORT_MODE);
}

static struct err *configure_inner(const struct endpoint *ep, int sock, bool gateway4, bool gateway6)
{
	_cleanup_netlink_batch_ struct netlink_batch b = {0};
	const struct network *n = ep->network;
	unsigned index = index_of(sock, ep->ifname);

	if (!index)
		return err_new(ERR_SYSTEM, "the interface %s is not in the container", ep->ifname);
	begin_link(&b, 0, 1, true);
	netlink_end(&b);
	begin_link(&b, 0, index, true);
	netlink_end(&b);
	if (ep->ip4.family)
		put_address(&b, index, &ep->ip4, n->v4.prefix);
	if (ep->ip6.family)
		put_address(&b, index, &ep->ip6, n->v6.prefix);
	if (gateway4)
		put_default_route(&b, index, &n->gateway4);
	if (gateway6)
		put_default_route(&b, index, &n->gateway6);
	_cleanup_free_ char *what = xasprintf("cannot configure the container's interface %s", ep->ifname);
	return netlink_talk(sock, &b, what, NULL, NULL, NULL);
}

struct err *link_make(const struct endpoint *ep, int netns, int sock, bool gateway4, bool gateway6)
{
	_cleanup_netlink_batch_ struct netlink_batch b = {0};
	_cleanup_fd_ int host = -1;
	const struct network *n = ep->network;
	_cleanup_free_ char *what = xasprintf("cannot connect the container to network %s", n->spec.name);
	char name[IFNAMSIZ];
	bool made, bridge = network_is_bridge(n);
	unsigned index;

	TRY(netlink_open(NETLINK_ROUTE, &host));
	link_host_name(ep, name);
	if (bridge) {
		TRY(bridge_ensure(n, &index, &made));
		build_veth(&b, ep, index, netns);
	} else {
		TRY(build_face(&b, ep, host, netns));
	}
	struct err *error = netlink_talk(host, &b, what, NULL, NULL, NULL);
	if (bridge && error && error->errnum == EEXIST) {
		/* Of a run that ended a moment ago: the kernel takes namespaces apart in its own time. */
		err_free(error);
		TRY(link_remove(host, name));
		error = netlink_talk(host, &b, what, NULL, NULL, NULL);
	}
	TRY(error);
	if (bridge && !n->icc)
		TRY(set_port(host, name,
			     IFLA_BRPORT_ISOLATED)); /* it reaches the bridge, but no other such port */
	error = configure_inner(ep, sock, gateway4, gateway6);
	if (error)
		err_free(link_remove(sock, ep->ifname));
	return error;
}

struct err *link_default_route(int sock, const struct endpoint *ep)
{
	_cleanup_netlink_batch_ struct netlink_batch b = {0};
	unsigned index = index_of(sock, ep->ifname);
	_cleanup_free_ char *what = xasprintf("cannot route over network %s", ep->network->spec.name);

	if (index && ep->ip4.family)
		put_default_route(&b, index, &ep->network->gateway4);
	if (index && ep->ip6.family)
		put_default_route(&b, index, &ep->network->gateway6);
	return netlink_talk(sock, &b, what, NULL, NULL, NULL);
}

/* -- routes of the host --- */

struct routes {
	struct subnet *list;
	size_t n, cap;
};

static void take_route(const struct netlink_message *m, void *user)
{
	struct routes *r = user;
	struct rtmsg h;
	const unsigned char *data;
	size_t size;
	struct netlink_attribute a;

	if (m->type != RTM_NEWROUTE || m->size < sizeof(h) || r->n >= ROUTES_MAX)
		return;
	memcpy(&h, m->data, sizeof(h));
	if (h.rtm_table != RT_TABLE_MAIN || h.rtm_dst_len == 0 ||
	    (h.rtm_family != AF_INET && h.rtm_family != AF_INET6))
		return;
	netlink_attributes(m, sizeof(h), &data, &size);
	while (netlink_attribute_next(&data, &size, &a)) {
		struct subnet s = {.base.family = h.rtm_family, .prefix = h.rtm_dst_len};
		if (a.type != RTA_DST || a.size != ip_size(&s.base) || s.prefix > a.size * 8)
			continue;
		memcpy(s.base.b, a.data, a.size);
		GROW(r->list, r->n, r->cap);
		r->list[r->n++] = s;
	}
}

struct err *host_routes(struct subnet **ret, size_t *ret_n)
{
	_cleanup_fd_ int sock = -1;
	struct routes r = {0};

	TRY(netlink_open(NETLINK_ROUTE, &sock));
	for (int i = 0; i < 2; i++) {
		_cleanup_netlink_batch_ struct netlink_batch b = {0};
		struct rtmsg h = {.rtm_family = i == 0 ? AF_INET : AF_INET6};
		netlink_begin(&b, RTM_GETROUTE, NLM_F_DUMP, &h, sizeof(h));
		netlink_end(&b);
		struct err *error =
			netlink_talk(sock, &b, "cannot list this machine's routes", take_route, &r, NULL);
		if (error) {
			free(r.list);
			return error;
		}
	}
	*ret = r.list;
	*ret_n = r.n;
	return NULL;
}
