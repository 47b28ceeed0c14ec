// SPDX-License-Identifier: Apache-2.0
/* image sync: skopeo sync. */
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "commands.h"
#include "copy_flags.h"
#include "images/sync.h"

struct options {
	struct copy_flags copy;
	struct registry_flags source, destination;
	const char *from, *to, *append_suffix, *tag_regex, *semver, *auth_file, *signature_policy;
	bool scoped, dry_run, keep_going, quiet, insecure_policy;
};

static enum sync_place place_of(const char *word)
{
	return str_eq(word, "docker") ? SYNC_DOCKER : str_eq(word, "dir") ? SYNC_DIR : SYNC_YAML;
}

static struct err *check(const struct invocation *in, const struct options *f)
{
	if (!f->from || !f->to)
		return usage_error(in, "--src and --dest say what SOURCE and DESTINATION are");
	if (str_eq(f->from, "dir") && str_eq(f->to, "dir"))
		return usage_error(in,
				   "--src dir and --dest dir: from a directory into a directory cp does it");
	if ((f->tag_regex || f->semver) && !str_eq(f->from, "docker"))
		return usage_error(in, "--tag-regex and --semver are for --src docker");
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct options *f = in->options;
	struct registry_flags source = f->source, destination = f->destination;
	_cleanup_free_ char *source_user = NULL, *destination_user = NULL;
	_cleanup_(copy_request_release) struct copy_request request = {0};
	struct copy_options *o = &request.options;
	struct sync_result result;

	TRY(check(in, f));
	TRY(copy_flags_request(in, &f->copy, &request));
	source.auth_file = source.auth_file ? source.auth_file : f->auth_file;
	destination.auth_file = destination.auth_file ? destination.auth_file : f->auth_file;
	unsigned retries = o->source.retries;
	TRY(registry_flags_options(in, &source, &source_user, &o->source));
	TRY(registry_flags_options(in, &destination, &destination_user, &o->destination));
	o->source.retries = retries;
	o->source.signature_policy = f->signature_policy;
	o->source.insecure_policy = f->insecure_policy;
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDOUT_FILENO, PROGRESS_COPY, f->quiet, NULL);
	o->source.progress = o->destination.progress = progress_display_callbacks(display);
	const struct sync_options sync = {
		.from = place_of(f->from),
		.to = place_of(f->to),
		.scoped = f->scoped,
		.dry_run = f->dry_run,
		.keep_going = f->keep_going,
		.append_suffix = f->append_suffix,
		.tag_regex = f->tag_regex,
		.semver = f->semver,
		.copy = o,
	};
	interrupt_catch();
	struct err *e = image_sync(in->args[0], in->args[1], &sync, &result);
	interrupt_restore();
	progress_display_finish(display);
	return e;
}

static const struct flag flags[] = {
	{FLAG_STRING_FIELD(struct options, append_suffix), .name = "append-suffix", .metavar = "text",
	 .help = "Add this to every tag"},
	{FLAG_STRING_FIELD(struct options, auth_file), .name = "authfile", .metavar = "file",
	 .help = "Read credentials of both sides from this file and no other", .values = "@file"},
	{FLAG_CHOICE_FIELD(struct options, to), .name = "dest", .letter = 'd',
	 .help = "What DESTINATION is: a registry with the beginning of a path, or a directory",
	 .values = "docker dir"},
	{FLAG_BOOL_FIELD(struct options, dry_run), .name = "dry-run",
	 .help = "Only say what would be copied"},
	{FLAG_BOOL_FIELD(struct options, insecure_policy), .name = "insecure-policy",
	 .help = "Accept images whatever the signature policy says"},
	{FLAG_BOOL_FIELD(struct options, keep_going), .name = "keep-going",
	 .help = "Go on with the other images when one fails; the status is 1 all the same"},
	{FLAG_BOOL_FIELD(struct options, quiet), .name = "quiet", .letter = 'q', .help = "Say nothing"},
	{FLAG_BOOL_FIELD(struct options, scoped), .name = "scoped",
	 .help = "Keep the whole name below DESTINATION, not the last part alone"},
	{FLAG_STRING_FIELD(struct options, semver), .name = "semver", .metavar = "constraint",
	 .help = "Only tags that are versions and fit (^1.2, 1.2.x, >=1.2 <3)"},
	{FLAG_STRING_FIELD(struct options, signature_policy), .name = "signature-policy", .metavar = "file",
	 .help = "Ask this signature policy instead of the usual one", .values = "@file"},
	{FLAG_CHOICE_FIELD(struct options, from), .name = "src", .letter = 's',
	 .help = "What SOURCE is: a repository, a directory, or a file that lists images",
	 .values = "docker dir yaml"},
	{FLAG_STRING_FIELD(struct options, tag_regex), .name = "tag-regex", .metavar = "regex",
	 .help = "Only tags in which this extended regular expression is found"},
	REGISTRY_FLAGS(struct options, source, "src-"),
	REGISTRY_FLAGS(struct options, destination, "dest-"),
	{0},
};

const struct command cmd_image_sync = {
	.name = "image sync",
	.summary = "Copy many images: the tags of a repository, a directory's, those in a list",
	.usage = "--src KIND --dest KIND [OPTIONS] SOURCE DESTINATION",
	.help = "The same as skopeo sync, with its YAML file and flags. A repository named without a tag "
		"means all "
		"its tags, or those that --tag-regex and --semver leave. Content that is at the destination "
		"is "
		"not sent again.",
	.examples =
		"# all versions 1.x\nPROGRAM image sync --src docker --dest docker --semver ^1 "
		"registry.example/app localhost:5000/mirror\n# onto a disk, and from there into a registry\n"
		"PROGRAM image sync --src yaml --dest dir images.yml /media/usb\nPROGRAM image sync --src "
		"dir "
		"--dest docker /media/usb registry.local/mirror",
	.flags = flags,
	.more_flags = copy_flags,
	.options_size = sizeof(struct options),
	.defaults = &(const struct options){.source = REGISTRY_FLAGS_DEFAULT,
					    .destination = REGISTRY_FLAGS_DEFAULT,
					    .copy = COPY_FLAGS_DEFAULT},
	.min_args = 2,
	.max_args = 2,
	.run = run,
};
