/* SPDX-License-Identifier: Apache-2.0 */
#include "oci.h"

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct make_options, detach), .name = "detach", .letter = 'd',
	 .help = "Do not wait for the container"},
	{FLAG_BOOL_FIELD(struct make_options, keep), .name = "keep",
	 .help = "Do not delete the container when it has ended"},
	{0},
};

static struct err *start_and_wait(struct rt_container *c, bool detach, int *ret_status)
{
	_cleanup_(rt_notify_close) struct rt_notify notify = RT_NOTIFY_NONE;
	const char *address = notify_address();
	foreground_terminal(c->console);
	if (address)
		TRY(rt_notify_open(c, address, &notify));
	TRY(rt_container_start(c));
	if (detach)
		return rt_notify_wait(&notify, c);
	return foreground_wait(c->pidfd, c->console, &notify, ret_status);
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct make_options *o = in->options;
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	if (!o->detach)
		TRY(foreground_prepare());
	TRY(make_container(in, !o->detach, &c));
	struct err *e = start_and_wait(c, o->detach, ret_status);
	if ((e || !o->detach) && !o->keep) {
		struct err *gone = rt_container_delete(c, true);
		if (e)
			err_free(gone);
		else
			e = gone;
		oci_warn_ended(c);
	}
	return e;
}

const struct command oci_run = {
	.name = "run",
	.summary = "Make and start a container, and wait for its end",
	.usage = "[OPTIONS] CONTAINER",
	.flags = flags,
	.more_flags = make_flags,
	.options_size = sizeof(struct make_options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
