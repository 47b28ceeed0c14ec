// SPDX-License-Identifier: Apache-2.0
/* image copy: skopeo copy. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "commands.h"
#include "copy_flags.h"
#include "signer.h"

struct options {
	struct copy_flags copy; /* first: its rows are in a table of their own */
	struct registry_flags source, destination;
	struct signer_flags signer;
	const char *source_blobs, *destination_blobs;
	const char *digest_file, *auth_file, *signature_policy;
	char **additional_tags;
	bool tls_verify, quiet, insecure_policy;
};

/* What is said of both sides counts for the one of which nothing is said. */
static void sides(const struct options *o, struct registry_flags *source, struct registry_flags *destination)
{
	struct registry_flags *both[] = {source, destination};

	*source = o->source;
	*destination = o->destination;
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		if (!both[i]->auth_file)
			both[i]->auth_file = o->auth_file;
		if (!o->tls_verify)
			both[i]->tls_verify = false;
	}
}

#define REGISTRY_PREFIX "docker://"

/* What was copied, by its digest: the tag may mean something else by now. */
static struct err *sign(const struct options *f, const char *destination, const struct trust_signer *signer,
			const struct transport_options *to, bool all, const struct digest *digest)
{
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	_cleanup_strv_ char **signed_digests = NULL;
	struct progress quiet = {0};
	struct sign_options o = {.signer = *signer,
				 .username = to->username,
				 .password = to->password,
				 .insecure = to->insecure,
				 .ca_file = to->ca_file,
				 .cert_dir = to->cert_dir,
				 .auth_file = to->auth_file,
				 .no_credentials = to->no_credentials,
				 .all = all,
				 .progress = &quiet};

	TRY(reference_parse(destination + strlen(REGISTRY_PREFIX), &r));
	_cleanup_free_ char *name = reference_string(&r);
	if (!o.signer.identity)
		o.signer.identity = name;
	r.digest = *digest;
	TRY_WRAP(image_sign(&r, &o, &signed_digests), "it was copied, but could not be signed");
	return NULL;
}

static struct err *copy(struct invocation *in, const struct options *f, const struct copy_options *o)
{
	struct copy_options options = *o;
	_cleanup_free_ char *passphrase = NULL;
	struct trust_signer signer = {0};
	struct copy_result result;

	TRY(signer_from_flags(&f->signer, &signer, &passphrase));
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDOUT_FILENO, PROGRESS_COPY, f->quiet, NULL);

	options.source.progress = options.destination.progress = progress_display_callbacks(display);
	options.additional_tags = f->additional_tags;
	fflush(stdout);
	interrupt_catch();
	struct err *e = image_copy(in->args[0], in->args[1], &options, &result);
	interrupt_restore();
	progress_display_finish(display);
	TRY(e);
	if (trust_signer_is_set(&signer))
		TRY(sign(f, in->args[1], &signer, &o->destination, o->platforms != COPY_SYSTEM,
			 &result.digest));
	if (f->digest_file)
		TRY(file_replace_at(AT_FDCWD, f->digest_file, result.digest.s, strlen(result.digest.s), 0644,
				    FILE_DURABLE));
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct options *f = in->options;
	struct registry_flags source, destination;
	_cleanup_free_ char *source_user = NULL, *destination_user = NULL;
	_cleanup_(copy_request_release) struct copy_request request = {0};
	struct copy_options *o = &request.options;

	if ((f->signer.sign_by || f->signer.sigstore_key) && !str_starts(in->args[1], REGISTRY_PREFIX))
		return usage_error(
			in, "--sign-by: only what is copied into a registry (docker://) can be signed");
	TRY(copy_flags_request(in, &f->copy, &request));
	sides(f, &source, &destination);
	unsigned retries = o->source.retries;
	TRY(registry_flags_options(in, &source, &source_user, &o->source));
	TRY(registry_flags_options(in, &destination, &destination_user, &o->destination));
	o->source.retries = retries;
	o->source.signature_policy = f->signature_policy;
	o->source.insecure_policy = f->insecure_policy;
	o->source.shared_blobs = f->source_blobs;
	o->destination.shared_blobs = f->destination_blobs;
	if (copy_needs_store(in->args[0]) || copy_needs_store(in->args[1])) {
		struct store *s;
		TRY(cli_store(&s));
		o->source.store = o->destination.store = s;
	}
	return copy(in, f, o);
}

static const struct flag flags[] = {
	{FLAG_LIST_FIELD(struct options, additional_tags), .name = "additional-tag", .metavar = "name:tag",
	 .help = "Give the copy this name too (registries, docker-archive, the store)"},
	{FLAG_STRING_FIELD(struct options, auth_file), .name = "authfile", .metavar = "file",
	 .help = "Read credentials of both sides from this file and no other", .values = "@file"},
	{FLAG_STRING_FIELD(struct options, digest_file), .name = "digestfile", .metavar = "file",
	 .help = "Write the digest of the copy's manifest to this file", .values = "@file"},
	{FLAG_BOOL_FIELD(struct options, insecure_policy), .name = "insecure-policy",
	 .help = "Accept the image whatever the signature policy says"},
	{FLAG_STRING_FIELD(struct options, signature_policy), .name = "signature-policy", .metavar = "file",
	 .help = "Ask this signature policy instead of the usual one", .values = "@file"},
	{FLAG_BOOL_FIELD(struct options, quiet), .name = "quiet", .letter = 'q', .help = "Say nothing"},
	{FLAG_BOOL_FIELD(struct options, tls_verify), .name = "tls-verify",
	 .help = "Require HTTPS with a valid certificate of both sides"},
	{FLAG_STRING_FIELD(struct options, source_blobs), .name = "src-shared-blob-dir",
	 .metavar = "directory", .help = "Where an oci: source has its blobs", .values = "@dir"},
	{FLAG_STRING_FIELD(struct options, destination_blobs), .name = "dest-shared-blob-dir",
	 .metavar = "directory", .help = "Where an oci: destination gets its blobs", .values = "@dir"},
	SIGNER_FLAGS(struct options),
	REGISTRY_FLAGS(struct options, source, "src-"),
	REGISTRY_FLAGS(struct options, destination, "dest-"),
	{0},
};

const struct command cmd_image_copy = {
	.name = "image copy",
	.summary = "Copy an image from one place to another",
	.usage = "[OPTIONS] SOURCE DESTINATION",
	.help = "A place is docker://NAME (a registry), oci:PATH[:NAME] (a directory with an image layout), "
		"oci-archive:PATH[:NAME], docker-archive:PATH[:NAME], dir:PATH, docker-daemon:NAME, or "
		"store:NAME (what havre images lists).\n\n"
		"Nothing is unpacked. All content is checked against its digest, content that is at the "
		"destination is not sent again, and what was not copied completely gets no name there. The "
		"copy is the same as skopeo's, and so are the flags.\n\n"
		"Of an image for several platforms the one for this machine is copied, unless --all or "
		"--platform says otherwise.",
	.examples =
		"# from one registry to another, all platforms\nPROGRAM image copy --all "
		"docker://debian:12 docker://localhost:5000/debian:12\n# into a file for another machine\n"
		"PROGRAM image copy docker://alpine oci-archive:alpine.tar:latest",
	.flags = flags,
	.more_flags = copy_flags,
	.options_size = sizeof(struct options),
	.defaults = &(const struct options){.tls_verify = true,
					    .source = REGISTRY_FLAGS_DEFAULT,
					    .destination = REGISTRY_FLAGS_DEFAULT,
					    .copy = COPY_FLAGS_DEFAULT},
	.min_args = 2,
	.max_args = 2,
	.run = run,
};
