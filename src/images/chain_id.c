/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "images/layer.h"

/* The lowest layer's chain id is its diff id; above it, the digest of "PARENT DIFF". */
void layer_chain_id(const struct digest *parent, const struct digest *diff_id, struct digest *ret)
{
	char text[2 * DIGEST_STRING_MAX];

	if (!parent) {
		*ret = *diff_id;
		return;
	}
	int n = snprintf(text, sizeof(text), "%s %s", parent->s, diff_id->s);
	digest_of(text, (size_t)n, ret);
}
