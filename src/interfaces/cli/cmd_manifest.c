// SPDX-License-Identifier: Apache-2.0
/* manifest create, add, annotate, inspect, push, remove, rm, exists: lists of images for several platforms, as podman and docker have them. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "commands.h"
#include "copy_flags.h"
#include "images/list.h"
#include "images/remote.h"

struct options {
	struct registry_flags registry;
	const char *os, *architecture, *variant, *os_version, *format, *digest_file;
	char **os_features, **annotations;
	bool all, amend, purge, quiet;
};

static bool was_interrupted(void *user)
{
	return interrupted();
}

static const struct progress silent = {.cancelled = was_interrupted};

/* A name without a transport is an image here, or else one of a registry. */
static char *place_of(struct store *s, const char *image)
{
	_cleanup_image_ struct image *i = NULL;

	if (copy_is_place(image))
		return xstrdup(image);
	struct err *e = store_find(s, image, &i);
	bool here = !e;
	err_free(e);
	return xasprintf("%s%s", here ? "store:" : "docker://", image);
}

static struct err *add(const struct invocation *in, struct store *s, const struct reference *name,
		       const char *image, struct digest *ret)
{
	const struct options *f = in->options;
	struct list_add_options o = {.all = f->all};
	_cleanup_free_ char *place = place_of(s, image), *user = NULL;

	TRY(registry_flags_options(in, &f->registry, &user, &o.transport));
	o.transport.store = s;
	o.transport.progress = &silent;
	o.entry = (struct list_entry_options){f->os,         f->architecture, f->variant,
					      f->os_version, f->os_features,  f->annotations};
	interrupt_catch();
	struct err *e = list_add(s, name, place, &o, ret);
	interrupt_restore();
	return e;
}

static struct err *begin(struct invocation *in, struct store **ret_store, struct reference *ret)
{
	TRY(reference_parse(in->args[0], ret));
	if (digest_is_set(&ret->digest))
		return err_new(ERR_INVALID, "%s: a manifest list has a name, not a digest", in->args[0]);
	return cli_store(ret_store);
}

static struct err *run_create(struct invocation *in, int *ret_status)
{
	const struct options *f = in->options;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	struct store *s;
	struct digest d;

	TRY(begin(in, &s, &name));
	TRY(list_create(s, &name, f->amend));
	for (size_t i = 1; i < in->n_args; i++) {
		struct err *e = add(in, s, &name, in->args[i], &d);
		if (e && !f->amend)
			err_free(list_delete(s, &name));
		TRY(e);
	}
	_cleanup_free_ char *text = reference_string(&name);
	printf("Created manifest list %s\n", text);
	return NULL;
}

static struct err *run_add(struct invocation *in, int *ret_status)
{
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	struct store *s;
	struct digest d;

	TRY(begin(in, &s, &name));
	for (size_t i = 1; i < in->n_args; i++) {
		TRY(add(in, s, &name, in->args[i], &d));
		puts(d.s);
	}
	return NULL;
}

/* A digest, or an image whose digest it is. */
static struct err *entry_digest(const struct invocation *in, struct store *s, const char *what,
				struct digest *ret)
{
	const struct options *f = in->options;
	struct remote_inspect_options o = {.manifest_only = true};
	_cleanup_remote_image_ struct remote_image r = {0};
	_cleanup_free_ char *place = NULL, *user = NULL;

	if (str_starts(what, "sha256:") || str_starts(what, "sha512:"))
		return digest_parse(what, ret);
	place = place_of(s, what);
	TRY(registry_flags_options(in, &f->registry, &user, &o.transport));
	o.transport.store = s;
	TRY(remote_inspect(place, &o, &r));
	*ret = r.digest;
	return NULL;
}

static struct err *run_annotate(struct invocation *in, int *ret_status)
{
	const struct options *f = in->options;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	const struct list_entry_options o = {f->os,         f->architecture, f->variant,
					     f->os_version, f->os_features,  f->annotations};
	struct store *s;
	struct digest d;

	TRY(begin(in, &s, &name));
	TRY(entry_digest(in, s, in->args[1], &d));
	TRY(list_annotate(s, &name, &d, &o));
	puts(d.s);
	return NULL;
}

static struct err *run_remove(struct invocation *in, int *ret_status)
{
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	struct store *s;
	struct digest d;

	TRY(begin(in, &s, &name));
	TRY(entry_digest(in, s, in->args[1], &d));
	TRY(list_remove(s, &name, &d));
	puts(d.s);
	return NULL;
}

static struct err *run_rm(struct invocation *in, int *ret_status)
{
	struct store *s;

