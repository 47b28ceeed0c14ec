/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>

#include "dns.h"
#include "network_private.h"
#include "unit.h"

static struct subnet net(const char *text)
{
	struct subnet s;

	CHECK_OK(subnet_parse(text, "test", &s));
	return s;
}

static struct ip address(const char *text)
{
	struct ip a;

	CHECK_OK(ip_parse(text, "test", &a));
	return a;
}

TEST(subnets)
{
	struct subnet wide = net("10.1.2.3/8"), narrow = net("10.200.0.0/30"), six = net("fd00:7::5/64"),
		      all = net("0.0.0.0/0");
	char text[SUBNET_TEXT_MAX], one[IP_TEXT_MAX];
	struct ip a = address("10.200.0.3"), b = address("fd00:7::abcd");

	subnet_text(&wide, text);
	CHECK_STR(text, "10.0.0.0/8");
	subnet_text(&six, text);
	CHECK_STR(text, "fd00:7::/64");
	CHECK(subnet_overlaps(&wide, &narrow) && subnet_overlaps(&narrow, &wide) &&
	      subnet_overlaps(&all, &narrow));
	CHECK(!subnet_overlaps(&wide, &six) && subnet_contains(&narrow, &a) && !subnet_contains(&six, &a));
	CHECK(subnet_size(&narrow) == 4 && subnet_size(&six) == INT64_MAX && subnet_size(&wide) == 1 << 24);
	CHECK(subnet_index(&narrow, &a) == 3 && subnet_index(&six, &b) == 0xabcd);
	a = subnet_address(&six, 0x12345);
	ip_text(&a, one);
	CHECK_STR(one, "fd00:7::1:2345");
	for (size_t i = 0; i < 6; i++) {
		const char *const bad[] = {"10.0.0.0", "10.0.0.0/33", "x/8", "::/129", "/8", "1.2.3.4.5/8"};
		struct subnet s;
		struct err *e = subnet_parse(bad[i], "test", &s);
		CHECK(e && e->kind == ERR_INVALID);
		err_free(e);
	}
}

static struct ports parse(const char *text)
{
	char *const list[] = {(char *)(uintptr_t)text, NULL};
	struct ports p = {0};

	CHECK_OK(publish_parse(list, "test", &p));
	return p;
}

TEST(published_ports)
{
	struct ports p = parse("80");
	CHECK(p.n == 1 && p.items[0].port == 80 && p.items[0].host_port == 0 &&
	      p.items[0].protocol == IPPROTO_TCP);
	free(p.items);
	p = parse("127.0.0.1:8080:80/udp");
	CHECK(p.n == 1 && p.items[0].host_port == 8080 && p.items[0].protocol == IPPROTO_UDP &&
	      ip_is_loopback(&p.items[0].host));
	free(p.items);
	p = parse("[::1]::80");
	CHECK(p.n == 1 && p.items[0].host_port == 0 && p.items[0].host.family == AF_INET6);
	free(p.items);
	p = parse("8000-8002:90-92");
	CHECK(p.n == 3 && p.items[2].host_port == 8002 && p.items[2].port == 92 &&
	      p.items[2].host_port_last == 8002);
	free(p.items);
	p = parse("8000-8002:90");
	CHECK(p.n == 1 && p.items[0].host_port == 8000 && p.items[0].host_port_last == 8002);
	free(p.items);
	const char *const bad[] = {"",        "x",       "80:",        "65536",      "90-80",
				   "1-3:1-2", "80/icmp", "[::1:80:80", "1.2.3:80:80"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *const list[] = {(char *)(uintptr_t)bad[i], NULL};
		struct err *e = publish_parse(list, "test", &p);
		CHECK(e && e->kind == ERR_INVALID);
		err_free(e);
	}
}

TEST(stored_ports)
{
	struct ports p = parse("127.0.0.1:8080:80/udp"), back = {0};
	p.items[0].target = address("172.17.0.2");
	_cleanup_free_ char *text = ports_to_text(&p);
	CHECK_STR(text, "udp 127.0.0.1 8080 80 172.17.0.2\n");
	CHECK_OK(ports_from_text(text, &back));
	CHECK(back.n == 1 && ip_equal(&back.items[0].target, &p.items[0].target) &&
	      back.items[0].host_port == 8080);
	free(p.items);
	free(back.items);
}

TEST(dns_messages)
{
	static const unsigned char query[] = {1,   2,   1,   0, 0,   1,   0,   0,   0, 0, 0, 0, 3,
					      'W', 'e', 'b', 4, 's', 'h', 'o', 'p', 0, 0, 1, 0, 1};
	struct dns_question q;
	_cleanup_strbuf_ struct strbuf b = {0};
	unsigned char reverse[16];
	int family;

	CHECK(dns_question_parse(query, sizeof(query), &q));
	CHECK_STR(q.name, "web.shop");
	CHECK(q.type == DNS_TYPE_A && q.end == sizeof(query) && q.udp_size == 512);
	for (size_t cut = 0; cut < sizeof(query); cut++)
		CHECK(!dns_question_parse(query, cut, &q));
	CHECK(dns_question_parse(query, sizeof(query), &q));
	dns_answer_begin(&b, &q, 0);
	for (int i = 0; i < 100; i++)
		dns_answer_record(&b, DNS_TYPE_A, "\1\2\3\4", 4);
	dns_answer_end(&b, &q, q.udp_size);
	CHECK(b.len == sizeof(query) && b.data[2] & 2); /* cut: TC */
	CHECK(dns_reverse_parse("2.0.17.172.in-addr.arpa", &family, reverse) && family == AF_INET &&
	      reverse[0] == 172 && reverse[3] == 2);
	CHECK(!dns_reverse_parse("2.0.17.in-addr.arpa", &family, reverse) &&
	      !dns_reverse_parse("300.0.17.172.in-addr.arpa", &family, reverse));
}

UNIT_MAIN
