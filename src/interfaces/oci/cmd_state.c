/* SPDX-License-Identifier: Apache-2.0 */
#include "oci.h"

static struct err *run(struct invocation *in, int *ret_status)
{
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	_cleanup_json_ struct json *state = NULL;
	TRY(oci_load(in, &c));
	TRY(rt_container_state_json(c, &state));
	return oci_print_json(state);
}

const struct command oci_state = {
	.name = "state",
	.summary = "Print a container's state as JSON",
	.usage = "CONTAINER",
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
