/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of containers: what is understood has a bounded name, and its answer is a message that parses as one. */
#include <stdint.h>
#include <stdlib.h>

#include "network/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_question q;
	_cleanup_strbuf_ struct strbuf b = {0};
	unsigned char address[16];
	int family;

	if (!dns_question_parse(data, size, &q))
		return 0;
	if (q.end > size || strlen(q.name) > 255)
		abort();
	(void)dns_reverse_parse(q.name, &family, address);
	dns_answer_begin(&b, &q, 0);
	dns_answer_record(&b, DNS_TYPE_A, "\1\2\3\4", 4);
	dns_answer_name(&b, DNS_TYPE_PTR, q.name);
	dns_answer_end(&b, &q, q.udp_size);
	if (!dns_is_answer(&q, (const unsigned char *)b.data, b.len))
		abort();
	(void)dns_is_answer(&q, data, size);
	return 0;
}
