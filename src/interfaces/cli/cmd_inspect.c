// SPDX-License-Identifier: Apache-2.0
/* inspect, container inspect, volume inspect, network inspect; image inspect of the store (cmd_remote.c has the command). */
#include <stdio.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "engine/network.h"
#include "inspect.h"

struct inspect_flags {
	const char *format, *type;
	bool verbose, size;
};

static struct err *inspect_container(struct engine *e, const char *what, bool size, struct json **ret)
{
	_cleanup_container_ struct container *c = NULL;
	_cleanup_json_ struct json *o = NULL;
	uint64_t own, whole;

	TRY(container_find(e, what, &c));
	TRY(container_inspect(e, c, &o));
	if (size) {
		TRY(container_size(e, c, &own, &whole));
		json_set_u64(o, "SizeRw", own);
		json_set_u64(o, "SizeRootFs", whole);
	}
	*ret = TAKE_PTR(o);
	return NULL;
}

static struct err *inspect_image(struct engine *e, const char *what, struct json **ret)
{
	_cleanup_image_ struct image *i = NULL;
	struct store *s;

	TRY(engine_store(e, &s));
	TRY(store_find(s, what, &i));
	*ret = image_inspect_json(s, i);
	return NULL;
}

static struct err *inspect_volume(struct engine *e, const char *what, struct json **ret)
{
	struct volume v = {0};

	TRY(volume_find(e, what, &v));
	*ret = volume_json(&v);
	volume_release(&v);
	return NULL;
}

static struct err *inspect_network(struct engine *e, const char *what, struct json **ret)
{
	_cleanup_network_ struct network *n = NULL;

	TRY(network_find(e, what, &n));
	return network_inspect(e, n, ret);
}

static bool not_it(const struct err *e)
{
	/* Not even a possible image name, or none here: the user may have meant either. */
	return e && (e->kind == ERR_NOT_FOUND || e->kind == ERR_INVALID);
}

static struct err *inspect(struct engine *e, const char *type, const char *what, bool size, struct json **ret)
{
	if (str_eq(type, "image"))
		return inspect_image(e, what, ret);
	if (str_eq(type, "volume"))
		return inspect_volume(e, what, ret);
	if (str_eq(type, "network"))
		return inspect_network(e, what, ret);
	struct err *failed = inspect_container(e, what, size, ret);
	if (!failed || str_eq(type, "container") || failed->kind != ERR_NOT_FOUND)
		return failed;
	err_free(failed);
	static struct err *(*const others[])(struct engine *, const char *, struct json **) = {
		inspect_image, inspect_network, inspect_volume};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		failed = others[i](e, what, ret);
		if (!not_it(failed))
			return failed;
		err_free(failed);
	}
	return err_new(ERR_NOT_FOUND, "no such container, image, network or volume: %s", what);
}

struct err *print_objects(const char *format, struct json *all)
{
	if (!format) {
		_cleanup_free_ char *text = json_print(all, JSON_PRETTY);
		puts(text);
		return NULL;
	}
	struct json_cursor c = json_root(all);
	if (str_eq(format, "json")) {
		_cleanup_free_ char *text = json_print(all, JSON_COMPACT);
		puts(text);
		return NULL;
	}
	for (size_t i = 0, n = json_array_len(&c); i < n; i++) {
		struct json_cursor one = json_at(&c, i);
		TRY(format_object(format, one.value));
	}
	return NULL;
}

/* What was found is printed, in one array, whatever was missing; the missing ones are reported and make the status 1. */
static struct err *inspect_all(struct invocation *in, const char *type, const char *format, bool size,
			       int *ret_status)
{
	_cleanup_json_ struct json *all = json_new_array();
	struct engine *e;

	TRY(cli_engine(&e));
	for (size_t i = 0; i < in->n_args; i++) {
		struct json *one = NULL;
		_cleanup_err_ struct err *failed = inspect(e, type, in->args[i], size, &one);
		if (failed) {
			command_report(in, failed);
			*ret_status = 1;
		} else {
			json_append(all, one);
		}
	}
	return print_objects(format, all);
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct inspect_flags *f = in->options;
	return inspect_all(in, f->type, f->format, f->size, ret_status);
}

