/* SPDX-License-Identifier: Apache-2.0 */
/* The flags with which images are signed, for all commands that do. */
#ifndef CLI_SIGNER_H
#define CLI_SIGNER_H

#include "cli.h"
#include "images/sign.h"

struct signer_flags {
	const char *sign_by, *sigstore_key, *passphrase_file, *identity;
};
/* Rows of a command's table; `type` is its options struct, which has a struct signer_flags called signer. */
#define SIGNER_FLAGS(type)                                                                                \
	{FLAG_STRING_FIELD(type, signer.sign_by), .name = "sign-by", .metavar = "key",                    \
	 .help = "Sign with this GPG key"},                                                               \
		{FLAG_STRING_FIELD(type, signer.sigstore_key), .name = "sign-by-sigstore-private-key",    \
		 .metavar = "file", .help = "Sign with this private key of sigstore", .values = "@file"}, \
		{FLAG_STRING_FIELD(type, signer.identity), .name = "sign-identity", .metavar = "name",    \
		 .help = "The name in the signature, host/path:tag (default: the image's)"},              \
	{                                                                                                 \
		FLAG_STRING_FIELD(type, signer.passphrase_file),                                          \
			.name = "sign-passphrase-file", .metavar = "file",                                \
			.help = "The passphrase of the signing key", .values = "@file"                    \
	}

/* *ret_passphrase owns what *ret borrows. On a terminal the passphrase of a sigstore key is asked for. */
_must_check_ struct err *signer_from_flags(const struct signer_flags *f, struct trust_signer *ret,
					   char **ret_passphrase);
/* The first line of a file. Caller frees. */
_must_check_ struct err *passphrase_read(const char *path, char **ret);

#endif
