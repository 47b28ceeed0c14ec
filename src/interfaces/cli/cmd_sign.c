// SPDX-License-Identifier: Apache-2.0
/* Signing: image sign and verify, skopeo's standalone-sign, standalone-verify and generate-sigstore-key. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "signer.h"

#define PASSPHRASE_MAX ((size_t)64 << 10)
#define MANIFEST_MAX ((size_t)4 << 20)

/* -- passphrases ------------------------------------------------------------------------------------------------ */

struct err *passphrase_read(const char *path, char **ret)
{
	size_t size;

	TRY_WRAP(file_read(path, PASSPHRASE_MAX, ret, &size), "passphrase");
	(*ret)[strcspn(*ret, "\r\n")] = '\0';
	return NULL;
}

static struct err *find_passphrase(const char *path, const char *question, char **ret)
{
	const char *given = getenv("COSIGN_PASSWORD");

	if (path)
		return passphrase_read(path, ret);
	if (given) {
		*ret = xstrdup(given);
		return NULL;
	}
	if (!isatty(STDIN_FILENO))
		return err_new(ERR_INVALID, "standard input is no terminal: give the passphrase in a file");
	return cli_ask(question, true, ret);
}

struct err *signer_from_flags(const struct signer_flags *f, struct trust_signer *ret, char **ret_passphrase)
{
	*ret = (struct trust_signer){
		.gpg_key = f->sign_by, .sigstore_key = f->sigstore_key, .identity = f->identity};
	if (f->identity) {
		_cleanup_reference_ struct reference r = REFERENCE_NONE;
		TRY_WRAP(reference_parse(f->identity, &r), "--sign-identity");
	}
	if (f->sign_by && f->sigstore_key && f->passphrase_file)
		return err_new(ERR_INVALID, "one passphrase for two keys: sign with one after the other");
	if (f->sigstore_key)
		TRY(find_passphrase(f->passphrase_file, "Passphrase of the signing key: ", ret_passphrase));
	else if (f->sign_by && f->passphrase_file)
		TRY(passphrase_read(f->passphrase_file, ret_passphrase));
	ret->passphrase = *ret_passphrase;
	return NULL;
}

/* -- in a registry ---------------------------------------------------------------------------------------------- */

struct sign_flags {
	struct signer_flags signer;
	const char *directory, *credentials, *ca_file, *policy, *platform;
	bool all, tls_verify;
};

static bool is_cancelled(void *user)
{
	return interrupted();
}
static const struct progress quiet = {.cancelled = is_cancelled};

static struct err *sign_each(struct invocation *in, struct sign_options *o)
{
	for (size_t i = 0; i < in->n_args; i++) {
		_cleanup_reference_ struct reference r = REFERENCE_NONE;
		_cleanup_strv_ char **digests = NULL;
		TRY(reference_parse(in->args[i], &r));
		interrupt_catch();
		struct err *e = image_sign(&r, o, &digests);
		interrupt_restore();
		TRY(e);
		STRV_FOREACH (d, digests)
			printf("%s/%s@%s\n", r.domain, r.path, *d);
		fflush(stdout);
	}
	return NULL;
}

static struct err *run_sign(struct invocation *in, int *ret_status)
{
	const struct sign_flags *f = in->options;
	_cleanup_free_ char *passphrase = NULL,
			    *username = f->credentials
						? xstrndup(f->credentials, strcspn(f->credentials, ":"))
						: NULL;
	struct sign_options o = {.insecure = !f->tls_verify,
				 .ca_file = f->ca_file,
				 .directory = f->directory,
				 .all = f->all,
				 .username = username,
				 .progress = &quiet};

	if (f->credentials && !strchr(f->credentials, ':'))
		return usage_error(in, "--creds: the form is USER:PASSWORD");
	o.password = username ? f->credentials + strlen(username) + 1 : NULL;
	if (!f->signer.sign_by && !f->signer.sigstore_key)
		return usage_error(in, "who signs? Give --sign-by or --sign-by-sigstore-private-key");
	TRY(signer_from_flags(&f->signer, &o.signer, &passphrase));
	return sign_each(in, &o);
}

