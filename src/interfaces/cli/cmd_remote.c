// SPDX-License-Identifier: Apache-2.0
/* image inspect (of a place as well as of the store), image list-tags, image delete: skopeo's. */
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "commands.h"
#include "copy_flags.h"
#include "images/remote.h"
#include "inspect.h"

/* -- image inspect ------------------------------------------------------------------------------------------------- */

struct inspect_options {
	struct registry_flags registry;
	const char *format, *override_os, *override_arch, *override_variant;
	bool raw, config, no_tags;
};

static void set_of(struct json *to, const char *name, const struct json_cursor *from, const char *key)
{
	struct json_cursor c = {0};

	if (from->value) {
		struct err *e = json_get(from, key, JSON_OPTIONAL, &c);
		err_free(e);
	}
	json_set(to, name, c.value ? json_ref(c.value) : NULL);
}

static void set_text(struct json *to, const char *name, const struct json_cursor *from, const char *key)
{
	const char *s = "";

	if (from->value) {
		struct err *e = json_get_string(from, key, JSON_OPTIONAL, &s);
		err_free(e);
	}
	json_set_string(to, name, s);
}

/* skopeo's object. */
static struct err *remote_json(const struct remote_image *r, struct json **ret)
{
	_cleanup_json_ struct json *doc = NULL, *o = json_new_object();
	struct json *digests = json_new_array();
	struct json_cursor config;

	if (r->name)
		json_set_string(o, "Name", r->name);
	json_set_string(o, "Digest", r->digest.s);
	json_set(o, "RepoTags", r->tags ? json_new_strv(r->tags) : json_new_array());
	json_set(o, "Created", NULL);
	json_set_string(o, "DockerVersion", "");
	json_set(o, "Labels", NULL);
	json_set_string(o, "Architecture", "");
	json_set(o, "Os", NULL);
	json_set(o, "Layers", digests);
	TRY(json_parse(r->config, r->config_size, "image config", &doc));
	struct json_cursor root = json_root(doc);
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_CORRUPT, "the image's config is not a JSON object");
	TRY(json_get_object(&root, "config", JSON_OPTIONAL, &config));
	set_of(o, "Created", &root, "created");
	set_text(o, "DockerVersion", &root, "docker_version");
	set_of(o, "Labels", &config, "Labels");
	set_text(o, "Architecture", &root, "architecture");
	set_text(o, "Os", &root, "os");
	struct json_cursor layers = json_root(r->layers);
	for (size_t i = 0, n = json_array_len(&layers); i < n; i++) {
		struct json_cursor layer = json_at(&layers, i);
		const char *digest = "";
		TRY(json_get_string(&layer, "Digest", JSON_REQUIRED, &digest));
		json_append(digests, json_new_string(digest));
	}
	json_set(o, "LayersData", json_ref(r->layers));
	set_of(o, "Env", &config, "Env");
	*ret = TAKE_PTR(o);
	return NULL;
}

/* In the bytes' own order, indented. */
static struct err *print_document(const char *format, const char *text, size_t size)
{
	_cleanup_json_ struct json *doc = NULL;

	TRY(json_parse(text, size, "image config", &doc));
	if (format)
		return format_object(format, doc);
	_cleanup_free_ char *pretty = json_print(doc, JSON_PRETTY);
	puts(pretty);
	return NULL;
}

static struct err *print_remote(const struct inspect_options *f, const struct remote_image *r)
{
	_cleanup_json_ struct json *o = NULL;

	if (f->raw && !f->config) {
		fwrite(r->manifest, 1, r->manifest_size, stdout);
		return NULL;
	}
	if (f->raw) {
		fwrite(r->config, 1, r->config_size, stdout);
		return NULL;
	}
	if (f->config)
		return print_document(f->format, r->config, r->config_size);
	TRY(remote_json(r, &o));
	if (f->format)
		return format_object(f->format, o);
	_cleanup_free_ char *text = json_print(o, JSON_PRETTY);
	puts(text);
	return NULL;
}

static bool was_interrupted(void *user)
{
	return interrupted();
}

static const struct progress quiet_progress = {.cancelled = was_interrupted};

static struct err *inspect_place(struct invocation *in, const char *place)
{
	const struct inspect_options *f = in->options;
	struct remote_inspect_options o = {.manifest_only = f->raw && !f->config, .tags = !f->no_tags};
	_cleanup_remote_image_ struct remote_image r = {0};
	_cleanup_free_ char *user = NULL;
	struct platform platform;

	TRY(cli_transfer());
	TRY(override_platform(f->override_os, f->override_arch, f->override_variant, &platform));
	o.platform = &platform;
	TRY(registry_flags_options(in, &f->registry, &user, &o.transport));
	o.transport.progress = &quiet_progress;
	o.tags &= !f->raw && !f->config;
	if (copy_needs_store(place))
		TRY(cli_store(&o.transport.store));
	interrupt_catch();
	struct err *e = remote_inspect(place, &o, &r);
	interrupt_restore();
	TRY(e);
	return print_remote(f, &r);
}

static struct err *run_inspect(struct invocation *in, int *ret_status)
{
	const struct inspect_options *f = in->options;

	if (copy_is_place(in->args[0])) {
		if (in->n_args > 1)
			return usage_error(in, "one place at a time is inspected");
		return inspect_place(in, in->args[0]);
	}
	if (f->raw || f->config)
		return usage_error(in, "--raw and --config are for places: docker://%s, store:%s",
				   in->args[0], in->args[0]);
	return inspect_images(in, f->format, ret_status);
}

