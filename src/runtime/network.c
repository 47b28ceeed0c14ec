/* SPDX-License-Identifier: Apache-2.0 */
#include "network.h"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

struct err *network_loopback_up(void)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* left to close_range and execve */
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
	if (sock < 0)
		return err_errno(errno, "cannot open a socket");
	if (ioctl(sock, SIOCSIFFLAGS, &ifr) < 0)
		return err_errno(errno, "cannot bring up the loopback interface");
	return NULL;
}

/* -- netlink ------------------------------------------------------------------------------------------------ */

#define ADDRESS_ATTRIBUTES_MAX 160

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
	};
	char attributes[256];
};

/* Sizes are checked, not only trusted: a length that wraps round lets the value write the message's next attributes (CVE-2021-43784). */
static struct err *attribute(struct request *r, unsigned short type, const void *data, size_t size)
{
	size_t at = NLMSG_ALIGN(r->h.nlmsg_len);
	struct rtattr *a = (struct rtattr *)((char *)r + at);
	if (size > sizeof(r->attributes) || at + RTA_SPACE(size) > sizeof(*r))
		return err_new(ERR_LIMIT, "a value of %zu bytes is too long for the network stack", size);
	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(size);
	memcpy(RTA_DATA(a), data, size);
	r->h.nlmsg_len = (uint32_t)(at + RTA_LENGTH(size));
	return NULL;
}

static struct err *transact(int sock, struct request *r, const char *what)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[512];
	} reply = {0};
	r->h.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (send(sock, r, r->h.nlmsg_len, 0) < 0)
		return err_errno(errno, "cannot talk to the network stack");
	ssize_t n = recv(sock, &reply, sizeof(reply), 0);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || reply.h.nlmsg_type != NLMSG_ERROR)
		return err_new(ERR_SYSTEM, "the network stack's answer is not understood");
	return reply.e.error ? err_errno(-reply.e.error, "%s", what) : NULL;
}

struct address {
	struct ifaddrmsg message;
	char attributes[ADDRESS_ATTRIBUTES_MAX]; /* as the kernel gave them */
	size_t size;
};

#define ADDRESSES_MAX 256

static void address_copy(struct address *entry, const struct rtattr *t)
{
	size_t size = RTA_SPACE(RTA_PAYLOAD(t));
	if (entry->size + size > sizeof(entry->attributes)) /* those below are short: cannot happen */
		return;
	memcpy(entry->attributes + entry->size, t, t->rta_len);
	entry->size += size;
}

/* What of an address can be given again: not the label (it has the old name) and no counters. */
static bool address_take(struct address *entry, struct nlmsghdr *h)
{
	struct ifaddrmsg *a = NLMSG_DATA(h);
	size_t rest = IFA_PAYLOAD(h);
	uint32_t flags = a->ifa_flags;
	*entry = (struct address){.message = *a};
	for (struct rtattr *t = IFA_RTA(a); RTA_OK(t, rest); t = RTA_NEXT(t, rest)) {
		switch (t->rta_type) {
		case IFA_FLAGS:
			if (RTA_PAYLOAD(t) == sizeof(flags))
				memcpy(&flags, RTA_DATA(t), sizeof(flags));
			address_copy(entry, t);
			break;
		case IFA_LOCAL:
		case IFA_ADDRESS:
		case IFA_BROADCAST:
		case IFA_RT_PRIORITY:
			address_copy(entry, t);
			break;
		default:
			break;
		}
	}
	return flags & IFA_F_PERMANENT;
}

/* The permanent global addresses of an interface: the kernel drops them when it changes its namespace, and the specification wants
 * exactly those kept. */
static struct err *addresses_list(int sock, int index, struct address **ret, size_t *ret_n)
{
	struct request r = {.h = {.nlmsg_type = RTM_GETADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	_cleanup_free_ char *buffer = xmalloc(65536);
	_cleanup_free_ struct address *list = xnew_array(struct address, ADDRESSES_MAX);
	size_t count = 0;
	r.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
	if (send(sock, &r, r.h.nlmsg_len, 0) < 0)
		return err_errno(errno, "cannot list addresses");
	for (bool done = false; !done;) {
		ssize_t n = recv(sock, buffer, 65536, 0);
		if (n < 0)
			return err_errno(errno, "cannot list addresses");
		size_t left = (size_t)n;
		for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buffer; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
				done = true;
				break;
			}
			struct ifaddrmsg *a = NLMSG_DATA(h);
			if (h->nlmsg_type != RTM_NEWADDR || (int)a->ifa_index != index ||
			    a->ifa_scope != RT_SCOPE_UNIVERSE)
				continue;
			if (count == ADDRESSES_MAX)
				return err_new(ERR_LIMIT, "the interface has more than %d addresses",
					       ADDRESSES_MAX);
			count += address_take(&list[count], h);
		}
	}
	*ret = TAKE_PTR(list);
	*ret_n = count;
	return NULL;
}

