/* SPDX-License-Identifier: Apache-2.0 */
/* Private: OpenSSL's public-key functions as a table. What havre links statically are SHA-2's direct functions; EVP and all its algorithms would
 * be half the program, and only signatures need them. */
#ifndef IMAGES_TRUST_CRYPTO_H
#define IMAGES_TRUST_CRYPTO_H

#include "base/error.h"

#define ERR_STATE OPENSSL_ERR_STATE /* a type of theirs, a kind of error of ours */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#undef ERR_STATE

struct crypto_api {
	BIO *(*bio_new_mem_buf)(const void *data, int size);
	BIO *(*bio_new)(const BIO_METHOD *method);
	const BIO_METHOD *(*bio_s_mem)(void);
	long (*bio_ctrl)(BIO *b, int command, long n, void *p);
	int (*bio_free)(BIO *b);
	EVP_PKEY *(*read_public)(BIO *b, EVP_PKEY **key, pem_password_cb *password, void *user);
	int (*write_public)(BIO *b, const EVP_PKEY *key);
	EVP_PKEY *(*read_private)(EVP_PKEY **key, const unsigned char **der, long size);
	PKCS8_PRIV_KEY_INFO *(*to_pkcs8)(const EVP_PKEY *key);
	int (*write_pkcs8)(const PKCS8_PRIV_KEY_INFO *info, unsigned char **ret_der);
	void (*pkcs8_free)(PKCS8_PRIV_KEY_INFO *info);
	EVP_PKEY *(*generate)(OSSL_LIB_CTX *library, const char *properties, const char *type, ...);
	int (*key_type)(const EVP_PKEY *key);
	void (*key_free)(EVP_PKEY *key);
	EVP_MD_CTX *(*context_new)(void);
	void (*context_free)(EVP_MD_CTX *c);
	const EVP_MD *(*sha256)(void);
	int (*verify_init)(EVP_MD_CTX *c, EVP_PKEY_CTX **key, const EVP_MD *md, ENGINE *e, EVP_PKEY *pkey);
	int (*verify)(EVP_MD_CTX *c, const unsigned char *signature, size_t signature_size,
		      const unsigned char *data, size_t size);
	int (*sign_init)(EVP_MD_CTX *c, EVP_PKEY_CTX **key, const EVP_MD *md, ENGINE *e, EVP_PKEY *pkey);
	int (*sign)(EVP_MD_CTX *c, unsigned char *ret, size_t *ret_size, const unsigned char *data,
		    size_t size);
	int (*scrypt)(const char *password, size_t password_size, const unsigned char *salt, size_t salt_size,
		      uint64_t n, uint64_t r, uint64_t p, uint64_t memory_max, unsigned char *ret,
		      size_t ret_size);
	int (*random)(unsigned char *ret, int size);
	void (*clear_free)(void *p, size_t size, const char *file, int line);
	void (*free)(void *p, const char *file, int line);
	unsigned long (*get_error)(void);
	void (*error_string)(unsigned long code, char *ret, size_t size);
	void (*clear_error)(void);
};

/* Loads the library once per process; thread-safe. ERR_UNSUPPORTED when it is not installed. */
_must_check_ struct err *crypto_api_load(const struct crypto_api **ret);
/* ERR_INVALID "…: what OpenSSL says". */
_must_check_ struct err *crypto_error(const struct crypto_api *c, const char *what);

#endif
