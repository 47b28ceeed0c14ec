/* SPDX-License-Identifier: Apache-2.0 */
/* What decides about trust: policies, signatures as files, what they sign, keys in armour. The first byte chooses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "trust_policy.h"
#include "trust_sigstore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err *policy(const char *text, size_t size)
{
	_cleanup_trust_policy_ struct trust_policy *p = NULL;
	struct reference r = {
		.domain = (char *)"a.b.example:5000", .path = (char *)"team/app", .tag = (char *)"v1"};
	struct trust_subject s = {.transport = "docker", .reference = &r};
	const struct trust_scope *scope = NULL;

	TRY(trust_policy_parse(text, size, "fuzz", &p));
	TRY(trust_scope_find(p, &s, &scope));
	if (!scope || scope->n == 0)
		abort();
	for (size_t i = 0; i < p->n; i++)
		for (size_t j = 0; j < p->scopes[i].n; j++)
			trust_identity_matches(&p->scopes[i].v[j].identity, &r,
					       "a.b.example:5000/team/app:v1");
	return NULL;
}

static struct err *signature(const char *text, size_t size)
{
	_cleanup_trust_signature_ struct trust_signature one = {0}, again = {0};
	_cleanup_free_ char *file = NULL;
	size_t file_size;

	TRY(trust_signature_parse(text, size, &one));
	trust_signature_file(&one, &file, &file_size);
	struct err *e = trust_signature_parse(file, file_size, &again);
	if (e || again.size != one.size || memcmp(again.data, one.data, one.size) != 0 ||
	    !str_eq(again.base64, one.base64))
		abort();
	return NULL;
}

static struct err *signed_text(const char *text, size_t size, enum trust_signature_kind kind)
{
	_cleanup_trust_payload_ struct trust_payload p = {0};
	struct digest again;

	TRY(trust_payload_parse(text, size, kind, &p));
	struct err *e = digest_parse(p.manifest.s, &again);
	if (e || !p.reference)
		abort();
	return NULL;
}

static struct err *key(const char *text, size_t size)
{
	_cleanup_free_ char *out = NULL;
	size_t n;

	TRY(trust_key_dearmor(text, size, &out, &n));
	if (n > size)
		abort();
	return NULL;
}

static struct err *private_key(const char *text, size_t size)
{
	struct trust_encrypted_key k = {0};

	TRY(trust_encrypted_key_parse(text, size, &k));
	if (k.nonce_size != 24 || k.text_size < 16 || 128 * k.n * k.r > (uint64_t)512 << 20)
		abort();
	trust_encrypted_key_release(&k);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	char *text = xmemdup(data + 1, size - 1);
	struct err *e = *data == 'p'   ? policy(text, size - 1)
			: *data == 'f' ? signature(text, size - 1)
			: *data == 'k' ? key(text, size - 1)
			: *data == 'e' ? private_key(text, size - 1)
			: *data == 's' ? signed_text(text, size - 1, TRUST_SIGNATURE_SIGSTORE)
				       : signed_text(text, size - 1, TRUST_SIGNATURE_SIMPLE);
	err_free(e);
	free(text);
	return 0;
}
