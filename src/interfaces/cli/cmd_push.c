// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "commands.h"
#include "images/push.h"
#include "pull.h"
#include "registry_flags.h"
#include "signer.h"

struct push_flags {
	struct signer_flags signer;
	struct registry_flags registry;
	const char *platform, *compression_format;
	bool all_tags, quiet;
	int64_t parallel, compression_level;
};

static enum push_compression compression(const char *name)
{
	return str_eq(name, "zstd")   ? PUSH_COMPRESSION_ZSTD
	       : str_eq(name, "none") ? PUSH_COMPRESSION_NONE
				      : PUSH_COMPRESSION_GZIP;
}

static struct err *push(const struct invocation *in, struct store *s, const struct push_flags *f,
			const struct reference *r)
{
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDOUT_FILENO, PROGRESS_PUSH, f->quiet, NULL);
	_cleanup_free_ char *username = NULL;
	struct push_options o = {
		.insecure = !f->registry.tls_verify,
		.ca_file = f->registry.ca_file,
		.cert_dir = f->registry.cert_dir,
		.auth_file = f->registry.auth_file,
		.compression = compression(f->compression_format),
		.compression_level = (int)f->compression_level,
		.parallel = (unsigned)f->parallel,
		.progress = progress_display_callbacks(display),
	};
	_cleanup_free_ char *passphrase = NULL;
	struct push_result result;

	TRY(registry_flags_credentials(in, &f->registry, &username, &o.password));
	o.username = username;
	if (f->platform)
		TRY(platform_parse(f->platform, &o.platform));
	TRY(signer_from_flags(&f->signer, &o.signer, &passphrase));

	interrupt_catch();
	struct err *e = image_push(s, r, &o, &result);
	interrupt_restore();
	progress_display_finish(display);
	TRY(e);
	if (f->quiet) {
		_cleanup_free_ char *name = reference_string(r);
		puts(name);
	} else {
		printf("%s: digest: %s size: %llu\n", r->tag, result.digest.s,
		       (unsigned long long)result.size);
	}
	fflush(stdout);
	return NULL;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names of the reference's repository that the store knows. */
static struct err *repository_names(struct store *s, const struct reference *r, char ***ret)
{
	_cleanup_free_ char *prefix = xasprintf("%s/%s:", r->domain, r->path);
	struct image **list;
	size_t n;

	TRY(store_list(s, &list, &n));
	for (size_t i = 0; i < n; i++) {
		STRV_FOREACH (name, list[i]->names)
			if (str_starts(*name, prefix))
				strv_push(ret, *name);
		image_free(list[i]);
	}
	free(list);
	if (*ret)
		qsort(*ret, strv_len(*ret), sizeof(char *), compare_names);
	return NULL;
}

static struct err *push_all(const struct invocation *in, struct store *s, const struct push_flags *f,
			    const struct reference *r)
{
	_cleanup_strv_ char **names = NULL;

	TRY(repository_names(s, r, &names));
	if (!names) {
		_cleanup_free_ char *shown = reference_familiar_name(r);
		return err_new(ERR_NOT_FOUND, "no image of repository %s is here", shown);
	}
	STRV_FOREACH (name, names) {
		_cleanup_reference_ struct reference one = REFERENCE_NONE;
		TRY(reference_parse(*name, &one));
		TRY(push(in, s, f, &one));
	}
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct push_flags *f = in->options;
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	bool tag_given = reference_has_tag(in->args[0]);
	struct store *s;

	if (f->registry.credentials && !strchr(f->registry.credentials, ':'))
		return usage_error(in, "--creds: the form is USER:PASSWORD");
	if (f->compression_level > 9 && !str_eq(f->compression_format, "zstd"))
		return usage_error(in, "--compression-level: gzip has the levels 1 to 9");
	if (f->all_tags && tag_given)
		return usage_error(in, "--all-tags: a tag cannot be named as well");
	TRY(reference_parse(in->args[0], &r));
	if (!f->quiet && !tag_given && !f->all_tags)
		puts("Using default tag: latest");
	if (!f->quiet)
		printf("The push refers to repository [%s/%s]\n", r.domain, r.path);
	fflush(stdout);
	TRY(cli_store(&s));
	return f->all_tags ? push_all(in, s, f, &r) : push(in, s, f, &r);
}

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct push_flags, all_tags), .name = "all-tags", .letter = 'a',
	 .help = "Push every tag of the repository that is here"},
	{FLAG_CHOICE_FIELD(struct push_flags, compression_format), .name = "compression-format",
	 .values = "gzip zstd none", .help = "How layers that are kept uncompressed are sent (gzip)"},
	{FLAG_INT_FIELD(struct push_flags, compression_level), .name = "compression-level", .min = 1,
	 .max = 22, .help = "How hard to try: 1 to 9, with zstd to 22"},
	{FLAG_INT_FIELD(struct push_flags, parallel), .name = "parallel", .min = 0, .max = 16,
	 .help = "Layers to upload at a time (0: the default)"},
	{FLAG_BOOL_FIELD(struct push_flags, quiet), .name = "quiet", .letter = 'q',
	 .help = "Print the image's name only"},
	SIGNER_FLAGS(struct push_flags),
	REGISTRY_FLAGS_REACH(struct push_flags, registry, ""),
	REGISTRY_FLAGS_FILES(struct push_flags, registry, ""),
	{.kind = FLAG_BOOL,
	 .name = "disable-content-trust",
	 .traits = FLAG_HIDDEN,
	 .refusal = "docker's content trust is not part of havre"},
	{FLAG_STRING_FIELD(struct push_flags, platform), .name = "platform", .metavar = "os/arch",
	 .help = "Push only the image for this platform (linux/arm64)"},
	{0},
};

const struct command cmd_push = {
	.name = "push",
	.aliases = ALIASES("image push"),
	.summary = "Upload an image to a registry",
	.usage = "[OPTIONS] NAME[:TAG]",
	.help = "The name says where to: give the image another one with tag. Layers that the registry has "
		"are not sent again, nor are those that it has in another repository which they were pulled "
		"from.\n\n"
		"An image of several platforms is pushed whole when all of it is here, and otherwise as the "
		"image of the platform that is. Layers that may not be distributed stay where they are.\n\n"
		"Layers that are kept uncompressed, as those of commit and import, are sent compressed; "
		"the manifest there names them so.",
	.examples = "PROGRAM tag app:1.2 localhost:5000/team/app:1.2\nPROGRAM push "
		    "localhost:5000/team/app:1.2",
	.flags = flags,
	.options_size = sizeof(struct push_flags),
	.defaults = &(const struct push_flags){.registry = REGISTRY_FLAGS_DEFAULT},
	.min_args = 1,
	.max_args = 1,
	.args_values = "!images",
	.run = run,
};
