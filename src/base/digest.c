/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's SHA-2 by its direct functions, not by EVP: the same assembly (SHA-NI), but without the tables of all algorithms and
 * providers that EVP links in. Those were 350 kB to relocate, 1.4 ms of each start of havre; and no fetch at first use. */
#define OPENSSL_SUPPRESS_DEPRECATED /* 3.0 calls these functions deprecated in favour of EVP */
#include <openssl/sha.h>

#include "base/digest.h"

#include <string.h>

#include "base/memory.h"
#include "base/str.h"

static const struct {
	const char *name;
	size_t hex_len;
} algorithms[] = {
	{"sha256", 2 * SHA256_DIGEST_LENGTH},
	{"sha512", 2 * SHA512_DIGEST_LENGTH},
};

struct err *digest_parse(const char *s, struct digest *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		size_t n = strlen(algorithms[i].name), hex_len = algorithms[i].hex_len;

		if (strncmp(s, algorithms[i].name, n) != 0 || s[n] != ':')
			continue;
		const char *hex = s + n + 1;
		if (strspn(hex, "0123456789abcdef") != hex_len || hex[hex_len] != '\0')
			return err_new(
				ERR_INVALID,
				"invalid digest \"%.100s\": %s must be followed by %zu lower-case hex digits",
				s, algorithms[i].name, hex_len);
		memcpy(ret->s, s, n + 1 + hex_len + 1);
		return NULL;
	}
	return err_new(ERR_INVALID, "invalid digest \"%.100s\": it must begin with sha256: or sha512:", s);
}

const char *digest_algorithm(const struct digest *d)
{
	return str_starts(d->s, "sha512:") ? "sha512" : "sha256";
}

const char *digest_hex(const struct digest *d)
{
	const char *colon = strchr(d->s, ':');

	return colon ? colon + 1 : "";
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return strcmp(a->s, b->s) == 0;
}

struct digest_stream {
	bool sha512;
	union {
		SHA256_CTX c256;
		SHA512_CTX c512;
	};
};

/* The functions below answer 1 always; they have no way to fail. */

struct digest_stream *digest_stream_new_sha256(void)
{
	struct digest_stream *s = xnew(struct digest_stream);

	(void)SHA256_Init(&s->c256);
	return s;
}

struct digest_stream *digest_stream_new_like(const struct digest *expected)
{
	if (!str_starts(expected->s, "sha512:"))
		return digest_stream_new_sha256();
	struct digest_stream *s = xnew(struct digest_stream);
	s->sha512 = true;
	(void)SHA512_Init(&s->c512);
	return s;
}

void digest_stream_update(struct digest_stream *s, const void *data, size_t size)
{
	if (s->sha512)
		(void)SHA512_Update(&s->c512, data, size);
	else
		(void)SHA256_Update(&s->c256, data, size);
}

void digest_stream_final(struct digest_stream *s, struct digest *ret)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char md[SHA512_DIGEST_LENGTH];
	const char *name = algorithms[s->sha512].name;
	size_t n = algorithms[s->sha512].hex_len / 2, at = strlen(name);

	if (s->sha512)
		(void)SHA512_Final(md, &s->c512);
	else
		(void)SHA256_Final(md, &s->c256);
	memcpy(ret->s, name, at);
	ret->s[at++] = ':';
	for (size_t i = 0; i < n; i++) {
		ret->s[at++] = hex[md[i] >> 4];
		ret->s[at++] = hex[md[i] & 15];
	}
	ret->s[at] = '\0';
}

void digest_stream_free(struct digest_stream *s)
{
	free(s);
}

void digest_of(const void *data, size_t size, struct digest *ret)
{
	struct digest_stream *s = digest_stream_new_sha256();

	digest_stream_update(s, data, size);
	digest_stream_final(s, ret);
	digest_stream_free(s);
}