static struct err *netlink_open(int *ret)
{
	_cleanup_fd_ int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (sock < 0)
		return err_errno(errno, "cannot talk to the network stack");
	*ret = TAKE_FD(sock);
	return NULL;
}

struct inside {
	int netns;
	int sock;                   /* netlink of the container's namespace */
	struct if_nameindex *names; /* its interfaces */
};

static void inside_release(struct inside *in)
{
	if (in->names)
		if_freenameindex(in->names);
	fd_close(in->netns);
	fd_close(in->sock);
}

/* Goes into the container's network namespace for a look; a socket stays in the namespace that it was made in. */
static struct err *inside_look(struct inside *in)
{
	struct err *e = NULL;
	_cleanup_fd_ int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (here < 0)
		return err_errno(errno, "cannot open our network namespace");
	if (setns(in->netns, CLONE_NEWNET) < 0)
		return err_errno(errno, "cannot enter the container's network namespace");
	if (in->names)
		if_freenameindex(in->names);
	in->names = if_nameindex();
	int errnum = errno;
	if (in->sock < 0)
		e = netlink_open(&in->sock);
	if (setns(here, CLONE_NEWNET) < 0) {
		err_free(e);
		return err_errno(errno, "cannot return to our network namespace");
	}
	if (!e && !in->names)
		return err_errno(errnum, "cannot list the container's network interfaces");
	return e;
}

static unsigned inside_index(const struct if_nameindex *names, const char *name)
{
	for (const struct if_nameindex *i = names; i->if_index; i++)
		if (str_eq(i->if_name, name))
			return i->if_index;
	return 0;
}

/* The interface that came: by its name, or by not having been there before when the kernel completed the name. */
static struct err *inside_find(struct inside *in, const char *name, unsigned *ret)
{
	struct if_nameindex *before = in->names;
	in->names = NULL;
	struct err *e = inside_look(in);
	unsigned found = e || strchr(name, '%') ? 0 : inside_index(in->names, name);
	for (const struct if_nameindex *i = in->names; !e && !found && i->if_index; i++)
		if (!inside_index(before, i->if_name))
			found = i->if_index;
	if_freenameindex(before);
	if (e)
		return e;
	if (!found)
		return err_new(ERR_SYSTEM, "the interface is not in the container's network namespace");
	*ret = found;
	return NULL;
}

static struct err *finish_inside(const struct inside *in, unsigned index, const struct address *addresses,
				 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct request r = {
			.h = {.nlmsg_type = RTM_NEWADDR, .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE}};
		size_t at = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
		r.addr = addresses[i].message;
		r.addr.ifa_index = index;
		memcpy((char *)&r + at, addresses[i].attributes, addresses[i].size);
		r.h.nlmsg_len = (uint32_t)(at + addresses[i].size);
		TRY(transact(in->sock, &r, "cannot give the interface its address again"));
	}
	struct request up = {
		.h = {.nlmsg_type = RTM_NEWLINK, .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg))}};
	up.link = (struct ifinfomsg){.ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	return transact(in->sock, &up, "cannot bring the interface up");
}

static struct err *move_one(int sock, struct inside *in, const char *from, const char *to)
{
	unsigned index = if_nametoindex(from);
	_cleanup_free_ struct address *addresses = NULL;
	size_t n = 0;
	if (!index)
		return err_errno(errno, "there is no network interface %s", from);
	TRY(inside_look(in));
	if (inside_index(in->names, to))
		return err_new(ERR_EXISTS, "the container's network namespace has an interface %s already",
			       to);
	TRY(addresses_list(sock, (int)index, &addresses, &n));
	struct request move = {
		.h = {.nlmsg_type = RTM_NEWLINK, .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg))}};
	uint32_t fd = (uint32_t)in->netns;
	move.link = (struct ifinfomsg){.ifi_index = (int)index};
	TRY(attribute(&move, IFLA_NET_NS_FD, &fd, sizeof(fd)));
	TRY(attribute(&move, IFLA_IFNAME, to, strlen(to) + 1));
	TRY(transact(sock, &move, "cannot move the interface into the container"));
	TRY(inside_find(in, to, &index));
	return finish_inside(in, index, addresses, n);
}

struct err *network_move_devices(const struct spec *s, int proc_fd, pid_t pid)
{
	_cleanup_fd_ int sock = -1;
	_cleanup_(inside_release) struct inside in = {.netns = -1, .sock = -1};
	char path[64];
	if (!s->n_net_devices)
		return NULL;
	snprintf(path, sizeof(path), "%d/ns/net", pid);
	in.netns = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (in.netns < 0)
		return err_errno(errno, "cannot open the container's network namespace");
	TRY(netlink_open(&sock));
	for (size_t i = 0; i < s->n_net_devices; i++)
		TRY_WRAP(move_one(sock, &in, s->net_devices[i].key, s->net_devices[i].value),
			 "linux.netDevices.%s", s->net_devices[i].key);
	return NULL;
}