const struct command cmd_image_inspect = {
	.name = "image inspect",
	.summary = "Print all that is known of images, as JSON",
	.usage = "[OPTIONS] IMAGE|PLACE [IMAGE...]",
	.help = "Images of the store are shown as docker shows them. A place (docker://NAME, "
		"oci:PATH[:NAME], "
		"and so on: see image copy) is looked at where it is, and shown as skopeo shows it.",
	.examples =
		"# what a registry has, without pulling it\nPROGRAM image inspect docker://debian:12\n# its "
		"manifest, byte for byte\nPROGRAM image inspect --raw docker://debian:12",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct inspect_options, config), .name = "config",
			 .help = "Of a place: print the image's configuration"},
			{FLAG_STRING_FIELD(struct inspect_options, format), .name = "format", .letter = 'f',
			 .metavar = "template",
			 .help = "Print with a template ({{.Id}}, {{json .Config}}) or as json",
			 .values = "json"},
			{FLAG_BOOL_FIELD(struct inspect_options, no_tags), .name = "no-tags", .letter = 'n',
			 .help = "Of a registry: do not list the repository's tags"},
			{FLAG_STRING_FIELD(struct inspect_options, override_arch), .name = "override-arch",
			 .metavar = "word", .help = "Choose for this architecture of an index"},
			{FLAG_STRING_FIELD(struct inspect_options, override_os), .name = "override-os",
			 .metavar = "word", .help = "Choose for this operating system"},
			{FLAG_STRING_FIELD(struct inspect_options, override_variant),
			 .name = "override-variant", .metavar = "word",
			 .help = "Choose for this variant of the architecture"},
			{FLAG_BOOL_FIELD(struct inspect_options, raw), .name = "raw",
			 .help = "Of a place: print the manifest (or, with --config, the configuration) as "
				 "it is"},
			REGISTRY_FLAGS(struct inspect_options, registry, ""),
			{.kind = FLAG_BOOL,
			 .name = "size",
			 .letter = 's',
			 .refusal = "sizes of containers come later"},
			{0},
		},
	.options_size = sizeof(struct inspect_options),
	.defaults = &(const struct inspect_options){.registry = REGISTRY_FLAGS_DEFAULT},
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_LOCAL, /* of places, it goes over by itself */
	.run = run_inspect,
};

/* -- image list-tags, image delete ---------------------------------------------------------------------------------- */

struct remote_options {
	struct registry_flags registry;
	bool only;
};

static struct err *run_tags(struct invocation *in, int *ret_status)
{
	const struct remote_options *f = in->options;
	struct transport_options o;
	_cleanup_free_ char *user = NULL, *name = NULL;
	_cleanup_strv_ char **tags = NULL;
	_cleanup_json_ struct json *object = json_new_object();

	TRY(registry_flags_options(in, &f->registry, &user, &o));
	o.progress = &quiet_progress;
	interrupt_catch();
	struct err *e = remote_tags(in->args[0], &o, &name, &tags);
	interrupt_restore();
	TRY(e);
	if (name)
		json_set_string(object, "Repository", name);
	json_set(object, "Tags", tags ? json_new_strv(tags) : json_new_array());
	_cleanup_free_ char *text = json_print(object, JSON_PRETTY);
	puts(text);
	return NULL;
}

const struct command cmd_image_list_tags = {
	.name = "image list-tags",
	.summary = "List the tags of a repository in a registry",
	.usage = "[OPTIONS] docker://NAME|docker-archive:PATH",
	.examples = "PROGRAM image list-tags docker://localhost:5000/app",
	.flags =
		(const struct flag[]){
			REGISTRY_FLAGS(struct remote_options, registry, ""),
			{0},
		},
	.options_size = sizeof(struct remote_options),
	.defaults = &(const struct remote_options){.registry = REGISTRY_FLAGS_DEFAULT},
	.min_args = 1,
	.max_args = 1,
	.run = run_tags,
};

/* A registry deletes manifests: whatever else is called the same goes too, and the user may not expect it. */
static struct err *warn_of_siblings(void *user, const struct digest *digest, char *const *siblings)
{
	const struct remote_options *f = user;
	_cleanup_strbuf_ struct strbuf names = {0};

	if (!strv_len(siblings))
		return NULL;
	STRV_FOREACH (tag, siblings)
		strbuf_printf(&names, "%s%s", names.len ? ", " : "", *tag);
	if (f->only)
		return err_new(ERR_STATE, "%s has other tags, which would go with it: %s", digest->s,
			       strbuf_str(&names));
	cli_warn("%s has other tags, which go with it: %s", digest->s, strbuf_str(&names));
	return NULL;
}

static struct err *run_delete(struct invocation *in, int *ret_status)
{
	const struct remote_options *f = in->options;
	struct transport_options o;
	_cleanup_free_ char *user = NULL;

	TRY(registry_flags_options(in, &f->registry, &user, &o));
	o.progress = &quiet_progress;
	interrupt_catch();
	struct err *e = remote_delete(in->args[0], &o, warn_of_siblings, (void *)f);
	interrupt_restore();
	return e;
}

const struct command cmd_image_delete = {
	.name = "image delete",
	.summary = "Delete an image from a registry",
	.usage = "[OPTIONS] docker://NAME[:TAG|@DIGEST]",
	.help = "A registry deletes the manifest that the tag points to, and with it every other tag that "
		"points "
		"there: they are named before. The space is given back by the registry's own garbage "
		"collection.",
	.examples = "PROGRAM image delete docker://localhost:5000/app:old",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct remote_options, only), .name = "only",
			 .help = "Do nothing when other tags would go as well"},
			REGISTRY_FLAGS(struct remote_options, registry, ""),
			{0},
		},
	.options_size = sizeof(struct remote_options),
	.defaults = &(const struct remote_options){.registry = REGISTRY_FLAGS_DEFAULT},
	.min_args = 1,
	.max_args = 1,
	.run = run_delete,
};