const struct command cmd_image_sign = {
	.name = "image sign",
	.summary = "Sign images in their registry",
	.usage = "[OPTIONS] IMAGE [IMAGE…]",
	.help = "Signs what the name stands for in its registry: the manifest, or the index and the manifest "
		"for this "
		"machine. GPG "
		"signatures go to the storage that registries.d names (containers-registries.d(5), "
		"lookaside-staging), those of sigstore into the registry, where cosign keeps them. To sign "
		"while "
		"pushing: push --sign-by.",
	.examples = "PROGRAM image sign --sign-by team@registry.example registry.example/team/app:1.2",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct sign_flags, all), .name = "all", .letter = 'a',
			 .help = "Sign the manifests of all platforms"},
			{FLAG_STRING_FIELD(struct sign_flags, ca_file), .name = "ca-file", .metavar = "file",
			 .help = "Trust the certificate authorities in this file too", .values = "@file"},
			{FLAG_STRING_FIELD(struct sign_flags, credentials), .name = "creds",
			 .metavar = "user:password",
			 .help = "Credentials for the registry (default: the credential files)"},
			{FLAG_STRING_FIELD(struct sign_flags, directory), .name = "directory", .letter = 'd',
			 .metavar = "directory", .help = "Keep GPG signatures below this directory",
			 .values = "@dir"},
			SIGNER_FLAGS(struct sign_flags),
			{FLAG_BOOL_FIELD(struct sign_flags, tls_verify), .name = "tls-verify",
			 .help = "Require HTTPS with a valid certificate (not for this machine's own "
				 "registry)"},
			{0},
		},
	.options_size = sizeof(struct sign_flags),
	.defaults = &(const struct sign_flags){.tls_verify = true},
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.run = run_sign,
};

static struct err *run_verify(struct invocation *in, int *ret_status)
{
	const struct sign_flags *f = in->options;
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	_cleanup_free_ char *username =
		f->credentials ? xstrndup(f->credentials, strcspn(f->credentials, ":")) : NULL;
	struct verify_options o = {.platform = platform_host(),
				   .signature_policy = f->policy,
				   .username = username,
				   .insecure = !f->tls_verify,
				   .ca_file = f->ca_file,
				   .progress = &quiet};
	struct digest manifest;

	if (f->credentials && !strchr(f->credentials, ':'))
		return usage_error(in, "--creds: the form is USER:PASSWORD");
	o.password = username ? f->credentials + strlen(username) + 1 : NULL;
	if (f->platform)
		TRY(platform_parse(f->platform, &o.platform));
	TRY(reference_parse(in->args[0], &r));
	interrupt_catch();
	struct err *e = image_verify(&r, &o, &manifest);
	interrupt_restore();
	TRY(e);
	printf("%s/%s@%s\n", r.domain, r.path, manifest.s);
	return NULL;
}

const struct command cmd_image_verify = {
	.name = "image verify",
	.summary = "Ask the signature policy about an image in its registry",
	.usage = "[OPTIONS] IMAGE",
	.help = "Nothing but the manifest and its signatures is fetched. When the image may be used its "
		"manifest is "
		"printed, as a name that cannot move; otherwise the reason, and the status is 1.",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct sign_flags, ca_file), .name = "ca-file", .metavar = "file",
			 .help = "Trust the certificate authorities in this file too", .values = "@file"},
			{FLAG_STRING_FIELD(struct sign_flags, credentials), .name = "creds",
			 .metavar = "user:password",
			 .help = "Credentials for the registry (default: the credential files)"},
			{FLAG_STRING_FIELD(struct sign_flags, platform), .name = "platform",
			 .metavar = "os/arch", .help = "Platform to choose from an image of several"},
			{FLAG_STRING_FIELD(struct sign_flags, policy), .name = "signature-policy",
			 .metavar = "file", .help = "Ask this signature policy instead of the usual one",
			 .values = "@file"},
			{FLAG_BOOL_FIELD(struct sign_flags, tls_verify), .name = "tls-verify",
			 .help = "Require HTTPS with a valid certificate (not for this machine's own "
				 "registry)"},
			{0},
		},
	.options_size = sizeof(struct sign_flags),
	.defaults = &(const struct sign_flags){.tls_verify = true},
	.min_args = 1,
	.max_args = 1,
	.args_values = "!images",
	.run = run_verify,
};

/* -- files ------------------------------------------------------------------------------------------------------ */

struct standalone_flags {
	const char *output, *passphrase_file, *key_file;
};

static struct err *run_standalone_sign(struct invocation *in, int *ret_status)
{
	const struct standalone_flags *f = in->options;
	_cleanup_trust_signatures_ struct trust_signatures made = {0};
	_cleanup_free_ char *manifest = NULL, *passphrase = NULL;
	struct trust_signer signer = {.gpg_key = in->args[2]};
	struct digest d;
	size_t size;

	if (!f->output)
		return usage_error(in, "--output: name the file for the signature");
	TRY(file_read(in->args[0], MANIFEST_MAX, &manifest, &size));
	if (f->passphrase_file)
		TRY(passphrase_read(f->passphrase_file, &passphrase));
	signer.passphrase = passphrase;
	digest_of(manifest, size, &d);
	TRY(trust_sign(&signer, &d, in->args[1], &made));
	return file_replace_at(AT_FDCWD, f->output, made.v[0].data, made.v[0].size, 0644, FILE_DURABLE);
}

