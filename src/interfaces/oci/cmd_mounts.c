/* SPDX-License-Identifier: Apache-2.0 */
/* crun's mounts add and mounts remove. */
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "oci.h"

struct err *oci_read_json(const char *path, struct json **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	if (!str_eq(path, "-"))
		return json_parse_file_at(AT_FDCWD, path, ret);
	TRY(file_read_fd(STDIN_FILENO, "stdin", JSON_SIZE_MAX, &text, &size));
	return json_parse(text, size, "stdin", ret);
}

static struct err *change(struct invocation *in, bool remove)
{
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	_cleanup_json_ struct json *document = NULL;
	const char *file = in->args[1];
	TRY(oci_load(in, &c));
	TRY(oci_read_json(file, &document));
	struct json_cursor list = json_root(document), root = list;
	if (json_kind(&root) == JSON_OBJECT)
		TRY_WRAP(json_get_array(&root, "mounts", JSON_REQUIRED, &list), "%s", file);
	TRY_WRAP(rt_container_change_mounts(c, list.value, remove), "container %s", c->id);
	return NULL;
}

static struct err *run_add(struct invocation *in, int *ret_status)
{
	return change(in, false);
}

static struct err *run_remove(struct invocation *in, int *ret_status)
{
	return change(in, true);
}

const struct command oci_mounts_add = {
	.name = "mounts add",
	.summary = "Mount something in a running container",
	.usage = "CONTAINER FILE|-",
	.help = "FILE holds the specification's \"mounts\" as JSON: an array, or an object with it. All of "
		"them are made, or none.",
	.min_args = 2,
	.max_args = 2,
	.run = run_add,
};

const struct command oci_mounts_remove = {
	.name = "mounts remove",
	.summary = "Unmount something in a running container",
	.usage = "CONTAINER FILE|-",
	.help = "FILE is as for mounts add; only the destinations are read.",
	.min_args = 2,
	.max_args = 2,
	.run = run_remove,
};
