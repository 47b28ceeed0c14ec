/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "oci.h"

struct options {
	bool force, regex;
};

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct options, force), .name = "force", .letter = 'f',
	 .help = "Kill a running container first; a missing one is no error"},
	{FLAG_BOOL_FIELD(struct options, regex), .name = "regex", .letter = 'r',
	 .help = "CONTAINER is a regular expression"},
	{0},
};

struct err *oci_delete_container(const char *id, bool force)
{
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	struct err *e = rt_container_load(oci_options.root, id, &c);
	if (e && force && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	if (e)
		return e;
	e = rt_container_delete(c, force);
	oci_warn_ended(c);
	return e;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct options *o = in->options;
	_cleanup_strv_ char **ids = NULL;
	if (!o->regex)
		return oci_delete_container(in->args[0], o->force);
	TRY(oci_match(in->args[0], &ids));
	STRV_FOREACH (id, ids)
		TRY_WRAP(oci_delete_container(*id, o->force), "container %s", *id);
	return NULL;
}

const struct command oci_delete = {
	.name = "delete",
	.summary = "Remove what is left of a container",
	.usage = "[OPTIONS] CONTAINER",
	.flags = flags,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