static struct err *run_container(struct invocation *in, int *ret_status)
{
	const struct inspect_flags *f = in->options;
	return inspect_all(in, "container", f->format, f->size, ret_status);
}

struct err *inspect_images(struct invocation *in, const char *format, int *ret_status)
{
	return inspect_all(in, "image", format, false, ret_status);
}

static struct err *run_volume(struct invocation *in, int *ret_status)
{
	const struct inspect_flags *f = in->options;
	return inspect_all(in, "volume", f->format, false, ret_status);
}

static struct err *run_network(struct invocation *in, int *ret_status)
{
	const struct inspect_flags *f = in->options;
	return inspect_all(in, "network", f->format, false, ret_status);
}

#define FORMAT_FLAGS                                                                               \
	{FLAG_STRING_FIELD(struct inspect_flags, format),                                          \
	 .name = "format",                                                                         \
	 .letter = 'f',                                                                            \
	 .metavar = "template",                                                                    \
	 .help = "Print with a template ({{.Id}}, {{json .Config}}) or as json",                   \
	 .values = "json"},                                                                        \
	{                                                                                          \
		FLAG_BOOL_FIELD(struct inspect_flags, size), .name = "size", .letter = 's',        \
							     .help = "Add the sizes of containers" \
	}

static const struct flag one_kind_flags[] = {FORMAT_FLAGS, {0}};
static const struct flag flags[] = {
	FORMAT_FLAGS,
	{FLAG_CHOICE_FIELD(struct inspect_flags, type), .name = "type",
	 .help = "Which kind of object is meant", .values = "container image network volume"},
	{0},
};

const struct command cmd_inspect = {
	.name = "inspect",
	.summary = "Print all that is known of containers, images, networks and volumes, as JSON",
	.usage = "[OPTIONS] NAME|ID [NAME|ID...]",
	.examples =
		"# one value\nPROGRAM inspect -f '{{.State.Status}}' web\n# the environment, a line each\n"
		"PROGRAM inspect -f '{{range .Config.Env}}{{println .}}{{end}}' web",
	.flags = flags,
	.options_size = sizeof(struct inspect_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!objects",
	.traits = COMMAND_LOCAL,
	.run = run,
};

const struct command cmd_container_inspect = {
	.name = "container inspect",
	.summary = "Print all that is known of containers, as JSON",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.flags = one_kind_flags,
	.options_size = sizeof(struct inspect_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!containers",
	.traits = COMMAND_LOCAL,
	.run = run_container,
};

const struct command cmd_volume_inspect = {
	.name = "volume inspect",
	.summary = "Print all that is known of volumes, as JSON",
	.usage = "[OPTIONS] VOLUME [VOLUME...]",
	.flags = (const struct flag[]){{FLAG_STRING_FIELD(struct inspect_flags, format), .name = "format",
					.letter = 'f', .metavar = "template",
					.help = "Print with a template ({{.Mountpoint}}) or as json",
					.values = "json"},
				       {0}},
	.options_size = sizeof(struct inspect_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!volumes",
	.traits = COMMAND_LOCAL,
	.run = run_volume,
};

const struct command cmd_network_inspect = {
	.name = "network inspect",
	.summary = "Print all that is known of networks, as JSON",
	.usage = "[OPTIONS] NETWORK [NETWORK...]",
	.flags = (const struct flag[]){{FLAG_STRING_FIELD(struct inspect_flags, format), .name = "format",
					.letter = 'f', .metavar = "template",
					.help = "Print with a template ({{.Id}}) or as json",
					.values = "json"},
				       {FLAG_BOOL_FIELD(struct inspect_flags, verbose), .name = "verbose",
					.letter = 'v', .help = "Everything is shown anyway"},
				       {0}},
	.options_size = sizeof(struct inspect_flags),
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!networks",
	.traits = COMMAND_LOCAL,
	.run = run_network,
};
