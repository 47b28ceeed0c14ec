/* SPDX-License-Identifier: Apache-2.0 */
/* Signing images, and asking a policy about one without fetching it. containers-signature(5); sigstore's as cosign keeps them. */
#ifndef IMAGES_SIGN_H
#define IMAGES_SIGN_H

#include "images/store.h"
#include "images/trust.h"

/* Who signs; both may. Everything is borrowed. */
struct trust_signer {
	const char *gpg_key; /* what gpg knows the key by, in the user's keyring; NULL: no GPG signature */
	const char *sigstore_key; /* file of a private key of sigstore; NULL: no such signature */
	const char *passphrase;   /* of that key, or NULL (gpg asks its agent) */
	const char *identity;     /* the name in the signature, host/path:tag; NULL: the image's */
};
static inline bool trust_signer_is_set(const struct trust_signer *s)
{
	return s->gpg_key || s->sigstore_key;
}
/* Signatures of a manifest with this digest as `reference` (host/path:tag). Appended. */
_must_check_ struct err *trust_sign(const struct trust_signer *s, const struct digest *d,
				    const char *reference, struct trust_signatures *ret);

/* One GPG signature and one manifest as files. ERR_PERMISSION: it is not a good one of that key, manifest and reference. `key`: a public key's file,
 * or NULL: a key of the user's own keyring with the fingerprint. *ret_fingerprint (may be NULL): whose it is. */
struct standalone_verify {
	const char *manifest;
	size_t manifest_size;
	const char *signature;
	size_t signature_size;
	const char *reference, *fingerprint /* NULL: any key of the file */, *key_file;
};
_must_check_ struct err *standalone_verify(const struct standalone_verify *v, struct digest *ret_digest,
					   char **ret_fingerprint);

/* A new ECDSA P-256 pair as PEM, the private key encrypted with the passphrase (may be ""). Caller frees both. */
_must_check_ struct err *sigstore_key_generate(const char *passphrase, char **ret_private, char **ret_public);

struct sign_options {
	struct trust_signer signer;
	const char *username, *password;            /* NULL: from the credential files */
	bool insecure;                              /* as pull's */
	const char *ca_file, *cert_dir, *auth_file; /* as pull's */
	bool no_credentials;                        /* not even from files */
	const char *directory; /* GPG signatures go below this directory; NULL: where registries.d says */
	bool all;              /* all platforms of an index, not only ours */
	const struct progress *progress; /* may be NULL */
};
/* Signs what a name in a registry stands for: the manifest, the index around it. *ret_digests: NULL-terminated. */
_must_check_ struct err *image_sign(const struct reference *ref, const struct sign_options *o,
				    char ***ret_digests);

struct verify_options {
	const char *signature_policy; /* NULL: the usual one */
	struct platform platform;
	const char *username, *password;
	bool insecure;
	const char *ca_file;
	const struct progress *progress;
};
/* Asks the policy about an image in its registry. Success means yes; *ret_manifest is what it is then. */
_must_check_ struct err *image_verify(const struct reference *ref, const struct verify_options *o,
				      struct digest *ret_manifest);

#endif
