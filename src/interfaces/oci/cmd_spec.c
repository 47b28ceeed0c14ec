/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "oci.h"

struct options {
	const char *bundle, *file;
	bool rootless;
};

static const struct flag flags[] = {
	{FLAG_STRING_FIELD(struct options, bundle), .name = "bundle", .letter = 'b', .metavar = "DIR",
	 .values = "@dir", .help = "Where to write config.json (default: the working directory)"},
	{FLAG_STRING_FIELD(struct options, file), .name = "file", .letter = 'f', .metavar = "FILE",
	 .values = "@file", .help = "Another name than config.json"},
	{FLAG_BOOL_FIELD(struct options, rootless), .name = "rootless",
	 .help = "For a container of an ordinary user"},
	{0},
};

static struct err *run(struct invocation *in, int *ret_status)
{
	struct options *o = in->options;
	_cleanup_json_ struct json *document = rt_spec_default(o->rootless);
	_cleanup_free_ char *text = json_print(document, JSON_PRETTY);
	_cleanup_free_ char *path =
		o->file && o->file[0] == '/'
			? xstrdup(o->file)
			: xasprintf("%s/%s", o->bundle ? o->bundle : ".", o->file ? o->file : "config.json");
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return err_new(ERR_EXISTS, "file %s exists: remove it first", path);
	if (fd < 0)
		return err_errno(errno, "cannot make %s", path);
	TRY(fd_write_full(fd, text, strlen(text), path));
	return fd_write_full(fd, "\n", 1, path);
}

const struct command oci_spec = {
	.name = "spec",
	.summary = "Write a configuration to start from",
	.usage = "[OPTIONS]",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
