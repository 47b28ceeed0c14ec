/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys as cosign keeps them. scrypt is OpenSSL's; the box is libsodium's, loaded on first use: only who signs needs it. */
#include <stdint.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/library.h"
#include "base/memory.h"
#include "base/str.h"
#include "trust_crypto.h"
#include "trust_sigstore.h"

#define KEY_SIZE 32 /* crypto_secretbox_KEYBYTES */
#define NONCE_SIZE 24
#define MAC_SIZE 16
#define SALT_SIZE 32
#define NEW_N 65536
#define NEW_R 8
#define NEW_P 1
#define MEMORY_MAX ((uint64_t)512 << 20) /* 128 * N * r */
#define DER_MAX ((size_t)64 << 10)

static const char *const pem_types[] = {"ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"};

void trust_secret_free(void *p, size_t size)
{
	if (p)
		explicit_bzero(p, size);
	free(p);
}

/* -- the file --------------------------------------------------------------------------------------------------- */

static struct err *pem_decode(const char *pem, size_t size, char **ret, size_t *ret_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(pem_types); i++) {
		_cleanup_free_ char *begin = xasprintf("-----BEGIN %s-----", pem_types[i]);
		_cleanup_free_ char *end = xasprintf("-----END %s-----", pem_types[i]);
		_cleanup_strbuf_ struct strbuf text = {0};
		const char *p = memmem(pem, size, begin, strlen(begin));
		if (!p)
			continue;
		p += strlen(begin);
		const char *stop = memmem(p, (size_t)(pem + size - p), end, strlen(end));
		if (!stop)
			return err_new(ERR_INVALID, "the key's PEM does not end");
		for (; p < stop; p++)
			if (!strchr(" \t\r\n", *p))
				strbuf_putc(&text, *p);
		return base64_decode(strbuf_str(&text), ret, ret_size);
	}
	return err_new(ERR_INVALID, "not a private key of sigstore: no \"BEGIN %s\"", pem_types[0]);
}

static char *pem_encode(const char *data, size_t size)
{
	_cleanup_free_ char *text = base64_encode(data, size);
	_cleanup_strbuf_ struct strbuf b = {0};

	strbuf_printf(&b, "-----BEGIN %s-----\n", pem_types[0]);
	for (const char *p = text; *p; p += MIN(strlen(p), (size_t)64))
		strbuf_printf(&b, "%.64s\n", p);
	strbuf_printf(&b, "-----END %s-----\n", pem_types[0]);
	return strbuf_take(&b);
}

void trust_encrypted_key_release(struct trust_encrypted_key *k)
{
	free(k->salt);
	free(k->nonce);
	free(k->text);
	*k = (struct trust_encrypted_key){0};
}

static struct err *get_base64(const struct json_cursor *object, const char *key, char **ret, size_t *ret_size)
{
	const char *text = "";

	TRY(json_get_string(object, key, JSON_REQUIRED, &text));
	struct err *e = base64_decode(text, ret, ret_size);
	err_free(e);
	return e ? json_error_at(object, key, "not base64") : NULL;
}

static struct err *check_name(const struct json_cursor *object, const char *must)
{
	const char *name = "";

	TRY(json_get_string(object, "name", JSON_REQUIRED, &name));
	return str_eq(name, must) ? NULL : json_error_at(object, "name", "must be \"%s\"", must);
}

static struct err *parse_document(const struct json_cursor *root, struct trust_encrypted_key *k)
{
	struct json_cursor kdf, params, cipher;

	TRY(json_get_object(root, "kdf", JSON_REQUIRED, &kdf));
	TRY(check_name(&kdf, "scrypt"));
	TRY(json_get_object(&kdf, "params", JSON_REQUIRED, &params));
	TRY(json_get_u64(&params, "N", JSON_REQUIRED, 1 << 24, &k->n));
	TRY(json_get_u64(&params, "r", JSON_REQUIRED, 1024, &k->r));
	TRY(json_get_u64(&params, "p", JSON_REQUIRED, 16, &k->p));
	if (k->n < 2 || (k->n & (k->n - 1)) || !k->r || !k->p || 128 * k->n * k->r > MEMORY_MAX)
		return json_error(&params, "N must be a power of two, and the work bounded");
	TRY(get_base64(&kdf, "salt", &k->salt, &k->salt_size));
	TRY(json_get_object(root, "cipher", JSON_REQUIRED, &cipher));
	TRY(check_name(&cipher, "nacl/secretbox"));
	TRY(get_base64(&cipher, "nonce", &k->nonce, &k->nonce_size));
	TRY(get_base64(root, "ciphertext", &k->text, &k->text_size));
	if (k->nonce_size != NONCE_SIZE || k->salt_size > 1024 || k->text_size < MAC_SIZE ||
	    k->text_size > DER_MAX)
		return json_error(root, "the nonce, salt or text has a wrong size");
	return NULL;
}

struct err *trust_encrypted_key_parse(const char *pem, size_t size, struct trust_encrypted_key *ret)
{
	_cleanup_(trust_encrypted_key_release) struct trust_encrypted_key k = {0};
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_free_ char *text = NULL;
	size_t text_size;

