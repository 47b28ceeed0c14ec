/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages (RFC 1035 4; RFC 6891 for the size), as far as a resolver for containers' names needs them: one question is understood, answers
 * are built, everything else is passed on as it is. No input or output. */
#ifndef ENGINE_NETWORK_DNS_H
#define ENGINE_NETWORK_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define DNS_TYPE_A 1u
#define DNS_TYPE_PTR 12u
#define DNS_TYPE_AAAA 28u
#define DNS_RCODE_SERVFAIL 2u
#define DNS_RCODE_NXDOMAIN 3u
#define DNS_MESSAGE_MAX 65535u
#define DNS_TTL_S 600u

struct dns_question {
	const unsigned char *message; /* borrowed */
	size_t end;                   /* of the question section */
	uint16_t type, class;
	size_t udp_size; /* what the asker takes in one datagram */
	/* Lower case, labels separated by dots, without the last one; "" when a label has bytes that no container's name has. */
	char name[256];
};
/* False unless it is a standard query with one question. */
bool dns_question_parse(const unsigned char *message, size_t size, struct dns_question *ret);
/* The address that a reverse name means: family, and 4 or 16 bytes. */
bool dns_reverse_parse(const char *name, int *ret_family, unsigned char ret_address[static 16]);
/* Whether `message` is an answer to the question: same id, same question. */
bool dns_is_answer(const struct dns_question *q, const unsigned char *message, size_t size);

/* An answer: begin, any number of records, end. It is cut (TC) when it would be larger than `max`. */
void dns_answer_begin(struct strbuf *b, const struct dns_question *q, unsigned rcode);
void dns_answer_record(struct strbuf *b, uint16_t type, const void *data, size_t size);
void dns_answer_name(struct strbuf *b, uint16_t type, const char *name);
void dns_answer_end(struct strbuf *b, const struct dns_question *q, size_t max);

#endif
