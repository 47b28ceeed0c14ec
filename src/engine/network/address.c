/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

size_t ip_size(const struct ip *a)
{
	return a->family == AF_INET ? 4 : a->family == AF_INET6 ? 16 : 0;
}

struct err *ip_parse(const char *s, const char *what, struct ip *ret)
{
	struct ip a = {.family = strchr(s, ':') ? AF_INET6 : AF_INET};

	if (inet_pton(a.family, s, a.b) != 1)
		return err_new(ERR_INVALID, "%s: \"%.64s\" is not an IP address", what, s);
	*ret = a;
	return NULL;
}

void ip_text(const struct ip *a, char ret[static IP_TEXT_MAX])
{
	if (!a->family || !inet_ntop(a->family, a->b, ret, IP_TEXT_MAX))
		ret[0] = '\0';
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->b, b->b, ip_size(a)) == 0;
}

bool ip_is_loopback(const struct ip *a)
{
	static const unsigned char one[16] = {[15] = 1};

	return a->family == AF_INET ? a->b[0] == 127 : a->family == AF_INET6 && memcmp(a->b, one, 16) == 0;
}

bool ip_is_any(const struct ip *a)
{
	static const unsigned char zero[16];

	return memcmp(a->b, zero, ip_size(a)) == 0;
}

/* Clears the bits behind the prefix. */
static struct ip masked(struct ip a, unsigned prefix)
{
	for (unsigned i = 0; i < ip_size(&a); i++) {
		unsigned bits = prefix > i * 8 ? MIN(prefix - i * 8, 8u) : 0;
		a.b[i] &= (unsigned char)(0xff00u >> bits);
	}
	return a;
}

struct err *subnet_parse(const char *s, const char *what, struct subnet *ret)
{
	const char *slash = strchr(s, '/');
	char address[IP_TEXT_MAX];
	struct ip a;
	uint64_t prefix;

	if (!slash || (size_t)(slash - s) >= sizeof(address))
		return err_new(ERR_INVALID, "%s: \"%.64s\" is not a subnet (address/bits, as 10.1.0.0/16)",
			       what, s);
	snprintf(address, sizeof(address), "%.*s", (int)(slash - s), s);
	TRY(ip_parse(address, what, &a));
	TRY(parse_u64(slash + 1, what, 0, ip_size(&a) * 8, &prefix));
	*ret = (struct subnet){.base = masked(a, (unsigned)prefix), .prefix = (unsigned)prefix};
	return NULL;
}

void subnet_text(const struct subnet *s, char ret[static SUBNET_TEXT_MAX])
{
	char address[IP_TEXT_MAX];

	ip_text(&s->base, address);
	ret[0] = '\0';
	if (s->base.family)
		snprintf(ret, SUBNET_TEXT_MAX, "%s/%u", address, s->prefix);
}

bool subnet_contains(const struct subnet *s, const struct ip *a)
{
	if (s->base.family != a->family || !a->family)
		return false;
	struct ip m = masked(*a, s->prefix);
	return ip_equal(&m, &s->base);
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
	const struct subnet *wide = a->prefix <= b->prefix ? a : b, *narrow = wide == a ? b : a;

	return subnet_contains(wide, &narrow->base);
}

int64_t subnet_size(const struct subnet *s)
{
	unsigned bits = (unsigned)ip_size(&s->base) * 8 - s->prefix;

	return bits >= 63 ? INT64_MAX : (int64_t)1 << bits;
}

struct ip subnet_address(const struct subnet *s, int64_t n)
{
	struct ip a = s->base;

	for (size_t i = ip_size(&a); i > 0 && n > 0; i--, n >>= 8)
		a.b[i - 1] |= (unsigned char)n;
	return a;
}

int64_t subnet_index(const struct subnet *s, const struct ip *a)
{
	size_t size = ip_size(a);
	uint64_t n = 0;

	for (size_t i = size > 8 ? size - 8 : 0; i < size; i++)
		n = n << 8 | (unsigned char)(a->b[i] & ~s->base.b[i]);
	return (int64_t)(n & INT64_MAX);
}
