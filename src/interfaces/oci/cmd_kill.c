/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "base/process.h"
#include "base/str.h"
#include "oci.h"

struct options {
	bool all, regex;
};

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct options, all), .name = "all", .letter = 'a',
	 .help = "Send it to every process of the container"},
	{FLAG_BOOL_FIELD(struct options, regex), .name = "regex", .letter = 'r',
	 .help = "CONTAINER is a regular expression"},
	{0},
};

static struct err *kill_one(const char *id, int signum, bool all)
{
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	TRY(rt_container_load(oci_options.root, id, &c));
	return rt_container_kill(c, signum, all);
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct options *o = in->options;
	_cleanup_strv_ char **ids = NULL;
	int signum = SIGTERM;
	if (in->n_args > 1)
		TRY(signal_parse(in->args[1], &signum));
	if (!o->regex)
		return kill_one(in->args[0], signum, o->all);
	TRY(oci_match(in->args[0], &ids));
	STRV_FOREACH (id, ids)
		TRY_WRAP(kill_one(*id, signum, o->all), "container %s", *id);
	return NULL;
}

const struct command oci_kill = {
	.name = "kill",
	.summary = "Send a signal to a container's first process",
	.usage = "[OPTIONS] CONTAINER [SIGNAL]",
	.flags = flags,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
