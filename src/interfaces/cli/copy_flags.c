// SPDX-License-Identifier: Apache-2.0
#include "copy_flags.h"

#include <stdlib.h>

#include "base/memory.h"

#define PLATFORMS_MAX 64

const struct flag copy_flags[] = {
	{FLAG_BOOL_FIELD(struct copy_flags, all), .name = "all", .letter = 'a',
	 .help = "Copy the images for all platforms"},
	{FLAG_BOOL_FIELD(struct copy_flags, compress), .name = "dest-compress",
	 .help = "Compress layers also where they would stay as they are (dir:)"},
	{FLAG_CHOICE_FIELD(struct copy_flags, compress_format), .name = "dest-compress-format",
	 .help = "Compression of the copy's layers", .values = "gzip zstd zstd:chunked"},
	{FLAG_INT_FIELD(struct copy_flags, level), .name = "dest-compress-level", .min = 1, .max = 22,
	 .help = "How hard: 1 to 9 with gzip, 1 to 22 with zstd"},
	{FLAG_BOOL_FIELD(struct copy_flags, decompress), .name = "dest-decompress",
	 .help = "Decompress layers (dir: and store:)"},
	{FLAG_CHOICE_FIELD(struct copy_flags, format), .name = "format", .letter = 'f',
	 .help = "Kind of manifest (default: the source's, where the destination takes it)",
	 .values = "oci v2s2"},
	{FLAG_CHOICE_FIELD(struct copy_flags, multi_arch), .name = "multi-arch",
	 .help = "Of an image for several platforms: this machine's, all, or the index alone",
	 .values = "system all index-only"},
	{FLAG_STRING_FIELD(struct copy_flags, override_arch), .name = "override-arch", .metavar = "word",
	 .help = "Choose for this architecture instead of this machine's"},
	{FLAG_STRING_FIELD(struct copy_flags, override_os), .name = "override-os", .metavar = "word",
	 .help = "Choose for this operating system"},
	{FLAG_STRING_FIELD(struct copy_flags, override_variant), .name = "override-variant",
	 .metavar = "word", .help = "Choose for this variant of the architecture"},
	{FLAG_INT_FIELD(struct copy_flags, parallel), .name = "parallel", .min = 0, .max = 16,
	 .help = "Blobs to copy at a time (0: the default)"},
	{FLAG_LIST_FIELD(struct copy_flags, platforms), .name = "platform", .metavar = "os/arch",
	 .help = "Copy this platform of an index and no others; may be repeated"},
	{FLAG_BOOL_FIELD(struct copy_flags, preserve_digests), .name = "preserve-digests",
	 .help = "Fail rather than change a digest"},
	{FLAG_BOOL_FIELD(struct copy_flags, remove_signatures), .name = "remove-signatures",
	 .help = "Leave signatures behind"},
	{FLAG_INT_FIELD(struct copy_flags, retries), .name = "retry-times", .min = 0, .max = 100,
	 .help = "Begin again this often when the network fails"},
	{FLAG_BOOL_FIELD(struct copy_flags, signatures), .name = "signatures",
	 .help = "Copy cosign's signatures and attestations, SBOMs and whatever else refers to the image"},
	{0},
};

void copy_request_release(struct copy_request *r)
{
	free(r->only);
	r->only = NULL;
}

static struct err *override_word(const char *flag, const char *word, char *dst, size_t size)
{
	if (!word)
		return NULL;
	if (strlen(word) >= size || strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(word))
		return err_new(ERR_INVALID, "%s: \"%.80s\" is no such word", flag, word);
	memcpy(dst, word, strlen(word) + 1);
	return NULL;
}

struct err *override_platform(const char *os, const char *architecture, const char *variant,
			      struct platform *ret)
{
	struct platform p = platform_host();

	if (architecture)
		p.variant[0] = '\0';
	TRY(override_word("--override-os", os, p.os, sizeof(p.os)));
	TRY(override_word("--override-arch", architecture, p.architecture, sizeof(p.architecture)));
	TRY(override_word("--override-variant", variant, p.variant, sizeof(p.variant)));
	*ret = p;
	return NULL;
}

static struct err *choose_platforms(const struct invocation *in, const struct copy_flags *f,
				    struct copy_request *r)
{
	struct copy_options *o = &r->options;
	size_t n = strv_len(f->platforms);

	TRY(override_platform(f->override_os, f->override_arch, f->override_variant, &r->platform));
	o->platform = &r->platform;
	o->platforms = f->all || str_eq(f->multi_arch, "all") ? COPY_ALL
		       : str_eq(f->multi_arch, "index-only")  ? COPY_INDEX_ONLY
							      : COPY_SYSTEM;
	if (n == 0)
		return NULL;
	if (n > PLATFORMS_MAX || o->platforms != COPY_SYSTEM)
		return usage_error(in, "--platform and --all or --multi-arch exclude each other");
	r->only = xnew_array(struct platform, n);
	for (size_t i = 0; i < n; i++)
		TRY(platform_parse(f->platforms[i], &r->only[i]));
	o->platforms = COPY_ALL;
	o->only = r->only;
	o->n_only = n;
	return NULL;
}

struct err *copy_flags_request(const struct invocation *in, const struct copy_flags *f,
			       struct copy_request *r)
{
	struct copy_options *o = &r->options;

	if (str_eq(f->compress_format, "zstd:chunked"))
		return err_new(
			ERR_UNSUPPORTED,
			"writing zstd:chunked is not supported: use --dest-compress-format zstd, which every "
			"reader of zstd:chunked reads as well");
	if (f->compress && f->decompress)
		return usage_error(in, "--dest-compress and --dest-decompress exclude each other");
	if (f->level > 9 && !str_eq(f->compress_format, "zstd"))
		return usage_error(in, "--dest-compress-level: gzip has the levels 1 to 9");
	if (f->level && !f->compress_format && !f->compress)
		return usage_error(in, "--dest-compress-level goes with --dest-compress-format");
	if (f->signatures && f->remove_signatures)
		return usage_error(in, "--signatures and --remove-signatures exclude each other");
	TRY(choose_platforms(in, f, r));
	o->format = str_eq(f->format, "oci")    ? COPY_FORMAT_OCI
		    : str_eq(f->format, "v2s2") ? COPY_FORMAT_DOCKER
						: COPY_FORMAT_KEEP;
	o->compression = str_eq(f->compress_format, "zstd")   ? COPY_COMPRESSION_ZSTD
			 : str_eq(f->compress_format, "gzip") ? COPY_COMPRESSION_GZIP
							      : COPY_COMPRESSION_DEFAULT;
	o->level = (int)f->level;
	o->compress = f->compress || f->compress_format;
	o->decompress = f->decompress;
	o->preserve_digests = f->preserve_digests;
	o->signatures = f->signatures;
	o->parallel = (unsigned)f->parallel;
	o->source.retries = (unsigned)f->retries;
	return NULL;
}
