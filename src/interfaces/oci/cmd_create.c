/* SPDX-License-Identifier: Apache-2.0 */
#include "oci.h"

static struct err *run(struct invocation *in, int *ret_status)
{
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	return make_container(in, false, &c);
}

const struct command oci_create = {
	.name = "create",
	.summary = "Make a container that waits to be started",
	.usage = "[OPTIONS] CONTAINER",
	.flags = make_flags,
	.options_size = sizeof(struct make_options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
