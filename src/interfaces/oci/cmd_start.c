/* SPDX-License-Identifier: Apache-2.0 */
#include "oci.h"

static struct err *run(struct invocation *in, int *ret_status)
{
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	_cleanup_(rt_notify_close) struct rt_notify notify = RT_NOTIFY_NONE;
	const char *address = notify_address();
	TRY(oci_load(in, &c));
	if (address)
		TRY(rt_notify_open(c, address, &notify));
	TRY(rt_container_start(c));
	return rt_notify_wait(&notify, c);
}

const struct command oci_start = {
	.name = "start",
	.summary = "Run the program of a created container",
	.usage = "CONTAINER",
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
