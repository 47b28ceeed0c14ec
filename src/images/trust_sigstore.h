/* SPDX-License-Identifier: Apache-2.0 */
/* Private: sigstore's signatures with keys, as cosign and skopeo make them: ECDSA, RSA or Ed25519 over the payload, by OpenSSL's library, which is
 * loaded on first use. */
#ifndef IMAGES_TRUST_SIGSTORE_H
#define IMAGES_TRUST_SIGSTORE_H

#include <stdint.h>

#include "trust_policy.h"

/* Keys are PEM public keys. ERR_PERMISSION: the signature is not by any of them. */
_must_check_ struct err *trust_sigstore_verify(const struct trust_keys *keys, const char *payload,
					       size_t size, const char *signature_base64);
/* With a private key as cosign and skopeo keep them. ERR_PERMISSION: the passphrase (NULL: "") is not the key's. Caller frees. */
_must_check_ struct err *trust_sigstore_sign(const char *key_path, const char *passphrase,
					     const char *payload, size_t size, char **ret_base64);

/* trust_sigstore_key.c: "ENCRYPTED SIGSTORE PRIVATE KEY" (and COSIGN): PEM around JSON that says how the DER inside is encrypted: scrypt, NaCl's
 * secretbox. The DER is a secret: free with trust_secret_free. */
_must_check_ struct err *trust_private_key_decrypt(const char *pem, size_t size, const char *passphrase,
						   unsigned char **ret_der, size_t *ret_size);
_must_check_ struct err *trust_private_key_encrypt(const unsigned char *der, size_t size,
						   const char *passphrase, char **ret_pem);
void trust_secret_free(void *p, size_t size);

/* The JSON alone, for whoever has no passphrase: sizes are checked, nothing is computed. */
struct trust_encrypted_key {
	uint64_t n, r, p;
	char *salt, *nonce, *text;
	size_t salt_size, nonce_size, text_size;
};
void trust_encrypted_key_release(struct trust_encrypted_key *k);
_must_check_ struct err *trust_encrypted_key_parse(const char *pem, size_t size,
						   struct trust_encrypted_key *ret);

#endif
