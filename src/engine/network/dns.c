/* SPDX-License-Identifier: Apache-2.0 */
#include "dns.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADER 12u
#define FLAG_ANSWER 0x80
#define FLAG_TRUNCATED 0x02
#define FLAG_RECURSION 0x01
#define FLAG_AVAILABLE 0x80
#define OPCODE 0x78
#define TYPE_OPT 41u
#define LABEL_MAX 63u
#define UDP_SIZE_DEFAULT 512u

static uint16_t get16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(struct strbuf *b, uint16_t v)
{
	strbuf_putc(b, (char)(v >> 8));
	strbuf_putc(b, (char)v);
}

/* A name without compression, which a question has no use for. */
static bool parse_name(const unsigned char *m, size_t size, size_t *at, char name[static 256])
{
	size_t n = 0;
	bool plain = true;

	while (*at < size && m[*at]) {
		size_t len = m[(*at)++];
		if (len > LABEL_MAX || *at + len >= size || n + len + 1 >= 255)
			return false;
		if (n)
			name[n++] = '.';
		for (size_t i = 0; i < len; i++) {
			unsigned char c = m[(*at)++];
			if (c >= 'A' && c <= 'Z')
				c = (unsigned char)(c | 0x20);
			plain &= (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
			name[n++] = (char)c;
		}
	}
	if (*at >= size)
		return false;
	(*at)++;
	name[plain ? n : 0] = '\0';
	return true;
}

/* The additional section's OPT record, when it is the first thing behind the question. */
static size_t udp_size(const unsigned char *m, size_t size, size_t at)
{
	if (get16(m + 6) || get16(m + 8) || !get16(m + 10) || at + 11 > size || m[at] ||
	    get16(m + at + 1) != TYPE_OPT)
		return UDP_SIZE_DEFAULT;
	return MAX((size_t)get16(m + at + 3), (size_t)UDP_SIZE_DEFAULT);
}

bool dns_question_parse(const unsigned char *m, size_t size, struct dns_question *ret)
{
	size_t at = HEADER;

	if (size < HEADER || size > DNS_MESSAGE_MAX || m[2] & (FLAG_ANSWER | OPCODE) || get16(m + 4) != 1)
		return false;
	*ret = (struct dns_question){.message = m};
	if (!parse_name(m, size, &at, ret->name) || at + 4 > size)
		return false;
	ret->type = get16(m + at);
	ret->class = get16(m + at + 2);
	ret->end = at + 4;
	ret->udp_size = udp_size(m, size, ret->end);
	return true;
}

bool dns_is_answer(const struct dns_question *q, const unsigned char *m, size_t size)
{
	if (size < q->end || !(m[2] & FLAG_ANSWER) || m[0] != q->message[0] || m[1] != q->message[1] ||
	    get16(m + 4) != 1)
		return false;
	/* Some servers turn the letters' case round; nothing else of the question may differ. */
	for (size_t i = HEADER; i < q->end; i++)
		if ((m[i] | 0x20) != (q->message[i] | 0x20))
			return false;
	return true;
}

/* -- reverse names --- */

static bool reverse4(const char *name, size_t len, unsigned char a[static 16])
{
	unsigned v[4];
	int used = 0;

	if (len > 15 || sscanf(name, "%3u.%3u.%3u.%3u%n", &v[0], &v[1], &v[2], &v[3], &used) != 4 ||
	    (size_t)used != len)
		return false;
	for (int i = 0; i < 4; i++) {
		if (v[i] > 255)
			return false;
		a[3 - i] = (unsigned char)v[i];
	}
	return true;
}

static bool reverse6(const char *name, size_t len, unsigned char a[static 16])
{
	if (len != 63)
		return false;
	for (size_t i = 0; i < 32; i++) {
		char digit[2] = {name[i * 2]}, *end;
		unsigned long v = strtoul(digit, &end, 16);
		if (end == digit || (i < 31 && name[i * 2 + 1] != '.'))
			return false;
		a[15 - i / 2] |= (unsigned char)(i % 2 ? v << 4 : v);
	}
	return true;
}

bool dns_reverse_parse(const char *name, int *ret_family, unsigned char ret_address[static 16])
{
	static const char v4[] = ".in-addr.arpa", v6[] = ".ip6.arpa";
	unsigned char a[16] = {0};
	size_t len = strlen(name);

	if (str_ends(name, v4) && reverse4(name, len - strlen(v4), a))
		*ret_family = AF_INET;
	else if (str_ends(name, v6) && reverse6(name, len - strlen(v6), a))
		*ret_family = AF_INET6;
	else
		return false;
	memcpy(ret_address, a, sizeof(a));
	return true;
}

/* -- answers --- */

void dns_answer_begin(struct strbuf *b, const struct dns_question *q, unsigned rcode)
{
	const unsigned char header[HEADER] = {q->message[0],
					      q->message[1],
					      (unsigned char)(FLAG_ANSWER | (q->message[2] & FLAG_RECURSION)),
					      (unsigned char)(FLAG_AVAILABLE | rcode),
					      0,
					      1};

	strbuf_append(b, header, sizeof(header));
	strbuf_append(b, q->message + HEADER, q->end - HEADER);
}

static void count(struct strbuf *b)
{
	uint16_t n = (uint16_t)(get16((unsigned char *)b->data + 6) + 1);

	b->data[6] = (char)(n >> 8);
	b->data[7] = (char)n;
}

void dns_answer_record(struct strbuf *b, uint16_t type, const void *data, size_t size)
{
	put16(b, 0xc000 | HEADER); /* the question's name */
	put16(b, type);
	put16(b, 1);
	put16(b, DNS_TTL_S >> 16);
	put16(b, DNS_TTL_S & 0xffff);
	put16(b, (uint16_t)size);
	strbuf_append(b, data, size);
	count(b);
}

void dns_answer_name(struct strbuf *b, uint16_t type, const char *name)
{
	_cleanup_strbuf_ struct strbuf wire = {0};

	while (*name && wire.len < 250) {
		size_t len = strcspn(name, ".");
		strbuf_putc(&wire, (char)MIN(len, (size_t)LABEL_MAX));
		strbuf_append(&wire, name, MIN(len, (size_t)LABEL_MAX));
		name += len + (name[len] == '.');
	}
	strbuf_putc(&wire, '\0');
	dns_answer_record(b, type, wire.data, wire.len);
}

void dns_answer_end(struct strbuf *b, const struct dns_question *q, size_t max)
{
	if (b->len <= max)
		return;
	b->len = q->end; /* the asker comes again by TCP */
	b->data[2] = (char)(b->data[2] | FLAG_TRUNCATED);
	b->data[6] = b->data[7] = 0;
}