const struct command cmd_standalone_sign = {
	.name = "image standalone-sign",
	.summary = "Make a GPG signature of a manifest in a file",
	.usage = "[OPTIONS] MANIFEST REFERENCE KEY",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct standalone_flags, output), .name = "output", .letter = 'o',
			 .metavar = "file", .help = "Where the signature goes", .values = "@file"},
			{FLAG_STRING_FIELD(struct standalone_flags, passphrase_file),
			 .name = "passphrase-file", .metavar = "file", .help = "The passphrase of the key",
			 .values = "@file"},
			{0},
		},
	.options_size = sizeof(struct standalone_flags),
	.min_args = 3,
	.max_args = 3,
	.args_values = "@file",
	.traits = COMMAND_LOCAL,
	.run = run_standalone_sign,
};

static struct err *run_standalone_verify(struct invocation *in, int *ret_status)
{
	const struct standalone_flags *f = in->options;
	_cleanup_free_ char *manifest = NULL, *signature = NULL, *fingerprint = NULL;
	struct standalone_verify v = {.reference = in->args[1], .key_file = f->key_file};
	struct digest d;

	if (!str_eq(in->args[2], "any"))
		v.fingerprint = in->args[2];
	else if (!f->key_file)
		return usage_error(in, "\"any\" needs --public-key-file: any of which keys?");
	TRY(file_read(in->args[0], MANIFEST_MAX, &manifest, &v.manifest_size));
	TRY(file_read(in->args[3], TRUST_SIGNATURE_MAX, &signature, &v.signature_size));
	v.manifest = manifest;
	v.signature = signature;
	TRY_WRAP(standalone_verify(&v, &d, &fingerprint), "%s is no good signature", in->args[3]);
	printf("Signature verified using fingerprint %s, digest %s\n", fingerprint, d.s);
	return NULL;
}

const struct command cmd_standalone_verify = {
	.name = "image standalone-verify",
	.summary = "Check a GPG signature of a manifest in a file",
	.usage = "[OPTIONS] MANIFEST REFERENCE FINGERPRINT|any SIGNATURE",
	.help = "The key is looked for in gpg's keyring unless a file with public keys is given.",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct standalone_flags, key_file), .name = "public-key-file",
			 .metavar = "file", .help = "The public keys, instead of gpg's keyring",
			 .values = "@file"},
			{0},
		},
	.options_size = sizeof(struct standalone_flags),
	.min_args = 4,
	.max_args = 4,
	.args_values = "@file",
	.traits = COMMAND_LOCAL,
	.run = run_standalone_verify,
};

/* -- keys ------------------------------------------------------------------------------------------------------- */

struct key_flags {
	const char *prefix, *passphrase_file;
};

static struct err *write_new(const char *path, const char *text, mode_t mode)
{
	if (access(path, F_OK) == 0)
		return err_new(ERR_EXISTS, "%s is there already", path);
	return file_replace_at(AT_FDCWD, path, text, strlen(text), mode, FILE_DURABLE);
}

static struct err *run_generate(struct invocation *in, int *ret_status)
{
	const struct key_flags *f = in->options;
	_cleanup_free_ char *passphrase = NULL, *again = NULL, *secret = NULL, *public = NULL;

	if (!f->prefix)
		return usage_error(in, "--output-prefix: name the files");
	_cleanup_free_ char *secret_path = xasprintf("%s.private", f->prefix),
			    *public_path = xasprintf("%s.pub", f->prefix);
	if (access(secret_path, F_OK) == 0 || access(public_path, F_OK) == 0)
		return err_new(ERR_EXISTS, "%s or %s is there already", secret_path, public_path);
	TRY(find_passphrase(f->passphrase_file, "Passphrase for the new key: ", &passphrase));
	if (!f->passphrase_file && !getenv("COSIGN_PASSWORD")) {
		TRY(cli_ask("The same again: ", true, &again));
		if (!str_eq(passphrase, again))
			return err_new(ERR_INVALID, "the two passphrases differ");
	}
	TRY(sigstore_key_generate(passphrase, &secret, &public));
	TRY(write_new(secret_path, secret, 0600));
	TRY(write_new(public_path, public, 0644));
	printf("Key written to \"%s\" and \"%s\"\n", secret_path, public_path);
	return NULL;
}

const struct command cmd_generate_sigstore_key = {
	.name = "image generate-sigstore-key",
	.summary = "Make a pair of keys for sigstore's signatures",
	.usage = "--output-prefix PREFIX",
	.help = "Writes PREFIX.private, encrypted with a passphrase, and PREFIX.pub. cosign and skopeo read "
		"both.",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct key_flags, prefix), .name = "output-prefix",
			 .metavar = "prefix", .help = "What the files' names begin with", .values = "@file"},
			{FLAG_STRING_FIELD(struct key_flags, passphrase_file), .name = "passphrase-file",
			 .metavar = "file", .help = "The passphrase for the private key", .values = "@file"},
			{0},
		},
	.options_size = sizeof(struct key_flags),
	.max_args = 0,
	.run = run_generate,
};
