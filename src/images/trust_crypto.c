/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_crypto.h"

#include <pthread.h>

#include "base/library.h"

static struct crypto_api api;
static struct err *failure;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
	static const char *const names[] = {"libcrypto.so.3", NULL};
	static const struct library_symbol symbols[] = {
		{"BIO_new_mem_buf", &api.bio_new_mem_buf},
		{"BIO_new", &api.bio_new},
		{"BIO_s_mem", &api.bio_s_mem},
		{"BIO_ctrl", &api.bio_ctrl},
		{"BIO_free", &api.bio_free},
		{"PEM_read_bio_PUBKEY", &api.read_public},
		{"PEM_write_bio_PUBKEY", &api.write_public},
		{"d2i_AutoPrivateKey", &api.read_private},
		{"EVP_PKEY2PKCS8", &api.to_pkcs8},
		{"i2d_PKCS8_PRIV_KEY_INFO", &api.write_pkcs8},
		{"PKCS8_PRIV_KEY_INFO_free", &api.pkcs8_free},
		{"EVP_PKEY_Q_keygen", &api.generate},
		{"EVP_PKEY_get_base_id", &api.key_type},
		{"EVP_PKEY_free", &api.key_free},
		{"EVP_MD_CTX_new", &api.context_new},
		{"EVP_MD_CTX_free", &api.context_free},
		{"EVP_sha256", &api.sha256},
		{"EVP_DigestVerifyInit", &api.verify_init},
		{"EVP_DigestVerify", &api.verify},
		{"EVP_DigestSignInit", &api.sign_init},
		{"EVP_DigestSign", &api.sign},
		{"EVP_PBE_scrypt", &api.scrypt},
		{"RAND_bytes", &api.random},
		{"CRYPTO_clear_free", &api.clear_free},
		{"CRYPTO_free", &api.free},
		{"ERR_get_error", &api.get_error},
		{"ERR_error_string_n", &api.error_string},
		{"ERR_clear_error", &api.clear_error},
	};

	failure = library_load(names, symbols, ARRAY_SIZE(symbols));
}

struct err *crypto_api_load(const struct crypto_api **ret)
{
	pthread_once(&once, load);
	if (failure) {
		_cleanup_free_ char *why = err_text(failure);
		return err_new(ERR_UNSUPPORTED,
			       "signatures of sigstore need the library libcrypto.so.3: install it (Debian: "
			       "libssl3); %s",
			       why);
	}
	*ret = &api;
	return NULL;
}

struct err *crypto_error(const struct crypto_api *c, const char *what)
{
	char text[200] = "no reason given";
	unsigned long code = c->get_error();

	if (code)
		c->error_string(code, text, sizeof(text));
	c->clear_error();
	return err_new(ERR_INVALID, "%s (OpenSSL says: %s)", what, text);
}
