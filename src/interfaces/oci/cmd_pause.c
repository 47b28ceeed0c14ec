/* SPDX-License-Identifier: Apache-2.0 */
/* pause and resume. */
#include "oci.h"

static struct err *run_pause(struct invocation *in, int *ret_status)
{
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	TRY(oci_load(in, &c));
	return rt_container_pause(c);
}

static struct err *run_resume(struct invocation *in, int *ret_status)
{
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	TRY(oci_load(in, &c));
	return rt_container_resume(c);
}

const struct command oci_pause = {
	.name = "pause",
	.summary = "Freeze all processes of a container",
	.usage = "CONTAINER",
	.min_args = 1,
	.max_args = 1,
	.run = run_pause,
};

const struct command oci_resume = {
	.name = "resume",
	.summary = "Let a paused container go on",
	.usage = "CONTAINER",
	.min_args = 1,
	.max_args = 1,
	.run = run_resume,
};