	TRY(cli_store(&s));
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_reference_ struct reference name = REFERENCE_NONE;
		_cleanup_err_ struct err *e = reference_parse(in->args[i], &name);
		if (!e)
			e = list_delete(s, &name);
		if (e) {
			command_report(in, e);
			*ret_status = 1;
		} else {
			puts(in->args[i]);
		}
	}
	return NULL;
}

static struct err *run_exists(struct invocation *in, int *ret_status)
{
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	_cleanup_free_ char *text = NULL;
	struct store *s;

	TRY(begin(in, &s, &name));
	struct err *e = list_read(s, &name, &text);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		*ret_status = 1;
		return NULL;
	}
	return e;
}

/* A list that is being made here, or else what a place has. */
static struct err *run_inspect(struct invocation *in, int *ret_status)
{
	const struct options *f = in->options;
	struct remote_inspect_options o = {.manifest_only = true};
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	_cleanup_remote_image_ struct remote_image r = {0};
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_free_ char *text = NULL, *user = NULL, *place = NULL;
	struct store *s;

	TRY(cli_store(&s));
	if (!copy_is_place(in->args[0])) {
		TRY(reference_parse(in->args[0], &name));
		struct err *e = list_read(s, &name, &text);
		if (!e)
			puts(text);
		if (!e || e->kind != ERR_NOT_FOUND)
			return e;
		err_free(e);
	}
	place = copy_is_place(in->args[0]) ? xstrdup(in->args[0]) : xasprintf("docker://%s", in->args[0]);
	TRY(registry_flags_options(in, &f->registry, &user, &o.transport));
	o.transport.store = s;
	TRY(remote_inspect(place, &o, &r));
	TRY(json_parse(r.manifest, r.manifest_size, "manifest", &doc));
	text = json_print(doc, JSON_PRETTY);
	puts(text);
	return NULL;
}

static struct err *run_push(struct invocation *in, int *ret_status)
{
	const struct options *f = in->options;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	struct copy_options o = {.format = str_eq(f->format, "oci")    ? COPY_FORMAT_OCI
					   : str_eq(f->format, "v2s2") ? COPY_FORMAT_DOCKER
								       : COPY_FORMAT_KEEP};
	_cleanup_free_ char *user = NULL, *place = NULL;
	struct copy_result result;
	struct store *s;

	TRY(begin(in, &s, &name));
	_cleanup_free_ char *text = reference_string(&name);
	place = in->n_args < 2               ? xasprintf("docker://%s", text)
		: copy_is_place(in->args[1]) ? xstrdup(in->args[1])
					     : xasprintf("docker://%s", in->args[1]);
	TRY(registry_flags_options(in, &f->registry, &user, &o.destination));
	o.source = o.destination;
	/* The password is for where the list goes; its images' registries have their own in the credential files. */
	o.source.username = o.source.password = NULL;
	o.source.store = o.destination.store = s;
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDERR_FILENO, PROGRESS_COPY, f->quiet, NULL);
	o.source.progress = o.destination.progress = progress_display_callbacks(display);
	interrupt_catch();
	struct err *e = list_push(s, &name, place, &o, &result);
	interrupt_restore();
	progress_display_finish(display);
	TRY(e);
	if (f->digest_file)
		TRY(file_replace_at(AT_FDCWD, f->digest_file, result.digest.s, strlen(result.digest.s), 0644,
				    FILE_DURABLE));
	puts(result.digest.s);
	return f->purge ? list_delete(s, &name) : NULL;
}

#define REACH \
	REGISTRY_FLAGS_REACH(struct options, registry, ""), REGISTRY_FLAGS_FILES(struct options, registry, "")
#define ENTRY                                                                                            \
	{FLAG_LIST_FIELD(struct options, annotations), .name = "annotation", .metavar = "key=value",     \
	 .help = "Annotate the entry"},                                                                  \
		{FLAG_STRING_FIELD(struct options, architecture), .name = "arch", .metavar = "word",     \
		 .help = "Architecture, when the image's own is not right"},                             \
		{FLAG_STRING_FIELD(struct options, os), .name = "os", .metavar = "word",                 \
		 .help = "Operating system"},                                                            \
		{FLAG_LIST_FIELD(struct options, os_features), .name = "os-features", .metavar = "word", \
		 .help = "Feature that the operating system must have"},                                 \
		{FLAG_STRING_FIELD(struct options, os_version), .name = "os-version", .metavar = "text", \
		 .help = "Version of the operating system"},                                             \
	{                                                                                                \
		FLAG_STRING_FIELD(struct options, variant), .name = "variant", .metavar = "word",        \
							    .help = "Variant of the architecture"        \
	}
