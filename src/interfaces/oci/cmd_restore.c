/* SPDX-License-Identifier: Apache-2.0 */
#include "criu_flags.h"

static const struct flag flags[] = {
	CRIU_FLAG_ROWS,
	{FLAG_STRING_FIELD(struct criu_flags, lsm_profile), .name = "lsm-profile", .metavar = "TYPE:NAME",
	 .help = "Another AppArmor or SELinux profile than the one that was in effect"},
	{FLAG_STRING_FIELD(struct criu_flags, lsm_mount_context), .name = "lsm-mount-context",
	 .metavar = "CONTEXT", .help = "Another SELinux context of the mounts"},
	{FLAG_BOOL_FIELD(struct criu_flags, make.detach), .name = "detach", .letter = 'd',
	 .help = "Do not wait for the container"},
	{FLAG_BOOL_FIELD(struct criu_flags, make.keep), .name = "keep",
	 .help = "Do not delete the container when it has ended"},
	{0},
};

static struct err *restore(struct invocation *in, struct rt_container **ret)
{
	const struct criu_flags *f = in->options;
	_cleanup_(make_request_release) struct make_request request = MAKE_REQUEST_NONE;
	struct rt_restore r = {.lsm_profile = f->lsm_profile, .lsm_mount_context = f->lsm_mount_context};
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	TRY(criu_flags_options(in, &r.options));
	TRY(make_request_fill(in, &f->make, !f->make.detach, &request));
	r.create = request.create;
	TRY(rt_container_restore(&r, &c));
	oci_warn(c);
	if (f->make.pidfd_socket)
		TRY(pidfd_socket_send(f->make.pidfd_socket, c->pidfd));
	*ret = TAKE_PTR(c);
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct criu_flags *f = in->options;
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	if (!f->make.detach)
		TRY(foreground_prepare());
	TRY(restore(in, &c));
	if (f->make.detach)
		return NULL;
	foreground_terminal(c->console);
	struct err *e = foreground_wait(c->pidfd, c->console, NULL, ret_status);
	if (!e && !f->make.keep)
		e = rt_container_delete(c, true);
	return e;
}

const struct command oci_restore = {
	.name = "restore",
	.summary = "Let a checkpointed container go on",
	.usage = "[OPTIONS] CONTAINER",
	.help = "The program criu must be installed. The bundle must be the one that the container was made "
		"from, or its like: root "
		"file system and mounts come from there. Standard input and output are those of this "
		"command.",
	.flags = flags,
	.more_flags = make_flags,
	.options_size = sizeof(struct criu_flags),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
