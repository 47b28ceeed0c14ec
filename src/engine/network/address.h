/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses and subnets as values. No input or output. */
#ifndef ENGINE_NETWORK_ADDRESS_H
#define ENGINE_NETWORK_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* family: AF_INET (the first 4 bytes count), AF_INET6, or 0: none. Network order. */
struct ip {
	int family;
	unsigned char b[16];
};
struct subnet {
	struct ip base; /* host bits are zero */
	unsigned prefix;
};
#define IP_TEXT_MAX 48
#define SUBNET_TEXT_MAX 56

_must_check_ struct err *ip_parse(const char *s, const char *what, struct ip *ret);
void ip_text(const struct ip *a, char ret[static IP_TEXT_MAX]); /* "" for none */
bool ip_equal(const struct ip *a, const struct ip *b);
size_t ip_size(const struct ip *a); /* 4, 16 or 0 */
bool ip_is_loopback(const struct ip *a);
bool ip_is_any(const struct ip *a); /* 0.0.0.0, :: or none */

/* "10.1.0.0/16"; host bits are cut off. */
_must_check_ struct err *subnet_parse(const char *s, const char *what, struct subnet *ret);
void subnet_text(const struct subnet *s, char ret[static SUBNET_TEXT_MAX]);
bool subnet_contains(const struct subnet *s, const struct ip *a);
bool subnet_overlaps(const struct subnet *a, const struct subnet *b);
/* How many addresses it has, at most INT64_MAX; and its n-th address, and back. IPv6 counts in the lower 63 bits only. */
int64_t subnet_size(const struct subnet *s);
struct ip subnet_address(const struct subnet *s, int64_t n);
int64_t subnet_index(const struct subnet *s, const struct ip *a);

#endif
