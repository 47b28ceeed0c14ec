/* SPDX-License-Identifier: Apache-2.0 */
#include "oci.h"

static struct err *run(struct invocation *in, int *ret_status)
{
	_cleanup_json_ struct json *features = rt_features();
	return oci_print_json(features);
}

const struct command oci_features = {
	.name = "features",
	.summary = "Print what this runtime supports as JSON",
	.usage = "",
	.run = run,
};