	TRY(pem_decode(pem, size, &text, &text_size));
	TRY(json_parse(text, text_size, "encrypted key", &doc));
	struct json_cursor root = json_root(doc);
	if (json_kind(&root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "encrypted key: not an object");
	TRY_WRAP(parse_document(&root, &k), "encrypted key");
	*ret = k;
	k = (struct trust_encrypted_key){0};
	return NULL;
}

/* -- the box ---------------------------------------------------------------------------------------------------- */

typedef int (*secretbox_t)(unsigned char *ret, const unsigned char *data, unsigned long long size,
			   const unsigned char *nonce, const unsigned char *key);

static struct err *load_box(const char *symbol, secretbox_t *ret)
{
	static const char *const names[] = {"libsodium.so.23", NULL};
	const struct library_symbol symbols[] = {{symbol, ret}};

	TRY_WRAP(library_load(names, symbols, 1),
		 "private keys of sigstore need the library libsodium.so.23 (Debian: libsodium23)");
	return NULL;
}

static struct err *derive(const struct crypto_api *c, const char *passphrase,
			  const struct trust_encrypted_key *k, unsigned char *ret_key)
{
	const char *secret = passphrase ? passphrase : "";

	if (c->scrypt(secret, strlen(secret), (const unsigned char *)k->salt, k->salt_size, k->n, k->r, k->p,
		      MEMORY_MAX + (64 << 20), ret_key, KEY_SIZE) != 1)
		return crypto_error(c, "cannot derive a key from the passphrase");
	return NULL;
}

struct err *trust_private_key_decrypt(const char *pem, size_t size, const char *passphrase,
				      unsigned char **ret_der, size_t *ret_size)
{
	_cleanup_(trust_encrypted_key_release) struct trust_encrypted_key k = {0};
	const struct crypto_api *c;
	unsigned char key[KEY_SIZE];
	secretbox_t open_box;

	TRY(trust_encrypted_key_parse(pem, size, &k));
	TRY(crypto_api_load(&c));
	TRY(load_box("crypto_secretbox_open_easy", &open_box));
	TRY(derive(c, passphrase, &k, key));
	size_t n = k.text_size - MAC_SIZE;
	unsigned char *der = xmalloc(n + 1);
	int bad = open_box(der, (const unsigned char *)k.text, k.text_size, (const unsigned char *)k.nonce,
			   key);
	explicit_bzero(key, sizeof(key));
	if (bad) {
		trust_secret_free(der, n);
		return err_new(ERR_PERMISSION, "the passphrase does not open the key");
	}
	*ret_der = der;
	*ret_size = n;
	return NULL;
}

static struct json *document(const struct trust_encrypted_key *k)
{
	_cleanup_free_ char *salt = base64_encode(k->salt, k->salt_size),
			    *nonce = base64_encode(k->nonce, k->nonce_size),
			    *text = base64_encode(k->text, k->text_size);
	struct json *root = json_new_object(), *kdf = json_new_object(), *params = json_new_object(),
		    *cipher = json_new_object();

	json_set_u64(params, "N", k->n);
	json_set_u64(params, "r", k->r);
	json_set_u64(params, "p", k->p);
	json_set_string(kdf, "name", "scrypt");
	json_set(kdf, "params", params);
	json_set_string(kdf, "salt", salt);
	json_set_string(cipher, "name", "nacl/secretbox");
	json_set_string(cipher, "nonce", nonce);
	json_set(root, "kdf", kdf);
	json_set(root, "cipher", cipher);
	json_set_string(root, "ciphertext", text);
	return root;
}

struct err *trust_private_key_encrypt(const unsigned char *der, size_t size, const char *passphrase,
				      char **ret_pem)
{
	_cleanup_(trust_encrypted_key_release) struct trust_encrypted_key k = {
		.n = NEW_N, .r = NEW_R, .p = NEW_P, .salt_size = SALT_SIZE, .nonce_size = NONCE_SIZE};
	const struct crypto_api *c;
	unsigned char key[KEY_SIZE];
	secretbox_t seal;

	TRY(crypto_api_load(&c));
	TRY(load_box("crypto_secretbox_easy", &seal));
	k.salt = xmalloc(SALT_SIZE);
	k.nonce = xmalloc(NONCE_SIZE);
	if (c->random((unsigned char *)k.salt, SALT_SIZE) != 1 ||
	    c->random((unsigned char *)k.nonce, NONCE_SIZE) != 1)
		return crypto_error(c, "no random numbers");
	TRY(derive(c, passphrase, &k, key));
	k.text_size = size + MAC_SIZE;
	k.text = xmalloc(k.text_size);
	seal((unsigned char *)k.text, der, size, (const unsigned char *)k.nonce, key);
	explicit_bzero(key, sizeof(key));
	_cleanup_json_ struct json *doc = document(&k);
	_cleanup_free_ char *text = json_print(doc, JSON_COMPACT);
	*ret_pem = pem_encode(text, strlen(text));
	return NULL;
}
