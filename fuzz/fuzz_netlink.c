/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of netlink: messages, attributes and one level of nesting, each byte of which must be there. */
#include <linux/netlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/netlink.h"

static void touch(const unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		(void)*(volatile const unsigned char *)&data[i];
}

static void walk(const unsigned char *data, size_t size, int depth)
{
	struct netlink_attribute a;
	uint32_t v;

	while (netlink_attribute_next(&data, &size, &a)) {
		touch(a.data, a.size);
		(void)netlink_attribute_u32(&a, &v);
		if (depth > 0)
			walk(a.data, a.size, depth - 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netlink_refusal refusal = {0};
	struct netlink_message m;
	bool done = false;

	while (netlink_next(&data, &size, &m)) {
		const unsigned char *attributes;
		size_t left;
		netlink_answer(&m, 2, &refusal, &done);
		if (!memchr(refusal.text, '\0', sizeof(refusal.text)) || refusal.errnum < 0 ||
		    refusal.errnum > 4095)
			abort();
		netlink_attributes(&m, 16, &attributes, &left);
		walk(attributes, left, 2);
	}
	return 0;
}
