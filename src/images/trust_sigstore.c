/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_sigstore.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "images/sign.h"
#include "trust_crypto.h"

#define PUBLIC_KEY_MAX ((size_t)64 << 10)
#define SIGNATURE_MAX ((size_t)16 << 10)

static struct err *read_public(const struct crypto_api *c, const char *pem, size_t size, EVP_PKEY **ret)
{
	BIO *b = c->bio_new_mem_buf(pem, (int)size);

	*ret = b ? c->read_public(b, NULL, NULL, NULL) : NULL;
	if (b)
		c->bio_free(b);
	return *ret ? NULL : crypto_error(c, "not a PEM public key");
}

/* *ret_good: the key made the signature. Ed25519 hashes by itself, the others sign a SHA-256. */
static struct err *verify_with(const struct crypto_api *c, const char *pem, size_t pem_size,
			       const char *payload, size_t size, const char *signature, size_t signature_size,
			       bool *ret_good)
{
	EVP_PKEY *key;

	TRY(read_public(c, pem, pem_size, &key));
	int type = c->key_type(key);
	EVP_MD_CTX *context = c->context_new();
	bool known = type == EVP_PKEY_EC || type == EVP_PKEY_RSA || type == EVP_PKEY_ED25519;
	*ret_good = known && context &&
		    c->verify_init(context, NULL, type == EVP_PKEY_ED25519 ? NULL : c->sha256(), NULL, key) ==
			    1 &&
		    c->verify(context, (const unsigned char *)signature, signature_size,
			      (const unsigned char *)payload, size) == 1;
	c->context_free(context);
	c->key_free(key);
	c->clear_error();
	return known ? NULL : err_new(ERR_UNSUPPORTED, "a key that is neither ECDSA, RSA nor Ed25519");
}

struct err *trust_sigstore_verify(const struct trust_keys *keys, const char *payload, size_t size,
				  const char *signature_base64)
{
	const struct crypto_api *c;
	_cleanup_free_ char *signature = NULL;
	size_t signature_size;
	bool good = false;

	TRY(crypto_api_load(&c));
	if (strlen(signature_base64) > SIGNATURE_MAX)
		return err_new(ERR_LIMIT, "a signature has more than %zu bytes", SIGNATURE_MAX);
	TRY(base64_decode(signature_base64, &signature, &signature_size));
	STRV_FOREACH (path, keys->paths) {
		_cleanup_free_ char *pem = NULL;
		size_t pem_size;
		struct err *e = file_read(*path, PUBLIC_KEY_MAX, &pem, &pem_size);
		if (!good && !e)
			e = verify_with(c, pem, pem_size, payload, size, signature, signature_size, &good);
		if (e)
			return err_wrap_kind(e, ERR_STATE, "the policy's key %s", *path);
	}
	STRV_FOREACH (text, keys->data) {
		_cleanup_free_ char *pem = NULL;
		size_t pem_size;
		struct err *e = base64_decode(*text, &pem, &pem_size);
		if (!good && !e)
			e = verify_with(c, pem, pem_size, payload, size, signature, signature_size, &good);
		if (e)
			return err_wrap_kind(e, ERR_STATE, "the policy's keyData");
	}
	return good ? NULL : err_new(ERR_PERMISSION, "it is not by one of the policy's keys");
}

/* -- signing ---------------------------------------------------------------------------------------------------- */

static struct err *sign_with(const struct crypto_api *c, EVP_PKEY *key, const char *payload, size_t size,
			     char **ret_base64)
{
	unsigned char signature[2048];
	size_t n = sizeof(signature);
	EVP_MD_CTX *context = c->context_new();
	bool ed25519 = c->key_type(key) == EVP_PKEY_ED25519;
	bool good = context && c->sign_init(context, NULL, ed25519 ? NULL : c->sha256(), NULL, key) == 1 &&
		    c->sign(context, signature, &n, (const unsigned char *)payload, size) == 1;

	c->context_free(context);
	if (!good)
		return crypto_error(c, "the key cannot sign");
	*ret_base64 = base64_encode((const char *)signature, n);
	return NULL;
}

struct err *trust_sigstore_sign(const char *key_path, const char *passphrase, const char *payload,
				size_t size, char **ret_base64)
{
	const struct crypto_api *c;
	_cleanup_free_ char *pem = NULL;
	unsigned char *der;
	size_t pem_size, der_size;

	TRY(crypto_api_load(&c));
	TRY_WRAP(file_read(key_path, PUBLIC_KEY_MAX, &pem, &pem_size), "private key");
	TRY_WRAP(trust_private_key_decrypt(pem, pem_size, passphrase, &der, &der_size), "private key %s",
		 key_path);
	const unsigned char *p = der;
	EVP_PKEY *key = c->read_private(NULL, &p, (long)der_size);
	trust_secret_free(der, der_size);
	if (!key)
		return crypto_error(c, "not a private key");
	struct err *e = sign_with(c, key, payload, size, ret_base64);
	c->key_free(key);
	return e;
}

static struct err *export_public(const struct crypto_api *c, const EVP_PKEY *key, char **ret)
{
	BIO *b = c->bio_new(c->bio_s_mem());
	char *data = NULL;
	struct err *e = NULL;

	if (!b || c->write_public(b, key) != 1)
		e = crypto_error(c, "cannot write the public key");
	long n = e ? 0 : c->bio_ctrl(b, BIO_CTRL_INFO, 0, &data);
	if (!e)
		*ret = xstrndup(data, (size_t)n);
	if (b)
		c->bio_free(b);
	return e;
}

static struct err *export_private(const struct crypto_api *c, const EVP_PKEY *key, const char *passphrase,
				  char **ret)
{
	unsigned char *der = NULL;
	PKCS8_PRIV_KEY_INFO *info = c->to_pkcs8(key);
	int n = info ? c->write_pkcs8(info, &der) : -1;

	c->pkcs8_free(info);
	if (n <= 0)
		return crypto_error(c, "cannot write the private key");
	struct err *e = trust_private_key_encrypt(der, (size_t)n, passphrase, ret);
	c->clear_free(der, (size_t)n, __FILE__, __LINE__);
	return e;
}

struct err *sigstore_key_generate(const char *passphrase, char **ret_private, char **ret_public)
{
	const struct crypto_api *c;
	_cleanup_free_ char *secret = NULL;

	TRY(crypto_api_load(&c));
	EVP_PKEY *key = c->generate(NULL, NULL, "EC", "P-256");
	if (!key)
		return crypto_error(c, "cannot make a key");
	struct err *e = export_private(c, key, passphrase, &secret);
	if (!e)
		e = export_public(c, key, ret_public);
	c->key_free(key);
	TRY(e);
	*ret_private = TAKE_PTR(secret);
	return NULL;
}