#define ALL                                                                                      \
	{                                                                                        \
		FLAG_BOOL_FIELD(struct options, all),                                            \
			.name = "all", .help = "Of an image for several platforms, add them all" \
	}
#define COMMON                                                                      \
	.options_size = sizeof(struct options), .defaults = &(const struct options) \
	{                                                                           \
		.registry = REGISTRY_FLAGS_DEFAULT                                  \
	}

static const struct flag create_table[] = {
	ALL,
	{FLAG_BOOL_FIELD(struct options, amend), .name = "amend", .letter = 'a',
	 .help = "Add to a list that exists"},
	ENTRY,
	REACH,
	{0},
};
static const struct flag add_table[] = {ALL, ENTRY, REACH, {0}};
static const struct flag annotate_table[] = {ENTRY, REACH, {0}};
static const struct flag reach_table[] = {REACH, {0}};
static const struct flag push_table[] = {
	{FLAG_STRING_FIELD(struct options, digest_file), .name = "digestfile", .metavar = "file",
	 .help = "Write the list's digest to this file", .values = "@file"},
	{FLAG_CHOICE_FIELD(struct options, format), .name = "format", .letter = 'f',
	 .help = "Kind of the list (default: oci, unless all images are Docker's)", .values = "oci v2s2"},
	{FLAG_BOOL_FIELD(struct options, purge), .name = "purge", .letter = 'p',
	 .help = "Remove the list here when it is pushed"},
	{FLAG_BOOL_FIELD(struct options, quiet), .name = "quiet", .letter = 'q',
	 .help = "Print the digest only"},
	REACH,
	{FLAG_BOOL_FIELD(struct options, all), .name = "all", .traits = FLAG_HIDDEN,
	 .help = "Push the images too: they always are"},
	{0},
};

const struct command cmd_manifest_create = {
	.name = "manifest create",
	.summary = "Begin a list of images for several platforms",
	.usage = "[OPTIONS] LIST [IMAGE...]",
	.help = "The list is kept here under its name until it is pushed; the images stay where they are. An "
		"image "
		"is one of the store, one of a registry, or a place as for image copy.",
	.examples = "PROGRAM manifest create localhost:5000/app:1 localhost:5000/app:1-amd64 "
		    "localhost:5000/app:1-arm64\nPROGRAM manifest push localhost:5000/app:1",
	.flags = create_table,
	COMMON,
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.run = run_create,
};
const struct command cmd_manifest_add = {
	.name = "manifest add",
	.summary = "Add images to a list",
	.usage = "[OPTIONS] LIST IMAGE [IMAGE...]",
	.flags = add_table,
	COMMON,
	.min_args = 2,
	.max_args = ARGS_UNLIMITED,
	.run = run_add,
};
const struct command cmd_manifest_annotate = {
	.name = "manifest annotate",
	.summary = "Change what a list says of an image",
	.usage = "[OPTIONS] LIST IMAGE|DIGEST",
	.flags = annotate_table,
	COMMON,
	.min_args = 2,
	.max_args = 2,
	.run = run_annotate,
};
const struct command cmd_manifest_inspect = {
	.name = "manifest inspect",
	.summary = "Print a list, or the manifest of an image in a registry",
	.usage = "[OPTIONS] LIST|IMAGE",
	.flags = reach_table,
	COMMON,
	.min_args = 1,
	.max_args = 1,
	.run = run_inspect,
};
const struct command cmd_manifest_push = {
	.name = "manifest push",
	.summary = "Push a list and its images",
	.usage = "[OPTIONS] LIST [DESTINATION]",
	.help = "To the registry that the list's name says, or to DESTINATION (docker://NAME, oci:PATH:NAME, "
		"…).",
	.flags = push_table,
	COMMON,
	.min_args = 1,
	.max_args = 2,
	.run = run_push,
};
const struct command cmd_manifest_remove = {
	.name = "manifest remove",
	.summary = "Take an image out of a list",
	.usage = "[OPTIONS] LIST IMAGE|DIGEST",
	.flags = reach_table,
	COMMON,
	.min_args = 2,
	.max_args = 2,
	.run = run_remove,
};
const struct command cmd_manifest_rm = {
	.name = "manifest rm",
	.summary = "Remove lists",
	.usage = "LIST [LIST...]",
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.traits = COMMAND_LOCAL,
	.run = run_rm,
};
const struct command cmd_manifest_exists = {
	.name = "manifest exists",
	.summary = "Say by the exit status whether there is such a list",
	.usage = "LIST",
	.min_args = 1,
	.max_args = 1,
	.traits = COMMAND_LOCAL,
	.run = run_exists,
};
